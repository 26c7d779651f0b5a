// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <map>

#include "client/cli/cli.h"
#include "client/collateral_files.h"
#include "client/evidence_cases.h"
#include "client/evidence_files.h"
#include "client/files.h"
#include "client/vtpm_files.h"
#include "common/attestation/verify/vtpm.h"
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

/// As wide as the longest text of a column, but for a few that would push the others out of sight.
std::size_t width_of(const std::vector<CaseResult>& results, std::string CaseResult::* column) {
    constexpr std::size_t kMaxWidth = 64;
    std::size_t out = 0;
    for (const CaseResult& result : results) out = std::max(out, (result.*column).size());
    return std::min(out, kMaxWidth);
}

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text + "  ";
}

/// Id and verdict.
struct Widths {
    std::size_t id;
    std::size_t found;
};

/// One line: id, agreement, our verdict, the node that decided; the rest where it helps.
std::string row_of(const CaseResult& result, const Widths& widths) {
    std::string out = padded(std::string(word(result.agreement)), word(Agreement::not_run).size()) +
                      padded(result.id, widths.id) + padded(result.found, widths.found) +
                      result.deciding_node;
    if (result.agreement == Agreement::differ) {
        out += "  (stated: " + result.stated + "; " + result.detail + ")";
    }
    if (result.agreement == Agreement::not_run) out += "(" + result.detail + ")";
    if (!result.taken_off.empty()) out += "  (taken off: " + result.taken_off + ")";
    if (!result.left_alone.empty()) out += "  (left alone: " + result.left_alone + ")";
    return printable(as_bytes(out), 1024);
}

json::Value json_of(const CaseResult& result) {
    return {{"id", result.id},
            {"agreement", word(result.agreement)},
            {"stated", result.stated},
            {"verdict", result.found},
            {"node", result.deciding_node},
            {"detail", result.detail},
            {"takenOff", result.taken_off},
            {"leftAlone", result.left_alone}};
}

std::string totals_of(std::map<Agreement, std::size_t>& count) {
    std::string out = std::to_string(count[Agreement::agree]) + " agree, " +
                      std::to_string(count[Agreement::differ]) + " differ";
    if (count[Agreement::not_run] != 0) {
        out += " (" + std::to_string(count[Agreement::not_run]) + " not run)";
    }
    return out;
}

Result<int> check(const Cli& cli, const std::string& folder) {
    std::map<Agreement, std::size_t> count;
    std::vector<CaseResult> results;
    json::Value rows = json::Value::array();
    for (const EvidenceCase& one : EOS_TRY(read_cases(folder))) {
        results.push_back(run_case(folder, one));
        ++count[results.back().agreement];
        rows.push_back(json_of(results.back()));
    }
    const Widths widths{width_of(results, &CaseResult::id), width_of(results, &CaseResult::found)};
    std::string text;
    for (const CaseResult& result : results) text += row_of(result, widths) + "\n";
    text += totals_of(count);
    cli.print(text, {{"cases", rows},
                     {"agree", count[Agreement::agree]},
                     {"differ", count[Agreement::differ]},
                     {"not_run", count[Agreement::not_run]}});
    return count[Agreement::differ] == 0 ? kExitOk : kExitFailed;
}

struct ShowOptions {
    std::string file;
    std::string at;
};

/// That one key signed a TPM's quote, and which PCRs it has: nothing vouches for the key.
Result<int> show_plain_tpm(const Cli& cli, ByteView file) {
    namespace verify = attestation::verify;
    const auto evidence = EOS_TRY(attestation::evidence::parse_plain_tpm(file));
    const verify::VtpmVerification verification = verify::verify_plain_tpm(evidence, {});
    cli.print(render_text(verification.tree), {{"tree", render_json(verification.tree)}});
    return verification.is_genuine ? kExitOk : attestation::appraise::kExitNotGenuine;
}

/// Claims of evidence under no policy at all: for looking at it, not for relying on it.
Result<int> show(const Cli& cli, const ShowOptions& options) {
    const Bytes file = EOS_TRY(read_file(options.file));
    if (is_plain_tpm(file)) return show_plain_tpm(cli, file);
    const EvidenceFile evidence = unwrap_evidence(file);
    if (is_json_text(evidence.bytes)) return fail(json_instead, options.file);
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
        endorsements = EOS_TRY(read_collateral(text));
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
        ->add_option("file", options->file,
                     "a quote, an SNP report with or without table, or a TPM's quote with its key")
        ->required();
    show_command->add_option("--collateral", cli.target.collateral,
                             "endorsements: the JSON collateral object, or a bundle");
    show_command->add_option("--at", options->at, "as of this instant, RFC 3339; default: now");
    show_command->callback(
        [&cli, options] { cli.action = [&cli, options] { return show(cli, *options); }; });
}

}  // namespace eos::client::cli
