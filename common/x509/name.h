// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/x509/der.h"

namespace eos::x509 {

inline constexpr Code bad_name{"common/x509", "bad_name", "not a valid distinguished name"};

/// Most attributes a name may have.
inline constexpr std::size_t kMaxNameAttributes = 32;

/// One attribute of a name to be written.
struct NameAttribute {
    oid::Oid type;
    std::string value;  ///< UTF-8
};

/// A distinguished name. A value: its DER encoding, and nothing else, so that comparing two names
/// is comparing bytes, as chain building does.
class DistinguishedName {
  public:
    /// The empty name.
    DistinguishedName();

    /// One attribute per RDN, in this order. countryName and serialNumber become PrintableString,
    /// the others UTF8String.
    /// errors:  bad_name (empty value, not UTF-8, longer than RFC 5280's upper bound, a country
    ///          that is not two letters, too many attributes).
    /// source:  RFC 5280 §4.1.2.4, appendix A.
    [[nodiscard]] static Result<DistinguishedName> of(std::span<const NameAttribute> attributes);
    [[nodiscard]] static Result<DistinguishedName> of(
        std::initializer_list<NameAttribute> attributes) {
        return of(std::span(attributes.begin(), attributes.size()));
    }

    /// The name with nothing but a CN.
    /// errors: bad_name.
    [[nodiscard]] static Result<DistinguishedName> common_name(std::string_view cn);

    /// in:      the whole Name; copied.
    /// errors:  those of DerReader; bad_name (an RDN without attributes or not in DER order,
    ///          an attribute that is not a UTF8String, PrintableString or
    ///          IA5String, too many attributes).
    [[nodiscard]] static Result<DistinguishedName> parse(ByteView der);

    /// The whole Name, borrowed.
    ByteView der() const { return der_; }
    bool is_empty() const;

    /// The last attribute of this type as text for people, or nothing: printable ASCII stays, all
    /// else is escaped, so it is for display and not for comparison.
    std::optional<std::string> display(const oid::Oid& type) const;

    /// "CN=…, O=…" for people, escaped as display(type); a comma inside a value is "\,".
    std::string display() const;

    friend bool operator==(const DistinguishedName& a, const DistinguishedName& b) {
        return a.der_ == b.der_;
    }

  private:
    explicit DistinguishedName(Bytes der) : der_(std::move(der)) {}
    Bytes der_;
};

}  // namespace eos::x509
