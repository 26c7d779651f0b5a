// SPDX-License-Identifier: AGPL-3.0-only
// The pipeline of checks for quotes of Intel's, SGX and TDX.
#include <algorithm>

#include "common/attestation/verify/fitting.h"
#include "common/attestation/verify/intel_checks.h"
#include "common/attestation/verify/outcome.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

/// An attestation key's or a PCK's signature as r ‖ s.
Result<void> verify_raw(const Result<crypto::P256PublicKey>& key, ByteView message,
                        ByteView signature) {
    if (!key.has_value()) return fail(key.error());
    return key->verify_raw(message, signature);
}

Check qe_report_signature_check(const evidence::IntelQuote& quote, const Findings& findings,
                                Signatures& signatures) {
    constexpr Subject kSubject{"qe.report_signature", "docs/formats/verification.md 1.3",
                               "the quoting enclave's report is not certified by this PCK: the "
                               "evidence was altered or put together from two"};
    if (!findings.chain.has_value()) return not_evaluated(kSubject, "there is no PCK certificate");
    return from_result(kSubject, signatures.check(SignatureOf::qe_report, [&] {
        return verify_raw(findings.chain->leaf.p256_key(), quote.qe_report_bytes,
                          quote.qe_report_signature);
    }));
}

Check qe_binding_check(const evidence::IntelQuote& quote) {
    constexpr Subject kSubject{"qe.binding", "docs/formats/verification.md 1.4",
                               "the quoting enclave does not vouch for this attestation key"};
    ByteArray<64> expected{};
    crypto::Digest32 digest = crypto::sha256({quote.attestation_key, quote.qe_auth_data});
    std::ranges::copy(digest, expected.begin());
    if (expected == quote.qe_report.report_data) return passed(kSubject);
    return failed(kSubject, {hex(expected), hex(quote.qe_report.report_data)});
}

Check quote_signature_check(const evidence::IntelQuote& quote, Signatures& signatures) {
    constexpr Subject kSubject{"quote.signature", "docs/formats/verification.md 1.5",
                               "the quote was altered after it was signed"};
    return from_result(kSubject, signatures.check(SignatureOf::quote, [&] {
        return verify_raw(crypto::P256PublicKey::from_point(quote.attestation_key),
                          quote.signed_bytes, quote.signature);
    }));
}

/// All checks but the syntax, in order, and what they found. `td` is null for SGX.
template <typename MakeClaims>
Outcome check_intel(const evidence::IntelQuote& quote, const Context& context,
                    const evidence::TdReport* td, MakeClaims make_claims) {
    using endorsements::PieceKind;
    const StatementKinds kinds =
        td == nullptr ? StatementKinds{PieceKind::sgx_tcb_info, PieceKind::sgx_qe_identity}
                      : StatementKinds{PieceKind::tdx_tcb_info, PieceKind::tdx_qe_identity};
    const endorsements::Endorsements fitting =
        fitting_endorsements(quote.pck_chain_pem, context.endorsements, kinds);
    Signatures signatures(context.memo, context.evidence, fitting, context.roots);
    const Inputs inputs{fitting, context.roots, context.time, signatures, td};
    Findings findings;
    Outcome out;
    out.checks.push_back(pck_checks(quote.pck_chain_pem, inputs, findings));
    out.checks.push_back(qe_report_signature_check(quote, findings, signatures));
    out.checks.push_back(qe_binding_check(quote));
    out.checks.push_back(quote_signature_check(quote, signatures));
    out.checks.push_back(qe_identity_checks(quote.qe_report, inputs, findings));
    out.checks.push_back(tcb_checks(inputs, findings));
    if (td != nullptr) out.checks.push_back(tdx_module_checks(inputs, findings));
    out.checks.push_back(crl_checks(inputs, findings));
    out.root = findings.root;
    out.collateral = std::move(findings.collateral);
    if (findings.platform.has_value()) {
        out.claims = make_claims(*findings.platform);
        out.tcb = tcb_result(inputs, findings, quote.qe_report.isv_svn);
    }
    return out;
}

}  // namespace

Outcome check_evidence(const evidence::SgxQuote& quote, const Context& context) {
    return check_intel(quote, context, nullptr, [&](const endorsements::PckExtension& platform) {
        return SgxClaims{quote.report, platform};
    });
}

Outcome check_evidence(const evidence::TdxQuote& quote, const Context& context) {
    return check_intel(quote, context, &quote.report,
                       [&](const endorsements::PckExtension& platform) {
                           return TdxClaims{quote.report, platform};
                       });
}

}  // namespace eos::attestation::verify
