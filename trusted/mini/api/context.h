// SPDX-License-Identifier: AGPL-3.0-only
// What the handlers of one worker work with.
#pragma once

#include <functional>

#include "common/json/json.h"
#include "trusted/mini/apps/app_runner.h"
#include "trusted/mini/control/control.h"
#include "trusted/mini/control/snapshot.h"
#include "trusted/runtime/body.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/metrics.h"
#include "trusted/runtime/router.h"

namespace eos::mini {

/// The way to the control plane, which runs on another worker.
class ControlPort {
  public:
    virtual ~ControlPort() = default;
    /// What this worker serves.
    virtual const SnapshotPtr& snapshot() const = 0;
    /// Runs `question` on the control plane's worker, soon.
    virtual void on_control(std::move_only_function<void(Control&)> question) = 0;
    /// Runs `task` on the worker that this port belongs to; may be called from any worker.
    virtual void back_here(std::move_only_function<void()> task) = 0;
};

/// Asks the control plane; `done` runs on this worker again.
template <typename T>
void ask(ControlPort& port, std::move_only_function<void(Control&, runtime::Done<T>)> question,
         runtime::Done<T> done) {
    port.on_control(
        [&port, question = std::move(question), done = std::move(done)](Control& control) mutable {
            question(control, [&port, done = std::move(done)](Result<T> outcome) mutable {
                port.back_here([done = std::move(done), outcome = std::move(outcome)]() mutable {
                    done(std::move(outcome));
                });
            });
        });
}

/// All references outlive the handlers.
struct ApiContext {
    ControlPort& control;
    AppRunner& apps;
    AppLogs& logs;
    runtime::MemoryBudget& bodies;
    runtime::BoundMinter& minter;
    const runtime::Clock& clock;
    ProgramFacts facts;
    unsigned worker_count = 1;
    std::function<std::size_t()> connection_count;  ///< of this worker
    std::function<std::string()> metrics_text;      ///< of all workers, for GET /metrics
};

/// Knows the owner by the key its connection proved.
class OwnerAuthorizer : public runtime::Authorizer {
  public:
    explicit OwnerAuthorizer(const ControlPort& control) : control_(control) {}
    runtime::Permission decide(runtime::Access access, const runtime::ConnectionInfo& connection,
                               const http::RequestHead& head) const override;
    std::string_view challenge() const override;

  private:
    const ControlPort& control_;
};

// Each adds its rows to the table; docs/api.md describes them.
void add_attest_route(runtime::Router& router, const ApiContext& context);
void add_status_routes(runtime::Router& router, const ApiContext& context);
void add_config_routes(runtime::Router& router, const ApiContext& context);
void add_ownership_routes(runtime::Router& router, const ApiContext& context);
void add_collateral_routes(runtime::Router& router, const ApiContext& context);
void add_time_routes(runtime::Router& router, const ApiContext& context);
void add_app_routes(runtime::Router& router, const ApiContext& context);
/// The routes of apps themselves: /rpc and, on their own names, everything that is left.
void add_workload_routes(runtime::Router& router, const ApiContext& context);

/// All of the above.
void add_all_routes(runtime::Router& router, const ApiContext& context);

/// The app of that name as a request finds it; nothing if there is none.
std::optional<AppRef> find_app(const Snapshot& snapshot, const std::string& name);

/// All apps of that moment, as AppRunner::retain() takes them.
LoadedApps loaded_apps(const Snapshot& snapshot);

/// The status that answers a request refused with this error.
int status_of(const Error& error);

/// Answers with the error's words and status_of() it.
void respond_failure(runtime::Exchange& exchange, const Error& error);

/// A handler that needs the whole JSON body.
runtime::Dispatched with_json(const ApiContext& context, runtime::RoutedRequest request,
                              std::move_only_function<void(runtime::Exchange, json::Value)> then);

}  // namespace eos::mini
