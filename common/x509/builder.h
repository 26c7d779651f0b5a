// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>
#include <span>

#include "common/crypto/hash.h"
#include "common/crypto/p256.h"
#include "common/x509/certificate.h"

namespace eos::x509 {

/// What every certificate has. The views are read when a draft is made and not kept.
struct CertificateFields {
    Serial serial;
    ByteView issuer;  ///< the issuer's subject, as DistinguishedName::der() or subject_tlv()
    Validity validity;
    ByteView subject;
    ByteView spki;  ///< SubjectPublicKeyInfo DER
};

/// A version 3 certificate that is being put together. Extensions appear in the order in which they
/// are added.
/// bound: every byte is copied a fixed number of times, whatever the number of extensions.
class CertificateDraft {
  public:
    explicit CertificateDraft(const CertificateFields& fields);

    /// in: an OID that has not been added yet (asserted), and the content of extnValue.
    CertificateDraft& add(const oid::Oid& oid, Critical critical, ByteView value);
    CertificateDraft& add(const Extension& extension) {
        return add(extension.oid, extension.critical, extension.value);
    }

    /// Certificate::contents_digest() of the certificate as it stands now. For leaf_binding: take
    /// it, sign it with the leaf's key, and add the signature as one more extension.
    crypto::Digest32 contents_digest() const;

    /// TBSCertificate, whole, for an issuer with a P-256 key.
    Bytes tbs() const;

    /// The finished certificate, DER.
    Bytes sign(const crypto::P256PrivateKey& issuer_key) const;
    /// The same with RSASSA-PSS and SHA-384.
    Bytes sign(const crypto::RsaPrivateKey& issuer_key) const;

  private:
    Bytes tbs_for(ByteView algorithm) const;

    Bytes serial_;  // whole TLV
    Bytes body_;    // issuer, validity, subject and subjectPublicKeyInfo, each a whole TLV
    DerWriter extensions_;
    std::vector<oid::Oid> added_;
};

/// What the maker of a CA decides.
struct CaOptions {
    DistinguishedName subject;
    Validity validity;
    std::optional<std::uint32_t> path_length;
    std::optional<NameConstraints> name_constraints;
    std::optional<Serial> serial;  ///< default: a random one for each certificate made
    /// Put after the standard ones, for example oid::kEmulationRootMarker.
    std::vector<Extension> more_extensions;
};

/// A self-signed CA certificate: basicConstraints, keyUsage (keyCertSign, cRLSign),
/// subjectKeyIdentifier, nameConstraints if given, then options.more_extensions.
/// errors: those of make_name_constraints() and Certificate::parse() (the options contradict a
///         rule of RFC 5280).
[[nodiscard]] Result<Certificate> make_root_ca(const CaOptions& options,
                                               const crypto::P256PrivateKey& key);

/// As make_root_ca(), for another key, issued by `issuer` and with authorityKeyIdentifier.
/// in:     issuer_key: the private key of `issuer` (asserted).
/// errors: those of make_root_ca().
[[nodiscard]] Result<Certificate> make_intermediate_ca(const CaOptions& options,
                                                       const crypto::P256PublicKey& subject_key,
                                                       const Certificate& issuer,
                                                       const crypto::P256PrivateKey& issuer_key);

}  // namespace eos::x509
