// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/tls_callbacks.h"

#include <openssl/async.h>

#include <array>
#include <cctype>

#include "common/base/assert.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"

// libssl's convenience macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace eos::ratls {
namespace {

constexpr std::string_view kClientSecretLabel = "CLIENT_HANDSHAKE_TRAFFIC_SECRET ";

int session_index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

// RFC 7301: a list of length-prefixed names.
bool offers_protocol(ByteView list, std::string_view name) {
    while (!list.empty()) {
        std::size_t size = std::to_integer<std::size_t>(list[0]);
        if (size + 1 > list.size()) return false;
        if (as_chars(list.subspan(1, size)) == name) return true;
        list = list.subspan(1 + size);
    }
    return false;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

}  // namespace

void TlsSession::Callbacks::attach(SSL* ssl, TlsSession& session) {
    EOS_ASSERT(SSL_set_ex_data(ssl, session_index(), &session) == 1);
}

TlsSession& TlsSession::Callbacks::session(const SSL* ssl) {
    return *static_cast<TlsSession*>(SSL_get_ex_data(ssl, session_index()));
}

ServerSession& TlsSession::Callbacks::server(SSL* ssl) {
    EOS_ASSERT(SSL_is_server(ssl));
    return static_cast<ServerSession&>(session(ssl));
}

bool TlsSession::Callbacks::configure(SSL_CTX* context) {
    SSL_CTX_set_keylog_callback(context, key_logged);
    SSL_CTX_set_msg_callback(context, message_seen);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1 &&
           SSL_CTX_set_ciphersuites(context,
                                    "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:"
                                    "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
           SSL_CTX_set1_sigalgs_list(context, "ECDSA+SHA256") == 1 &&
           SSL_CTX_add_custom_ext(
               context, kChallengeExtension,
               SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS |
                   SSL_EXT_TLS1_3_CERTIFICATE_REQUEST | SSL_EXT_IGNORE_ON_RESUMPTION,
               add_extension, free_extension, nullptr, parse_extension, nullptr) == 1;
}

bool TlsSession::Callbacks::configure_server(SSL_CTX* context) {
    SSL_CTX_set_client_hello_cb(context, client_hello, nullptr);
    SSL_CTX_set_tlsext_servername_callback(context, server_name);
    SSL_CTX_set_cert_cb(context, choose_leaf, nullptr);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
    SSL_CTX_set_max_early_data(context, 0);
    SSL_CTX_set_max_cert_list(context, 16 * 1024);
    return SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set1_client_sigalgs_list(context, "ECDSA+SHA256") == 1;
}

// Any certificate will do: that its key signed is all that is taken from it.
void TlsSession::Callbacks::ask_for_client_certificate(SSL* ssl) {
    SSL_set_verify(ssl, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
}

// RFC 7301 §3.1: the list is preceded by its size.
LeafScheme TlsSession::Callbacks::scheme_asked_for(SSL* ssl) {
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    bool has_list =
        SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data,
                                  &size) == 1 &&
        size >= 2;
    if (!has_list) return LeafScheme::kV1;
    ByteView list = std::as_bytes(std::span(data, size)).subspan(2);
    return offers_protocol(list, kV2Protocol) ? LeafScheme::kV2 : LeafScheme::kV1;
}

// Of what the leaf is chosen by: name, protocols, challenge. Which of them are there counts, too.
crypto::Digest32 TlsSession::Callbacks::choice_of(SSL* ssl) {
    Writer out;
    for (unsigned type : std::array<unsigned, 3>{TLSEXT_TYPE_server_name,
                                                 TLSEXT_TYPE_application_layer_protocol_negotiation,
                                                 kChallengeExtension}) {
        const unsigned char* data = nullptr;
        std::size_t size = 0;
        const bool is_there = SSL_client_hello_get0_ext(ssl, type, &data, &size) == 1;
        out.u8(is_there ? 1 : 0).u32be(static_cast<std::uint32_t>(size));
        out.bytes(std::as_bytes(std::span(data, size)));
    }
    return crypto::sha256(out.view());
}

// Only a handshake with a challenge pays for a fibre: seen here, before anything else happens. The
// leaf is chosen before libssl looks at the protocols offered, so that these are read here, too.
int TlsSession::Callbacks::client_hello(SSL* ssl, int* alert, void*) {
    ServerSession& self = server(ssl);
    // After a HelloRetryRequest this runs again: the leaf was chosen, or is on its way, for what
    // was asked first, and libssl does not compare (RFC 8446 §4.1.2).
    const crypto::Digest32 choice = choice_of(ssl);
    if (self.choice_.value_or(choice) != choice) {
        self.failure_ = "the second ClientHello asks for something else";
        *alert = static_cast<int>(Alert::kIllegalParameter);
        return SSL_CLIENT_HELLO_ERROR;
    }
    self.choice_ = choice;
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    bool challenged = SSL_client_hello_get0_ext(ssl, kChallengeExtension, &data, &size) == 1;
    bool in_fibre = (SSL_get_mode(ssl) & SSL_MODE_ASYNC) != 0;
    self.offer_.scheme = challenged ? LeafScheme::kV1 : scheme_asked_for(ssl);
    if (self.offer_.scheme == LeafScheme::kV2) ask_for_client_certificate(ssl);
    return challenged && !in_fibre ? SSL_CLIENT_HELLO_RETRY : SSL_CLIENT_HELLO_SUCCESS;
}

// Runs when all extensions have been read, with or without a name, for a second ClientHello again.
int TlsSession::Callbacks::server_name(SSL* ssl, int* alert, void*) {
    ServerSession& self = server(ssl);
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    self.offer_.server_name = name == nullptr ? std::string() : lower(name);
    if (self.knows_name_ && !self.knows_name_(self.offer_.server_name)) {
        self.failure_ = "unknown server name";
        *alert = static_cast<int>(alert_of(LeafRefusal::kUnknownName));
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return name == nullptr ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK;
}

int TlsSession::Callbacks::choose_leaf(SSL* ssl, void*) {
    ServerSession& self = server(ssl);
    if (self.offer_.nonce) {
        // libssl must choose a signature algorithm now; the bound leaf replaces this one before
        // Certificate is built, or the handshake ends (await_bound_leaf).
        return self.placeholder_->install(ssl).has_value() ? 1 : 0;
    }
    if (self.decision_ == ServerSession::Leaf::kUndecided) return -1;
    bool ok =
        self.decision_ == ServerSession::Leaf::kProvided && self.leaf_->install(ssl).has_value();
    return ok ? 1 : 0;
}

// HTTP/2 before HTTP/1.1, whatever the client's order. Clients of the v2 protocol offer a routing
// hint beside it, which is let pass.
int TlsSession::Callbacks::choose_protocol(SSL* ssl, const unsigned char** out,
                                           unsigned char* out_size, const unsigned char* in,
                                           unsigned in_size, void*) {
    static constexpr std::string_view kHttp2 = "h2";
    static constexpr std::string_view kHttp11 = "http/1.1";
    ServerSession& self = server(ssl);
    const ByteView offered = std::as_bytes(std::span(in, in_size));
    const bool speaks_http2 = self.protocols_ == ServedProtocols::kHttp2AndHttp1;
    std::string_view chosen;
    if (speaks_http2 && offers_protocol(offered, kHttp2)) {
        chosen = kHttp2;
    } else if (offers_protocol(offered, kHttp11)) {
        chosen = kHttp11;
    } else {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    self.protocol_ = chosen == kHttp2 ? Protocol::kHttp2 : Protocol::kHttp1;
    *out = as_uchars(as_bytes(chosen));
    *out_size = static_cast<unsigned char>(chosen.size());
    return SSL_TLSEXT_ERR_OK;
}

int TlsSession::Callbacks::add_extension(SSL* ssl, unsigned, unsigned context,
                                         const unsigned char** out, std::size_t* size, X509*,
                                         std::size_t, int* alert, void*) {
    TlsSession& self = session(ssl);
    if (context == SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS) return await_bound_leaf(ssl, alert);
    if (context == SSL_EXT_TLS1_3_CERTIFICATE_REQUEST) return 0;
    // ClientHello. After a HelloRetryRequest this runs again and must send the same nonce (RFC 8446
    // §4.1.2).
    if (SSL_is_server(ssl) || !self.offer_.nonce) return 0;
    *out = as_uchars(*self.offer_.nonce);
    *size = self.offer_.nonce->size();
    return 1;
}

// EncryptedExtensions is built after the handshake secret exists and before Certificate: here the
// bound leaf is asked for, waited for in a fibre, and installed. Nothing is added to the message.
int TlsSession::Callbacks::await_bound_leaf(SSL* ssl, int* alert) {
    if (!SSL_is_server(ssl)) return 0;
    ServerSession& self = server(ssl);
    self.make_binder();
    while (self.decision_ == ServerSession::Leaf::kUndecided &&
           self.progress_ != Progress::kFailed) {
        // Without a fibre there is no way to wait, and an unbound leaf must not go out.
        if (ASYNC_get_current_job() == nullptr || ASYNC_pause_job() != 1) break;
    }
    if (self.decision_ == ServerSession::Leaf::kProvided && self.leaf_->install(ssl).has_value())
        return 0;
    bool refused = self.decision_ == ServerSession::Leaf::kRefused;
    *alert = static_cast<int>(alert_of(refused ? self.refusal_ : LeafRefusal::kUnavailable));
    return -1;
}

int TlsSession::Callbacks::parse_extension(SSL* ssl, unsigned, unsigned context,
                                           const unsigned char* in, std::size_t size, X509*,
                                           std::size_t, int* alert, void*) {
    TlsSession& self = session(ssl);
    ByteView nonce = std::as_bytes(std::span(in, size));
    if (!SSL_is_server(ssl)) {
        // A server's nonce is for mutual attestation, which this client does not offer.
        if (context == SSL_EXT_TLS1_3_CERTIFICATE_REQUEST) return 1;
        *alert = SSL_AD_ILLEGAL_PARAMETER;
        return 0;
    }
    if (!check_nonce(nonce)) {
        *alert = SSL_AD_DECODE_ERROR;
        return 0;
    }
    self.offer_.nonce = to_bytes(nonce);
    // Browsers would ask their user for one: only a client that challenges is asked.
    ask_for_client_certificate(ssl);
    return 1;
}

void TlsSession::Callbacks::key_logged(const SSL* ssl, const char* line) {
    std::string_view text(line);
    if (!text.starts_with(kClientSecretLabel)) return;
    TlsSession& self = session(ssl);
    if (!self.offer_.nonce) return;
    Result<Bytes> secret = from_hex(text.substr(text.rfind(' ') + 1));
    if (secret) self.client_secret_ = std::move(*secret);
}

void TlsSession::Callbacks::message_seen(int is_write, int, int content_type, const void* data,
                                         std::size_t size, SSL* ssl, void*) {
    TlsSession& self = session(ssl);
    ByteView message(static_cast<const std::byte*>(data), size);
    if (content_type == SSL3_RT_ALERT && is_write == 0) self.saw_alert(message);
    if (content_type != SSL3_RT_HANDSHAKE || size < 4) return;
    unsigned type = std::to_integer<unsigned>(message[0]);
    if (type == SSL3_MT_KEY_UPDATE && is_write == 0) self.saw_key_update();
    bool hello = type == SSL3_MT_CLIENT_HELLO || type == SSL3_MT_SERVER_HELLO;
    // At most two hellos each way; a peer that sends more is refused by libssl anyway.
    if (hello && self.progress_ != Progress::kOpen && self.hellos_.size() < 4) {
        self.saw_handshake_message(message);
    }
}

}  // namespace eos::ratls
