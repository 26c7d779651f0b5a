// SPDX-License-Identifier: AGPL-3.0-only
// One worker's connections as the ring shows them: frames in, frames out, a window for each
// connection.
#pragma once

#include <cstdint>
#include <deque>

#include "boundary/credit.h"
#include "boundary/endpoint.h"
#include "common/base/result.h"
#include "trusted/runtime/interfaces.h"

namespace eos::mini {

/// Messages that wait for room in the ring. A host that takes what is sent never comes near.
inline constexpr std::size_t kMaxUnsentMessages = std::size_t{1} << 18;

/// The data ring towards the host. Takes every message at once and keeps in order what finds no
/// room; what waits is bounded by the windows of the open connections, and in number.
class DataLink {
  public:
    /// `endpoint` must outlive this.
    explicit DataLink(boundary::TrustedWorkerEndpoint& endpoint) : endpoint_(endpoint) {}

    void send_data(std::uint64_t conn_id, ByteView bytes);
    void send_credit(std::uint64_t conn_id, std::uint32_t bytes);
    void send_close(std::uint64_t conn_id, boundary::ConnClose::How how);

    /// Sends what found no room. Once a turn of the worker's loop.
    void turn();

    /// Whether all has gone into the ring.
    bool is_idle() const { return unsent_.empty(); }

    /// Whether the host broke the rules of the ring, or takes nothing from it and goes on asking:
    /// the program must end.
    bool is_broken() const { return broken_; }

  private:
    struct Unsent {
        boundary::DataToHost message;
        Bytes bytes;  // of ConnData
    };
    void send(const boundary::DataToHost& message);

    boundary::TrustedWorkerEndpoint& endpoint_;
    std::deque<Unsent> unsent_;
    bool broken_ = false;
};

/// One connection's transport over the link.
class RingStream : public runtime::ByteStream {
  public:
    /// `link` must outlive this.
    RingStream(DataLink& link, std::uint64_t conn_id) : link_(link), conn_id_(conn_id) {}

    std::size_t writable_bytes() const override { return closed_ ? 0 : send_window_.available(); }
    void send(ByteView bytes) override;
    void consumed(std::size_t count) override;
    void close() override { end(boundary::ConnClose::How::kAfterFlush); }
    void abort() override { end(boundary::ConnClose::How::kAbort); }

    /// ConnData came. errors: boundary::window_violated.
    [[nodiscard]] Result<void> arrived(std::size_t count) { return receive_window_.arrived(count); }
    /// ConnCredit came. errors: boundary::window_violated.
    [[nodiscard]] Result<void> credited(std::uint32_t count) {
        return send_window_.credited(count);
    }

    /// Whether close() or abort() was called: nothing more may be said about this connection.
    bool is_closed() const { return closed_; }

  private:
    void end(boundary::ConnClose::How how);

    DataLink& link_;
    std::uint64_t conn_id_;
    boundary::SendWindow send_window_;
    boundary::ReceiveWindow receive_window_;
    bool closed_ = false;
};

}  // namespace eos::mini
