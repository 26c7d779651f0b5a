// SPDX-License-Identifier: AGPL-3.0-only
// One connection from its first byte to its last: TLS, the leaf it is shown, and the protocol
// inside. A connection lives and dies with what it was shown: when the values of its leaf change,
// it drains. source: docs/security-model.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/ratls/tls_session.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/served.h"

namespace eos::runtime {

/// How long a client may take for its handshake; a bound leaf may take the quote's time on top.
inline constexpr std::uint64_t kHandshakeMs = 10'000;
inline constexpr std::uint64_t kBoundHandshakeMs = 30'000;

/// How long a closing connection may take to send what is queued.
inline constexpr std::uint64_t kCloseMs = 5'000;

/// What mode C needs of the connection that it is asked on. Shared with whoever answers, and
/// harmless when the connection has gone.
class ChannelEnd {
  public:
    using Bind = std::function<Result<ratls::ChannelBinding>(const ByteArray<32>& context)>;

    /// `epoch`: of the leaf that was shown. `bind`: by the connection's exporter.
    ChannelEnd(std::shared_ptr<const KeyEpoch> epoch, Bind bind)
        : epoch_(std::move(epoch)), bind_(std::move(bind)) {}

    /// The key of the leaf that was shown; of its evidence, the cached form and its minute.
    const crypto::P256PublicKey& leaf_key() const { return epoch_->key.public_key(); }
    const Bytes& cached_evidence() const { return epoch_->evidence; }
    UnixTime cached_at() const { return epoch_->not_before; }

    /// errors: ratls::tls_failed (also: the connection has gone).
    [[nodiscard]] Result<ratls::ChannelBinding> bind(const ByteArray<32>& context) const {
        return bind_(context);
    }

    /// From now on the client has been given evidence for its own challenge.
    void set_answered() { answered_ = true; }
    bool is_answered() const { return answered_; }

  private:
    std::shared_ptr<const KeyEpoch> epoch_;
    Bind bind_;
    bool answered_ = false;
};

/// Whom a connection talks to and who talks: fixed when the handshake ends.
struct ConnectionInfo {
    std::string server_name;  ///< the name whose leaf was shown
    NameKind kind = NameKind::kPlatform;
    std::string app;                 ///< for kApp
    crypto::Digest32 tag{};          ///< of the name, when its leaf was shown
    ByteArray<16> peer_address{};    ///< as the host claims; of IPv6 possibly the network only
    ByteArray<16> client_address{};  ///< all of it, where it is known; IPv4 mapped into IPv6
    bool sent_server_name = false;   ///< without SNI the platform's leaf was shown
    ratls::Protocol protocol = ratls::Protocol::kHttp1;  ///< as ALPN chose it
    bool is_bound = false;  ///< mode B: the leaf was made for this handshake
    std::optional<crypto::Digest32> client_key_hash;  ///< SHA-256 of the SPKI it proved to hold
    /// For mode C; null where there is no evidence, and in mode B, whose leaf keys must not be
    /// spoken for a second time: both forms of report data have the same lengths.
    std::shared_ptr<ChannelEnd> channel;

    /// Whether the client's own challenge was answered on this connection, in mode B or C.
    bool is_challenged() const { return is_bound || (channel && channel->is_answered()); }
};

/// Where a protocol puts what it has to say.
class PlaintextSink {
  public:
    virtual ~PlaintextSink() = default;
    /// How many bytes write() takes now.
    virtual std::size_t writable_bytes() const = 0;
    /// At most writable_bytes() (asserted).
    virtual void write(ByteView plaintext) = 0;
    /// Nothing more will be said: ends the connection when all has gone out.
    virtual void finish() = 0;
    /// Ends the connection at once.
    virtual void abort() = 0;
    /// Asks for ConnectionProtocol::writable() later in this turn of the worker, because there is
    /// something to write, finish or read again. For answers that come from outside; never calls
    /// back.
    virtual void wake() = 0;
    /// Whether the client was shown what is served now. If not, no further request is dispatched:
    /// nothing that changed answers under an old leaf.
    virtual bool is_current() const { return true; }
};

/// What runs inside TLS: HTTP/1.1 or HTTP/2. Never called after it finished.
class ConnectionProtocol {
  public:
    virtual ~ConnectionProtocol() = default;
    /// returns: how many bytes were taken; the rest is offered again when more is wanted.
    virtual std::size_t receive(ByteView plaintext) = 0;
    /// Whether receive() would take bytes now.
    virtual bool wants_input() const = 0;
    /// The peer will send nothing more.
    virtual void input_ended() = 0;
    /// The peer's half of the transport has ended, whatever of it was not received yet. Told again
    /// whenever something happens since.
    virtual void peer_left() {}
    /// The sink has room again, or wake() was called.
    virtual void writable() = 0;
    /// Accept no further request; finish after the answer in flight.
    virtual void drain() = 0;
    virtual void tick(std::uint64_t now_ms) = 0;
    virtual std::optional<std::uint64_t> next_deadline_ms() const = 0;
};

/// What a connection needs from its server.
class ConnectionServices {
  public:
    virtual ~ConnectionServices() = default;
    virtual const Clock& clock() const = 0;
    /// What is served now; null: nothing yet, so no handshake is answered.
    virtual std::shared_ptr<const Served> served() const = 0;
    /// A leaf for this handshake out of `served`, at once (mode A) or later (mode B).
    /// errors: those of the minter; state_changed has the handshake wait for what is served next.
    virtual void leaf(std::shared_ptr<const Served> served, const ratls::HandshakeOffer& offer,
                      const ByteArray<16>& peer_address, Done<CredentialPtr> done) = 0;
    /// The protocol for a connection whose handshake is done: the one that `info` names. `info`
    /// and `sink` outlive it.
    virtual std::unique_ptr<ConnectionProtocol> start_protocol(const ConnectionInfo& info,
                                                               PlaintextSink& sink) = 0;
};

/// threads: one, the worker's.
class ServerConnection : private PlaintextSink {
  public:
    /// Called whenever anything happened: is_over() or next_deadline_ms() may have changed, and
    /// carry_on() is due. It must not call back into the connection.
    using Changed = std::move_only_function<void()>;

    /// All must outlive the connection. `peer_address` is the host's claim.
    ServerConnection(std::unique_ptr<ratls::ServerSession> session, ConnectionServices& services,
                     ByteStream& stream, const ByteArray<16>& peer_address, Changed changed);
    ~ServerConnection() override;

    /// Says more of the client than limits are kept by; before the first byte.
    void set_client_address(const ByteArray<16>& address) { client_address_ = address; }

    /// Bytes from the network.
    void receive(ByteView ciphertext);
    /// The peer's half of the transport ended, and all of it was received.
    void input_ended();
    /// The same as soon as it is known: bytes may still come. Optional.
    void peer_left();
    /// The transport has room again.
    void writable();
    void tick();
    std::optional<std::uint64_t> next_deadline_ms() const;
    /// Goes on with what an answer from outside the connection made possible; never inside one of
    /// its own calls, so that protocols need not be re-entrant.
    void carry_on();

    /// What is served changed: drains if this connection was shown something else, and asks again
    /// if its leaf was to say what is served no longer.
    void served_changed(const Served& served, std::uint64_t drain_ms);
    /// Drains whatever it was shown: the program is stopping.
    void drain(std::uint64_t drain_ms);

    /// Whether nothing more will happen: the transport has been closed or aborted.
    bool is_over() const { return over_; }

    bool is_draining() const { return draining_; }

    /// Set once the handshake is done.
    const std::optional<ConnectionInfo>& info() const { return info_; }
    const std::string& failure() const { return session_->failure(); }

  private:
    std::size_t writable_bytes() const override;
    void write(ByteView plaintext) override;
    void finish() override;
    void abort() override;
    bool is_current() const override;
    bool shows(const Served& served) const;
    void wake() override;

    void run();
    bool knows_name(std::string_view server_name);
    void advance_handshake();
    void ask_for_leaf();
    void request_leaf();
    void look_again();
    void refuse_leaf(ratls::LeafRefusal refusal, std::string why);
    void leaf_arrived(Result<CredentialPtr> credential);
    void opened();
    std::shared_ptr<ChannelEnd> channel_end(const std::shared_ptr<const KeyEpoch>& epoch) const;
    void feed_protocol();
    void resume_protocol();
    void flush();
    void queued();
    void arm(std::uint64_t after_ms);

    std::unique_ptr<ratls::ServerSession> session_;
    ConnectionServices& services_;
    ByteStream& stream_;
    ByteArray<16> peer_address_;
    ByteArray<16> client_address_;
    Changed changed_;
    // What the name was looked up in and the leaf is taken from, until the handshake ends.
    std::shared_ptr<const Served> shown_;
    std::optional<ConnectionInfo> info_;
    std::unique_ptr<ConnectionProtocol> protocol_;
    Bytes pending_plaintext_;        // decrypted, not yet taken by the protocol
    std::size_t owed_credit_ = 0;    // ciphertext bytes given to TLS, not yet reported as consumed
    std::uint64_t deadline_ms_ = 0;  // of the handshake, the drain or the close; 0: none
    bool asked_for_leaf_ = false;
    bool awaits_change_ = false;  // of what is served: `shown_` is of before
    bool input_ended_ = false;
    bool peer_left_ = false;
    bool has_read_all_ = true;  // nothing is left in TLS but, perhaps, part of a record
    bool draining_ = false;
    bool finishing_ = false;
    bool over_ = false;
    bool running_ = false;
    bool must_carry_on_ = false;
    std::shared_ptr<ServerConnection*> self_;  // weakly held by answers that come later
};

}  // namespace eos::runtime
