// SPDX-License-Identifier: AGPL-3.0-only
// The certificate chains of AMD evidence: VCEK or VLEK, its CA, the product's root. For this folder
// only.
#pragma once

#include <span>

#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/endorsements/vek.h"
#include "common/attestation/evidence/snp_evidence.h"
#include "common/attestation/verify/pck_chain.h"

namespace eos::attestation::verify {

/// Certificates that one verification looks at, at most.
inline constexpr std::size_t kMaxVekCertificates = 8;

/// The certificates that came with the evidence or were given beside it, by what they can be.
struct VekCertificates {
    std::vector<x509::Certificate> veks;     ///< not CAs
    std::vector<x509::Certificate> issuers;  ///< CAs below a root
    std::vector<x509::Certificate> roots;
};

/// errors:  those of x509; bad_chain (too many).
/// bound:   kMaxVekCertificates.
[[nodiscard]] Result<VekCertificates> collect_certificates(
    const evidence::SnpEvidence& evidence, const endorsements::AmdEndorsements& endorsements);

/// AMD's endorsements for this report: what was given one by one, completed from the pieces of a
/// bundle. A VCEK is picked by chip and TCB; certificates that came with the evidence win. Of lists
/// the first is taken that the root of the chain issued, whatever its key says.
endorsements::AmdEndorsements fitting_amd(const evidence::SnpEvidence& evidence,
                                          const endorsements::Endorsements& all,
                                          const Roots& roots);

/// VCEK or VLEK, ASK or ASVK, ARK.
struct VekChain {
    x509::Certificate leaf;
    x509::Certificate issuer;
    x509::Certificate root;
    /// Whether it was verified that the issuer signed the leaf, to tell CAs of one name apart.
    bool is_leaf_verified = false;
};

/// Whether the certificate says that it is of the key that signed this report: kind, chip, product
/// and reported TCB. Its signature decides later.
bool is_vek_of(const endorsements::VekExtension& vek, const snp_arch::Report& report);

/// The one certificate whose kind the report names, or else the only one there is. Of several, the
/// one that is_vek_of() the report; of several of those with one key, the oldest.
/// errors: bad_chain (none; of several none that fits, or two that fit, of different keys).
[[nodiscard]] Result<x509::Certificate> choose_vek(const VekCertificates& given,
                                                   const snp_arch::Report& report);

/// The chain above a VCEK or VLEK. Where a CA of the needed role was given, it is used and no
/// other; else, under vendor roots, AMD's own. Of CAs of one name the one that signed is taken.
/// errors: bad_chain (no such CA).
[[nodiscard]] Result<VekChain> complete_chain(x509::Certificate leaf, const VekCertificates& given,
                                              const Roots& roots);

/// A CA of AMD's: what it certifies, of which product.
struct VekIssuerRole {
    snp_arch::SigningKey certifies = snp_arch::SigningKey::vcek;
    snp_arch::Product product = snp_arch::Product::milan;
};

/// The same for ASK or ASVK and ARK alone, as AMD hands them on: roles and product by name, CA
/// flags, key usage, the signature; no dates, and not who the root is.
/// errors: bad_chain and those of x509.
[[nodiscard]] Result<void> check_vek_issuer(const x509::Certificate& issuer,
                                            const x509::Certificate& root,
                                            const VekIssuerRole& role, const Roots& roots);

/// Those of the roots that are the ARK of this product.
std::vector<x509::Certificate> arks_of(snp_arch::Product product, const Roots& roots);

/// Names, roles, signatures (RSASSA-PSS, ECDSA nowhere), CA flags, path lengths, key usage; no
/// dates, and not who the root is.
/// errors: bad_chain and those of x509.
[[nodiscard]] Result<void> check_vek_chain(const VekChain& chain, const Roots& roots);

}  // namespace eos::attestation::verify
