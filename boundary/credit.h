// SPDX-License-Identifier: AGPL-3.0-only
// Per-connection flow control, for both ends: a slow or greedy peer costs its own window and
// nothing else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "boundary/messages.h"
#include "common/base/assert.h"
#include "common/base/result.h"

namespace eos::boundary {

inline constexpr Code window_violated{"boundary", "window_violated",
                                      "the other side exceeded a connection's window"};
inline constexpr Code connection_id_repeated{"boundary", "connection_id_repeated",
                                             "a connection id does not rise"};

/// What this side may still send on one connection.
class SendWindow {
  public:
    std::size_t available() const { return available_; }

    /// `size_bytes` are sent; at most available() (asserted).
    void sent(std::size_t size_bytes) {
        EOS_ASSERT(size_bytes <= available_);
        available_ -= static_cast<std::uint32_t>(size_bytes);
    }

    /// The other side sent ConnCredit.
    /// errors: window_violated (more than is outstanding).
    [[nodiscard]] Result<void> credited(std::uint32_t size_bytes) {
        if (size_bytes > kConnWindowBytes - available_) return fail(window_violated);
        available_ += size_bytes;
        return {};
    }

  private:
    std::uint32_t available_ = kConnWindowBytes;
};

/// What the other side may still send on one connection.
class ReceiveWindow {
  public:
    /// ConnData arrived.
    /// errors: window_violated (more than was granted).
    [[nodiscard]] Result<void> arrived(std::size_t size_bytes) {
        if (size_bytes > granted_) return fail(window_violated);
        granted_ -= static_cast<std::uint32_t>(size_bytes);
        unconsumed_ += static_cast<std::uint32_t>(size_bytes);
        return {};
    }

    /// `size_bytes` of what arrived are done with (asserted that they arrived). The credit to send
    /// now, or 0: credit is gathered to a quarter window, so that small reads do not become small
    /// messages.
    [[nodiscard]] std::uint32_t consumed(std::size_t size_bytes) {
        EOS_ASSERT(size_bytes <= unconsumed_);
        unconsumed_ -= static_cast<std::uint32_t>(size_bytes);
        owed_ += static_cast<std::uint32_t>(size_bytes);
        if (owed_ < kConnWindowBytes / 4) return 0;
        std::uint32_t credit = owed_;
        granted_ += credit;
        owed_ = 0;
        return credit;
    }

  private:
    std::uint32_t granted_ = kConnWindowBytes;
    std::uint32_t unconsumed_ = 0;  // arrived, not yet done with
    std::uint32_t owed_ = 0;        // done with, not yet granted again
};

/// Refuses connection ids that do not rise, so that none is ever used twice. Ids start at 1.
class RisingIds {
  public:
    /// errors: connection_id_repeated.
    [[nodiscard]] Result<void> accept(std::uint64_t conn_id) {
        if (conn_id <= last_) return fail(connection_id_repeated);
        last_ = conn_id;
        return {};
    }

    /// The highest id accepted so far; 0 before the first.
    std::uint64_t last() const { return last_; }

  private:
    std::uint64_t last_ = 0;
};

}  // namespace eos::boundary
