// SPDX-License-Identifier: AGPL-3.0-only
// The pipeline of checks for quotes of Intel's, SGX and TDX.
#include <algorithm>
#include <array>

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

/// A quote and what it is held against.
struct Case {
    const evidence::IntelQuote& quote;
    const evidence::TdReport* td;  ///< null for SGX
    const Result<PckChain>& pck;
    const Context& context;
};

Signatures signatures_of(const Context& context, const IntelSet& set) {
    if (context.memo == nullptr) return {};
    return Signatures(*context.memo, digest_of_inputs(context.evidence, *set.digest));
}

/// All checks but the syntax, in order, and what they found.
template <typename MakeClaims>
Outcome check_quote(const Case& in, const IntelCollateral& collateral, Signatures& signatures,
                    std::span<const x509::KnownSignature> known, MakeClaims make_claims) {
    const Inputs inputs{collateral,
                        in.context.collateral.seen_evaluation_data_number(),
                        in.context.roots,
                        in.context.at,
                        signatures,
                        known,
                        in.td};
    Findings findings;
    Outcome out;
    out.checks.push_back(pck_checks(in.pck, inputs, findings));
    out.checks.push_back(qe_report_signature_check(in.quote, findings, signatures));
    out.checks.push_back(qe_binding_check(in.quote));
    out.checks.push_back(quote_signature_check(in.quote, signatures));
    out.checks.push_back(qe_identity_checks(in.quote.qe_report, inputs, findings));
    out.checks.push_back(tcb_checks(inputs, findings));
    if (in.td != nullptr) out.checks.push_back(tdx_module_checks(inputs, findings));
    out.checks.push_back(crl_checks(inputs, findings));
    out.root = findings.root;
    out.collateral = std::move(findings.collateral);
    if (findings.platform.has_value()) {
        out.claims = make_claims(*findings.platform);
        out.tcb = tcb_result(inputs, findings, in.quote.qe_report.isv_svn);
    }
    return out;
}

/// The set that is known for this platform; null: none, or without the digest that the memo needs.
std::shared_ptr<const IntelSet> find_set(const std::optional<IntelKey>& key,
                                         const Context& context) {
    if (!key) return nullptr;
    std::shared_ptr<const IntelSet> out = context.collateral.known().find_set(*key);
    if (out != nullptr && context.memo != nullptr && !out->digest) return nullptr;
    return out;
}

template <typename MakeClaims>
Outcome check_intel(const evidence::IntelQuote& quote, const Context& context,
                    const evidence::TdReport* td, MakeClaims make_claims) {
    using endorsements::PieceKind;
    const StatementKinds kinds =
        td == nullptr ? StatementKinds{PieceKind::sgx_tcb_info, PieceKind::sgx_qe_identity}
                      : StatementKinds{PieceKind::tdx_tcb_info, PieceKind::tdx_qe_identity};
    const Result<PckChain> pck = parse_pck_chain(quote.pck_chain_pem);
    const Case in{quote, td, pck, context};
    std::optional<IntelKey> key;
    if (pck) key = IntelKey::of(*pck, kinds, context.roots);
    if (const std::shared_ptr<const IntelSet> set = find_set(key, context)) {
        Signatures signatures = signatures_of(context, *set);
        const std::array<x509::KnownSignature, 1> by_root{{{pck->intermediate, pck->root}}};
        return check_quote(in, set->collateral, signatures, by_root, make_claims);
    }
    const PckChain* chain = pck ? &*pck : nullptr;
    const endorsements::Endorsements fitting =
        fitting_endorsements(chain, context.collateral.endorsements(), kinds);
    IntelSet set;
    if (context.memo != nullptr) set.digest = digest_of_endorsements(fitting, context.roots);
    Signatures signatures = signatures_of(context, set);
    set.collateral = read_collateral(fitting, chain, context.roots, signatures);
    Outcome out = check_quote(in, set.collateral, signatures, {}, make_claims);
    out.intel_key = std::move(key);
    out.intel_set = std::make_shared<const IntelSet>(std::move(set));
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
