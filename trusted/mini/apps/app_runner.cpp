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
};

/// The world of one call: the platform's clock and randomness, the app's log.
class AppRunner::World : public wasm::WasiClock, public wasm::WasiRandom, public wasm::WasiLog {
  public:
    World(AppRunner& runner, std::string app) : runner_(runner), app_(std::move(app)) {}

    std::uint64_t realtime_ns() const override {
        return static_cast<std::uint64_t>(runner_.clock_.now().seconds) * kNsPerSecond;
    }
    std::uint64_t monotonic_ns() const override { return runner_.clock_.monotonic_ms() * kNsPerMs; }
    std::uint64_t resolution_ns() const override { return kNsPerMs; }
    void fill(MutableByteView out) override { runner_.random_.fill(out); }
    void write(ByteView text) override { runner_.logs_.append(app_, runner_.clock_.now(), text); }

    wasm::WasiWorld wasi() { return {*this, *this, *this}; }

  private:
    AppRunner& runner_;
    std::string app_;
};

/// Declared so that the call dies before what it borrows.
struct AppRunner::Running {
    std::string app;
    std::uint64_t max_memory_bytes;
    std::shared_ptr<const Prepared> prepared;
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
    if (app.limits.max_memory_bytes > kMaxCallMemoryBytes) {
        return fail(app_unusable,
                    "max_memory_bytes: at most " + std::to_string(kMaxCallMemoryBytes));
    }
    return wasm::check_app_config(config_of(name, app));
}

AppRunner::AppRunner(const runtime::Clock& clock, runtime::Random& random, AppLogs& logs)
    : clock_(clock), random_(random), logs_(logs) {}

AppRunner::~AppRunner() = default;

Result<std::shared_ptr<const AppRunner::Prepared>> AppRunner::prepare(const AppRef& app) {
    if (auto found = prepared_.find(app.workload_root); found != prepared_.end())
        return found->second;
    std::vector<wasm::HostFunction> offered = wasm::wasi_functions();
    wasm::Module module =
        EOS_TRY(wasm::Module::load(app.module->view(), engine_limits(app.app->limits), offered));
    wasm::Signatures signatures = EOS_TRY(wasm::Signatures::read(module));
    auto prepared = std::make_shared<const Prepared>(
        Prepared{std::move(module), std::move(signatures), config_of(app.name, *app.app)});
    prepared_.emplace(app.workload_root, prepared);
    return std::shared_ptr<const Prepared>(prepared);
}

Result<ModuleFacts> AppRunner::facts(const AppRef& app) {
    std::shared_ptr<const Prepared> prepared = EOS_TRY(prepare(app));
    return facts_of(prepared->module, prepared->signatures);
}

bool AppRunner::admit(const AppRef& app, runtime::Exchange& exchange) {
    // Nobody waits for these, however long they would still sleep.
    std::erase_if(calls_, [](const auto& running) { return !running->exchange.is_open(); });
    std::size_t of_app = 0;
    std::uint64_t memory_bytes = app.app->limits.max_memory_bytes;
    for (const auto& running : calls_) {
        of_app += running->app == app.name ? 1 : 0;
        memory_bytes += running->max_memory_bytes;
    }
    const bool has_room = calls_.size() < kMaxCallsPerWorker && memory_bytes <= kMaxCallMemoryBytes;
    if (of_app < kMaxCallsPerApp && has_room) return true;
    ++counters_.refused;
    runtime::respond_busy(exchange,
                          of_app < kMaxCallsPerApp ? "too many calls of all apps are under way"
                                                   : "too many calls of this app are under way",
                          kRetryAfterSeconds);
    return false;
}

void AppRunner::serve(const AppRef& app, wasm::CgiRequest request, runtime::Exchange exchange) {
    if (!admit(app, exchange)) return;
    auto prepared = prepare(app);
    if (!prepared) return runtime::respond_error(exchange, 502, prepared.error().message());
    auto world = std::make_unique<World>(*this, app.name);
    auto call = wasm::begin_cgi_call((*prepared)->module, world->wasi(), (*prepared)->config,
                                     std::move(request));
    run(app, std::move(*prepared), std::move(world), std::move(call), std::move(exchange));
}

void AppRunner::call(const AppRef& app, const std::string& function, ByteView body,
                     runtime::Exchange exchange) {
    if (!admit(app, exchange)) return;
    auto prepared = prepare(app);
    if (!prepared) return runtime::respond_error(exchange, 502, prepared.error().message());
    auto world = std::make_unique<World>(*this, app.name);
    auto call = wasm::begin_json_call((*prepared)->module, (*prepared)->signatures, world->wasi(),
                                      (*prepared)->config, function, body);
    run(app, std::move(*prepared), std::move(world), std::move(call), std::move(exchange));
}

void AppRunner::run(const AppRef& app, std::shared_ptr<const Prepared> prepared,
                    std::unique_ptr<World> world, Result<std::unique_ptr<wasm::AppCall>> call,
                    runtime::Exchange exchange) {
    ++counters_.calls;
    if (!call) return answer(exchange, wasm::error_response(call.error()));
    calls_.push_back(std::make_unique<Running>(
        Running{app.name, app.app->limits.max_memory_bytes, std::move(prepared), std::move(world),
                std::move(*call), std::move(exchange), clock_.monotonic_ms() + kMaxCallMs, 0}));
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
    wasm::Progress progress = running->call->step(wasm::kFuelSlice);
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
    counters_.fuel += response.fuel_used;
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

void AppRunner::retain(const std::set<crypto::Digest32>& workload_roots) {
    std::erase_if(prepared_,
                  [&](const auto& prepared) { return !workload_roots.contains(prepared.first); });
}

}  // namespace eos::mini
