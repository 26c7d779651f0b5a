// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/verify.h"

#include <algorithm>
#include <array>

#include "common/attestation/verify/outcome.h"

namespace eos::attestation::verify {
namespace {

constexpr std::string_view kFormats =
    "Intel DCAP quote formats, versions 3 to 5; AMD 56860, ATTESTATION_REPORT";
constexpr std::string_view kGroup = "evidence";

Check syntax_check(const Result<void>& outcome) {
    constexpr Subject kSubject{"quote.syntax", kFormats,
                               "supply a whole SGX or TDX quote with its PCK chain, or an SNP "
                               "report, alone or with its certificate table"};
    return from_result(kSubject, outcome);
}

/// Where the collateral came from, if the caller says so: for people, decides nothing.
std::vector<Check> origin_checks(const endorsements::Endorsements& endorsements) {
    constexpr Subject kSubject{"collateral.origin", "docs/formats/verdict.md"};
    std::vector<Check> out;
    for (const endorsements::Origin& origin : endorsements.origins) {
        out.push_back(origin.failure.empty()
                          ? passed(kSubject, origin.text)
                          : not_evaluated(kSubject, origin.text + ": " + origin.failure));
        out.back().weight = Weight::informative;
    }
    return out;
}

/// The condition for VerifiedEvidence, in one place: nothing failed, and nothing is missing but
/// what endorsements would tell.
bool is_genuine(const Check& tree) {
    constexpr std::array<std::string_view, 6> kMayBeMissing{
        "crl.ark", "crl.pck", "crl.root", "qe.identity", "tcb.level", "tdx_module.identity"};
    Summary summary = summarise(tree);
    return summary.failed.empty() &&
           std::ranges::all_of(summary.not_evaluated, [&](const std::string& id) {
               return std::ranges::find(kMayBeMissing, id) != kMayBeMissing.end();
           });
}

}  // namespace

Verification::Verification(Check tree, UnixTime time, std::optional<Parts> parts) : time_(time) {
    Body body{std::move(tree), {}};
    if (parts.has_value() && is_genuine(body.tree)) {
        body.evidence = VerifiedEvidence(std::move(parts->claims), std::move(parts->root),
                                         std::move(parts->tcb), std::move(parts->collateral));
    }
    body_ = std::make_shared<const Body>(std::move(body));
}

Verification verify(const evidence::Evidence& evidence, const Collateral& collateral,
                    const Roots& roots, UnixTime time, SignatureMemo* memo) {
    Instant at(time);
    const Context context{collateral, roots, at, evidence.bytes(), memo};
    Outcome outcome = std::visit([&](const auto& kind) { return check_evidence(kind, context); },
                                 evidence.quote());
    outcome.checks.insert(outcome.checks.begin(), syntax_check({}));
    std::ranges::move(origin_checks(collateral.endorsements()), std::back_inserter(outcome.checks));
    std::optional<Verification::Parts> parts;
    if (outcome.root.has_value() && outcome.claims.has_value()) {
        parts = Verification::Parts{*std::move(outcome.claims), *outcome.root,
                                    std::move(outcome.tcb), std::move(outcome.collateral)};
    }
    Verification out(group(kGroup, std::move(outcome.checks)), time, std::move(parts));
    if (out.evidence() == nullptr) return out;
    if (outcome.intel_key && outcome.intel_set)
        collateral.known().keep_set(*std::move(outcome.intel_key), std::move(outcome.intel_set));
    if (memo == nullptr) {
        collateral.known().keep_verification(
            {evidence.bytes(), roots, collateral.seen_evaluation_data_number()}, at, out);
    }
    return out;
}

Verification verify_quote(ByteView quote, const Collateral& collateral, const Roots& roots,
                          UnixTime time, SignatureMemo* memo) {
    std::optional<Verification> known;
    if (memo == nullptr) {
        known = collateral.known().find_verification(
            {quote, roots, collateral.seen_evaluation_data_number()}, time);
    }
    if (known.has_value()) {
        known->time_ = time;
        return *std::move(known);
    }
    Result<evidence::Evidence> evidence = evidence::parse_evidence(quote);
    if (evidence.has_value()) return verify(*evidence, collateral, roots, time, memo);
    std::vector<Check> checks{syntax_check(fail(std::move(evidence).error()))};
    std::ranges::move(origin_checks(collateral.endorsements()), std::back_inserter(checks));
    Check tree = group(kGroup, std::move(checks));
    return Verification(std::move(tree), time, {});
}

}  // namespace eos::attestation::verify
