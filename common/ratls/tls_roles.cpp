// SPDX-License-Identifier: AGPL-3.0-only
#include <openssl/ssl.h>
#include <openssl/x509.h>

// libssl's convenience macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

#include "common/base/assert.h"
#include "common/ratls/byte_bio.h"
#include "common/ratls/tls_callbacks.h"

namespace eos::ratls {
namespace {

// A certificate that never leaves the process: libssl wants one before the bound leaf can exist.
Result<std::shared_ptr<const Credential>> make_placeholder() {
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    X509* certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 0);
    X509_set_pubkey(certificate, key.handle());
    X509_sign(certificate, key.handle(), EVP_sha256());
    unsigned char* der = nullptr;
    int size = i2d_X509(certificate, &der);
    X509_free(certificate);
    if (size <= 0) return fail(tls_setup_failed, "placeholder certificate");
    Bytes bytes = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    return Credential::make({bytes}, key);
}

// RFC 7301 §3.1: names, each after its size.
Bytes protocol_list(std::initializer_list<std::string_view> names) {
    Bytes out;
    for (std::string_view name : names) {
        out.push_back(static_cast<std::byte>(name.size()));
        append(out, as_bytes(name));
    }
    return out;
}

}  // namespace

ServerSession::ServerSession(ssl_ctx_st* context, std::shared_ptr<const Credential> placeholder,
                             ServedProtocols protocols)
    : TlsSession(context), placeholder_(std::move(placeholder)), protocols_(protocols) {
    SSL_set_accept_state(ssl_);
}

ServerSession::~ServerSession() {
    // A fibre that waits for a leaf must run to its end, or its stack leaks.
    if (progress_ == Progress::kNeedsLeaf) {
        refuse_leaf(LeafRefusal::kUnavailable, "the connection went away");
        advance();
    }
}

void ServerSession::provide_leaf(std::shared_ptr<const Credential> credential) {
    EOS_ASSERT(progress_ == Progress::kNeedsLeaf && decision_ == Leaf::kUndecided && credential);
    leaf_ = std::move(credential);
    decision_ = Leaf::kProvided;
}

void ServerSession::refuse_leaf(LeafRefusal refusal, std::string why) {
    EOS_ASSERT(progress_ == Progress::kNeedsLeaf && decision_ == Leaf::kUndecided);
    decision_ = Leaf::kRefused;
    refusal_ = refusal;
    failure_ = std::move(why);
}

std::optional<crypto::P256PublicKey> ServerSession::client_key() const {
    X509* certificate = SSL_get0_peer_certificate(ssl_);
    if (certificate == nullptr) return std::nullopt;
    unsigned char* der = nullptr;
    int size = i2d_PUBKEY(X509_get0_pubkey(certificate), &der);
    if (size <= 0) return std::nullopt;
    Result<crypto::P256PublicKey> key = crypto::P256PublicKey::from_spki(
        std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    if (!key) return std::nullopt;
    return *key;
}

Result<ServerContext> ServerContext::make(ServedProtocols protocols) {
    ContextHandle context(SSL_CTX_new(TLS_server_method()));
    if (!context || !TlsSession::Callbacks::configure(context.get()) ||
        !TlsSession::Callbacks::configure_server(context.get())) {
        return fail(tls_setup_failed, "server");
    }
    std::shared_ptr<const Credential> placeholder = EOS_TRY(make_placeholder());
    return ServerContext(std::move(context), std::move(placeholder), protocols);
}

std::unique_ptr<ServerSession> ServerContext::accept() const {
    return std::unique_ptr<ServerSession>(
        new ServerSession(context_.get(), placeholder_, protocols_));
}

ClientSession::~ClientSession() = default;

Result<ClientContext> ClientContext::make() {
    ContextHandle context(SSL_CTX_new(TLS_client_method()));
    Bytes protocols = protocol_list({"http/1.1"});
    if (!context || !TlsSession::Callbacks::configure(context.get()) ||
        SSL_CTX_set_alpn_protos(context.get(), as_uchars(protocols),
                                static_cast<unsigned>(protocols.size())) != 0) {
        return fail(tls_setup_failed, "client");
    }
    // CertificateVerify is always checked; the chain is the caller's to verify, with the evidence.
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    return ClientContext(std::move(context));
}

Result<std::unique_ptr<ClientSession>> ClientContext::connect(const ClientOptions& options) const {
    std::unique_ptr<ClientSession> session(new ClientSession(context_.get()));
    SSL_set_connect_state(session->ssl_);
    session->offer_.server_name = options.server_name;
    if (!options.server_name.empty() &&
        SSL_set_tlsext_host_name(session->ssl_, options.server_name.c_str()) != 1) {
        return fail(tls_setup_failed, "not a host name");
    }
    if (options.nonce) session->offer_.nonce = to_bytes(*options.nonce);
    if (options.scheme == LeafScheme::kV2) {
        EOS_ASSERT(!options.nonce);
        session->offer_.scheme = LeafScheme::kV2;
        Bytes protocols = protocol_list({kV2Protocol, "http/1.1"});
        if (SSL_set_alpn_protos(session->ssl_, as_uchars(protocols),
                                static_cast<unsigned>(protocols.size())) != 0) {
            return fail(tls_setup_failed, "ALPN");
        }
    }
    if (options.credential) EOS_TRY(options.credential->install(session->ssl_));
    return session;
}

}  // namespace eos::ratls
