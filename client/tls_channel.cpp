// SPDX-License-Identifier: AGPL-3.0-only
#include "client/tls_channel.h"

namespace eos::client {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

// What the server's alert means, and what a person can do. An alert of before the handshake secret
// may be forged; all it can do is keep us from connecting, which whoever forges it can do anyway.
Error handshake_error(const ratls::ClientSession& session) {
    std::optional<ratls::Alert> alert = session.received_alert();
    if (!alert) return Error(handshake_failed, session.failure());
    std::string number = " (TLS alert " + std::to_string(static_cast<unsigned>(*alert)) + ")";
    const std::string& name = session.offer().server_name;
    switch (*alert) {
        case ratls::Alert::kUnrecognizedName:
            return Error(name_unknown,
                         (name.empty() ? "none was asked for, see --server-name" : name) +
                             "; `enclavectl app list` shows those there are" + number);
        case ratls::Alert::kAccessDenied:
            return Error(challenge_limited,
                         "one address may start some 32 at once and one a second, and what is "
                         "behind one NAT or proxy shares an address: try again in a few seconds" +
                             number);
        case ratls::Alert::kInternalError:
            return Error(server_unready,
                         "it has just started, or its quote source fails: /readyz and the log of "
                         "its daemon say which" +
                             number);
        case ratls::Alert::kDecodeError:
        case ratls::Alert::kIllegalParameter:
            return Error(handshake_failed,
                         "the server cannot read what was sent: it is another kind of server, or "
                         "something on the way altered it" +
                             number);
        case ratls::Alert::kHandshakeFailure:
            break;
    }
    return Error(handshake_failed, session.failure() + number);
}

}  // namespace

Result<TlsChannel> TlsChannel::open(const Address& address, const ratls::ClientOptions& options,
                                    Deadline deadline) {
    ratls::ClientContext context = EOS_TRY(ratls::ClientContext::make());
    TcpSocket socket = EOS_TRY(TcpSocket::connect(address, deadline));
    TlsChannel channel(std::move(socket), EOS_TRY(context.connect(options)));
    EOS_TRY(channel.shake_hands(deadline));
    return channel;
}

Result<void> TlsChannel::shake_hands(Deadline deadline) {
    while (session_->advance() == ratls::Progress::kNeedsInput) {
        EOS_TRY(flush(deadline));
        Bytes input = EOS_TRY(socket_.receive(kReadBytes, deadline));
        if (input.empty()) return fail(handshake_failed, "the server closed the connection");
        session_->receive(input);
    }
    EOS_TRY(flush(deadline));
    if (session_->progress() != ratls::Progress::kOpen) return fail(handshake_error(*session_));
    return {};
}

Result<void> TlsChannel::flush(Deadline deadline) {
    ByteView output = session_->output();
    EOS_TRY(socket_.send_all(output, deadline));
    session_->output_taken(output.size());
    return {};
}

Result<void> TlsChannel::send(ByteView plaintext, Deadline deadline) {
    session_->write(plaintext);
    if (session_->progress() != ratls::Progress::kOpen)
        return fail(connection_lost, session_->failure());
    return flush(deadline);
}

Result<Bytes> TlsChannel::receive(Deadline deadline) {
    for (;;) {
        Bytes plaintext = session_->read(kReadBytes);
        if (!plaintext.empty()) return plaintext;
        if (session_->progress() == ratls::Progress::kClosed) return Bytes{};
        if (session_->progress() == ratls::Progress::kFailed)
            return fail(connection_lost, session_->failure());
        Bytes input = EOS_TRY(socket_.receive(kReadBytes, deadline));
        // Without close_notify the end may be an attacker's: a body must not be cut short unseen.
        if (input.empty()) return fail(connection_lost, "the stream ended without close_notify");
        session_->receive(input);
    }
}

void TlsChannel::close() {
    if (session_->progress() != ratls::Progress::kOpen) return;
    session_->close();
    // A peer that does not take it misses nothing that was promised to it.
    (void)flush(std::chrono::steady_clock::now());
}

}  // namespace eos::client
