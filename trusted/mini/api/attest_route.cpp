// SPDX-License-Identifier: AGPL-3.0-only
// Mode C: evidence about the key of this connection's leaf, bound to this connection, asked for
// inside it. What is signed holds a value of this connection's own exporter, which nobody can
// choose. source: docs/formats/certificate.md 6.
#include "common/base/assert.h"
#include "common/ratls/attest_message.h"
#include "trusted/mini/api/context.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

using ratls::AttestMode;
using ratls::AttestRequest;
using ratls::AttestResponse;
using runtime::Dispatched;
using runtime::RoutedRequest;

constexpr std::string_view kTee = "sgx";
constexpr unsigned kRetryAfter_s = 2;

void respond(runtime::Exchange& exchange, const AttestResponse& response) {
    auto sent = exchange.respond(runtime::make_head(200, runtime::kJsonType),
                                 to_bytes(ratls::to_text(response)));
    // Nobody answered before: the only failure there is.
    EOS_ASSERT(sent.has_value());
}

void respond_no_quote(runtime::Exchange& exchange, const Error& error) {
    runtime::respond_busy(exchange, error.message(), kRetryAfter_s);
}

/// One request: where it came from, and what it is about.
struct Asker {
    std::shared_ptr<runtime::ChannelEnd> channel;
    ByteArray<16> peer_address{};
};

void answer_challenge(const ApiContext& context, runtime::Exchange exchange, const Asker& asker,
                      const ByteArray<32>& client_context) {
    Result<ratls::ChannelBinding> binding = asker.channel->bind(client_context);
    if (!binding) return respond_no_quote(exchange, binding.error());
    UnixTime asked_at = context.clock.now();
    context.minter.attest(asker.channel->leaf_key(), *binding, asker.peer_address,
                          [channel = asker.channel, asked_at,
                           exchange = std::move(exchange)](Result<Bytes> quote) mutable {
                              if (!quote) return respond_no_quote(exchange, quote.error());
                              channel->set_answered();
                              respond(exchange, {AttestMode::kChallenge, std::string(kTee),
                                                 std::move(*quote), asked_at});
                          });
}

void answer(const ApiContext& context, runtime::Exchange exchange, const Asker& asker,
            ByteView body) {
    Result<AttestRequest> request = ratls::parse_attest_request(body);
    if (!request) {
        bool unwanted = request.error().code() == ratls::client_evidence_unwanted;
        return runtime::respond_error(exchange, unwanted ? 403 : 400, request.error().message());
    }
    if (request->leaf != asker.channel->leaf_key().spki_hash()) {
        return runtime::respond_error(exchange, 404,
                                      "this connection showed a leaf with another key");
    }
    if (request->context)
        return answer_challenge(context, std::move(exchange), asker, *request->context);
    respond(exchange, {AttestMode::kDeterministic, std::string(kTee),
                       asker.channel->cached_evidence(), asker.channel->cached_at()});
}

Dispatched handle_attest(const ApiContext& context, RoutedRequest request) {
    Asker asker{request.connection.channel, request.connection.peer_address};
    if (!asker.channel) {
        runtime::respond_error(request.exchange, 404,
                               "this connection's leaf answers its own challenge (mode B)");
        return {};
    }
    return runtime::collect_body(
        request.head.body, request.route.max_body_bytes, context.bodies,
        std::move(request.exchange),
        [&context, asker](runtime::Exchange exchange, runtime::CollectedBody body) {
            answer(context, std::move(exchange), asker, body.bytes);
        });
}

}  // namespace

void add_attest_route(runtime::Router& router, const ApiContext& context) {
    router.add(
        {.method = http::Method::kPost,
         .pattern = "/__privasys/attest",
         .names = runtime::RouteNames::kAll,
         .access = runtime::Access::kAnyone,
         .max_body_bytes = ratls::kMaxAttestRequestBytes,
         .summary = "evidence that is bound to this connection (mode C)"},
        [&context](RoutedRequest request) { return handle_attest(context, std::move(request)); });
}

}  // namespace eos::mini
