// SPDX-License-Identifier: AGPL-3.0-only
// The calls of one worker: each has an instance of its own and runs in slices between turns of the
// event loop, so that an app that computes for long costs its own callers time and nobody else.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "trusted/mini/apps/app_logs.h"
#include "trusted/runtime/exchange.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/platform_state.h"
#include "trusted/wasm/cgi.h"
#include "trusted/wasm/json_call.h"

namespace eos::mini {

inline constexpr Code app_unusable{"trusted/mini", "app_unusable",
                                   "the app's module cannot be used"};

/// Calls under way at the same time on one worker; beyond either, 503 with Retry-After.
inline constexpr std::size_t kMaxCallsPerApp = 16;
inline constexpr std::size_t kMaxCallsPerWorker = 64;
/// A call that takes longer by the clock, asleep or not, is ended.
inline constexpr std::uint64_t kMaxCallMs = 60'000;
/// Linear memory that all calls of a worker may take together, by the limits of their apps.
inline constexpr std::uint64_t kMaxCallMemoryBytes = 2ull << 30;

/// An app as a request finds it. The parts live as long as the snapshot they come from.
struct AppRef {
    std::string name;
    std::shared_ptr<const runtime::PlatformState> state;  ///< keeps `app` alive
    const runtime::App* app = nullptr;
    std::shared_ptr<const SecretBytes> module;
    /// Root of the app's tree: the same code with another configuration is another app.
    crypto::Digest32 workload_root{};
};

/// What a module turned out to be.
struct ModuleFacts {
    bool has_cgi_entry = false;
    std::vector<std::string> functions;  ///< callable with JSON
};

/// The limits of an app in the engine's terms.
wasm::Limits engine_limits(const runtime::AppLimits& limits);

/// Checks a module as load does: what it is, or why it cannot be used.
/// errors: those of wasm::Module::load, Signatures::read; app_unusable (nothing to call).
/// bound:  that of wasm::Module::load.
[[nodiscard]] Result<ModuleFacts> inspect_module(ByteView module, const runtime::AppLimits& limits);

/// Checks what the owner configured, in the engine's terms: names, sizes, limits.
/// errors: those of wasm::check_app_config; app_unusable (more memory than a worker lends).
[[nodiscard]] Result<void> check_configuration(const std::string& name, const runtime::App& app);

/// threads: one, the worker's.
class AppRunner {
  public:
    /// All outlive this.
    AppRunner(const runtime::Clock& clock, runtime::Random& random, AppLogs& logs);
    ~AppRunner();

    /// Starts the CGI handler for a request, or answers why not.
    void serve(const AppRef& app, wasm::CgiRequest request, runtime::Exchange exchange);

    /// Starts a function call, or answers why not.
    void call(const AppRef& app, const std::string& function, ByteView body,
              runtime::Exchange exchange);

    /// What the app's module is. Costs what preparing it for the first call costs, once.
    /// errors: as inspect_module().
    [[nodiscard]] Result<ModuleFacts> facts(const AppRef& app);

    /// Runs one slice of one call. Returns whether another call could run at once.
    bool turn();
    /// When a call that sleeps wants to go on.
    std::optional<std::uint64_t> next_deadline_ms() const;

    /// Forgets prepared apps whose root is not among these.
    void retain(const std::set<crypto::Digest32>& workload_roots);

    std::size_t call_count() const { return calls_.size(); }
    struct Counters {
        std::uint64_t calls = 0;
        std::uint64_t traps = 0;
        std::uint64_t refused = 0;
        std::uint64_t fuel = 0;
    };
    const Counters& counters() const { return counters_; }

  private:
    struct Prepared;
    struct Running;
    class World;

    Result<std::shared_ptr<const Prepared>> prepare(const AppRef& app);
    bool admit(const AppRef& app, runtime::Exchange& exchange);
    void run(const AppRef& app, std::shared_ptr<const Prepared> prepared,
             std::unique_ptr<World> world, Result<std::unique_ptr<wasm::AppCall>> call,
             runtime::Exchange exchange);
    void finish(Running& running, wasm::AppResponse response);

    const runtime::Clock& clock_;
    runtime::Random& random_;
    AppLogs& logs_;
    std::map<crypto::Digest32, std::shared_ptr<const Prepared>> prepared_;  // by workload root
    std::deque<std::unique_ptr<Running>> calls_;
    Counters counters_;
};

}  // namespace eos::mini
