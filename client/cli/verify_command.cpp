// SPDX-License-Identifier: AGPL-3.0-only
#include <charconv>
#include <filesystem>

#include "client/cli/cli.h"
#include "client/evidence_files.h"
#include "client/files.h"
#include "client/foreign_evidence.h"
#include "client/vtpm_files.h"
#include "common/base/encoding.h"
#include "common/ratls/appraise_leaf.h"

namespace eos::client::cli {
namespace {

using attestation::appraise::AttestationResult;

struct VerifyOptions {
    std::string subject;
    std::string report_data;
    std::string at;
    std::string nonce;
    std::vector<std::string> pcrs;
    std::vector<std::string> beside;
};

/// Refuses what was said and would not be looked at.
Result<void> refuse_tpm_options(const VerifyOptions& options, const std::string& what) {
    if (options.beside.empty() && options.pcrs.empty()) return {};
    return fail(misplaced_option,
                "--with and --pcr are for a virtual TPM's evidence, and this is " + what);
}

Result<void> refuse_file_options(const VerifyOptions& options, const std::string& what) {
    if (!options.nonce.empty()) {
        return fail(misplaced_option,
                    "--nonce is for evidence of others that was made for one; this is " + what);
    }
    return refuse_tpm_options(options, what);
}

Result<Target> target_of_file(const Cli& cli, const VerifyOptions& options) {
    Target target = EOS_TRY(make_policy_only_target(cli));
    if (!options.at.empty()) target.now = EOS_TRY(parse_rfc3339(options.at));
    return target;
}

const Result<attestation::event_log::EventLog>* event_log_of(const Target& target) {
    return target.event_log ? &*target.event_log : nullptr;
}

// Evidence without a certificate: what it must be bound to is the caller's word.
Result<AttestationResult> appraise_bare(const Target& target, const VerifyOptions& options) {
    EOS_TRY(refuse_file_options(options, "evidence whose report data you say yourself"));
    const EvidenceFile evidence = EOS_TRY(read_evidence(options.subject));
    if (is_json_text(evidence.bytes)) return fail(json_instead, options.subject);
    ratls::EvidenceInput input{.evidence = evidence.bytes,
                               .expected = ratls::StatedReportData{EOS_TRY(
                                   array_from_hex<ratls::kReportDataBytes>(options.report_data))}};
    input.event_log = event_log_of(target);
    if (!evidence.taken_off.empty()) {
        input.more = [&](const attestation::verify::Verification&) {
            return attestation::verify::passed({"evidence.file", "docs/evidence.md"},
                                               "taken off: " + evidence.taken_off);
        };
    }
    return ratls::appraise_evidence(input, target.endorsements, target.policy, target.now);
}

// A stored certificate or chain: no handshake, so only its deterministic form can be checked.
AttestationResult appraise_own(const Target& target,
                               const std::vector<x509::Certificate>& certificates) {
    std::vector<Bytes> chain;
    for (const x509::Certificate& certificate : certificates)
        chain.push_back(to_bytes(certificate.der()));
    return ratls::appraise_leaf({.chain = chain,
                                 .anchors = target.anchors,
                                 .server_name = target.server_name,
                                 .handshake = std::nullopt,
                                 .memory = nullptr,
                                 .event_log = event_log_of(target)},
                                target.endorsements, target.policy, target.now);
}

AttestationResult appraise_foreign_file(const Target& target, const ForeignVerification& verified) {
    return appraise_foreign(
        verified, {.event_log = event_log_of(target), .has_anchors = !target.anchors.empty()},
        target.policy);
}

Result<std::optional<Bytes>> nonce_of(const VerifyOptions& options) {
    if (options.nonce.empty()) return std::optional<Bytes>();
    return EOS_TRY(from_hex(options.nonce));
}

Result<AttestationResult> appraise_certificates(const Target& target,
                                                const VerifyOptions& options) {
    EOS_TRY(refuse_tpm_options(options, "a certificate"));
    const std::vector<x509::Certificate> certificates =
        EOS_TRY(read_carrying_certificates(options.subject, "give --report-data"));
    if (certificates.empty() || !is_foreign(certificates.front())) {
        EOS_TRY(refuse_file_options(options, "a certificate of ours"));
        return appraise_own(target, certificates);
    }
    return appraise_foreign_file(
        target, EOS_TRY(verify_foreign_leaf(
                    certificates.front(), EOS_TRY(nonce_of(options)),
                    {target.endorsements, target.policy.roots, target.now, target.server_name})));
}

// N=HEX: the value that a PCR must have.
Result<void> add_pcr(const std::string& text, attestation::verify::TpmDemands& demands) {
    const std::size_t equals = text.find('=');
    const std::string_view number = std::string_view(text).substr(0, equals);
    unsigned pcr = 0;
    const auto [end, error] = std::from_chars(number.begin(), number.end(), pcr);
    if (equals == text.npos || error != std::errc() || end != number.end() ||
        pcr >= attestation::evidence::kPcrCount) {
        return fail(bad_encoding, "--pcr takes NUMBER=HEX, a number from 0 to 23: " + text);
    }
    demands.pcrs[pcr] = EOS_TRY(array_from_hex<32>(text.substr(equals + 1)));
    return {};
}

Result<AttestationResult> appraise_vtpm(const Target& target, const VerifyOptions& options) {
    attestation::verify::TpmDemands demands{
        .nonce = EOS_TRY(nonce_of(options)), .pcrs = {}, .selected = {}};
    for (const std::string& pcr : options.pcrs) EOS_TRY(add_pcr(pcr, demands));
    std::vector<std::filesystem::path> files{options.subject};
    files.insert(files.end(), options.beside.begin(), options.beside.end());
    return appraise_foreign_file(
        target, verify_vtpm(EOS_TRY(read_vtpm_files(files)), demands,
                            {target.endorsements, target.policy.roots, target.now}));
}

Result<AttestationResult> appraise_file(const Cli& cli, const VerifyOptions& options) {
    const Target target = EOS_TRY(target_of_file(cli, options));
    auto appraise = [&]() -> Result<AttestationResult> {
        if (!options.report_data.empty()) return appraise_bare(target, options);
        const bool is_vtpm = is_vtpm_file(EOS_TRY(read_file(options.subject)));
        return is_vtpm ? appraise_vtpm(target, options) : appraise_certificates(target, options);
    };
    AttestationResult verdict = EOS_TRY(appraise());
    remember(cli, target, verdict);
    return verdict;
}

Result<AttestationResult> appraise_server(Cli& cli, const VerifyOptions& options) {
    EOS_TRY(refuse_file_options(options, "a server"));
    if (!options.at.empty()) {
        return fail(misplaced_option, "--at is for a file: a server is judged as of now");
    }
    if (!options.subject.empty()) cli.target.address = options.subject;
    Target target = EOS_TRY(make_target(cli, Use::kOnlyLooks));
    staple(target, cli.target.stapling, cli.deadline());
    Connection connection = EOS_TRY(Connection::open(target, cli.deadline()));
    remember(cli, target, connection.verdict);
    return connection.verdict;
}

Result<int> verify(Cli& cli, const VerifyOptions& options) {
    std::error_code error;
    const bool is_file =
        !options.report_data.empty() ||
        (!options.subject.empty() && std::filesystem::is_regular_file(options.subject, error));
    // What holds of an instant in the past is not held against what was seen since.
    if (!options.at.empty()) cli.target.no_memory = true;
    AttestationResult verdict =
        EOS_TRY(is_file ? appraise_file(cli, options) : appraise_server(cli, options));
    cli.print(verdict.text(), verdict.to_json());
    return verdict.exit_code();
}

void add_file_options(CLI::App& command, VerifyOptions& options) {
    command.add_option("--at", options.at,
                       "of a file: as of this instant, RFC 3339, and without memory; default: now");
    command.add_option("--with", options.beside,
                       "the other files of a virtual TPM's evidence: HCL report, TPM quote, "
                       "certificates, TD quote; may be repeated");
    command.add_option("--nonce", options.nonce,
                       "what a virtual TPM, or a certificate of Constellation, was asked with "
                       "(hex)");
    command.add_option("--pcr", options.pcrs,
                       "NUMBER=HEX: the value that a PCR of a virtual TPM must have; may be "
                       "repeated");
}

}  // namespace

void add_verify_command(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<VerifyOptions>();
    CLI::App* command = program.add_subcommand(
        "verify",
        "appraise a server, or a stored certificate or evidence, also of other projects, and "
        "explain the verdict");
    auto* subject = command->add_option(
        "subject", options->subject,
        "https://HOST[:PORT], a certificate file (PEM or DER), evidence of a virtual TPM, or with "
        "--report-data other evidence");
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
    add_file_options(*command, *options);
    command->callback(
        [&cli, options] { cli.action = [&cli, options] { return verify(cli, *options); }; });
}

}  // namespace eos::client::cli
