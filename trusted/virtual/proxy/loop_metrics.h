// SPDX-License-Identifier: AGPL-3.0-only
// What one loop counts of its clients, whatever route they want.
#pragma once

#include <array>
#include <cstdint>

#include "trusted/os/connections.h"
#include "trusted/runtime/metrics.h"

namespace eos::cvm::proxy {

/// Connections, handshakes, and requests that no route got. threads: the loop's; what is const,
/// any.
class LoopMetrics {
  public:
    LoopMetrics();
    LoopMetrics(const LoopMetrics&) = delete;
    LoopMetrics& operator=(const LoopMetrics&) = delete;

    /// As they are now. Once a turn of the loop.
    void set_connections(const os::Connections& connections);
    /// One that was completed.
    void add_handshake(const runtime::ConnectionInfo& connection);
    /// in: the status of the answer, 0 where there was none.
    void add_refusal(int status);

    std::size_t connection_count() const { return static_cast<std::size_t>(open_.get()); }
    /// The same series in every loop.
    const runtime::MetricRegistry& registry() const { return registry_; }

  private:
    static constexpr std::size_t kStatusCount = 17;

    runtime::MetricRegistry registry_;
    runtime::Metric& open_;
    runtime::Metric& draining_;
    runtime::Metric& accepted_;
    runtime::Metric& refused_in_all_;
    runtime::Metric& refused_per_address_;
    runtime::Metric& ordinary_handshakes_;
    runtime::Metric& challenge_handshakes_;
    runtime::Metric& failed_handshakes_;
    std::array<runtime::Metric*, kStatusCount> refusals_{};
};

}  // namespace eos::cvm::proxy
