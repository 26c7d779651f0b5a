// SPDX-License-Identifier: AGPL-3.0-only
// What a server may answer, and what it may not.
#include "client/http_exchange.h"

#include <gtest/gtest.h>

#include <deque>

#include "common/http/authority.h"

namespace eos::client {
namespace {

constexpr std::size_t kLimit = 1000;

/// A server whose every move was laid down before: pieces, and then an end in order or a cut.
class ScriptedChannel final : public Channel {
  public:
    enum class End { kInOrder, kCut };
    ScriptedChannel(std::deque<std::string> pieces, End end)
        : pieces_(std::move(pieces)), end_(end) {}

    Result<void> send(ByteView bytes, Deadline) override {
        if (sent.size() + bytes.size() > takes_bytes) return fail(connection_lost, "cut");
        sent += as_chars(bytes);
        return {};
    }
    Result<Bytes> receive(Deadline deadline) override {
        const bool only_looks = deadline == Deadline{};
        if (only_looks && (pieces_.empty() || sent.size() < answers_after_bytes))
            return fail(timed_out);
        if (pieces_.empty()) {
            if (end_ == End::kCut) return fail(connection_lost, "cut");
            return Bytes{};
        }
        Bytes out = to_bytes(pieces_.front());
        pieces_.pop_front();
        return out;
    }
    std::string sent;
    std::size_t takes_bytes = 1 << 20;
    std::size_t answers_after_bytes = 1 << 20;  ///< to whoever only looks; who waits gets all

  private:
    std::deque<std::string> pieces_;
    End end_;
};

Request get() {
    Request request;
    request.head.method = http::Method::kGet;
    request.head.path = "/";
    request.head.authority = *http::parse_authority("a.test", http::Scheme::kHttps);
    return request;
}

Result<Response> answer(std::deque<std::string> pieces,
                        ScriptedChannel::End end = ScriptedChannel::End::kCut) {
    ScriptedChannel channel(std::move(pieces), end);
    return HttpExchange(channel).run(get(), kLimit, Deadline::max());
}

const std::string kOk = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";

TEST(HttpExchange, ReadsAWholeAnswerHoweverItIsCutToPieces) {
    const std::string text = kOk + "hello";
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
        Result<Response> response = answer({text.substr(0, cut), text.substr(cut)});
        ASSERT_TRUE(response) << cut << response.error().message();
        EXPECT_EQ(response->status, 200);
        EXPECT_EQ(to_string(response->body), "hello");
    }
    Result<Response> chunked = answer(
        {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"});
    EXPECT_EQ(to_string(chunked->body), "hello");
}

TEST(HttpExchange, AnAnswerThatIsCutShortIsNoAnswer) {
    const std::string text = kOk + "hello";
    for (std::size_t size = 0; size < text.size(); ++size) {
        for (auto end : {ScriptedChannel::End::kInOrder, ScriptedChannel::End::kCut}) {
            Result<Response> response = answer({text.substr(0, size)}, end);
            ASSERT_FALSE(response) << size;
            EXPECT_EQ(response.error().code() == connection_lost || size == 0 ||
                          response.error().code() == bad_response,
                      true)
                << response.error().message();
        }
    }
}

TEST(HttpExchange, HostileAnswersAreRefused) {
    const std::string cases[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: " + std::string(1 << 20, 'x'),
        "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n" + std::string(1001, 'x'),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x') +
            "\r\n0\r\n\r\n"};
    for (const std::string& text : cases) {
        EXPECT_FALSE(answer({text}, ScriptedChannel::End::kInOrder)) << text.substr(0, 60);
    }
}

TEST(HttpExchange, ARefusalIsReadWhereTheBodyCouldNotBeSent) {
    std::string body(500'000, 'b');
    for (auto [status, is_read] : {std::pair(413, true), std::pair(200, false)}) {
        ScriptedChannel channel(
            {"HTTP/1.1 " + std::to_string(status) + " X\r\ncontent-length: 0\r\n\r\n"},
            ScriptedChannel::End::kCut);
        channel.takes_bytes = 100'000;
        Request request = get();
        request.head.method = http::Method::kPost;
        request.body = as_bytes(body);
        Result<Response> response =
            HttpExchange(channel).run(std::move(request), kLimit, Deadline::max());
        EXPECT_EQ(response.has_value(), is_read) << status;
        if (!response) {
            EXPECT_EQ(response.error().code(), connection_lost);
        }
    }
}

TEST(HttpExchange, ARefusalThatComesEarlyEndsTheSending) {
    std::string body(500'000, 'b');
    for (auto [status, sends_all] : {std::pair(413, false), std::pair(200, true)}) {
        ScriptedChannel channel(
            {"HTTP/1.1 " + std::to_string(status), " X\r\ncontent-length: 3\r\n\r\nwhy"},
            ScriptedChannel::End::kCut);
        channel.answers_after_bytes = 100'000;
        Request request = get();
        request.head.method = http::Method::kPost;
        request.body = as_bytes(body);
        HttpExchange exchange(channel);
        Result<Response> response = exchange.run(std::move(request), kLimit, Deadline::max());
        ASSERT_TRUE(response) << response.error().message();
        EXPECT_EQ(response->status, status);
        EXPECT_EQ(to_string(response->body), "why");
        EXPECT_EQ(channel.sent.ends_with(body), sends_all);
        EXPECT_LT(sends_all ? 0 : channel.sent.size(), 300'000U);
        if (!sends_all) {
            EXPECT_EQ(exchange.run(get(), kLimit, Deadline::max()).error().code(), connection_lost);
        }
    }
}

// Named after what it stops: an answer that lies ready is not the answer to what is asked later.
TEST(HttpExchange, AnAnswerThatNobodyAskedForIsNotTakenForTheNext) {
    ScriptedChannel channel({kOk + "hello" + kOk + "extra"}, ScriptedChannel::End::kCut);
    HttpExchange exchange(channel);
    EXPECT_EQ(to_string(exchange.run(get(), kLimit, Deadline::max())->body), "hello");
    Result<Response> second = exchange.run(get(), kLimit, Deadline::max());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), bad_response);
}

}  // namespace
}  // namespace eos::client
