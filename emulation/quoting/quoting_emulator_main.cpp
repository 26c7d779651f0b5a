// SPDX-License-Identifier: AGPL-3.0-only
// sgx-quoting-emulator: makes an emulated SGX platform, and answers as its aesmd.
#include <grp.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "common/attestation/event_log/replay.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/oid/registry.h"
#include "common/ratls/leaf.h"
#include "common/ratls/report_data.h"
#include "common/x509/pem.h"
#include "emulation/quoting/aesm_service.h"
#include "emulation/quoting/drill.h"
#include "emulation/quoting/platform_directory.h"
#include "emulation/quoting/unix_server.h"

namespace {

namespace quoting = eos::emulation::quoting;
using eos::hex;
using eos::Result;

constexpr const char* kBanner =
    "=====================================================================\n"
    " EMULATED SGX. It protects nothing: every key lies in a file, and the\n"
    " evidence is worth nothing to a verifier that was not told of its root.\n"
    "=====================================================================\n";

struct Options {
    std::string directory;
    bool force = false;
    std::string socket;
    std::string group;
    std::uint32_t latency_ms = 0;
    std::uint32_t fail_every = 0;
    bool wrong_report = false;
    std::string out;
    std::string tee = "sgx";
    std::string event_log;
};

std::string path_in(const Options& options, const char* name) {
    return (std::filesystem::path(options.directory) / name).string();
}

eos::UnixTime now() {
    using namespace std::chrono;
    return {duration_cast<seconds>(system_clock::now().time_since_epoch()).count()};
}

Result<void> init(const Options& options) {
    const auto overwrite = options.force ? quoting::Overwrite::kYes : quoting::Overwrite::kNo;
    EOS_TRY(quoting::init_platform(options.directory, overwrite, now()));
    std::printf("cpu identity:  %s\ntest root:     %s\ncollateral:    %s\n",
                path_in(options, quoting::kCpuFile).c_str(),
                path_in(options, quoting::kRootFile).c_str(),
                path_in(options, quoting::kCollateralFile).c_str());
    std::puts(
        "A verifier accepts this platform's evidence, as EMULATED, only if it is told of the\n"
        "test root by name.");
    return {};
}

Result<void> show(const Options& options) {
    const quoting::QuotingEnclave enclave = EOS_TRY(quoting::load_platform(options.directory));
    const eos::Bytes root_pem = EOS_TRY(quoting::read_file(path_in(options, quoting::kRootFile)));
    const auto roots = EOS_TRY(eos::x509::parse_pem_certificates(eos::as_chars(root_pem)));
    const auto& cpu = enclave.cpu().identity();
    const auto qe = quoting::quoting_enclave_identity();
    std::printf("FMSPC:                 %s\n", hex(cpu.fmspc).c_str());
    std::printf("PPID:                  %s\n", hex(cpu.ppid).c_str());
    std::printf("platform instance:     %s\n", hex(cpu.platform_instance_id).c_str());
    std::printf("CPUSVN:                %s\n", hex(cpu.cpu_svn).c_str());
    std::printf("PCESVN:                %u\n", static_cast<unsigned>(cpu.pce_svn));
    std::printf("QE MRENCLAVE:          %s\n", hex(qe.mr_enclave).c_str());
    std::printf("QE MRSIGNER:           %s\n", hex(qe.mr_signer).c_str());
    std::printf("attestation key:       %s\n", hex(enclave.public_key_id()).c_str());
    for (const auto& root : roots) {
        std::printf("test root:             %s\n", path_in(options, quoting::kRootFile).c_str());
        std::printf("test root SHA-256:     %s\n", hex(eos::crypto::sha256(root.der())).c_str());
        std::printf("test root valid until: %s\n", eos::rfc3339(root.validity().not_after).c_str());
    }
    return {};
}

Result<void> write_out(const std::string& path, const std::string& text) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out) return eos::fail(quoting::file_unwritable, path);
    return {};
}

/// What the made-up trust domain measured: one event in every register but RTMR0, two in RTMR3.
eos::attestation::event_log::EventLog td_log() {
    using namespace eos;
    namespace event_log = attestation::event_log;
    event_log::EventLog out;
    auto measure = [&out](std::size_t rtmr, std::string name, std::string_view payload) {
        Writer covered;
        covered.u32le(event_log::kDstackRuntimeEvent).text(":").text(name).text(":").text(payload);
        const auto digest = to_array<48>(crypto::hash(crypto::HashKind::kSha384, covered.view()));
        out.events.push_back(
            {rtmr, event_log::kDstackRuntimeEvent, digest, std::move(name), to_bytes(payload)});
    };
    measure(1, "kernel", "emulated kernel");
    measure(2, "command-line", "console=hvc0");
    measure(3, "app-id", "lab");
    measure(3, "compose-hash", "emulated composition");
    return out;
}

/// The leaf of a trust domain on this platform, in mode A. The domain is made up and says DEBUG.
Result<void> make_td_leaf(const Options& options) {
    using namespace eos;
    const quoting::TdQuotingEnclave enclave = EOS_TRY(quoting::load_td_platform(options.directory));
    const UnixTime minute{now().seconds - now().seconds % 60};
    const auto key = crypto::P256PrivateKey::generate();
    auto td = quoting::emulated_td_report(attestation::evidence::TdReportKind::tdx15);
    td.mr_td.fill(std::byte{0x11});
    td.rtmr = attestation::event_log::replay(td_log());
    td.report_data =
        to_array<64>(ratls::ReportData::v1_deterministic(key.public_key(), minute).bytes());
    const Bytes evidence = EOS_TRY(enclave.quote(td));
    ratls::LeafContent content;
    content.name = "td.example.test";
    content.not_before = minute;
    content.not_after = minute + ratls::kDeterministicLifeSeconds;
    content.evidence = evidence;
    content.evidence_oid = oid::kTdxQuote;
    content.assurance = "debug";
    const Bytes leaf = ratls::mint_leaf(content, key, nullptr);
    EOS_TRY(write_out(options.out, x509::encode_pem("CERTIFICATE", leaf)));
    if (!options.event_log.empty())
        EOS_TRY(write_out(options.event_log, attestation::event_log::encode_runtime_log(td_log())));
    std::printf("the leaf of an emulated trust domain: %s\n", options.out.c_str());
    return {};
}

/// What the emulated Intel would state after events, for `enclavectl rehearse`.
Result<void> drill(const Options& options) {
    const quoting::QuotingEnclave enclave = EOS_TRY(quoting::load_platform(options.directory));
    const quoting::IssuingKeys keys = EOS_TRY(quoting::load_issuing_keys(options.directory));
    const auto text = [&](const char* name) -> Result<std::string> {
        return eos::to_string(EOS_TRY(quoting::read_file(path_in(options, name))));
    };
    using eos::attestation::endorsements::IntelTee;
    const bool tdx = options.tee == "tdx";
    const quoting::DrillSubject subject{
        .cpu = enclave.cpu().identity(),
        .issuing = keys,
        .pck_chain_pem = EOS_TRY(text(quoting::kChainFile)),
        .collateral_json =
            EOS_TRY(text(tdx ? quoting::kTdxCollateralFile : quoting::kCollateralFile)),
        .tee = tdx ? IntelTee::tdx : IntelTee::sgx};
    const auto drills = EOS_TRY(quoting::make_drills(subject, now()));
    EOS_TRY(write_out(options.out, quoting::drills_json(drills)));
    for (const quoting::Drill& drill : drills)
        std::printf("%-30s %s\n", drill.name.c_str(), drill.what.c_str());
    return {};
}

Result<std::optional<gid_t>> group_of(const std::string& name) {
    if (name.empty()) return std::optional<gid_t>{};
    const group* entry = ::getgrnam(name.c_str());
    if (entry == nullptr)
        return eos::fail(quoting::socket_unusable, "there is no group '" + name + "'");
    return std::optional<gid_t>{entry->gr_gid};
}

void log_line(const std::string& line) {
    std::fprintf(stderr, "sgx-quoting-emulator: %s\n", line.c_str());
}

/// Readable once SIGTERM or SIGINT came; both are blocked from here on.
int termination_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    return ::signalfd(-1, &signals, SFD_CLOEXEC);
}

Result<void> serve(const Options& options) {
    const int stop_fd = termination_signals();
    if (stop_fd < 0) return eos::fail(quoting::accept_failed, "signalfd");
    const quoting::QuotingEnclave enclave = EOS_TRY(quoting::load_platform(options.directory));
    const quoting::Faults faults{.fail_every = options.fail_every,
                                 .report = options.wrong_report ? quoting::Faults::Report::kAnother
                                                                : quoting::Faults::Report::kAsSent};
    quoting::AesmService service(enclave, faults, log_line);
    quoting::UnixServer server = EOS_TRY(quoting::UnixServer::listen(
        service, {.socket = options.socket,
                  .group = EOS_TRY(group_of(options.group)),
                  .quote_latency = std::chrono::milliseconds(options.latency_ms),
                  .log = log_line}));
    std::fputs(kBanner, stdout);
    if (faults.fail_every != 0 || options.wrong_report)
        std::puts("FAULTS ARE SWITCHED ON (--fail-every, --wrong-report).");
    std::printf("listening on %s\n", options.socket.c_str());
    std::fflush(stdout);
    EOS_TRY(server.run(stop_fd));
    std::printf("stopped after %llu quotes\n",
                static_cast<unsigned long long>(service.quote_count()));
    return {};
}

int finish(const Result<void>& result) {
    if (result) return 0;
    log_line(result.error().message());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Emulated SGX platform and quoting enclave. Protects nothing.",
                 "sgx-quoting-emulator");
    app.require_subcommand(1);
    Options options;

    CLI::App* init_command =
        app.add_subcommand("init", "Make a new platform under a new test root");
    init_command->add_option("--dir", options.directory, "Directory of the platform")->required();
    init_command->add_flag("--force", options.force,
                           "Replace the platform in DIR; what is sealed to it is lost");

    CLI::App* serve_command = app.add_subcommand("serve", "Answer as aesmd on a Unix socket");
    serve_command->add_option("--dir", options.directory, "Directory of the platform")->required();
    serve_command->add_option("--socket", options.socket, "Path of the socket")->required();
    serve_command->add_option("--group", options.group,
                              "Let members of this group connect (mode 0660 instead of 0600)");
    serve_command
        ->add_option("--latency-ms", options.latency_ms,
                     "Time that each quote takes, one after the other as by hardware")
        ->check(CLI::Range(0, 60'000));
    serve_command->add_option("--fail-every", options.fail_every,
                              "Fault: refuse every Nth quote as unavailable");
    serve_command->add_flag("--wrong-report", options.wrong_report,
                            "Fault: quote another REPORT than was sent");

    CLI::App* show_command = app.add_subcommand("show", "Say which platform this is");
    show_command->add_option("--dir", options.directory, "Directory of the platform")->required();

    CLI::App* drill_command =
        app.add_subcommand("drill", "Write what would be stated about this platform after events");
    drill_command->add_option("--dir", options.directory, "Directory of the platform")->required();
    drill_command->add_option("--out", options.out, "File for enclavectl rehearse")->required();
    drill_command->add_option("--tee", options.tee, "Whose evidence is drilled")
        ->check(CLI::IsMember({"sgx", "tdx"}))
        ->capture_default_str();

    CLI::App* td_command =
        app.add_subcommand("td-leaf", "Write a certificate with evidence of a trust domain");
    td_command->add_option("--dir", options.directory, "Directory of the platform")->required();
    td_command->add_option("--out", options.out, "The certificate, PEM")->required();
    td_command->add_option("--event-log", options.event_log,
                           "Also write what its registers measured, a JSON list");

    CLI11_PARSE(app, argc, argv);
    if (init_command->parsed()) return finish(init(options));
    if (serve_command->parsed()) return finish(serve(options));
    if (drill_command->parsed()) return finish(drill(options));
    if (td_command->parsed()) return finish(make_td_leaf(options));
    return finish(show(options));
}
