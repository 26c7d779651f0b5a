// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/tls_session.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/crypto/random.h"

namespace eos::ratls {
namespace {

std::shared_ptr<const Credential> self_signed(const crypto::P256PrivateKey& key) {
    X509* x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 60);
    X509_set_pubkey(x, key.handle());
    X509_sign(x, key.handle(), EVP_sha256());
    unsigned char* der = nullptr;
    int size = i2d_X509(x, &der);
    Bytes bytes = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    X509_free(x);
    return *Credential::make({bytes}, key);
}

// Client and server joined by their byte buffers; the test decides about leaves.
class TlsPair : public ::testing::Test {
  protected:
    void start(ClientOptions options) {
        server = server_context->accept();
        client = std::move(*client_context->connect(options));
    }
    // Moves bytes until neither side has any, or the server needs a leaf.
    void pump() {
        for (int turn = 0; turn < 20; ++turn) {
            client->advance();
            move(*client, *server);
            if (server->advance() == Progress::kNeedsLeaf) return;
            move(*server, *client);
        }
    }
    static void move(TlsSession& from, TlsSession& to) {
        Bytes bytes = to_bytes(from.output());
        from.output_taken(bytes.size());
        to.receive(bytes);
    }
    static std::string read_text(TlsSession& session) { return to_string(session.read(1 << 20)); }

    Result<ServerContext> server_context = ServerContext::make();
    Result<ClientContext> client_context = ClientContext::make();
    crypto::P256PrivateKey leaf_key = crypto::P256PrivateKey::generate();
    std::unique_ptr<ServerSession> server;
    std::unique_ptr<ClientSession> client;
};

TEST_F(TlsPair, WithoutChallengeTheServerAsksForADeterministicLeaf) {
    start({.server_name = "App.Example.test"});
    pump();
    ASSERT_EQ(server->progress(), Progress::kNeedsLeaf);
    EXPECT_EQ(server->offer().server_name, "app.example.test");
    EXPECT_FALSE(server->offer().nonce.has_value());
    auto leaf = self_signed(leaf_key);
    server->provide_leaf(leaf);
    pump();
    ASSERT_EQ(client->progress(), Progress::kOpen) << client->failure();
    ASSERT_EQ(server->progress(), Progress::kOpen) << server->failure();
    EXPECT_TRUE(equal(client->peer_certificate(), leaf->leaf_der()));
    EXPECT_FALSE(server->client_key().has_value());
    client->write(as_bytes("request"));
    move(*client, *server);
    EXPECT_EQ(read_text(*server), "request");
    server->write(as_bytes("answer"));
    server->close();
    move(*server, *client);
    EXPECT_EQ(read_text(*client), "answer");
    EXPECT_TRUE(client->read(10).empty());
    EXPECT_EQ(client->progress(), Progress::kClosed);
}

/// What a server that speaks both, or HTTP/1.1 only, chooses from an offer (RFC 7301's list).
std::string chosen_from(std::string_view offer, ServedProtocols protocols) {
    const Result<ServerContext> context = ServerContext::make(protocols);
    const auto server = context->accept();
    SSL_CTX* client_context = SSL_CTX_new(TLS_client_method());
    SSL* client = SSL_new(client_context);
    BIO* to_client = BIO_new(BIO_s_mem());
    BIO* from_client = BIO_new(BIO_s_mem());
    SSL_set_bio(client, to_client, from_client);
    SSL_set_connect_state(client);
    SSL_set_alpn_protos(client, as_uchars(as_bytes(offer)), static_cast<unsigned>(offer.size()));
    const auto leaf = self_signed(crypto::P256PrivateKey::generate());
    for (int turn = 0; turn < 4; ++turn) {
        SSL_do_handshake(client);
        Bytes bytes(1 << 14);
        const int size = BIO_read(from_client, bytes.data(), static_cast<int>(bytes.size()));
        if (size > 0) server->receive(ByteView(bytes).first(static_cast<std::size_t>(size)));
        if (server->advance() == Progress::kNeedsLeaf) {
            server->provide_leaf(leaf);
            server->advance();
        }
        const ByteView output = server->output();
        if (!output.empty()) BIO_write(to_client, output.data(), static_cast<int>(output.size()));
        server->output_taken(output.size());
    }
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(client, &name, &size);
    std::string chosen =
        name == nullptr ? "" : std::string(reinterpret_cast<const char*>(name), size);
    EXPECT_EQ(server->protocol(), chosen == "h2" ? Protocol::kHttp2 : Protocol::kHttp1);
    if (server->progress() != Progress::kOpen) chosen = "refused";
    SSL_free(client);
    SSL_CTX_free(client_context);
    return chosen;
}

TEST(Alpn, Http2IsChosenWhereItIsServedAndOffered) {
    constexpr auto kBoth = ServedProtocols::kHttp2AndHttp1;
    constexpr auto kOne = ServedProtocols::kHttp1Only;
    EXPECT_EQ(chosen_from("\x8http/1.1\x2h2", kBoth), "h2");
    EXPECT_EQ(chosen_from("\x8http/1.1\x2h2", kOne), "http/1.1");
    EXPECT_EQ(chosen_from("\x8http/1.1", kBoth), "http/1.1");
    EXPECT_EQ(chosen_from("\x2h2", kBoth), "h2");
    EXPECT_EQ(chosen_from("\x2h2", kOne), "refused");
    EXPECT_EQ(chosen_from("", kBoth), "");
    EXPECT_EQ(chosen_from("\x10privasys-ratls/1\x8http/1.1", kBoth), "http/1.1");
    EXPECT_EQ(chosen_from("\x10privasys-ratls/1\x2h2\x8http/1.1", kBoth), "h2");
    EXPECT_EQ(chosen_from("\x10privasys-ratls/1", kBoth), "refused");
}

TEST_F(TlsPair, APeerThatOnlyClosedItsHalfStillReads) {
    start({.server_name = "a.test"});
    pump();
    server->provide_leaf(self_signed(leaf_key));
    pump();
    client->write(as_bytes("all of it"));
    client->close();
    move(*client, *server);
    EXPECT_EQ(read_text(*server), "all of it");
    EXPECT_EQ(server->progress(), Progress::kClosed);
    server->write(as_bytes("answer"));
    move(*server, *client);
    EXPECT_EQ(read_text(*client), "answer");
}

TEST_F(TlsPair, ChallengeGivesBothSidesTheSameBinderAndTheLeafMadeForIt) {
    ByteArray<32> nonce = crypto::random_array<32>();
    crypto::P256PrivateKey client_key = crypto::P256PrivateKey::generate();
    start({.server_name = "a.test", .nonce = nonce, .credential = self_signed(client_key)});
    pump();
    ASSERT_EQ(server->progress(), Progress::kNeedsLeaf) << server->failure();
    ASSERT_TRUE(server->offer().binder.has_value());
    EXPECT_TRUE(equal(*server->offer().nonce, nonce));
    auto leaf = self_signed(leaf_key);
    server->provide_leaf(leaf);
    pump();
    ASSERT_EQ(client->progress(), Progress::kOpen) << client->failure();
    ASSERT_EQ(server->progress(), Progress::kOpen) << server->failure();
    EXPECT_TRUE(equal(client->peer_certificate(), leaf->leaf_der()));
    EXPECT_EQ(*client->offer().binder, *server->offer().binder);
    ASSERT_TRUE(server->client_key().has_value());
    EXPECT_EQ(*server->client_key(), client_key.public_key());
}

TEST_F(TlsPair, TwoHandshakesNeverShareABinder) {
    ByteArray<32> nonce = crypto::random_array<32>();
    Binder first{};
    for (int i = 0; i < 2; ++i) {
        start({.server_name = "a.test", .nonce = nonce});
        pump();
        ASSERT_TRUE(server->offer().binder.has_value());
        if (i == 1) {
            EXPECT_NE(*server->offer().binder, first);
        }
        first = *server->offer().binder;
    }
}

TEST_F(TlsPair, BoundLeafRefusedEndsTheHandshakeWithAnAlertAndSendsNoLeaf) {
    start({.server_name = "a.test", .nonce = crypto::random_array<32>()});
    pump();
    ASSERT_EQ(server->progress(), Progress::kNeedsLeaf);
    server->refuse_leaf(LeafRefusal::kUnavailable, "no quote");
    pump();
    EXPECT_EQ(server->progress(), Progress::kFailed);
    EXPECT_EQ(client->progress(), Progress::kFailed);
    EXPECT_TRUE(client->peer_certificate().empty());
    EXPECT_EQ(client->failure(), "tlsv1 alert internal error");
}

TEST_F(TlsPair, DeterministicLeafRefusedEndsTheHandshake) {
    start({.server_name = "a.test"});
    pump();
    server->refuse_leaf(LeafRefusal::kUnavailable, "no leaf");
    pump();
    EXPECT_EQ(server->progress(), Progress::kFailed);
    EXPECT_EQ(client->progress(), Progress::kFailed);
}

TEST_F(TlsPair, SessionDroppedWhileItWaitsForALeafLeaksNothing) {
    start({.server_name = "a.test", .nonce = crypto::random_array<32>()});
    pump();
    ASSERT_EQ(server->progress(), Progress::kNeedsLeaf);
    server.reset();
}

TEST_F(TlsPair, GarbageFails) {
    start({});
    server->receive(as_bytes("GET / HTTP/1.1\r\n\r\n"));
    EXPECT_EQ(server->advance(), Progress::kFailed);
    EXPECT_FALSE(server->failure().empty());
}

TEST_F(TlsPair, KeyWithoutItsCertificateIsNoCredential) {
    crypto::P256PrivateKey other = crypto::P256PrivateKey::generate();
    Bytes der = to_bytes(self_signed(leaf_key)->leaf_der());
    EXPECT_EQ(Credential::make({der}, other).error().code(), bad_credential);
    EXPECT_EQ(Credential::make({}, other).error().code(), bad_credential);
    EXPECT_EQ(Credential::make({to_bytes("x")}, other).error().code(), bad_credential);
}

}  // namespace
}  // namespace eos::ratls
