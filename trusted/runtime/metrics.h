// SPDX-License-Identifier: AGPL-3.0-only
// Counters and gauges in Prometheus' text form. They leave the TEE in clear, so a name or label can
// only be text that was there at compile time (StaticText): request data has no way in.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "trusted/runtime/exchange.h"
#include "trusted/runtime/router.h"

namespace eos::runtime {

inline constexpr std::size_t kMaxSeries = 2048;

/// One label of a series.
struct MetricLabel {
    StaticText name;
    StaticText value;
};

/// What a number may do.
enum class MetricType : std::uint8_t { kCounter, kGauge };

/// A number of one worker. Written by that worker only; read by any.
class Metric {
  public:
    void add(std::uint64_t n = 1) { set(get() + n); }
    void subtract(std::uint64_t n) { set(get() - n); }
    void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
    std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// The metrics of one worker. All workers register the same series in the same order at start; then
/// their registries can be summed. threads: registration one, before others read; values as Metric.
class MetricRegistry {
  public:
    /// Adds a series; a family's (name's) series are added one after the other, with one type and
    /// help text. Asserts kMaxSeries, and that the series is new.
    /// returns: the number, which lives as long as the registry.
    Metric& add(MetricType type, StaticText name, StaticText help,
                std::vector<MetricLabel> labels = {});

    /// The sums over all workers' registries, in Prometheus' text exposition format 0.0.4.
    /// in:      registries with the same series in the same order (asserted); not empty.
    static std::string to_text(std::span<const MetricRegistry* const> workers);

    static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  private:
    struct Series {
        MetricType type;
        StaticText name;
        StaticText help;
        std::string labels;  ///< `{a="b"}`, or nothing
        std::unique_ptr<Metric> metric;
    };
    std::vector<Series> series_;
};

/// Counts answers by route template, method and class of status, and adds up how long they took.
class HttpMetrics final : public ExchangeObserver {
  public:
    /// Registers a family for every row of the router's table. `registry` outlives this.
    HttpMetrics(MetricRegistry& registry, std::span<const RouteSpec> table);

    void answered(const ConnectionInfo& connection, const ExchangeRecord& record) override;

  private:
    static constexpr std::size_t kClassCount = 4;  ///< 2xx to 5xx
    struct Row {
        std::array<Metric*, kClassCount> by_class{};
        Metric* duration_ms = nullptr;
    };
    using Key = std::pair<std::string_view, http::Method>;
    const Row& row_of(const ExchangeRecord& record) const;

    std::map<Key, Row> rows_;
    Row unrouted_;  ///< what was refused before a route was found
};

}  // namespace eos::runtime
