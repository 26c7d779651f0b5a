// SPDX-License-Identifier: AGPL-3.0-only
// tsm-emulator: makes emulated vendors of confidential VMs, and runs programs as if in such a VM.
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "emulation/tsm/fuse_server.h"
#include "emulation/tsm/installation.h"
#include "emulation/tsm/private_namespace.h"

namespace {

namespace tsm = eos::emulation::tsm;
namespace fs = std::filesystem;
using eos::Result;

constexpr int kMissing = 77;
constexpr const char* kReportPath = "/sys/kernel/config/tsm/report";
constexpr const char* kRegistersPath = "/sys/devices/virtual/misc/tdx_guest/measurements";
constexpr const char* kControlVariable = "TSM_EMULATOR_CONTROL";
constexpr const char* kMiscLink = "/sys/class/misc/tdx_guest";
constexpr const char* kMiscTarget = "../../devices/virtual/misc/tdx_guest";

struct Options {
    std::string directory;
    std::string tee;
    std::string tcb = "UpToDate";
    std::string key = "vcek";
    bool no_certificates = false;
    unsigned vmpl = 0;
    bool no_provider = false;
    std::string fail;
    std::uint32_t fail_every = 1;
    std::string fail_while;
    std::uint32_t latency_ms = 0;
    std::uint32_t owner = 0;
    std::string at;
    std::string out;
    std::vector<std::string> command;
};

const std::map<std::string, tsm::Fault> kFaults{
    {"EBUSY", tsm::Fault::kBusy},
    {"EINTR", tsm::Fault::kInterrupted},
    {"ETIMEDOUT", tsm::Fault::kTimedOut},
    {"ENXIO", tsm::Fault::kNoDevice},
    {"EIO", tsm::Fault::kInputOutput},
    {"ENOTTY", tsm::Fault::kKeyGone},
    {"wrong-report", tsm::Fault::kWrongReport},
    {"wrong-generation", tsm::Fault::kWrongGeneration},
};

eos::UnixTime now() {
    using namespace std::chrono;
    return {duration_cast<seconds>(system_clock::now().time_since_epoch()).count()};
}

void say(const std::string& line) {
    std::fprintf(stderr, "tsm-emulator: %s\n", line.c_str());
}

Result<void> write_out(const std::string& path, const std::string& text) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out) return eos::fail(tsm::installation_unusable, path);
    return {};
}

Result<void> init(const Options& options) {
    EOS_TRY(tsm::init_installation(options.directory, now()));
    std::printf(
        "EMULATED TDX and SEV-SNP: they protect nothing; every key lies in a file of %s.\n"
        "A verifier accepts their evidence, as EMULATED, only under policies that name the test\n"
        "roots: tdx/, snp-milan/, snp-genoa/ and snp-turin/ have root.pem and policy.json each.\n",
        options.directory.c_str());
    return {};
}

Result<void> collateral(const Options& options) {
    return write_out(options.out,
                     EOS_TRY(tsm::tdx_collateral(options.directory, options.tcb, now())));
}

tsm::Behaviour behaviour_of(const Options& options) {
    tsm::Behaviour out;
    out.latency = std::chrono::milliseconds(options.latency_ms);
    if (!options.fail.empty()) out.fault = kFaults.at(options.fail);
    out.fault_every = options.fail_every;
    out.fault_file = options.fail_while;
    return out;
}

tsm::MachineOptions machine_of(const Options& options) {
    using tsm::SnpCertificates;
    return {.tcb_status = options.tcb,
            .snp_key = options.key == "vlek" ? tsm::SnpKey::kVlek : tsm::SnpKey::kVcek,
            .snp_certificates =
                options.no_certificates ? SnpCertificates::kNone : SnpCertificates::kFromHost,
            .vmpl = options.vmpl};
}

/// A guest: its registers, its machine and the kernel that shows both.
class Guest {
  public:
    Result<void> boot(const Options& options) {
        const tsm::Machine machine = EOS_TRY(tsm::machine_from_name(options.tee));
        is_tdx_ = tsm::is_tdx(machine);
        if (is_tdx_ && options.fail == "ENOTTY")
            return eos::fail(tsm::not_offered, "--fail ENOTTY is SNP's: a TD has no such key");
        maker_ =
            EOS_TRY(tsm::load_machine(options.directory, machine, machine_of(options), registers_));
        tree_.emplace(*maker_, behaviour_of(options));
        if (options.no_provider) tree_->unregister_provider();
        owner_ = options.owner;
        return {};
    }
    Result<void> show_at(const std::string& directory) {
        server_ = EOS_TRY(tsm::FuseServer::start({.reports = *tree_,
                                                  .registers = is_tdx_ ? &registers_ : nullptr,
                                                  .owner = owner_,
                                                  .group = ::getegid()},
                                                 directory));
        return {};
    }
    void stop() { server_.reset(); }
    bool is_tdx() const { return is_tdx_; }

  private:
    tsm::Registers registers_;
    bool is_tdx_ = false;
    uid_t owner_ = 0;
    std::unique_ptr<tsm::ReportMaker> maker_;
    std::optional<tsm::ReportTree> tree_;
    std::unique_ptr<tsm::FuseServer> server_;
};

/// Puts the guest's files where Linux has them, and the name of control/ into the environment.
Result<void> put_in_place(Guest& guest, const std::string& scratch) {
    EOS_TRY(tsm::mount_empty(scratch));
    const std::string files = scratch + "/files";
    ::setenv(kControlVariable, (files + "/control").c_str(), 1);
    const std::string staging = scratch + "/staging";
    fs::create_directory(files);
    fs::create_directory(staging);
    EOS_TRY(guest.show_at(files));
    EOS_TRY(tsm::bind_at({.source = files + "/report", .target = kReportPath}, staging));
    if (!guest.is_tdx()) return {};
    EOS_TRY(tsm::bind_at({.source = files + "/measurements", .target = kRegistersPath}, staging));
    return tsm::link_at({.path = kMiscLink, .value = kMiscTarget}, staging);
}

sigset_t termination_signals() {
    sigset_t out;
    sigemptyset(&out);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&out, number);
    return out;
}

[[noreturn]] void execute(const std::vector<std::string>& command, const sigset_t& before) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    say(command[0] + ": " + std::strerror(errno));
    ::_exit(127);
}

/// Waits for the command, handing signals on; its exit code.
int wait_for(pid_t child, const sigset_t& signals) {
    for (;;) {
        int number = 0;
        ::sigwait(&signals, &number);
        if (number != SIGCHLD) ::kill(child, number);
        int status = 0;
        if (number != SIGCHLD || ::waitpid(child, &status, WNOHANG) != child) continue;
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

Result<int> run_command(const Options& options, Guest& guest) {
    EOS_TRY(tsm::enter_private_namespace());
    const sigset_t signals = termination_signals();
    sigset_t before;
    ::pthread_sigmask(SIG_BLOCK, &signals, &before);
    std::string scratch = (fs::temp_directory_path() / "tsm-emulator-XXXXXX").string();
    if (::mkdtemp(scratch.data()) == nullptr) return eos::fail(tsm::mount_failed, scratch);
    Result<void> placed = put_in_place(guest, scratch);
    if (!placed) {
        guest.stop();
        ::umount2(scratch.c_str(), MNT_DETACH);
        ::rmdir(scratch.c_str());
        return eos::fail(std::move(placed).error());
    }
    const pid_t child = ::fork();
    if (child == 0) execute(options.command, before);
    if (child < 0) return eos::fail(tsm::mount_failed, "fork");
    const int code = wait_for(child, signals);
    ::umount2(scratch.c_str(), MNT_DETACH);
    ::rmdir(scratch.c_str());
    // Programs of the command may hold files open for ever: the end of this process ends those.
    std::fflush(nullptr);
    ::_exit(code);
}

/// Shows report/ and measurements/ in a directory until a signal comes.
Result<int> serve_at(const Options& options, Guest& guest) {
    const sigset_t signals = termination_signals();
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    EOS_TRY(guest.show_at(options.at));
    std::printf("EMULATED %s, protects nothing: %s/report\n", options.tee.c_str(),
                options.at.c_str());
    std::fflush(stdout);
    int number = SIGCHLD;
    while (number == SIGCHLD) ::sigwait(&signals, &number);
    guest.stop();
    return 0;
}

Result<int> run(const Options& options) {
    if (options.command.empty() == options.at.empty())
        return eos::fail(tsm::not_offered, "give either --at DIR or a command behind --");
    Guest guest;
    EOS_TRY(guest.boot(options));
    if (options.command.empty()) return serve_at(options, guest);
    EOS_TRY(tsm::check_machine());
    say("EMULATED " + options.tee + " for '" + options.command[0] + "': it protects nothing");
    return run_command(options, guest);
}

void add_run(CLI::App& app, Options& options) {
    CLI::App* command = app.add_subcommand(
        "run", "Run a command, and what it starts, in an emulated guest that has just booted");
    command->add_option("directory", options.directory, "Made by init")->required();
    command->add_option("--tee", options.tee)
        ->required()
        ->check(CLI::IsMember({"tdx-v4", "tdx-v5", "snp-milan", "snp-genoa", "snp-turin"}));
    command->add_option("--latency-ms", options.latency_ms, "Time that each report takes")
        ->check(CLI::Range(0, 60'000));
    command->add_option("--fail", options.fail, "What goes wrong when a report is made")
        ->check(CLI::IsMember(kFaults));
    command->add_option("--fail-every", options.fail_every, "In every Nth report only")
        ->check(CLI::Range(1, 1'000'000));
    command->add_option("--fail-while", options.fail_while, "Only while this file exists");
    command->add_option("--tcb", options.tcb, "SNP: UpToDate, or OutOfDate for older firmware")
        ->capture_default_str();
    command->add_option("--key", options.key, "SNP: which key signs")
        ->check(CLI::IsMember({"vcek", "vlek"}))
        ->capture_default_str();
    command->add_flag("--no-certificates", options.no_certificates,
                      "SNP: the host has none; auxblob is empty");
    command->add_option("--vmpl", options.vmpl, "SNP: that the guest's kernel runs at")
        ->check(CLI::Range(0, 3));
    command->add_flag("--no-provider", options.no_provider, "The driver is not loaded");
    command->add_option("--owner", options.owner, "User id that owns the files; in a kernel, root");
    command->add_option("--at", options.at,
                        "Instead of a command: show report/, measurements/ and control/ there");
    command->add_option("command", options.command, "Behind --");
    command->callback([&options] {
        const Result<int> done = run(options);
        if (done) std::exit(*done);
        say(done.error().message());
        const bool missing = done.error().code() == tsm::namespace_unavailable ||
                             done.error().code() == tsm::fuse_unavailable;
        std::exit(missing ? kMissing : 1);
    });
}

void finish(const Result<void>& result) {
    if (result) std::exit(0);
    say(result.error().message());
    std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Emulated confidential VMs: TDX and SEV-SNP. Protects nothing.", "tsm-emulator");
    app.require_subcommand(1);
    Options options;
    options.owner = ::geteuid();

    CLI::App* init_command = app.add_subcommand("init", "Make emulated vendors with new roots");
    init_command->add_option("directory", options.directory, "A new or empty directory")
        ->required();
    init_command->callback([&options] { finish(init(options)); });

    CLI::App* check_command =
        app.add_subcommand("check", "Say what this machine lacks to run a command; 77 if anything");
    check_command->callback([] {
        const Result<void> machine = tsm::check_machine();
        if (machine) std::exit(0);
        say(machine.error().message());
        std::exit(kMissing);
    });

    CLI::App* collateral_command = app.add_subcommand(
        "collateral", "Write what the emulated Intel would state about the platform");
    collateral_command->add_option("directory", options.directory, "Made by init")->required();
    collateral_command
        ->add_option("--tcb", options.tcb,
                     "UpToDate, OutOfDate, SWHardeningNeeded, ConfigurationNeeded or Revoked")
        ->capture_default_str();
    collateral_command->add_option("--out", options.out, "JSON")->required();
    collateral_command->callback([&options] { finish(collateral(options)); });

    add_run(app, options);
    CLI11_PARSE(app, argc, argv);
    return 0;
}
