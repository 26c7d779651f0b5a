// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "common/x509/certificate.h"

namespace eos::x509 {

inline constexpr Code bad_crl{"common/x509", "bad_crl",
                              "a revocation list breaks a rule of RFC 5280"};
inline constexpr Code wrong_crl_issuer{"common/x509", "wrong_crl_issuer",
                                       "the revocation list is of another issuer"};

inline constexpr std::size_t kMaxCrlBytes = 1024 * 1024;

/// One entry of a revocation list.
struct RevokedCertificate {
    Serial serial;
    UnixTime revoked_at;
    std::optional<std::uint8_t> reason;  ///< CRLReason; none is "unspecified"
};

/// A parsed, complete, direct revocation list, version 2. Owns its DER; a copy shares it.
/// Immutable.
class Crl {
  public:
    /// in:      exactly one list, at most kMaxCrlBytes; copied.
    /// errors:  those of DerReader, too_large, bad_crl (another version, no nextUpdate, a list of
    ///          limited scope), bad_certificate (a serial number), unknown_critical_extension,
    ///          bad_extension, duplicate_extension, too_many, bad_name, oid::bad_oid.
    /// source:  RFC 5280 §5.1, §5.2. A delta or indirect list, or one with a distribution point,
    ///          is refused: its silence about a certificate would mean nothing.
    [[nodiscard]] static Result<Crl> parse(ByteView der);

    ByteView der() const;
    const DistinguishedName& issuer() const;
    UnixTime this_update() const;
    UnixTime next_update() const;
    /// cRLNumber, big-endian magnitude; nothing if the extension is not there.
    std::optional<ByteView> number() const;
    ByteView authority_key_identifier() const;
    /// Sorted by serial number.
    std::span<const RevokedCertificate> revoked() const;

    /// A signature by `issuer` and nothing else.
    /// errors: unsupported_algorithm, bad_signature.
    [[nodiscard]] Result<void> verify_signed_by(const crypto::P256PublicKey& issuer) const;
    /// The same for RSASSA-PSS with SHA-384.
    [[nodiscard]] Result<void> verify_signed_by(const crypto::RsaPublicKey& issuer) const;

    /// That this is the list of `issuer`, whatever the time.
    /// in:     issuer: verified by the caller, as with verify_chain().
    /// errors: wrong_crl_issuer, key_usage, unsupported_algorithm, crypto::bad_key, bad_signature.
    [[nodiscard]] Result<void> verify_issuer(const Certificate& issuer) const;

    /// That `time` lies between thisUpdate and nextUpdate. Means nothing before verify_issuer().
    /// errors: not_yet_valid, expired.
    [[nodiscard]] Result<void> check_dates(UnixTime time) const;

    /// verify_issuer(), then check_dates().
    /// errors: those of both.
    [[nodiscard]] Result<void> verify(const Certificate& issuer, UnixTime time) const;

    /// Whether the list names this certificate of its issuer. Means nothing before verify().
    bool is_revoked(const Serial& serial) const;

  private:
    struct Data;
    explicit Crl(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
    static Result<void> read_tbs(Data& data);
    static Result<void> read_extensions(Data& data, DerReader& tbs);

    std::shared_ptr<const Data> data_;
};

/// What a list says.
struct CrlFields {
    ByteView issuer;  ///< the issuer's subject, as subject_tlv()
    UnixTime this_update;
    UnixTime next_update;
    std::uint64_t number = 1;
    std::span<const RevokedCertificate> revoked;
    ByteView authority_key_identifier;  ///< left out if empty
};

/// A signed list, DER.
Bytes make_crl(const CrlFields& fields, const crypto::P256PrivateKey& issuer_key);
/// The same with RSASSA-PSS and SHA-384.
Bytes make_crl(const CrlFields& fields, const crypto::RsaPrivateKey& issuer_key);

}  // namespace eos::x509
