// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>
#include <span>

#include "common/x509/certificate.h"

namespace eos::x509 {

inline constexpr Code bad_request{"common/x509", "bad_request",
                                  "a certificate request breaks a rule of RFC 2986"};

inline constexpr std::size_t kMaxRequestBytes = 64 * 1024;

/// A parsed PKCS #10 request. Owns its DER; a copy shares it. Immutable. Everything in it is a wish
/// of whoever wrote it: nothing goes into a certificate without a decision.
class CertificateRequest {
  public:
    /// in:      exactly one request, at most kMaxRequestBytes; copied.
    /// errors:  those of DerReader, too_large, bad_request (a version other than 1, an attribute
    ///          other than extensionRequest), bad_extension, duplicate_extension, too_many,
    ///          bad_name, oid::bad_oid.
    /// source:  RFC 2986 §4; RFC 2985 §5.4.2.
    [[nodiscard]] static Result<CertificateRequest> parse(ByteView der);

    ByteView der() const;
    const DistinguishedName& subject() const;
    ByteView spki() const;  ///< SubjectPublicKeyInfo of any algorithm, whole

    /// errors: unsupported_algorithm, crypto::bad_key.
    [[nodiscard]] Result<crypto::P256PublicKey> p256_key() const;

    /// That whoever made the request holds its key.
    /// errors: unsupported_algorithm, crypto::bad_key, bad_signature.
    [[nodiscard]] Result<void> verify_signature() const;

    /// The extensions asked for; values are not decoded.
    std::span<const ExtensionView> extensions() const;
    /// The extension, or null.
    const ExtensionView* find_extension(const oid::Oid& oid) const;

  private:
    struct Data;
    explicit CertificateRequest(std::shared_ptr<const Data> data) : data_(std::move(data)) {}
    static Result<void> read_info(Data& data);
    static Result<void> read_attributes(Data& data, DerReader attributes);

    std::shared_ptr<const Data> data_;
};

/// A signed request for `key`.
/// in: extensions: no OID twice (asserted).
Bytes make_request(const DistinguishedName& subject, std::span<const Extension> extensions,
                   const crypto::P256PrivateKey& key);

}  // namespace eos::x509
