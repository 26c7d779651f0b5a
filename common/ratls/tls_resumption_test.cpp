// SPDX-License-Identifier: AGPL-3.0-only
// A resumed handshake would show no certificate. Stock peers offer to resume; neither side of ours
// ever does.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "common/ratls/leaf.h"
#include "common/ratls/tls_session.h"

#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace eos::ratls {
namespace {

/// A plain libssl connection over memory.
struct StockPeer {
    explicit StockPeer(SSL_CTX* context) : ssl(SSL_new(context)) {
        SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    }
    ~StockPeer() { SSL_free(ssl); }
    StockPeer(const StockPeer&) = delete;
    StockPeer& operator=(const StockPeer&) = delete;

    void take_from(TlsSession& session) {
        ByteView out = session.output();
        BIO_write(SSL_get_rbio(ssl), out.data(), static_cast<int>(out.size()));
        session.output_taken(out.size());
    }
    void give_to(TlsSession& session) {
        char buffer[65536];
        int count = BIO_read(SSL_get_wbio(ssl), buffer, sizeof buffer);
        if (count > 0)
            session.receive(std::as_bytes(std::span(buffer, static_cast<std::size_t>(count))));
    }
    SSL* ssl;
};

class Resumption : public ::testing::Test {
  protected:
    Resumption() {
        LeafContent content;
        content.not_after = UnixTime{} + 60;
        content.scheme = LeafScheme::kV2;
        leaf_ = *Credential::make({mint_leaf(content, key_, nullptr)}, key_);
        // A server with tickets and a cache, and a client that keeps what it is given.
        stock_server_ = SSL_CTX_new(TLS_server_method());
        stock_client_ = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_session_id_context(stock_server_, as_uchars(as_bytes("test")), 4);
        SSL_CTX_set_session_cache_mode(stock_client_, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(stock_client_, [](SSL* ssl, SSL_SESSION* session) {
            auto& kept = *static_cast<SSL_SESSION**>(SSL_get_app_data(ssl));
            SSL_SESSION_free(kept);  // a server sends two tickets
            kept = session;
            return 1;
        });
    }
    ~Resumption() override {
        SSL_SESSION_free(kept_);
        SSL_CTX_free(stock_server_);
        SSL_CTX_free(stock_client_);
    }

    std::shared_ptr<const Credential> leaf_;
    crypto::P256PrivateKey key_ = crypto::P256PrivateKey::generate();
    SSL_CTX* stock_server_;
    SSL_CTX* stock_client_;
    SSL_SESSION* kept_ = nullptr;
};

TEST_F(Resumption, OurClientNeverUsesATicketThatItWasGiven) {
    Result<ClientContext> context = ClientContext::make();
    for (int i = 0; i < 3; ++i) {
        StockPeer server(stock_server_);
        ASSERT_TRUE(leaf_->install(server.ssl));
        SSL_set_accept_state(server.ssl);
        auto client = std::move(*context->connect({.scheme = LeafScheme::kV2}));
        for (int turn = 0; turn < 10; ++turn) {
            client->advance();
            server.take_from(*client);
            SSL_do_handshake(server.ssl);
            server.give_to(*client);
        }
        ASSERT_EQ(client->progress(), Progress::kOpen) << client->failure();
        EXPECT_TRUE(client->read(10).empty());  // takes the tickets
        EXPECT_EQ(client->progress(), Progress::kOpen);
        EXPECT_EQ(SSL_get_num_tickets(server.ssl), 2u);
        EXPECT_EQ(SSL_session_reused(server.ssl), 0);
        EXPECT_TRUE(equal(client->peer_certificate(), leaf_->leaf_der()));
    }
}

TEST_F(Resumption, OurServerGivesNoTicketAndTakesNone) {
    // A good ticket of another server with the very same leaf.
    {
        StockPeer server(stock_server_), client(stock_client_);
        ASSERT_TRUE(leaf_->install(server.ssl));
        SSL_set_app_data(client.ssl, reinterpret_cast<char*>(&kept_));
        SSL_set_accept_state(server.ssl);
        SSL_set_connect_state(client.ssl);
        auto carry = [](SSL* from, SSL* to) {
            char buffer[65536];
            int count = BIO_read(SSL_get_wbio(from), buffer, sizeof buffer);
            if (count > 0) BIO_write(SSL_get_rbio(to), buffer, count);
        };
        for (int turn = 0; turn < 10; ++turn) {
            char byte = 0;
            SSL_do_handshake(client.ssl);
            if (SSL_is_init_finished(client.ssl)) SSL_read(client.ssl, &byte, 1);
            carry(client.ssl, server.ssl);
            SSL_do_handshake(server.ssl);
            carry(server.ssl, client.ssl);
        }
        ASSERT_NE(kept_, nullptr);
        ASSERT_EQ(SSL_SESSION_is_resumable(kept_), 1);
    }
    Result<ServerContext> context = ServerContext::make();
    auto server = context->accept();
    StockPeer client(stock_client_);
    SSL_SESSION* given = nullptr;
    SSL_set_app_data(client.ssl, reinterpret_cast<char*>(&given));
    SSL_set_connect_state(client.ssl);
    ASSERT_EQ(SSL_set_session(client.ssl, kept_), 1);
    int leaves = 0;
    for (int turn = 0; turn < 10; ++turn) {
        char byte = 0;
        SSL_do_handshake(client.ssl);
        if (SSL_is_init_finished(client.ssl)) SSL_read(client.ssl, &byte, 1);
        client.give_to(*server);
        if (server->advance() == Progress::kNeedsLeaf) {
            ++leaves;
            server->provide_leaf(leaf_);
            server->advance();
        }
        client.take_from(*server);
    }
    ASSERT_EQ(server->progress(), Progress::kOpen) << server->failure();
    EXPECT_EQ(leaves, 1);
    EXPECT_EQ(SSL_session_reused(client.ssl), 0);
    EXPECT_EQ(given, nullptr);
}

}  // namespace
}  // namespace eos::ratls
