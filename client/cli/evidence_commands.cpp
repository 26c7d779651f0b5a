// SPDX-License-Identifier: AGPL-3.0-only
#include <map>

#include "client/cli/cli.h"
#include "client/evidence_cases.h"
#include "client/evidence_files.h"
#include "client/files.h"
#include "common/base/encoding.h"

namespace eos::client::cli {
namespace {

std::string_view word(Agreement agreement) {
    switch (agreement) {
        case Agreement::agree:
            return "agree";
        case Agreement::differ:
            return "differ";
        case Agreement::not_run:
            return "not-run";
    }
    __builtin_unreachable();
}

std::string padded(std::string text, std::size_t width) {
    if (text.size() < width) text.resize(width, ' ');
    return text;
}

/// One line: id, agreement, our verdict, the node that decided; the rest where it helps.
std::string row_of(const CaseResult& result) {
    constexpr std::size_t kAgreementWidth = 8;
    constexpr std::size_t kIdWidth = 34;
    constexpr std::size_t kVerdictWidth = 34;
    std::string out = padded(std::string(word(result.agreement)), kAgreementWidth) +
                      padded(result.id, kIdWidth) + padded(result.found, kVerdictWidth) +
                      result.deciding_node;
    if (result.agreement == Agreement::differ) {
        out += "  (stated: " + result.stated + "; " + result.detail + ")";
    }
    if (result.agreement == Agreement::not_run) out += "(" + result.detail + ")";
    if (!result.taken_off.empty()) out += "  (taken off: " + result.taken_off + ")";
    if (!result.left_alone.empty()) out += "  (left alone: " + result.left_alone + ")";
    return printable(as_bytes(out), 1024);
}

Result<int> check(const Cli& cli, const std::string& folder) {
    std::vector<EvidenceCase> cases = EOS_TRY(read_cases(folder));
    std::map<Agreement, std::size_t> count;
    std::string text;
    json::Value rows = json::Value::array();
    for (const EvidenceCase& one : cases) {
        CaseResult result = run_case(folder, one);
        ++count[result.agreement];
        text += row_of(result) + "\n";
        rows.push_back({{"id", result.id},
                        {"agreement", word(result.agreement)},
                        {"stated", result.stated},
                        {"verdict", result.found},
                        {"node", result.deciding_node},
                        {"detail", result.detail},
                        {"takenOff", result.taken_off},
                        {"leftAlone", result.left_alone}});
    }
    const std::size_t differ = count[Agreement::differ];
    text +=
        std::to_string(count[Agreement::agree]) + " agree, " + std::to_string(differ) + " differ";
    if (count[Agreement::not_run] != 0) {
        text += " (" + std::to_string(count[Agreement::not_run]) + " not run)";
    }
    cli.print(text, {{"cases", rows},
                     {"agree", count[Agreement::agree]},
                     {"differ", differ},
                     {"not_run", count[Agreement::not_run]}});
    return differ == 0 ? kExitOk : kExitFailed;
}

struct ShowOptions {
    std::string file;
    std::string at;
};

/// Claims of evidence under no policy at all: for looking at it, not for relying on it.
Result<int> show(const Cli& cli, const ShowOptions& options) {
    const EvidenceFile evidence = EOS_TRY(read_evidence(options.file));
    const UnixTime time = options.at.empty() ? Cli::now() : EOS_TRY(parse_rfc3339(options.at));
    attestation::appraise::Policy open;
    open.name = "show (nothing is demanded)";
    open.allow_any_identity = true;
    open.tees = {"sgx", "tdx", "snp"};
    open.roots = attestation::verify::Roots::of(
        {attestation::verify::Vendor::intel, attestation::verify::Vendor::amd});
    attestation::endorsements::Endorsements endorsements;
    if (!cli.target.collateral.empty()) {
        Bytes text = EOS_TRY(read_file(cli.target.collateral));
        endorsements = EOS_TRY(attestation::endorsements::parse_endorsements(text));
    }
    attestation::verify::Verification verification =
        attestation::verify::verify_quote(evidence.bytes, endorsements, open.roots, time);
    attestation::appraise::AttestationResult result =
        attestation::appraise::appraise(verification, {}, open);
    json::Value value = {{"tree", render_json(verification.tree())}, {"claims", result.claims()}};
    std::string text = render_text(verification.tree());
    if (result.claims().is_object()) text += json::pretty(result.claims());
    if (!evidence.taken_off.empty()) {
        value["takenOff"] = evidence.taken_off;
        text = "taken off the file: " + evidence.taken_off + "\n" + text;
    }
    cli.print(text, value);
    return verification.evidence() != nullptr ? kExitOk : attestation::appraise::kExitNotGenuine;
}

}  // namespace

void add_evidence_commands(CLI::App& program, Cli& cli) {
    CLI::App* evidence = program.add_subcommand("evidence", "look at evidence without a server");
    evidence->require_subcommand(1);

    auto folder = std::make_shared<std::string>();
    CLI::App* check_command = evidence->add_subcommand(
        "check", "verify every case of a folder and compare with its stated verdict");
    check_command->add_option("folder", *folder, "a folder with an index.json")->required();
    check_command->callback(
        [&cli, folder] { cli.action = [&cli, folder] { return check(cli, *folder); }; });

    auto options = std::make_shared<ShowOptions>();
    CLI::App* show_command = evidence->add_subcommand(
        "show", "verify one quote or report and print what it says; nothing is demanded of it");
    show_command
        ->add_option("file", options->file, "a quote, or an SNP report with or without table")
        ->required();
    show_command->add_option("--collateral", cli.target.collateral,
                             "endorsements: the JSON collateral object, or a bundle");
    show_command->add_option("--at", options->at, "as of this instant, RFC 3339; default: now");
    show_command->callback(
        [&cli, options] { cli.action = [&cli, options] { return show(cli, *options); }; });
}

}  // namespace eos::client::cli
