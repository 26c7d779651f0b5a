// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/program.h"

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <utility>

#include "common/base/encoding.h"
#include "common/crypto/random.h"
#include "trusted/os/files.h"
#include "trusted/os/local_socket.h"
#include "trusted/os/signals.h"
#include "trusted/os/system_clock.h"
#include "trusted/virtual/evidence/measurement.h"
#include "trusted/virtual/minter/doctor.h"
#include "trusted/virtual/minter/minter.h"
#include "trusted/virtual/minter/sandbox.h"
#include "trusted/virtual/minter/server.h"

namespace eos::cvm {
namespace {

constexpr const char* kVersion = "enclave-os-minter 0.1.0";
constexpr int kTurnMs = 1'000;

/// Where things are; nothing here decides what is attested.
struct Arguments {
    std::string config = "/etc/enclave-os/virtual.yaml";
    std::string state = "/var/lib/enclave-os/minter";
    std::string socket = "/run/enclave-os/minter.sock";
    std::string policy_log = "/run/enclave-os/policy-log.json";
    std::string proxy_user = "enclave-os-proxy";
};

class SystemRandom final : public runtime::Random {
  public:
    void fill(MutableByteView out) override { crypto::fill_random(out); }
};

Result<Config> read_config(const std::string& path) {
    Bytes text = EOS_TRY(os::read_file(path, kMaxConfigBytes));
    Result<Config> config = parse_config(text);
    if (!config) return fail(std::move(config).error().within(path));
    return config;
}

os::LogFormat format_of(const Config& config) {
    return config.platform.log.format == LogFormat::kJson ? os::LogFormat::json
                                                          : os::LogFormat::text;
}

// No core file and no debugger: the CA's key is in this memory.
void hide_memory() {
    const rlimit none{};
    static_cast<void>(::setrlimit(RLIMIT_CORE, &none));
    static_cast<void>(::prctl(PR_SET_DUMPABLE, 0));
}

/// The running minter: its parts, in the order in which they are made.
class Program {
  public:
    Program(Arguments arguments, Config config)
        : arguments_(std::move(arguments)),
          log_(format_of(config)),
          signals_(loop_, [this](int signal) { received(signal); }),
          first_config_(std::move(config)) {}

    Result<void> start() {
        const uid_t proxy_user = EOS_TRY(os::find_user(arguments_.proxy_user));
        state_.emplace(EOS_TRY(StateDirectory::open(arguments_.state)));
        std::optional<MinterState> stored = EOS_TRY(state_->load());
        evidence_ = EOS_TRY(open_evidence());
        if (evidence_->kind() == TeeKind::kTdx) {
            measurement_.emplace(
                EOS_TRY(PolicyMeasurement::open(EOS_TRY(open_rtmr3()), arguments_.policy_log)));
        }
        server_ = EOS_TRY(MinterServer::listen(loop_, log_, arguments_.socket, proxy_user));
        quotes_.emplace(loop_, *evidence_);
        minter_.emplace(minter_parts());
        server_->set_minter(*minter_);
        const SandboxKind sandbox = EOS_TRY(close_sandbox());
        log_.write(sandbox == SandboxKind::kFilter ? os::Severity::info : os::Severity::warning,
                   "started",
                   {{"program", kVersion},
                    {"tee", std::string(tee_name(evidence_->kind()))},
                    {"sandbox", sandbox == SandboxKind::kFilter ? "closed" : "none (sanitizers)"}});
        return minter_->start(std::move(stored));
    }

    void run() {
        while (!is_stopping_) {
            loop_.turn(next_timeout_ms());
            minter_->turn();
            // Reading and hashing ten thousand routes takes ten times what is kept of them.
            if (std::exchange(has_changed_, false)) ::malloc_trim(0);
        }
        log_.write(os::Severity::info, "stopped");
        server_.reset();
        // The thread ends before what it works for.
        quotes_.reset();
    }

  private:
    Minter::Parts minter_parts() {
        return {clock_,
                random_,
                *quotes_,
                log_,
                kVersion,
                [this] { return next_config(); },
                [this](const MinterState& state) { return state_->store(state); },
                [this](const crypto::Digest32& root, PolicyChange change) -> Result<void> {
                    if (!measurement_) return {};
                    return measurement_->extend(root, change);
                },
                [this] { return measurement_ ? measurement_->log_json() : std::string(); },
                [this](const State& state) {
                    server_->push(state);
                    has_changed_ = true;
                }};
    }

    /// What the program began with, and from then on what the file says.
    Result<Config> next_config() {
        if (first_config_) return *std::exchange(first_config_, std::nullopt);
        return read_config(arguments_.config);
    }

    void received(int signal) {
        if (signal != SIGHUP) {
            is_stopping_ = true;
            return;
        }
        if (!minter_) return;
        if (Result<void> outcome = minter_->reload(); !outcome) {
            log_.write(os::Severity::error, "reload_failed", {{"why", outcome.error().message()}});
        }
    }

    int next_timeout_ms() const {
        std::optional<std::uint64_t> next = minter_->next_deadline_ms();
        const std::uint64_t now_ms = clock_.monotonic_ms();
        if (!next) return kTurnMs;
        if (*next <= now_ms) return 0;
        return static_cast<int>(std::min<std::uint64_t>(*next - now_ms, kTurnMs));
    }

    const Arguments arguments_;
    const os::Log log_;
    const os::SystemClock clock_;
    SystemRandom random_;
    os::EventLoop loop_;
    os::Signals signals_;
    std::optional<Config> first_config_;
    std::optional<StateDirectory> state_;
    std::unique_ptr<TeeEvidence> evidence_;
    std::optional<PolicyMeasurement> measurement_;
    std::unique_ptr<MinterServer> server_;
    std::optional<QuoteQueue> quotes_;
    std::optional<Minter> minter_;
    bool has_changed_ = false;
    bool is_stopping_ = false;
};

Result<void> run(const Arguments& arguments) {
    hide_memory();
    Program program(arguments, EOS_TRY(read_config(arguments.config)));
    EOS_TRY(program.start());
    program.run();
    return {};
}

Result<void> check(const Arguments& arguments) {
    const Config config = EOS_TRY(read_config(arguments.config));
    std::printf("%-10s %s\n", "platform", config.platform.name.c_str());
    for (const ListenConfig& listen : config.platform.listen)
        std::printf("%-10s %s\n", "listen", listen.address.c_str());
    for (const RouteConfig& route : config.routes) {
        const UpstreamConfig& upstream = route.upstream;
        std::printf("%-10s %s: %s -> %s\n", "route", route.name.c_str(), route.hostname.c_str(),
                    (upstream.tcp.empty() ? upstream.unix_socket : upstream.tcp).c_str());
    }
    return {};
}

int doctor() {
    int outcome = 0;
    for (const Finding& finding : examine_machine()) {
        const bool is_bad = finding.kind == Finding::Kind::kBad;
        if (is_bad) outcome = 1;
        std::printf("%-5s %-16s %s\n",
                    is_bad                                 ? "FAIL"
                    : finding.kind == Finding::Kind::kNote ? "note"
                                                           : "ok",
                    finding.what.c_str(), printable(as_bytes(finding.found), 1024).c_str());
    }
    return outcome;
}

int report(const Result<void>& outcome) {
    if (outcome) return 0;
    std::fprintf(stderr, "enclave-os-minter: %s\n", outcome.error().message().c_str());
    return 1;
}

}  // namespace

int run_minter(int argc, char** argv) {
    Arguments arguments;
    CLI::App app("Holds the CA's key of a confidential VM, has evidence made, mints leaves.");
    app.set_version_flag("--version", kVersion);
    app.require_subcommand(1);
    auto with_config = [&](CLI::App* command) {
        command->add_option("--config", arguments.config, "The configuration file")
            ->capture_default_str();
        return command;
    };
    CLI::App* run_command = with_config(app.add_subcommand("run", "Mint, until SIGTERM"));
    run_command->add_option("--state", arguments.state, "Directory of the state, mode 0700")
        ->capture_default_str();
    run_command->add_option("--socket", arguments.socket, "Where the proxy connects to")
        ->capture_default_str();
    run_command
        ->add_option("--policy-log", arguments.policy_log,
                     "Events of the policy register; must live as long as the VM does")
        ->capture_default_str();
    run_command->add_option("--proxy-user", arguments.proxy_user, "Who may connect: name or number")
        ->capture_default_str();
    CLI::App* check_command =
        with_config(app.add_subcommand("check", "Read the configuration and say what it means"));
    CLI::App* doctor_command =
        app.add_subcommand("doctor", "Say whether this machine can give evidence, and how fast");
    CLI::App* schema_command = app.add_subcommand("schema", "Print the configuration's schema");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (*run_command) return report(run(arguments));
    if (*check_command) return report(check(arguments));
    if (*doctor_command) return doctor();
    if (*schema_command) std::printf("%s\n", json::pretty(config_schema()).c_str());
    return 0;
}

}  // namespace eos::cvm
