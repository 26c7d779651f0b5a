// SPDX-License-Identifier: AGPL-3.0-only
// Certificates that OpenSSL signs with the keys and hashes in use, and one that is not taken:
// NEGATIVE-MUTATIONS, R02, R06, R08.
#include "common/ratls/certificate_checks.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <memory>

#include "common/attestation/verify/corpus_test.h"
#include "common/x509/pem.h"

namespace eos::ratls {
namespace {

using attestation::testing::corpus;
using attestation::testing::read_file;
using attestation::verify::Check;
using attestation::verify::Verdict;
using attestation::verify::Weight;

constexpr UnixTime kFrom{1'788'516'900};
const UnixTime kTo = kFrom + 3600;
constexpr const char* kHost = "app.example.test";

struct Free {
    void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
    void operator()(X509* p) const { X509_free(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;

void set_name(X509* certificate, const char* subject, const char* issuer) {
    auto set = [](X509_NAME* name, const char* text) {
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(text), -1, -1, 0);
    };
    set(X509_get_subject_name(certificate), subject);
    set(X509_get_issuer_name(certificate), issuer);
}

/// For kHost, from kFrom to kTo.
Bytes signed_with(EVP_PKEY* key, const EVP_MD* hash, const char* issuer = "enclave") {
    const std::unique_ptr<X509, Free> out(X509_new());
    X509_set_version(out.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 7);
    ASN1_TIME_set(X509_getm_notBefore(out.get()), kFrom.seconds);
    ASN1_TIME_set(X509_getm_notAfter(out.get()), kTo.seconds);
    set_name(out.get(), "enclave", issuer);
    X509_set_pubkey(out.get(), key);
    X509_EXTENSION* name =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:app.example.test");
    X509_add_ext(out.get(), name, -1);
    X509_EXTENSION_free(name);
    EXPECT_GT(X509_sign(out.get(), key, hash), 0);
    unsigned char* der = nullptr;
    const int size = i2d_X509(out.get(), &der);
    Bytes bytes = to_bytes(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
    OPENSSL_free(der);
    return bytes;
}

std::vector<Check> checks(ByteView der, std::string_view host = kHost, UnixTime time = kFrom) {
    return check_without_ca(x509::Certificate::parse(der).value(), host, time);
}

const Check& node(const std::vector<Check>& checks, std::string_view id) {
    for (const Check& check : checks) {
        if (check.id == id) return check;
    }
    throw std::out_of_range(std::string(id));
}

struct Scheme {
    Key key;
    const EVP_MD* hash;
    bool is_taken;
};

std::vector<Scheme> schemes() {
    std::vector<Scheme> out;
    out.push_back({Key(EVP_EC_gen("P-256")), EVP_sha256(), true});
    out.push_back({Key(EVP_EC_gen("P-384")), EVP_sha256(), true});
    out.push_back({Key(EVP_EC_gen("P-384")), EVP_sha384(), true});
    out.push_back({Key(EVP_RSA_gen(2048)), EVP_sha256(), true});
    out.push_back({Key(EVP_EC_gen("P-256")), EVP_sha1(), false});
    out.push_back({Key(EVP_EC_gen("P-384")), EVP_sha1(), false});
    out.push_back({Key(EVP_RSA_gen(2048)), EVP_sha1(), false});
    out.push_back({Key(EVP_EC_gen("P-521")), EVP_sha256(), false});
    return out;
}

TEST(CertificateChecks, OwnSignatureByTheSchemesInUse) {
    for (const Scheme& scheme : schemes()) {
        SCOPED_TRACE(std::string(EVP_PKEY_get0_type_name(scheme.key.get())) + " " +
                     EVP_MD_get0_name(scheme.hash));
        const Bytes der = signed_with(scheme.key.get(), scheme.hash);
        const Check found = node(checks(der), "certificate.signature");
        EXPECT_EQ(found.verdict, scheme.is_taken ? Verdict::pass : Verdict::fail) << found.found;
    }
}

TEST(CertificateChecks, SignatureOfAnotherKeyOrOverOtherBytesFails) {
    for (const Scheme& scheme : schemes()) {
        Bytes der = signed_with(scheme.key.get(), scheme.hash);
        der.back() ^= std::byte{1};
        EXPECT_EQ(node(checks(der), "certificate.signature").verdict, Verdict::fail);
        der.back() ^= std::byte{1};
        // The serial number: a byte that nothing else is about.
        const Bytes serial = to_bytes(x509::Certificate::parse(der)->serial_tlv());
        auto at = std::ranges::search(der, serial).begin();
        at[2] ^= std::byte{1};
        EXPECT_EQ(node(checks(der), "certificate.signature").verdict, Verdict::fail);
    }
}

TEST(CertificateChecks, AnotherIssuersSignatureIsNotEvaluated) {
    const Key key(EVP_EC_gen("P-256"));
    const std::vector<Check> found = checks(signed_with(key.get(), EVP_sha256(), "somebody"));
    EXPECT_EQ(node(found, "certificate.signature").verdict, Verdict::not_evaluated);
    EXPECT_EQ(node(found, "certificate.signature").weight, Weight::informative);
}

TEST(CertificateChecks, DatesEncloseTheTime) {
    const Key key(EVP_EC_gen("P-256"));
    const Bytes der = signed_with(key.get(), EVP_sha256());
    auto verdict_at = [&](UnixTime time) {
        return node(checks(der, kHost, time), "certificate.validity").verdict;
    };
    EXPECT_EQ(verdict_at(kFrom), Verdict::pass);
    EXPECT_EQ(verdict_at(kTo), Verdict::pass);
    EXPECT_EQ(verdict_at(kFrom - 1), Verdict::fail);
    EXPECT_EQ(verdict_at(kTo + 1), Verdict::fail);
}

TEST(CertificateChecks, NameIsLookedAtWhereOneWasAskedFor) {
    const Key key(EVP_EC_gen("P-256"));
    const Bytes der = signed_with(key.get(), EVP_sha256());
    EXPECT_EQ(node(checks(der), "certificate.name").verdict, Verdict::pass);
    EXPECT_EQ(node(checks(der, "other.example.test"), "certificate.name").verdict, Verdict::fail);
    EXPECT_EQ(checks(der, "").size(), 2U);
}

TEST(CertificateChecks, PublishedCertificatesSignedThemselves) {
    if (!std::filesystem::exists(corpus() / "index.json")) {
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    }
    for (const char* file : {"interoperable-ra-tls/ra-tls/intel-sgxsdk-cert.pem",
                             "interoperable-ra-tls/ra-tls/rats-tls-cert.pem",
                             "rats-tls/ra-tls/rats-tls-cert-openssl-sample.pem"}) {
        const Bytes pem = read_file(corpus() / file);
        const x509::Certificate one = x509::parse_pem_certificates(as_chars(pem)).value().front();
        const std::vector<Check> found = check_without_ca(one, "", one.validity().not_before);
        EXPECT_EQ(node(found, "certificate.signature").verdict, Verdict::pass) << file;
    }
    for (const char* file :
         {"CCF/ra-tls/maa-nested-cert.der", "openenclave/ra-tls/sgx_cert_ec_bad.der"}) {
        const bool is_good = std::string_view(file).starts_with("CCF");
        const std::vector<Check> found = checks(read_file(corpus() / file), "");
        EXPECT_EQ(node(found, "certificate.signature").verdict,
                  is_good ? Verdict::pass : Verdict::fail)
            << file;
    }
}

}  // namespace
}  // namespace eos::ratls
