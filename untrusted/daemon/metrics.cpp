// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/metrics.h"

#include <array>
#include <string_view>

namespace eos::daemon {
namespace {

struct Row {
    std::string_view name;
    std::string_view help;
    std::uint64_t Counters::* value;
};

constexpr std::array kRows{
    Row{"connections_accepted_total", "Connections accepted", &Counters::connections_accepted},
    Row{"connections_reset_total", "Connections reset by the client or the network",
        &Counters::connections_reset_by_peer},
    Row{"accept_pauses_total", "Pauses for lack of descriptors or memory",
        &Counters::accept_pauses},
    Row{"client_bytes_received_total", "Bytes read from clients", &Counters::bytes_from_clients},
    Row{"client_bytes_sent_total", "Bytes written to clients", &Counters::bytes_to_clients},
    Row{"storage_requests_total", "Storage requests of the trusted side",
        &Counters::storage_requests},
    Row{"storage_failures_total", "Storage requests that failed", &Counters::storage_failures},
    Row{"quote_requests_total", "Quoting requests of the trusted side", &Counters::quote_requests},
    Row{"quote_failures_total", "Quoting requests that failed", &Counters::quote_failures},
    Row{"overloaded_replies_total", "Requests refused because too many waited",
        &Counters::overloaded_replies},
    Row{"runner_starts_total", "Starts of the trusted process", &Counters::runner_starts},
    Row{"boundary_violations_total", "Trusted processes ended for breaking the boundary's rules",
        &Counters::boundary_violations},
    Row{"enclave_log_lines_suppressed_total", "Log lines of the trusted side over the rate limit",
        &Counters::log_lines_suppressed},
};

void put(std::string& out, std::string_view name, std::string_view help, std::string_view type,
         std::uint64_t value) {
    const std::string full = "enclave_os_daemon_" + std::string(name);
    out += "# HELP " + full + " " + std::string(help) + "\n";
    out += "# TYPE " + full + " " + std::string(type) + "\n";
    out += full + " " + std::to_string(value) + "\n";
}

}  // namespace

std::string render_metrics(const Counters& counters, const Health& health,
                           std::size_t connection_count) {
    std::string out;
    for (const Row& row : kRows) put(out, row.name, row.help, "counter", counters.*row.value);
    put(out, "connections", "Connections open now", "gauge", connection_count);
    put(out, "ready", "1 if nothing is known to keep the service from answering", "gauge",
        health.reasons().empty() ? 1 : 0);
    if (!health.workers.empty()) {
        // Every worker tells the same about what they share.
        const boundary::Status& status = health.workers.front();
        put(out, "enclave_apps", "Apps loaded, as the trusted side says", "gauge",
            status.app_count);
        put(out, "enclave_evidence_not_after_seconds", "Unix time; 0: no evidence", "gauge",
            status.evidence_not_after_s);
        put(out, "enclave_leaf_not_after_seconds", "Unix time; 0: no leaf", "gauge",
            status.leaf_not_after_s);
    }
    return out;
}

}  // namespace eos::daemon
