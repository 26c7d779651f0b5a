// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/name.h"

#include <algorithm>

#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::x509 {
namespace {

struct RawAttribute {
    oid::Oid type;
    Element value;
};

// RFC 5280 appendix A.1: ub-common-name and its like are 64, ub-state and ub-locality 128.
std::size_t upper_bound(const oid::Oid& type) {
    if (type == oid::kStateName || type == oid::kLocalityName) return 128;
    return 64;
}

// PrintableString: X.680 §41.4.
bool is_printable_string(std::string_view text) {
    static constexpr std::string_view kPunctuation = " '()+,-./:=?";
    return std::ranges::all_of(text, [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               kPunctuation.find(c) != std::string_view::npos;
    });
}

// RFC 5280 appendix A.1: these two are PrintableString, all others may be UTF8String.
Tag string_tag(const oid::Oid& type) {
    bool printable_only = type == oid::kCountryName || type == oid::kSerialNumber;
    return printable_only ? Tag::kPrintableString : Tag::kUtf8String;
}

std::size_t utf8_length(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

Result<void> check(const NameAttribute& attribute) {
    std::string_view value = attribute.value;
    std::string type = oid::describe(attribute.type);
    if (value.empty()) return fail(bad_name, type + " is empty");
    if (!is_utf8(as_bytes(value)) || value.find('\0') != std::string_view::npos)
        return fail(bad_name, type + " is not UTF-8 text");
    if (utf8_length(value) > upper_bound(attribute.type)) {
        return fail(bad_name, type + " is longer than " +
                                  std::to_string(upper_bound(attribute.type)) + " characters");
    }
    if (attribute.type == oid::kCountryName && value.size() != 2)
        return fail(bad_name, "a country has two letters, such as DE");
    if (string_tag(attribute.type) == Tag::kPrintableString && !is_printable_string(value))
        return fail(bad_name, type + " is not a PrintableString");
    return {};
}

// The string types of today's certificates. Those with 16 and 32 bits a character and T.61 are
// history: RFC 5280 §4.1.2.4 lets no new certificate use them.
bool is_string(const Element& value) {
    auto is_ascii = [](char c) { return (c & 0x80) == 0; };
    switch (value.tag) {
        case Tag::kUtf8String:
            return is_utf8(value.value);
        case Tag::kPrintableString:
        case Tag::kIa5String:
            return std::ranges::all_of(as_chars(value.value), is_ascii);
        default:
            return false;
    }
}

Result<RawAttribute> read_attribute(DerReader& set) {
    DerReader attribute = EOS_TRY(set.sequence());
    RawAttribute out;
    out.type = EOS_TRY(attribute.oid());
    out.value = EOS_TRY(attribute.any());
    EOS_TRY(attribute.expect_end());
    if (!is_string(out.value)) return fail(bad_name, oid::describe(out.type) + " is not a string");
    return out;
}

// Calls `visit` for each attribute, in order.
template <typename Visit>
Result<void> for_each_attribute(ByteView der, Visit visit) {
    DerReader outer(der);
    DerReader name = EOS_TRY(outer.sequence());
    EOS_TRY(outer.expect_end());
    std::size_t count = 0;
    while (!name.at_end()) {
        DerReader rdn = EOS_TRY(name.enter(Tag::kSet));
        if (rdn.at_end()) return fail(bad_name, "an RDN without attributes");
        ByteView previous;
        while (!rdn.at_end()) {
            DerReader peek = rdn;
            ByteView whole = EOS_TRY(peek.any()).whole;
            // A SET OF is sorted in DER, and an RDN has no attribute twice. X.690 §11.6.
            if (!std::ranges::lexicographical_compare(previous, whole))
                return fail(bad_name, "an RDN is not in order");
            previous = whole;
            visit(EOS_TRY(read_attribute(rdn)));
            if (++count > kMaxNameAttributes) return fail(bad_name, "too many attributes");
        }
    }
    return {};
}

// So that no value looks like two attributes. (printable() has escaped the backslashes.)
std::string escape_commas(std::string_view text) {
    std::string out;
    for (char c : text) out.append(c == ',' ? "\\" : "").push_back(c);
    return out;
}

std::string short_name(const oid::Oid& type) {
    if (type == oid::kCommonName) return "CN";
    if (type == oid::kOrganizationName) return "O";
    if (type == oid::kOrganizationalUnitName) return "OU";
    if (type == oid::kCountryName) return "C";
    if (type == oid::kLocalityName) return "L";
    if (type == oid::kStateName) return "ST";
    if (type == oid::kSerialNumber) return "serialNumber";
    return type.dotted();
}

}  // namespace

DistinguishedName::DistinguishedName() : der_{std::byte{0x30}, std::byte{0}} {}

bool DistinguishedName::is_empty() const {
    return der_.size() == 2;
}

Result<DistinguishedName> DistinguishedName::of(std::span<const NameAttribute> attributes) {
    if (attributes.size() > kMaxNameAttributes) return fail(bad_name, "too many attributes");
    for (const NameAttribute& attribute : attributes) EOS_TRY(check(attribute));
    DerWriter out(128);
    auto write = [&](const NameAttribute& attribute) {
        out.constructed(Tag::kSet, [&] {
            out.sequence(
                [&] { out.oid(attribute.type).text(string_tag(attribute.type), attribute.value); });
        });
    };
    out.sequence([&] { std::ranges::for_each(attributes, write); });
    return DistinguishedName(std::move(out).take());
}

Result<DistinguishedName> DistinguishedName::common_name(std::string_view cn) {
    return of({{oid::kCommonName, std::string(cn)}});
}

Result<DistinguishedName> DistinguishedName::parse(ByteView der) {
    EOS_TRY(for_each_attribute(der, [](const RawAttribute&) {}));
    return DistinguishedName(to_bytes(der));
}

std::optional<std::string> DistinguishedName::display(const oid::Oid& type) const {
    std::optional<std::string> out;
    Result<void> read = for_each_attribute(der_, [&](const RawAttribute& attribute) {
        if (attribute.type == type) out = printable(attribute.value.value);
    });
    return read ? out : std::nullopt;
}

std::string DistinguishedName::display() const {
    std::string out;
    Result<void> read = for_each_attribute(der_, [&](const RawAttribute& attribute) {
        if (!out.empty()) out += ", ";
        out += short_name(attribute.type) + "=" + escape_commas(printable(attribute.value.value));
    });
    return read ? out : std::string();
}

}  // namespace eos::x509
