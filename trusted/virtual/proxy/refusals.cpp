// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/refusals.h"

#include "trusted/virtual/proxy/forwarder.h"

namespace eos::cvm::proxy {

void Refusals::answered(const runtime::ConnectionInfo& connection,
                        const runtime::ExchangeRecord& exchange) {
    const bool found_its_route = !exchange.route.view().empty();
    if (exchange.route == Forwarder::kLabel) return;
    if (found_its_route && exchange.status / 100 != 4) return;
    note(connection, exchange);
}

void Refusals::turned_away(const runtime::ConnectionInfo& connection,
                           const runtime::ExchangeRecord& exchange) {
    note(connection, exchange);
}

void Refusals::note(const runtime::ConnectionInfo& connection,
                    const runtime::ExchangeRecord& exchange) {
    AccessRecord record;
    record.client = connection.client_address;
    record.route = connection.kind == runtime::NameKind::kApp ? std::string_view(connection.app)
                                                              : kPlatformRoute;
    record.method = exchange.method;
    record.status = exchange.status;
    record.outcome = Outcome::kRefused;
    record.duration_ms = exchange.duration_ms;
    parts_.metrics.add_refusal(exchange.status);
    const auto row = routes_->find(connection.server_name);
    if (row != routes_->end() && row->second->config.name == record.route) {
        count((*row->second->statistics)[loop_index_], record);
    }
    parts_.access_log.write(record, parts_.clock);
}

}  // namespace eos::cvm::proxy
