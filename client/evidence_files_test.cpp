// SPDX-License-Identifier: AGPL-3.0-only
#include "client/evidence_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/files.h"
#include "client/platform_needs.h"
#include "common/attestation/evidence/quote.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/ratls/foreign_constellation_test.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

/// A quote whose frame is sound, and whose last bytes are zeros of its own.
Bytes quote() {
    const std::string chain("pem\0\0", 5);
    Writer auth;
    auth.zeros(64 + 64 + 384 + 64 + 2).u16le(5).u32le(static_cast<std::uint32_t>(chain.size()));
    auth.text(chain);
    Writer out;
    out.u16le(3).u16le(2).u32le(0).zeros(4).bytes(attestation::evidence::kIntelQeVendorId);
    out.zeros(20 + 384).u32le(static_cast<std::uint32_t>(auth.size())).bytes(auth.view());
    return std::move(out).take();
}

Bytes padded(Bytes bytes, std::size_t count) {
    bytes.resize(bytes.size() + count);
    return bytes;
}

Bytes framed(std::uint32_t kind, std::uint64_t size, ByteView report) {
    Writer out;
    out.u32le(1).u32le(kind).u64le(size).bytes(report);
    return std::move(out).take();
}

void expect(const Bytes& file, const std::string& taken_off) {
    const EvidenceFile out = unwrap_evidence(file);
    EXPECT_EQ(out.bytes, quote()) << taken_off;
    EXPECT_EQ(out.taken_off, taken_off);
}

void expect_untouched(const Bytes& file) {
    const EvidenceFile out = unwrap_evidence(file);
    EXPECT_EQ(out.bytes, file);
    EXPECT_EQ(out.taken_off, "");
}

std::string upper(std::string text) {
    for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return text;
}

TEST(UnwrapEvidence, TakesOffWhatIsAroundAQuote) {
    ASSERT_TRUE(attestation::evidence::parse_quote(quote()).has_value());
    expect(quote(), "");
    expect(padded(quote(), 70), "70 bytes of zero padding");
    expect(to_bytes(hex(quote())), "hexadecimal text");
    expect(to_bytes("0x" + upper(hex(quote())) + "\r\n"), "hexadecimal text");
    expect(to_bytes(base64(quote()) + "\n"), "base64 text");
    std::string lines = base64(quote());
    for (std::size_t at = 76; at < lines.size(); at += 77) lines.insert(at, "\n");
    expect(to_bytes(lines), "base64 text");
    expect(framed(2, quote().size(), quote()), "Open Enclave's header");
    expect(to_bytes(hex(padded(framed(2, quote().size(), quote()), 3))),
           "hexadecimal text, Open Enclave's header");
    expect(to_bytes(base64(padded(quote(), 3064))), "base64 text, 3064 bytes of zero padding");
}

TEST(UnwrapEvidence, Base64urlIsReadWithAndWithoutItsPadding) {
    // 0xfb 0xff is "-_8": in the other alphabet it would be "+/8".
    const Bytes bytes{std::byte{0x03}, std::byte{0xfb}, std::byte{0xff}, std::byte{0xff}};
    const std::string text = base64url(bytes);
    ASSERT_NE(text.find_first_of("-_"), text.npos);
    for (const char* end : {"", "==", "\n"}) {
        const EvidenceFile out = unwrap_evidence(to_bytes(text + end));
        EXPECT_EQ(out.bytes, bytes);
        EXPECT_EQ(out.taken_off, "base64url text");
    }
}

TEST(UnwrapEvidence, LeavesEverythingElseAlone) {
    Bytes altered = padded(quote(), 70);
    altered.back() = std::byte{1};
    expect_untouched(altered);
    altered = quote();
    altered.pop_back();
    expect_untouched(altered);
    expect_untouched({});
    expect_untouched(Bytes(1184));
    expect_untouched(to_bytes("-----BEGIN CERTIFICATE-----\n"));
    expect_untouched(to_bytes("{\"quote\": \"00\"}"));
    expect_untouched(to_bytes("not evidence!"));
    const std::uint64_t size = quote().size();
    expect_untouched(framed(0, size, quote()));
    expect_untouched(framed(3, size, quote()));
    expect_untouched(framed(2, size + 1, quote()));
    expect_untouched(framed(2, size - 1, Bytes(size, std::byte{7})));
    expect_untouched(framed(2, 0, {}));
    expect_untouched(framed(2, ~std::uint64_t{0}, quote()));
}

/// Claims as Open Enclave writes them.
Bytes claims() {
    Writer out;
    out.u64le(1).u64le(2);
    for (const std::string_view name : {"pk", "other"}) {
        out.u64le(name.size()).u64le(32).text(name).bytes(Bytes(32, std::byte{7}));
    }
    return std::move(out).take();
}

TEST(UnwrapEvidence, TakesOffClaimsThatTheReportDataBinds) {
    attestation::testing::SyntheticIntel intel;
    const Bytes tail = claims();
    intel.report.report_data = ratls::testing::report_data(crypto::sha256(tail));
    const Bytes quote = intel.quote();
    Bytes file = quote;
    append(file, tail);
    EXPECT_EQ(unwrap_evidence(file).bytes, quote);
    EXPECT_THAT(unwrap_evidence(file).taken_off, ::testing::HasSubstr("bytes of claims"));
    EXPECT_EQ(unwrap_evidence(framed(2, quote.size(), file)).bytes, quote);
    // Claims of somebody else, or what is none, stay: the parser refuses them.
    Bytes altered = file;
    altered.back() ^= std::byte{1};
    expect_untouched(altered);
    file.pop_back();
    expect_untouched(file);
    file = quote;
    append(file, ByteView(tail).first(16));
    expect_untouched(file);
    intel.report.report_data[63] = std::byte{1};
    file = intel.quote();
    append(file, tail);
    expect_untouched(file);
}

TEST(UnwrapEvidence, TakesTheQuoteOutOfJson) {
    const Bytes bytes = quote();
    for (const json::Value& value : {json::Value(hex(bytes)), json::Value(base64(bytes))}) {
        const json::Value object{{"quote", value}, {"event_log", "[]"}};
        EXPECT_EQ(unwrap_evidence(to_bytes(json::compact(object))).bytes, bytes);
    }
    json::Value list = json::Value::array();
    for (std::byte one : bytes) list.push_back(std::to_integer<unsigned>(one));
    EXPECT_EQ(unwrap_evidence(to_bytes(json::compact({{"evidence", list}}))).bytes, bytes);
    expect_untouched(to_bytes(json::compact({{"quote", hex(bytes)}, {"evidence", hex(bytes)}})));
    expect_untouched(to_bytes(json::compact({{"poem", hex(bytes)}})));
    EXPECT_TRUE(is_json_text(to_bytes(" {\"a\": 1}\n")));
    EXPECT_FALSE(is_json_text(to_bytes("{")));
    EXPECT_FALSE(is_json_text(bytes));
}

TEST(UnwrapEvidence, TurnsAChainWithTheRootFirstRound) {
    attestation::testing::SyntheticIntel intel;
    using attestation::testing::pem;
    const auto chain = [](bool has_root_first) {
        return [has_root_first](const attestation::testing::SyntheticIntel& from) {
            return has_root_first ? pem(from.root()) + pem(from.ca()) + pem(from.pck())
                                  : pem(from.pck()) + pem(from.ca()) + pem(from.root());
        };
    };
    intel.chain_pem = chain(true);
    const EvidenceFile turned = unwrap_evidence(intel.quote());
    EXPECT_THAT(turned.taken_off, ::testing::HasSubstr("root first"));
    const auto parsed = attestation::evidence::parse_quote(turned.bytes).value();
    const auto& found = std::get<attestation::evidence::SgxQuote>(parsed.quote()).pck_chain_pem;
    const auto certificates = x509::parse_pem_certificates(found).value();
    ASSERT_EQ(certificates.size(), 3u);
    EXPECT_FALSE(certificates.front().is_ca());
    EXPECT_TRUE(certificates.back().is_self_issued());
    intel.chain_pem = chain(false);
    expect_untouched(intel.quote());
}

TEST(UnwrapEvidence, TakesOffAComment) {
    Bytes file = to_bytes("# whose it is\n# and under which licence\n");
    append(file, framed(2, quote().size(), quote()));
    EXPECT_EQ(unwrap_evidence(file).bytes, quote());
    EXPECT_THAT(unwrap_evidence(file).taken_off, ::testing::StartsWith("a comment, Open Enclave"));
}

/// A folder for one file.
class CarryingCertificates : public ::testing::Test {
  protected:
    void TearDown() override { std::filesystem::remove(file_); }
    void write(ByteView content) const { ASSERT_TRUE(write_file(file_, content, {}).has_value()); }
    std::string refusal() const {
        const auto out = read_carrying_certificates(file_, "do this");
        return out ? "" : out.error().message();
    }

    const std::filesystem::path file_ =
        std::filesystem::path(::testing::TempDir()) / "carrying-certificates";
};

TEST_F(CarryingCertificates, AQuoteIsNoneThoughItHasSomeWithin) {
    attestation::testing::SyntheticIntel intel;
    Bytes altered = intel.quote();
    altered.push_back(std::byte{1});
    for (const Bytes& file : {intel.quote(), to_bytes(hex(intel.quote())), altered}) {
        write(file);
        EXPECT_THAT(refusal(), ::testing::StartsWith("this is a quote or report, not a"));
        EXPECT_THAT(refusal(), ::testing::EndsWith("do this"));
    }
}

TEST_F(CarryingCertificates, OneIsReadWhoeverMadeIt) {
    const auto plain = ratls::testing::certificate({});
    write(plain.der());
    EXPECT_EQ(read_carrying_certificates(file_, "").value().front().der().size(),
              plain.der().size());
    write(to_bytes("neither"));
    EXPECT_NE(refusal(), "");
}

}  // namespace
}  // namespace eos::client
