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
#include "trusted/runtime/body.h"
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
/// The linear memory that one app may have.
inline constexpr std::uint64_t kMaxAppMemoryBytes = 2ull << 30;
/// Memory that all calls of a worker may take together, each counted with the most it can take:
/// linear memory, stacks, what the engine keeps, the answer. The rest beyond kMaxAppMemoryBytes is
/// for that, so that whatever app was loaded can be called.
inline constexpr std::uint64_t kMaxCallMemoryBytes = kMaxAppMemoryBytes + (512ull << 20);
/// What an app may take of that with its second call and every further one while others are loaded.
inline constexpr std::uint64_t kMaxCallMemoryBytesPerApp = kMaxCallMemoryBytes / 2;

/// An app as a request finds it. The parts live as long as the snapshot they come from.
struct AppRef {
    std::string name;
    std::shared_ptr<const runtime::PlatformState> state;  ///< keeps `app` alive
    const runtime::App* app = nullptr;
    std::shared_ptr<const SecretBytes> module;
    /// Root of the app's tree: the same code with another configuration is another app.
    crypto::Digest32 workload_root{};
};

/// What one state of the platform has loaded.
struct LoadedApps {
    std::set<ByteArray<16>> ids;  ///< App::app_id: a name that was unloaded comes back with another
    std::set<crypto::Digest32> workload_roots;
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
/// errors: those of wasm::check_app_config; app_unusable (more memory than kMaxAppMemoryBytes).
[[nodiscard]] Result<void> check_configuration(const std::string& name, const runtime::App& app);

/// threads: one, the worker's.
class AppRunner {
  public:
    /// All outlive this.
    struct Parts {
        const runtime::Clock& clock;
        std::uint32_t clock_step_ms;  ///< how far it moves at once, at most; apps are told
        runtime::Random& random;
        AppLogs& logs;
    };
    explicit AppRunner(const Parts& parts);
    ~AppRunner();

    /// Starts the CGI handler for a request, or answers why not. `loan` counts the request's body;
    /// it is given back when the call is over.
    void serve(const AppRef& app, wasm::CgiRequest request, runtime::MemoryBudget::Loan loan,
               runtime::Exchange exchange);

    /// Starts a function call, or answers why not. The body's loan is given back when the call is
    /// over: the arguments are as large.
    void call(const AppRef& app, const std::string& function, runtime::CollectedBody body,
              runtime::Exchange exchange);

    /// What the app's module is. Costs what preparing it for the first call costs, once.
    /// errors: as inspect_module().
    [[nodiscard]] Result<ModuleFacts> facts(const AppRef& app);

    /// Runs one slice of one call. Returns whether another call could run at once.
    bool turn();
    /// When a call that sleeps wants to go on.
    std::optional<std::uint64_t> next_deadline_ms() const;

    /// Forgets prepared apps that are not among these, and from now on keeps no other. Calls that
    /// run go on; a request that was on its way to an app that is gone is answered 404.
    void retain(LoadedApps loaded);

    std::size_t call_count() const { return calls_.size(); }
    std::size_t prepared_count() const { return prepared_.size(); }
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
    std::shared_ptr<const Prepared> admit(const AppRef& app, runtime::Exchange& exchange);
    std::string_view why_busy(const AppRef& app, std::uint64_t memory_bytes) const;
    void run(Running running, Result<std::unique_ptr<wasm::AppCall>> call);
    void finish(Running& running, wasm::AppResponse response);

    const runtime::Clock& clock_;
    const std::uint32_t clock_step_ms_;
    runtime::Random& random_;
    AppLogs& logs_;
    std::optional<LoadedApps> loaded_;                                      // nothing: all are
    std::map<crypto::Digest32, std::shared_ptr<const Prepared>> prepared_;  // by workload root
    std::deque<std::unique_ptr<Running>> calls_;
    Counters counters_;
};

}  // namespace eos::mini
