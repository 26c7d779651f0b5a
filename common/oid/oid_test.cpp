// SPDX-License-Identifier: AGPL-3.0-only
#include "common/oid/oid.h"

#include <gtest/gtest.h>
#include <openssl/objects.h>

#include <algorithm>
#include <memory>
#include <set>

#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::oid {
namespace {

struct FreeObject {
    void operator()(ASN1_OBJECT* p) const { ASN1_OBJECT_free(p); }
};

// The content bytes OpenSSL makes of a dotted text; empty if it refuses.
Bytes openssl_encoding(const std::string& dotted) {
    std::unique_ptr<ASN1_OBJECT, FreeObject> object(OBJ_txt2obj(dotted.c_str(), 1));
    if (!object) return {};
    const unsigned char* data = OBJ_get0_data(object.get());
    return to_bytes(std::as_bytes(std::span(data, OBJ_length(object.get()))));
}

std::string openssl_dotted(ByteView content) {
    Bytes der = concat({Bytes{std::byte{6}, static_cast<std::byte>(content.size())}, content});
    const unsigned char* p = as_uchars(der);
    std::unique_ptr<ASN1_OBJECT, FreeObject> object(
        d2i_ASN1_OBJECT(nullptr, &p, static_cast<long>(der.size())));
    if (!object) return {};
    char text[256];
    OBJ_obj2txt(text, sizeof text, object.get(), 1);
    return text;
}

TEST(Oid, EveryRowAgreesWithOpenSsl) {
    for (const Row& row : rows()) {
        std::string dotted = row.oid.dotted();
        EXPECT_EQ(hex(row.oid.der()), hex(openssl_encoding(dotted))) << dotted;
        EXPECT_EQ(dotted, openssl_dotted(row.oid.der()));
        EXPECT_EQ(Oid::parse(dotted).value(), row.oid);
        EXPECT_EQ(Oid::from_der(row.oid.der()).value(), row.oid);
    }
}

TEST(Oid, OwnArcHasElementsThatEveryParserTakes) {
    EXPECT_EQ(kOwnArc.dotted(), "1.3.9900.253909386.222427726");
    EXPECT_EQ(hex(kOwnArc.der()), "2bcd2cf989b30aea87f44e");
    EXPECT_EQ(kPolicyRoot.dotted(), kOwnArc.dotted() + ".2");
    // RFC 5280, appendix B: below 2^28. Go's and GnuTLS's certificate parsers demand that.
    EXPECT_LT(253909386u, 1u << 28);
    EXPECT_LT(222427726u, 1u << 28);
}

TEST(Oid, SecondArcBorrowsAcrossDigits) {
    for (const char* text : {"0.0", "0.39", "1.0", "1.39", "2.0", "2.39", "2.40", "2.47", "2.48",
                             "2.100", "2.16303", "2.16304", "2.999.0.127.128.4294967295"}) {
        Oid parsed = Oid::parse(text).value();
        EXPECT_EQ(parsed.dotted(), text);
        EXPECT_EQ(hex(parsed.der()), hex(openssl_encoding(text))) << text;
    }
}

TEST(Oid, RefusesWhatIsNotDottedDecimal) {
    for (const char* text : {"", "1", "1.", ".1", "1..2", "1.2.", "3.1", "0.40", "1.40", "01.2",
                             "1.02", "1.2 ", "1.a", "-1.2", "1.2.00", "+1.2"}) {
        Result<Oid> result = Oid::parse(text);
        ASSERT_FALSE(result.has_value()) << text;
        EXPECT_EQ(result.error().code(), bad_oid);
    }
}

TEST(Oid, RefusesWhatDoesNotFit) {
    std::string fits = "1.2";
    for (int i = 0; i < 30; ++i) fits += ".1";
    EXPECT_EQ(Oid::parse(fits).value().der().size(), kMaxOidBytes);
    EXPECT_EQ(Oid::parse(fits + ".1").error().code(), bad_oid);
    EXPECT_EQ(Oid::parse("2." + std::string(100, '9')).error().code(), bad_oid);
    EXPECT_EQ(Oid::from_der(Bytes(kMaxOidBytes + 1, std::byte{1})).error().code(), bad_oid);
}

TEST(Oid, RefusesBadContent) {
    for (const char* bad : {"", "80", "2a80", "2a8001", "8001", "2aff"}) {
        Result<Oid> result = Oid::from_der(from_hex(bad).value());
        ASSERT_FALSE(result.has_value()) << bad;
        EXPECT_EQ(result.error().code(), bad_oid);
    }
}

TEST(Oid, BelowIsStrict) {
    EXPECT_TRUE(kWorkloadConfigHash.child(300).is_below(kWorkloadConfigHash));
    EXPECT_FALSE(kWorkloadConfigHash.is_below(kWorkloadConfigHash));
    EXPECT_FALSE(kAppId.is_below(kWorkloadConfigHash));
    EXPECT_EQ(kReferenceArc.child(300).dotted(), "1.3.6.1.4.1.65230.300");
    EXPECT_EQ(kReferenceArc.child(0).dotted(), "1.3.6.1.4.1.65230.0");
    EXPECT_EQ(kReferenceArc.child(4294967295u).dotted(), "1.3.6.1.4.1.65230.4294967295");
}

TEST(Registry, NamesAndIdentifiersAreUnique) {
    std::set<std::string_view> names;
    for (const Row& row : rows()) {
        EXPECT_TRUE(names.insert(row.name).second) << row.name;
        EXPECT_FALSE(row.meaning.empty());
        EXPECT_EQ(find(row.oid), &row);
        EXPECT_EQ(find(row.name), &row);
    }
    EXPECT_TRUE(std::ranges::is_sorted(rows(), {}, &Row::oid));
}

// docs/formats/certificate.md 2, by number and not by our constants.
TEST(Registry, HasTheNumbersOfTheDesign) {
    const std::pair<const char*, const char*> expected[] = {
        {"1.1", "platform_config_root"},
        {"2.1", "egress_ca_bundle_hash"},
        {"2.4", "runtime_version_hash"},
        {"2.5", "combined_workloads_hash"},
        {"2.6", "state_root"},
        {"2.7", "attestation_servers_hash"},
        {"2.8", "image_profile"},
        {"3.1", "workload_config_root"},
        {"3.2", "workload_digest"},
        {"3.3", "image_reference"},
        {"3.4", "key_source"},
        {"3.5", "workload_config_hash"},
        {"3.6", "app_id"},
        {"4.1", "snp_report"},
        {"5.1", "gpu_evidence"},
        {"6.1", "dependency_set"},
    };
    for (const auto& [number, name] : expected) {
        const Row* row = find(Oid::parse(std::string("1.3.6.1.4.1.65230.") + number).value());
        ASSERT_NE(row, nullptr) << number;
        EXPECT_EQ(row->name, name);
    }
    const char* own[] = {"leaf_binding", "policy_root", "instance", "assurance",
                         "emulation_root_marker"};
    for (std::uint32_t i = 0; i < std::size(own); ++i)
        EXPECT_EQ(find(kOwnArc.child(i + 1))->name, own[i]);
    EXPECT_EQ(find("sgx_quote")->oid.dotted(), "1.2.840.113741.1.13.1.0");
    EXPECT_EQ(find("tdx_quote")->oid.dotted(), "1.2.840.113741.1.5.5.1.6");
}

TEST(Registry, Describes) {
    EXPECT_EQ(describe(kBasicConstraints), "basic_constraints (2.5.29.19)");
    EXPECT_EQ(describe(Oid::literal("1.2.3")), "1.2.3");
    EXPECT_EQ(find(Oid{}), nullptr);
    EXPECT_EQ(find("nothing"), nullptr);
}

}  // namespace
}  // namespace eos::oid
