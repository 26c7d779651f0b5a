// SPDX-License-Identifier: AGPL-3.0-only
// One connection without TLS from its first byte to its last: between programs of one machine, by a
// socket whose other end the kernel has named. What runtime::ServerConnection is with TLS.
#pragma once

#include "trusted/runtime/server_connection.h"

namespace eos::os {

/// bound:   what the stream's window holds.
/// threads: one, the loop's.
class PlainConnection final : private runtime::PlaintextSink {
  public:
    /// Called whenever anything happened, as by ServerConnection.
    using Changed = runtime::ServerConnection::Changed;

    /// All must outlive the connection. The protocol is told of a platform without name, shown no
    /// leaf, and of a client whose address is all zeros.
    PlainConnection(runtime::ConnectionServices& services, runtime::ByteStream& stream,
                    Changed changed);

    void receive(ByteView bytes);
    /// The peer's half ended.
    void input_ended();
    /// The same as soon as it is known: bytes may still come.
    void peer_left();
    /// The stream has room again.
    void writable();
    void tick();
    std::optional<std::uint64_t> next_deadline_ms() const;
    /// Goes on with what an answer from outside the connection made possible.
    void carry_on();
    void drain(std::uint64_t drain_ms);

    /// Whether nothing more will happen: the stream has been closed or aborted.
    bool is_over() const { return is_over_; }

  private:
    std::size_t writable_bytes() const override;
    void write(ByteView plaintext) override;
    void finish() override;
    void abort() override;
    void wake() override;

    void resume();
    void run();

    runtime::ConnectionServices& services_;
    runtime::ByteStream& stream_;
    Changed changed_;
    const runtime::ConnectionInfo info_{};
    std::unique_ptr<runtime::ConnectionProtocol> protocol_;
    Bytes pending_;                  ///< received, not yet taken by the protocol
    std::uint64_t deadline_ms_ = 0;  ///< of the drain; 0: none
    bool input_ended_ = false;
    bool peer_left_ = false;
    bool is_draining_ = false;
    bool is_over_ = false;
    bool is_running_ = false;
    bool must_carry_on_ = false;
};

}  // namespace eos::os
