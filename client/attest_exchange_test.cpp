// SPDX-License-Identifier: AGPL-3.0-only
#include "client/attest_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/http_exchange.h"
#include "client/loopback_server.h"
#include "client/verified_server.h"
#include "common/json/json.h"

namespace eos::client {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Deadline soon(milliseconds time = std::chrono::seconds(10)) {
    return std::chrono::steady_clock::now() + time;
}

/// The request as it came, and what was asked.
struct Asked {
    std::string text;
    ratls::AttestRequest request;
};

Asked read_request(LoopbackPeer& peer) {
    Asked out;
    out.text = peer.receive_until("}");
    std::size_t body = out.text.find("\r\n\r\n");
    EXPECT_NE(body, std::string::npos);
    auto parsed = ratls::parse_attest_request(as_bytes(out.text).subspan(body + 4));
    EXPECT_TRUE(parsed) << out.text;
    if (parsed) out.request = *parsed;
    return out;
}

std::string http(int status, const std::string& body) {
    return "HTTP/1.1 " + std::to_string(status) +
           " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string evidence(ratls::AttestMode mode = ratls::AttestMode::kChallenge) {
    return to_text(ratls::AttestResponse{mode, "sgx", Bytes(100, std::byte{1}), UnixTime{}});
}

class AttestExchange : public ::testing::Test {
  protected:
    Result<ratls::ChannelEvidence> ask(const LoopbackServer& server, Deadline deadline = soon()) {
        Result<TlsChannel> channel = TlsChannel::open(
            server.address(), {.server_name = "app.test", .scheme = ratls::LeafScheme::kV2},
            deadline);
        if (!channel) return fail(std::move(channel).error());
        return ask_for_evidence(*channel, {.host = "app.test", .port = {}}, deadline);
    }
    /// What is said to a server that answers with `text`, and then ends in order.
    Error refused(const std::string& text) {
        auto server = LoopbackServer::tls([text](LoopbackPeer& peer, int) {
            read_request(peer);
            peer.send(text);
            peer.close();
            EXPECT_EQ(peer.receive_until("never"), "");  // nothing more is ever sent
        });
        Result<ratls::ChannelEvidence> outcome = ask(*server);
        EXPECT_FALSE(outcome) << text;
        return outcome ? Error(bad_response) : outcome.error();
    }
};

TEST_F(AttestExchange, AsksForThisConnectionAndSendsNothingElse) {
    Asked asked;
    std::optional<ratls::ChannelBinding> bound;
    std::string more;
    {
        auto server = LoopbackServer::tls([&](LoopbackPeer& peer, int) {
            asked = read_request(peer);
            bound = peer.bind_channel(*asked.request.context);
            peer.send(http(200, evidence()));
            more = peer.receive_until("never");
        });
        Result<ratls::ChannelEvidence> outcome = ask(*server);
        ASSERT_TRUE(outcome) << outcome.error().message();
        EXPECT_EQ(outcome->response.quote, Bytes(100, std::byte{1}));
        EXPECT_EQ(outcome->binding.context, *asked.request.context);
        bound = outcome->binding;
    }
    EXPECT_THAT(asked.text, StartsWith("POST /__privasys/attest HTTP/1.1\r\n"));
    EXPECT_THAT(asked.text, HasSubstr("app.test"));
    EXPECT_EQ(more, "");
}

TEST_F(AttestExchange, EveryConnectionHasAContextOfItsOwn) {
    std::vector<Asked> asked;
    std::vector<ratls::ChannelBinding> server_side;
    std::vector<ratls::ChannelBinding> client_side;
    {
        auto server = LoopbackServer::tls([&](LoopbackPeer& peer, int) {
            asked.push_back(read_request(peer));
            server_side.push_back(peer.bind_channel(*asked.back().request.context));
            peer.send(http(200, evidence()));
        });
        for (int i = 0; i < 3; ++i) client_side.push_back(ask(*server)->binding);
    }
    EXPECT_EQ(client_side, server_side);
    for (int i = 1; i < 3; ++i) {
        EXPECT_NE(client_side[i].context, client_side[0].context);
        EXPECT_NE(client_side[i].exporter, client_side[0].exporter);
        EXPECT_EQ(asked[i].request.leaf, asked[0].request.leaf);
    }
}

TEST_F(AttestExchange, AServerWithoutModeCIsToldApart) {
    auto leaves = LoopbackLeaves::make();
    leaves.v2 = leaves.v1;
    std::string received = "nothing";
    {
        auto server = LoopbackServer::tls(
            [&](LoopbackPeer& peer, int) { received = peer.receive_until("}"); }, {}, leaves);
        Error error = ask(*server).error();
        EXPECT_EQ(error.code(), mode_unsupported);
        EXPECT_THAT(error.message(), HasSubstr("--mode v1-challenge"));
    }
    EXPECT_EQ(received, "");
    Error error = refused(http(404, R"({"error":"there is \u001b nothing"})"));
    EXPECT_EQ(error.code(), mode_unsupported);
    EXPECT_THAT(error.message(), HasSubstr("--mode v1-challenge"));
    EXPECT_THAT(error.message(), ::testing::Not(HasSubstr("\x1b")));
}

TEST_F(AttestExchange, AnswersThatAreNotWholeOrNotTheOneAskedForAreRefused) {
    std::string good = http(200, evidence());
    EXPECT_EQ(refused(good.substr(0, good.size() - 1)).code(), bad_response);
    EXPECT_EQ(refused(good.substr(0, 20)).code(), bad_response);
    EXPECT_EQ(refused("").code(), bad_response);
    EXPECT_EQ(refused(good + good).code(), bad_response);
    EXPECT_EQ(refused(good + "x").code(), bad_response);
    EXPECT_EQ(refused(http(200, evidence(ratls::AttestMode::kDeterministic))).code(), bad_response);
    EXPECT_EQ(refused(http(200, "{}")).code(), json::missing_member);
    EXPECT_EQ(refused(http(200, "")).code(), json::bad_syntax);
    EXPECT_EQ(refused(http(200, std::string(ratls::kMaxAttestResponseBytes + 1, ' '))).code(),
              http::body_too_large);
    EXPECT_EQ(refused(http(503, R"({"error":"busy"})")).code(), challenge_limited);
}

TEST_F(AttestExchange, ACutIsNoEndAndALateAnswerIsNone) {
    auto cuts = LoopbackServer::tls([](LoopbackPeer& peer, int) {
        read_request(peer);
        peer.send(http(200, evidence()).substr(0, 60));
    });
    EXPECT_EQ(ask(*cuts).error().code(), connection_lost);
    auto waits = LoopbackServer::tls([](LoopbackPeer& peer, int) {
        read_request(peer);
        peer.receive_until("never");  // until the client has given up
        peer.send(http(200, evidence()));
    });
    EXPECT_EQ(ask(*waits, soon(milliseconds(200))).error().code(), timed_out);
}

TEST_F(AttestExchange, ALimitIsWaitedForAndNothingElseIs) {
    auto server = LoopbackServer::tls([](LoopbackPeer& peer, int number) {
        read_request(peer);
        peer.send(number < 2 ? http(503, R"({"error":"busy"})") : http(200, evidence()));
        EXPECT_EQ(peer.receive_until("never"), "");
    });
    Target target;
    target.address = server->address();
    target.server_name = "app.test";
    target.retry.first_pause = milliseconds(1);
    Result<Connection> connection = Connection::open(target, soon());
    ASSERT_TRUE(connection) << connection.error().message();
    EXPECT_FALSE(connection->server);  // its evidence is none
    EXPECT_EQ(connection->verdict.outcome(), attestation::appraise::Outcome::rejected);
    EXPECT_EQ(server->accepted(), 3);
    auto without = LoopbackServer::tls([](LoopbackPeer& peer, int) {
        read_request(peer);
        peer.send(http(404, "{}"));
    });
    target.address = without->address();
    EXPECT_EQ(Connection::open(target, soon()).error().code(), mode_unsupported);
    EXPECT_EQ(without->accepted(), 1);
}

}  // namespace
}  // namespace eos::client
