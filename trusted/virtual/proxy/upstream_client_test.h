// SPDX-License-Identifier: AGPL-3.0-only
// For tests of clients: what stands around one.
#pragma once

#include <algorithm>
#include <string>

#include "trusted/virtual/proxy/upstream_client.h"

namespace eos::cvm::proxy {

/// Goes on when a test says so.
class HandClock final : public runtime::Clock {
  public:
    UnixTime now() const override { return {}; }
    std::uint64_t monotonic_ms() const override { return ms; }
    std::uint64_t ms = 1000;
};

/// Counts what it is told.
class FakeTransport final : public UpstreamTransport {
  public:
    void wake() override { ++wakes; }
    void is_lost() override { ++losses; }
    int wakes = 0;
    int losses = 0;
};

/// Writes down what it hears.
class Recorder final : public ResponseHandler {
  public:
    void on_response(http::ReceivedResponse response) override {
        status = response.head.status;
        headers = std::move(response.head.headers);
        body_size = response.body;
        described = response.described;
    }
    std::size_t on_response_body(ByteView piece) override {
        const std::size_t taken = std::min({piece.size(), room, most_at_once});
        body += as_chars(piece.first(taken));
        room -= taken;
        return taken;
    }
    void on_response_end(http::Headers received) override {
        outcome = "end";
        trailers = std::move(received);
    }
    void on_request_room() override { ++rooms; }
    void on_failure(UpstreamFailure failure, Staleness staleness) override {
        static constexpr const char* kNames[] = {"unreachable", "connect timeout",  "closed",
                                                 "malformed",   "response timeout", "stalled",
                                                 "reset",       "refused",          "no tunnel"};
        static constexpr const char* kStaleness[] = {"", ", maybe stale", ", not processed"};
        outcome = kNames[static_cast<std::size_t>(failure)];
        outcome += kStaleness[static_cast<std::size_t>(staleness)];
    }

    int status = 0;
    http::Headers headers;
    http::BodySize body_size;
    http::BodySize described;
    http::Headers trailers;
    std::string body;
    std::size_t room = 1 << 30;
    std::size_t most_at_once = 1 << 30;
    std::string outcome = "open";
    int rooms = 0;
};

/// "GET /x" to "a.example".
inline http::RequestHead request_head(http::Method method = http::Method::kGet,
                                      http::BodySize body = http::BodySize::none()) {
    http::RequestHead head;
    head.method = method;
    head.path = "/x";
    head.authority.host = "a.example";
    head.body = body;
    return head;
}

}  // namespace eos::cvm::proxy
