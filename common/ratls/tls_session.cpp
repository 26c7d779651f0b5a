// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/tls_session.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/base/assert.h"
#include "common/ratls/byte_bio.h"
#include "common/ratls/tls_callbacks.h"

namespace eos::ratls {
namespace {

constexpr std::uint64_t kMinuteMs = 60'000;
constexpr std::size_t kMaxChainCertificates = 4;
// What one TLS record holds at most (RFC 8446 §5.1).
constexpr std::size_t kRecordBytes = 16 * 1024;

Bytes certificate_der(X509* certificate) {
    unsigned char* der = nullptr;
    int size = i2d_X509(certificate, &der);
    if (size <= 0) return {};
    Bytes out = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    return out;
}

// The library's own words for the newest error; they name no peer data.
std::string newest_tls_error() {
    unsigned long code = ERR_peek_last_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    ERR_clear_error();
    return reason == nullptr ? "the peer closed the connection" : reason;
}

}  // namespace

Result<std::shared_ptr<const Credential>> Credential::make(const std::vector<Bytes>& chain,
                                                           const crypto::P256PrivateKey& leaf_key) {
    if (chain.empty() || chain.size() > kMaxChainCertificates) {
        return fail(bad_credential, std::to_string(chain.size()) + " certificates");
    }
    std::shared_ptr<Credential> out(new Credential());
    for (const Bytes& der : chain) {
        const unsigned char* p = as_uchars(der);
        X509* certificate = d2i_X509(nullptr, &p, static_cast<long>(der.size()));
        if (certificate == nullptr || p != as_uchars(der) + der.size()) {
            X509_free(certificate);
            return fail(bad_credential, "a certificate is not DER");
        }
        if (out->leaf_ == nullptr) {
            out->leaf_ = certificate;
        } else {
            out->issuers_.push_back(certificate);
        }
    }
    if (X509_check_private_key(out->leaf_, leaf_key.handle()) != 1) {
        return fail(bad_credential, "the key is not the leaf's");
    }
    EOS_ASSERT(EVP_PKEY_up_ref(leaf_key.handle()) == 1);
    out->key_.reset(leaf_key.handle());
    out->leaf_der_ = chain.front();
    return std::shared_ptr<const Credential>(std::move(out));
}

Credential::~Credential() {
    X509_free(leaf_);
    for (X509* issuer : issuers_) X509_free(issuer);
}

Result<void> Credential::install(ssl_st* ssl) const {
    SSL_clear_chain_certs(ssl);
    bool ok = SSL_use_certificate(ssl, leaf_) == 1 && SSL_use_PrivateKey(ssl, key_.get()) == 1;
    for (X509* issuer : issuers_) ok = ok && SSL_add1_chain_cert(ssl, issuer) == 1;
    if (!ok) return fail(bad_credential, newest_tls_error());
    return {};
}

TlsSession::TlsSession(ssl_ctx_st* context)
    : ssl_(SSL_new(context)), bio_(std::make_unique<ByteBio>()) {
    EOS_ASSERT(ssl_ != nullptr);
    // SSL_set_bio takes one reference for each direction; the ByteBio keeps its own.
    BIO_up_ref(bio_->handle());
    BIO_up_ref(bio_->handle());
    SSL_set0_rbio(ssl_, bio_->handle());
    SSL_set0_wbio(ssl_, bio_->handle());
    Callbacks::attach(ssl_, *this);
}

TlsSession::~TlsSession() {
    secure_wipe(client_secret_);
    SSL_free(ssl_);
}

void ContextFree::operator()(ssl_ctx_st* context) const {
    SSL_CTX_free(context);
}

void TlsSession::receive(ByteView ciphertext) {
    bio_->receive(ciphertext);
}
ByteView TlsSession::output() const {
    return bio_->output();
}
void TlsSession::output_taken(std::size_t count) {
    bio_->output_taken(count);
}
std::size_t TlsSession::unread_bytes() const {
    return bio_->unread_bytes();
}

void TlsSession::fail_session(std::string why) {
    if (progress_ == Progress::kFailed) return;
    progress_ = Progress::kFailed;
    failure_ = std::move(why);
}

Progress TlsSession::advance() {
    bool over = progress_ == Progress::kOpen || progress_ == Progress::kClosed ||
                progress_ == Progress::kFailed;
    if (over) return progress_;
    ERR_clear_error();
    int outcome = SSL_do_handshake(ssl_);
    if (outcome == 1) {
        // Only the handshake can pause; without the mode reads and writes need no fibre.
        SSL_clear_mode(ssl_, SSL_MODE_ASYNC);
        // Neither side offers it; a resumed handshake would show no certificate.
        if (SSL_session_reused(ssl_) == 1) {
            fail_session("the handshake resumed a session");
            return progress_;
        }
        if (!may_open()) {
            fail_session("the handshake ended without a leaf");
            return progress_;
        }
        if (!SSL_is_server(ssl_) && offer_.nonce) make_binder();
        hellos_ = {};
        return progress_ = Progress::kOpen;
    }
    switch (SSL_get_error(ssl_, outcome)) {
        case SSL_ERROR_WANT_READ:
            return progress_ = Progress::kNeedsInput;
        case SSL_ERROR_WANT_CLIENT_HELLO_CB:
            // A challenge was seen: from here on the handshake runs in a fibre that can be paused.
            SSL_set_mode(ssl_, SSL_MODE_ASYNC);
            return advance();
        case SSL_ERROR_WANT_X509_LOOKUP:
        case SSL_ERROR_WANT_ASYNC:
            return progress_ = paused();
        default:
            if (progress_ != Progress::kFailed) {
                const std::string error = newest_tls_error();
                fail_session(failure_.empty() ? error : failure_);
            }
            return progress_;
    }
}

Result<ChannelBinding> TlsSession::bind_channel(AttestedEnd end,
                                                const ByteArray<32>& context) const {
    if (progress_ != Progress::kOpen && progress_ != Progress::kClosed) {
        return fail(tls_failed, "the handshake is not done");
    }
    ChannelBinding out{context, {}};
    std::string_view label = exporter_label(end);
    int ok = SSL_export_keying_material(ssl_, as_writable_uchars(out.exporter), out.exporter.size(),
                                        label.data(), label.size(), as_uchars(context),
                                        context.size(), 1);
    if (ok != 1) return fail(tls_failed, newest_tls_error());
    return out;
}

Bytes TlsSession::read(std::size_t limit) {
    Bytes out;
    if (progress_ != Progress::kOpen) return out;
    ERR_clear_error();
    ByteArray<kRecordBytes> record;
    while (out.size() < limit) {
        std::size_t count = 0;
        const std::size_t room = std::min(limit - out.size(), record.size());
        int outcome = SSL_read_ex(ssl_, record.data(), room, &count);
        append(out, ByteView(record).first(count));
        if (outcome == 1) continue;
        int error = SSL_get_error(ssl_, outcome);
        if (error == SSL_ERROR_ZERO_RETURN) {
            progress_ = Progress::kClosed;
        } else if (error != SSL_ERROR_WANT_READ) {
            fail_session(newest_tls_error());
        }
        break;
    }
    return out;
}

void TlsSession::write(ByteView plaintext) {
    if (progress_ != Progress::kOpen && progress_ != Progress::kClosed) return;
    if (plaintext.empty()) return;
    ERR_clear_error();
    std::size_t written = 0;
    // The output buffer takes everything, so a partial write cannot happen.
    if (SSL_write_ex(ssl_, plaintext.data(), plaintext.size(), &written) != 1) {
        fail_session(newest_tls_error());
        return;
    }
    EOS_ASSERT(written == plaintext.size());
}

void TlsSession::close() {
    if (progress_ == Progress::kOpen || progress_ == Progress::kClosed) SSL_shutdown(ssl_);
    ERR_clear_error();
}

Bytes TlsSession::peer_certificate() const {
    X509* certificate = SSL_get0_peer_certificate(ssl_);
    return certificate == nullptr ? Bytes{} : certificate_der(certificate);
}

std::vector<Bytes> TlsSession::peer_chain() const {
    std::vector<Bytes> out;
    STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl_);
    // A server's view of the chain leaves the client's own certificate out.
    if (SSL_is_server(ssl_)) out.push_back(peer_certificate());
    for (int i = 0; i < sk_X509_num(chain); ++i)
        out.push_back(certificate_der(sk_X509_value(chain, i)));
    return out;
}

void TlsSession::saw_handshake_message(ByteView message) {
    hellos_.push_back(to_bytes(message));
}

void TlsSession::saw_key_update() {
    if (now_ms_ - key_update_window_ms_ >= kMinuteMs) {
        key_update_window_ms_ = now_ms_;
        key_updates_ = 0;
    }
    if (++key_updates_ > kMaxKeyUpdatesPerMinute) fail_session("too many KeyUpdates in a minute");
}

// RFC 8446 §6: level and description; the level says nothing, and two descriptions end nothing.
void TlsSession::saw_alert(ByteView alert) {
    if (alert.size() != 2) return;
    unsigned number = std::to_integer<unsigned>(alert[1]);
    if (number == SSL3_AD_CLOSE_NOTIFY || number == TLS1_AD_USER_CANCELLED) return;
    received_alert_ = static_cast<Alert>(number);
}

void TlsSession::make_binder() {
    const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_);
    if (cipher == nullptr) cipher = SSL_get_pending_cipher(ssl_);
    if (cipher == nullptr || client_secret_.empty()) {
        fail_session("the handshake secret is not available for the binder");
        return;
    }
    bool sha384 = EVP_MD_get_size(SSL_CIPHER_get_handshake_digest(cipher)) == 48;
    crypto::HashKind hash = sha384 ? crypto::HashKind::kSha384 : crypto::HashKind::kSha256;
    offer_.binder = handshake_binder(hash, client_secret_, transcript_hash(hash, hellos_));
    secure_wipe(client_secret_);
    client_secret_.clear();
}

}  // namespace eos::ratls
