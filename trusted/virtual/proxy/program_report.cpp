// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/program_report.h"

#include <algorithm>

#include "trusted/runtime/time_guard.h"

namespace eos::cvm::proxy {
namespace {

using runtime::MetricRegistry;
using runtime::MetricType;
using runtime::StaticText;

constexpr StaticText kFailed = "proxy_minter_requests_failed_total";
constexpr StaticText kFailedHelp =
    "Requests to the minter that failed: it was away, busy or slow, or it refused.";

void add_minter(MetricRegistry& registry, const MinterStatistics& minter) {
    registry
        .add(MetricType::kGauge, "proxy_minter_up",
             "1 while there is a connection to the minter, else 0.")
        .set(minter.is_connected.get());
    registry.add(MetricType::kCounter, "proxy_minter_requests_total", "Requests to the minter.")
        .set(minter.requests.get());
    registry.add(MetricType::kCounter, kFailed, kFailedHelp, {{"reason", "unanswered"}})
        .set(minter.unanswered.get());
    registry.add(MetricType::kCounter, kFailed, kFailedHelp, {{"reason", "refused"}})
        .set(minter.refused.get());
}

void add_time(MetricRegistry& registry, StaticText name, StaticText help, UnixTime time) {
    registry.add(MetricType::kGauge, name, help)
        .set(static_cast<std::uint64_t>(std::max<std::int64_t>(time.seconds, 0)));
}

}  // namespace

std::vector<std::string> unready_reasons(const MintedState& minted, UnixTime now) {
    std::vector<std::string> out;
    if (minted.state.is_owned && UnixTime{minted.state.ca_not_after} < now) {
        out.emplace_back("the CA certificate has expired");
    }
    if (minted.state.time_trust == runtime::to_string(runtime::TimeTrust::kJumped)) {
        out.emplace_back("the time jumped: confirm it with enclavectl mini confirm-time");
    }
    if (end_of_evidence(minted) <= now) {
        out.emplace_back("the evidence is too old and could not be renewed");
    }
    return out;
}

UnixTime end_of_evidence(const MintedState& minted) {
    return runtime::oldest_epoch(*minted.served) + ratls::kDeterministicLifeSeconds;
}

std::string program_metrics(const ProgramNumbers& numbers, const MintedState& minted) {
    MetricRegistry registry;
    registry
        .add(MetricType::kCounter, "proxy_log_lines_dropped_total",
             "Lines that nobody read in time.")
        .set(numbers.dropped_log_lines);
    if (numbers.minter != nullptr) add_minter(registry, *numbers.minter);
    add_time(registry, "proxy_evidence_not_after_timestamp_seconds",
             "When the oldest evidence that is served ends.", end_of_evidence(minted));
    if (minted.state.is_owned) {
        add_time(registry, "proxy_ca_not_after_timestamp_seconds",
                 "When the certificate of the CA ends that signs the leaves.",
                 UnixTime{minted.state.ca_not_after});
    }
    const MetricRegistry* const all[] = {&registry};
    return MetricRegistry::to_text(all);
}

}  // namespace eos::cvm::proxy
