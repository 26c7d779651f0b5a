// SPDX-License-Identifier: AGPL-3.0-only
// The pipeline of checks for reports of SEV-SNP.
#include <array>

#include "common/attestation/verify/outcome.h"
#include "common/attestation/verify/snp_chain.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using endorsements::VekExtension;
using snp_arch::SigningKey;

constexpr std::string_view kProfile = "AMD 57230, VCEK certificate";
constexpr std::string_view kNoVek = "there is no VCEK or VLEK certificate";

constexpr Subject kCertificates{"vek.certificates", "docs/formats/verification.md 4.2",
                                "get the VCEK of this chip and TCB from AMD's key service, or the "
                                "VLEK from the cloud provider, and give it with the evidence"};
constexpr Subject kChain{"vek.chain", "RFC 5280, 6.1; docs/formats/verification.md 4.2",
                         "the chain was altered, or belongs to another product or kind of key"};
constexpr Subject kValidity{"vek.validity", "RFC 5280, 4.1.2.5",
                            "check the clock; else get a new certificate for the key"};
constexpr Subject kRoot{"vek.root", "docs/formats/verification.md 4.2",
                        "evidence of emulated hardware needs a policy that names its test root"};
constexpr Subject kExtension{"vek.extension", kProfile,
                             "the certificate does not describe a chip: get one from AMD"};
constexpr Subject kKind{"vek.kind", "AMD 56860, SIGNING_KEY",
                        "give the certificate of the key that signed: VCEK or VLEK"};

constexpr Subject kSignature{"report.signature", "docs/formats/verification.md 4.4",
                             "the report was altered, or signed by the key of another chip or TCB"};
constexpr Subject kProduct{"report.product", "docs/formats/verification.md 4.3",
                           "the report and the certificate are of two products"};
constexpr Subject kTcb{"report.tcb", "docs/formats/verification.md 4.3",
                       "get the VCEK for the report's reported_tcb: each TCB has its own"};
constexpr Subject kChipId{"report.chip_id", "docs/formats/verification.md 4.3",
                          "get the VCEK of this chip; a host that masks its chip id cannot be "
                          "verified with a VCEK"};
constexpr Subject kTcbOrder{"report.tcb_order", "docs/formats/verification.md 4.5",
                            "no firmware reports more than it committed or runs: report it"};

constexpr Subject kArkCrl{"crl.ark", "AMD 57230, CRL; RFC 5280, 5 and 6.3",
                          "get the current CRL of the product from AMD's key service"};
constexpr Subject kAskCrl{"crl.ask", "RFC 5280, 5 and 6.3",
                          "get the current CRL of the CA of the VCEK or VLEK"};

/// What one group finds out and others need. Nothing in it is trusted unless its check passed.
struct VekFindings {
    std::optional<x509::Certificate> leaf;
    std::optional<VekChain> chain;
    std::optional<RootIdentity> root;
    std::optional<VekExtension> extension;
};

std::string_view kind_name(SigningKey kind) {
    return kind == SigningKey::vcek ? "VCEK" : "VLEK";
}

Check root_check(const VekChain& chain, const Roots& roots, VekFindings& findings) {
    findings.root = roots.find(chain.root);
    if (findings.root.has_value()) return passed(kRoot, findings.root->name);
    return failed(kRoot, {roots.describe(), chain.root.subject().display() + " (" +
                                                hex(crypto::sha256(chain.root.der())) + ")"});
}

Check extension_check(const x509::Certificate& leaf, VekFindings& findings) {
    Result<VekExtension> extension = endorsements::parse_vek_extension(leaf);
    if (!extension.has_value()) return failed(kExtension, extension.error());
    findings.extension = *std::move(extension);
    return passed(kExtension, findings.extension->product_name + ", " +
                                  describe(findings.extension->tcb, findings.extension->product));
}

Check kind_check(SigningKey expected, const VekFindings& findings) {
    if (!findings.extension) return not_evaluated(kKind, "the certificate does not say");
    if (findings.extension->kind == expected) return passed(kKind);
    return failed(kKind, {std::string(kind_name(expected)),
                          std::string(kind_name(findings.extension->kind))});
}

/// What is about the certificates alone.
Check vek_checks(const evidence::SnpEvidence& evidence, const endorsements::AmdEndorsements& amd,
                 const Context& context, Signatures& signatures, VekFindings& findings) {
    std::vector<Check> checks;
    auto find_leaf = [&]() -> Result<x509::Certificate> {
        VekCertificates given = EOS_TRY(collect_certificates(evidence, amd));
        findings.leaf = EOS_TRY(choose_vek(given, evidence.report));
        findings.chain = EOS_TRY(complete_chain(*findings.leaf, given, context.roots));
        return *findings.leaf;
    };
    Result<x509::Certificate> leaf = find_leaf();
    if (!findings.leaf.has_value()) {
        checks.push_back(failed(kCertificates, leaf.error()));
        for (const Subject& subject : {kChain, kValidity, kRoot, kExtension, kKind})
            checks.push_back(not_evaluated(subject, std::string(kNoVek)));
        return group("vek", std::move(checks));
    }
    checks.push_back(passed(kCertificates));
    if (findings.chain.has_value()) {
        const VekChain& chain = *findings.chain;
        const std::array<const x509::Certificate*, 3> all{&chain.leaf, &chain.issuer, &chain.root};
        checks.push_back(from_result(kChain, signatures.check(SignatureOf::vek_chain, [&] {
            return check_vek_chain(chain, context.roots);
        })));
        checks.push_back(from_result(kValidity, check_validity(all, context.at)));
        checks.push_back(root_check(chain, context.roots, findings));
    } else {
        checks.push_back(failed(kChain, leaf.error()));
        for (const Subject& subject : {kValidity, kRoot})
            checks.push_back(not_evaluated(subject, "the chain is not complete"));
    }
    checks.push_back(extension_check(*findings.leaf, findings));
    checks.push_back(kind_check(evidence.report.signing_key, findings));
    return group("vek", std::move(checks));
}

Check signature_check(const evidence::SnpEvidence& evidence, const VekFindings& findings,
                      Signatures& signatures) {
    if (!findings.leaf) return not_evaluated(kSignature, std::string(kNoVek));
    auto verify_report = [&]() -> Result<void> {
        return EOS_TRY(findings.leaf->p384_key())
            .verify_raw(evidence.signed_bytes(), evidence.report.signature);
    };
    return from_result(kSignature, signatures.check(SignatureOf::snp_report, verify_report));
}

Check product_check(const snp_arch::Report& report, const VekExtension& vek) {
    std::string certified(product_name(vek.product));
    // Reports of version 2 do not name their product: the certificate's is taken.
    if (!report.product() || *report.product() == vek.product) return passed(kProduct, certified);
    return failed(kProduct, {certified, std::string(product_name(*report.product()))});
}

Check tcb_check(const snp_arch::Report& report, const VekExtension& vek) {
    Result<snp_arch::Tcb> reported = split_tcb(report.reported_tcb, vek.product);
    if (!reported) return failed(kTcb, reported.error());
    if (*reported == vek.tcb) return passed(kTcb, describe(*reported, vek.product));
    return failed(kTcb, {describe(vek.tcb, vek.product), describe(*reported, vek.product)});
}

Check chip_id_check(const snp_arch::Report& report, const VekExtension& vek) {
    if (!vek.chip_id.has_value()) {
        return passed(kChipId, "a VLEK is its provider's and names no chip: " + vek.csp_id);
    }
    if (*vek.chip_id == report.chip_id) return passed(kChipId, hex(report.chip_id));
    return failed(kChipId, {hex(*vek.chip_id), hex(report.chip_id)});
}

Result<SnpClaims> make_claims(const snp_arch::Report& report, const VekExtension& vek) {
    SnpClaims out;
    out.report = report;
    out.product = vek.product;
    out.reported = EOS_TRY(split_tcb(report.reported_tcb, vek.product));
    out.committed = EOS_TRY(split_tcb(report.committed_tcb, vek.product));
    out.current = EOS_TRY(split_tcb(report.current_tcb, vek.product));
    out.launch = EOS_TRY(split_tcb(report.launch_tcb, vek.product));
    out.csp_id = vek.csp_id;
    return out;
}

Check tcb_order_check(const Result<SnpClaims>& claims) {
    if (!claims) return failed(kTcbOrder, claims.error());
    const bool in_order =
        claims->committed.covers(claims->reported) && claims->current.covers(claims->committed);
    if (in_order) return passed(kTcbOrder);
    return failed(kTcbOrder, {"reported at most committed, committed at most current",
                              "reported " + describe(claims->reported, claims->product) +
                                  "; committed " + describe(claims->committed, claims->product) +
                                  "; current " + describe(claims->current, claims->product)});
}

/// Report against certificate. The signature decides more than the fields, so it comes first.
Check report_checks(const evidence::SnpEvidence& evidence, const VekFindings& findings,
                    Signatures& signatures, std::optional<TeeClaims>& claims) {
    std::vector<Check> checks{signature_check(evidence, findings, signatures)};
    if (!findings.extension.has_value()) {
        for (const Subject& subject : {kProduct, kTcb, kChipId, kTcbOrder})
            checks.push_back(not_evaluated(subject, "the certificate describes no chip"));
        return group("report", std::move(checks));
    }
    const VekExtension& vek = *findings.extension;
    checks.push_back(product_check(evidence.report, vek));
    checks.push_back(tcb_check(evidence.report, vek));
    checks.push_back(chip_id_check(evidence.report, vek));
    Result<SnpClaims> made = make_claims(evidence.report, vek);
    checks.push_back(tcb_order_check(made));
    if (made) claims = *std::move(made);
    return group("report", std::move(checks));
}

/// A list, who must have signed it, and what it must not contain.
struct Question {
    const Subject& subject;
    const x509::Certificate& issuer;
    const x509::Certificate& certificate;
    SignatureOf signature;
};

Check crl_check(const std::optional<Bytes>& crl, const Question& question, Instant& at,
                Signatures& signatures, std::vector<CollateralDate>& dates) {
    if (!crl.has_value()) {
        return not_evaluated(question.subject, "no list was given: revocation is not known");
    }
    const std::array<const x509::Certificate*, 1> certificates{&question.certificate};
    const RevocationList list = read_list(*crl, question.issuer, question.signature, signatures);
    return from_result(question.subject, check_not_revoked(list, certificates, at, dates));
}

Check crl_checks(const endorsements::AmdEndorsements& amd, Instant& at, const VekFindings& findings,
                 Signatures& signatures, std::vector<CollateralDate>& dates) {
    if (!findings.chain.has_value()) {
        return group("crl", {not_evaluated(kArkCrl, std::string(kNoVek)),
                             not_evaluated(kAskCrl, std::string(kNoVek))});
    }
    const VekChain& chain = *findings.chain;
    std::vector<Check> checks{
        crl_check(amd.ark_crl, {kArkCrl, chain.root, chain.issuer, SignatureOf::ark_crl}, at,
                  signatures, dates),
        crl_check(amd.ask_crl, {kAskCrl, chain.issuer, chain.leaf, SignatureOf::ask_crl}, at,
                  signatures, dates)};
    // AMD publishes no such list: a chip's key is replaced with its TCB, not revoked.
    if (!amd.ask_crl) checks.back().weight = Weight::informative;
    return group("crl", std::move(checks));
}

Signatures signatures_of(const Context& context, const endorsements::AmdEndorsements& amd) {
    if (context.memo == nullptr) return {};
    endorsements::Endorsements used;
    used.amd = amd;
    return Signatures(*context.memo, digest_of_inputs(context.evidence,
                                                      digest_of_endorsements(used, context.roots)));
}

}  // namespace

Outcome check_evidence(const evidence::SnpEvidence& evidence, const Context& context) {
    const endorsements::AmdEndorsements amd =
        fitting_amd(evidence, context.collateral.endorsements(), context.roots);
    Signatures signatures = signatures_of(context, amd);
    VekFindings findings;
    Outcome out;
    out.checks.push_back(vek_checks(evidence, amd, context, signatures, findings));
    out.checks.push_back(report_checks(evidence, findings, signatures, out.claims));
    out.checks.push_back(crl_checks(amd, context.at, findings, signatures, out.collateral));
    out.root = findings.root;
    return out;
}

}  // namespace eos::attestation::verify
