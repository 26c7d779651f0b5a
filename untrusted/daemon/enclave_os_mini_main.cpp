// SPDX-License-Identifier: AGPL-3.0-only
// enclave-os-mini: the untrusted host side of Mini. Options in, Daemon or doctor out.
#include <signal.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <thread>

#include "untrusted/daemon/daemon.h"
#include "untrusted/daemon/doctor.h"
#include "untrusted/daemon/state_directory.h"

namespace {

using namespace eos::daemon;

/// Everything the command line can say.
struct CommandLine {
    DaemonOptions options;
    std::string log_format = "text";
    unsigned drain_seconds = 30;
    bool doctor = false;
    bool reset_state = false;
};

std::string default_runner() {
    std::error_code error;
    const auto own = std::filesystem::read_symlink("/proc/self/exe", error);
    return (own.parent_path() / "enclave-os-runner-process").string();
}

unsigned default_worker_count() {
    // One core is left to the network thread.
    return std::clamp(std::thread::hardware_concurrency(), 2U, 5U) - 1;
}

void add_options(CLI::App& app, CommandLine& line) {
    DaemonOptions& o = line.options;
    app.add_option("--listen", o.listen, "Address for clients, numeric; port 0: any free port")
        ->capture_default_str();
    app.add_option("--state-dir", o.state_directory,
                   "Directory of the sealed state; made with mode 0700 if missing")
        ->capture_default_str();
    app.add_flag("--reset-state", line.reset_state,
                 "Put the sealed state aside, in the state directory, and exit; the next start is "
                 "without owner, apps and CA");
    app.add_option("--workers", o.worker_count, "Worker threads of the trusted side")
        ->check(CLI::Range(1U, eos::boundary::kMaxWorkers))
        ->capture_default_str();
    app.add_option("--quote-socket", o.quote_socket,
                   "Unix socket of aesmd or sgx-quoting-emulator; @NAME: abstract")
        ->capture_default_str();
    app.add_option("--max-connections", o.max_connections,
                   "Clients at a time; more wait in the kernel's queue")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    app.add_option("--drain-timeout", line.drain_seconds,
                   "Seconds for open requests to finish after SIGTERM")
        ->check(CLI::Range(0, 3600))
        ->capture_default_str();
    app.add_option("--ops-listen", o.ops_listen,
                   "Loopback address for plain HTTP /healthz, /readyz and /metrics; default: off");
    app.add_option("--runner", o.runner.path, "Program that runs the trusted side")
        ->capture_default_str();
    app.add_option("--runner-arg", o.runner.arguments,
                   "An argument for the runner, repeatable; write --runner-arg=--identity "
                   "--runner-arg=FILE")
        ->allow_extra_args(false)
        ->take_all();
    app.add_option("--log-format", line.log_format, "One line an event, on standard error")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
}

int run(const CommandLine& line) {
    const Log log(line.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
    // Before any thread is made, so that all have it: signals come through a descriptor.
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::sigaddset(&blocked, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    ::signal(SIGPIPE, SIG_IGN);

    auto daemon = Daemon::open(line.options, log);
    if (!daemon) {
        log.error("cannot_start", daemon.error().message());
        return static_cast<int>(ExitCode::kFailed);
    }
    return static_cast<int>((*daemon)->run());
}

int run_reset(const CommandLine& line) {
    const Log log(line.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
    const auto aside = reset_state(line.options.state_directory);
    if (!aside) {
        log.error("cannot_reset", aside.error().message());
        return static_cast<int>(ExitCode::kFailed);
    }
    log.info("state_reset", *aside ? "the state now lies in " + (*aside)->string() +
                                         "; the next start is without owner"
                                   : "there was no state");
    return static_cast<int>(ExitCode::kStopped);
}

int run_doctor(const CommandLine& line) {
    const auto findings = examine(line.options);
    std::fputs(render(findings).c_str(), stdout);
    return static_cast<int>(has_failure(findings) ? ExitCode::kFailed : ExitCode::kStopped);
}

}  // namespace

int main(int argc, char** argv) {
    ::umask(077);  // whatever is created here is nobody else's business
    CommandLine line;
    line.options.runner.path = default_runner();
    line.options.worker_count = default_worker_count();
    line.options.state_directory = "/var/lib/enclave-os-mini";

    CLI::App app{
        "Enclave OS Mini, host side: network, storage and quotes for one enclave.\n"
        "No option here decides security: what is trusted is verified by the clients."};
    app.set_version_flag("--version", EOS_VERSION);
    app.footer(
        "Exit codes: 0 stopped when asked (doctor: nothing fails), 1 cannot run,\n"
        "2 bad usage, 3 the enclave refuses its sealed state.\n"
        "The operator guide (docs/operator-guide.md) has the rest.");
    add_options(app, line);
    app.add_subcommand("run", "Serve (what happens without a command)")->fallthrough();
    app.add_subcommand("doctor", "Check what the daemon needs of this machine; changes nothing")
        ->fallthrough()
        ->callback([&line] { line.doctor = true; });
    app.require_subcommand(0, 1);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
    }
    line.options.drain_time = std::chrono::seconds(line.drain_seconds);
    if (line.reset_state && line.doctor) {
        std::fprintf(stderr, "doctor changes nothing: --reset-state goes without it\n");
        return static_cast<int>(ExitCode::kUsage);
    }
    if (line.reset_state) return run_reset(line);
    return line.doctor ? run_doctor(line) : run(line);
}
