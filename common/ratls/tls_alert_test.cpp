// SPDX-License-Identifier: AGPL-3.0-only
// The exact alert, as a number on the wire, for every reason a server has to end a handshake.
#include "common/ratls/tls_alert.h"

#include <gtest/gtest.h>

#include "common/base/codec.h"
#include "common/crypto/random.h"
#include "common/ratls/tls_session.h"

namespace eos::ratls {
namespace {

constexpr std::uint16_t kServerName = 0;  // RFC 6066 §3
constexpr std::uint16_t kGroups = 10;     // RFC 8446 §4.2.7
constexpr std::uint16_t kChallenge = static_cast<std::uint16_t>(kChallengeExtension);

struct Extension {
    std::uint16_t type = 0;
    Bytes body;
};

/// A ClientHello of libssl's, taken apart so that its extensions can be spoilt. RFC 8446 §4.1.2.
struct ClientHello {
    Bytes before_extensions;  // legacy_version to legacy_compression_methods
    std::vector<Extension> extensions;

    static ClientHello parse(ByteView record) {
        ClientHello out;
        ByteView body = record.subspan(5 + 4);
        Reader in(body);
        in.bytes(2 + 32).value();
        in.bytes(in.u8().value()).value();
        in.bytes(in.u16be().value()).value();
        in.bytes(in.u8().value()).value();
        std::size_t extensions_bytes = in.u16be().value();
        out.before_extensions = to_bytes(body.first(body.size() - extensions_bytes - 2));
        while (in.remaining() > 0) {
            std::uint16_t type = in.u16be().value();
            out.extensions.push_back({type, to_bytes(in.bytes(in.u16be().value()).value())});
        }
        return out;
    }

    Extension& extension(std::uint16_t type) {
        for (Extension& each : extensions) {
            if (each.type == type) return each;
        }
        return extensions.emplace_back(Extension{type, {}});
    }

    Bytes record() const {
        Writer list;
        for (const Extension& each : extensions) {
            list.u16be(each.type).u16be(static_cast<std::uint16_t>(each.body.size()));
            list.bytes(each.body);
        }
        std::size_t size = before_extensions.size() + 2 + list.view().size();
        Writer out;
        out.u8(22).u16be(0x0301).u16be(static_cast<std::uint16_t>(4 + size));
        out.u8(1).u8(0).u16be(static_cast<std::uint16_t>(size)).bytes(before_extensions);
        out.u16be(static_cast<std::uint16_t>(list.view().size())).bytes(list.view());
        return std::move(out).take();
    }
};

class TlsAlertTest : public ::testing::Test {
  protected:
    ClientHello hello(const ClientOptions& options) {
        client = std::move(*client_context->connect(options));
        client->advance();
        return ClientHello::parse(client->output());
    }
    /// The alert that a hello is answered with: a whole unencrypted record, and nothing else.
    int answer_to(const ClientHello& hello) {
        server = server_context->accept();
        server->receive(hello.record());
        EXPECT_EQ(server->advance(), Progress::kFailed);
        ByteView out = server->output();
        EXPECT_EQ(out.size(), 7u);
        if (out.size() != 7) return -1;
        EXPECT_EQ(out[0], std::byte{21});  // alert
        EXPECT_EQ(out[5], std::byte{2});   // fatal
        return std::to_integer<int>(out[6]);
    }
    /// Shakes hands, refuses the leaf if it is asked for one, and tells what the client was told.
    std::optional<Alert> told_client(const ClientOptions& options, LeafRefusal refusal) {
        client = std::move(*client_context->connect(options));
        server = server_context->accept();
        server->set_known_names([](std::string_view name) { return name != "unknown.test"; });
        for (int turn = 0; turn < 10; ++turn) {
            client->advance();
            move(*client, *server);
            if (server->advance() == Progress::kNeedsLeaf) {
                server->refuse_leaf(refusal, "as the test wants");
                server->advance();
            }
            move(*server, *client);
        }
        EXPECT_EQ(client->progress(), Progress::kFailed);
        EXPECT_TRUE(client->peer_certificate().empty());
        return client->received_alert();
    }
    static void move(TlsSession& from, TlsSession& to) {
        Bytes bytes = to_bytes(from.output());
        from.output_taken(bytes.size());
        to.receive(bytes);
    }

    Result<ServerContext> server_context = ServerContext::make();
    Result<ClientContext> client_context = ClientContext::make();
    std::unique_ptr<ServerSession> server;
    std::unique_ptr<ClientSession> client;
    ClientOptions challenge{.server_name = "a.test", .nonce = crypto::random_array<32>()};
};

TEST_F(TlsAlertTest, TheEditorChangesNothingByItself) {
    ClientHello same = hello(challenge);
    server = server_context->accept();
    server->receive(same.record());
    EXPECT_EQ(server->advance(), Progress::kNeedsLeaf) << server->failure();
}

TEST_F(TlsAlertTest, AnUnknownNameIsUnrecognizedInBothModes) {
    ClientOptions options{.server_name = "Unknown.test"};
    EXPECT_EQ(told_client(options, LeafRefusal::kUnavailable), Alert{112});
    EXPECT_EQ(server->failure(), "unknown server name");
    options.nonce = crypto::random_array<32>();
    EXPECT_EQ(told_client(options, LeafRefusal::kUnavailable), Alert{112});
}

TEST_F(TlsAlertTest, NoNameIsANameThatTheServerMayKnow) {
    client = std::move(*client_context->connect({}));
    server = server_context->accept();
    std::vector<std::string> asked;
    server->set_known_names([&](std::string_view name) {
        asked.emplace_back(name);
        return true;
    });
    client->advance();
    move(*client, *server);
    EXPECT_EQ(server->advance(), Progress::kNeedsLeaf);
    EXPECT_EQ(asked, std::vector<std::string>{""});
}

TEST_F(TlsAlertTest, ARefusedChallengeSaysWhy) {
    EXPECT_EQ(told_client(challenge, LeafRefusal::kOverLimit), Alert{49});
    EXPECT_EQ(server->failure(), "as the test wants");
    EXPECT_EQ(told_client(challenge, LeafRefusal::kUnavailable), Alert{80});
    EXPECT_EQ(told_client(challenge, LeafRefusal::kUnknownName), Alert{112});
}

TEST_F(TlsAlertTest, WithoutALeafADeterministicHandshakeIsAnInternalError) {
    EXPECT_EQ(told_client({.server_name = "a.test"}, LeafRefusal::kUnavailable), Alert{80});
}

TEST_F(TlsAlertTest, ANonceOfALengthItMayNotHaveCannotBeDecoded) {
    for (std::size_t size : {0u, 1u, 15u, 17u, 65u, 1000u}) {
        ClientHello spoilt = hello(challenge);
        spoilt.extension(kChallenge).body = Bytes(size);
        EXPECT_EQ(answer_to(spoilt), 50) << size;
    }
}

TEST_F(TlsAlertTest, AChallengeSentTwiceIsIllegal) {
    ClientHello spoilt = hello(challenge);
    Extension again = spoilt.extension(kChallenge);
    spoilt.extensions.push_back(again);
    EXPECT_EQ(answer_to(spoilt), 47);
}

TEST_F(TlsAlertTest, AMalformedNameCannotBeDecoded) {
    const Bytes good = hello(challenge).extension(kServerName).body;
    std::vector<Bytes> bodies{{}, Bytes(1), Bytes(2), good, good, good};
    bodies[3].pop_back();
    bodies[4].push_back(std::byte{0});
    bodies[5][1] ^= std::byte{1};
    for (std::size_t i = 0; i < bodies.size(); ++i) {
        ClientHello spoilt = hello(challenge);
        spoilt.extension(kServerName).body = bodies[i];
        EXPECT_EQ(answer_to(spoilt), 50) << i;
    }
}

TEST_F(TlsAlertTest, ANameWithAZeroByteIsNoName) {
    ClientHello spoilt = hello(challenge);
    spoilt.extension(kServerName).body.back() = std::byte{0};
    EXPECT_EQ(answer_to(spoilt), 112);
}

TEST_F(TlsAlertTest, NothingInCommonIsAHandshakeFailure) {
    ClientHello spoilt = hello(challenge);
    // P-521 alone, with a key share of none.
    spoilt.extension(kGroups).body = std::move(Writer().u16be(2).u16be(0x0019)).take();
    constexpr std::uint16_t kKeyShare = 51;
    spoilt.extension(kKeyShare).body = std::move(Writer().u16be(0)).take();
    EXPECT_EQ(answer_to(spoilt), 40);
}

TEST_F(TlsAlertTest, CloseNotifyIsNoAlertOfFailure) {
    client = std::move(*client_context->connect({.server_name = "a.test"}));
    EXPECT_FALSE(client->received_alert().has_value());
    client->receive(std::move(Writer().u8(21).u16be(0x0303).u16be(2).u8(1).u8(0)).take());
    client->advance();
    EXPECT_FALSE(client->received_alert().has_value());
}

}  // namespace
}  // namespace eos::ratls
