// SPDX-License-Identifier: AGPL-3.0-only
#include <array>

#include "common/attestation/verify/intel_checks.h"

namespace eos::attestation::verify {
namespace {

constexpr std::string_view kSource = "Intel PCK Certificate and CRL Profile; RFC 5280, 5 and 6.3";
constexpr Subject kRootCrl{"crl.root", kSource, "get the current CRL of the root CA"};
constexpr Subject kPckCrl{"crl.pck", kSource,
                          "get the current CRL of the CA of the PCK certificate"};

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

    auto check = [&](const Subject& subject, const std::optional<RevocationList>& list,
                     std::span<const x509::Certificate* const> certificates) {
        if (!list.has_value()) return not_evaluated(subject, std::string(kNotGiven));
        return from_result(subject,
                           check_not_revoked(*list, certificates, inputs.at, findings.collateral));
    };
    return group("crl", {check(kRootCrl, inputs.collateral.root_crl, by_root),
                         check(kPckCrl, inputs.collateral.pck_crl, by_ca)});
}

}  // namespace eos::attestation::verify
