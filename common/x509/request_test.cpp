// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/request.h"

#include <gtest/gtest.h>

#include <random>

#include "common/base/encoding.h"
#include "common/x509/openssl_peer_test.h"
#include "common/x509/pki_test.h"

namespace eos::x509 {
namespace {

using testing::ca_key;
using testing::leaf_key;
using testing::name;

std::vector<Extension> wishes() {
    return {make_basic_constraints({.is_ca = true, .path_length = 0}),
            make_key_usage(kKeyCertSign | kCrlSign),
            {oid::kSgxQuote, Critical::kNo, Bytes(5000, std::byte{7})}};
}

Bytes request_der() {
    return make_request(name("CA of an enclave"), wishes(), leaf_key());
}

TEST(Request, RoundTrips) {
    CertificateRequest request = CertificateRequest::parse(request_der()).value();
    EXPECT_EQ(request.subject(), name("CA of an enclave"));
    EXPECT_EQ(request.p256_key().value(), leaf_key().public_key());
    EXPECT_TRUE(request.verify_signature().has_value());
    ASSERT_EQ(request.extensions().size(), 3u);
    EXPECT_EQ(
        parse_basic_constraints(request.find_extension(oid::kBasicConstraints)->value)->path_length,
        0u);
    EXPECT_EQ(request.find_extension(oid::kSgxQuote)->value.size(), 5000u);
    EXPECT_EQ(request.find_extension(oid::kTdxQuote), nullptr);
    CertificateRequest plain =
        CertificateRequest::parse(make_request(name("plain"), {}, leaf_key())).value();
    EXPECT_TRUE(plain.extensions().empty());
    EXPECT_TRUE(plain.verify_signature().has_value());
}

TEST(Request, OpenSslReadsAndVerifiesOurs) {
    Bytes der = request_der();
    auto peer = peer::request(der);
    ASSERT_NE(peer, nullptr);
    EXPECT_EQ(X509_REQ_verify(peer.get(), leaf_key().handle()), 1);
    EXPECT_EQ(X509_REQ_verify(peer.get(), ca_key().handle()), 0);
    STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(peer.get());
    EXPECT_EQ(sk_X509_EXTENSION_num(extensions), 3);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    EXPECT_EQ(peer::to_der(i2d_X509_REQ, peer.get()), der);
    Bytes plain = make_request(name("plain"), {}, leaf_key());
    EXPECT_EQ(X509_REQ_verify(peer::request(plain).get(), leaf_key().handle()), 1);
}

TEST(Request, ReadsOpenSsls) {
    peer::Handle<X509_REQ> peer(X509_REQ_new());
    X509_REQ_set_version(peer.get(), X509_REQ_VERSION_1);
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(peer.get()), "CN", MBSTRING_UTF8,
                               as_uchars(as_bytes("theirs")), -1, -1, 0);
    X509_REQ_set_pubkey(peer.get(), leaf_key().handle());
    STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
    sk_X509_EXTENSION_push(
        extensions, X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:a.test"));
    X509_REQ_add_extensions(peer.get(), extensions);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_sign(peer.get(), leaf_key().handle(), EVP_sha256());

    CertificateRequest ours =
        CertificateRequest::parse(peer::to_der(i2d_X509_REQ, peer.get())).value();
    EXPECT_EQ(ours.subject().display(), "CN=theirs");
    EXPECT_TRUE(ours.verify_signature().has_value());
    EXPECT_EQ(parse_subject_alt_name(ours.find_extension(oid::kSubjectAltName)->value)->dns_names,
              std::vector<std::string>{"a.test"});

    X509_REQ_add1_attr_by_NID(peer.get(), NID_pkcs9_challengePassword, MBSTRING_ASC,
                              as_uchars(as_bytes("secret")), -1);
    X509_REQ_sign(peer.get(), leaf_key().handle(), EVP_sha256());
    EXPECT_FALSE(CertificateRequest::parse(peer::to_der(i2d_X509_REQ, peer.get())).has_value());
}

// A request in a frame with a signature that is well-formed.
Bytes framed(std::string_view version, std::string_view attributes) {
    DerWriter out;
    out.sequence([&] {
        out.sequence([&] {
            out.raw(from_hex(version).value()).raw(name("x").der());
            out.raw(leaf_key().public_key().spki()).raw(from_hex(attributes).value());
        });
        out.sequence([&] { out.oid(oid::kEcdsaWithSha256); });
        out.byte_bit_string(Bytes(70, std::byte{1}));
    });
    return std::move(out).take();
}

void expect_refused(const Bytes& der, const Code& code) {
    auto result = CertificateRequest::parse(der);
    ASSERT_FALSE(result.has_value()) << "expected " << code.name;
    EXPECT_EQ(result.error().code(), code) << result.error().message();
}

TEST(Request, Twins) {
    // extensionRequest { basicConstraints {} }
    const std::string extension = "30090603551d1304023000";
    const std::string oid = "06092a864886f70d01090e";
    EXPECT_TRUE(CertificateRequest::parse(framed("020100", "a000")).has_value());
    EXPECT_TRUE(
        CertificateRequest::parse(framed("020100", "a01c301a" + oid + "310d300b" + extension))
            .has_value());
    expect_refused(framed("020101", "a000"), bad_request);
    expect_refused(framed("020100", ""), truncated);
    expect_refused(framed("020100", "a0000500"), trailing_bytes);
    expect_refused(framed("020100", "a00f300d06092a864886f70d0109073100"), bad_request);
    expect_refused(framed("020100", "a00f300d" + oid + "3100"), truncated);
    expect_refused(framed("020100", "a011300f" + oid + "31023000"), bad_extension);
    expect_refused(framed("020100", "a0273025" + oid + "31183016" + extension + extension),
                   duplicate_extension);
    expect_refused(framed("020100", "a01e301c" + oid + "310f300b" + extension + "0500"),
                   trailing_bytes);
    expect_refused(Bytes(kMaxRequestBytes + 1), too_large);
    Bytes der = request_der();
    der.push_back(std::byte{0});
    expect_refused(der, trailing_bytes);
}

TEST(Request, SomebodyElsesKeyIsRefused) {
    // The key of `leaf`, signed with another: no proof of possession.
    Bytes der = request_der();
    Bytes stolen = make_request(name("CA of an enclave"), wishes(), ca_key());
    CertificateRequest theirs = CertificateRequest::parse(stolen).value();
    DerReader outer(der);
    DerReader fields = outer.sequence().value();
    DerWriter mixed;
    mixed.sequence([&] {
        mixed.raw(fields.any().value().whole).raw(fields.any().value().whole);
        DerReader other(stolen);
        DerReader other_fields = other.sequence().value();
        (void)other_fields.any();
        (void)other_fields.any();
        mixed.raw(other_fields.any().value().whole);
    });
    CertificateRequest result = CertificateRequest::parse(mixed.view()).value();
    EXPECT_EQ(result.verify_signature().error().code(), bad_signature);
}

TEST(Request, MutationsThatWeAcceptOpenSslAccepts) {
    std::mt19937 random(20261107);
    const std::vector<Extension> extensions = wishes();
    const Bytes original = make_request(name("mutant"), std::span(extensions).first(2), leaf_key());
    int accepted = 0;
    for (int round = 0; round < 20000; ++round) {
        Bytes der = original;
        der[random() % der.size()] = static_cast<std::byte>(random());
        Result<CertificateRequest> ours = CertificateRequest::parse(der);
        if (!ours) continue;
        ++accepted;
        auto peer = peer::request(der);
        ASSERT_NE(peer, nullptr) << hex(der);
        ASSERT_EQ(peer::to_der(i2d_X509_REQ, peer.get()), der);
    }
    EXPECT_GT(accepted, 1000);
    EXPECT_LT(accepted, 19000);
}

}  // namespace
}  // namespace eos::x509
