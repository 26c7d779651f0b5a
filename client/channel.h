// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "client/tcp.h"
#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::client {

/// An open stream to a server, with or without protection: what HTTP runs over.
class Channel {
  public:
    virtual ~Channel() = default;

    /// Sends everything.
    /// errors: connection_lost, timed_out.
    [[nodiscard]] virtual Result<void> send(ByteView bytes, Deadline deadline) = 0;

    /// Whatever arrives first; empty when the server ended the stream in order. With a deadline in
    /// the past it only takes what is here already.
    /// errors: connection_lost, timed_out.
    [[nodiscard]] virtual Result<Bytes> receive(Deadline deadline) = 0;
};

}  // namespace eos::client
