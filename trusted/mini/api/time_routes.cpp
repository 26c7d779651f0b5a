// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/api/context.h"
#include "trusted/runtime/owner_api.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

void confirm(const ApiContext& context, runtime::Exchange exchange, const json::Value& value) {
    Result<UnixTime> time = runtime::parse_time_confirmation(value);
    if (!time) return respond_failure(exchange, time.error());
    ask<SnapshotPtr>(
        context.control,
        [time = *time](Control& control, runtime::Done<SnapshotPtr> done) {
            control.confirm_time(time, std::move(done));
        },
        [&context, exchange = std::move(exchange)](Result<SnapshotPtr> outcome) mutable {
            if (!outcome) return respond_failure(exchange, outcome.error());
            runtime::respond_json(exchange, 200,
                                  {{"time", rfc3339(context.clock.now())},
                                   {"time_trust", to_string((*outcome)->time_trust)}});
        });
}

}  // namespace

void add_time_routes(runtime::Router& router, const ApiContext& context) {
    router.add({.method = http::Method::kPost,
                .pattern = "/api/v1/confirm-time",
                .names = runtime::RouteNames::kPlatform,
                .proof = runtime::Proof::kBound,
                .max_body_bytes = 1024,
                .summary = "say what time it is, after a jump of the host's"},
               [&context](runtime::RoutedRequest request) {
                   return with_json(context, std::move(request),
                                    [&context](runtime::Exchange exchange, json::Value value) {
                                        confirm(context, std::move(exchange), value);
                                    });
               });
}

}  // namespace eos::mini
