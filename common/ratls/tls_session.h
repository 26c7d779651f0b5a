// SPDX-License-Identifier: AGPL-3.0-only
// TLS 1.3 over byte buffers, with the RA-TLS v1 extension 0xFFBB on both sides. Nothing here reads
// a socket or waits: bytes go in, bytes come out, and a handshake that needs a leaf says so and
// stops.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/p256.h"
#include "common/ratls/leaf_scheme.h"
#include "common/ratls/report_data.h"
#include "common/ratls/tls_alert.h"

struct ssl_ctx_st;
struct ssl_st;
struct x509_st;

namespace eos::ratls {

class ByteBio;

inline constexpr Code tls_setup_failed{"common/ratls", "tls_setup_failed",
                                       "the TLS library refused the configuration"};
inline constexpr Code tls_failed{"common/ratls", "tls_failed", "the TLS connection failed"};
inline constexpr Code bad_credential{"common/ratls", "bad_credential",
                                     "certificate chain and key do not make a credential"};

/// The extension that carries a challenge: in ClientHello the client's nonce, in CertificateRequest
/// the server's. Not registered with IANA. source: docs/formats/certificate.md 5.
inline constexpr unsigned kChallengeExtension = 0xFFBB;

/// The ALPN name by which a client asks for a leaf of the second generation, beside the protocol it
/// will speak. It is never the one that is chosen. source: docs/formats/certificate.md 6.1.
inline constexpr std::string_view kV2Protocol = "privasys-ratls/1";

/// More KeyUpdates than this within a minute end the connection: each costs us a key derivation.
inline constexpr int kMaxKeyUpdatesPerMinute = 16;

/// A certificate chain with its key in the form libssl takes, made once and shared by many
/// handshakes.
class Credential {
  public:
    /// in:      chain: DER, leaf first, 1 to 4 certificates.
    /// errors:  bad_credential.
    [[nodiscard]] static Result<std::shared_ptr<const Credential>> make(
        const std::vector<Bytes>& chain, const crypto::P256PrivateKey& leaf_key);

    ~Credential();
    Credential(const Credential&) = delete;
    Credential& operator=(const Credential&) = delete;

    /// Installs chain and key in a libssl connection. Only sessions call this.
    [[nodiscard]] Result<void> install(ssl_st* ssl) const;

    ByteView leaf_der() const { return leaf_der_; }

  private:
    Credential() = default;
    x509_st* leaf_ = nullptr;
    std::vector<x509_st*> issuers_;
    crypto::PkeyHandle key_;
    Bytes leaf_der_;
};

/// What a ClientHello asked for.
struct HandshakeOffer {
    std::string server_name;              ///< SNI as sent, lower-cased; empty if there was none
    std::optional<Bytes> nonce;           ///< present if the client sent 0xFFBB: mode B
    std::optional<Binder> binder;         ///< present once the handshake secret exists, mode B only
    LeafScheme scheme = LeafScheme::kV1;  ///< kV2: mode C was asked for, and no nonce was sent
};

/// Where a session stands after advance().
enum class Progress {
    kNeedsInput,  ///< call receive() when bytes come
    kNeedsLeaf,   ///< server: provide_leaf() or refuse_leaf(), then advance() again
    kOpen,        ///< application data may flow
    kClosed,      ///< the peer said close_notify; write() still works (RFC 8446 §6.1)
    kFailed,      ///< send what output() holds (an alert), then drop the connection
};

/// What is spoken inside the connection, as ALPN chose it; without ALPN HTTP/1.1.
enum class Protocol : std::uint8_t { kHttp1, kHttp2 };

/// Which protocols a server speaks. It chooses HTTP/2 if the client offers it.
enum class ServedProtocols : std::uint8_t { kHttp1Only, kHttp2AndHttp1 };

/// State shared by both roles. Sessions are pinned in memory; libssl holds pointers into them.
class TlsSession {
  public:
    virtual ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    /// What evidence about one end of this connection is bound to in mode C: the value of this
    /// connection's exporter for `context`. Both ends compute the same, and no other connection
    /// has it.
    /// errors: tls_failed (the handshake is not done).
    /// source: RFC 8446 §7.5; docs/formats/certificate.md 6.2.
    [[nodiscard]] Result<ChannelBinding> bind_channel(AttestedEnd end,
                                                      const ByteArray<32>& context) const;

    /// Bytes from the peer. Call advance() or read() afterwards.
    void receive(ByteView ciphertext);

    /// Runs the handshake as far as it goes, or nothing if it is over.
    Progress advance();

    /// Decrypted bytes, at most `limit`; empty if there are none now. Only when open.
    Bytes read(std::size_t limit);

    /// Encrypts and queues `plaintext`. Only when open, or closed by the peer alone.
    void write(ByteView plaintext);

    /// Queues close_notify.
    void close();

    /// Encrypted bytes for the peer, borrowed until the next call.
    ByteView output() const;
    void output_taken(std::size_t count);

    Progress progress() const { return progress_; }

    /// Received bytes that libssl has not looked at yet.
    std::size_t unread_bytes() const;

    /// The handshake's ClientHello name, nonce and binder.
    const HandshakeOffer& offer() const { return offer_; }

    /// DER of the peer's end-entity certificate; its key signed CertificateVerify. Empty if none.
    Bytes peer_certificate() const;

    /// DER of all certificates the peer sent, leaf first.
    std::vector<Bytes> peer_chain() const;

    /// Why the session failed, for a log or a person; no peer bytes.
    const std::string& failure() const { return failure_; }

    /// The alert with which the peer ended the handshake or the connection; nothing if it sent none
    /// but close_notify. Before the handshake secret exists anyone on the way can forge one.
    std::optional<Alert> received_alert() const { return received_alert_; }

    /// For counting KeyUpdates per minute; the owner's clock, called now and then.
    void set_now_ms(std::uint64_t now_ms) { now_ms_ = now_ms; }

    /// libssl's way in, for the contexts of this folder; what it does is nobody else's business.
    struct Callbacks;
    friend struct Callbacks;

  protected:
    explicit TlsSession(ssl_ctx_st* context);

    /// Called by advance() when libssl paused for a leaf: what the owner should be told.
    virtual Progress paused() { return Progress::kFailed; }
    /// Whether all has happened that must before application data flows. libssl's word alone is not
    /// taken for it.
    virtual bool may_open() const { return true; }

    void fail_session(std::string why);

    ssl_st* ssl_ = nullptr;
    std::unique_ptr<ByteBio> bio_;
    HandshakeOffer offer_;
    Progress progress_ = Progress::kNeedsInput;
    std::string failure_;
    std::vector<Bytes> hellos_;  ///< ClientHello..ServerHello, for the transcript hash
    Bytes client_secret_;        ///< CLIENT_HANDSHAKE_TRAFFIC_SECRET, wiped once the binder is made
    std::uint64_t now_ms_ = 0;
    std::optional<Alert> received_alert_;

  private:
    void saw_handshake_message(ByteView message);
    void saw_key_update();
    void saw_alert(ByteView alert);
    void make_binder();

    std::uint64_t key_update_window_ms_ = 0;
    int key_updates_ = 0;
};

/// Frees an SSL_CTX.
struct ContextFree {
    void operator()(ssl_ctx_st* context) const;
};
using ContextHandle = std::unique_ptr<ssl_ctx_st, ContextFree>;

/// The server's half of a connection.
class ServerSession : public TlsSession {
  public:
    ~ServerSession() override;

    /// Whether a name in a ClientHello (lower case; empty: it had none) is one of this server.
    using KnowsName = std::function<bool(std::string_view)>;

    /// Asked for every ClientHello before anything is computed for it; without it every name
    /// passes. An unknown one ends the handshake with unrecognized_name.
    void set_known_names(KnowsName knows_name) { knows_name_ = std::move(knows_name); }

    /// The leaf for this connection. Called exactly once each time advance() says kNeedsLeaf.
    void provide_leaf(std::shared_ptr<const Credential> credential);

    /// No leaf: the handshake ends when advance() is called, in mode B with alert_of(refusal). In
    /// mode A libssl says internal_error whatever the reason, which is why names are not refused
    /// here but by set_known_names().
    void refuse_leaf(LeafRefusal refusal, std::string why);

    /// The key that the client's certificate proved possession of, modes B and C only; nothing if
    /// it sent no certificate, or one whose key is not P-256. A name in that certificate means
    /// nothing.
    std::optional<crypto::P256PublicKey> client_key() const;

    /// What the client is to be spoken to in; known once the handshake is done.
    Protocol protocol() const { return protocol_; }

    /// Whether this handshake is mode B (bound to nonce and handshake).
    bool is_bound() const { return offer_.nonce.has_value(); }

  private:
    friend class ServerContext;
    friend struct TlsSession::Callbacks;
    ServerSession(ssl_ctx_st* context, std::shared_ptr<const Credential> placeholder,
                  ServedProtocols protocols);
    Progress paused() override { return Progress::kNeedsLeaf; }
    bool may_open() const override { return decision_ == Leaf::kProvided; }

    enum class Leaf { kUndecided, kProvided, kRefused };
    std::shared_ptr<const Credential> placeholder_;
    std::shared_ptr<const Credential> leaf_;
    Leaf decision_ = Leaf::kUndecided;
    std::optional<crypto::Digest32> choice_;  ///< what the first ClientHello has the leaf chosen by
    LeafRefusal refusal_ = LeafRefusal::kUnavailable;
    KnowsName knows_name_;
    const ServedProtocols protocols_;
    Protocol protocol_ = Protocol::kHttp1;
};

/// TLS settings of all connections of a server: TLS 1.3 only; no tickets, resumption, PSK, early
/// data, post-handshake authentication. One per worker.
class ServerContext {
  public:
    /// errors: tls_setup_failed.
    [[nodiscard]] static Result<ServerContext> make(
        ServedProtocols protocols = ServedProtocols::kHttp1Only);

    std::unique_ptr<ServerSession> accept() const;

  private:
    ServerContext(ContextHandle context, std::shared_ptr<const Credential> placeholder,
                  ServedProtocols protocols)
        : context_(std::move(context)),
          placeholder_(std::move(placeholder)),
          protocols_(protocols) {}
    ContextHandle context_;
    std::shared_ptr<const Credential> placeholder_;
    ServedProtocols protocols_;
};

/// What a client asks of a handshake.
struct ClientOptions {
    std::string server_name;                       ///< SNI; empty: none is sent
    std::optional<ByteArray<32>> nonce;            ///< asks for mode B
    LeafScheme scheme = LeafScheme::kV1;           ///< kV2, without nonce: asks for mode C
    std::shared_ptr<const Credential> credential;  ///< client certificate, if any
};

/// The client's half of a connection. libssl checks CertificateVerify; everything else about the
/// server's certificate is checked by the caller, who sends nothing before.
class ClientSession : public TlsSession {
  public:
    ~ClientSession() override;

  private:
    friend class ClientContext;
    explicit ClientSession(ssl_ctx_st* context) : TlsSession(context) {}
};

/// TLS settings of all connections of a client: the same restrictions as the server's.
class ClientContext {
  public:
    /// errors: tls_setup_failed.
    [[nodiscard]] static Result<ClientContext> make();

    /// errors: tls_setup_failed (a server name that is no host name), bad_credential.
    [[nodiscard]] Result<std::unique_ptr<ClientSession>> connect(
        const ClientOptions& options) const;

  private:
    explicit ClientContext(ContextHandle context) : context_(std::move(context)) {}
    ContextHandle context_;
};

}  // namespace eos::ratls
