// SPDX-License-Identifier: AGPL-3.0-only
// What an upstream sends, through Http1Client: whole and byte by byte it gives the same, an answer
// is passed as whole only if a strict reader takes it for whole, and nothing behind it is passed at
// all. The first byte chooses the request.
#include <limits>
#include <string>
#include <utility>

#include "common/base/assert.h"
#include "trusted/virtual/proxy/http1_client.h"
#include "trusted/virtual/proxy/request_fields.h"

namespace {

using namespace eos;
using namespace eos::cvm::proxy;

class StandingClock final : public runtime::Clock {
  public:
    UnixTime now() const override { return {}; }
    std::uint64_t monotonic_ms() const override { return 1; }
};

class NoTransport final : public UpstreamTransport {
  public:
    void wake() override {}
    void is_lost() override {}
};

/// Takes the body in the pieces that the test says.
class Listener final : public ResponseHandler {
  public:
    void on_response(http::ReceivedResponse response) override {
        EOS_ASSERT(status == 0);
        status = response.head.status;
        if (!rewrite_response(response.head)) return;
        for (std::size_t i = 0; i < response.head.headers.count(); ++i) {
            const std::string_view name = response.head.headers[i].name;
            EOS_ASSERT(!http::is_connection_specific(name) && !name.starts_with("x-privasys-"));
        }
    }
    std::size_t on_response_body(ByteView piece) override {
        EOS_ASSERT(status != 0 && !over);
        // Who takes little at a time takes nothing every other time.
        if (room < piece.size() && std::exchange(is_full, !is_full)) return 0;
        const std::size_t taken = std::min(piece.size(), room);
        body += as_chars(piece.first(taken));
        return taken;
    }
    void on_response_end(http::Headers) override {
        EOS_ASSERT(!over);
        over = whole = true;
    }
    void on_request_room() override {}
    void on_failure(UpstreamFailure, Staleness) override {
        EOS_ASSERT(!over);
        over = true;
    }

    int status = 0;
    std::string body;
    std::size_t room = std::numeric_limits<std::size_t>::max();
    bool is_full = false;
    bool over = false;
    bool whole = false;
};

void run(ByteView input, http::Method method, std::size_t piece, Listener& heard) {
    const StandingClock clock;
    NoTransport transport;
    Http1Client client({clock, transport}, {});
    http::RequestHead head;
    head.method = method;
    head.path = "/";
    head.authority.host = "a.example";
    EOS_ASSERT(client.begin(head, heard).has_value());
    client.output_taken(client.output().size());
    while (!input.empty() && !client.is_over()) {
        while (!client.wants_input() && !client.is_over()) client.resume();
        if (client.is_over()) break;
        const ByteView part = input.first(std::min(piece, input.size()));
        client.receive(part);
        input = input.subspan(part.size());
    }
    while (!client.wants_input() && !client.is_over()) client.resume();
    client.input_ended(InputEnd::kOrderly);
    EOS_ASSERT(heard.over && client.is_over());
}

/// Whether a reader that knows nothing of connections takes `input` for a whole answer.
bool is_whole(ByteView input, http::Method method) {
    http::ResponseParser parser;
    parser.expect(method);
    for (;;) {
        const auto step = parser.feed(input);
        if (!step) return false;
        input = input.subspan(step->consumed);
        if (step->event == http::Event::kComplete) return true;
        if (step->event == http::Event::kHead) {
            parser.set_body_limit(std::numeric_limits<std::uint64_t>::max());
        }
        if (step->event != http::Event::kNeedInput) continue;
        const auto end = parser.finish();
        return end && end->event == http::Event::kComplete;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const http::Method method = (data[0] & 1) != 0 ? http::Method::kHead : http::Method::kGet;
    const ByteView input{reinterpret_cast<const std::byte*>(data + 1), size - 1};
    Listener whole;
    run(input, method, input.size(), whole);
    Listener bytewise;
    run(input, method, 1, bytewise);
    Listener slow;
    slow.room = 1;
    run(input, method, 7, slow);
    EOS_ASSERT(whole.whole == bytewise.whole && whole.whole == slow.whole);
    EOS_ASSERT(whole.status == bytewise.status && whole.status == slow.status);
    if (whole.whole) EOS_ASSERT(whole.body == bytewise.body && whole.body == slow.body);
    EOS_ASSERT(whole.whole == is_whole(input, method));
    return 0;
}
