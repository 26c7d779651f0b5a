// SPDX-License-Identifier: AGPL-3.0-only
// Certificates that other projects published, and twins of them: NEGATIVE-MUTATIONS, 8.
#include "common/ratls/foreign_leaf.h"

#include <gtest/gtest.h>

#include "common/attestation/evidence/quote.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/ratls/cbor_reader.h"
#include "common/x509/builder.h"
#include "common/x509/pem.h"

namespace eos::ratls {
namespace {

using attestation::testing::corpus;
using attestation::testing::read_file;
using attestation::verify::Verdict;

struct Published {
    const char* file;
    ForeignFormat format;
};
const Published kPublished[] = {
    {"interoperable-ra-tls/ra-tls/intel-sgxsdk-cert.pem", ForeignFormat::dice_tagged},
    {"interoperable-ra-tls/ra-tls/rats-tls-cert.pem", ForeignFormat::dice_tagged},
    {"rats-tls/ra-tls/rats-tls-cert-openssl-sample.pem", ForeignFormat::rats_tls_2020},
    {"CCF/ra-tls/maa-nested-cert.der", ForeignFormat::open_enclave}};

x509::Certificate certificate(const char* file) {
    Bytes bytes = read_file(corpus() / file);
    if (!as_chars(bytes).starts_with("-----")) return x509::Certificate::parse(bytes).value();
    return x509::parse_pem_certificates(as_chars(bytes)).value().front();
}

ByteArray<64> report_data_of(const Bytes& quote) {
    auto parsed = attestation::evidence::parse_quote(quote);
    EXPECT_TRUE(parsed.has_value()) << parsed.error().message();
    return std::get<attestation::evidence::SgxQuote>(parsed->quote()).report.report_data;
}

TEST(ForeignLeaf, PublishedCertificatesAreBound) {
    if (!std::filesystem::exists(corpus() / "index.json")) {
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    }
    for (const Published& published : kPublished) {
        SCOPED_TRACE(published.file);
        Result<ForeignLeaf> leaf = read_foreign_leaf(certificate(published.file));
        ASSERT_TRUE(leaf.has_value()) << leaf.error().message();
        EXPECT_EQ(leaf->binding.format, published.format);
        ByteArray<64> found = report_data_of(leaf->quote);
        EXPECT_EQ(check_foreign_binding(*leaf, found).verdict, Verdict::pass);
        // P05: all 64 bytes count.
        found[63] ^= std::byte{1};
        EXPECT_EQ(check_foreign_binding(*leaf, found).verdict, Verdict::fail);
        EXPECT_EQ(check_foreign_binding(*leaf, {}).verdict, Verdict::fail);
    }
}

const crypto::P256PrivateKey& key() {
    static const crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    return key;
}

/// A self-signed certificate with these extensions.
x509::Certificate with(std::vector<x509::Extension> extensions) {
    x509::DistinguishedName name = x509::DistinguishedName::common_name("foreign").value();
    x509::CertificateDraft draft({.serial = x509::Serial::random(),
                                  .issuer = name.der(),
                                  .validity = {UnixTime{0}, UnixTime{1}},
                                  .subject = name.der(),
                                  .spki = key().public_key().spki()});
    for (const x509::Extension& extension : extensions) draft.add(extension);
    return x509::Certificate::parse(draft.sign(key())).value();
}

x509::Extension extension(const oid::Oid& oid, Bytes value) {
    return {oid, x509::Critical::kNo, std::move(value)};
}

/// A head of a CBOR item below 2^16.
void head(Writer& out, unsigned major, std::size_t value) {
    if (value < 24) {
        out.u8(static_cast<std::uint8_t>(major << 5 | value));
    } else if (value < 256) {
        out.u8(static_cast<std::uint8_t>(major << 5 | 24)).u8(static_cast<std::uint8_t>(value));
    } else {
        out.u8(static_cast<std::uint8_t>(major << 5 | 25)).u16be(static_cast<std::uint16_t>(value));
    }
}
void string(Writer& out, unsigned major, ByteView value) {
    head(out, major, value.size());
    out.bytes(value);
}

/// {"pubkey-hash": << [1, hash] >>}.
Bytes claims_for(ByteView hash) {
    Writer inner;
    head(inner, 4, 2);
    head(inner, 0, 1);
    string(inner, 2, hash);
    Writer out;
    head(out, 5, 1);
    string(out, 3, as_bytes("pubkey-hash"));
    string(out, 2, inner.view());
    return std::move(out).take();
}

/// 60000(["quote", claims]).
Bytes tagged(ByteView claims, unsigned tag = 60000, std::size_t items = 2) {
    Writer out;
    head(out, 6, tag);
    head(out, 4, items);
    string(out, 2, as_bytes("quote"));
    string(out, 2, claims);
    return std::move(out).take();
}

Code refusal(std::vector<x509::Extension> extensions) {
    Result<ForeignLeaf> leaf = read_foreign_leaf(with(std::move(extensions)));
    return leaf.has_value() ? Code{} : leaf.error().code();
}
Code dice_refusal(Bytes value) {
    return refusal({extension(oid::kDiceTaggedEvidence, std::move(value))});
}

Bytes good_claims() {
    return claims_for(crypto::sha256(key().public_key().spki()));
}

TEST(ForeignLeaf, TaggedEvidenceNamesTheKey) {
    ForeignLeaf leaf =
        read_foreign_leaf(with({extension(oid::kDiceTaggedEvidence, tagged(good_claims()))}))
            .value();
    EXPECT_EQ(to_string(leaf.quote), "quote");
    ByteArray<64> expected{};
    std::ranges::copy(crypto::sha256(good_claims()), expected.begin());
    EXPECT_EQ(leaf.binding.report_data, expected);
    // The claims' own hash is right, and they name another key.
    EXPECT_EQ(dice_refusal(tagged(claims_for(crypto::sha256(as_bytes("other"))))),
              bad_foreign_leaf);
    EXPECT_EQ(dice_refusal(tagged(claims_for({}))), bad_foreign_leaf);
}

// R05.
TEST(ForeignLeaf, MalformedCborIsRefused) {
    Bytes good = tagged(good_claims());
    for (std::size_t size = 0; size < good.size(); ++size) {
        EXPECT_EQ(dice_refusal(to_bytes(ByteView(good).first(size))), bad_foreign_leaf) << size;
    }
    Bytes longer = good;
    longer.push_back({});
    EXPECT_EQ(dice_refusal(longer), bad_foreign_leaf);
    EXPECT_EQ(dice_refusal(tagged(good_claims(), 60001)), bad_foreign_leaf);
    EXPECT_EQ(dice_refusal(tagged(good_claims(), 60000, 3)), bad_foreign_leaf);
    EXPECT_EQ(dice_refusal(tagged(good_claims(), 60000, 1)), bad_foreign_leaf);
    Bytes indefinite = good;
    indefinite[3] = std::byte{0x9f};  // behind the tag's three bytes
    EXPECT_EQ(dice_refusal(indefinite), bad_foreign_leaf);
    EXPECT_EQ(dice_refusal(tagged(to_bytes(std::string_view("\xa0", 1)))), bad_foreign_leaf);
    Bytes twice = good_claims();  // the same claim in two entries
    Bytes entry = to_bytes(ByteView(twice).subspan(1));
    twice[0] = std::byte{0xa2};
    append(twice, entry);
    EXPECT_EQ(dice_refusal(tagged(twice)), bad_foreign_leaf);
}

TEST(CborReader, TakesOneEncodingOnly) {
    auto number = [](std::string_view hex_text) {
        Bytes bytes = from_hex(hex_text).value();
        CborReader in(bytes);
        return in.number();
    };
    EXPECT_EQ(number("17").value(), 23u);
    EXPECT_EQ(number("1818").value(), 24u);
    EXPECT_EQ(number("1b0000000100000000").value(), 0x100000000u);
    for (const char* bad :
         {"", "18", "1817", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1c", "1f", "20", "41"}) {
        Result<std::uint64_t> value = number(bad);
        ASSERT_FALSE(value.has_value()) << bad;
        EXPECT_EQ(value.error().code(), bad_cbor) << bad;
    }
    Bytes huge = from_hex("5bffffffffffffffff00").value();
    EXPECT_EQ(CborReader(huge).bytes().error().code(), bad_cbor);
}

// R03, R04, R07, R09.
TEST(ForeignLeaf, EachFormatHasItsIdentifierAndItsHash) {
    EXPECT_EQ(refusal({}), no_foreign_evidence);
    EXPECT_EQ(refusal({extension(oid::kGramineLegacy, to_bytes("quote")),
                       extension(oid::kDiceTaggedEvidence, tagged(good_claims()))}),
              Code{});
    EXPECT_EQ(refusal({extension(oid::kGramineLegacy, to_bytes("another")),
                       extension(oid::kDiceTaggedEvidence, tagged(good_claims()))}),
              bad_foreign_leaf);
    EXPECT_EQ(refusal({extension(oid::kDiceTaggedEvidence, tagged(good_claims())),
                       extension(oid::kPckExtension, to_bytes("quote"))}),
              Code{});
    EXPECT_EQ(refusal({extension(oid::kDiceTaggedEvidence, tagged(good_claims())),
                       extension(oid::kPckExtension, to_bytes("another"))}),
              bad_foreign_leaf);
    // A raw quote where a wrapper belongs, an empty one, an EC key where the format has RSA.
    EXPECT_EQ(refusal({extension(oid::kOeReport, to_bytes("quote"))}), bad_foreign_leaf);
    EXPECT_EQ(refusal({extension(oid::kOeReport, {})}), bad_foreign_leaf);
    EXPECT_EQ(refusal({extension(oid::kDstackQuote, to_bytes("quote"))}), bad_foreign_leaf);
    EXPECT_EQ(refusal({extension(oid::kRatsTlsLegacy, to_bytes("quote"))}), bad_foreign_leaf);
    EXPECT_EQ(refusal({extension(oid::kGramineLegacy, Bytes(60 * 1024))}), Code{});

    x509::DerWriter inner;
    inner.octet_string(as_bytes("quote"));
    ForeignLeaf dstack =
        read_foreign_leaf(with({extension(oid::kDstackQuote, to_bytes(inner.view()))})).value();
    EXPECT_EQ(to_string(dstack.quote), "quote");
    ForeignLeaf gramine =
        read_foreign_leaf(with({extension(oid::kGramineLegacy, to_bytes("quote"))})).value();
    EXPECT_NE(gramine.binding.report_data, dstack.binding.report_data);
    EXPECT_TRUE(all_zero(ByteView(gramine.binding.report_data).last(32)));
}

ByteArray<64> half(ByteView digest) {
    ByteArray<64> out{};
    std::ranges::copy(digest, out.begin());
    return out;
}
ByteArray<64> key_hash() {
    return half(crypto::sha256(key().public_key().spki()));
}

/// A quote of a synthetic platform with this report data and measurement.
Bytes sgx_quote(const ByteArray<64>& report_data, unsigned measurement = 1) {
    attestation::testing::SyntheticIntel intel;
    intel.report.report_data = report_data;
    intel.report.mr_enclave[0] = std::byte(measurement);
    return intel.quote();
}

/// 60000([quote, claims]).
Bytes tagged_quote(ByteView quote) {
    Writer out;
    head(out, 6, 60000);
    head(out, 4, 2);
    string(out, 2, quote);
    string(out, 2, good_claims());
    return std::move(out).take();
}

TEST(ForeignLeaf, GramineWritesBothAndTheTaggedOneCounts) {
    const ByteArray<64> claimed = half(crypto::sha256(good_claims()));
    const Bytes tagged_evidence = tagged_quote(sgx_quote(claimed));
    auto pair = [&](Bytes legacy) {
        return std::vector{extension(oid::kGramineLegacy, std::move(legacy)),
                           extension(oid::kDiceTaggedEvidence, tagged_evidence)};
    };
    std::vector<x509::Extension> good = pair(sgx_quote(key_hash()));
    for (int order = 0; order < 2; ++order) {
        ForeignLeaf leaf = read_foreign_leaf(with(good)).value();
        EXPECT_EQ(leaf.binding.format, ForeignFormat::dice_tagged);
        EXPECT_EQ(check_foreign_binding(leaf, report_data_of(leaf.quote)).verdict, Verdict::pass);
        std::swap(good[0], good[1]);
    }
    EXPECT_EQ(refusal(pair(sgx_quote(claimed))), bad_foreign_leaf);  // not bound by its own rule
    EXPECT_EQ(refusal(pair(sgx_quote({}))), bad_foreign_leaf);
    EXPECT_EQ(refusal(pair(sgx_quote(key_hash(), 2))), bad_foreign_leaf);  // another enclave
    Bytes shorter = sgx_quote(key_hash());
    shorter.pop_back();
    EXPECT_EQ(refusal(pair(std::move(shorter))), bad_foreign_leaf);
    EXPECT_EQ(refusal({good[0], extension(oid::kDiceTaggedEvidence, tagged_quote(sgx_quote({})))}),
              bad_foreign_leaf);
    // A third, and any other two.
    good.push_back(extension(oid::kRatsTlsLegacy, sgx_quote(key_hash())));
    EXPECT_EQ(refusal(good), bad_foreign_leaf);
    x509::DerWriter dstack;
    dstack.octet_string(sgx_quote(key_hash()));
    EXPECT_EQ(refusal({extension(oid::kDstackQuote, to_bytes(dstack.view())),
                       extension(oid::kDiceTaggedEvidence, tagged_evidence)}),
              bad_foreign_leaf);
}

TEST(ForeignLeaf, DstackLeavesZerosBehindTheQuote) {
    attestation::testing::SyntheticIntel intel;
    intel.make_tdx(attestation::evidence::TdReportKind::tdx10);
    const Bytes quote = intel.quote();
    auto read = [](const Bytes& content) {
        x509::DerWriter inner;
        inner.octet_string(content);
        return read_foreign_leaf(with({extension(oid::kDstackQuote, to_bytes(inner.view()))}))
            .value()
            .quote;
    };
    EXPECT_EQ(read(quote), quote);
    Bytes padded = quote;
    padded.resize(quote.size() + 70);
    EXPECT_EQ(read(padded), quote);
    padded.back() = std::byte{1};  // left as it is, for the parser of quotes to refuse
    EXPECT_EQ(read(padded), padded);
    const Bytes cut = to_bytes(ByteView(quote).first(quote.size() - 1));
    EXPECT_EQ(read(cut), cut);
}

TEST(ForeignLeaf, UnderOpenEnclavesNumberEgoHashesTheKeyItself) {
    auto report = [](ByteView quote) {
        Writer out;
        out.u32le(1).u32le(2).u64le(quote.size()).bytes(quote);
        return extension(oid::kOeReport, std::move(out).take());
    };
    ForeignLeaf leaf = read_foreign_leaf(with({report(as_bytes("quote"))})).value();
    Bytes pem = to_bytes(x509::encode_pem("PUBLIC KEY", key().public_key().spki()));
    pem.push_back({});
    const attestation::verify::Check oe = check_foreign_binding(leaf, half(crypto::sha256(pem)));
    EXPECT_EQ(oe.verdict, Verdict::pass);
    EXPECT_EQ(oe.notes, std::vector<std::string>{"open-enclave"});
    const attestation::verify::Check ego = check_foreign_binding(leaf, key_hash());
    EXPECT_EQ(ego.verdict, Verdict::pass);
    EXPECT_EQ(ego.notes, std::vector<std::string>{"ego"});
    pem.pop_back();  // without its NUL
    EXPECT_EQ(check_foreign_binding(leaf, half(crypto::sha256(pem))).verdict, Verdict::fail);
    ByteArray<64> longer = key_hash();
    longer[63] = std::byte{1};
    EXPECT_EQ(check_foreign_binding(leaf, longer).verdict, Verdict::fail);
    // Nobody else has two rules.
    ForeignLeaf gramine =
        read_foreign_leaf(with({extension(oid::kGramineLegacy, to_bytes("quote"))})).value();
    EXPECT_FALSE(gramine.or_binding.has_value());
}

struct OeEvidence {
    std::uint32_t version = 3;
    std::string_view format = "a3a21e871b4d4014b70aa125d2fbcd8c";
    Bytes quote = sgx_quote({});
    Bytes claims = to_bytes(x509::encode_pem("PUBLIC KEY", key().public_key().spki()) + '\0');
    std::uint64_t more = 0;

    Bytes bytes() const {
        Writer out;
        out.u32le(version).bytes(from_hex(format).value()).u32le(0xdeadbeef);
        out.u64le(quote.size() + claims.size() + more).bytes(quote).bytes(claims);
        return std::move(out).take();
    }
};

TEST(ForeignLeaf, OpenEnclavesEvidenceEndsWithTheKey) {
    const OeEvidence good;
    for (const oid::Oid& oid : {oid::kOeEvidence, oid::kOeEvidenceOld}) {
        ForeignLeaf leaf = read_foreign_leaf(with({extension(oid, good.bytes())})).value();
        EXPECT_EQ(leaf.quote, good.quote);
        EXPECT_EQ(leaf.binding.format, ForeignFormat::open_enclave_evidence);
        EXPECT_EQ(leaf.binding.report_data, half(crypto::sha256(good.claims)));
        EXPECT_FALSE(leaf.or_binding.has_value());
    }
    auto code = [](const OeEvidence& evidence) {
        return refusal({extension(oid::kOeEvidence, evidence.bytes())});
    };
    OeEvidence other;
    other.claims[30] ^= std::byte{1};
    EXPECT_EQ(code(other), bad_foreign_leaf);
    other.claims.clear();
    EXPECT_EQ(code(other), bad_foreign_leaf);
    EXPECT_EQ(code({.version = 2}), unread_foreign_evidence);
    EXPECT_EQ(code({.format = "09268c336e0b45e58a2715644d0ef89a"}), unread_foreign_evidence);
    EXPECT_EQ(code({.more = 1}), bad_foreign_leaf);
    OeEvidence cut;
    cut.quote.resize(500);
    EXPECT_EQ(code(cut), bad_foreign_leaf);
    const Bytes whole = good.bytes();
    for (std::size_t size : {0, 3, 31, 32, 467, 468, 600}) {
        EXPECT_EQ(refusal({extension(oid::kOeEvidence, to_bytes(ByteView(whole).first(size)))}),
                  bad_foreign_leaf)
            << size;
    }
}

}  // namespace
}  // namespace eos::ratls
