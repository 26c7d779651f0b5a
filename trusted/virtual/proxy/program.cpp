// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/program.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "trusted/virtual/proxy/program_report.h"

namespace eos::cvm::proxy {
namespace {

constexpr int kTurnMs = 500;
/// How long the minter may take to say what is served: evidence takes up to seconds.
constexpr std::uint64_t kFirstStateMs = 60'000;
/// Large bodies fill and free buffers of 64 KiB all the time. Memory that went back to the system
/// in between would come again page by page, which costs more than encrypting what is put there.
constexpr int kKeptHeapBytes = 4 * 1024 * 1024;  // free at the end of a loop's heap
constexpr int kMapBytes = 1024 * 1024;           // from here on a buffer is mapped by itself
/// What else a process has open: whoever asks for health and metrics finds one, too.
constexpr std::uint64_t kSpareDescriptors = 256;

std::size_t loops_of(const Config& config) {
    if (config.platform.limits.threads > 0) return config.platform.limits.threads;
    return std::max(1U, std::thread::hardware_concurrency());
}

/// Connections that all upstreams together may have.
std::uint64_t upstream_connections(const Config& config) {
    std::uint64_t out = 0;
    for (const RouteConfig& route : config.routes) out += route.upstream.connections;
    return out;
}

/// One descriptor for each client, and one for its upstream's connection, which may be fewer.
/// returns: how many descriptors there are for upstreams, once clients have theirs. A client of
///          HTTP/2 may ask for more than one connection; beyond this, it is told to come back.
Result<std::uint64_t> raise_descriptor_limit(const Config& config) {
    rlimit limit{};
    const std::uint64_t clients = config.platform.limits.connections;
    const rlim_t wanted = 2 * clients + kSpareDescriptors;
    const rlim_t needed =
        clients + std::min(clients, upstream_connections(config)) + kSpareDescriptors;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return clients;
    if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
        const rlim_t before = limit.rlim_cur;
        limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    }
    if (limit.rlim_cur < needed) {
        return fail(
            bad_config,
            "platform.limits.connections: " + std::to_string(clients) + " need " +
                std::to_string(needed) + " descriptors, and this process may have " +
                std::to_string(limit.rlim_cur) +
                ": raise the limit (LimitNOFILE in the unit, ulimit -Hn) or lower the number");
    }
    return limit.rlim_cur - clients - kSpareDescriptors;
}

}  // namespace

Program::Program(MinterLink& minter, std::string control_path, os::LineSink& log_lines)
    : minter_(minter),
      log_lines_(log_lines),
      signals_(loop_, [this](int signal) { received(signal); }),
      view_{[this] { return metrics(); }, [this] { return connection_count(); },
            [this](UnixTime now) { return reasons(now); }},
      ops_(loop_, clock_, [this](std::string_view path) { return answer(path); }),
      control_path_(std::move(control_path)),
      control_(loop_, clock_,
               [this](runtime::Done<std::uint64_t> done) { reload(std::move(done)); }) {}

Program::~Program() {
    workers_.clear();
    minter_.stop();
}

Result<void> Program::run() {
    (void)::mallopt(M_TRIM_THRESHOLD, kKeptHeapBytes);
    (void)::mallopt(M_MMAP_THRESHOLD, kMapBytes);
    EOS_TRY(minter_.start(loop_, [this](MintedStatePtr state) { take(std::move(state)); }));
    const std::uint64_t deadline_ms = clock_.monotonic_ms() + kFirstStateMs;
    while (!state_ && !is_stopping_) {
        if (clock_.monotonic_ms() >= deadline_ms) {
            return fail(minter_lost, "see the minter's log");
        }
        loop_.turn(timeout_ms());
        minter_.turn();
    }
    if (is_stopping_) return {};
    EOS_TRY(open());
    while (running_ > 0) {
        loop_.turn(timeout_ms());
        minter_.turn();
        ops_.turn();
        control_.turn();
        // Reading a state takes ten times what is kept of it.
        if (std::exchange(has_changed_, false)) ::malloc_trim(0);
    }
    say(os::Severity::info, "stopped");
    return {};
}

void Program::take(MintedStatePtr state) {
    auto table =
        make_routes(state->config, *routes(), loops_of(opened_with_.value_or(state->config)));
    {
        const std::lock_guard lock(served_mutex_);
        routes_ = table;
        state_ = std::move(state);
    }
    has_changed_ = true;
    if (workers_.empty()) return;
    for (Worker& worker : workers_) worker.set_state(state_, table);
    warn_of_restart(state_->config);
    say(os::Severity::info, "state_changed",
        {{"generation", std::to_string(generation())},
         {"routes", std::to_string(state_->config.routes.size())}});
}

std::shared_ptr<const RouteTable> Program::routes() const {
    const std::lock_guard lock(served_mutex_);
    return routes_;
}

MintedStatePtr Program::state() const {
    const std::lock_guard lock(served_mutex_);
    return state_;
}

std::vector<std::string> Program::reasons(UnixTime now) const {
    std::vector<std::string> out = unready_reasons(*state(), now);
    if (!is_ready_) out.emplace_back("the program is stopping");
    return out;
}

std::uint64_t Program::generation() const {
    return state_->served ? state_->served->instance.generation : 0;
}

std::size_t Program::connection_count() const {
    std::size_t out = 0;
    for (const Worker& worker : workers_) out += worker.connection_count();
    return out;
}

int Program::timeout_ms() const {
    const auto next = minter_.next_deadline_ms();
    if (!next) return kTurnMs;
    const std::uint64_t now_ms = clock_.monotonic_ms();
    if (*next <= now_ms) return 0;
    return static_cast<int>(std::min<std::uint64_t>(*next - now_ms, kTurnMs));
}

void Program::warn_of_restart(const Config& config) const {
    const PlatformConfig& before = opened_with_->platform;
    const bool is_same =
        config.platform.listen == before.listen && config.platform.limits == before.limits &&
        config.platform.http2 == before.http2 && config.platform.metrics == before.metrics;
    if (is_same) return;
    say(os::Severity::warning, "restart_needed",
        {{"why", "platform.listen, http2, limits and metrics are read at the start only"}});
}

Result<void> Program::open() {
    opened_with_ = state_->config;
    const std::uint64_t for_upstreams = EOS_TRY(raise_descriptor_limit(*opened_with_));
    const auto protocols = opened_with_->platform.http2 == Switch::kOn
                               ? ratls::ServedProtocols::kHttp2AndHttp1
                               : ratls::ServedProtocols::kHttp1Only;
    tls_.emplace(EOS_TRY(ratls::ServerContext::make(protocols)));
    const std::size_t count = loops_of(*opened_with_);
    view_.loops = count;
    for (std::size_t i = 0; i < count; ++i) {
        workers_.emplace_back(Worker::Parts{minter_, *tls_, view_, log_lines_,
                                            std::max<std::size_t>(for_upstreams / count, 1),
                                            [this] { loop_.post([this] { --running_; }); }},
                              Forwarder::Loop{i, count}, state_, routes());
    }
    if (!control_path_.empty()) EOS_TRY(control_.listen(control_path_));
    EOS_TRY(open_listeners());  // which is logged: what waits for that may ask for a reload
    is_ready_ = true;
    running_ = count;
    for (Worker& worker : workers_) worker.start();
    return {};
}

Result<void> Program::open_listeners() {
    const PlatformConfig& platform = opened_with_->platform;
    if (!platform.metrics.address.empty()) {
        EOS_TRY(ops_.listen(EOS_TRY(os::parse_listen_address(platform.metrics.address))));
        say(os::Severity::info, "metrics", {{"address", ops_.address().text()}});
    }
    for (const ListenConfig& one : platform.listen) {
        os::ListenAddress address = EOS_TRY(os::parse_listen_address(one.address));
        for (Worker& worker : workers_) address = EOS_TRY(worker.listen(one, address));
        say(os::Severity::info, "listening",
            {{"address", address.text()}, {"loops", std::to_string(workers_.size())}});
    }
    return {};
}

void Program::received(int signal) {
    if (signal != SIGHUP) return stop();
    if (!workers_.empty()) reload([](Result<std::uint64_t>) {});
}

void Program::reload(runtime::Done<std::uint64_t> done) {
    minter_.reload([this, done = std::move(done)](Result<void> outcome) mutable {
        if (outcome) {
            // What changed was posted to the loops before.
            return after_all_loops([this, done = std::move(done)]() mutable {
                say(os::Severity::info, "reloaded");
                done(generation());
            });
        }
        say(os::Severity::error, "reload_failed",
            {{"why", outcome.error().message()}, {"then", "what was served before is served on"}});
        done(fail(std::move(outcome).error()));
    });
}

/// Does `work` here once every loop has done what it was told before.
void Program::after_all_loops(std::move_only_function<void()> work) {
    struct Rest {
        std::size_t loops;
        std::move_only_function<void()> work;
    };
    auto rest = std::make_shared<Rest>(workers_.size(), std::move(work));
    for (Worker& worker : workers_) {
        worker.post([this, rest] {
            loop_.post([rest] {
                if (--rest->loops == 0) rest->work();
            });
        });
    }
}

void Program::stop() {
    const bool is_second = std::exchange(is_stopping_, true);
    is_ready_ = false;
    if (workers_.empty()) return;
    const std::uint64_t drain_s = is_second ? 0 : state_->config.platform.policy.drain_time_s;
    say(os::Severity::info, "stopping", {{"drain_s", std::to_string(drain_s)}});
    for (Worker& worker : workers_) worker.drain(drain_s * 1000);
}

std::optional<OpsServer::Answer> Program::answer(std::string_view path) const {
    if (path == "/metrics")
        return OpsServer::Answer{200, runtime::MetricRegistry::kContentType, metrics()};
    if (path == "/healthz") return OpsServer::Answer{200, "text/plain", "ok\n"};
    if (path != "/readyz") return std::nullopt;
    std::string lines;
    for (const std::string& reason : reasons(clock_.now())) lines += reason + "\n";
    return lines.empty() ? OpsServer::Answer{200, "text/plain", "ready\n"}
                         : OpsServer::Answer{503, "text/plain", std::move(lines)};
}

std::string Program::metrics() const {
    std::vector<const runtime::MetricRegistry*> loops;
    for (const Worker& worker : workers_) loops.push_back(&worker.metrics().registry());
    return runtime::MetricRegistry::to_text(loops) +
           program_metrics({log_lines_.dropped_lines(), minter_.statistics()}, *state()) +
           route_metrics(*routes());
}

void Program::say(os::Severity severity, std::string_view event,
                  std::initializer_list<os::Log::Field> fields) const {
    const LogConfig& log = state_->config.platform.log;
    const bool is_wanted = severity == os::Severity::error || log.level == LogLevel::kInfo ||
                           (severity == os::Severity::warning && log.level == LogLevel::kWarning);
    if (!is_wanted) return;
    const auto format = log.format == LogFormat::kJson ? os::LogFormat::json : os::LogFormat::text;
    os::Log(format, log_lines_).write(severity, event, fields);
}

}  // namespace eos::cvm::proxy
