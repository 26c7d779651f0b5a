// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>
#include <vector>

#include "client/channel.h"
#include "client/tcp.h"
#include "common/ratls/tls_session.h"

namespace eos::client {

inline constexpr Code handshake_failed{"client", "handshake_failed", "the TLS handshake failed"};
inline constexpr Code name_unknown{"client", "name_unknown",
                                   "the server has no app with that name"};
inline constexpr Code challenge_limited{
    "client", "challenge_limited", "the server makes no certificate for this challenge just now"};
inline constexpr Code server_unready{"client", "server_unready",
                                     "the server has no certificate to show"};

/// A TLS connection whose handshake is done. Nothing has been verified about the server but that it
/// holds the key of the certificate it showed; no application byte has been sent.
class TlsChannel : public Channel {
  public:
    /// errors: those of TcpSocket, ratls::tls_setup_failed, ratls::bad_credential; by the server's
    /// alert (ratls::Alert): name_unknown, challenge_limited, server_unready, or handshake_failed.
    [[nodiscard]] static Result<TlsChannel> open(const Address& address,
                                                 const ratls::ClientOptions& options,
                                                 Deadline deadline);

    /// DER of the certificates the server sent, leaf first.
    std::vector<Bytes> peer_chain() const { return session_->peer_chain(); }

    /// The nonce that was sent and the binder of this handshake, if mode B was asked for.
    const ratls::HandshakeOffer& offer() const { return session_->offer(); }

    /// What evidence about the server is bound to in mode C: ratls::TlsSession::bind_channel().
    /// errors: ratls::tls_failed.
    [[nodiscard]] Result<ratls::ChannelBinding> bind_channel(const ByteArray<32>& context) const {
        return session_->bind_channel(ratls::AttestedEnd::kServer, context);
    }

    /// errors: connection_lost, timed_out.
    [[nodiscard]] Result<void> send(ByteView plaintext, Deadline deadline) override;

    /// Whatever arrives first; empty when the server ended the stream in order.
    /// errors: connection_lost (also: the stream ended without close_notify), timed_out.
    [[nodiscard]] Result<Bytes> receive(Deadline deadline) override;

    /// Says close_notify, as far as it goes out without waiting. The channel is of no use then.
    void close();

  private:
    TlsChannel(TcpSocket socket, std::unique_ptr<ratls::ClientSession> session)
        : socket_(std::move(socket)), session_(std::move(session)) {}
    Result<void> shake_hands(Deadline deadline);
    Result<void> flush(Deadline deadline);

    TcpSocket socket_;
    std::unique_ptr<ratls::ClientSession> session_;
};

}  // namespace eos::client
