// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <compare>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/crypto/hash.h"
#include "common/crypto/p256.h"
#include "common/crypto/p384.h"
#include "common/crypto/rsa.h"
#include "common/x509/extensions.h"
#include "common/x509/name.h"

namespace eos::x509 {

inline constexpr Code bad_certificate{"common/x509", "bad_certificate",
                                      "a certificate breaks a rule of RFC 5280"};
inline constexpr Code too_large{"common/x509", "too_large",
                                "an input is larger than the limit allows"};
inline constexpr Code unsupported_algorithm{
    "common/x509", "unsupported_algorithm",
    "the signature or key is of an algorithm that is not taken here"};
inline constexpr Code bad_signature{"common/x509", "bad_signature", "a signature does not verify"};

inline constexpr Code not_yet_valid{"common/x509", "not_yet_valid",
                                    "the time of validity has not begun"};
inline constexpr Code expired{"common/x509", "expired", "the time of validity is over"};
inline constexpr Code key_usage{"common/x509", "key_usage", "the key may not be used for this"};
inline constexpr Code unknown_critical_extension{
    "common/x509", "unknown_critical_extension",
    "a critical extension is not known here, so what carries it must be refused"};

inline constexpr std::size_t kMaxCertificateBytes = 64 * 1024;
inline constexpr std::size_t kMaxSerialBytes = 20;

/// A certificate's serial number: 0 to 2^160-1. A value. (Zero breaks RFC 5280, but is what AMD
/// puts into every VCEK.)
class Serial {
  public:
    Serial() = default;

    /// Positive, 127 random bits.
    static Serial random();

    /// in:      big-endian magnitude; leading zeros are dropped.
    /// errors:  bad_certificate (longer than 20 bytes).
    [[nodiscard]] static Result<Serial> from_bytes(ByteView magnitude);

    /// The magnitude without leading zeros; empty for zero.
    ByteView bytes() const { return ByteView(bytes_).first(size_); }
    /// Lower-case hexadecimal; "00" for zero.
    std::string hex() const;

    friend bool operator==(const Serial&, const Serial&) = default;
    /// By value.
    friend std::strong_ordering operator<=>(const Serial& a, const Serial& b);

  private:
    ByteArray<kMaxSerialBytes> bytes_{};
    std::size_t size_ = 0;
};

/// Both ends are included.
struct Validity {
    UnixTime not_before;
    UnixTime not_after;
};

/// A parsed certificate. Owns its DER; a copy shares it, so copying is cheap and every view it
/// hands out lives as long as any copy. Immutable. Parsed means well-formed: nothing is verified.
class Certificate {
  public:
    /// in:      exactly one certificate, at most kMaxCertificateBytes; copied.
    /// errors:  those of DerReader, too_large, bad_certificate, bad_extension, duplicate_extension,
    ///          too_many, bad_name, oid::bad_oid.
    /// source:  RFC 5280 §4.1, §4.2. Version 3, or version 1 without extensions; any signature
    ///          algorithm, but the same one inside and outside.
    [[nodiscard]] static Result<Certificate> parse(ByteView der);

    ByteView der() const;
    ByteView tbs() const;  ///< whole TLV: what is signed

    // Whole TLVs, as they stand in the certificate.
    ByteView serial_tlv() const;
    ByteView issuer_tlv() const;
    ByteView validity_tlv() const;
    ByteView subject_tlv() const;
    ByteView spki_tlv() const;

    const Serial& serial() const;
    const Validity& validity() const;
    const DistinguishedName& issuer() const;
    const DistinguishedName& subject() const;
    /// SubjectPublicKeyInfo of any algorithm; the same bytes as spki_tlv().
    ByteView spki() const { return spki_tlv(); }

    /// Algorithm of the signature on this certificate.
    const oid::Oid& signature_algorithm() const;
    /// The whole AlgorithmIdentifier, with its parameters.
    ByteView signature_algorithm_tlv() const;
    /// Content of signatureValue.
    ByteView signature() const;

    /// The subject's key.
    /// errors: unsupported_algorithm (not P-256), crypto::bad_key.
    [[nodiscard]] Result<crypto::P256PublicKey> p256_key() const;
    /// errors: unsupported_algorithm (not P-384), crypto::bad_key.
    [[nodiscard]] Result<crypto::P384PublicKey> p384_key() const;
    /// errors: unsupported_algorithm (not RSA), crypto::bad_key, those of DerReader.
    [[nodiscard]] Result<crypto::RsaPublicKey> rsa_key() const;

    /// Whether this certificate bears a signature by `issuer`. Looks at nothing else: no name, no
    /// date, no extension. Use verify_chain() to decide whether to trust it.
    /// errors: unsupported_algorithm, bad_signature.
    [[nodiscard]] Result<void> verify_signed_by(const crypto::P256PublicKey& issuer) const;
    /// The same for RSASSA-PSS with SHA-384, as AMD's hierarchy has it.
    [[nodiscard]] Result<void> verify_signed_by(const crypto::RsaPublicKey& issuer) const;

    // --- extensions ---
    std::span<const ExtensionView> extensions() const;
    /// The extension, or null.
    const ExtensionView* find_extension(const oid::Oid& oid) const;

    const std::optional<BasicConstraints>& basic_constraints() const;
    /// KeyUsage bits, if the extension is there.
    std::optional<std::uint16_t> key_usage() const;
    const std::optional<std::vector<oid::Oid>>& extended_key_usage() const;
    const SubjectAltName& subject_alt_name() const;  ///< empty if the extension is not there
    const std::optional<NameConstraints>& name_constraints() const;
    ByteView authority_key_identifier() const;  ///< keyIdentifier; empty if there is none
    ByteView subject_key_identifier() const;    ///< empty if there is none

    bool is_ca() const;
    bool is_self_issued() const { return subject() == issuer(); }

    /// SHA-256(serialNumber ‖ issuer ‖ validity ‖ subject ‖ subjectPublicKeyInfo ‖ every extension
    /// but `left_out`), each its whole TLV as it stands, in order: what leaf_binding signs.
    /// source: docs/formats/certificate.md 4.
    crypto::Digest32 contents_digest(const oid::Oid& left_out) const;

    friend bool operator==(const Certificate& a, const Certificate& b) {
        return equal(a.der(), b.der());
    }

  private:
    struct Data;
    explicit Certificate(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
    static Result<void> read_tbs(Data& data);
    static Result<void> read_extensions(Data& data, DerReader& tbs);
    static Result<void> decode_extension(Data& data, const ExtensionView& extension);

    std::shared_ptr<const Data> data_;
};

/// An RSA key on its own.
/// errors: unsupported_algorithm (not RSA), crypto::bad_key, those of DerReader.
[[nodiscard]] Result<crypto::RsaPublicKey> decode_rsa_spki(ByteView spki);

/// SubjectPublicKeyInfo DER of an RSA key.
Bytes encode_rsa_spki(const crypto::RsaPublicKey& key);

}  // namespace eos::x509
