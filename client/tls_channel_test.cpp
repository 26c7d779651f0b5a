// SPDX-License-Identifier: AGPL-3.0-only
#include "client/tls_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/loopback_server.h"
#include "client/verified_server.h"
#include "common/crypto/random.h"

namespace eos::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

Deadline soon(milliseconds time = std::chrono::seconds(10)) {
    return steady_clock::now() + time;
}

using Bytes8 = std::vector<std::uint8_t>;

ratls::ClientOptions challenge() {
    return {.server_name = "app.test", .nonce = crypto::random_array<32>()};
}

TEST(TlsChannel, CarriesBytesBothWaysAndKnowsAnEndFromACut) {
    auto server = LoopbackServer::tls([](LoopbackPeer& peer, int number) {
        EXPECT_EQ(peer.receive_until("?"), "how are you?");
        peer.send("well");
        if (number == 0) peer.close();
    });
    for (bool in_order : {true, false}) {
        Result<TlsChannel> channel = TlsChannel::open(server->address(), challenge(), soon());
        ASSERT_TRUE(channel) << channel.error().message();
        EXPECT_EQ(channel->peer_chain().size(), 1u);
        EXPECT_TRUE(channel->offer().binder.has_value());
        ASSERT_TRUE(channel->send(as_bytes("how are you?"), soon()));
        EXPECT_EQ(to_string(*channel->receive(soon())), "well");
        Result<Bytes> end = channel->receive(soon());
        EXPECT_EQ(end.has_value(), in_order);
        if (!end) {
            EXPECT_EQ(end.error().code(), connection_lost);
        }
    }
}

TEST(TlsChannel, SaysWhatEachAlertMeans) {
    using ratls::LeafRefusal;
    struct Case {
        LeafRefusal refusal;
        Code code;
        std::string words;
    };
    const Case cases[] = {
        {LeafRefusal::kUnknownName, name_unknown, "app.test; `enclavectl app"},
        {LeafRefusal::kOverLimit, challenge_limited, "try again in a few seconds"},
        {LeafRefusal::kUnavailable, server_unready, "/readyz"}};
    for (const Case& each : cases) {
        auto server = LoopbackServer::tls([](LoopbackPeer&, int) { ADD_FAILURE(); },
                                          [&](int) { return each.refusal; });
        Result<TlsChannel> channel = TlsChannel::open(server->address(), challenge(), soon());
        ASSERT_FALSE(channel);
        EXPECT_EQ(channel.error().code(), each.code);
        EXPECT_THAT(channel.error().message(), HasSubstr(each.words));
        EXPECT_THAT(channel.error().message(), HasSubstr("alert"));
    }
}

TEST(TlsChannel, AnAlertThatNobodyHereSendsIsPassedOnByNumber) {
    for (std::uint8_t alert : Bytes8{40, 47, 50, 70, 120, 255}) {
        auto server = LoopbackServer::raw([alert](LoopbackPeer& peer, int) {
            peer.receive_raw();
            const unsigned char record[] = {21, 3, 3, 0, 2, 2, alert};
            peer.send_raw(std::as_bytes(std::span(record)));
        });
        Result<TlsChannel> channel = TlsChannel::open(server->address(), challenge(), soon());
        ASSERT_FALSE(channel);
        EXPECT_EQ(channel.error().code(), handshake_failed);
        EXPECT_THAT(channel.error().message(), HasSubstr("alert " + std::to_string(alert)));
    }
}

TEST(TlsChannel, WhatIsNoTlsServerIsAnError) {
    auto closes = LoopbackServer::raw([](LoopbackPeer& peer, int) { peer.receive_raw(); });
    Result<TlsChannel> channel = TlsChannel::open(closes->address(), challenge(), soon());
    EXPECT_EQ(channel.error().code(), handshake_failed);
    auto talks = LoopbackServer::raw([](LoopbackPeer& peer, int) {
        peer.receive_raw();
        peer.send_raw(as_bytes("HTTP/1.1 400 Bad Request\r\n\r\n"));
    });
    channel = TlsChannel::open(talks->address(), challenge(), soon());
    EXPECT_EQ(channel.error().code(), handshake_failed);
    auto waits = LoopbackServer::raw([](LoopbackPeer& peer, int) {
        while (!peer.receive_raw().empty()) {
        }
    });
    channel = TlsChannel::open(waits->address(), challenge(), soon(milliseconds(50)));
    EXPECT_EQ(channel.error().code(), timed_out);
    Address nobody = waits->address();
    waits.reset();
    channel = TlsChannel::open(nobody, challenge(), soon());
    EXPECT_EQ(channel.error().code(), connect_failed);
}

/// Refuses the first `refusals` challenges for a limit; counts, and keeps the nonces of the others.
struct LimitedServer {
    explicit LimitedServer(int refusals)
        : server(LoopbackServer::tls([](LoopbackPeer&, int) {},
                                     [refusals](int number) {
                                         return number < refusals
                                                    ? std::optional(ratls::LeafRefusal::kOverLimit)
                                                    : std::nullopt;
                                     })) {
        target.address = server->address();
        target.server_name = "app.test";
        target.mode = BindingMode::kChallenge;
        target.retry.first_pause = milliseconds(1);
        target.retry.before_pause = [this](const Error& why, milliseconds pause) {
            EXPECT_EQ(why.code(), challenge_limited);
            pauses.push_back(pause);
        };
    }
    std::unique_ptr<LoopbackServer> server;
    Target target;
    std::vector<milliseconds> pauses;
};

TEST(ConnectionRetry, ALimitedChallengeIsTriedAgain) {
    LimitedServer limited(3);
    Result<Connection> connection = Connection::open(limited.target, soon());
    ASSERT_TRUE(connection) << connection.error().message();
    EXPECT_FALSE(connection->server);  // its leaf has no evidence: that was not waited for
    EXPECT_EQ(limited.server->accepted(), 4);
    EXPECT_EQ(limited.pauses.size(), 3u);
}

TEST(ConnectionRetry, NotForEver) {
    LimitedServer limited(100);
    EXPECT_EQ(Connection::open(limited.target, soon()).error().code(), challenge_limited);
    EXPECT_EQ(limited.server->accepted(), limited.target.retry.tries);
}

TEST(ConnectionRetry, NotBeyondTheDeadline) {
    LimitedServer limited(100);
    limited.target.retry.first_pause = std::chrono::hours(1);
    EXPECT_EQ(Connection::open(limited.target, soon()).error().code(), challenge_limited);
    EXPECT_EQ(limited.server->accepted(), 1);
    EXPECT_TRUE(limited.pauses.empty());
}

TEST(ConnectionRetry, PausesGrowAndAreNotAllTheSame) {
    LimitedServer limited(3);
    limited.target.retry.first_pause = milliseconds(8);
    ASSERT_TRUE(Connection::open(limited.target, soon()));
    ASSERT_EQ(limited.pauses.size(), 3u);
    for (int i = 0; i < 3; ++i) {
        EXPECT_GE(limited.pauses[i], milliseconds(8 << i));
        EXPECT_LT(limited.pauses[i], milliseconds(12 << i));
    }
}

TEST(ConnectionRetry, NothingElseIsTriedAgain) {
    auto server = LoopbackServer::tls([](LoopbackPeer&, int) {},
                                      [](int) { return ratls::LeafRefusal::kUnavailable; });
    LimitedServer limited(0);
    limited.target.address = server->address();
    EXPECT_EQ(Connection::open(limited.target, soon()).error().code(), server_unready);
    EXPECT_EQ(server->accepted(), 1);
}

}  // namespace
}  // namespace eos::client
