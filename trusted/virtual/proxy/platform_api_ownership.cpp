// SPDX-License-Identifier: AGPL-3.0-only
// How the machine gets its CA, in the two steps of docs/api.md: a certification request with
// evidence, then its certificate. A CA key made outside is not taken here.
#include "common/base/encoding.h"
#include "trusted/runtime/responses.h"
#include "trusted/virtual/proxy/platform_api.h"

namespace eos::cvm::proxy {
namespace {

using runtime::Access;
using runtime::Dispatched;
using runtime::Proof;
using runtime::RoutedRequest;
using runtime::RouteNames;

inline constexpr Code unknown_step{"trusted/virtual/proxy", "unknown_step",
                                   "step must be request-csr or complete"};

constexpr std::size_t kMaxBody = 64 * 1024;

/// Whether the machine gets its first CA, or another one.
enum class Change : std::uint8_t { kProvision, kRotate };

/// The members of both steps; which of them must be there depends on the step.
struct CaStep {
    bool is_first = false;
    std::string token;
    std::string platform_name;
    ByteArray<32> nonce{};
    std::string ca_chain;
};

Result<CaStep> parse_step(const json::Value& value, Change change) {
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    CaStep out;
    const std::string step = EOS_TRY(object.text("step", 32));
    out.is_first = step == "request-csr";
    if (!out.is_first && step != "complete") return fail(unknown_step);
    if (change == Change::kProvision) {
        out.token = EOS_TRY(object.text("token", 64));
        if (out.is_first) out.platform_name = EOS_TRY(object.text("platform_name", 253));
    }
    if (out.is_first) {
        const Bytes nonce = EOS_TRY(from_base64(EOS_TRY(object.text("nonce", 64))));
        if (nonce.size() != 32) return fail(bad_encoding, "nonce must have 32 bytes");
        out.nonce = to_array<32>(nonce);
    } else {
        out.ca_chain = EOS_TRY(object.text("ca_chain", kMaxChainPemBytes));
    }
    EOS_TRY(object.finish());
    return out;
}

runtime::Done<CaRequest> answer_request(const ApiContext& context, runtime::Exchange exchange) {
    return [&context, exchange = std::move(exchange)](Result<CaRequest> outcome) mutable {
        if (!outcome) return respond_failure(exchange, outcome.error());
        const State& state = context.port.state()->state;
        runtime::respond_json(exchange, 200,
                              {{"csr", base64(outcome->csr)},
                               {"evidence", base64(outcome->evidence)},
                               {"instance_id", hex(state.instance.instance_id)}});
    };
}

/// The state that came of it was handed to every loop before the answer came back to this one.
runtime::Done<void> answer_owned(const ApiContext& context, runtime::Exchange exchange) {
    return [&context, exchange = std::move(exchange)](Result<void> outcome) mutable {
        if (!outcome) return respond_failure(exchange, outcome.error());
        const MintedState& minted = *context.port.state();
        runtime::respond_json(exchange, 200,
                              {{"instance_id", hex(minted.state.instance.instance_id)},
                               {"generation", minted.state.instance.generation},
                               {"policy_root", hex(minted.state.policy_root)},
                               {"platform_name", minted.config.platform.name},
                               {"ca_not_after", rfc3339({minted.state.ca_not_after})}});
    };
}

void begin(const ApiContext& context, runtime::Exchange exchange, CaStep step, Change change,
           const crypto::Digest32& owner) {
    ask<CaRequest>(
        context.port,
        [step = std::move(step), change, owner](MintClient& client,
                                                runtime::Done<CaRequest> done) mutable {
            if (change == Change::kProvision) {
                client.request_ca({step.token, step.platform_name, step.nonce, owner},
                                  std::move(done));
            } else {
                client.request_ca_rotation({step.nonce}, std::move(done));
            }
        },
        answer_request(context, std::move(exchange)));
}

void complete(const ApiContext& context, runtime::Exchange exchange, CaStep step, Change change,
              const crypto::Digest32& owner) {
    ask<void>(
        context.port,
        [step = std::move(step), change, owner](MintClient& client,
                                                runtime::Done<void> done) mutable {
            if (change == Change::kProvision) {
                client.change(CompleteProvisioning{step.token, owner, step.ca_chain},
                              std::move(done));
            } else {
                client.change(CompleteCaRotation{step.ca_chain}, std::move(done));
            }
        },
        answer_owned(context, std::move(exchange)));
}

Dispatched handle_ca(const ApiContext& context, Change change, RoutedRequest request) {
    if (change == Change::kProvision && context.port.state()->state.is_owned) {
        runtime::respond_error(request.exchange, 404, "this machine has an owner");
        return {};
    }
    const std::optional<crypto::Digest32> key = request.connection.client_key_hash;
    return with_json(
        context, std::move(request),
        [&context, change, key](runtime::Exchange exchange, const json::Value& value) mutable {
            Result<CaStep> step = parse_step(value, change);
            if (!step) return respond_failure(exchange, step.error());
            if (!key) {
                return runtime::respond_error(
                    exchange, 401, "connect with the owner's client certificate and a challenge");
            }
            if (step->is_first) {
                return begin(context, std::move(exchange), std::move(*step), change, *key);
            }
            complete(context, std::move(exchange), std::move(*step), change, *key);
        });
}

}  // namespace

void add_ownership_routes(runtime::Router& router, const ApiContext& context) {
    router.add({.method = http::Method::kPost,
                .pattern = "/api/v1/provision",
                .names = RouteNames::kPlatformAlways,
                .access = Access::kAnyone,
                .proof = Proof::kBound,
                .max_body_bytes = kMaxBody,
                .summary = "take ownership, in two steps, with the one-time token"},
               [&context](RoutedRequest request) {
                   return handle_ca(context, Change::kProvision, std::move(request));
               });
    router.add({.method = http::Method::kPost,
                .pattern = "/api/v1/ca",
                .names = RouteNames::kPlatform,
                .proof = Proof::kBound,
                .max_body_bytes = kMaxBody,
                .summary = "replace the intermediate CA, in two steps"},
               [&context](RoutedRequest request) {
                   return handle_ca(context, Change::kRotate, std::move(request));
               });
}

}  // namespace eos::cvm::proxy
