// SPDX-License-Identifier: AGPL-3.0-only
// Attestations of a dstack of the tests' own and twins of them, and those that dstack published.
#include "common/ratls/foreign_dstack.h"

#include <gtest/gtest.h>

#include "common/attestation/event_log/replay.h"
#include "common/attestation/evidence/quote.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/ratls/foreign_constellation_test.h"

namespace eos::ratls {
namespace {

namespace event_log = attestation::event_log;
using attestation::testing::corpus;
using attestation::testing::read_file;
using attestation::verify::Verdict;

Bytes length(std::size_t size) {
    Writer out;
    if (size < 1U << 6) {
        out.u8(static_cast<std::uint8_t>(size << 2));
    } else if (size < 1U << 14) {
        out.u16le(static_cast<std::uint16_t>(size << 2 | 1));
    } else {
        out.u32le(static_cast<std::uint32_t>(size << 2 | 2));
    }
    return std::move(out).take();
}

Bytes counted(ByteView content) {
    return concat({length(content.size()), content});
}

/// SHA-512 of "ratls-cert:" and the key of testing::certificate().
ByteArray<64> bound_key() {
    return crypto::sha512({as_bytes("ratls-cert:"), testing::leaf_key().public_key().spki()});
}

constexpr std::uint32_t kRuntimeEvent = 0x08000001;

/// "app-id" with five bytes, "ready" with none, as RTMR3 has them.
ByteArray<48> measured() {
    ByteArray<48> rtmr{};
    for (const char* event : {"app-id:12345", "ready:"}) {
        Writer covered;
        covered.u32le(kRuntimeEvent).text(":").text(event);
        const Bytes digest = crypto::hash(crypto::HashKind::kSha384, covered.view());
        rtmr = to_array<48>(crypto::hash(crypto::HashKind::kSha384, concat({rtmr, digest})));
    }
    return rtmr;
}

Bytes runtime_events() {
    return concat({length(2), counted(as_bytes("app-id")), counted(as_bytes("12345")),
                   counted(as_bytes("ready")), counted({})});
}

/// The other log of a TDX guest: one event of RTMR3 without its digest.
Bytes tdx_log() {
    Writer head;
    head.u32le(3).u32le(kRuntimeEvent);
    return concat({length(1), head.view(), counted({}), counted(as_bytes("app-id")),
                   counted(as_bytes("12345"))});
}

Bytes tdx_quote() {
    attestation::testing::SyntheticIntel intel;
    intel.make_tdx(attestation::evidence::TdReportKind::tdx10);
    intel.td->report_data = bound_key();
    intel.td->rtmr[3] = measured();
    return intel.quote();
}

Bytes snp_report() {
    snp_arch::Report report;
    report.policy.raw = snp_arch::kPolicyMustBeOne;
    report.report_data = bound_key();
    return to_bytes(encode(report));
}

/// An attestation in its parts, for a test to alter.
struct Parts {
    std::uint8_t version = 0;
    std::uint8_t guest = 0;
    Bytes evidence;
    Bytes beside;  ///< log of TDX; certificates and host data's document of SNP
    Bytes events = runtime_events();
    Bytes report_data = to_bytes(bound_key());
    Bytes config = counted(as_bytes("{}"));

    static Parts tdx() { return {.evidence = counted(tdx_quote()), .beside = tdx_log()}; }
    static Parts snp() {
        return {.guest = 3,
                .evidence = counted(snp_report()),
                .beside = concat({length(2), counted(as_bytes("ASK")), counted(as_bytes("VCEK")),
                                  counted(as_bytes(R"({"app_id":""})"))})};
    }

    Bytes bytes() const {
        Writer out;
        out.u8(version).u8(guest).bytes(evidence).bytes(beside).bytes(events).bytes(report_data);
        return to_bytes(out.bytes(config).view());
    }
};

Code refusal(const Parts& parts) {
    const Result<DstackAttestation> out = read_dstack_attestation(parts.bytes());
    return out.has_value() ? Code{} : out.error().code();
}

TEST(ForeignDstack, OfATdxGuestTheQuoteAndWhatRtmr3Holds) {
    const Bytes quote = tdx_quote();
    Parts parts = Parts::tdx();
    for (const std::size_t zeros : {0U, 70U}) {
        Bytes padded = quote;
        padded.resize(quote.size() + zeros);
        parts.evidence = counted(padded);
        const DstackAttestation out = read_dstack_attestation(parts.bytes()).value();
        EXPECT_EQ(out.evidence, quote);
        EXPECT_TRUE(out.certificates.empty());
        ASSERT_EQ(out.runtime_log->events.size(), 2u);
        EXPECT_EQ(out.runtime_log->events[0].name, "app-id");
        EXPECT_EQ(to_string(out.runtime_log->events[0].data), "12345");
        EXPECT_EQ(content_of(out.runtime_log->events[1]), event_log::Content::verified);
        EXPECT_EQ(event_log::replay(*out.runtime_log)[3], measured());
    }
    parts.config = counted(Bytes(20000));  // a length of four bytes
    EXPECT_EQ(refusal(parts), Code{});
}

TEST(ForeignDstack, OfAnSnpGuestTheReportAndItsCertificates) {
    const DstackAttestation out = read_dstack_attestation(Parts::snp().bytes()).value();
    EXPECT_EQ(out.evidence, snp_report());
    EXPECT_EQ(out.certificates, (std::vector{to_bytes("ASK"), to_bytes("VCEK")}));
    EXPECT_FALSE(out.runtime_log.has_value());  // no register holds its events
}

TEST(ForeignDstack, OtherVersionsAndGuestsAreNamedInTheRefusal) {
    const auto why = [](int version, int guest) {
        Parts parts = Parts::tdx();
        parts.version = static_cast<std::uint8_t>(version);
        parts.guest = static_cast<std::uint8_t>(guest);
        const Result<DstackAttestation> out = read_dstack_attestation(parts.bytes());
        EXPECT_FALSE(out.has_value());
        EXPECT_EQ(out.error().code(), unread_foreign_evidence);
        return out.error().detail();
    };
    for (const int map : {0x80, 0x83, 0x8f, 0xde, 0xdf}) {
        EXPECT_NE(why(map, 0).find("MessagePack"), std::string::npos) << map;
    }
    for (const int version : {1, 2, 0x7f, 0x90, 0xff}) {
        EXPECT_NE(why(version, 0).find("version " + std::to_string(version)), std::string::npos);
    }
    EXPECT_NE(why(0, 1).find("Google"), std::string::npos);
    EXPECT_NE(why(0, 2).find("Nitro enclave"), std::string::npos);
    EXPECT_NE(why(0, 4).find("NitroTPM"), std::string::npos);
    EXPECT_NE(why(0, 5).find("kind 5"), std::string::npos);
}

TEST(ForeignDstack, EveryPrefixAndEveryByteMoreIsRefused) {
    for (const Parts& parts : {Parts::tdx(), Parts::snp()}) {
        Bytes whole = parts.bytes();
        ASSERT_TRUE(read_dstack_attestation(whole).has_value());
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const auto cut = read_dstack_attestation(ByteView(whole).first(size));
            ASSERT_FALSE(cut.has_value()) << size;
            EXPECT_EQ(cut.error().code(), bad_foreign_leaf) << size;
        }
        whole.push_back({});
        EXPECT_EQ(read_dstack_attestation(whole).error().code(), bad_foreign_leaf);
    }
}

TEST(ForeignDstack, LengthsHaveOneForm) {
    const auto with_config = [](std::string_view hexadecimal) {
        Parts parts = Parts::snp();
        parts.config = from_hex(hexadecimal).value();
        return refusal(parts);
    };
    EXPECT_EQ(with_config("087b7d"), Code{});
    EXPECT_EQ(with_config("09007b7d"), bad_foreign_leaf);
    EXPECT_EQ(with_config("0a0000007b7d"), bad_foreign_leaf);
    EXPECT_EQ(with_config("03020000007b7d"), bad_foreign_leaf);
    EXPECT_EQ(with_config("feffffff"), bad_foreign_leaf);
    EXPECT_EQ(with_config("fd00" + std::string(2 * 63, '0')), bad_foreign_leaf);
    EXPECT_EQ(with_config("0101" + std::string(2 * 64, '0')), Code{});
    EXPECT_EQ(with_config("fdff" + std::string(2 * 16383, '0')), Code{});
    EXPECT_EQ(with_config("feff0000" + std::string(2 * 16383, '0')), bad_foreign_leaf);
    EXPECT_EQ(with_config("02000100" + std::string(2 * 16384, '0')), Code{});
}

TEST(ForeignDstack, ItAgreesWithItsOwnQuote) {
    for (const Parts& good : {Parts::tdx(), Parts::snp()}) {
        for (const std::size_t at : {0U, 63U}) {
            Parts other = good;
            other.report_data[at] ^= std::byte{1};
            EXPECT_EQ(refusal(other), bad_foreign_leaf);
        }
    }
    // Each kind of guest with the other's evidence; an SGX quote; bytes behind a quote.
    Parts swapped = Parts::tdx();
    swapped.evidence = Parts::snp().evidence;
    EXPECT_EQ(refusal(swapped), bad_foreign_leaf);
    swapped = Parts::snp();
    swapped.evidence = Parts::tdx().evidence;
    EXPECT_EQ(refusal(swapped), bad_foreign_leaf);
    swapped = Parts::tdx();
    attestation::testing::SyntheticIntel sgx;
    sgx.report.report_data = bound_key();
    swapped.evidence = counted(sgx.quote());
    EXPECT_EQ(refusal(swapped), bad_foreign_leaf);
    swapped.evidence = counted(concat({tdx_quote(), as_bytes("x")}));
    EXPECT_EQ(refusal(swapped), bad_foreign_leaf);
}

TEST(ForeignDstack, CountsAndNamesAreBounded) {
    Parts large = Parts::snp();
    const std::size_t rest = large.bytes().size() - large.config.size() + 4;
    large.config = counted(Bytes(kMaxForeignEvidenceBytes - rest));
    EXPECT_EQ(refusal(large), Code{});
    large.config = counted(Bytes(kMaxForeignEvidenceBytes - rest + 1));
    EXPECT_EQ(refusal(large), bad_foreign_leaf);
    Parts parts = Parts::snp();
    const Bytes name(event_log::kMaxEventNameBytes + 1);
    parts.events = concat({length(1), counted(ByteView(name).first(name.size() - 1)), counted({})});
    EXPECT_EQ(refusal(parts), Code{});
    parts.events = concat({length(1), counted(name), counted({})});
    EXPECT_EQ(refusal(parts), bad_foreign_leaf);
    parts.events = concat({length(event_log::kMaxEvents), Bytes(2 * event_log::kMaxEvents)});
    EXPECT_EQ(refusal(parts), Code{});
    parts.events =
        concat({length(event_log::kMaxEvents + 1), Bytes(2 * event_log::kMaxEvents + 2)});
    EXPECT_EQ(refusal(parts), bad_foreign_leaf);
    parts = Parts::snp();
    parts.beside = concat({length(16), Bytes(16), counted({})});
    EXPECT_EQ(refusal(parts), Code{});
    parts.beside = concat({length(17), Bytes(17), counted({})});
    EXPECT_EQ(refusal(parts), bad_foreign_leaf);
}

x509::Extension extension(ByteView attestation) {
    x509::DerWriter inner;
    inner.octet_string(attestation);
    return {oid::kDstackAttestation, x509::Critical::kNo, to_bytes(inner.view())};
}

TEST(ForeignDstack, ACertificatesKeyIsBound) {
    const ForeignLeaf tdx =
        read_foreign_leaf(testing::certificate({extension(Parts::tdx().bytes())})).value();
    EXPECT_TRUE(attestation::evidence::parse_quote(tdx.quote).has_value());
    EXPECT_EQ(tdx.binding.format, ForeignFormat::dstack);
    EXPECT_TRUE(tdx.runtime_log.has_value());
    const ForeignLeaf snp =
        read_foreign_leaf(testing::certificate({extension(Parts::snp().bytes())})).value();
    EXPECT_EQ(snp.quote, snp_report());
    EXPECT_EQ(snp.certificates.size(), 2u);
    for (const ForeignLeaf& leaf : {tdx, snp}) {
        EXPECT_EQ(leaf.binding.report_data, bound_key());
        EXPECT_EQ(check_foreign_binding(leaf, bound_key()).verdict, Verdict::pass);
        ByteArray<64> other = bound_key();
        other[63] ^= std::byte{1};
        EXPECT_EQ(check_foreign_binding(leaf, other).verdict, Verdict::fail);
    }
}

TEST(ForeignDstack, ExtensionsAreStrict) {
    const auto code = [](const std::vector<x509::Extension>& extensions) {
        const Result<ForeignLeaf> leaf = read_foreign_leaf(testing::certificate(extensions));
        return leaf.has_value() ? Code{} : leaf.error().code();
    };
    const x509::Extension good = extension(Parts::snp().bytes());
    EXPECT_EQ(code({good}), Code{});
    x509::Extension longer = good;
    longer.value.push_back({});
    EXPECT_EQ(code({longer}), bad_foreign_leaf);
    x509::Extension bare = good;
    bare.value = Parts::snp().bytes();
    EXPECT_EQ(code({bare}), bad_foreign_leaf);
    Parts message_pack = Parts::snp();
    message_pack.version = 0x83;
    EXPECT_EQ(code({extension(message_pack.bytes())}), unread_foreign_evidence);
    x509::DerWriter quote;
    quote.octet_string(tdx_quote());
    EXPECT_EQ(code({good, {oid::kDstackQuote, x509::Critical::kNo, to_bytes(quote.view())}}),
              bad_foreign_leaf);
}

TEST(ForeignDstack, PublishedAttestations) {
    const std::filesystem::path dstack = corpus() / "dstack";
    if (!std::filesystem::exists(dstack)) GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    const Bytes tdx = read_file(dstack / "orig/attestation.bin");
    const DstackAttestation guest = read_dstack_attestation(tdx).value();
    const Bytes quote = read_file(dstack / "quotes/0c699dd4533f.tdx4.bin");
    EXPECT_EQ(guest.evidence, to_bytes(attestation::evidence::without_padding(quote)));
    const auto parsed = attestation::evidence::parse_quote(guest.evidence).value();
    const auto& report = std::get<attestation::evidence::TdxQuote>(parsed.quote()).report;
    EXPECT_EQ(event_log::replay(*guest.runtime_log)[3], report.rtmr[3]);
    EXPECT_EQ(guest.runtime_log->events.size(), 9u);
    const DstackAttestation snp =
        read_dstack_attestation(read_file(dstack / "orig/sev_snp_attestation.bin")).value();
    EXPECT_EQ(snp.evidence, read_file(dstack / "snp/snp3-milan-dstack.report.bin"));
    EXPECT_TRUE(snp.certificates.empty());
}

}  // namespace
}  // namespace eos::ratls
