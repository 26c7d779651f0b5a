// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/attest_route.h"

#include <memory>
#include <utility>

#include "common/base/assert.h"
#include "common/ratls/attest_message.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

using ratls::AttestMode;

constexpr unsigned kRetryAfter_s = 2;

using PartsPtr = std::shared_ptr<const AttestParts>;

void respond(Exchange& exchange, const ratls::AttestResponse& response) {
    const auto sent = exchange.respond(make_head(200, kJsonType), to_bytes(to_text(response)));
    // Nobody answered before: the only failure there is.
    EOS_ASSERT(sent.has_value());
}

void respond_no_quote(Exchange& exchange, const Error& error) {
    respond_busy(exchange, error.message(), kRetryAfter_s);
}

/// One request: where it came from.
struct Asker {
    std::shared_ptr<ChannelEnd> channel;
    ByteArray<16> peer_address{};
};

void answer_challenge(const AttestParts& parts, Exchange exchange, const Asker& asker,
                      const ByteArray<32>& client_context) {
    const Result<ratls::ChannelBinding> binding = asker.channel->bind(client_context);
    if (!binding) return respond_no_quote(exchange, binding.error());
    parts.attest(asker.channel->leaf_key(), *binding, asker.peer_address,
                 [channel = asker.channel, asked_at = parts.clock.now(), tee = parts.tee(),
                  exchange = std::move(exchange)](Result<Bytes> evidence) mutable {
                     if (!evidence) return respond_no_quote(exchange, evidence.error());
                     channel->set_answered();
                     respond(exchange, {AttestMode::kChallenge, std::move(tee),
                                        std::move(*evidence), asked_at});
                 });
}

void answer(const AttestParts& parts, Exchange exchange, const Asker& asker, ByteView body) {
    const Result<ratls::AttestRequest> request = ratls::parse_attest_request(body);
    if (!request) {
        const bool is_unwanted = request.error().code() == ratls::client_evidence_unwanted;
        return respond_error(exchange, is_unwanted ? 403 : 400, request.error().message());
    }
    if (request->leaf != asker.channel->leaf_key().spki_hash()) {
        return respond_error(exchange, 404, "this connection showed a leaf with another key");
    }
    if (request->context)
        return answer_challenge(parts, std::move(exchange), asker, *request->context);
    respond(exchange, {AttestMode::kDeterministic, parts.tee(), asker.channel->cached_evidence(),
                       asker.channel->cached_at()});
}

Dispatched handle(const PartsPtr& parts, RoutedRequest request) {
    Asker asker{request.connection.channel, request.connection.peer_address};
    if (!asker.channel) {
        respond_error(request.exchange, 404,
                      "this connection's leaf answers its own challenge (mode B)");
        return {};
    }
    return collect_body(request.head.body, request.route.max_body_bytes, parts->bodies,
                        std::move(request.exchange),
                        [parts, asker](Exchange exchange, CollectedBody body) {
                            answer(*parts, std::move(exchange), asker, body.bytes);
                        });
}

}  // namespace

void add_attest_route(Router& router, AttestParts parts) {
    router.add({.method = http::Method::kPost,
                .pattern = kAttestPath,
                .names = RouteNames::kAll,
                .access = Access::kAnyone,
                .max_body_bytes = ratls::kMaxAttestRequestBytes,
                .summary = "evidence that is bound to this connection (mode C)"},
               [parts = std::make_shared<const AttestParts>(std::move(parts))](
                   RoutedRequest request) { return handle(parts, std::move(request)); });
}

}  // namespace eos::runtime
