// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/name.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/x509/openssl_peer_test.h"

namespace eos::x509 {
namespace {

TEST(Name, WritesWhatOpenSslWrites) {
    DistinguishedName ours = DistinguishedName::of({{oid::kCountryName, "DE"},
                                                    {oid::kOrganizationName, "Größe & Söhne"},
                                                    {oid::kCommonName, "a.test"}})
                                 .value();
    X509_NAME* theirs = X509_NAME_new();
    auto add = [&](const char* type, int encoding, std::string_view value) {
        X509_NAME_add_entry_by_txt(theirs, type, encoding, as_uchars(as_bytes(value)),
                                   static_cast<int>(value.size()), -1, 0);
    };
    add("C", V_ASN1_PRINTABLESTRING, "DE");
    add("O", V_ASN1_UTF8STRING, "Größe & Söhne");
    add("CN", V_ASN1_UTF8STRING, "a.test");
    EXPECT_EQ(hex(ours.der()), hex(peer::to_der(i2d_X509_NAME, theirs)));
    X509_NAME_free(theirs);
    EXPECT_EQ(DistinguishedName::parse(ours.der()).value(), ours);
}

TEST(Name, DisplayCannotBeMistaken) {
    DistinguishedName name = DistinguishedName::of({{oid::kOrganizationName, "x, CN=root"},
                                                    {oid::kCommonName, "a\x1b\\"}})
                                 .value();
    EXPECT_EQ(name.display(), "O=x\\, CN=root, CN=a\\x1b\\x5c");
    EXPECT_EQ(name.display(oid::kCommonName), "a\\x1b\\x5c");
    EXPECT_EQ(DistinguishedName().display(), "");
    EXPECT_TRUE(DistinguishedName().is_empty());
    EXPECT_FALSE(name.is_empty());
}

TEST(Name, RefusesWhatNoNameMayHave) {
    auto code = [](const oid::Oid& type, std::string value) {
        auto result = DistinguishedName::of({{type, std::move(value)}});
        return result ? Code{} : result.error().code();
    };
    EXPECT_EQ(code(oid::kCommonName, ""), bad_name);
    EXPECT_EQ(code(oid::kCommonName, "\xff"), bad_name);
    EXPECT_EQ(code(oid::kCommonName, std::string("a\0b", 3)), bad_name);
    EXPECT_EQ(code(oid::kCommonName, std::string(64, 'a')), Code{});
    EXPECT_EQ(code(oid::kCommonName, std::string(65, 'a')), bad_name);
    std::string umlauts;
    for (int i = 0; i < 64; ++i) umlauts += "ü";
    EXPECT_EQ(code(oid::kCommonName, umlauts), Code{});  // characters count, not bytes
    EXPECT_EQ(code(oid::kLocalityName, std::string(128, 'a')), Code{});
    EXPECT_EQ(code(oid::kLocalityName, std::string(129, 'a')), bad_name);
    EXPECT_EQ(code(oid::kCountryName, "DEU"), bad_name);
    EXPECT_EQ(code(oid::kCountryName, "D_"), bad_name);
    EXPECT_EQ(code(oid::kSerialNumber, "a@b"), bad_name);
    std::vector<NameAttribute> many(kMaxNameAttributes, {oid::kCommonName, "a"});
    DistinguishedName longest = DistinguishedName::of(many).value();
    EXPECT_TRUE(DistinguishedName::parse(longest.der()).has_value());
    many.push_back({oid::kCommonName, "a"});
    EXPECT_EQ(DistinguishedName::of(many).error().code(), bad_name);
}

TEST(Name, ParseBoundsTheNumberOfAttributes) {
    DerWriter out;
    out.sequence([&] {
        for (std::size_t i = 0; i <= kMaxNameAttributes; ++i) {
            out.constructed(Tag::kSet, [&] {
                out.sequence([&] { out.oid(oid::kCommonName).text(Tag::kUtf8String, "a"); });
            });
        }
    });
    EXPECT_EQ(DistinguishedName::parse(out.view()).error().code(), bad_name);
}

}  // namespace
}  // namespace eos::x509
