// SPDX-License-Identifier: AGPL-3.0-only
#include "client/pki.h"

#include <gtest/gtest.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "client/files.h"
#include "client/testing.h"
#include "common/oid/registry.h"
#include "common/x509/builder.h"
#include "common/x509/chain.h"

namespace eos::client {
namespace {

const UnixTime kNow = parse_rfc3339("2026-06-01T00:00:00Z").value();

/// What OpenSSL says about a chain: X509_V_OK or its reason. It shares no code with ours.
int openssl_verdict(const x509::Certificate& leaf, const x509::Certificate& intermediate,
                    const x509::Certificate& root) {
    auto load = [](const x509::Certificate& certificate) {
        const unsigned char* p = as_uchars(certificate.der());
        return d2i_X509(nullptr, &p, static_cast<long>(certificate.der().size()));
    };
    X509* certificates[] = {load(leaf), load(intermediate), load(root)};
    X509_STORE* store = X509_STORE_new();
    X509_STORE_add_cert(store, certificates[2]);
    STACK_OF(X509)* chain = sk_X509_new_null();
    sk_X509_push(chain, certificates[1]);
    X509_STORE_CTX* context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, certificates[0], chain);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context), kNow.seconds);
    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
    X509_verify_cert(context);
    int verdict = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    sk_X509_free(chain);
    X509_STORE_free(store);
    for (X509* certificate : certificates) X509_free(certificate);
    return verdict;
}

class PkiTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(Pki::init(folder.path(), "Test", kNow));
        Result<Pki> opened = Pki::open(folder.path());
        ASSERT_TRUE(opened) << opened.error().message();
        pki = std::make_unique<Pki>(std::move(*opened));
    }
    Result<x509::Certificate> intermediate(std::int64_t days = kMaxIntermediateDays) {
        return pki->make_intermediate(
            ca_key.public_key(), {.permitted_names = {"example.test"}, .days = days, .now = kNow});
    }
    /// A leaf such as a stolen CA key could sign.
    x509::Certificate leaf(const x509::SubjectAltName& names, const x509::Certificate& issuer) {
        static constexpr std::array kPurposes = {oid::kServerAuth};
        x509::DistinguishedName subject = *x509::DistinguishedName::common_name("leaf");
        x509::CertificateDraft draft({.serial = x509::Serial::random(),
                                      .issuer = issuer.subject_tlv(),
                                      .validity = {kNow, kNow + 3600},
                                      .subject = subject.der(),
                                      .spki = leaf_key.public_key().spki()});
        draft.add(x509::make_basic_constraints({}));
        draft.add(x509::make_key_usage(x509::kDigitalSignature));
        draft.add(x509::make_extended_key_usage(kPurposes));
        draft.add(x509::make_subject_alt_name(names).value());
        return x509::Certificate::parse(draft.sign(ca_key)).value();
    }

    TestFolder folder;
    std::unique_ptr<Pki> pki;
    crypto::P256PrivateKey ca_key = crypto::P256PrivateKey::generate();
    crypto::P256PrivateKey leaf_key = crypto::P256PrivateKey::generate();
};

TEST_F(PkiTest, AnIntermediateCertifiesItsNamesAndNoAddress) {
    Result<x509::Certificate> ca = intermediate();
    ASSERT_TRUE(ca) << ca.error().message();
    struct Case {
        x509::SubjectAltName names;
        int openssl;
    };
    auto with_address = [](const char* text) {
        x509::SubjectAltName names;
        names.dns_names = {"app.example.test"};
        names.ip_addresses = {*x509::IpAddress::parse(text)};
        return names;
    };
    auto with_name = [](const char* name) {
        x509::SubjectAltName names;
        names.dns_names = {name};
        return names;
    };
    const Case cases[] = {{with_name("app.example.test"), X509_V_OK},
                          {with_name("example.test"), X509_V_OK},
                          {with_name("example.org"), X509_V_ERR_PERMITTED_VIOLATION},
                          {with_address("192.0.2.1"), X509_V_ERR_EXCLUDED_VIOLATION},
                          {with_address("0.0.0.0"), X509_V_ERR_EXCLUDED_VIOLATION},
                          {with_address("2001:db8::1"), X509_V_ERR_EXCLUDED_VIOLATION},
                          {with_address("::"), X509_V_ERR_EXCLUDED_VIOLATION}};
    for (const Case& each : cases) {
        x509::Certificate certificate = leaf(each.names, *ca);
        EXPECT_EQ(openssl_verdict(certificate, *ca, pki->root()), each.openssl);
        auto ours = x509::verify_chain({.leaf = certificate,
                                        .intermediates = std::span(&*ca, 1),
                                        .anchors = std::span(&pki->root(), 1),
                                        .time = kNow},
                                       {});
        EXPECT_EQ(ours.has_value(), each.openssl == X509_V_OK);
    }
}

TEST_F(PkiTest, AnIntermediateLivesAtMost90Days) {
    EXPECT_TRUE(intermediate(90));
    for (std::int64_t days : {0, -1, 91}) {
        EXPECT_EQ(intermediate(days).error().code(), request_refused) << days;
    }
    Result<x509::Certificate> ca = intermediate(1);
    EXPECT_LE(ca->validity().not_after, kNow + kSecondsPerDay);
}

TEST_F(PkiTest, ARequestWithoutNamesOrWithAWrongSignatureIsNotSigned) {
    x509::DistinguishedName subject = *x509::DistinguishedName::common_name("CA");
    Bytes der = x509::make_request(subject, {}, ca_key);
    x509::CertificateRequest request = *x509::CertificateRequest::parse(der);
    EXPECT_TRUE(
        pki->sign_intermediate(request, {.permitted_names = {"example.test"}, .now = kNow}));
    EXPECT_EQ(pki->sign_intermediate(request, {.now = kNow}).error().code(), request_refused);
    Bytes name = to_bytes(subject.der());
    auto place = std::ranges::search(der, name);
    place.back() ^= std::byte{1};  // "CA" becomes "C@": the signature is of something else
    request = *x509::CertificateRequest::parse(der);
    EXPECT_EQ(pki->sign_intermediate(request, {.permitted_names = {"example.test"}, .now = kNow})
                  .error()
                  .code(),
              request_refused);
}

TEST_F(PkiTest, KeysAreTheOwnersAloneAndNeverOverwritten) {
    for (const char* name : {"root.key", "owner.key"}) {
        struct stat info{};
        ASSERT_EQ(stat((folder / name).c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
    }
    Bytes before = *read_file(folder / "root.key");
    EXPECT_EQ(Pki::init(folder.path(), "Again", kNow).error().code(), file_exists);
    EXPECT_EQ(*read_file(folder / "root.key"), before);
}

TEST_F(PkiTest, APkiWithAMissingFileSaysWhich) {
    for (const char* name : {"root.key", "root.pem", "owner.key", "owner.pem"}) {
        std::filesystem::rename(folder / name, folder / "away");
        Result<Pki> opened = Pki::open(folder.path());
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().code(), pki_incomplete);
        EXPECT_NE(opened.error().detail().find(name), std::string::npos);
        std::filesystem::rename(folder / "away", folder / name);
    }
    ASSERT_EQ(chmod((folder / "root.key").c_str(), 0640), 0);
    EXPECT_EQ(Pki::open(folder.path()).error().code(), file_exposed);
}

}  // namespace
}  // namespace eos::client
