// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/pem.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/x509/openssl_peer_test.h"
#include "common/x509/pki_test.h"

namespace eos::x509 {
namespace {

using testing::Pki;

std::string openssl_pem(const Certificate& certificate) {
    peer::Handle<BIO> bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(bio.get(), peer::certificate(certificate.der()).get());
    char* data = nullptr;
    long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<std::size_t>(size));
}

TEST(Pem, WritesWhatOpenSslWrites) {
    Certificate root = Pki().root();
    EXPECT_EQ(encode_pem("CERTIFICATE", root.der()), openssl_pem(root));
}

TEST(Pem, RoundTripsEverySize) {
    for (std::size_t size = 1; size < 200; ++size) {
        std::string text = encode_pem("DATA", Bytes(size, std::byte{0xa5}));
        std::vector<PemBlock> blocks = parse_pem(text, {}).value();
        ASSERT_EQ(blocks.size(), 1u);
        EXPECT_EQ(blocks[0].label, "DATA");
        EXPECT_EQ(blocks[0].der, Bytes(size, std::byte{0xa5}));
    }
}

TEST(Pem, SeveralBlocksInOrder) {
    std::string text = encode_pem("A", Bytes(1)) + "\n" + encode_pem("B", Bytes(2));
    std::vector<PemBlock> blocks = parse_pem(text, {}).value();
    ASSERT_EQ(blocks.size(), 2u);
    EXPECT_EQ(blocks[1].label, "B");
    EXPECT_EQ(blocks[1].der.size(), 2u);
    EXPECT_EQ(parse_pem(text, {.label = "A"}).error().code(), bad_pem);
    EXPECT_EQ(parse_pem(text, {.max_blocks = 1}).error().code(), too_many);
    EXPECT_EQ(parse_pem("note\n" + text, {}).error().code(), bad_pem);
    EXPECT_EQ(parse_pem("note\n" + text, {.outside = PemOutside::kAnyText})->size(), 2u);
}

TEST(Pem, LineEnds) {
    std::string text = encode_pem("A", Bytes(100, std::byte{1}));
    std::string windows;
    for (char c : text) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
    EXPECT_EQ(parse_pem(windows, {}).value()[0].der, Bytes(100, std::byte{1}));
    EXPECT_TRUE(parse_pem(text.substr(0, text.size() - 1), {}).has_value());
}

TEST(Pem, Twins) {
    auto code = [](const std::string& text) {
        auto result = parse_pem(text, {});
        EXPECT_FALSE(result.has_value()) << text;
        return result ? Code{} : result.error().code();
    };
    const std::string begin = "-----BEGIN A-----\n";
    const std::string end = "-----END A-----\n";
    EXPECT_TRUE(parse_pem(begin + "AAAA\n" + end, {}).has_value());
    EXPECT_EQ(code(""), bad_pem);
    EXPECT_EQ(code("\n \n"), bad_pem);
    EXPECT_EQ(code(begin), bad_pem);
    EXPECT_EQ(code(begin + "AAAA\n"), bad_pem);
    EXPECT_EQ(code(begin + "AAAA\n-----END B-----\n"), bad_pem);
    EXPECT_EQ(code(begin + "AAAA\n" + begin + "AAAA\n" + end), bad_pem);
    EXPECT_EQ(code(begin + "\nAAAA\n" + end), bad_pem);
    EXPECT_EQ(code(begin + std::string(80, 'A') + "\n" + end), bad_pem);
    EXPECT_EQ(code(begin + "AAA\n" + end), bad_encoding);
    EXPECT_EQ(code(begin + "AA=A\n" + end), bad_encoding);
    EXPECT_EQ(code(begin + "AA==\nAAAA\n" + end), bad_encoding);
    EXPECT_EQ(code(begin + "AA A\n" + end), bad_encoding);
    EXPECT_EQ(code(begin + "AAAB==\n" + end), bad_encoding);
    EXPECT_EQ(code(begin + "Proc-Type: 4,ENCRYPTED\nAAAA\n" + end), bad_encoding);
    EXPECT_EQ(code("-----BEGIN -----\nAAAA\n-----END -----\n"), bad_pem);
    EXPECT_EQ(code("-----BEGIN A----\nAAAA\n" + end), bad_pem);
    EXPECT_EQ(code(std::string(kMaxPemBytes + 1, '\n')), too_large);
}

TEST(Pem, PckChainEnds) {
    Pki pki;
    Certificate root = pki.root();
    Certificate intermediate = pki.intermediate(root);
    Certificate leaf = pki.leaf(intermediate);
    std::string text = openssl_pem(leaf) + openssl_pem(intermediate) + openssl_pem(root);
    auto parse = [](const std::string& chain) { return parse_pem_chain(as_bytes(chain)); };

    for (const std::string& variant : {text, text + '\0', text.substr(0, text.size() - 1)}) {
        std::vector<Certificate> chain = parse(variant).value();
        ASSERT_EQ(chain.size(), 3u);
        EXPECT_EQ(chain[0], leaf);
        EXPECT_EQ(chain[2], root);
    }
    EXPECT_EQ(parse(text + std::string(2, 0)).error().code(), bad_pem);
    EXPECT_EQ(parse(text + std::string(1, 0) + "\n").error().code(), bad_pem);
    EXPECT_EQ(parse(std::string(1, 0) + text).error().code(), bad_pem);
    EXPECT_EQ(parse("").error().code(), bad_pem);
    EXPECT_EQ(parse(std::string(1, 0)).error().code(), bad_pem);
    // As in sgx-steward-unknown: no line feed between two blocks.
    std::string joined = openssl_pem(leaf);
    joined.pop_back();
    EXPECT_EQ(parse(joined + openssl_pem(root)).value()[1], root);
    EXPECT_EQ(parse(joined + "x" + openssl_pem(root)).error().code(), bad_pem);
    EXPECT_EQ(parse(joined + "-----BEGIN ").error().code(), bad_pem);
    EXPECT_EQ(parse("junk\n" + text).error().code(), bad_pem);
    std::string nine;
    for (int i = 0; i < 9; ++i) nine += openssl_pem(root);
    EXPECT_EQ(parse(nine).error().code(), too_many);
    // Intel's TDX sample has concatenated DER where the chain should be.
    EXPECT_EQ(parse_pem_chain(concat({root.der(), leaf.der()})).error().code(), bad_pem);
    EXPECT_EQ(parse(encode_pem("CERTIFICATE", Bytes(3))).error().code(), unexpected_tag);
}

TEST(Pem, CaFilesMayHaveNotes) {
    Pki pki;
    std::string text = "# our root\n" + openssl_pem(pki.root()) + "\nthe end";
    EXPECT_EQ(parse_pem_certificates(text).value().size(), 1u);
    EXPECT_EQ(parse_pem_certificates("nothing here").error().code(), bad_pem);
}

}  // namespace
}  // namespace eos::x509
