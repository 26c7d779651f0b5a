// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/daemon.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>

#include <algorithm>

#include "common/base/assert.h"
#include "untrusted/daemon/metrics.h"
#include "untrusted/daemon/state_directory.h"
#include "untrusted/daemon/system_error.h"

namespace eos::daemon {
namespace {

// RocksDB's files, the services' and the loop's own descriptors, with room to spare.
constexpr std::size_t kReservedDescriptors = 256;
constexpr Milliseconds kExpiryCheckInterval{1'000};

}  // namespace

class Daemon::Signals : public EventHandler {
  public:
    Signals(EventLoop& loop, Supervisor& supervisor, Milliseconds drain_time)
        : loop_(loop), supervisor_(supervisor), drain_time_(drain_time) {
        sigset_t wanted;
        ::sigemptyset(&wanted);
        ::sigaddset(&wanted, SIGTERM);
        ::sigaddset(&wanted, SIGINT);
        fd_ = UniqueFd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
        EOS_ASSERT(fd_.valid());
        loop_.add(fd_.get(), EPOLLIN, *this);
    }
    ~Signals() override { loop_.remove(fd_.get(), *this); }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    void on_events(std::uint32_t /*events*/) override {
        signalfd_siginfo info{};
        while (::read(fd_.get(), &info, sizeof(info)) == sizeof(info)) {
            supervisor_.stop(std::chrono::steady_clock::now(), drain_time_);
        }
    }

  private:
    EventLoop& loop_;
    Supervisor& supervisor_;
    Milliseconds drain_time_;
    UniqueFd fd_;
};

Result<std::unique_ptr<Daemon>> Daemon::open(const DaemonOptions& options, const Log& log) {
    const SocketAddress listen = EOS_TRY(parse_address(options.listen));
    if (::access(options.runner.path.c_str(), X_OK) != 0) {
        return fail(runner_not_started, system_error_text(options.runner.path));
    }
    EOS_TRY(boundary::Layout::block_bytes({.worker_count = options.worker_count}));
    EOS_TRY(prepare_state_directory(options.state_directory));
    auto database =
        EOS_TRY(BlobDatabase::open({.directory = database_directory(options.state_directory)}));

    std::unique_ptr<Daemon> out(new Daemon(options, log, std::move(database)));
    out->limit_connections();
    out->listener_ = EOS_TRY(Listener::open(out->loop_, *out, listen));
    log.info("listening", out->listener_->address().text());
    if (options.ops_listen) {
        const SocketAddress address = EOS_TRY(parse_address(*options.ops_listen));
        out->ops_ = EOS_TRY(OpsServer::open(
            out->loop_, address,
            [daemon = out.get()](std::string_view path) { return daemon->answer_ops(path); }));
        log.info("ops_listening", out->ops_->address().text());
    }
    return out;
}

Daemon::Daemon(const DaemonOptions& options, const Log& log, std::unique_ptr<BlobDatabase> database)
    : options_(options),
      log_(log),
      mailbox_(loop_),
      blobs_(std::move(database)),
      quotes_(options.quote_socket),
      services_({blobs_, quotes_, mailbox_, counters_, health_, log_}),
      supervisor_({loop_, services_, ids_, counters_, health_, log_},
                  {.command = options.runner, .layout = {.worker_count = options.worker_count}}),
      signals_(std::make_unique<Signals>(loop_, supervisor_, options.drain_time)) {}

Daemon::~Daemon() = default;

void Daemon::limit_connections() {
    rlimit limit{};
    EOS_ASSERT(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
    EOS_ASSERT(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const auto room = static_cast<std::size_t>(limit.rlim_cur);
    const std::size_t possible =
        room > 2 * kReservedDescriptors ? room - kReservedDescriptors : kReservedDescriptors / 4;
    if (options_.max_connections <= possible) return;
    log_.warning("max_connections", std::to_string(options_.max_connections) +
                                        " connections need more descriptors than the limit of " +
                                        std::to_string(room) + " allows; using " +
                                        std::to_string(possible));
    options_.max_connections = possible;
}

ExitCode Daemon::run() {
    while (true) {
        loop_.turn(supervisor_.rest());
        supervisor_.awake();
        const MonotonicTime now = std::chrono::steady_clock::now();
        supervisor_.turn(now);
        permit_accepting(now);
        watch_expiry(now);
        if (ops_) ops_->turn(now);
        switch (supervisor_.state()) {
            case Supervisor::State::kStopped:
                if (supervisor_.stopped_in_good_order()) {
                    log_.info("stopped", "in good order");
                } else {
                    log_.warning("stopped", "not in good order, the lines above say why");
                }
                return ExitCode::kStopped;
            case Supervisor::State::kStateRefused:
                return ExitCode::kStateRefused;
            case Supervisor::State::kStopping:
                listener_.reset();  // new clients are refused, not left waiting
                break;
            case Supervisor::State::kRunning:
                break;
        }
    }
}

void Daemon::watch_expiry(MonotonicTime now) {
    if (now < next_expiry_check_) return;
    next_expiry_check_ = now + kExpiryCheckInterval;
    std::string warning = health_.expiry_warning({::time(nullptr)});
    if (warning == expiry_warning_) return;
    if (warning.empty()) {
        log_.info("expiry_near", "renewed");
    } else {
        log_.warning("expiry_near", warning);
    }
    expiry_warning_ = std::move(warning);
}

void Daemon::permit_accepting(MonotonicTime now) {
    if (!listener_) return;
    const std::size_t open = supervisor_.connection_count();
    const TrustedProcess* process = supervisor_.accepting();
    const bool can =
        process != nullptr && process->traffic().can_adopt() && open < options_.max_connections;
    listener_->permit(can ? options_.max_connections - open : 0, now);
    counters_.accept_pauses = listener_->pause_count();
    if (health_.accept_trouble != listener_->trouble()) {
        health_.accept_trouble = listener_->trouble();
        if (!health_.accept_trouble.empty()) {
            log_.warning("accept_paused", health_.accept_trouble);
        }
    }
}

void Daemon::on_accept(UniqueFd socket, const SocketAddress& peer) {
    TrustedProcess* process = supervisor_.accepting();
    if (process != nullptr) process->traffic().adopt(std::move(socket), peer.as_peer());
}

OpsResponse Daemon::answer_ops(std::string_view path) const {
    if (path == "/healthz") return {.body = "ok\n"};
    if (path == "/metrics") {
        return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
                .body = render_metrics(counters_, health_, supervisor_.connection_count())};
    }
    if (path != "/readyz") return {.status = 404, .body = "try /healthz, /readyz or /metrics\n"};
    const std::vector<std::string> reasons = health_.reasons();
    if (reasons.empty()) return {.body = "ready\n"};
    OpsResponse out{.status = 503, .body = {}};
    for (const std::string& reason : reasons) out.body += reason + "\n";
    return out;
}

}  // namespace eos::daemon
