// SPDX-License-Identifier: AGPL-3.0-only
#include "client/attest_exchange.h"

#include "client/http_exchange.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/json/json.h"

namespace eos::client {
namespace {

constexpr std::string_view kOtherMode = "ask with --mode v1-challenge, if that is enough for you";
constexpr int kServiceUnavailable = 503;

// SHA-256 of the key that the leaf shows, if it is a leaf that goes with mode C.
Result<crypto::Digest32> leaf_hash(const TlsChannel& channel) {
    std::vector<Bytes> chain = channel.peer_chain();
    if (chain.empty()) return fail(mode_unsupported, "no certificate");
    x509::Certificate leaf = EOS_TRY(x509::Certificate::parse(chain.front()));
    Result<ratls::LeafClaimsView> claims = ratls::read_leaf(leaf, ratls::LeafScheme::kV2);
    if (!claims && claims.error().code() == ratls::leaf_has_evidence) {
        return fail(mode_unsupported,
                    "its certificate carries the evidence; " + std::string(kOtherMode));
    }
    return crypto::sha256(leaf.spki());
}

// The server's own words, which nothing vouches for.
std::string words(const Response& response) {
    std::string out = std::to_string(response.status);
    Result<json::Value> value = json::parse(response.body, {.size_bytes = 4096, .depth = 4});
    if (!value) return out;
    Result<json::Object> object = json::Object::of(*value, "");
    if (!object) return out;
    Result<std::string> text = object->text("error", 1024);
    return text ? out + " " + printable(as_bytes(*text), 256) : out;
}

Result<Response> exchange(TlsChannel& channel, const http::Authority& authority,
                          const ratls::AttestRequest& asked, Deadline deadline) {
    std::string body = ratls::to_text(asked);
    Request request;
    request.head.method = http::Method::kPost;
    request.head.path = ratls::kAttestPath;
    request.head.authority = authority;
    EOS_TRY(request.head.headers.add("content-type", "application/json"));
    request.body = as_bytes(body);
    HttpExchange http(channel);
    Response response =
        EOS_TRY(http.run(std::move(request), ratls::kMaxAttestResponseBytes, deadline));
    // It would be taken for the answer to the first thing that the application asks.
    if (http.has_unread()) return fail(bad_response, "the server sent more than was asked for");
    return response;
}

}  // namespace

Result<ratls::ChannelEvidence> ask_for_evidence(TlsChannel& channel,
                                                const http::Authority& authority,
                                                Deadline deadline) {
    ratls::AttestRequest asked;
    asked.leaf = EOS_TRY(leaf_hash(channel));
    asked.context = crypto::random_array<32>();  // never one that was sent before
    Response response = EOS_TRY(exchange(channel, authority, asked, deadline));
    if (response.status == kServiceUnavailable) return fail(challenge_limited, words(response));
    if (response.status != 200) {
        return fail(mode_unsupported, words(response) + "; " + std::string(kOtherMode));
    }
    ratls::ChannelEvidence out;
    out.response = EOS_TRY(ratls::parse_attest_response(response.body));
    if (out.response.mode != ratls::AttestMode::kChallenge) {
        return fail(bad_response, "evidence of another mode than was asked for");
    }
    out.binding = EOS_TRY(channel.bind_channel(*asked.context));
    return out;
}

}  // namespace eos::client
