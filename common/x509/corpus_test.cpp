// SPDX-License-Identifier: AGPL-3.0-only
// Real certificates, chains and revocation lists of Intel and AMD. They are not part of the tree:
// EOS_EVIDENCE_DIR names the folder; without it these tests are skipped.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "common/base/encoding.h"
#include "common/x509/chain.h"
#include "common/x509/crl.h"
#include "common/x509/openssl_peer_test.h"
#include "common/x509/pem.h"
#include "common/x509/pki_test.h"

namespace eos::x509 {
namespace {

namespace fs = std::filesystem;

fs::path corpus() {
    const char* folder = std::getenv("EOS_EVIDENCE_DIR");
    if (folder != nullptr && *folder != '\0') return folder;
    return fs::path(EOS_SOURCE_DIR) / "../shared/evidence";
}

Bytes read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(std::istreambuf_iterator<char>(file), {});
    return to_bytes(text);
}

class Corpus : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!fs::is_directory(corpus())) GTEST_SKIP() << "skipped: no corpus";
    }
    static Certificate anchor(const std::string& file) {
        return Certificate::parse(read_file(corpus() / "trust-anchors" / file)).value();
    }
};

// Every PEM chain inside a quote, and every PEM file.
std::vector<std::pair<fs::path, Bytes>> chains() {
    constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
    constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
    std::vector<std::pair<fs::path, Bytes>> out;
    for (const auto& entry : fs::recursive_directory_iterator(corpus())) {
        bool is_quote = entry.path().parent_path().filename() == "quotes";
        if (!is_quote && entry.path().extension() != ".pem") continue;
        Bytes bytes = read_file(entry.path());
        std::string_view text = as_chars(bytes);
        std::size_t from = text.find(kBegin);
        std::size_t to = text.rfind(kEnd);
        if (from == std::string_view::npos || to == std::string_view::npos) continue;
        std::string_view chain = text.substr(from, to + kEnd.size() - from);
        std::size_t after = from + chain.size();
        // With the end that the quote really has.
        for (char c : {'\n', '\0'})
            if (after < text.size() && text[after] == c) ++after;
        out.emplace_back(entry.path(), to_bytes(text.substr(from, after - from)));
    }
    return out;
}

// OpenSSL's bits count from the top of each byte.
std::optional<std::uint16_t> openssl_key_usage(X509* certificate) {
    std::uint32_t bits = X509_get_key_usage(certificate);
    if (bits == UINT32_MAX) return {};
    unsigned out = 0;
    if ((bits & KU_DECIPHER_ONLY) != 0) out |= kDecipherOnly;
    for (unsigned n = 0; n < 8; ++n) out |= (bits & 0x80u >> n) != 0 ? 1u << n : 0u;
    return static_cast<std::uint16_t>(out);
}

TEST_F(Corpus, TrustAnchorsAgreeWithOpenSsl) {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(corpus() / "trust-anchors")) {
        if (entry.path().extension() != ".der") continue;
        ++count;
        SCOPED_TRACE(entry.path().filename());
        Bytes der = read_file(entry.path());
        Result<Certificate> ours = Certificate::parse(der);
        ASSERT_TRUE(ours.has_value()) << ours.error().message();
        auto peer = peer::certificate(der);
        EXPECT_EQ(ours->is_ca(), X509_check_ca(peer.get()) == 1);
        EXPECT_EQ(ours->key_usage(), openssl_key_usage(peer.get()));
        EXPECT_EQ(ours->validity().not_before, peer::time(X509_get0_notBefore(peer.get())));
        EXPECT_EQ(ours->validity().not_after, peer::time(X509_get0_notAfter(peer.get())));
        EXPECT_TRUE(equal(ours->spki(), peer::to_der(i2d_PUBKEY, X509_get0_pubkey(peer.get()))));
        EXPECT_EQ(ours->extensions().size(),
                  static_cast<std::size_t>(X509_get_ext_count(peer.get())));
    }
    EXPECT_EQ(count, 16u);
}

TEST_F(Corpus, IntelsCasVerify) {
    const UnixTime time = testing::at("2025-01-01T00:00:00Z");
    std::vector<Certificate> roots = {anchor("intel-sgx-root-ca-2033-sameKey.der"),
                                      anchor("intel-sgx-root-ca-2049.der")};
    ChainOptions ca_options{.leaf_key_usage = kKeyCertSign};
    for (const char* file : {"intel-pck-platform-ca.der", "intel-pck-processor-ca.der"})
        EXPECT_TRUE(verify_chain({anchor(file), {}, roots, time}, ca_options)) << file;
    Certificate signer = anchor("intel-tcb-signing-2018-2025.der");
    EXPECT_TRUE(verify_chain({signer, {}, roots, time}, {}));
    EXPECT_EQ(
        verify_chain({signer, {}, roots, testing::at("2026-01-01T00:00:00Z")}, {}).error().code(),
        expired);
    EXPECT_EQ(verify_chain({anchor("amd-milan-ask.der"), {}, {}, time}, {}).error().code(),
              unknown_issuer);
    std::vector<Certificate> ark = {anchor("amd-milan-ark.der")};
    EXPECT_EQ(verify_chain({anchor("amd-milan-ask.der"), {}, ark, time}, {}).error().code(),
              unsupported_algorithm);
}

TEST_F(Corpus, PckChainsParseAndVerifyAsOpenSslSays) {
    const std::vector<Certificate> roots = {anchor("intel-sgx-root-ca-2033-sameKey.der"),
                                            anchor("intel-sgx-root-ca-2049.der")};
    std::size_t pck_chains = 0;
    std::size_t verified = 0;
    for (const auto& [path, text] : chains()) {
        SCOPED_TRACE(path.lexically_relative(corpus()).string());
        Result<std::vector<Certificate>> chain = parse_pem_chain(text);
        ASSERT_TRUE(chain.has_value()) << chain.error().message();
        for (const Certificate& certificate : *chain)
            EXPECT_NE(peer::certificate(certificate.der()), nullptr);
        const Certificate& leaf = chain->front();
        if (leaf.find_extension(oid::kPckExtension) == nullptr) continue;
        ++pck_chains;
        auto result = verify_chain({leaf, std::span(*chain).subspan(1), roots,
                                    leaf.validity().not_before + kSecondsPerDay},
                                   {});
        verified += result.has_value() ? 1 : 0;
    }
    EXPECT_GT(pck_chains, 40u);
    EXPECT_GT(verified, pck_chains * 3 / 4);
    std::printf("%zu PCK chains, %zu to Intel's root\n", pck_chains, verified);
}

TEST_F(Corpus, IntelsRevocationLists) {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(corpus())) {
        std::string file = entry.path().filename();
        if (!file.ends_with("Crl.der")) continue;
        SCOPED_TRACE(entry.path().lexically_relative(corpus()).string());
        ++count;
        Bytes der = read_file(entry.path());
        Result<Crl> ours = Crl::parse(der);
        ASSERT_TRUE(ours.has_value()) << ours.error().message();
        auto peer = peer::crl(der);
        STACK_OF(X509_REVOKED)* revoked = X509_CRL_get_REVOKED(peer.get());
        int expected = revoked == nullptr ? 0 : sk_X509_REVOKED_num(revoked);
        EXPECT_EQ(ours->revoked().size(), static_cast<std::size_t>(expected));
        EXPECT_EQ(ours->this_update(), peer::time(X509_CRL_get0_lastUpdate(peer.get())));
        EXPECT_EQ(ours->next_update(), peer::time(X509_CRL_get0_nextUpdate(peer.get())));
    }
    EXPECT_EQ(count, 4u);
}

// The lists inside the collateral files: "pck_crl": "<hex>".
TEST_F(Corpus, CollateralRevocationListsVerify) {
    std::map<std::string, Certificate> issuers;
    for (const char* file : {"intel-sgx-root-ca-2049.der", "intel-pck-platform-ca.der",
                             "intel-pck-processor-ca.der"}) {
        Certificate certificate = anchor(file);
        issuers.emplace(certificate.subject().display(), certificate);
    }
    std::size_t count = 0;
    std::size_t entries = 0;
    for (const auto& file : fs::recursive_directory_iterator(corpus())) {
        if (file.path().extension() != ".json" ||
            file.path().parent_path().filename() != "collateral")
            continue;
        Bytes bytes = read_file(file.path());
        std::string_view text = as_chars(bytes);
        for (std::string_view key : {"\"pck_crl\": \"", "\"root_ca_crl\": \""}) {
            std::size_t from = text.find(key);
            if (from == std::string_view::npos) continue;
            from += key.size();
            Result<Bytes> der = from_hex(text.substr(from, text.find('"', from) - from));
            ASSERT_TRUE(der.has_value()) << file.path();
            Result<Crl> crl = Crl::parse(*der);
            ASSERT_TRUE(crl.has_value()) << file.path() << ": " << crl.error().message();
            auto issuer = issuers.find(crl->issuer().display());
            ASSERT_NE(issuer, issuers.end()) << crl->issuer().display();
            auto verdict = crl->verify(issuer->second, crl->this_update() + 1);
            EXPECT_TRUE(verdict.has_value()) << file.path() << ": " << verdict.error().message();
            entries += crl->revoked().size();
            ++count;
        }
    }
    EXPECT_GT(count, 40u);
    EXPECT_GT(entries, 100u);
}

}  // namespace
}  // namespace eos::x509
