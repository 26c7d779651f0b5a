// SPDX-License-Identifier: AGPL-3.0-only
// AMD and one of its chips, emulated: root, CAs, the chip's keys and the firmware that signs
// reports. Protects nothing. Every part can be altered before it is signed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/attestation/endorsements/vek.h"
#include "common/attestation/evidence/snp_evidence.h"
#include "common/crypto/p384.h"
#include "common/crypto/rsa.h"
#include "common/x509/builder.h"

namespace eos::emulation::snp {

/// What a certificate is made from.
struct CertificateRecipe {
    std::string cn;
    x509::Validity validity;
    x509::Serial serial = x509::Serial::random();
    std::vector<x509::Extension> extensions;
};

/// The three RSA keys of one product.
struct AuthorityKeys {
    crypto::RsaPrivateKey ark;
    crypto::RsaPrivateKey ask;
    crypto::RsaPrivateKey asvk;

    /// in: bits: 4096 as AMD's own, which takes seconds, or 2048.
    static AuthorityKeys generate(std::size_t bits);
};

/// Which CA issues the chip's or provider's certificate. AMD: the ASK of a VCEK, the ASVK of a
/// VLEK.
enum class Issuer : std::uint8_t { by_kind, ask, asvk, ark };

/// An emulated AMD for one product. Certificates, lists and reports are signed anew whenever they
/// are asked for, from the public members; all but the root, which policies name by its bytes.
class SyntheticAmd {
  public:
    /// in: keys: borrowed, so that many of these can share what is slow to make.
    ///     now: everything is valid around it.
    SyntheticAmd(const AuthorityKeys& keys, snp_arch::Product product, UnixTime now);

    /// With the extension that marks emulated roots. Made at the first use.
    const x509::Certificate& ark() const;
    x509::Certificate ask() const;
    x509::Certificate asvk() const;
    /// The VCEK or VLEK, as `vek.kind` says.
    x509::Certificate vek_certificate() const;

    /// `report`, signed by the chip's or provider's key.
    Bytes signed_report() const;
    /// Report and certificate table with VCEK or VLEK, its CA and the root.
    Bytes evidence() const;

    /// The list of the root: ASKs and ASVKs.
    Bytes ark_crl() const;
    /// The list of the CA of this VCEK or VLEK.
    Bytes ask_crl() const;

    /// Makes the report and the certificate name the same TCB, in all places.
    void set_tcb(const snp_arch::Tcb& tcb);
    /// From here on a VLEK signs, or a VCEK.
    void set_kind(snp_arch::SigningKey kind);

    crypto::P384PrivateKey vek_key = crypto::P384PrivateKey::generate();
    CertificateRecipe ark_recipe;
    CertificateRecipe ask_recipe;
    CertificateRecipe asvk_recipe;
    CertificateRecipe vek_recipe;  ///< AMD's extensions are added from `vek`
    Issuer issuer = Issuer::by_kind;

    attestation::endorsements::VekExtension vek;
    snp_arch::Report report;

    std::vector<x509::Serial> ark_revoked;
    std::vector<x509::Serial> ask_revoked;
    x509::Validity crl_validity;

  private:
    const CertificateRecipe& issuer_recipe() const;
    const crypto::RsaPrivateKey& issuer_key() const;

    const AuthorityKeys* keys_;
    mutable std::optional<x509::Certificate> ark_;
};

/// AMD's extensions of a VCEK or VLEK.
std::vector<x509::Extension> vek_extensions(const attestation::endorsements::VekExtension& vek);

}  // namespace eos::emulation::snp
