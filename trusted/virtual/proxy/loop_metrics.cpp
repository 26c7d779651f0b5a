// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/loop_metrics.h"

#include <algorithm>

namespace eos::cvm::proxy {
namespace {

using runtime::MetricType;
using runtime::StaticText;

constexpr StaticText kRefused = "proxy_client_connections_refused_total";
constexpr StaticText kRefusedHelp =
    "Connections of clients that were closed at a limit, by the limit's name.";
constexpr StaticText kHandshakes = "proxy_tls_handshakes_completed_total";
constexpr StaticText kHandshakesHelp =
    "TLS handshakes that were completed, by whether the leaf was made for the client's challenge.";

/// A label for every status that the proxy refuses with; the last is for what is not among them.
struct Status {
    int status;
    StaticText label;
};
constexpr Status kStatuses[] = {
    {0, "none"},  {400, "400"}, {401, "401"}, {403, "403"}, {404, "404"}, {405, "405"},
    {408, "408"}, {409, "409"}, {413, "413"}, {414, "414"}, {417, "417"}, {421, "421"},
    {431, "431"}, {500, "500"}, {501, "501"}, {505, "505"}, {-1, "other"}};

}  // namespace

LoopMetrics::LoopMetrics()
    : open_(registry_.add(MetricType::kGauge, "proxy_client_connections",
                          "Open connections of clients.")),
      draining_(registry_.add(MetricType::kGauge, "proxy_client_connections_draining",
                              "Those of them that end behind the request under way.")),
      accepted_(registry_.add(MetricType::kCounter, "proxy_client_connections_accepted_total",
                              "Connections of clients that were taken.")),
      refused_in_all_(
          registry_.add(MetricType::kCounter, kRefused, kRefusedHelp, {{"limit", "connections"}})),
      refused_per_address_(registry_.add(MetricType::kCounter, kRefused, kRefusedHelp,
                                         {{"limit", "connections_per_address"}})),
      ordinary_handshakes_(registry_.add(MetricType::kCounter, kHandshakes, kHandshakesHelp,
                                         {{"kind", "ordinary"}})),
      challenge_handshakes_(registry_.add(MetricType::kCounter, kHandshakes, kHandshakesHelp,
                                          {{"kind", "challenge"}})),
      failed_handshakes_(
          registry_.add(MetricType::kCounter, "proxy_tls_handshakes_failed_total",
                        "Connections that ended before their TLS handshake, or the PROXY header "
                        "before it, was complete.")) {
    static_assert(std::size(kStatuses) == kStatusCount);
    for (std::size_t i = 0; i < kStatusCount; ++i) {
        refusals_[i] = &registry_.add(
            MetricType::kCounter, "proxy_requests_refused_total",
            "Requests that the proxy refused and no route got, by status; none: without an answer.",
            {{"status", kStatuses[i].label}});
    }
}

void LoopMetrics::set_connections(const os::Connections& connections) {
    const os::Connections::Counters& counters = connections.counters();
    open_.set(connections.count());
    draining_.set(connections.draining());
    accepted_.set(counters.opened);
    refused_in_all_.set(counters.refused_in_all);
    refused_per_address_.set(counters.refused_per_address);
    failed_handshakes_.set(counters.handshakes_failed);
}

void LoopMetrics::add_handshake(const runtime::ConnectionInfo& connection) {
    (connection.is_bound ? challenge_handshakes_ : ordinary_handshakes_).add();
}

void LoopMetrics::add_refusal(int status) {
    const auto found = std::ranges::find(kStatuses, status, &Status::status);
    const auto index = std::min<std::size_t>(found - std::begin(kStatuses), kStatusCount - 1);
    refusals_[index]->add();
}

}  // namespace eos::cvm::proxy
