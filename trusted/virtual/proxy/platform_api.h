// SPDX-License-Identifier: AGPL-3.0-only
// What the machine's own name answers, and what every name answers about its evidence. The minter
// is asked for whatever it alone can know or do.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "common/json/json.h"
#include "trusted/runtime/body.h"
#include "trusted/runtime/router.h"
#include "trusted/virtual/proxy/minter_link.h"

namespace eos::cvm::proxy {

/// Whether a path of a workload's name is the proxy's to answer, and no upstream's.
bool is_own_path(std::string_view path);

/// The way from one loop to the minter's client, which lives on the main one.
class MintPort {
  public:
    virtual ~MintPort() = default;
    /// What this loop serves; never null while there are connections.
    virtual const MintedStatePtr& state() const = 0;
    /// Runs `question` on the client's loop, soon.
    virtual void on_client(std::move_only_function<void(MintClient&)> question) = 0;
    /// Runs `task` on this loop; may be called from any thread.
    virtual void back_here(std::move_only_function<void()> task) = 0;
    /// Mode C.
    virtual WorkerMint& mint() = 0;
};

/// Asks the minter; `done` runs on this loop again.
template <typename T>
void ask(MintPort& port, std::move_only_function<void(MintClient&, runtime::Done<T>)> question,
         runtime::Done<T> done) {
    port.on_client([&port, question = std::move(question),
                    done = std::move(done)](MintClient& client) mutable {
        question(client, [&port, done = std::move(done)](Result<T> outcome) mutable {
            port.back_here([done = std::move(done), outcome = std::move(outcome)]() mutable {
                done(std::move(outcome));
            });
        });
    });
}

/// All references outlive the handlers.
struct ApiContext {
    MintPort& port;
    runtime::MemoryBudget& bodies;
    const runtime::Clock& clock;
    const ProgramView& program;
};

/// Knows the owner by the key its connection proved.
class OwnerAuthorizer final : public runtime::Authorizer {
  public:
    explicit OwnerAuthorizer(const MintPort& port) : port_(port) {}
    runtime::Permission decide(runtime::Access access, const runtime::ConnectionInfo& connection,
                               const http::RequestHead& head) const override;
    std::string_view challenge() const override;

  private:
    const MintPort& port_;
};

// Each adds its rows to the table.
void add_attest_route(runtime::Router& router, const ApiContext& context);
void add_status_routes(runtime::Router& router, const ApiContext& context);
void add_config_routes(runtime::Router& router, const ApiContext& context);
void add_owner_routes(runtime::Router& router, const ApiContext& context);

/// Answers with the error's words, and a status that fits it.
void respond_failure(runtime::Exchange& exchange, const Error& error);

/// A handler that needs the whole JSON body.
runtime::Dispatched with_json(const ApiContext& context, runtime::RoutedRequest request,
                              std::move_only_function<void(runtime::Exchange, json::Value)> then);

}  // namespace eos::cvm::proxy
