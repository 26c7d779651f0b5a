// SPDX-License-Identifier: AGPL-3.0-only
#include <array>

#include "common/attestation/verify/intel_checks.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

constexpr std::string_view kProfile = "Intel PCK Certificate and CRL Profile";
constexpr std::string_view kNoChain = "there is no certificate chain to look at";

constexpr Subject kCertificates{"pck.certificates", "docs/formats/verification.md 1.2",
                                "the quote must carry PCK certificate, PCK CA and root as PEM"};
constexpr Subject kChain{"pck.chain", "RFC 5280, 6.1",
                         "the chain was altered, or belongs to other evidence"};
constexpr Subject kValidity{"pck.validity", "RFC 5280, 4.1.2.5",
                            "check the clock; else the platform needs a new PCK certificate"};
constexpr Subject kRoot{"pck.root", "docs/formats/verification.md 2.3",
                        "evidence of emulated hardware needs a policy that names its test root"};
constexpr Subject kExtension{"pck.extension", kProfile,
                             "the certificate does not describe a platform: get one from Intel"};

Check root_check(const Inputs& inputs, Findings& findings) {
    const x509::Certificate& root = findings.chain->root;
    findings.root = inputs.roots.find(root);
    if (findings.root.has_value()) return passed(kRoot, findings.root->name);
    return failed(kRoot, {inputs.roots.describe(),
                          root.subject().display() + " (" + hex(crypto::sha256(root.der())) + ")"});
}

Check extension_check(Findings& findings) {
    const Result<endorsements::PckExtension>& platform = findings.chain->platform;
    if (!platform.has_value()) return failed(kExtension, platform.error());
    findings.platform = *platform;
    return passed(kExtension, "FMSPC " + hex(platform->fmspc) + ", PCE SVN " +
                                  std::to_string(platform->tcb.pce_svn));
}

}  // namespace

Check pck_checks(const Result<PckChain>& chain, const Inputs& inputs, Findings& findings) {
    if (!chain.has_value()) {
        std::vector<Check> checks{failed(kCertificates, chain.error())};
        for (const Subject& subject : {kChain, kValidity, kRoot, kExtension})
            checks.push_back(not_evaluated(subject, std::string(kNoChain)));
        return group("pck", std::move(checks));
    }
    findings.chain = *chain;
    const std::array<const x509::Certificate*, 3> all{
        &findings.chain->leaf, &findings.chain->intermediate, &findings.chain->root};
    Result<void> path = inputs.signatures.check(SignatureOf::pck_chain, [&] {
        return check_pck_chain(*findings.chain, inputs.roots, inputs.known_signatures);
    });
    return group("pck", {passed(kCertificates), from_result(kChain, path),
                         from_result(kValidity, check_validity(all, inputs.at)),
                         root_check(inputs, findings), extension_check(findings)});
}

}  // namespace eos::attestation::verify
