// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/http1_connection.h"

#include <gtest/gtest.h>

#include <random>

#include "trusted/runtime/http_test_peer.h"
#include "trusted/runtime/responses.h"

namespace eos::runtime {
namespace {

/// Answers with the path.
Dispatched answer_path(http::RequestHead head, const ConnectionInfo&, Exchange exchange) {
    EXPECT_TRUE(exchange.respond(ok_head(), to_bytes(head.path)));
    return {};
}

/// Gives the body to a TestHandler.
auto handle_with(HandlerLog& log, std::uint64_t max_body_bytes = 1000) {
    return [&log, max_body_bytes](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        return Dispatched{std::make_unique<TestHandler>(log, std::move(exchange)), max_body_bytes,
                          "/p"};
    };
}

void respond_with_body(HandlerLog& log) {
    log.on_end = [&log](Exchange& exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), to_bytes(log.body)));
    };
}

TEST(Http1Connection, AnswersInOneWriteAndKeepsTheConnection) {
    TestPeer peer;
    peer.dispatcher.serve = answer_path;
    peer.send(kGet);
    EXPECT_EQ(peer.sink.written,
              "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
              "content-length: 2\r\n\r\n/x");
    EXPECT_EQ(peer.sink.writes.size(), 1u);
    peer.take_written();
    peer.send(kGet);
    EXPECT_EQ(read_response(peer.take_written()).body, "/x");
    EXPECT_FALSE(peer.is_over());
    ASSERT_EQ(peer.observer.records.size(), 2u);
    EXPECT_EQ(peer.observer.records[0].status, 200);
}

TEST(Http1Connection, PipelinedRequestsAreAnsweredInOrderHoweverTheyArrive) {
    const std::string requests =
        std::string(kGet) + post("Content-Length: 5", "hello") +
        post("Transfer-Encoding: chunked", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n") + std::string(kGet);
    std::mt19937 random(3);
    for (int round = 0; round < 100; ++round) {
        HandlerLog log;
        TestPeer peer;
        respond_with_body(log);
        peer.dispatcher.serve = [&](http::RequestHead head, const ConnectionInfo& info,
                                    Exchange exchange) {
            log.body.clear();
            return head.method == http::Method::kGet
                       ? answer_path(std::move(head), info, std::move(exchange))
                       : handle_with(log)(std::move(head), info, std::move(exchange));
        };
        for (std::size_t begin = 0; begin < requests.size();) {
            const std::size_t size = std::uniform_int_distribution<std::size_t>(1, 60)(random);
            peer.send(std::string_view(requests).substr(begin, size));
            begin += size;
        }
        const auto responses = read_responses(peer.sink.written);
        ASSERT_EQ(responses.size(), 4u);
        EXPECT_EQ(responses[0].body, "/x");
        EXPECT_EQ(responses[1].body, "hello");
        EXPECT_EQ(responses[2].body, "abcde");
        EXPECT_EQ(responses[3].body, "/x");
        EXPECT_FALSE(peer.is_over());
    }
}

TEST(Http1Connection, NothingBehindARequestIsLookedAtUntilItIsAnswered) {
    TestPeer peer;
    std::vector<Exchange> waiting;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        waiting.push_back(std::move(exchange));
        return Dispatched{};
    };
    peer.send(std::string(kGet) + std::string(kGet) + "garbage\r\n\r\n");
    EXPECT_EQ(waiting.size(), 1u);
    EXPECT_FALSE(peer.connection->wants_input());
    EXPECT_EQ(peer.sink.written, "");

    respond_error(waiting[0], 503, "later");
    EXPECT_FALSE(waiting[0].is_open());
    EXPECT_EQ(peer.sink.written, "");  // not inside the caller
    peer.run();
    EXPECT_EQ(read_response(peer.take_written()).status, 503);
    ASSERT_EQ(waiting.size(), 2u);

    respond_error(waiting[1], 503, "later");
    peer.run();
    const auto responses = read_responses(peer.take_written());
    ASSERT_EQ(responses.size(), 2u);
    EXPECT_EQ(responses[1].status, 400);
}

TEST(Http1Connection, HeadGetsTheLengthAndNoBody) {
    TestPeer peer;
    peer.dispatcher.serve = answer_path;
    peer.send("HEAD /head HTTP/1.1\r\nHost: mini.example\r\n\r\n");
    const ReadResponse response = read_response(peer.take_written(), http::Method::kHead);
    EXPECT_EQ(response.headers.first("content-length"), "5");
    EXPECT_FALSE(peer.is_over());

    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::unknown()));
        EXPECT_EQ(exchange.write(as_bytes("dropped")), 7u);
        exchange.finish();
        return Dispatched{};
    };
    peer.send("HEAD /head HTTP/1.1\r\nHost: mini.example\r\n\r\n");
    EXPECT_TRUE(peer.sink.written.ends_with("transfer-encoding: chunked\r\n\r\n"));
    peer.dispatcher.serve = answer_path;
    peer.take_written();
    peer.send(kGet);
    EXPECT_EQ(read_response(peer.take_written()).body, "/x");
}

TEST(Http1Connection, CloseIsHonouredAndHttp10AlwaysCloses) {
    for (std::string_view request :
         {"GET /x HTTP/1.1\r\nHost: mini.example\r\nConnection: close\r\n\r\n",
          "GET /x HTTP/1.0\r\nHost: mini.example\r\nConnection: keep-alive\r\n\r\n"}) {
        TestPeer peer;
        peer.dispatcher.serve = answer_path;
        peer.send(std::string(request) + std::string(kGet));
        EXPECT_EQ(read_response(peer.sink.written).headers.first("connection"), "close");
        EXPECT_TRUE(peer.sink.finished);
        EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
    }
}

TEST(Http1Connection, ABodyOfUnknownSizeIsChunkedOrEndsWithTheConnection) {
    const auto serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::unknown()));
        EXPECT_EQ(exchange.write(as_bytes("hello ")), 6u);
        EXPECT_EQ(exchange.write(as_bytes("world")), 5u);
        exchange.finish();
        return Dispatched{};
    };
    TestPeer peer;
    peer.dispatcher.serve = serve;
    peer.send(kGet);
    EXPECT_EQ(read_response(peer.sink.written).body, "hello world");
    EXPECT_FALSE(peer.is_over());

    TestPeer old;
    old.dispatcher.serve = serve;
    old.send("GET /x HTTP/1.0\r\nHost: mini.example\r\n\r\n");
    EXPECT_TRUE(old.sink.written.ends_with("connection: close\r\n\r\nhello world"));
    EXPECT_TRUE(old.sink.finished);
}

TEST(Http1Connection, AResponseThatBreaksItsWordIsCutNotCompleted) {
    for (std::string_view body : {"abc", "abcdef"}) {
        TestPeer peer;
        peer.dispatcher.serve = [body](http::RequestHead, const ConnectionInfo&,
                                       Exchange exchange) {
            EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::known(4)));
            exchange.write(as_bytes(body));
            exchange.finish();
            return Dispatched{};
        };
        peer.send(kGet);
        EXPECT_TRUE(peer.sink.aborted);
    }
}

TEST(Http1Connection, AResponseThatCannotBeWrittenLeavesRoomForAnother) {
    TestPeer peer;
    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        http::ResponseHead head = ok_head();
        EXPECT_TRUE(head.headers.add("Transfer-Encoding", "chunked"));
        EXPECT_EQ(exchange.respond(head, {}).error().code(), http::reserved_header);
        EXPECT_TRUE(exchange.is_open());
        respond_error(exchange, 502, "the app's answer is malformed");
        EXPECT_FALSE(exchange.is_open());
        EXPECT_TRUE(exchange.respond(ok_head(), to_bytes("too late")));  // nothing happens
        return Dispatched{};
    };
    peer.send(kGet);
    EXPECT_EQ(read_response(peer.sink.written).status, 502);
}

TEST(Http1Connection, ASecondAnswerIsRefused) {
    TestPeer peer;
    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::unknown()));
        EXPECT_EQ(exchange.respond(ok_head(), {}).error().code(), already_answered);
        respond_error(exchange, 500, "ignored");
        exchange.finish();
        return Dispatched{};
    };
    peer.send(kGet);
    EXPECT_EQ(read_response(peer.sink.written).status, 200);
}

TEST(Http1Connection, ALostExchangeIsAnswered500OrCut) {
    TestPeer peer;
    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange) {
        return Dispatched{nullptr, 0, "/x"};
    };
    peer.send(kGet);
    EXPECT_EQ(read_response(peer.take_written()).status, 500);
    EXPECT_FALSE(peer.is_over());
    EXPECT_EQ(peer.observer.records.at(0).route, StaticText("/x"));

    peer.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::unknown()));
        return Dispatched{};
    };
    peer.send(kGet);
    EXPECT_TRUE(peer.sink.aborted);
}

TEST(Http1Connection, LateAnswersToADeadConnectionDoNothing) {
    std::optional<Exchange> kept;
    HandlerLog log;
    {
        TestPeer peer;
        peer.dispatcher.serve = [&](http::RequestHead head, const ConnectionInfo& info,
                                    Exchange exchange) {
            if (head.method == http::Method::kGet) {
                kept = std::move(exchange);
                return Dispatched{};
            }
            return handle_with(log)(std::move(head), info, std::move(exchange));
        };
        peer.send(kGet);
        EXPECT_TRUE(kept->is_open());
    }
    EXPECT_FALSE(kept->is_open());
    EXPECT_TRUE(kept->respond(ok_head(), to_bytes("x")));
    EXPECT_EQ(kept->write(as_bytes("abc")), 3u);
    kept->finish();
    kept->abort();
    kept->resume_body();
    kept.reset();
}

TEST(Http1Connection, AnExchangeOfAnEarlierRequestCannotTouchALaterOne) {
    TestPeer peer;
    std::vector<Exchange> kept;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        kept.push_back(std::move(exchange));
        return Dispatched{};
    };
    peer.send(std::string(kGet) + std::string(kGet));
    EXPECT_TRUE(kept.at(0).respond(ok_head(), to_bytes("first")));
    peer.run();
    ASSERT_EQ(kept.size(), 2u);
    EXPECT_TRUE(kept[0].respond(ok_head(), to_bytes("again")));
    kept[0].abort();
    kept.erase(kept.begin());
    peer.run();
    EXPECT_EQ(read_response(peer.take_written()).body, "first");
    EXPECT_TRUE(kept[0].is_open());
    EXPECT_FALSE(peer.is_over());
}

TEST(Http1Connection, TheHandlerHearsOfADeathInTheMiddle) {
    HandlerLog log;
    {
        TestPeer peer;
        peer.dispatcher.serve = handle_with(log);
        peer.send(post("Content-Length: 5", "he"));
        EXPECT_EQ(log.body, "he");
    }
    EXPECT_EQ(log.aborts, 1);
    EXPECT_EQ(log.ends, 0);
    EXPECT_TRUE(log.destroyed);

    HandlerLog ended;
    TestPeer peer;
    peer.dispatcher.serve = handle_with(ended);
    peer.send(post("Content-Length: 5", "he"));
    peer.connection->input_ended();
    EXPECT_EQ(ended.aborts, 1);
    EXPECT_TRUE(ended.destroyed);
    EXPECT_TRUE(peer.sink.aborted);
}

TEST(Http1Connection, APeerThatOnlyStoppedSendingStillGetsItsAnswer) {
    TestPeer peer;
    std::optional<Exchange> kept;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        kept = std::move(exchange);
        return Dispatched{};
    };
    peer.send(kGet);
    peer.connection->input_ended();
    EXPECT_FALSE(peer.is_over());
    EXPECT_TRUE(kept->respond(ok_head(), to_bytes("ok")));
    peer.run();
    EXPECT_EQ(read_response(peer.sink.written).body, "ok");
    EXPECT_TRUE(peer.sink.finished);

    TestPeer idle;
    idle.connection->input_ended();
    EXPECT_TRUE(idle.sink.finished);
}

TEST(Http1Connection, AHandlerMayGiveUpForAPeerThatHasLeft) {
    HandlerLog log;
    log.on_peer_left = [](Exchange& exchange) { exchange.abort(); };
    TestPeer peer;
    peer.dispatcher.serve = handle_with(log);
    peer.connection->peer_left();
    EXPECT_EQ(log.leaves, 0) << "nothing is under way";
    peer.send(kGet);
    EXPECT_FALSE(peer.is_over());
    peer.connection->peer_left();
    EXPECT_EQ(log.leaves, 1);
    EXPECT_EQ(log.aborts, 1);
    EXPECT_TRUE(log.destroyed);
    EXPECT_TRUE(peer.sink.aborted);
}

TEST(Http1Connection, AHandlerHearsThatThePeerHasLeftUntilItHasAnswered) {
    HandlerLog log;
    TestHandler* handler = nullptr;
    TestPeer peer;
    serve_and_remember(peer.dispatcher, log, handler, 1000);
    peer.send(post("Content-Length: 5", "he"));
    peer.connection->peer_left();
    EXPECT_EQ(log.leaves, 1) << "whatever of the request is still to come";
    peer.send("llo");
    ASSERT_TRUE(handler->exchange().start(ok_head(), http::BodySize::known(2)));
    peer.connection->peer_left();
    EXPECT_EQ(log.leaves, 2);
    handler->exchange().write(as_bytes("ok"));
    handler->exchange().finish();
    peer.connection->peer_left();
    EXPECT_EQ(log.leaves, 2);
    peer.run();
    EXPECT_EQ(read_response(peer.sink.written).body, "ok") << "one that goes on is not disturbed";
}

TEST(Http1Connection, AHandlerThatAnswersInsideItsOwnCallIsDestroyedOnlyAfterwards) {
    HandlerLog log;
    TestPeer peer;
    peer.dispatcher.serve = handle_with(log);
    log.on_body = [&](Exchange& exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), to_bytes("early")));
        EXPECT_FALSE(log.destroyed);
    };
    peer.send(post("Content-Length: 5", "he"));
    EXPECT_TRUE(log.destroyed);
    EXPECT_EQ(log.aborts, 0);
    EXPECT_EQ(log.ends, 0);
    peer.send("llo");
    EXPECT_EQ(log.body, "he");
    EXPECT_EQ(read_response(peer.take_written()).body, "early");
    peer.dispatcher.serve = answer_path;
    peer.send(kGet);  // the rest of the body was read past
    EXPECT_EQ(read_response(peer.take_written()).body, "/x");
}

TEST(Http1Connection, ExpectContinueIsAnsweredOnlyWhenTheBodyIsWanted) {
    HandlerLog log;
    TestPeer wanted;
    respond_with_body(log);
    wanted.dispatcher.serve = handle_with(log);
    wanted.send(post("Content-Length: 2\r\nExpect: 100-Continue", ""));
    EXPECT_EQ(wanted.take_written(), "HTTP/1.1 100 Continue\r\n\r\n");
    wanted.send("ok");
    EXPECT_EQ(read_response(wanted.take_written()).body, "ok");
    EXPECT_FALSE(wanted.is_over());

    TestPeer refused;
    refused.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        respond_error(exchange, 403, "no");
        return Dispatched{};
    };
    refused.send(post("Content-Length: 2\r\nExpect: 100-continue", ""));
    const ReadResponse response = read_response(refused.sink.written);
    EXPECT_EQ(response.status, 403);
    EXPECT_EQ(response.headers.first("connection"), "close");

    HandlerLog tooLarge;
    TestPeer large;
    large.dispatcher.serve = handle_with(tooLarge, 1);
    large.send(post("Content-Length: 2\r\nExpect: 100-continue", ""));
    EXPECT_EQ(read_response(large.sink.written).status, 413);

    TestPeer odd;
    odd.dispatcher.serve = answer_path;
    odd.send(post("Content-Length: 2\r\nExpect: a-pony", ""));
    EXPECT_EQ(read_response(odd.sink.written).status, 417);
    EXPECT_TRUE(odd.dispatcher.paths.empty());
}

TEST(Http1Connection, APausedBodyIsNotReadAndGoesOnWhereItStopped) {
    HandlerLog log;
    std::optional<Exchange> kept;
    TestPeer peer;
    log.flow = BodyFlow::kPause;
    TestHandler* handler = nullptr;
    serve_and_remember(peer.dispatcher, log, handler, 1000);
    respond_with_body(log);
    peer.send(post("Transfer-Encoding: chunked", "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"));
    EXPECT_EQ(log.body, "a");
    EXPECT_FALSE(peer.connection->wants_input());
    peer.run();
    EXPECT_EQ(log.body, "a");
    handler->exchange().resume_body();
    peer.run();
    EXPECT_EQ(log.body, "ab");
    EXPECT_EQ(log.ends, 0);
    handler->exchange().resume_body();
    peer.run();
    EXPECT_EQ(log.ends, 1);
    EXPECT_EQ(read_response(peer.take_written()).body, "ab");

    // The last piece of a body of known size: nothing is left to receive when it goes on.
    log.body.clear();
    peer.send(post("Content-Length: 2", "xy"));
    EXPECT_EQ(log.ends, 1);
    handler->exchange().resume_body();
    peer.run();
    EXPECT_EQ(log.ends, 2);
    EXPECT_EQ(read_response(peer.take_written()).body, "xy");
}

TEST(Http1Connection, AnAnswerWhileTheBodyIsPausedEndsThePause) {
    HandlerLog log;
    log.flow = BodyFlow::kPause;
    TestPeer peer;
    TestHandler* handler = nullptr;
    serve_and_remember(peer.dispatcher, log, handler, 1000);
    peer.send(post("Content-Length: 2", "xy") + std::string(kGet));
    EXPECT_TRUE(handler->exchange().respond(ok_head(), to_bytes("done")));
    peer.dispatcher.serve = answer_path;
    peer.run();
    const auto responses = read_responses(peer.sink.written);
    ASSERT_EQ(responses.size(), 2u);
    EXPECT_EQ(responses[0].body, "done");
    EXPECT_EQ(responses[1].body, "/x");
}

TEST(Http1Connection, ALargeAnswerFollowsTheWindow) {
    const std::string large(300'000, 'x');
    TestPeer peer;
    peer.sink.window = 1000;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), to_bytes(large)));
        return Dispatched{};
    };
    peer.send(std::string(kGet) + std::string(kGet));
    EXPECT_EQ(peer.sink.written.size(), 1000u);
    EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
    while (peer.sink.window == 0) peer.open_window(50'000);
    const auto responses = read_responses(peer.sink.written);
    ASSERT_EQ(responses.size(), 2u);
    EXPECT_EQ(responses[0].body, large);
    EXPECT_EQ(responses[1].body, large);
}

TEST(Http1Connection, AStreamingHandlerIsSlowedDownByThePeer) {
    Http1Limits limits;
    limits.output_bytes = 1000;
    HandlerLog log;
    TestPeer peer(platform_connection(), limits);
    peer.sink.window = 0;
    const std::string body(10'000, 'b');
    std::size_t sent = 0;
    std::size_t largest_write = 0;
    const auto pump = [&](Exchange& exchange) {
        while (sent < body.size()) {
            const std::size_t taken = exchange.write(as_bytes(body).subspan(sent));
            largest_write = std::max(largest_write, taken);
            sent += taken;
            if (taken == 0) return;
        }
        exchange.finish();
    };
    log.on_end = [&](Exchange& exchange) {
        EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::known(body.size())));
        pump(exchange);
    };
    log.on_writable = pump;
    peer.dispatcher.serve = handle_with(log);
    peer.send(kGet);
    EXPECT_LE(sent, limits.output_bytes);
    while (!log.destroyed) peer.open_window(777);
    EXPECT_LE(largest_write, limits.output_bytes);
    EXPECT_GT(log.writables, 5);
    peer.open_window(100'000);
    EXPECT_EQ(read_response(peer.sink.written).body, body);
    EXPECT_FALSE(peer.is_over());
}

TEST(Http1Connection, ALargePieceGoesOutAtOnceBehindWhatWaits) {
    HandlerLog log;
    TestHandler* handler = nullptr;
    TestPeer peer;
    serve_and_remember(peer.dispatcher, log, handler, 0);
    peer.send(kGet);
    const std::string large(50'000, 'l'), small(100, 's');
    const std::string body = large + small + large + large + small;
    Exchange& exchange = handler->exchange();
    ASSERT_TRUE(exchange.start(ok_head(), http::BodySize::known(body.size())));
    peer.run();
    using Sizes = std::vector<std::size_t>;
    const auto writes_of = [&](std::string_view piece) {
        peer.sink.writes.clear();
        const std::size_t taken = exchange.write(as_bytes(piece));
        return std::pair(taken, peer.sink.writes);
    };
    EXPECT_EQ(writes_of(large), std::pair(large.size(), Sizes{large.size()}));
    EXPECT_EQ(writes_of(small), std::pair(small.size(), Sizes{}));
    EXPECT_EQ(writes_of(large), std::pair(large.size(), Sizes{small.size() + large.size()}));
    // As much as goes out; and when nothing does, it waits.
    peer.sink.window = 20'000;
    EXPECT_EQ(writes_of(large), std::pair(std::size_t{20'000}, Sizes{20'000}));
    const std::string_view rest = std::string_view(large).substr(20'000);
    EXPECT_EQ(writes_of(rest), std::pair(rest.size(), Sizes{}));
    EXPECT_EQ(writes_of(small), std::pair(small.size(), Sizes{}));
    peer.open_window(100'000);
    exchange.finish();
    peer.run();
    EXPECT_EQ(read_response(peer.sink.written).body, body);
}

TEST(Http1Connection, DrainFinishesTheRequestInFlightAndAcceptsNoOther) {
    TestPeer peer;
    std::optional<Exchange> kept;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        kept = std::move(exchange);
        return Dispatched{};
    };
    peer.send(std::string(kGet) + std::string(kGet));
    peer.connection->drain();
    EXPECT_FALSE(peer.is_over());
    EXPECT_TRUE(kept->respond(ok_head(), to_bytes("last")));
    peer.run();
    const ReadResponse response = read_response(peer.sink.written);
    EXPECT_EQ(response.body, "last");
    EXPECT_EQ(response.headers.first("connection"), "close");
    EXPECT_TRUE(peer.sink.finished);
    EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
}

TEST(Http1Connection, DrainClosesAtOnceWithoutARequestInFlight) {
    TestPeer idle;
    idle.dispatcher.serve = answer_path;
    idle.send(kGet);
    EXPECT_FALSE(idle.is_over());
    idle.connection->drain();
    EXPECT_TRUE(idle.sink.finished);
    EXPECT_FALSE(idle.connection->wants_input());
}

TEST(Http1Connection, DrainStillAnswersARequestThatMayBeOnItsWay) {
    for (const std::size_t sent : {std::size_t{0}, kGet.size() - 1}) {
        TestPeer peer;
        peer.dispatcher.serve = answer_path;
        peer.send(kGet.substr(0, sent));
        peer.connection->drain();
        EXPECT_FALSE(peer.is_over());
        peer.send(std::string(kGet.substr(sent)) + std::string(kGet));
        const ReadResponse response = read_response(peer.sink.written);
        EXPECT_EQ(response.status, 200);
        EXPECT_EQ(response.headers.first("connection"), "close");
        EXPECT_TRUE(peer.sink.finished);
        EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
    }

    TestPeer misdirected;
    misdirected.dispatcher.serve = answer_path;
    misdirected.sink.current = false;
    misdirected.connection->drain();
    misdirected.send(kGet);
    EXPECT_EQ(read_response(misdirected.sink.written).status, 421);
    EXPECT_TRUE(misdirected.dispatcher.paths.empty());
}

TEST(Http1Connection, DrainDoesNotWaitLongForAFirstRequest) {
    TestPeer peer;
    peer.connection->drain();
    EXPECT_EQ(peer.advance_to_deadline(), Http1Limits().drain_notice_ms);
    EXPECT_TRUE(peer.sink.finished);
}

TEST(Http1Connection, UnderAnOldLeafNothingNewIsDispatched) {
    TestPeer peer;
    peer.dispatcher.serve = answer_path;
    peer.sink.current = false;
    peer.send(std::string(kGet) + std::string(kGet));
    const ReadResponse response = read_response(peer.sink.written);
    EXPECT_EQ(response.status, 421);
    EXPECT_EQ(response.headers.first("connection"), "close");
    EXPECT_TRUE(peer.dispatcher.paths.empty());
}

TEST(Http1Connection, DrainWaitsForABodyThatWasAccepted) {
    HandlerLog log;
    TestPeer peer;
    respond_with_body(log);
    peer.dispatcher.serve = handle_with(log);
    peer.send(post("Content-Length: 5", "he"));
    peer.connection->drain();
    EXPECT_FALSE(peer.is_over());
    peer.send("llo" + std::string(kGet));
    EXPECT_EQ(read_response(peer.sink.written).body, "hello");
    EXPECT_TRUE(peer.sink.finished);
    EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
}

TEST(Http1Connection, DrainAfterTheHeadWentOutClosesBehindTheBody) {
    TestPeer peer;
    std::optional<Exchange> kept;
    peer.dispatcher.serve = [&](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.start(ok_head(), http::BodySize::unknown()));
        kept = std::move(exchange);
        return Dispatched{};
    };
    peer.send(std::string(kGet) + std::string(kGet));
    peer.connection->drain();
    kept->write(as_bytes("rest"));
    kept->finish();
    peer.run();
    EXPECT_EQ(read_response(peer.sink.written).body, "rest");
    EXPECT_TRUE(peer.sink.finished);
    EXPECT_EQ(peer.dispatcher.paths.size(), 1u);
}

struct AddressCase {
    std::string_view server_name;
    bool sent_server_name;
    NameKind kind;
    std::string_view start_and_host;
    int status;
};

TEST(Http1Connection, ARequestForAnotherNameIsNeverRouted) {
    const std::vector<AddressCase> cases = {
        {"mini.example", true, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: mini.example", 200},
        {"mini.example", true, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: MINI.example.:443", 200},
        {"mini.example", true, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: mini.example:8443", 200},
        {"mini.example", true, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: app.example", 421},
        {"mini.example", true, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: 127.0.0.1", 421},
        {"mini.example", true, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: xmini.example", 421},
        {"app.example", true, NameKind::kApp, "/ HTTP/1.1\r\nHost: app.example", 200},
        {"app.example", true, NameKind::kApp, "/ HTTP/1.1\r\nHost: mini.example", 421},
        {"app.example", true, NameKind::kApp, "https://mini.example/ HTTP/1.1", 421},
        {"app.example", true, NameKind::kApp, "https://app.example/ HTTP/1.1", 200},
        {"app.example", true, NameKind::kApp, "http://app.example/ HTTP/1.1", 421},
        {"app.example", true, NameKind::kApp, "https://mini.example/ HTTP/1.1\r\nHost: app.example",
         400},
        {"app.example", true, NameKind::kApp,
         "/ HTTP/1.1\r\nHost: app.example\r\nHost: app.example", 400},
        {"mini.example", false, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: mini.example", 200},
        {"mini.example", false, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: 127.0.0.1:8443", 200},
        {"mini.example", false, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: [::1]", 200},
        {"mini.example", false, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: localhost", 421},
        {"mini.example", false, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: app.example", 421},
        {"", false, NameKind::kPlatform, "/ HTTP/1.1\r\nHost: whatever.example", 200},
    };
    for (const AddressCase& c : cases) {
        ConnectionInfo info;
        info.server_name = c.server_name;
        info.sent_server_name = c.sent_server_name;
        info.kind = c.kind;
        TestPeer peer(info);
        peer.dispatcher.serve = answer_path;
        peer.send("GET " + std::string(c.start_and_host) + "\r\n\r\n");
        EXPECT_EQ(read_response(peer.sink.written).status, c.status) << c.start_and_host;
        EXPECT_EQ(peer.dispatcher.paths.size(), c.status == 200 ? 1u : 0u) << c.start_and_host;
    }
}

TEST(Http1Connection, AMisdirectedBodyIsReadPastAndTheConnectionGoesOn) {
    TestPeer peer;
    peer.dispatcher.serve = answer_path;
    peer.send("POST / HTTP/1.1\r\nHost: other.example\r\nContent-Length: 4\r\n\r\nbody" +
              std::string(kGet));
    const auto responses = read_responses(peer.sink.written);
    ASSERT_EQ(responses.size(), 2u);
    EXPECT_EQ(responses[0].status, 421);
    EXPECT_EQ(responses[0].headers.first("content-type"), "application/json");
    EXPECT_EQ(responses[1].status, 200);
}

}  // namespace
}  // namespace eos::runtime
