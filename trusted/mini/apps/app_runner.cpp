// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/apps/app_runner.h"

#include <algorithm>

#include "common/base/encoding.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr unsigned kRetryAfterSeconds = 1;
// Beside the instance: arguments, environment and the request's head, in two copies.
constexpr std::uint64_t kCallTextBytes = 4 * wasm::kMaxConfigTextBytes;

wasm::AppConfig config_of(const std::string& name, const runtime::App& app) {
    wasm::AppConfig config;
    config.name = name;
    config.arguments = app.arguments;
    for (const runtime::AppVariable& variable : app.environment) {
        config.environment.emplace_back(variable.name, as_chars(variable.value.view()));
    }
    config.limits = engine_limits(app.limits);
    config.budget.fuel = app.limits.max_fuel;
    return config;
}

void answer(runtime::Exchange& exchange, wasm::AppResponse response) {
    Result<void> sent = exchange.respond(response.head, std::move(response.body));
    if (!sent)
        runtime::respond_error(exchange, 502,
                               "the app's answer cannot be sent: " + sent.error().message());
}

/// Rounded up: a call that is woken before its time would only ask again, and pays nothing for it.
std::uint64_t wake_at_ms(const wasm::HostRequest& sleep) {
    return sleep.wake_at_ns / kNsPerMs + (sleep.wake_at_ns % kNsPerMs == 0 ? 0 : 1);
}

// The most that one call takes. Its output grows by doubling: old and new are there at once. What
// only the step takes that reads arguments or writes a result is not counted: there is one at a
// time on a worker.
std::uint64_t call_bytes(const wasm::Module& module, const wasm::AppConfig& config) {
    return module.max_instance_bytes() + 3 * config.output_limit_bytes + kCallTextBytes;
}

ModuleFacts facts_of(const wasm::Module& module, const wasm::Signatures& signatures) {
    ModuleFacts facts;
    facts.has_cgi_entry = wasm::has_cgi_entry(module);
    for (const wasm::FunctionSignature& function : signatures.all())
        facts.functions.push_back(function.name);
    return facts;
}

}  // namespace

/// A module ready for instances, with what its owner configured.
struct AppRunner::Prepared {
    wasm::Module module;
    wasm::Signatures signatures;
    wasm::AppConfig config;
    std::uint64_t call_bytes;
};

/// The world of one call: the platform's clock and randomness, the app's log.
class AppRunner::World : public wasm::WasiClock, public wasm::WasiRandom, public wasm::WasiLog {
  public:
    World(AppRunner& runner, const AppRef& app) : runner_(runner), app_{app.name, app.app->app_id} {
        runner_.logs_.open(app_);
    }

    std::uint64_t realtime_ns() const override {
        return static_cast<std::uint64_t>(runner_.clock_.now().seconds) * kNsPerSecond;
    }
    std::uint64_t monotonic_ns() const override { return runner_.clock_.monotonic_ms() * kNsPerMs; }
    std::uint64_t realtime_step_ns() const override { return kNsPerSecond; }
    std::uint64_t monotonic_step_ns() const override { return runner_.clock_step_ms_ * kNsPerMs; }
    void fill(MutableByteView out) override { runner_.random_.fill(out); }
    void write(ByteView text) override { runner_.logs_.append(app_, runner_.clock_.now(), text); }

    wasm::WasiWorld wasi() { return {*this, *this, *this}; }

  private:
    AppRunner& runner_;
    const AppLogs::App app_;
};

/// Declared so that the call dies before what it borrows.
struct AppRunner::Running {
    std::string app;
    std::shared_ptr<const Prepared> prepared;
    runtime::MemoryBudget::Loan loan;  ///< of the request's body
    std::unique_ptr<World> world;
    std::unique_ptr<wasm::AppCall> call;
    runtime::Exchange exchange;
    std::uint64_t ends_at_ms = 0;
    std::uint64_t wake_at_ms = 0;
};

wasm::Limits engine_limits(const runtime::AppLimits& limits) {
    wasm::Limits out;
    out.memory_pages = static_cast<std::uint32_t>(limits.max_memory_bytes / wasm::kPageBytes);
    return out;
}

Result<ModuleFacts> inspect_module(ByteView bytes, const runtime::AppLimits& limits) {
    std::vector<wasm::HostFunction> offered = wasm::wasi_functions();
    wasm::Module module = EOS_TRY(wasm::Module::load(bytes, engine_limits(limits), offered));
    wasm::Signatures signatures = EOS_TRY(wasm::Signatures::read(module));
    ModuleFacts facts = facts_of(module, signatures);
    if (!facts.has_cgi_entry && facts.functions.empty()) {
        return fail(app_unusable,
                    "it exports neither _start nor a function that can be called with JSON");
    }
    return facts;
}

Result<void> check_configuration(const std::string& name, const runtime::App& app) {
    if (app.limits.max_memory_bytes > kMaxAppMemoryBytes) {
        return fail(app_unusable,
                    "max_memory_bytes: at most " + std::to_string(kMaxAppMemoryBytes));
    }
    return wasm::check_app_config(config_of(name, app));
}

AppRunner::AppRunner(const Parts& parts)
    : clock_(parts.clock),
      clock_step_ms_(parts.clock_step_ms),
      random_(parts.random),
      logs_(parts.logs) {}

AppRunner::~AppRunner() = default;

Result<std::shared_ptr<const AppRunner::Prepared>> AppRunner::prepare(const AppRef& app) {
    if (auto found = prepared_.find(app.workload_root); found != prepared_.end())
        return found->second;
    std::vector<wasm::HostFunction> offered = wasm::wasi_functions();
    wasm::Module module =
        EOS_TRY(wasm::Module::load(app.module->view(), engine_limits(app.app->limits), offered));
    wasm::Signatures signatures = EOS_TRY(wasm::Signatures::read(module));
    wasm::AppConfig config = config_of(app.name, *app.app);
    const std::uint64_t bytes = call_bytes(module, config);
    auto prepared = std::make_shared<const Prepared>(
        Prepared{std::move(module), std::move(signatures), std::move(config), bytes});
    // What a request brings along that was on its way when its app changed would stay for ever.
    if (!loaded_ || loaded_->workload_roots.contains(app.workload_root))
        prepared_.emplace(app.workload_root, prepared);
    return std::shared_ptr<const Prepared>(prepared);
}

Result<ModuleFacts> AppRunner::facts(const AppRef& app) {
    std::shared_ptr<const Prepared> prepared = EOS_TRY(prepare(app));
    return facts_of(prepared->module, prepared->signatures);
}

// What stands against another call that takes that much; empty if nothing does.
std::string_view AppRunner::why_busy(const AppRef& app, std::uint64_t memory_bytes) const {
    std::size_t of_app = 0;
    std::uint64_t bytes_of_app = memory_bytes;
    std::uint64_t bytes_of_all = memory_bytes;
    for (const auto& running : calls_) {
        bytes_of_all += running->prepared->call_bytes;
        if (running->app != app.name) continue;
        ++of_app;
        bytes_of_app += running->prepared->call_bytes;
    }
    // A first call may be as large as load accepts; with more of them an app leaves room for
    // others.
    const bool shares = of_app > 0 && app.state->apps.size() > 1;
    if (of_app >= kMaxCallsPerApp || (shares && bytes_of_app > kMaxCallMemoryBytesPerApp))
        return "too many calls of this app are under way";
    if (calls_.size() >= kMaxCallsPerWorker || bytes_of_all > kMaxCallMemoryBytes)
        return "too many calls of all apps are under way";
    return {};
}

// The app, ready for a call that may begin; or null, and the request is answered.
std::shared_ptr<const AppRunner::Prepared> AppRunner::admit(const AppRef& app,
                                                            runtime::Exchange& exchange) {
    if (loaded_ && !loaded_->ids.contains(app.app->app_id)) {
        runtime::respond_error(exchange, 404, "the app was unloaded");
        return nullptr;
    }
    auto prepared = prepare(app);
    if (!prepared) {
        runtime::respond_error(exchange, 502, prepared.error().message());
        return nullptr;
    }
    // Nobody waits for these, however long they would still sleep.
    std::erase_if(calls_, [](const auto& running) { return !running->exchange.is_open(); });
    const std::string_view busy = why_busy(app, (*prepared)->call_bytes);
    if (busy.empty()) return *std::move(prepared);
    ++counters_.refused;
    runtime::respond_busy(exchange, busy, kRetryAfterSeconds);
    return nullptr;
}

void AppRunner::serve(const AppRef& app, wasm::CgiRequest request, runtime::MemoryBudget::Loan loan,
                      runtime::Exchange exchange) {
    auto prepared = admit(app, exchange);
    if (!prepared) return;
    auto world = std::make_unique<World>(*this, app);
    auto call =
        wasm::begin_cgi_call(prepared->module, world->wasi(), prepared->config, std::move(request));
    run({app.name, std::move(prepared), std::move(loan), std::move(world), nullptr,
         std::move(exchange)},
        std::move(call));
}

void AppRunner::call(const AppRef& app, const std::string& function, runtime::CollectedBody body,
                     runtime::Exchange exchange) {
    const SecretBytes text(std::move(body.bytes));
    auto prepared = admit(app, exchange);
    if (!prepared) return;
    auto world = std::make_unique<World>(*this, app);
    auto call = wasm::begin_json_call(prepared->module, prepared->signatures, world->wasi(),
                                      prepared->config, function, text.view());
    run({app.name, std::move(prepared), std::move(body.loan), std::move(world), nullptr,
         std::move(exchange)},
        std::move(call));
}

void AppRunner::run(Running running, Result<std::unique_ptr<wasm::AppCall>> call) {
    ++counters_.calls;
    if (!call) return answer(running.exchange, wasm::error_response(call.error()));
    running.call = *std::move(call);
    counters_.fuel += running.call->fuel_used();
    running.ends_at_ms = clock_.monotonic_ms() + kMaxCallMs;
    calls_.push_back(std::make_unique<Running>(std::move(running)));
}

bool AppRunner::turn() {
    std::uint64_t now_ms = clock_.monotonic_ms();
    auto next =
        std::ranges::find_if(calls_, [&](const auto& c) { return c->wake_at_ms <= now_ms; });
    if (next == calls_.end()) return false;
    std::unique_ptr<Running> running = std::move(*next);
    calls_.erase(next);
    if (!running->exchange.is_open()) return !calls_.empty();
    if (now_ms >= running->ends_at_ms) {
        ++counters_.traps;
        runtime::respond_error(running->exchange, 504, "the app did not answer in time");
        return !calls_.empty();
    }
    const std::uint64_t fuel_before = running->call->fuel_used();
    wasm::Progress progress = running->call->step(wasm::kFuelSlice);
    counters_.fuel += running->call->fuel_used() - fuel_before;
    if (auto* response = std::get_if<wasm::AppResponse>(&progress)) {
        finish(*running, std::move(*response));
    } else {
        const auto* sleep = std::get_if<wasm::HostRequest>(&progress);
        running->wake_at_ms =
            sleep == nullptr ? 0 : std::min(wake_at_ms(*sleep), running->ends_at_ms);
        calls_.push_back(std::move(running));
    }
    return std::ranges::any_of(calls_, [&](const auto& c) { return c->wake_at_ms <= now_ms; });
}

void AppRunner::finish(Running& running, wasm::AppResponse response) {
    if (response.outcome != "ok") ++counters_.traps;
    answer(running.exchange, std::move(response));
}

std::optional<std::uint64_t> AppRunner::next_deadline_ms() const {
    std::optional<std::uint64_t> next;
    for (const auto& running : calls_) {
        if (!next || running->wake_at_ms < *next) next = running->wake_at_ms;
    }
    return next;
}

void AppRunner::retain(LoadedApps loaded) {
    std::erase_if(prepared_, [&](const auto& prepared) {
        return !loaded.workload_roots.contains(prepared.first);
    });
    loaded_ = std::move(loaded);
}

}  // namespace eos::mini
