// SPDX-License-Identifier: AGPL-3.0-only
#include <array>

#include "common/attestation/verify/intel_checks.h"
#include "common/x509/crl.h"

namespace eos::attestation::verify {
namespace {

constexpr std::string_view kSource = "Intel PCK Certificate and CRL Profile; RFC 5280, 5 and 6.3";
constexpr Subject kRootCrl{"crl.root", kSource, "get the current CRL of the root CA"};
constexpr Subject kPckCrl{"crl.pck", kSource,
                          "get the current CRL of the CA of the PCK certificate"};

inline constexpr Code revoked{"common/attestation/verify", "revoked",
                              "a certificate of the evidence is revoked"};

/// A list, who must have signed it, and what it must not contain.
struct Question {
    ByteView crl;
    const x509::Certificate& issuer;
    std::span<const x509::Certificate* const> subjects;
    SignatureOf memo;
};

/// Notes in `dates` from when the list is, as soon as that is known.
Result<void> check_crl(const Question& question, const Inputs& inputs,
                       std::vector<CollateralDate>& dates) {
    x509::Crl crl = EOS_TRY(x509::Crl::parse(question.crl));
    dates.push_back({crl.issuer().display() + ", list", crl.this_update()});
    EOS_TRY(
        inputs.signatures.check(question.memo, [&] { return crl.verify_issuer(question.issuer); }));
    EOS_TRY(crl.check_dates(inputs.time));
    for (const x509::Certificate* subject : question.subjects) {
        if (!crl.is_revoked(subject->serial())) continue;
        return fail(revoked, subject->subject().display() + ", serial " + subject->serial().hex());
    }
    return {};
}

}  // namespace

Check crl_checks(const Inputs& inputs, Findings& findings) {
    constexpr std::string_view kNotGiven = "no list was given: revocation is not known";
    if (!findings.chain.has_value()) {
        return group("crl", {not_evaluated(kRootCrl, "there is no certificate chain"),
                             not_evaluated(kPckCrl, "there is no certificate chain")});
    }
    const PckChain& chain = *findings.chain;
    std::vector<const x509::Certificate*> by_root{&chain.intermediate};
    for (const x509::Certificate& signer : findings.signers) by_root.push_back(&signer);
    const std::array<const x509::Certificate*, 1> by_ca{&chain.leaf};

    auto check = [&](const Subject& subject, const std::optional<Bytes>& crl, Question question) {
        if (!crl.has_value()) return not_evaluated(subject, std::string(kNotGiven));
        question.crl = *crl;
        return from_result(subject, check_crl(question, inputs, findings.collateral));
    };
    return group("crl", {check(kRootCrl, inputs.endorsements.root_ca_crl,
                               {{}, chain.root, by_root, SignatureOf::root_crl}),
                         check(kPckCrl, inputs.endorsements.pck_crl,
                               {{}, chain.intermediate, by_ca, SignatureOf::pck_crl})});
}

}  // namespace eos::attestation::verify
