// SPDX-License-Identifier: AGPL-3.0-only
// The emulated platform's evidence, checked with OpenSSL alone wherever something is signed.
#include "emulation/quoting/quoting_enclave.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/attestation/evidence/quote.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "emulation/quoting/provisioning.h"

namespace eos::emulation::quoting {
namespace {

template <auto Free>
struct FreeWith {
    template <typename T>
    void operator()(T* object) const {
        Free(object);
    }
};
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, FreeWith<X509_free>>;
using Crl = std::unique_ptr<X509_CRL, FreeWith<X509_CRL_free>>;
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free>>;

std::vector<Cert> certificates(const std::string& pem) {
    const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    std::vector<Cert> out;
    while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
        out.emplace_back(next);
    return out;
}

Crl crl(const std::string& hex_der) {
    const Bytes der = from_hex(hex_der).value();
    const unsigned char* at = as_uchars(der);
    return Crl(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())));
}

Key key_of_point(ByteView xy) {
    Bytes point = concat({to_bytes("\x04"), xy});
    const std::unique_ptr<OSSL_PARAM_BLD, FreeWith<OSSL_PARAM_BLD_free>> build(
        OSSL_PARAM_BLD_new());
    OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
    OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                     point.size());
    const std::unique_ptr<OSSL_PARAM, FreeWith<OSSL_PARAM_free>> parameters(
        OSSL_PARAM_BLD_to_param(build.get()));
    const std::unique_ptr<EVP_PKEY_CTX, FreeWith<EVP_PKEY_CTX_free>> context(
        EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* key = nullptr;
    EVP_PKEY_fromdata_init(context.get());
    EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get());
    return Key(key);
}

/// ECDSA with SHA-256; signature as r ‖ s.
bool signed_by(EVP_PKEY* key, ByteView message, ByteView raw) {
    const std::unique_ptr<ECDSA_SIG, FreeWith<ECDSA_SIG_free>> signature(ECDSA_SIG_new());
    ECDSA_SIG_set0(signature.get(), BN_bin2bn(as_uchars(raw), 32, nullptr),
                   BN_bin2bn(as_uchars(raw) + 32, 32, nullptr));
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(signature.get(), &der);
    const std::unique_ptr<EVP_MD_CTX, FreeWith<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key);
    const bool good = EVP_DigestVerify(context.get(), der, static_cast<std::size_t>(size),
                                       as_uchars(message), message.size()) == 1;
    OPENSSL_free(der);
    return good;
}

class EmulatedPlatform : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        cpu_ = new sgx_cpu::Cpu(sgx_cpu::generate_identity());
        provisioned_ = new Provisioned(provision(*cpu_, UnixTime{::time(nullptr)}).value());
    }
    static void TearDownTestSuite() {
        delete provisioned_;
        delete cpu_;
    }

    static sgx_cpu::Cpu same_cpu() {
        return sgx_cpu::Cpu(
            sgx_cpu::parse_identity(sgx_cpu::encode_identity(cpu_->identity()).view()).value());
    }
    static QuotingKeys keys() {
        const QuotingKeys& keys = provisioned_->keys;
        return {
            .attestation_key =
                crypto::P256PrivateKey::from_pkcs8(keys.attestation_key.to_pkcs8().view()).value(),
            .auth_data = keys.auth_data,
            .qe_report = keys.qe_report,
            .qe_report_signature = keys.qe_report_signature};
    }
    static sgx_arch::Report report_for(const sgx_arch::TargetInfo& target) {
        sgx_cpu::EnclaveIdentity enclave;
        enclave.mr_enclave.fill(std::byte{1});
        enclave.mr_signer.fill(std::byte{2});
        sgx_arch::ReportData data;
        data.fill(std::byte{3});
        return cpu_->report(enclave, target, data).value();
    }
    static attestation::evidence::SgxQuote quote() {
        const QuotingEnclave enclave =
            QuotingEnclave::create(same_cpu(), keys(), provisioned_->pck_chain_pem).value();
        const Bytes bytes = enclave.quote(encode(report_for(enclave.target_info()))).value();
        EXPECT_EQ(bytes.size(), enclave.quote_size_bytes());
        return std::get<attestation::evidence::SgxQuote>(
            attestation::evidence::parse_quote(bytes).value().quote());
    }
    static nlohmann::json collateral() {
        return nlohmann::json::parse(provisioned_->collateral_json);
    }

    /// The result of X509_verify_cert for chain[0], with the root trusted and both CRLs at hand.
    static int verify(const std::string& chain_pem, unsigned long flags) {
        const std::vector<Cert> chain = certificates(chain_pem);
        const std::vector<Cert> root = certificates(provisioned_->root_pem);
        const Crl root_crl = crl(collateral()["root_ca_crl"]);
        const Crl pck_crl = crl(collateral()["pck_crl"]);
        const std::unique_ptr<X509_STORE, FreeWith<X509_STORE_free>> store(X509_STORE_new());
        X509_STORE_add_cert(store.get(), root.at(0).get());
        X509_STORE_add_crl(store.get(), root_crl.get());
        X509_STORE_add_crl(store.get(), pck_crl.get());
        X509_STORE_set_flags(store.get(), flags | X509_V_FLAG_CRL_CHECK |
                                              X509_V_FLAG_CRL_CHECK_ALL | X509_V_FLAG_X509_STRICT);
        STACK_OF(X509)* untrusted = sk_X509_new_null();
        for (const Cert& certificate : chain) sk_X509_push(untrusted, certificate.get());
        const std::unique_ptr<X509_STORE_CTX, FreeWith<X509_STORE_CTX_free>> context(
            X509_STORE_CTX_new());
        X509_STORE_CTX_init(context.get(), store.get(), chain.at(0).get(), untrusted);
        const int verdict = X509_verify_cert(context.get()) == 1
                                ? X509_V_OK
                                : X509_STORE_CTX_get_error(context.get());
        sk_X509_free(untrusted);
        return verdict;
    }

    static inline sgx_cpu::Cpu* cpu_ = nullptr;
    static inline Provisioned* provisioned_ = nullptr;
};

TEST_F(EmulatedPlatform, QuoteParsesAndSaysWhatTheReportSays) {
    const auto parsed = quote();
    const sgx_arch::Report report = report_for(sgx_cpu::target_of(quoting_enclave_identity()));
    EXPECT_EQ(parsed.report, report.body);
    EXPECT_TRUE(parsed.report.attributes.debug());
    EXPECT_EQ(parsed.qe_svn, kQeIsvSvn);
    EXPECT_EQ(parsed.pce_svn, cpu_->identity().pce_svn);
    EXPECT_EQ(parsed.pck_chain_pem, provisioned_->pck_chain_pem);
    EXPECT_EQ(parsed.qe_report.mr_enclave, quoting_enclave_identity().mr_enclave);
    EXPECT_TRUE(parsed.qe_report.attributes.debug());
}

TEST_F(EmulatedPlatform, QuoteSignaturesVerifyWithOpenssl) {
    const auto parsed = quote();
    const std::vector<Cert> chain = certificates(parsed.pck_chain_pem);
    ASSERT_EQ(chain.size(), 3u);
    EXPECT_TRUE(signed_by(X509_get0_pubkey(chain[0].get()), parsed.qe_report_bytes,
                          parsed.qe_report_signature));
    const Key attestation_key = key_of_point(parsed.attestation_key);
    EXPECT_TRUE(signed_by(attestation_key.get(), parsed.signed_bytes, parsed.signature));

    Bytes altered = to_bytes(parsed.signed_bytes);
    altered[100] ^= std::byte{1};
    EXPECT_FALSE(signed_by(attestation_key.get(), altered, parsed.signature));
}

TEST_F(EmulatedPlatform, QeReportBindsTheAttestationKey) {
    const auto parsed = quote();
    unsigned char digest[32];
    const Bytes bound = concat({parsed.attestation_key, parsed.qe_auth_data});
    EVP_Digest(bound.data(), bound.size(), digest, nullptr, EVP_sha256(), nullptr);
    const ByteView data = parsed.qe_report.report_data;
    EXPECT_TRUE(equal(data.first(32), std::as_bytes(std::span(digest))));
    EXPECT_TRUE(all_zero(data.subspan(32)));
}

TEST_F(EmulatedPlatform, ChainsAndCrlsVerifyWithOpenssl) {
    // Intel's own leaf and ours have an extension that OpenSSL does not know; only the root's
    // marker is critical.
    EXPECT_EQ(verify(provisioned_->pck_chain_pem, X509_V_FLAG_IGNORE_CRITICAL), X509_V_OK);
    EXPECT_EQ(verify(collateral()["tcb_info_issuer_chain"], X509_V_FLAG_IGNORE_CRITICAL),
              X509_V_OK);
}

TEST_F(EmulatedPlatform, WhoDoesNotKnowTheMarkerRefusesTheRoot) {
    EXPECT_EQ(verify(provisioned_->pck_chain_pem, 0), X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION);
}

TEST_F(EmulatedPlatform, EveryNameSaysEmulated) {
    for (const std::string& pem :
         {provisioned_->pck_chain_pem, collateral()["tcb_info_issuer_chain"].get<std::string>()}) {
        for (const Cert& certificate : certificates(pem)) {
            char text[256] = {};
            X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName,
                                      text, sizeof(text));
            EXPECT_TRUE(std::string(text).starts_with("EMULATED")) << text;
        }
    }
}

TEST_F(EmulatedPlatform, CollateralIsSignedOverItsExactBytes) {
    const nlohmann::json all = collateral();
    const std::vector<Cert> signer = certificates(all["tcb_info_issuer_chain"]);
    for (const std::string name : {"tcb_info", "qe_identity"}) {
        SCOPED_TRACE(name);
        std::string body = all[name];
        const Bytes signature = from_hex(all[name + "_signature"].get<std::string>()).value();
        EVP_PKEY* key = X509_get0_pubkey(signer.at(0).get());
        EXPECT_TRUE(signed_by(key, as_bytes(body), signature));
        EXPECT_FALSE(signed_by(key, as_bytes(body + " "), signature));
    }
}

TEST_F(EmulatedPlatform, OnlyReportsOfThisCpuForThisEnclaveAreQuoted) {
    const QuotingEnclave enclave =
        QuotingEnclave::create(same_cpu(), keys(), provisioned_->pck_chain_pem).value();
    const auto good = encode(report_for(enclave.target_info()));
    ASSERT_TRUE(enclave.quote(good).has_value());
    for (std::size_t i = 0; i < good.size(); ++i) {
        auto bad = good;
        bad[i] ^= std::byte{1};
        EXPECT_EQ(enclave.quote(bad).error().code(), sgx_cpu::report_mac_mismatch) << i;
    }

    sgx_arch::TargetInfo other = enclave.target_info();
    other.mr_enclave[0] ^= std::byte{1};
    EXPECT_EQ(enclave.quote(encode(report_for(other))).error().code(),
              sgx_cpu::report_mac_mismatch);

    const sgx_cpu::Cpu stranger(sgx_cpu::generate_identity());
    const auto foreign = stranger.report({}, enclave.target_info(), {}).value();
    EXPECT_EQ(enclave.quote(encode(foreign)).error().code(), sgx_cpu::report_mac_mismatch);
    EXPECT_EQ(enclave.quote(ByteView(good).first(384)).error().code(), sgx_arch::wrong_size);
}

TEST_F(EmulatedPlatform, PartsOfTwoPlatformsDoNotMix) {
    const Provisioned other = provision(*cpu_, UnixTime{::time(nullptr)}).value();
    EXPECT_EQ(QuotingEnclave::create(same_cpu(), keys(), other.pck_chain_pem).error().code(),
              inconsistent_keys);
    QuotingKeys mixed = keys();
    mixed.attestation_key = crypto::P256PrivateKey::generate();
    EXPECT_EQ(QuotingEnclave::create(same_cpu(), std::move(mixed), provisioned_->pck_chain_pem)
                  .error()
                  .code(),
              inconsistent_keys);
    mixed = keys();
    mixed.auth_data[0] ^= std::byte{1};
    EXPECT_EQ(QuotingEnclave::create(same_cpu(), std::move(mixed), provisioned_->pck_chain_pem)
                  .error()
                  .code(),
              inconsistent_keys);
}

TEST_F(EmulatedPlatform, RootsDifferByInstallation) {
    const Provisioned other = provision(*cpu_, UnixTime{::time(nullptr)}).value();
    EXPECT_NE(other.root_pem, provisioned_->root_pem);
    const std::vector<Cert> chain = certificates(other.pck_chain_pem);
    const std::vector<Cert> root = certificates(provisioned_->root_pem);
    EXPECT_NE(X509_verify(chain.at(2).get(), X509_get0_pubkey(root.at(0).get())), 1);
}

}  // namespace
}  // namespace eos::emulation::quoting
