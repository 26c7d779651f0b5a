// SPDX-License-Identifier: AGPL-3.0-only
// What an upstream sends in HTTP/2, through Http2Client: whole and byte by byte it gives the same,
// a slow client gets what a fast one does, no answer is told its end twice, and one that is passed
// as whole has a head and the length that it claims. The first byte chooses the requests.
#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "common/base/assert.h"
#include "trusted/virtual/proxy/http2_client.h"
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
    void is_lost() override {
        EOS_ASSERT(!lost);
        lost = true;
    }
    bool lost = false;
};

/// Takes the body in the pieces that the test says.
class Listener final : public ResponseHandler {
  public:
    void on_response(http::ReceivedResponse response) override {
        EOS_ASSERT(status == 0 && !over);
        status = response.head.status;
        EOS_ASSERT(status >= 101 && status <= 999);
        declared = response.body;
        if (!rewrite_response(response.head)) return;
        for (std::size_t i = 0; i < response.head.headers.count(); ++i) {
            const std::string_view name = response.head.headers[i].name;
            EOS_ASSERT(!http::is_connection_specific(name) && !name.starts_with("x-privasys-"));
            EOS_ASSERT(!name.starts_with(':'));
        }
    }
    std::size_t on_response_body(ByteView piece) override {
        EOS_ASSERT(status != 0 && !over && !piece.empty());
        const std::size_t taken = std::min(piece.size(), room);
        body += as_chars(piece.first(taken));
        return taken;
    }
    void on_response_end(http::Headers) override {
        EOS_ASSERT(status != 0 && !over);
        over = whole = true;
        const bool claims = declared.kind == http::BodyKind::kKnown && status != 101;
        if (claims) EOS_ASSERT(body.size() == declared.bytes);
    }
    void on_request_room() override {}
    void on_failure(UpstreamFailure, Staleness staleness) override {
        EOS_ASSERT(!over && (staleness == Staleness::kNotStale || status == 0));
        over = true;
    }

    int status = 0;
    http::BodySize declared;
    std::string body;
    std::size_t room = std::numeric_limits<std::size_t>::max();
    bool over = false;
    bool whole = false;
};

/// A GET or HEAD, an upload that goes on, and a WebSocket.
struct Exchanges {
    std::array<Listener, 3> heard;
    std::array<UpstreamExchange*, 3> exchanges{};

    void begin(Http2Client& client, http::Method method) {
        const std::array<http::Method, 3> methods = {method, http::Method::kPost,
                                                     http::Method::kGet};
        for (std::size_t i = 0; i < heard.size(); ++i) {
            http::RequestHead head;
            head.method = methods[i];
            head.path = "/";
            head.authority.host = "a.example";
            if (i == 1) head.body = http::BodySize::unknown();
            if (i == 2) head.protocol = http::kWebSocket;
            exchanges[i] = client.begin(head, heard[i]).value();
        }
        exchanges[1]->write(as_bytes("upload"));
    }
    void resume() {
        for (std::size_t i = 0; i < heard.size(); ++i) {
            for (int more = 0; more < 4 && !heard[i].over; ++more) exchanges[i]->resume();
        }
    }
    void resume_to_the_end() {
        for (std::size_t i = 0; i < heard.size(); ++i) {
            heard[i].room = std::numeric_limits<std::size_t>::max();
            if (!heard[i].over) exchanges[i]->resume();
        }
    }
};

/// What the first byte says.
struct Setting {
    http::Method method;
    ByteView settings;  ///< the upstream's first frame
};

void run(ByteView input, const Setting& setting, std::size_t piece, Exchanges& exchanges) {
    const StandingClock clock;
    NoTransport transport;
    Http2Client client({clock, transport}, {});
    exchanges.begin(client, setting.method);
    const auto drain = [&] {
        while (!client.output().empty()) client.output_taken(client.output().size());
    };
    drain();
    client.receive(setting.settings);
    drain();
    while (!input.empty() && client.wants_input()) {
        const ByteView part = input.first(std::min(piece, input.size()));
        client.receive(part);
        exchanges.resume();
        drain();
        input = input.subspan(part.size());
    }
    client.input_ended(InputEnd::kOrderly);
    exchanges.resume_to_the_end();
    for (const Listener& one : exchanges.heard) EOS_ASSERT(one.over);
    EOS_ASSERT(client.is_over() && transport.lost);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    static constexpr std::string_view kPlain("\0\0\0\4\0\0\0\0\0", 9);
    static constexpr std::string_view kTunnels("\0\0\6\4\0\0\0\0\0\0\10\0\0\0\1", 15);
    const Setting setting{(data[0] & 1) != 0 ? http::Method::kHead : http::Method::kGet,
                          as_bytes((data[0] & 2) != 0 ? kTunnels : kPlain)};
    const ByteView input{reinterpret_cast<const std::byte*>(data + 1), size - 1};
    Exchanges whole;
    run(input, setting, input.size(), whole);
    Exchanges bytewise;
    run(input, setting, 1, bytewise);
    Exchanges slow;
    for (Listener& one : slow.heard) one.room = 1;
    run(input, setting, 7, slow);
    for (std::size_t i = 0; i < whole.heard.size(); ++i) {
        const Listener* heard[] = {&whole.heard[i], &bytewise.heard[i], &slow.heard[i]};
        if (!std::ranges::all_of(heard, [](const Listener* one) { return one->whole; })) continue;
        for (const Listener* one : heard) {
            EOS_ASSERT(one->status == heard[0]->status && one->body == heard[0]->body);
        }
    }
    return 0;
}
