// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/why.h"

#include <gmock/gmock.h>

#include "client/measure/reference_test.h"
#include "common/attestation/event_log/log_builder_test.h"
#include "common/attestation/event_log/replay.h"
#include "common/attestation/evidence/tdx_report.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/base/codec.h"
#include "common/json/json.h"

namespace eos::client::measure {
namespace {

namespace event_log = attestation::event_log;
using attestation::verify::Check;
using Ids = std::vector<std::string>;

Expectation expectation(const json::Value& value) {
    Result<Expectation> parsed = parse_expectation(as_bytes(json::compact(value)));
    EXPECT_TRUE(parsed.has_value()) << parsed.error().message();
    return *std::move(parsed);
}

Code refusal(const json::Value& value) {
    Result<Expectation> parsed = parse_expectation(as_bytes(json::compact(value)));
    EXPECT_FALSE(parsed.has_value());
    return parsed.has_value() ? Code{} : parsed.error().code();
}

std::string repeated(char digit, std::size_t count) {
    return std::string(count, digit);
}

/// What a TDX guest quotes whose log is that of small_boot().
Quoted tdx_quoted() {
    Quoted out{"tdx", {{"mr_td", Bytes(48, std::byte{0x11})}}, event_log::Rtmrs{}};
    out.rtmrs = event_log::replay({event_log::testing::small_boot()});
    for (std::size_t i = 0; i < 4; ++i)
        out.registers.push_back({"rtmr" + std::to_string(i), to_bytes((*out.rtmrs)[i])});
    return out;
}

std::string notes(const Check& tree, std::string_view id) {
    const Check* node = find_check(tree, id);
    EXPECT_NE(node, nullptr) << id;
    std::string out;
    if (node == nullptr) return out;
    for (const std::string& note : node->notes) out += (out.empty() ? "" : "; ") + note;
    return out;
}

TEST(Why, WhatIsAsExpectedPasses) {
    const Check tree =
        explain(expectation({{"tee", "tdx"}, {"mr_td", repeated('1', 96)}}), tdx_quoted(), {});
    EXPECT_EQ(tree.verdict, attestation::verify::Verdict::pass);
    EXPECT_EQ(tree.children.size(), 1u);
}

TEST(Why, DifferencesComeInTheOrderOfTheBoot) {
    const Expectation expected = expectation({{"tee", "tdx"},
                                              {"rtmr2", repeated('a', 96)},
                                              {"mr_td", repeated('b', 96)},
                                              {"rtmr3", repeated('c', 96)}});
    const Check tree = explain(expected, tdx_quoted(), {});
    EXPECT_EQ(summarise(tree).failed, (Ids{"why.mr_td", "why.rtmr2", "why.rtmr3"}));
    EXPECT_EQ(notes(tree, "why.rtmr3"), "nothing was measured into it");
    const Check* first = find_check(tree, "why.mr_td");
    EXPECT_EQ(first->expected, repeated('b', 96));
    EXPECT_EQ(first->found, repeated('1', 96));
    EXPECT_NE(first->remedy.find("other firmware"), std::string::npos);
}

TEST(Why, AVariantThatFitsIsNamed) {
    const json::Value variants = json::Value::array(
        {{{"change", "1 vCPUs"}, {"register", "measurement"}, {"value", repeated('1', 96)}},
         {{"change", "2 vCPUs"}, {"register", "measurement"}, {"value", repeated('2', 96)}}});
    const Expectation expected =
        expectation({{"tee", "snp"}, {"measurement", repeated('4', 96)}, {"variants", variants}});
    const Quoted quoted{"snp", {{"measurement", Bytes(48, std::byte{0x22})}}, {}};
    EXPECT_EQ(notes(explain(expected, quoted, {}), "why.measurement"),
              "this is the value with: 2 vCPUs");
}

TEST(Why, TheFirstDifferingEventIsNamed) {
    std::vector<event_log::Event> other = event_log::testing::small_boot();
    other[5] = event_log::testing::event_of(1, event_log::kEvEfiAction, "another one");
    const event_log::EventLog expected_log{other};
    json::Value value = {{"tee", "tdx"}, {"rtmr1", hex(event_log::replay(expected_log)[1])}};
    value["events"] =
        json::parse(as_bytes(event_log::encode_runtime_log(expected_log)), {}).value();
    const event_log::EventLog log{event_log::testing::small_boot()};
    const Check tree = explain(expectation(value), tdx_quoted(), log);
    EXPECT_EQ(summarise(tree).failed, Ids{"why.rtmr1"});
    EXPECT_EQ(notes(tree, "why.rtmr1"),
              "event 1 of RTMR1: expected EV_EFI_ACTION \"another one\" (" + hex(other[5].digest) +
                  "), found EV_EFI_ACTION \"Exit Boot Services Invocation\" (" +
                  hex(log.events[5].digest) + ")");
}

TEST(Why, EvidenceOfAnotherTeeIsSaidFirst) {
    const Check tree =
        explain(expectation({{"tee", "sgx"}, {"mr_enclave", repeated('1', 64)}}), tdx_quoted(), {});
    EXPECT_EQ(summarise(tree).failed, Ids{"why.tee"});
}

TEST(Why, ExpectationsThatSayNothingAreRefused) {
    EXPECT_EQ(refusal({{"tee", "tdx"}}), bad_expectation);
    EXPECT_EQ(refusal({{"tee", "sev"}, {"measurement", repeated('1', 96)}}), bad_expectation);
    EXPECT_EQ(refusal({{"tee", "tdx"}, {"mr_td", repeated('1', 64)}}), bad_encoding);
    EXPECT_EQ(refusal({{"tee", "tdx"}, {"mr_td", repeated('x', 96)}}), bad_encoding);
    EXPECT_EQ(refusal({{"tee", "tdx"}, {"mr_td", repeated('1', 96)}, {"rtmr9", ""}}),
              json::unknown_member);
    // A register of another TEE is no register of this one.
    EXPECT_EQ(refusal({{"tee", "tdx"}, {"mr_td", repeated('1', 96)}, {"mr_enclave", ""}}),
              json::unknown_member);
    EXPECT_EQ(refusal(json::Value::array()), json::wrong_type);
}

TEST(Why, ARefusalNamesTheMemberAndWhatThereIs) {
    auto said = [](const json::Value& value) {
        return parse_expectation(as_bytes(json::compact(value))).error().detail();
    };
    EXPECT_EQ(said({{"tee", "sgx"}, {"mrenclave", repeated('1', 64)}}),
              "mrenclave; the registers of sgx are mr_enclave mr_signer");
    EXPECT_EQ(said({{"tee", "sgx"}}),
              "no register of sgx is given; there are mr_enclave mr_signer");
    EXPECT_EQ(said({{"tee", "sev"}, {"measurement", repeated('1', 96)}}),
              "tee is sev; it can be sgx, tdx or snp");
    EXPECT_EQ(said({{"tee", "snp"}, {"measurement", repeated('1', 64)}}),
              "measurement has 48 bytes, given are 32");
    EXPECT_TRUE(said({{"tee", "snp"}, {"measurement", "x"}}).starts_with("measurement"));
    const json::Value variants = json::Value::array(
        {{{"change", "none"}, {"register", "mr_td"}, {"value", repeated('1', 96)}}});
    EXPECT_EQ(said({{"tee", "snp"}, {"measurement", repeated('1', 96)}, {"variants", variants}}),
              "variants[0].register: no register of snp is named mr_td; its registers are "
              "measurement host_data id_key_digest");
}

/// What `measure enclave --sigstruct` prints can be given to `why` as it is.
TEST(Why, WhatASigstructSaysIsPassedOver) {
    const Expectation expected = expectation(
        {{"tee", "sgx"}, {"mr_enclave", repeated('1', 64)}, {"sigstruct", {{"isv_svn", 1}}}});
    EXPECT_EQ(expected.registers.size(), 1u);
}

TEST(Why, OtherFilesAreNoEvidence) {
    EXPECT_FALSE(quoted_measurements({}).has_value());
    EXPECT_FALSE(quoted_measurements(to_bytes("0303")).has_value());
    EXPECT_FALSE(quoted_measurements(Bytes(1184)).has_value());
}

class WhyCorpus : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!std::filesystem::exists(attestation::testing::corpus() / "index.json")) {
            GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        }
    }
    static Bytes file(std::string_view name) {
        return attestation::testing::read_file(attestation::testing::corpus() / name);
    }
};

TEST_F(WhyCorpus, RealEvidenceShowsItsMeasurements) {
    const Bytes quote = file("go-tdx-guest/quotes/00b2526ab190.tdx4.bin");
    for (const Bytes& bytes : {quote, to_bytes(hex(quote) + "\n")}) {
        Result<Quoted> quoted = quoted_measurements(bytes);
        ASSERT_TRUE(quoted.has_value()) << quoted.error().message();
        EXPECT_EQ(quoted->tee, "tdx");
        EXPECT_TRUE(hex(quoted->registers[0].value).starts_with("dae67181d3d65e07"));
    }
    Bytes framed{std::byte{1}, {}, {}, {}, std::byte{2}, {}, {}, {}};
    append(framed, Writer().u64le(quote.size()).view());
    append(framed, quote);
    EXPECT_EQ(quoted_measurements(framed).value().taken_off, "Open Enclave's header");
    Bytes padded = quote;
    padded.resize(8000);
    const Quoted from_padded = quoted_measurements(padded).value();
    EXPECT_THAT(from_padded.taken_off, ::testing::EndsWith("bytes of zero padding"));
    EXPECT_EQ(from_padded.registers[0].value, quoted_measurements(quote)->registers[0].value);
    padded.back() = std::byte{1};
    EXPECT_FALSE(quoted_measurements(padded).has_value());
    Result<Quoted> snp = quoted_measurements(file("dstack/snp/snp3-milan-dstack.report.bin"));
    ASSERT_TRUE(snp.has_value()) << snp.error().message();
    EXPECT_EQ(snp->tee, "snp");
    EXPECT_TRUE(hex(snp->registers[0].value).starts_with("7f51e17f72a04d54"));
}

TEST_F(WhyCorpus, ARealLogExplainsARealQuote) {
    const Quoted quoted =
        quoted_measurements(file("go-tdx-guest/quotes/00b2526ab190.tdx4.bin")).value();
    const event_log::EventLog log =
        event_log::parse_ccel(file("go-tdx-guest/ccel/ccel_data.dat")).value();
    const Expectation expected =
        expectation({{"tee", "tdx"}, {"rtmr0", hex(event_log::replay(log)[0])}});
    EXPECT_EQ(explain(expected, quoted, log).verdict, attestation::verify::Verdict::pass);
}

}  // namespace
}  // namespace eos::client::measure
