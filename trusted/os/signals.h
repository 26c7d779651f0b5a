// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <functional>

#include "trusted/os/event_loop.h"

namespace eos::os {

/// SIGTERM, SIGINT and SIGHUP as events of a loop; SIGPIPE is ignored.
class Signals final : public EventHandler {
  public:
    /// Before any thread is started, so that all inherit the mask. `loop` outlives this.
    Signals(EventLoop& loop, std::function<void(int)> received);
    ~Signals() override;

    void on_events(std::uint32_t events) override;

  private:
    EventLoop& loop_;
    std::function<void(int)> received_;
    UniqueFd fd_;
};

}  // namespace eos::os
