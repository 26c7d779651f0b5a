// SPDX-License-Identifier: AGPL-3.0-only
// A HelloRetryRequest lets the client say its hello a second time: who then asks for something else
// than before could be shown what was chosen for the first.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <functional>

#include "common/crypto/random.h"
#include "common/oid/registry.h"
#include "common/ratls/leaf.h"
#include "common/ratls/tls_session.h"

#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace eos::ratls {
namespace {

/// Plain libssl, which offers a group of its own first and changes its mind when it is asked again.
class FickleClient {
  public:
    FickleClient() : context_(SSL_CTX_new(TLS_client_method())) {
        SSL_CTX_set1_groups_list(context_, "P-384:X25519");
        SSL_CTX_add_custom_ext(context_, kChallengeExtension, SSL_EXT_CLIENT_HELLO, add_nonce,
                               nullptr, this, nullptr, nullptr);
        SSL_CTX_set_msg_callback(context_, message);
        SSL_CTX_set_msg_callback_arg(context_, this);
        ssl = SSL_new(context_);
        SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(ssl);
        SSL_set_tlsext_host_name(ssl, "a.test");
        speak({"http/1.1"});
    }
    FickleClient(const FickleClient&) = delete;
    FickleClient& operator=(const FickleClient&) = delete;
    ~FickleClient() {
        SSL_free(ssl);
        SSL_CTX_free(context_);
    }

    void speak(std::initializer_list<std::string_view> protocols) {
        Bytes list;
        for (std::string_view name : protocols) {
            list.push_back(static_cast<std::byte>(name.size()));
            append(list, as_bytes(name));
        }
        SSL_set_alpn_protos(ssl, as_uchars(list), static_cast<unsigned>(list.size()));
    }

    SSL* ssl;
    std::optional<Bytes> nonce;
    std::function<void()> on_retry_request;
    int hellos = 0;
    std::vector<int> alerts;

  private:
    static int add_nonce(SSL*, unsigned, unsigned, const unsigned char** out, std::size_t* size,
                         X509*, std::size_t, int*, void* self) {
        const std::optional<Bytes>& value = static_cast<FickleClient*>(self)->nonce;
        if (!value) return 0;
        *out = as_uchars(*value);
        *size = value->size();
        return 1;
    }
    static void message(int is_write, int, int type, const void* data, std::size_t size, SSL*,
                        void* self) {
        auto& client = *static_cast<FickleClient*>(self);
        const ByteView bytes(static_cast<const std::byte*>(data), size);
        if (type == SSL3_RT_ALERT) client.alerts.push_back(std::to_integer<int>(bytes[1]));
        if (type != SSL3_RT_HANDSHAKE) return;
        if (is_write == 1 && bytes[0] == std::byte{1}) ++client.hellos;
        const bool is_answer = is_write == 0 && bytes[0] == std::byte{2};
        if (is_answer && client.hellos == 1 && client.on_retry_request) client.on_retry_request();
    }

    SSL_CTX* context_;
};

class SecondHelloTest : public ::testing::Test {
  protected:
    void shake_hands() {
        for (int turn = 0; turn < 10; ++turn) {
            SSL_do_handshake(client.ssl);
            char buffer[65536];
            const int count = BIO_read(SSL_get_wbio(client.ssl), buffer, sizeof buffer);
            if (count > 0)
                server->receive(std::as_bytes(std::span(buffer, static_cast<std::size_t>(count))));
            if (server->advance() == Progress::kNeedsLeaf) {
                ++leaves_asked;
                server->provide_leaf(leaf);
                server->advance();
            }
            const ByteView out = server->output();
            BIO_write(SSL_get_rbio(client.ssl), out.data(), static_cast<int>(out.size()));
            server->output_taken(out.size());
        }
    }
    /// Ended with illegal_parameter, before any certificate went out.
    void expect_refused() {
        shake_hands();
        EXPECT_EQ(client.hellos, 2);
        EXPECT_EQ(server->progress(), Progress::kFailed);
        EXPECT_EQ(SSL_get0_peer_certificate(client.ssl), nullptr);
        EXPECT_EQ(client.alerts, std::vector<int>{47});
        EXPECT_EQ(server->failure(), "the second ClientHello asks for something else");
    }
    void expect_open() {
        shake_hands();
        EXPECT_EQ(client.hellos, 2);
        ASSERT_TRUE(SSL_is_init_finished(client.ssl)) << server->failure();
        EXPECT_EQ(server->progress(), Progress::kOpen);
        EXPECT_EQ(leaves_asked, 1);
        EXPECT_EQ(X509_check_private_key(SSL_get0_peer_certificate(client.ssl), key.handle()), 1);
    }
    std::shared_ptr<const Credential> make_leaf() {
        LeafContent content;
        content.not_after = UnixTime{} + 60;
        content.evidence_oid = oid::kSgxQuote;
        content.assurance = "process";
        return *Credential::make({mint_leaf(content, key, nullptr)}, key);
    }
    static Bytes new_nonce() { return to_bytes(crypto::random_array<32>()); }

    FickleClient client;
    Result<ServerContext> context = ServerContext::make();
    std::unique_ptr<ServerSession> server = context->accept();
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    std::shared_ptr<const Credential> leaf = make_leaf();
    int leaves_asked = 0;
};

TEST_F(SecondHelloTest, WhoAsksForTheSameAgainIsServed) {
    expect_open();
    EXPECT_FALSE(server->is_bound());
}

TEST_F(SecondHelloTest, WhoChallengesTheSameAgainIsServed) {
    client.nonce = new_nonce();
    expect_open();
    EXPECT_TRUE(server->is_bound());
}

TEST_F(SecondHelloTest, AChallengeIsNotTakenBack) {
    client.nonce = new_nonce();
    client.on_retry_request = [this] { client.nonce.reset(); };
    expect_refused();
    EXPECT_EQ(leaves_asked, 0);
}

TEST_F(SecondHelloTest, AChallengeIsNotAddedToALeafThatWasChosenWithoutOne) {
    client.on_retry_request = [this] { client.nonce = new_nonce(); };
    expect_refused();
}

TEST_F(SecondHelloTest, AChallengeIsNotReplaced) {
    client.nonce = new_nonce();
    client.on_retry_request = [this] { client.nonce = new_nonce(); };
    expect_refused();
}

TEST_F(SecondHelloTest, ALeafOfOneNameIsNotShownUnderAnother) {
    client.on_retry_request = [this] { SSL_set_tlsext_host_name(client.ssl, "b.test"); };
    expect_refused();
}

TEST_F(SecondHelloTest, ANameIsNotLeftAway) {
    client.on_retry_request = [this] { SSL_set_tlsext_host_name(client.ssl, nullptr); };
    expect_refused();
}

TEST_F(SecondHelloTest, ALeafOfOneGenerationIsNotShownToWhoAsksForTheOther) {
    client.on_retry_request = [this] { client.speak({kV2Protocol, "http/1.1"}); };
    expect_refused();
}

}  // namespace
}  // namespace eos::ratls
