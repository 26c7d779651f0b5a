// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/extensions.h"

#include <algorithm>
#include <bit>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::x509 {
namespace {

// GeneralName, RFC 5280 §4.2.1.6: directoryName is constructed, as are otherName, x400 and EDI.
constexpr Tag kDnsName = context(2);
constexpr Tag kIpAddressName = context(7);
constexpr unsigned kLastGeneralName = 8;

bool is_general_name(Tag tag) {
    unsigned octet = static_cast<unsigned>(tag);
    unsigned number = octet & 0x1f;
    bool constructed = (octet & 0x20) != 0;
    bool expected_constructed = number == 0 || (number >= 3 && number <= 5);
    return (octet & 0xc0) == 0x80 && number <= kLastGeneralName &&
           constructed == expected_constructed;
}

// An address and a mask of the same size, as name constraints carry them.
Result<IpNetwork> parse_network(ByteView bytes) {
    std::size_t half = bytes.size() / 2;
    std::optional<IpAddress> address = IpAddress::from_bytes(bytes.first(half));
    if (!address || bytes.size() % 2 != 0) return fail(bad_extension, "an address range's size");
    unsigned prefix = 0;
    bool ended = false;
    for (std::byte b : bytes.subspan(half)) {
        std::uint8_t mask = std::to_integer<std::uint8_t>(b);
        int ones = std::countl_one(mask);
        if (std::popcount(mask) != ones || (ended && ones != 0))
            return fail(bad_extension, "an address mask with holes");
        ended = ones < 8;
        prefix += static_cast<unsigned>(ones);
    }
    return IpNetwork{*address, prefix};
}

Bytes network_bytes(const IpNetwork& network) {
    Bytes out = to_bytes(network.address.bytes());
    std::size_t half = out.size();
    out.resize(2 * half);
    for (unsigned bit = 0; bit < network.prefix_bits; ++bit)
        out[half + bit / 8] |= std::byte{static_cast<std::uint8_t>(0x80 >> bit % 8)};
    return out;
}

// A DNS name to which a constraint may be tied; "" stands for every name.
bool is_dns_base(std::string_view base) {
    return base.empty() || (is_dns_name(base) && base.front() != '*');
}

Result<void> read_subtree(DerReader& subtrees, std::vector<std::string>& dns,
                          std::vector<IpNetwork>& ip, std::size_t& other_count) {
    DerReader subtree = EOS_TRY(subtrees.sequence());
    Element base = EOS_TRY(subtree.any());
    // minimum is 0 by default and maximum absent, in every profile. RFC 5280 §4.2.1.10.
    if (!subtree.at_end()) return fail(bad_extension, "a name constraint with a distance");
    if (base.tag == kDnsName) {
        if (!is_dns_base(as_chars(base.value))) return fail(bad_extension, "a DNS constraint");
        dns.emplace_back(as_chars(base.value));
    } else if (base.tag == kIpAddressName) {
        ip.push_back(EOS_TRY(parse_network(base.value)));
    } else if (is_general_name(base.tag)) {
        ++other_count;
    } else {
        return fail(bad_extension, "a constraint that is not a GeneralName");
    }
    return {};
}

// [number] GeneralSubtrees of NameConstraints, if present.
Result<void> read_subtrees(DerReader& constraints, unsigned number, std::vector<std::string>& dns,
                           std::vector<IpNetwork>& ip, std::size_t& other_count) {
    if (!constraints.next_is(context_constructed(number))) return {};
    DerReader subtrees = EOS_TRY(constraints.enter(context_constructed(number)));
    if (subtrees.at_end()) return fail(bad_extension, "a list without constraints");
    while (!subtrees.at_end()) {
        EOS_TRY(read_subtree(subtrees, dns, ip, other_count));
        if (dns.size() + ip.size() + other_count > kMaxGeneralNames)
            return fail(too_many, "name constraints");
    }
    return {};
}

void write_subtrees(DerWriter& out, unsigned number, std::span<const std::string> dns,
                    std::span<const IpNetwork> ip) {
    if (dns.empty() && ip.empty()) return;
    out.constructed(context_constructed(number), [&] {
        for (const std::string& base : dns)
            out.sequence([&] { out.primitive(kDnsName, as_bytes(base)); });
        for (const IpNetwork& network : ip)
            out.sequence([&] { out.primitive(kIpAddressName, network_bytes(network)); });
    });
}

bool is_label(std::string_view label) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-')
        return false;
    return std::ranges::all_of(label, [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
    });
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

Result<ExtensionView> read_extension(DerReader& extensions) {
    Element whole = EOS_TRY(extensions.expect(Tag::kSequence));
    DerReader fields(whole.value);
    ExtensionView out;
    out.oid = EOS_TRY(fields.oid());
    if (fields.next_is(Tag::kBoolean)) {
        // FALSE is the default, so DER has no way to write it. X.690 §11.5.
        if (!EOS_TRY(fields.boolean()))
            return fail(bad_extension, oid::describe(out.oid) + ": critical FALSE is written out");
        out.critical = Critical::kYes;
    }
    out.value = EOS_TRY(fields.octet_string());
    out.whole = whole.whole;
    EOS_TRY(fields.expect_end());
    return out;
}

}  // namespace

Result<std::vector<ExtensionView>> parse_extensions(DerReader extensions) {
    std::vector<ExtensionView> out;
    if (extensions.at_end()) return fail(bad_extension, "an empty list of extensions");
    while (!extensions.at_end()) {
        if (out.size() == kMaxExtensions) return fail(too_many, "extensions");
        ExtensionView extension = EOS_TRY(read_extension(extensions));
        if (std::ranges::find(out, extension.oid, &ExtensionView::oid) != out.end())
            return fail(duplicate_extension, oid::describe(extension.oid));
        out.push_back(extension);
    }
    return out;
}

Result<BasicConstraints> parse_basic_constraints(ByteView value) {
    DerReader outer(value);
    DerReader fields = EOS_TRY(outer.sequence());
    EOS_TRY(outer.expect_end());
    BasicConstraints out;
    if (fields.next_is(Tag::kBoolean)) {
        out.is_ca = EOS_TRY(fields.boolean());
        if (!out.is_ca) return fail(bad_extension, "basicConstraints: cA FALSE is written out");
    }
    if (!fields.at_end()) {
        std::uint64_t length = EOS_TRY(fields.u64());
        if (!out.is_ca || length > 255) return fail(bad_extension, "basicConstraints: path length");
        out.path_length = static_cast<std::uint32_t>(length);
    }
    EOS_TRY(fields.expect_end());
    return out;
}

Result<std::uint16_t> parse_key_usage(ByteView value) {
    DerReader outer(value);
    std::uint16_t bits = EOS_TRY(outer.named_bits());
    EOS_TRY(outer.expect_end());
    if (bits >= kDecipherOnly << 1) return fail(bad_extension, "keyUsage: unknown bits");
    return bits;
}

Result<std::vector<oid::Oid>> parse_extended_key_usage(ByteView value) {
    DerReader outer(value);
    DerReader purposes = EOS_TRY(outer.sequence());
    EOS_TRY(outer.expect_end());
    std::vector<oid::Oid> out;
    if (purposes.at_end()) return fail(bad_extension, "extKeyUsage without a purpose");
    while (!purposes.at_end()) {
        if (out.size() == kMaxExtensions) return fail(too_many, "purposes of extKeyUsage");
        out.push_back(EOS_TRY(purposes.oid()));
    }
    return out;
}

Result<SubjectAltName> parse_subject_alt_name(ByteView value) {
    DerReader outer(value);
    DerReader names = EOS_TRY(outer.sequence());
    EOS_TRY(outer.expect_end());
    if (names.at_end()) return fail(bad_extension, "subjectAltName without a name");
    SubjectAltName out;
    for (std::size_t count = 0; !names.at_end(); ++count) {
        if (count == kMaxGeneralNames) return fail(too_many, "names in subjectAltName");
        Element name = EOS_TRY(names.any());
        if (name.tag == kDnsName) {
            if (!is_dns_name(as_chars(name.value)))
                return fail(bad_extension, "not a DNS name: " + printable(name.value));
            out.dns_names.emplace_back(as_chars(name.value));
        } else if (name.tag == kIpAddressName) {
            std::optional<IpAddress> address = IpAddress::from_bytes(name.value);
            if (!address) return fail(bad_extension, "an address that is not 4 or 16 bytes");
            out.ip_addresses.push_back(*address);
        } else if (is_general_name(name.tag)) {
            ++out.other_count;
        } else {
            return fail(bad_extension, "subjectAltName: not a GeneralName");
        }
    }
    return out;
}

Result<NameConstraints> parse_name_constraints(ByteView value) {
    DerReader outer(value);
    DerReader lists = EOS_TRY(outer.sequence());
    EOS_TRY(outer.expect_end());
    NameConstraints out;
    if (lists.at_end()) return fail(bad_extension, "nameConstraints without a constraint");
    EOS_TRY(read_subtrees(lists, 0, out.permitted_dns, out.permitted_ip, out.other_count));
    EOS_TRY(read_subtrees(lists, 1, out.excluded_dns, out.excluded_ip, out.other_count));
    EOS_TRY(lists.expect_end());
    return out;
}

Result<ByteView> parse_authority_key_identifier(ByteView value) {
    DerReader outer(value);
    DerReader fields = EOS_TRY(outer.sequence());
    EOS_TRY(outer.expect_end());
    std::optional<Element> key_id = EOS_TRY(fields.optional(context(0)));
    EOS_TRY(fields.optional(context_constructed(1)));  // authorityCertIssuer
    EOS_TRY(fields.optional(context(2)));              // authorityCertSerialNumber
    EOS_TRY(fields.expect_end());
    return key_id ? key_id->value : ByteView();
}

Result<ByteView> parse_subject_key_identifier(ByteView value) {
    DerReader outer(value);
    ByteView out = EOS_TRY(outer.octet_string());
    EOS_TRY(outer.expect_end());
    return out;
}

Extension make_basic_constraints(const BasicConstraints& constraints) {
    DerWriter out(16);
    out.sequence([&] {
        if (constraints.is_ca) out.boolean_true();
        if (constraints.is_ca && constraints.path_length) out.integer(*constraints.path_length);
    });
    return {oid::kBasicConstraints, Critical::kYes, std::move(out).take()};
}

Extension make_key_usage(std::uint16_t bits) {
    DerWriter out(8);
    out.named_bits(bits);
    return {oid::kKeyUsage, Critical::kYes, std::move(out).take()};
}

Extension make_extended_key_usage(std::span<const oid::Oid> purposes) {
    EOS_ASSERT(!purposes.empty());
    DerWriter out(32);
    out.sequence([&] {
        for (const oid::Oid& purpose : purposes) out.oid(purpose);
    });
    return {oid::kExtendedKeyUsage, Critical::kNo, std::move(out).take()};
}

Result<Extension> make_subject_alt_name(const SubjectAltName& names) {
    std::size_t count = names.dns_names.size() + names.ip_addresses.size();
    if (count == 0) return fail(bad_extension, "subjectAltName needs a name");
    if (count > kMaxGeneralNames) return fail(too_many, "names in subjectAltName");
    for (const std::string& name : names.dns_names) {
        if (!is_dns_name(name))
            return fail(bad_extension, "not a DNS name: " + printable(as_bytes(name)));
    }
    DerWriter out(64);
    out.sequence([&] {
        for (const std::string& name : names.dns_names) out.primitive(kDnsName, as_bytes(name));
        for (const IpAddress& ip : names.ip_addresses) out.primitive(kIpAddressName, ip.bytes());
    });
    return Extension{oid::kSubjectAltName, Critical::kNo, std::move(out).take()};
}

Result<Extension> make_name_constraints(const NameConstraints& constraints) {
    std::size_t count = constraints.permitted_dns.size() + constraints.excluded_dns.size() +
                        constraints.permitted_ip.size() + constraints.excluded_ip.size();
    if (count == 0) return fail(bad_extension, "nameConstraints needs a constraint");
    if (count > kMaxGeneralNames) return fail(too_many, "name constraints");
    for (const auto* list : {&constraints.permitted_dns, &constraints.excluded_dns}) {
        for (const std::string& base : *list) {
            if (!is_dns_base(base))
                return fail(bad_extension, "not a DNS name: " + printable(as_bytes(base)));
        }
    }
    for (const auto* list : {&constraints.permitted_ip, &constraints.excluded_ip}) {
        for (const IpNetwork& network : *list) {
            if (network.prefix_bits > 8 * network.address.bytes().size())
                return fail(bad_extension, "a prefix longer than its address");
        }
    }
    DerWriter out(128);
    out.sequence([&] {
        write_subtrees(out, 0, constraints.permitted_dns, constraints.permitted_ip);
        write_subtrees(out, 1, constraints.excluded_dns, constraints.excluded_ip);
    });
    return Extension{oid::kNameConstraints, Critical::kYes, std::move(out).take()};
}

ByteArray<20> key_identifier(const crypto::P256PublicKey& key) {
    constexpr std::size_t kPointBytes = 65;  // the content of subjectPublicKey: 04 ‖ x ‖ y
    crypto::Digest32 digest = crypto::sha256(ByteView(key.spki()).last(kPointBytes));
    return to_array<20>(ByteView(digest).first(20));
}

Extension make_subject_key_identifier(const crypto::P256PublicKey& key) {
    DerWriter out(24);
    out.octet_string(key_identifier(key));
    return {oid::kSubjectKeyIdentifier, Critical::kNo, std::move(out).take()};
}

Extension make_authority_key_identifier(ByteView key_identifier) {
    EOS_ASSERT(!key_identifier.empty());
    DerWriter out(32);
    out.sequence([&] { out.primitive(context(0), key_identifier); });
    return {oid::kAuthorityKeyIdentifier, Critical::kNo, std::move(out).take()};
}

void write_extension(DerWriter& out, const oid::Oid& oid, Critical critical, ByteView value) {
    out.sequence([&] {
        out.oid(oid);
        if (critical == Critical::kYes) out.boolean_true();
        out.octet_string(value);
    });
}

bool is_dns_name(std::string_view name) {
    if (name.size() > 253) return false;
    if (name.starts_with("*.")) name.remove_prefix(2);
    for (;;) {
        std::size_t dot = name.find('.');
        if (!is_label(name.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        name.remove_prefix(dot + 1);
    }
}

bool same_dns_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_within_dns(std::string_view name, std::string_view base) {
    if (base.empty()) return true;
    if (name.size() < base.size()) return false;
    std::size_t above = name.size() - base.size();
    if (above > 0 && name[above - 1] != '.') return false;
    return same_dns_name(name.substr(above), base);
}

}  // namespace eos::x509
