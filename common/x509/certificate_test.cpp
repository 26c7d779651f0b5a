// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/certificate.h"

#include <gtest/gtest.h>

#include <random>

#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/x509/builder.h"
#include "common/x509/openssl_peer_test.h"
#include "common/x509/pki_test.h"

namespace eos::x509 {
namespace {

using testing::at;
using testing::ca_key;
using testing::leaf_key;
using testing::name;
using testing::one_year;

// A leaf as RA-TLS makes it: the standard extensions and one of 5 KiB.
CertificateDraft leaf_draft(const DistinguishedName& issuer, const DistinguishedName& subject) {
    CertificateDraft draft({.serial = Serial::random(),
                            .issuer = issuer.der(),
                            .validity = one_year(),
                            .subject = subject.der(),
                            .spki = leaf_key().public_key().spki()});
    SubjectAltName names;
    names.dns_names = {"app.example.test"};
    names.ip_addresses = {*IpAddress::parse("192.0.2.7"), *IpAddress::parse("2001:db8::7")};
    draft.add(make_basic_constraints({}))
        .add(make_key_usage(kDigitalSignature))
        .add(make_extended_key_usage(std::array{oid::kServerAuth, oid::kClientAuth}))
        .add(make_subject_alt_name(names).value())
        .add(make_subject_key_identifier(leaf_key().public_key()))
        .add(make_authority_key_identifier(key_identifier(ca_key().public_key())))
        .add(oid::kSgxQuote, Critical::kNo, Bytes(5000, std::byte{0x5a}))
        .add(oid::kPolicyRoot, Critical::kNo, Bytes(32, std::byte{1}));
    return draft;
}

Bytes leaf_der() {
    return leaf_draft(name("CA"), name("leaf")).sign(ca_key());
}

TEST(Certificate, WhatWeBuildOpenSslReadsAndVerifies) {
    Bytes der = leaf_der();
    auto peer = peer::certificate(der);
    ASSERT_NE(peer, nullptr);
    EXPECT_EQ(X509_verify(peer.get(), ca_key().handle()), 1);
    EXPECT_EQ(X509_verify(peer.get(), leaf_key().handle()), 0);
    EXPECT_EQ(X509_get_version(peer.get()), X509_VERSION_3);
    EXPECT_EQ(X509_get_ext_count(peer.get()), 8);
    EXPECT_EQ(X509_check_host(peer.get(), "app.example.test", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_check_ip_asc(peer.get(), "192.0.2.7", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(peer.get(), "2001:db8::7", 0), 1);
    EXPECT_EQ(X509_get_key_usage(peer.get()), KU_DIGITAL_SIGNATURE);
    EXPECT_EQ(X509_get_extended_key_usage(peer.get()), XKU_SSL_SERVER | XKU_SSL_CLIENT);
    EXPECT_EQ(X509_check_ca(peer.get()), 0);
    EXPECT_EQ(peer::time(X509_get0_notBefore(peer.get())), one_year().not_before);
    EXPECT_EQ(peer::time(X509_get0_notAfter(peer.get())), one_year().not_after);
    EXPECT_EQ(peer::to_der(i2d_X509, peer.get()), der);
}

TEST(Certificate, ReadsWhatItWrote) {
    Certificate leaf = Certificate::parse(leaf_der()).value();
    EXPECT_EQ(leaf.issuer(), name("CA"));
    EXPECT_EQ(leaf.subject().display(), "O=Enclave OS\\, test, CN=leaf");
    EXPECT_EQ(leaf.subject().display(oid::kCommonName), "leaf");
    EXPECT_EQ(leaf.subject().display(oid::kCountryName), std::nullopt);
    EXPECT_LE(leaf.serial().bytes().size(), 16u);  // 127 bits; leading zeros are not encoded
    EXPECT_GE(leaf.serial().bytes().size(), 8u);
    EXPECT_EQ(leaf.p256_key().value(), leaf_key().public_key());
    EXPECT_FALSE(leaf.is_ca());
    EXPECT_TRUE(leaf.basic_constraints().has_value());
    EXPECT_EQ(leaf.key_usage(), kDigitalSignature);
    EXPECT_EQ(leaf.extended_key_usage(), (std::vector{oid::kServerAuth, oid::kClientAuth}));
    EXPECT_EQ(leaf.subject_alt_name().dns_names, std::vector<std::string>{"app.example.test"});
    ASSERT_EQ(leaf.subject_alt_name().ip_addresses.size(), 2u);
    EXPECT_EQ(leaf.subject_alt_name().ip_addresses[1].text(), "2001:db8::7");
    EXPECT_TRUE(equal(leaf.subject_key_identifier(), key_identifier(leaf_key().public_key())));
    EXPECT_TRUE(equal(leaf.authority_key_identifier(), key_identifier(ca_key().public_key())));
    ASSERT_NE(leaf.find_extension(oid::kSgxQuote), nullptr);
    EXPECT_EQ(leaf.find_extension(oid::kSgxQuote)->value.size(), 5000u);
    EXPECT_EQ(leaf.find_extension(oid::kLeafBinding), nullptr);
    EXPECT_TRUE(leaf.verify_signed_by(ca_key().public_key()));
    EXPECT_EQ(leaf.verify_signed_by(leaf_key().public_key()).error().code(), bad_signature);
}

TEST(Certificate, CopiesShareAndOutliveTheFirst) {
    auto first = std::make_unique<Certificate>(Certificate::parse(leaf_der()).value());
    Certificate copy = *first;
    ByteView view = copy.spki();
    first.reset();
    EXPECT_TRUE(equal(view, leaf_key().public_key().spki()));
    EXPECT_EQ(copy, Certificate::parse(copy.der()).value());
}

TEST(Certificate, ContentsDigestIsTheTlvsInOrder) {
    CertificateDraft draft = leaf_draft(name("CA"), name("leaf"));
    crypto::Digest32 before = draft.contents_digest();
    draft.add(oid::kLeafBinding, Critical::kNo, leaf_key().sign_der(before));
    Certificate leaf = Certificate::parse(draft.sign(ca_key())).value();
    EXPECT_EQ(leaf.contents_digest(oid::kLeafBinding), before);
    EXPECT_EQ(leaf.contents_digest(oid::Oid{}), draft.contents_digest());
    EXPECT_NE(leaf.contents_digest(oid::kSgxQuote), before);

    // The same bytes through OpenSSL's encoders.
    auto peer = peer::certificate(leaf.der());
    Bytes expected;
    append(expected, peer::to_der(i2d_ASN1_INTEGER, X509_get_serialNumber(peer.get())));
    append(expected, peer::to_der(i2d_X509_NAME, X509_get_issuer_name(peer.get())));
    append(expected, leaf.validity_tlv());
    append(expected, peer::to_der(i2d_X509_NAME, X509_get_subject_name(peer.get())));
    append(expected, peer::to_der(i2d_PUBKEY, X509_get0_pubkey(peer.get())));
    for (int i = 0; i < X509_get_ext_count(peer.get()) - 1; ++i)
        append(expected, peer::to_der(i2d_X509_EXTENSION, X509_get_ext(peer.get(), i)));
    EXPECT_EQ(before, crypto::sha256(expected));
    EXPECT_EQ(leaf.validity_tlv()[0], std::byte{0x30});
    EXPECT_TRUE(equal(leaf.tbs(), draft.tbs()));
}

TEST(Certificate, CasAreWhatTheySay) {
    NameConstraints constraints;
    constraints.permitted_dns = {"example.test"};
    constraints.excluded_dns = {"secret.example.test"};
    constraints.permitted_ip = {{*IpAddress::parse("192.0.2.0"), 24}};
    Certificate root =
        make_root_ca({.subject = name("root"), .validity = one_year()}, ca_key()).value();
    Certificate intermediate = make_intermediate_ca({.subject = name("intermediate"),
                                                     .validity = one_year(),
                                                     .path_length = 0,
                                                     .name_constraints = constraints},
                                                    leaf_key().public_key(), root, ca_key())
                                   .value();
    EXPECT_TRUE(root.is_ca() && root.is_self_issued());
    EXPECT_EQ(root.basic_constraints()->path_length, std::nullopt);
    EXPECT_TRUE(intermediate.is_ca() && !intermediate.is_self_issued());
    EXPECT_EQ(intermediate.basic_constraints()->path_length, 0u);
    EXPECT_EQ(intermediate.key_usage(), kKeyCertSign | kCrlSign);
    EXPECT_EQ(intermediate.name_constraints()->permitted_dns, constraints.permitted_dns);
    EXPECT_EQ(intermediate.name_constraints()->excluded_dns, constraints.excluded_dns);
    EXPECT_EQ(intermediate.name_constraints()->permitted_ip[0].prefix_bits, 24u);
    EXPECT_TRUE(equal(intermediate.authority_key_identifier(), root.subject_key_identifier()));
    EXPECT_TRUE(intermediate.verify_signed_by(root.p256_key().value()));

    auto peer = peer::certificate(intermediate.der());
    ASSERT_NE(peer, nullptr);
    EXPECT_EQ(X509_check_ca(peer.get()), 1);
    EXPECT_EQ(X509_get_pathlen(peer.get()), 0);
    EXPECT_EQ(X509_get_extension_flags(peer.get()) & (EXFLAG_INVALID | EXFLAG_CRITICAL), 0u);
    auto peer_root = peer::certificate(root.der());
    EXPECT_EQ(X509_check_issued(peer_root.get(), peer.get()), X509_V_OK);
}

// Field by field, on certificates that OpenSSL builds.
TEST(Certificate, ReadsWhatOpenSslBuilds) {
    struct Case {
        int nid;
        const char* text;
    };
    const Case cases[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:3"},
        {NID_key_usage, "critical,keyCertSign,cRLSign,decipherOnly"},
        {NID_ext_key_usage, "serverAuth,1.2.3.4"},
        {NID_subject_alt_name, "DNS:a.test,DNS:*.b.test,IP:10.1.2.3,email:x@a.test,URI:http://a/"},
        {NID_name_constraints, "critical,permitted;DNS:a.test,excluded;IP:10.0.0.0/255.0.0.0"},
        {NID_subject_key_identifier, "hash"},
    };
    auto peer = peer::blank(ca_key(), "by OpenSSL");
    for (const Case& c : cases) peer::add_extension(peer.get(), c.nid, c.text);
    Bytes der = peer::sign(peer.get(), ca_key());
    Certificate ours = Certificate::parse(der).value();

    EXPECT_TRUE(equal(ours.der(), der));
    EXPECT_EQ(ours.serial().hex(), "0123456789");
    EXPECT_TRUE(equal(ours.serial_tlv(),
                      peer::to_der(i2d_ASN1_INTEGER, X509_get_serialNumber(peer.get()))));
    EXPECT_TRUE(
        equal(ours.subject_tlv(), peer::to_der(i2d_X509_NAME, X509_get_subject_name(peer.get()))));
    EXPECT_EQ(ours.subject().display(), "C=DE, O=Peer, CN=by OpenSSL");
    EXPECT_EQ(ours.validity().not_before, at("2026-01-01T00:00:00Z"));
    EXPECT_EQ(ours.validity().not_after, at("2051-01-01T00:00:00Z"));
    EXPECT_EQ(ours.basic_constraints()->path_length, 3u);
    EXPECT_EQ(ours.key_usage(), kKeyCertSign | kCrlSign | kDecipherOnly);
    EXPECT_EQ(ours.extended_key_usage()->at(1).dotted(), "1.2.3.4");
    EXPECT_EQ(ours.subject_alt_name().dns_names, (std::vector<std::string>{"a.test", "*.b.test"}));
    EXPECT_EQ(ours.subject_alt_name().ip_addresses[0].text(), "10.1.2.3");
    EXPECT_EQ(ours.subject_alt_name().other_count, 2u);
    EXPECT_EQ(ours.name_constraints()->permitted_dns, std::vector<std::string>{"a.test"});
    EXPECT_EQ(ours.name_constraints()->excluded_ip[0].prefix_bits, 8u);
    EXPECT_EQ(ours.subject_key_identifier().size(), 20u);
    ASSERT_EQ(ours.extensions().size(), 6u);
    for (int i = 0; i < 6; ++i) {
        EXPECT_TRUE(equal(ours.extensions()[static_cast<std::size_t>(i)].whole,
                          peer::to_der(i2d_X509_EXTENSION, X509_get_ext(peer.get(), i))));
    }
    EXPECT_TRUE(ours.verify_signed_by(ca_key().public_key()));
}

TEST(Certificate, OtherAlgorithmsParseButDoNotVerify) {
    peer::Handle<EVP_PKEY> rsa(EVP_RSA_gen(2048));
    auto peer = peer::blank(ca_key(), "RSA");
    X509_set_pubkey(peer.get(), rsa.get());
    X509_sign(peer.get(), rsa.get(), EVP_sha256());
    Certificate ours = Certificate::parse(peer::to_der(i2d_X509, peer.get())).value();
    EXPECT_EQ(ours.p256_key().error().code(), unsupported_algorithm);
    EXPECT_EQ(ours.verify_signed_by(ca_key().public_key()).error().code(), unsupported_algorithm);

    auto sha384 = peer::blank(ca_key(), "SHA-384");
    X509_sign(sha384.get(), ca_key().handle(), EVP_sha384());
    Certificate second = Certificate::parse(peer::to_der(i2d_X509, sha384.get())).value();
    EXPECT_EQ(second.verify_signed_by(ca_key().public_key()).error().code(), unsupported_algorithm);

    peer::Handle<EVP_PKEY> p384(EVP_EC_gen("P-384"));
    auto other_curve = peer::blank(ca_key(), "P-384");
    X509_set_pubkey(other_curve.get(), p384.get());
    Certificate third = Certificate::parse(peer::sign(other_curve.get(), ca_key())).value();
    EXPECT_EQ(third.p256_key().error().code(), unsupported_algorithm);
}

// --- negative twins ---

// A certificate whose TBSCertificate `body` writes, in a frame with a signature that is
// well-formed.
template <typename Body>
Bytes framed(Body body) {
    DerWriter out;
    out.sequence([&] {
        out.sequence([&] { body(out); });
        out.sequence([&] { out.oid(oid::kEcdsaWithSha256); });
        out.byte_bit_string(Bytes(70, std::byte{1}));
    });
    return std::move(out).take();
}

struct Twin {
    Bytes version = from_hex("a003020102").value();
    Bytes serial = from_hex("020101").value();
    Bytes algorithm = from_hex("300a06082a8648ce3d040302").value();
    Bytes issuer = to_bytes(name("CA").der());
    Bytes validity =
        from_hex("301e170d3236303130313030303030305a170d3237303130313030303030305a").value();
    Bytes subject = to_bytes(name("leaf").der());
    Bytes spki = to_bytes(ByteView(leaf_key().public_key().spki()));
    Bytes extensions;
    Bytes tail;

    Bytes der() const {
        return framed([this](DerWriter& out) {
            out.raw(version).raw(serial).raw(algorithm).raw(issuer).raw(validity);
            out.raw(subject).raw(spki).raw(extensions).raw(tail);
        });
    }
};

Bytes extension_list(std::initializer_list<Extension> extensions) {
    DerWriter out;
    out.constructed(context_constructed(3), [&] {
        out.sequence([&] {
            for (const Extension& e : extensions) write_extension(out, e.oid, e.critical, e.value);
        });
    });
    return std::move(out).take();
}

void expect_refused(const Bytes& der, const Code& code) {
    Result<Certificate> result = Certificate::parse(der);
    ASSERT_FALSE(result.has_value()) << "expected " << code.name;
    EXPECT_EQ(result.error().code(), code) << result.error().message();
}

TEST(CertificateTwins, TheSoundOneIsAccepted) {
    Twin twin;
    EXPECT_TRUE(Certificate::parse(twin.der()).has_value());
    twin.version.clear();
    EXPECT_TRUE(Certificate::parse(twin.der()).has_value());  // version 1
    twin.serial = from_hex("020100").value();
    EXPECT_TRUE(Certificate::parse(twin.der()).has_value());  // AMD's serial number
    twin.serial = from_hex("021500ff000102030405060708090a0b0c0d0e0f101112").value();
    EXPECT_TRUE(Certificate::parse(twin.der()).has_value());
}

TEST(CertificateTwins, Frame) {
    Bytes der = Twin().der();
    Bytes longer = der;
    longer.push_back(std::byte{0});
    expect_refused(longer, trailing_bytes);
    expect_refused({}, truncated);
    expect_refused(Bytes(kMaxCertificateBytes + 1, std::byte{0x30}), too_large);
    for (std::size_t size = 1; size < der.size(); ++size)
        ASSERT_FALSE(Certificate::parse(ByteView(der).first(size)).has_value()) << size;
    Twin twin;
    twin.tail = from_hex("0500").value();
    expect_refused(twin.der(), unexpected_tag);
    twin.algorithm = from_hex("300c06082a8648ce3d0403020500").value();
    twin.tail.clear();
    expect_refused(twin.der(), bad_certificate);  // inner and outer algorithm differ
}

TEST(CertificateTwins, VersionAndSerial) {
    Twin twin;
    for (const char* version : {"a003020100", "a003020101", "a003020103"}) {
        twin.version = from_hex(version).value();
        expect_refused(twin.der(), bad_certificate);
    }
    twin = Twin();
    twin.extensions = extension_list({make_key_usage(kDigitalSignature)});
    EXPECT_TRUE(Certificate::parse(twin.der()).has_value());
    twin.version.clear();
    expect_refused(twin.der(), trailing_bytes);  // version 1 with extensions
    twin = Twin();
    twin.serial = from_hex("0201ff").value();
    expect_refused(twin.der(), bad_value);  // negative
    twin.serial = from_hex("02020001").value();
    expect_refused(twin.der(), bad_value);  // not minimal
    twin.serial = from_hex("021501000102030405060708090a0b0c0d0e0f10111213").value();
    expect_refused(twin.der(), bad_certificate);  // 21 bytes
}

TEST(CertificateTwins, NamesAndValidity) {
    Twin twin;
    twin.issuer = from_hex("3000").value();
    expect_refused(twin.der(), bad_certificate);
    twin.issuer = from_hex("30023100").value();
    expect_refused(twin.der(), bad_name);  // an RDN without attributes
    twin.issuer = from_hex("300d310b300906035504030c000500").value();
    expect_refused(twin.der(), trailing_bytes);
    twin.issuer = from_hex("300c310a30080603550403020101").value();
    expect_refused(twin.der(), bad_name);  // an INTEGER as CN
    twin.issuer = from_hex("300c310a300806035504030c01ff").value();
    expect_refused(twin.der(), bad_name);  // not UTF-8
    // Two attributes in one RDN: sorted, then the other way round, then twice the same.
    const std::string a =
        "30080603550403"
        "0c0161";
    const std::string b =
        "30080603550403"
        "0c0162";
    twin.issuer = from_hex("30163114" + a + b).value();
    EXPECT_TRUE(Certificate::parse(twin.der()).has_value());
    twin.issuer = from_hex("30163114" + b + a).value();
    expect_refused(twin.der(), bad_name);
    twin.issuer = from_hex("30163114" + a + a).value();
    expect_refused(twin.der(), bad_name);

    twin = Twin();
    twin.validity =
        from_hex("301e170d3237303130313030303030305a170d3236303130313030303030305a").value();
    expect_refused(twin.der(), bad_certificate);
    twin.validity = from_hex("300f170d3237303130313030303030305a").value();
    expect_refused(twin.der(), truncated);
}

TEST(CertificateTwins, Extensions) {
    auto refuse = [](std::initializer_list<Extension> extensions, const Code& code) {
        Twin twin;
        twin.extensions = extension_list(extensions);
        expect_refused(twin.der(), code);
    };
    auto raw = [](const oid::Oid& oid, std::string_view value) {
        return Extension{oid, Critical::kNo, from_hex(value).value()};
    };
    refuse({}, bad_extension);
    refuse({raw(oid::kPolicyRoot, "01"), raw(oid::kPolicyRoot, "01")}, duplicate_extension);
    refuse({raw(oid::kBasicConstraints, "3003010100")}, bad_extension);  // FALSE written out
    refuse({raw(oid::kBasicConstraints, "3003020100")}, bad_extension);  // path length, no CA
    refuse({raw(oid::kBasicConstraints, "30070101ff02020100")}, bad_extension);
    refuse({raw(oid::kBasicConstraints, "3003010101")}, bad_value);
    refuse({raw(oid::kBasicConstraints, "30000500")}, trailing_bytes);
    refuse({raw(oid::kKeyUsage, "03020181")}, bad_value);        // an unused bit is set
    refuse({raw(oid::kKeyUsage, "0303060040")}, bad_extension);  // a tenth bit
    refuse({raw(oid::kExtendedKeyUsage, "3000")}, bad_extension);
    refuse({raw(oid::kExtendedKeyUsage, "3003060180")}, oid::bad_oid);
    refuse({raw(oid::kSubjectAltName, "3000")}, bad_extension);
    refuse({raw(oid::kSubjectAltName, "30058203612e2e")}, bad_extension);  // "a.."
    refuse({raw(oid::kSubjectAltName, "30058203610062")}, bad_extension);  // "a\0b"
    refuse({raw(oid::kSubjectAltName, "300587030a0000")}, bad_extension);  // 3 byte address
    refuse({raw(oid::kSubjectAltName, "3003890161")}, bad_extension);      // [9]
    refuse({raw(oid::kSubjectAltName, "3003a20161")}, bad_extension);      // constructed dNSName
    refuse({raw(oid::kNameConstraints, "3000")}, bad_extension);
    refuse({raw(oid::kNameConstraints, "3002a000")}, bad_extension);
    refuse({raw(oid::kNameConstraints, "300aa0083006820161800101")}, bad_extension);  // minimum
    refuse({raw(oid::kNameConstraints, "300ea00c300a87080a000000ff00ff00")}, bad_extension);
    refuse({raw(oid::kNameConstraints, "3008a006300482022e61")}, bad_extension);  // ".a"
    refuse({raw(oid::kAuthorityKeyIdentifier, "3002800000")}, trailing_bytes);
    refuse({raw(oid::kSubjectKeyIdentifier, "0402aa")}, truncated);
}

TEST(CertificateTwins, TooManyExtensions) {
    for (std::uint32_t count : {64u, 65u}) {
        DerWriter list;
        for (std::uint32_t i = 0; i < count; ++i)
            write_extension(list, oid::kWorkloadConfigHash.child(i), Critical::kNo, {});
        DerWriter out;
        out.constructed(context_constructed(3),
                        [&] { out.sequence([&] { out.raw(list.view()); }); });
        Twin twin;
        twin.extensions = std::move(out).take();
        if (count == kMaxExtensions) {
            EXPECT_TRUE(Certificate::parse(twin.der()).has_value());
        } else {
            expect_refused(twin.der(), too_many);
        }
    }
}

// Whatever we accept, OpenSSL reads too, and to the same bytes.
TEST(Certificate, MutationsThatWeAcceptOpenSslAccepts) {
    std::mt19937 random(20261105);
    const Bytes original = leaf_draft(name("CA"), name("leaf")).sign(ca_key());
    int accepted = 0;
    int refused = 0;
    for (int round = 0; round < 4000; ++round) {
        Bytes der = original;
        // The evidence in the middle is opaque to both: mutate around it.
        for (std::size_t flips = 1 + random() % 3; flips > 0; --flips) {
            std::size_t at = random() % 1100;
            if (at >= 550) at = der.size() - (at - 549);
            der[at] = static_cast<std::byte>(random());
        }
        Result<Certificate> ours = Certificate::parse(der);
        if (!ours) {
            ++refused;
            continue;
        }
        ++accepted;
        auto peer = peer::certificate(der);
        ASSERT_NE(peer, nullptr) << "round " << round;
        ASSERT_EQ(peer::to_der(i2d_X509, peer.get()), der);
        if (der != original) {
            ASSERT_FALSE(ours->verify_signed_by(ca_key().public_key()).has_value());
        }
    }
    EXPECT_GT(accepted, 200);
    EXPECT_GT(refused, 200);
}

}  // namespace
}  // namespace eos::x509
