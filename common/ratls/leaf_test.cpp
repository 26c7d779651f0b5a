// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/leaf.h"

#include <gtest/gtest.h>
#include <openssl/x509v3.h>

#include "common/crypto/random.h"
#include "common/oid/registry.h"
#include "common/x509/builder.h"
#include "common/x509/signed_data.h"

namespace eos::ratls {
namespace {

constexpr UnixTime kNow{1'788'516'900};

class LeafTest : public ::testing::Test {
  protected:
    LeafContent content() {
        LeafContent out;
        out.name = "app.example.test";
        out.not_before = kNow;
        out.not_after = kNow + kDeterministicLifeSeconds;
        out.evidence = evidence;
        out.evidence_oid = oid::kSgxQuote;
        out.policy_root = crypto::sha256(as_bytes("policy"));
        out.instance = {crypto::random_array<16>(), crypto::random_array<16>(), 7};
        out.assurance = "process";
        out.values = {{oid::kWorkloadConfigRoot, Bytes(32, std::byte{1})},
                      {oid::kWorkloadDigest, Bytes(32, std::byte{2})}};
        return out;
    }
    Issuer issuer() {
        return {to_bytes(ca->subject_tlv()), to_bytes(ca->subject_key_identifier()), &ca_key};
    }

    Bytes evidence = Bytes(4600, std::byte{0x5a});
    crypto::P256PrivateKey ca_key = crypto::P256PrivateKey::generate();
    crypto::P256PrivateKey leaf_key = crypto::P256PrivateKey::generate();
    Result<x509::Certificate> ca =
        x509::make_root_ca({.subject = *x509::DistinguishedName::common_name("Test CA"),
                            .validity = {kNow - 10, kNow + 1000},
                            .path_length = 0,
                            .name_constraints = std::nullopt,
                            .more_extensions = {}},
                           ca_key);
};

TEST_F(LeafTest, SaysWhatWasPutIn) {
    Issuer by = issuer();
    LeafContent in = content();
    Result<x509::Certificate> leaf = x509::Certificate::parse(mint_leaf(in, leaf_key, &by));
    ASSERT_TRUE(leaf.has_value()) << leaf.error().message();
    EXPECT_TRUE(leaf->verify_signed_by(ca_key.public_key()).has_value());
    EXPECT_EQ(leaf->subject_alt_name().dns_names, std::vector<std::string>{"app.example.test"});
    EXPECT_FALSE(leaf->is_ca());
    Result<LeafClaimsView> claims = read_leaf(*leaf);
    ASSERT_TRUE(claims.has_value()) << claims.error().message();
    EXPECT_EQ(claims->evidence->bytes, evidence);
    EXPECT_EQ(*claims->policy_root, in.policy_root);
    EXPECT_EQ(*claims->instance, in.instance);
    EXPECT_EQ(*claims->assurance, "process");
    EXPECT_EQ(claims->values.front().value, in.values.front().value);
    EXPECT_TRUE(check_leaf_binding(*leaf).has_value());
}

TEST_F(LeafTest, OpensslReadsItAndKnowsNoCriticalExtensionIsUnknown) {
    Issuer by = issuer();
    Bytes der = mint_leaf(content(), leaf_key, &by);
    const unsigned char* p = as_uchars(der);
    X509* x = d2i_X509(nullptr, &p, static_cast<long>(der.size()));
    ASSERT_NE(x, nullptr);
    EXPECT_EQ(X509_verify(x, ca_key.handle()), 1);
    EXPECT_EQ(X509_get_extension_flags(x) & EXFLAG_CRITICAL, 0u);
    EXPECT_EQ(X509_check_host(x, "app.example.test", 0, 0, nullptr), 1);
    X509_free(x);
}

// docs/formats/certificate.md 4: the CA key alone must not be enough to move key and quote to
// other values.
TEST_F(LeafTest, ReissuedByTheCaWithOtherValuesTheBindingFails) {
    Issuer by = issuer();
    Result<x509::Certificate> leaf = x509::Certificate::parse(mint_leaf(content(), leaf_key, &by));
    ASSERT_TRUE(leaf.has_value());
    x509::CertificateDraft forged({.serial = leaf->serial(),
                                   .issuer = leaf->issuer_tlv(),
                                   .validity = leaf->validity(),
                                   .subject = leaf->subject_tlv(),
                                   .spki = leaf->spki()});
    for (const x509::ExtensionView& extension : leaf->extensions()) {
        bool changed = extension.oid == oid::kWorkloadDigest;
        forged.add(extension.oid, extension.critical,
                   changed ? ByteView(crypto::sha256(as_bytes("other"))) : extension.value);
    }
    Result<x509::Certificate> other = x509::Certificate::parse(forged.sign(ca_key));
    ASSERT_TRUE(other.has_value());
    EXPECT_TRUE(other->verify_signed_by(ca_key.public_key()).has_value());
    EXPECT_EQ(check_leaf_binding(*other).error().code(), leaf_binding_invalid);
}

TEST_F(LeafTest, WithoutBindingItSaysSo) {
    EXPECT_EQ(check_leaf_binding(*ca).error().code(), leaf_binding_missing);
}

TEST_F(LeafTest, UnnamedAndUnownedLeafSignsItself) {
    LeafContent in = content();
    in.name.clear();
    Result<x509::Certificate> leaf = x509::Certificate::parse(mint_leaf(in, leaf_key, nullptr));
    ASSERT_TRUE(leaf.has_value());
    EXPECT_TRUE(leaf->is_self_issued());
    EXPECT_TRUE(leaf->verify_signed_by(leaf_key.public_key()).has_value());
    EXPECT_TRUE(leaf->subject_alt_name().dns_names.empty());
    EXPECT_TRUE(check_leaf_binding(*leaf).has_value());
}

TEST_F(LeafTest, IsMadeInTwoStepsByTwoKeysThatDoNotMeet) {
    Issuer by = issuer();
    LeafDraft draft(content(), leaf_key.public_key(), &by);
    const Bytes binding = leaf_key.sign_der(draft.binding_message());
    EXPECT_TRUE(draft.check_binding(binding));
    Result<x509::Certificate> leaf =
        x509::Certificate::parse(std::move(draft).finish(binding, ca_key));
    ASSERT_TRUE(leaf.has_value());
    EXPECT_TRUE(leaf->verify_signed_by(ca_key.public_key()));
    EXPECT_TRUE(check_leaf_binding(*leaf));
}

TEST_F(LeafTest, ABindingOfAnotherKeyOrDraftIsRefused) {
    Issuer by = issuer();
    LeafDraft draft(content(), leaf_key.public_key(), &by);
    LeafDraft other(content(), leaf_key.public_key(), &by);
    auto refused = [&](const Bytes& binding) {
        return draft.check_binding(binding).error().code();
    };
    EXPECT_EQ(refused(ca_key.sign_der(draft.binding_message())), leaf_binding_invalid);
    EXPECT_EQ(refused(leaf_key.sign_der(other.binding_message())), leaf_binding_invalid);
    EXPECT_EQ(refused({}), leaf_binding_invalid);
}

TEST_F(LeafTest, AnUnownedLeafIsSignedByItsKeyElsewhere) {
    LeafDraft draft(content(), leaf_key.public_key(), nullptr);
    const Bytes binding = leaf_key.sign_der(draft.binding_message());
    Result<x509::Certificate> leaf =
        x509::Certificate::parse(x509::write_signed(std::move(draft).tbs(binding), leaf_key));
    ASSERT_TRUE(leaf.has_value());
    EXPECT_TRUE(leaf->verify_signed_by(leaf_key.public_key()));
    EXPECT_TRUE(check_leaf_binding(*leaf));
}

TEST_F(LeafTest, TwoKindsOfEvidenceAreRefused) {
    Issuer by = issuer();
    LeafContent in = content();
    in.values.push_back({oid::kTdxQuote, evidence});
    Result<x509::Certificate> leaf = x509::Certificate::parse(mint_leaf(in, leaf_key, &by));
    ASSERT_TRUE(leaf.has_value());
    EXPECT_EQ(read_leaf(*leaf).error().code(), bad_leaf);
}

TEST(Instance, HasFortyBytes) {
    EXPECT_EQ(decode_instance(Bytes(39)).error().code(), bad_leaf);
    Instance in{crypto::random_array<16>(), crypto::random_array<16>(), 0x0102030405060708};
    ByteArray<40> bytes = encode_instance(in);
    EXPECT_EQ(bytes[32], std::byte{1});
    EXPECT_EQ(*decode_instance(bytes), in);
}

}  // namespace
}  // namespace eos::ratls
