// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/verify.h"

#include <algorithm>
#include <array>

#include "common/attestation/verify/fitting.h"
#include "common/attestation/verify/intel_checks.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

constexpr std::string_view kQuoteSpec = "Intel ECDSA QuoteLibReference DCAP API, A.4";
constexpr std::string_view kGroup = "evidence";

/// An attestation key's or a PCK's signature as r ‖ s.
Result<void> verify_raw(const Result<crypto::P256PublicKey>& key, ByteView message,
                        ByteView signature) {
    if (!key.has_value()) return fail(key.error());
    return key->verify_raw(message, signature);
}

Check qe_report_signature_check(const evidence::SgxQuote& quote, const Findings& findings) {
    constexpr Subject kSubject{"qe.report_signature", "evidence.md, 3, 3",
                               "the quoting enclave's report is not certified by this PCK: the "
                               "evidence was altered or put together from two"};
    if (!findings.chain.has_value()) return not_evaluated(kSubject, "there is no PCK certificate");
    return from_result(kSubject, verify_raw(findings.chain->leaf.p256_key(), quote.qe_report_bytes,
                                            quote.qe_report_signature));
}

Check qe_binding_check(const evidence::SgxQuote& quote) {
    constexpr Subject kSubject{"qe.binding", "evidence.md, 3, 4",
                               "the quoting enclave does not vouch for this attestation key"};
    ByteArray<64> expected{};
    crypto::Digest32 digest = crypto::sha256({quote.attestation_key, quote.qe_auth_data});
    std::ranges::copy(digest, expected.begin());
    if (expected == quote.qe_report.report_data) return passed(kSubject);
    return failed(kSubject, {hex(expected), hex(quote.qe_report.report_data)});
}

Check quote_signature_check(const evidence::SgxQuote& quote) {
    constexpr Subject kSubject{"quote.signature", "evidence.md, 3, 5",
                               "the quote was altered after it was signed"};
    return from_result(kSubject,
                       verify_raw(crypto::P256PublicKey::from_point(quote.attestation_key),
                                  quote.signed_bytes, quote.signature));
}

Check syntax_check(const Result<void>& outcome) {
    constexpr Subject kSubject{"quote.syntax", kQuoteSpec,
                               "supply a whole SGX quote of version 3 with its PCK chain"};
    return from_result(kSubject, outcome);
}

/// The condition for VerifiedEvidence, in one place: nothing failed, and nothing is missing but
/// what endorsements would tell.
bool is_genuine(const Check& tree) {
    constexpr std::array<std::string_view, 4> kMayBeMissing{"crl.pck", "crl.root", "qe.identity",
                                                            "tcb.level"};
    Summary summary = summarise(tree);
    return summary.failed.empty() &&
           std::ranges::all_of(summary.not_evaluated, [&](const std::string& id) {
               return std::ranges::find(kMayBeMissing, id) != kMayBeMissing.end();
           });
}

struct SgxOutcome {
    Check tree;
    Findings findings;
};

SgxOutcome check_sgx(const evidence::SgxQuote& quote, const Inputs& inputs) {
    Findings findings;
    std::vector<Check> checks;
    checks.push_back(syntax_check({}));
    checks.push_back(pck_checks(quote.pck_chain_pem, inputs, findings));
    checks.push_back(qe_report_signature_check(quote, findings));
    checks.push_back(qe_binding_check(quote));
    checks.push_back(quote_signature_check(quote));
    checks.push_back(qe_identity_checks(quote.qe_report, inputs, findings));
    checks.push_back(tcb_checks(inputs, findings));
    checks.push_back(crl_checks(inputs, findings));
    return {group(kGroup, std::move(checks)), std::move(findings)};
}

}  // namespace

Verification::Verification(Check tree, UnixTime time, std::optional<Parts> parts)
    : tree_(std::move(tree)), time_(time) {
    if (!parts.has_value() || !is_genuine(tree_)) return;
    evidence_ =
        VerifiedEvidence(std::move(parts->claims), std::move(parts->root), std::move(parts->tcb));
}

Verification verify(const evidence::Evidence& evidence,
                    const endorsements::Endorsements& endorsements, const Roots& roots,
                    UnixTime time) {
    const auto& quote = std::get<evidence::SgxQuote>(evidence.quote());
    const endorsements::Endorsements fitting = fitting_endorsements(
        quote.pck_chain_pem, endorsements,
        {endorsements::PieceKind::sgx_tcb_info, endorsements::PieceKind::sgx_qe_identity});
    const Inputs inputs{fitting, roots, time};
    SgxOutcome outcome = check_sgx(quote, inputs);
    std::optional<Verification::Parts> parts;
    if (outcome.findings.root.has_value() && outcome.findings.platform.has_value()) {
        parts = Verification::Parts{SgxClaims{quote.report, *outcome.findings.platform},
                                    *outcome.findings.root, tcb_result(outcome.findings)};
    }
    return Verification(std::move(outcome.tree), time, std::move(parts));
}

Verification verify_quote(ByteView quote, const endorsements::Endorsements& endorsements,
                          const Roots& roots, UnixTime time) {
    Result<evidence::Evidence> evidence = evidence::parse_quote(quote);
    if (evidence.has_value()) return verify(*evidence, endorsements, roots, time);
    Check tree = group(kGroup, {syntax_check(fail(std::move(evidence).error()))});
    return Verification(std::move(tree), time, {});
}

}  // namespace eos::attestation::verify
