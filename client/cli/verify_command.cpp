// SPDX-License-Identifier: AGPL-3.0-only
#include <filesystem>

#include "client/cli/cli.h"
#include "client/evidence_files.h"
#include "client/files.h"
#include "common/base/encoding.h"
#include "common/ratls/appraise_leaf.h"

namespace eos::client::cli {
namespace {

using attestation::appraise::AttestationResult;

const Result<attestation::event_log::EventLog>* event_log_of(const Target& target) {
    return target.event_log ? &*target.event_log : nullptr;
}

// Evidence without a certificate: what it must be bound to is the caller's word.
Result<AttestationResult> appraise_bare(const Cli& cli, const std::string& file,
                                        const std::string& report_data) {
    Target target = EOS_TRY(make_policy_only_target(cli));
    const EvidenceFile evidence = EOS_TRY(read_evidence(file));
    ratls::EvidenceInput input{.evidence = evidence.bytes,
                               .expected = ratls::StatedReportData{
                                   EOS_TRY(array_from_hex<ratls::kReportDataBytes>(report_data))}};
    input.event_log = event_log_of(target);
    if (!evidence.taken_off.empty()) {
        input.more = [&](const attestation::verify::Verification&) {
            return attestation::verify::passed({"evidence.file", "docs/evidence.md"},
                                               "taken off: " + evidence.taken_off);
        };
    }
    AttestationResult verdict =
        ratls::appraise_evidence(input, target.endorsements, target.policy, target.now);
    remember(cli, target, verdict);
    return verdict;
}

// A stored certificate or chain: no handshake, so only its deterministic form can be checked.
Result<AttestationResult> appraise_file(const Cli& cli, const std::string& file) {
    Target target = EOS_TRY(make_policy_only_target(cli));
    std::vector<x509::Certificate> certificates =
        EOS_TRY(read_shown_certificates(file, "give --report-data"));
    std::vector<Bytes> chain;
    for (const x509::Certificate& certificate : certificates)
        chain.push_back(to_bytes(certificate.der()));
    AttestationResult verdict =
        ratls::appraise_leaf({.chain = chain,
                              .anchors = target.anchors,
                              .server_name = target.server_name,
                              .handshake = std::nullopt,
                              .memory = nullptr,
                              .event_log = event_log_of(target)},
                             target.endorsements, target.policy, target.now);
    remember(cli, target, verdict);
    return verdict;
}

Result<AttestationResult> appraise_server(Cli& cli, const std::string& url) {
    if (!url.empty()) cli.target.address = url;
    Target target = EOS_TRY(make_target(cli, Use::kOnlyLooks));
    staple(target, cli.target.stapling, cli.deadline());
    Connection connection = EOS_TRY(Connection::open(target, cli.deadline()));
    remember(cli, target, connection.verdict);
    return connection.verdict;
}

struct VerifyOptions {
    std::string subject;
    std::string report_data;
};

Result<int> verify(Cli& cli, const VerifyOptions& options) {
    const std::string& subject = options.subject;
    std::error_code error;
    const bool is_file = !subject.empty() && std::filesystem::is_regular_file(subject, error);
    auto appraise = [&]() -> Result<AttestationResult> {
        if (!options.report_data.empty()) return appraise_bare(cli, subject, options.report_data);
        return is_file ? appraise_file(cli, subject) : appraise_server(cli, subject);
    };
    AttestationResult verdict = EOS_TRY(appraise());
    cli.print(verdict.text(), verdict.to_json());
    return verdict.exit_code();
}

}  // namespace

void add_verify_command(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<VerifyOptions>();
    CLI::App* command = program.add_subcommand(
        "verify",
        "appraise a server, or a stored certificate or evidence, and explain the verdict");
    auto* subject = command->add_option(
        "subject", options->subject,
        "https://HOST[:PORT], a certificate file (PEM or DER), or with --report-data evidence");
    add_target_options(*command, cli);
    command->add_flag_callback(
        "--allow-deterministic", [&cli] { cli.target.mode = BindingMode::kDeterministic; },
        "the same as --mode v1-deterministic: judge the leaf that any client is shown");
    command
        ->add_option("--report-data", options->report_data,
                     "the file is a quote or report, whose 64 bytes of report data must be these "
                     "(hex); the policy must take the binding report-data")
        ->needs(subject);
    command->add_option("--event-log", cli.target.event_logs,
                        "a trust domain's event log, which must replay to its quote: a CCEL data "
                        "area, or a JSON list of run-time events; may be repeated");
    command->callback(
        [&cli, options] { cli.action = [&cli, options] { return verify(cli, *options); }; });
}

}  // namespace eos::client::cli
