// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/crl.h"

#include <gtest/gtest.h>

#include <random>

#include "common/base/encoding.h"
#include "common/x509/openssl_peer_test.h"
#include "common/x509/pki_test.h"

namespace eos::x509 {
namespace {

using testing::at;
using testing::ca_key;
using testing::leaf_key;
using testing::name;
using testing::one_year;

const UnixTime kFrom = at("2026-06-01T00:00:00Z");
const UnixTime kUntil = at("2026-07-01T00:00:00Z");

Serial serial(std::string_view hex) {
    return Serial::from_bytes(from_hex(hex).value()).value();
}

Certificate issuer() {
    static const Certificate out =
        make_root_ca({.subject = name("CRL issuer"), .validity = one_year()}, ca_key()).value();
    return out;
}

Bytes crl_der(std::span<const RevokedCertificate> revoked) {
    return make_crl({.issuer = issuer().subject_tlv(),
                     .this_update = kFrom,
                     .next_update = kUntil,
                     .number = 300,
                     .revoked = revoked,
                     .authority_key_identifier = issuer().subject_key_identifier()},
                    ca_key());
}

std::vector<RevokedCertificate> three() {
    return {
        {serial("ff00"), kFrom, 1}, {serial("01"), kFrom, {}}, {serial("8000000001"), kFrom, 9}};
}

TEST(Crl, RoundTrips) {
    Crl crl = Crl::parse(crl_der(three())).value();
    EXPECT_EQ(crl.issuer(), issuer().subject());
    EXPECT_EQ(crl.this_update(), kFrom);
    EXPECT_EQ(crl.next_update(), kUntil);
    EXPECT_EQ(hex(crl.number().value()), "012c");
    EXPECT_TRUE(equal(crl.authority_key_identifier(), issuer().subject_key_identifier()));
    ASSERT_EQ(crl.revoked().size(), 3u);
    EXPECT_EQ(crl.revoked()[0].serial, serial("01"));  // sorted by value
    EXPECT_EQ(crl.revoked()[1].reason, 1);
    EXPECT_TRUE(crl.is_revoked(serial("01")));
    EXPECT_TRUE(crl.is_revoked(serial("00ff00")));
    EXPECT_TRUE(crl.is_revoked(serial("8000000001")));
    EXPECT_FALSE(crl.is_revoked(serial("02")));
    EXPECT_FALSE(crl.is_revoked(serial("ff")));
    EXPECT_FALSE(crl.is_revoked(Serial()));
    EXPECT_TRUE(crl.verify(issuer(), kFrom).has_value());
    EXPECT_TRUE(crl.verify(issuer(), kUntil).has_value());
    Crl empty = Crl::parse(crl_der({})).value();
    EXPECT_TRUE(empty.revoked().empty());
    EXPECT_TRUE(empty.verify(issuer(), kFrom).has_value());
}

TEST(Crl, VerifyNamesWhatIsWrong) {
    Crl crl = Crl::parse(crl_der(three())).value();
    EXPECT_EQ(crl.verify(issuer(), kFrom - 1).error().code(), not_yet_valid);
    EXPECT_EQ(crl.verify(issuer(), kUntil + 1).error().code(), expired);
    Certificate other =
        make_root_ca({.subject = name("other"), .validity = one_year()}, ca_key()).value();
    EXPECT_EQ(crl.verify(other, kFrom).error().code(), wrong_crl_issuer);
    Certificate other_key =
        make_root_ca({.subject = name("CRL issuer"), .validity = one_year()}, leaf_key()).value();
    EXPECT_EQ(crl.verify(other_key, kFrom).error().code(), bad_signature);
    testing::LeafRecipe recipe{.cn = "CRL issuer"};
    EXPECT_EQ(crl.verify(recipe.issue(issuer(), ca_key()), kFrom).error().code(), key_usage);
}

TEST(Crl, OpenSslReadsAndVerifiesOurs) {
    for (const auto& revoked : {three(), std::vector<RevokedCertificate>{}}) {
        Bytes der = crl_der(revoked);
        auto peer = peer::crl(der);
        ASSERT_NE(peer, nullptr);
        EXPECT_EQ(X509_CRL_verify(peer.get(), ca_key().handle()), 1);
        EXPECT_EQ(X509_CRL_verify(peer.get(), leaf_key().handle()), 0);
        EXPECT_EQ(peer::time(X509_CRL_get0_lastUpdate(peer.get())), kFrom);
        EXPECT_EQ(peer::time(X509_CRL_get0_nextUpdate(peer.get())), kUntil);
        EXPECT_EQ(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(peer.get())) > 0, !revoked.empty());
        for (const RevokedCertificate& entry : revoked) {
            peer::Handle<ASN1_INTEGER> number(ASN1_INTEGER_new());
            BIGNUM* bn = BN_bin2bn(as_uchars(entry.serial.bytes()),
                                   static_cast<int>(entry.serial.bytes().size()), nullptr);
            BN_to_ASN1_INTEGER(bn, number.get());
            BN_free(bn);
            X509_REVOKED* found = nullptr;
            EXPECT_EQ(X509_CRL_get0_by_serial(peer.get(), &found, number.get()), 1);
        }
        EXPECT_EQ(peer::to_der(i2d_X509_CRL, peer.get()), der);
    }
}

TEST(Crl, ReadsOpenSsls) {
    peer::Handle<X509_CRL> peer(X509_CRL_new());
    auto certificate = peer::certificate(issuer().der());
    X509_CRL_set_version(peer.get(), X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(peer.get(), X509_get_subject_name(certificate.get()));
    X509_CRL_set1_lastUpdate(peer.get(), X509_get0_notBefore(certificate.get()));
    X509_CRL_set1_nextUpdate(peer.get(), X509_get0_notAfter(certificate.get()));
    peer::Handle<ASN1_INTEGER> number(ASN1_INTEGER_new());
    ASN1_INTEGER_set(number.get(), 0x4242);
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, number.get());
    X509_REVOKED_set_revocationDate(entry,
                                    const_cast<ASN1_TIME*>(X509_get0_notBefore(certificate.get())));
    X509_CRL_add0_revoked(peer.get(), entry);
    X509_CRL_sign(peer.get(), ca_key().handle(), EVP_sha256());
    Crl ours = Crl::parse(peer::to_der(i2d_X509_CRL, peer.get())).value();
    EXPECT_TRUE(ours.verify(issuer(), kFrom).has_value());
    EXPECT_TRUE(ours.is_revoked(serial("4242")));
    EXPECT_FALSE(ours.is_revoked(serial("4243")));
    EXPECT_EQ(ours.number(), std::nullopt);
}

// Parts of a TBSCertList; each twin changes one.
struct Twin {
    std::string version = "020101";
    std::string algorithm = "300a06082a8648ce3d040302";
    std::string times = "170d3236303630313030303030305a170d3236303730313030303030305a";
    std::string revoked = "30143012020105170d3236303630313030303030305a";
    std::string extensions = "a00e300c300a0603551d140403020105";

    Result<Crl> parse() const {
        DerWriter out;
        out.sequence([&] {
            out.sequence([&] {
                out.raw(from_hex(version + algorithm).value()).raw(name("CA").der());
                out.raw(from_hex(times + revoked + extensions).value());
            });
            out.sequence([&] { out.oid(oid::kEcdsaWithSha256); });
            out.byte_bit_string(Bytes(70, std::byte{1}));
        });
        return Crl::parse(out.view());
    }
};

void expect_refused(const Twin& twin, const Code& code) {
    auto result = twin.parse();
    ASSERT_FALSE(result.has_value()) << "expected " << code.name;
    EXPECT_EQ(result.error().code(), code) << result.error().message();
}

TEST(Crl, Twins) {
    ASSERT_TRUE(Twin().parse().has_value());
    EXPECT_TRUE(Twin().parse()->is_revoked(serial("05")));
    EXPECT_TRUE(Twin{.extensions = ""}.parse().has_value());
    expect_refused({.version = "020100"}, bad_crl);
    expect_refused({.version = ""}, unexpected_tag);  // version 1
    expect_refused({.algorithm = "300c06082a8648ce3d0403020500"}, bad_crl);
    expect_refused({.times = "170d3236303630313030303030305a"}, unexpected_tag);  // no nextUpdate
    expect_refused({.times = "170d3236303730313030303030305a170d3236303630313030303030305a"},
                   bad_crl);
    expect_refused({.revoked = "3000"}, bad_crl);
    expect_refused({.revoked = "301430120201ff170d3236303630313030303030305a"}, bad_value);
    expect_refused({.revoked = "30053003020105"}, truncated);
    expect_refused({.extensions = "a0023000"}, bad_extension);
}

TEST(Crl, LimitedScopeAndCriticalExtensionsAreRefused) {
    auto with = [](const Extension& extension) {
        DerWriter out;
        out.constructed(context_constructed(0), [&] {
            out.sequence(
                [&] { write_extension(out, extension.oid, extension.critical, extension.value); });
        });
        return Twin{.extensions = hex(out.view())};
    };
    Bytes empty = from_hex("3000").value();
    expect_refused(with({oid::kDeltaCrlIndicator, Critical::kYes, from_hex("020101").value()}),
                   bad_crl);
    expect_refused(with({oid::kIssuingDistributionPoint, Critical::kNo, empty}), bad_crl);
    expect_refused(with({oid::kPolicyRoot, Critical::kYes, empty}), unknown_critical_extension);
    EXPECT_TRUE(with({oid::kPolicyRoot, Critical::kNo, empty}).parse().has_value());
    expect_refused(with({oid::kCrlNumber, Critical::kNo, from_hex("0201ff").value()}), bad_value);

    auto with_entry = [](const Extension& extension) {
        DerWriter out;
        out.sequence([&] {
            out.sequence([&] {
                out.integer(5).time(kFrom);
                out.sequence([&] {
                    write_extension(out, extension.oid, extension.critical, extension.value);
                });
            });
        });
        return Twin{.revoked = hex(out.view())};
    };
    EXPECT_EQ(with_entry({oid::kReasonCode, Critical::kNo, from_hex("0a0101").value()})
                  .parse()
                  ->revoked()[0]
                  .reason,
              1);
    expect_refused(with_entry({oid::kCertificateIssuer, Critical::kYes, empty}),
                   unknown_critical_extension);
    expect_refused(with_entry({oid::kReasonCode, Critical::kNo, from_hex("0a010b").value()}),
                   bad_crl);
    expect_refused(with_entry({oid::kReasonCode, Critical::kNo, from_hex("020101").value()}),
                   unexpected_tag);
}

TEST(Crl, SizesAndEnds) {
    Bytes der = crl_der(three());
    EXPECT_EQ(Crl::parse(Bytes(kMaxCrlBytes + 1)).error().code(), too_large);
    for (std::size_t size = 0; size < der.size(); ++size)
        ASSERT_FALSE(Crl::parse(ByteView(der).first(size)).has_value()) << size;
    der.push_back(std::byte{0});
    EXPECT_EQ(Crl::parse(der).error().code(), trailing_bytes);
}

TEST(Crl, MutationsThatWeAcceptOpenSslAccepts) {
    std::mt19937 random(20261108);
    const Bytes original = crl_der(three());
    int accepted = 0;
    for (int round = 0; round < 20000; ++round) {
        Bytes der = original;
        der[random() % der.size()] = static_cast<std::byte>(random());
        Result<Crl> ours = Crl::parse(der);
        if (!ours) continue;
        ++accepted;
        auto peer = peer::crl(der);
        ASSERT_NE(peer, nullptr) << hex(der);
        ASSERT_EQ(peer::to_der(i2d_X509_CRL, peer.get()), der);
    }
    EXPECT_GT(accepted, 1000);
    EXPECT_LT(accepted, 19000);
}

}  // namespace
}  // namespace eos::x509
