// SPDX-License-Identifier: AGPL-3.0-only
// The binder against a client that is not ours: plain libssl, its own transcript, libcrypto's
// TLS13-KDF. Replacing the certificate in the EncryptedExtensions callback is not documented by
// OpenSSL; this test pins it.
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>

#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "common/oid/registry.h"
#include "common/ratls/leaf.h"
#include "common/ratls/tls_session.h"

#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace eos::ratls {
namespace {

struct StockClient {
    explicit StockClient(const char* groups, const char* suite)
        : context(SSL_CTX_new(TLS_client_method())) {
        SSL_CTX_set1_groups_list(context, groups);
        SSL_CTX_set_ciphersuites(context, suite);
        SSL_CTX_add_custom_ext(context, kChallengeExtension, SSL_EXT_CLIENT_HELLO, add_nonce,
                               nullptr, this, nullptr, nullptr);
        SSL_CTX_set_keylog_callback(context, keylog);
        SSL_CTX_set_msg_callback(context, message);
        SSL_CTX_set_msg_callback_arg(context, this);
        ssl = SSL_new(context);
        SSL_set_app_data(ssl, reinterpret_cast<char*>(this));
        SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(ssl);
    }
    ~StockClient() {
        SSL_free(ssl);
        SSL_CTX_free(context);
    }

    static int add_nonce(SSL*, unsigned, unsigned, const unsigned char** out, std::size_t* size,
                         X509*, std::size_t, int*, void* self) {
        const Bytes& value = static_cast<StockClient*>(self)->nonce;
        *out = as_uchars(value);
        *size = value.size();
        return 1;
    }
    static void keylog(const SSL* ssl, const char* line) {
        std::string_view text(line);
        auto* self = reinterpret_cast<StockClient*>(SSL_get_app_data(ssl));
        if (text.starts_with("CLIENT_HANDSHAKE_TRAFFIC_SECRET ")) {
            self->secret = *from_hex(text.substr(text.rfind(' ') + 1));
        }
    }
    static void message(int, int, int type, const void* data, std::size_t size, SSL*, void* self) {
        ByteView bytes(static_cast<const std::byte*>(data), size);
        if (type == SSL3_RT_ALERT) {
            static_cast<StockClient*>(self)->alerts.push_back(std::to_integer<int>(bytes[1]));
        }
        bool hello =
            type == SSL3_RT_HANDSHAKE && (bytes[0] == std::byte{1} || bytes[0] == std::byte{2});
        if (hello) static_cast<StockClient*>(self)->hellos.push_back(to_bytes(bytes));
    }

    Bytes expected_binder() const {
        const EVP_MD* md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));
        Bytes transcript;
        std::size_t first = 0;
        if (hellos.size() == 4) {  // ClientHello, HelloRetryRequest, ClientHello, ServerHello
            Bytes digest = digest_of(md, hellos[0]);
            transcript = {std::byte{254}, std::byte{0}, std::byte{0},
                          static_cast<std::byte>(digest.size())};
            append(transcript, digest);
            first = 1;
        }
        for (std::size_t i = first; i < hellos.size(); ++i) append(transcript, hellos[i]);
        Bytes context_hash = digest_of(md, transcript);
        return expand(md, context_hash);
    }
    static Bytes digest_of(const EVP_MD* md, ByteView bytes) {
        Bytes out(static_cast<std::size_t>(EVP_MD_get_size(md)));
        EVP_Digest(bytes.data(), bytes.size(), as_writable_uchars(out), nullptr, md, nullptr);
        return out;
    }
    Bytes expand(const EVP_MD* md, Bytes context_hash) const {
        EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr);
        EVP_KDF_CTX* derive = EVP_KDF_CTX_new(kdf);
        int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
        Bytes key = secret;
        char prefix[] = "tls13 ";
        char label[] = "privasys-ratls-binder-v1";
        OSSL_PARAM params[] = {
            OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
            OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                             const_cast<char*>(EVP_MD_get0_name(md)), 0),
            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, sizeof prefix - 1),
            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, label, sizeof label - 1),
            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_DATA, context_hash.data(),
                                              context_hash.size()),
            OSSL_PARAM_construct_end()};
        Bytes out(kBinderBytes);
        EXPECT_EQ(EVP_KDF_derive(derive, as_writable_uchars(out), out.size(), params), 1);
        EVP_KDF_CTX_free(derive);
        EVP_KDF_free(kdf);
        return out;
    }

    SSL_CTX* context;
    SSL* ssl;
    Bytes nonce = to_bytes(crypto::random_array<32>());
    Bytes secret;
    std::vector<Bytes> hellos;
    std::vector<int> alerts;
};

struct Case {
    const char* groups;
    const char* suite;
    std::size_t hello_count;
};

class BinderTest : public ::testing::TestWithParam<Case> {
  protected:
    void to_server() {
        char buffer[65536];
        int count = BIO_read(SSL_get_wbio(client.ssl), buffer, sizeof buffer);
        if (count > 0)
            server->receive(std::as_bytes(std::span(buffer, static_cast<std::size_t>(count))));
    }
    void to_client() {
        ByteView out = server->output();
        BIO_write(SSL_get_rbio(client.ssl), out.data(), static_cast<int>(out.size()));
        server->output_taken(out.size());
    }
    std::shared_ptr<const Credential> leaf() {
        LeafContent content;
        content.not_after = UnixTime{} + 60;
        content.evidence_oid = oid::kSgxQuote;
        content.assurance = "process";
        return *Credential::make({mint_leaf(content, key, nullptr)}, key);
    }

    StockClient client{GetParam().groups, GetParam().suite};
    Result<ServerContext> context = ServerContext::make();
    std::unique_ptr<ServerSession> server = context->accept();
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
};

TEST_P(BinderTest, ServerAndStockClientAgreeAndTheReplacedLeafIsTheOneSent) {
    std::shared_ptr<const Credential> credential = leaf();
    for (int turn = 0; turn < 10 && !SSL_is_init_finished(client.ssl); ++turn) {
        SSL_do_handshake(client.ssl);
        to_server();
        if (server->advance() == Progress::kNeedsLeaf) {
            EXPECT_TRUE(equal(*server->offer().nonce, client.nonce));
            server->provide_leaf(credential);
            server->advance();
        }
        to_client();
    }
    ASSERT_TRUE(SSL_is_init_finished(client.ssl));
    ASSERT_EQ(client.hellos.size(), GetParam().hello_count);
    ASSERT_TRUE(server->offer().binder.has_value());
    EXPECT_EQ(hex(*server->offer().binder), hex(client.expected_binder()));
    X509* sent = SSL_get0_peer_certificate(client.ssl);
    EXPECT_EQ(X509_check_private_key(sent, key.handle()), 1);
}

TEST_P(BinderTest, AStockClientIsToldThatItsChallengeIsOverALimit) {
    int names_asked = 0;
    server->set_known_names([&](std::string_view) { return ++names_asked > 0; });
    for (int turn = 0; turn < 10; ++turn) {
        SSL_do_handshake(client.ssl);
        to_server();
        if (server->advance() == Progress::kNeedsLeaf) {
            server->refuse_leaf(LeafRefusal::kOverLimit, "over a limit");
            server->advance();
        }
        to_client();
    }
    EXPECT_FALSE(SSL_is_init_finished(client.ssl));
    EXPECT_EQ(SSL_get0_peer_certificate(client.ssl), nullptr);
    EXPECT_EQ(client.alerts, std::vector<int>{49});
    // The name is looked at for every ClientHello: half the hellos are the client's.
    EXPECT_EQ(static_cast<std::size_t>(names_asked), GetParam().hello_count / 2);
}

INSTANTIATE_TEST_SUITE_P(
    SuitesAndRetry, BinderTest,
    ::testing::Values(Case{"X25519", "TLS_AES_256_GCM_SHA384", 2},
                      Case{"X25519", "TLS_AES_128_GCM_SHA256", 2},
                      // P-384 is offered first and not ours: a HelloRetryRequest follows.
                      Case{"P-384:X25519", "TLS_AES_256_GCM_SHA384", 4},
                      Case{"P-384:P-256", "TLS_AES_128_GCM_SHA256", 4}));

}  // namespace
}  // namespace eos::ratls
