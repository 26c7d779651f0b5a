// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/crypto/p256.h"
#include "common/x509/der.h"
#include "common/x509/ip_address.h"

// The standard extensions: what they mean, how they are read, how they are written.

namespace eos::x509 {

inline constexpr Code bad_extension{"common/x509", "bad_extension",
                                    "an extension is not what its standard says"};
inline constexpr Code duplicate_extension{"common/x509", "duplicate_extension",
                                          "an extension occurs twice"};
inline constexpr Code too_many{"common/x509", "too_many", "more elements than the limit allows"};

inline constexpr std::size_t kMaxExtensions = 64;
inline constexpr std::size_t kMaxGeneralNames = 256;

/// Whether one who does not know an extension must refuse what carries it.
enum class Critical : std::uint8_t { kNo, kYes };

/// An extension to be written. The value is the content of extnValue.
struct Extension {
    oid::Oid oid;
    Critical critical = Critical::kNo;
    Bytes value;
};

/// An extension as it was read, borrowed from what it was read from.
struct ExtensionView {
    oid::Oid oid;
    Critical critical = Critical::kNo;
    ByteView value;  ///< content of extnValue
    ByteView whole;  ///< the DER of the whole Extension
};

/// Bits of KeyUsage, RFC 5280 §4.2.1.3.
enum KeyUsage : std::uint16_t {
    kDigitalSignature = 1 << 0,
    kContentCommitment = 1 << 1,
    kKeyEncipherment = 1 << 2,
    kDataEncipherment = 1 << 3,
    kKeyAgreement = 1 << 4,
    kKeyCertSign = 1 << 5,
    kCrlSign = 1 << 6,
    kEncipherOnly = 1 << 7,
    kDecipherOnly = 1 << 8,
};

/// Whether the subject is a CA, RFC 5280 §4.2.1.9.
struct BasicConstraints {
    bool is_ca = false;
    std::optional<std::uint32_t> path_length;  ///< CAs below this one on a path
};

/// The names of a subjectAltName that this project uses.
struct SubjectAltName {
    std::vector<std::string> dns_names;  ///< as written; ASCII, not empty
    std::vector<IpAddress> ip_addresses;
    std::size_t other_count = 0;  ///< names of other forms; never written
};

/// Names below a CA. A DNS constraint holds for a name and all below it.
struct NameConstraints {
    std::vector<std::string> permitted_dns;
    std::vector<std::string> excluded_dns;
    std::vector<IpNetwork> permitted_ip;
    std::vector<IpNetwork> excluded_ip;
    std::size_t other_count = 0;  ///< constraints of other forms; never written
};

// --- reading; `value` is the content of extnValue ---

/// Reads a SEQUENCE OF Extension into views that borrow from its input.
/// in:      extensions: a reader of the content of the SEQUENCE.
/// errors:  those of DerReader; duplicate_extension, too_many, bad_extension (none).
/// bound:   kMaxExtensions.
[[nodiscard]] Result<std::vector<ExtensionView>> parse_extensions(DerReader extensions);

/// errors: those of DerReader; bad_extension (a path length without CA or over 255).
[[nodiscard]] Result<BasicConstraints> parse_basic_constraints(ByteView value);
/// returns: KeyUsage bits.
/// errors:  those of DerReader; bad_extension (unknown bits).
[[nodiscard]] Result<std::uint16_t> parse_key_usage(ByteView value);
/// errors: those of DerReader; bad_extension (none), too_many.
[[nodiscard]] Result<std::vector<oid::Oid>> parse_extended_key_usage(ByteView value);
/// errors: those of DerReader; bad_extension (no name, a DNS name with odd characters, an address
///         that is not 4 or 16 bytes), too_many.
[[nodiscard]] Result<SubjectAltName> parse_subject_alt_name(ByteView value);
/// errors: those of DerReader; bad_extension (no constraint, minimum or maximum given, a mask with
///         holes), too_many.
[[nodiscard]] Result<NameConstraints> parse_name_constraints(ByteView value);
/// returns: the keyIdentifier, borrowed; empty if there is none.
/// errors:  those of DerReader.
[[nodiscard]] Result<ByteView> parse_authority_key_identifier(ByteView value);
/// returns: the identifier, borrowed.
/// errors:  those of DerReader.
[[nodiscard]] Result<ByteView> parse_subject_key_identifier(ByteView value);

// --- writing; critical as RFC 5280 demands ---

/// A path length is written for a CA only.
Extension make_basic_constraints(const BasicConstraints& constraints);
/// in: KeyUsage bits, at least one (asserted).
Extension make_key_usage(std::uint16_t bits);
/// in: at least one purpose (asserted).
Extension make_extended_key_usage(std::span<const oid::Oid> purposes);
/// errors: bad_extension (no name, or a name that is not a DNS name), too_many.
[[nodiscard]] Result<Extension> make_subject_alt_name(const SubjectAltName& names);
/// errors: bad_extension (no constraint, one that is not a DNS name, a prefix longer than its
///         address), too_many.
[[nodiscard]] Result<Extension> make_name_constraints(const NameConstraints& constraints);
/// The first 160 bits of SHA-256 of the key. RFC 7093 §2, method 1.
Extension make_subject_key_identifier(const crypto::P256PublicKey& key);
/// in: the issuer's subjectKeyIdentifier, at least one byte (asserted).
Extension make_authority_key_identifier(ByteView key_identifier);

/// The key identifier that make_subject_key_identifier writes.
ByteArray<20> key_identifier(const crypto::P256PublicKey& key);

/// Appends the DER of one Extension.
void write_extension(DerWriter& out, const oid::Oid& oid, Critical critical, ByteView value);

// --- names ---

/// Whether the text is a DNS name as a certificate may carry it: labels of letters, digits, '-' and
/// '_', at most 253 characters, no trailing dot; the first label may be "*".
bool is_dns_name(std::string_view name);

/// Whether two DNS names are the same but for ASCII case.
bool same_dns_name(std::string_view a, std::string_view b);

/// Whether `name` is `base` or lies below it; an empty base holds for every name.
bool is_within_dns(std::string_view name, std::string_view base);

}  // namespace eos::x509
