// SPDX-License-Identifier: AGPL-3.0-only
// What the owner asks of the machine: its CA, in the two steps of docs/api.md, and its time. The
// statement goes to the minter whole, which alone decides; what is looked at here is looked at so
// that nobody else costs the minter anything. A CA key made outside is not taken.
#include "common/base/encoding.h"
#include "trusted/runtime/owner_api.h"
#include "trusted/runtime/responses.h"
#include "trusted/virtual/proxy/platform_api.h"

namespace eos::cvm::proxy {
namespace {

using owner::Purpose;
using runtime::Access;
using runtime::Dispatched;
using runtime::Proof;
using runtime::RoutedRequest;
using runtime::RouteNames;

Result<OwnerRequest> parse_request(Purpose purpose, const json::Value& value) {
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    const Bytes key = EOS_TRY(from_base64(EOS_TRY(object.text("owner_key", 256))));
    OwnerRequest out{purpose, {}, EOS_TRY(object.text("statement", owner::kMaxStatementBytes))};
    EOS_TRY(object.finish());
    out.owner_key = EOS_TRY(crypto::P256PublicKey::from_spki(key)).spki();
    return out;
}

/// The state that came of it was handed to every loop before the answer came back to this one.
json::Value answer_of(const ApiContext& context, Purpose purpose,
                      const std::optional<CaRequest>& made) {
    const MintedState& minted = *context.port.state();
    const State& state = minted.state;
    if (made) {
        return runtime::to_json(
            runtime::CertificationRequest{made->csr, made->evidence, state.instance.instance_id});
    }
    if (purpose == Purpose::kConfirmTime)
        return {{"time", rfc3339(context.clock.now())}, {"time_trust", state.time_trust}};
    return runtime::to_json(runtime::OwnedPlatform{
        state.instance.instance_id, state.instance.generation, state.policy_root,
        minted.config.platform.name, UnixTime{state.ca_not_after}});
}

void hand_on(const ApiContext& context, OwnerRequest request, runtime::Exchange exchange) {
    const Purpose purpose = request.purpose;
    using Made = std::optional<CaRequest>;
    ask<Made>(
        context.port,
        [request = std::move(request)](MintClient& client, runtime::Done<Made> done) mutable {
            client.owner_request(std::move(request), std::move(done));
        },
        [&context, purpose, exchange = std::move(exchange)](Result<Made> outcome) mutable {
            if (!outcome) return respond_failure(exchange, outcome.error());
            runtime::respond_json(exchange, 200, answer_of(context, purpose, *outcome));
        });
}

Dispatched handle(const ApiContext& context, Purpose purpose, RoutedRequest request) {
    if (purpose == Purpose::kProvision && context.port.state()->state.is_owned) {
        runtime::respond_error(request.exchange, 404, "this machine has an owner");
        return {};
    }
    return with_json(context, std::move(request),
                     [&context, purpose](runtime::Exchange exchange, const json::Value& value) {
                         Result<OwnerRequest> asked = parse_request(purpose, value);
                         if (!asked) return respond_failure(exchange, asked.error());
                         hand_on(context, std::move(*asked), std::move(exchange));
                     });
}

Dispatched handle_challenge(const ApiContext& context, RoutedRequest request) {
    ask<OpenChallenge>(
        context.port,
        [](MintClient& client, runtime::Done<OpenChallenge> done) {
            client.open_challenge(std::move(done));
        },
        [exchange = std::move(request.exchange)](Result<OpenChallenge> outcome) mutable {
            if (!outcome) return respond_failure(exchange, outcome.error());
            runtime::respond_json(exchange, 200, {{"challenge", base64(outcome->challenge)}});
        });
    return {};
}

}  // namespace

void add_owner_routes(runtime::Router& router, const ApiContext& context) {
    const auto handler = [&context](Purpose purpose) {
        return [&context, purpose](RoutedRequest request) {
            return handle(context, purpose, std::move(request));
        };
    };
    router.add({.pattern = "/api/v1/owner-challenge",
                .names = RouteNames::kPlatformAlways,
                .access = Access::kAnyone,
                .proof = Proof::kBound,
                .summary = "what the owner's next statement answers"},
               [&context](RoutedRequest request) {
                   return handle_challenge(context, std::move(request));
               });
    router.add({.method = http::Method::kPost,
                .pattern = "/api/v1/provision",
                .names = RouteNames::kPlatformAlways,
                .access = Access::kAnyone,
                .proof = Proof::kBound,
                .max_body_bytes = runtime::kMaxCaStepBytes,
                .summary = "take ownership, in two steps, with the one-time token"},
               handler(Purpose::kProvision));
    router.add({.method = http::Method::kPost,
                .pattern = "/api/v1/ca",
                .names = RouteNames::kPlatform,
                .proof = Proof::kBound,
                .max_body_bytes = runtime::kMaxCaStepBytes,
                .summary = "replace the intermediate CA, in two steps"},
               handler(Purpose::kRotateCa));
    router.add({.method = http::Method::kPost,
                .pattern = "/api/v1/confirm-time",
                .names = RouteNames::kPlatform,
                .proof = Proof::kBound,
                .max_body_bytes = 2048,
                .summary = "say what time it is, after a jump of the machine's clock"},
               handler(Purpose::kConfirmTime));
}

}  // namespace eos::cvm::proxy
