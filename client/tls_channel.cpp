// SPDX-License-Identifier: AGPL-3.0-only
#include "client/tls_channel.h"

namespace eos::client {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

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
    if (session_->progress() != ratls::Progress::kOpen)
        return fail(handshake_failed, session_->failure());
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

}  // namespace eos::client
