// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/program.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <thread>

namespace eos::cvm::proxy {
namespace {

constexpr int kTurnMs = 500;
/// How long the minter may take to say what is served: evidence takes up to seconds.
constexpr std::uint64_t kFirstStateMs = 60'000;
/// A client's descriptor and its upstream's, and what else a process has open.
constexpr std::uint64_t kDescriptorsPerConnection = 2;
constexpr std::uint64_t kSpareDescriptors = 256;

std::size_t loops_of(const Config& config) {
    if (config.platform.limits.threads > 0) return config.platform.limits.threads;
    return std::max(1U, std::thread::hardware_concurrency());
}

Result<void> raise_descriptor_limit(const Config& config) {
    rlimit limit{};
    const rlim_t wanted =
        config.platform.limits.connections * kDescriptorsPerConnection + kSpareDescriptors;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return {};
    limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
    if (limit.rlim_cur == wanted && ::setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
    return fail(bad_config, "platform.limits.connections needs " + std::to_string(wanted) +
                                " descriptors: raise the limit (LimitNOFILE, ulimit -n) or lower "
                                "the number");
}

}  // namespace

Program::Program(MinterLink& minter)
    : minter_(minter),
      signals_(loop_, [this](int signal) { received(signal); }),
      view_{[this] { return metrics(); }, [this] { return connection_count(); },
            [this] { return is_ready_.load(); }},
      ops_(loop_, clock_, [this](std::string_view path) { return answer(path); }) {}

Program::~Program() {
    workers_.clear();
    minter_.stop();
}

Result<void> Program::run() {
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
    }
    say(os::Severity::info, "stopped");
    return {};
}

void Program::take(MintedStatePtr state) {
    auto table =
        make_routes(state->config, *routes(), loops_of(opened_with_.value_or(state->config)));
    {
        const std::lock_guard lock(routes_mutex_);
        routes_ = table;
    }
    state_ = std::move(state);
    if (workers_.empty()) return;
    for (Worker& worker : workers_) worker.set_state(state_, table);
    warn_of_restart(state_->config);
    say(os::Severity::info, "state_changed",
        {{"generation", std::to_string(state_->served ? state_->served->instance.generation : 0)},
         {"routes", std::to_string(state_->config.routes.size())}});
}

std::shared_ptr<const RouteTable> Program::routes() const {
    const std::lock_guard lock(routes_mutex_);
    return routes_;
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
    EOS_TRY(raise_descriptor_limit(*opened_with_));
    const auto protocols = opened_with_->platform.http2 == Switch::kOn
                               ? ratls::ServedProtocols::kHttp2AndHttp1
                               : ratls::ServedProtocols::kHttp1Only;
    tls_.emplace(EOS_TRY(ratls::ServerContext::make(protocols)));
    const std::size_t count = loops_of(*opened_with_);
    view_.loops = count;
    for (std::size_t i = 0; i < count; ++i) {
        workers_.emplace_back(
            Worker::Parts{minter_, *tls_, view_, [this] { loop_.post([this] { --running_; }); }},
            Forwarder::Loop{i, count}, state_, routes());
    }
    EOS_TRY(open_listeners());
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
    if (signal == SIGHUP) return reload();
    stop();
}

void Program::reload() {
    if (workers_.empty()) return;
    minter_.reload([this](Result<void> done) {
        if (done) return say(os::Severity::info, "reloaded");
        say(os::Severity::error, "reload_failed",
            {{"why", done.error().message()}, {"then", "what was served before is served on"}});
    });
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
    return is_ready_ ? OpsServer::Answer{200, "text/plain", "ready\n"}
                     : OpsServer::Answer{503, "text/plain", "draining\n"};
}

std::string Program::metrics() const {
    std::string out =
        "# HELP proxy_client_connections Open connections of clients.\n"
        "# TYPE proxy_client_connections gauge\nproxy_client_connections ";
    return out + std::to_string(connection_count()) + "\n" + route_metrics(*routes());
}

void Program::say(os::Severity severity, std::string_view event,
                  std::initializer_list<os::Log::Field> fields) const {
    const LogConfig& log = state_->config.platform.log;
    const bool is_wanted = severity == os::Severity::error || log.level == LogLevel::kInfo ||
                           (severity == os::Severity::warning && log.level == LogLevel::kWarning);
    if (!is_wanted) return;
    const auto format = log.format == LogFormat::kJson ? os::LogFormat::json : os::LogFormat::text;
    os::Log(format).write(severity, event, fields);
}

}  // namespace eos::cvm::proxy
