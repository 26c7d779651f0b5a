// SPDX-License-Identifier: AGPL-3.0-only
// The event logs of the corpus against the registers of the quotes beside them.
#include <gtest/gtest.h>

#include "common/attestation/event_log/log_checks.h"
#include "common/attestation/event_log/replay.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/base/encoding.h"

namespace eos::attestation::event_log {
namespace {

using Ids = std::vector<std::string>;

/// RTMR0 to 3 of a TDX quote, version 4: header 48, RTMR0 at byte 328 of the body.
Rtmrs quoted_rtmrs(ByteView quote) {
    Rtmrs out;
    for (std::size_t i = 0; i < kRtmrCount; ++i)
        out[i] = to_array<48>(quote.subspan(48 + 328 + 48 * i, 48));
    return out;
}

class EventLogCorpus : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!std::filesystem::exists(testing::corpus() / "index.json")) {
            GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        }
    }

    static Bytes file(std::string_view name) {
        return testing::read_file(testing::corpus() / name);
    }
};

TEST_F(EventLogCorpus, CcelReplaysToTheQuoteBesideIt) {
    const Bytes area = file("go-tdx-guest/ccel/ccel_data.dat");
    const Rtmrs quoted = quoted_rtmrs(file("go-tdx-guest/quotes/00b2526ab190.tdx4.bin"));
    Result<EventLog> log = parse_ccel(area);
    ASSERT_TRUE(log.has_value()) << log.error().message();
    EXPECT_EQ(log->events.size(), 43u);
    const verify::Check tree = check_event_log(quoted, log);
    EXPECT_EQ(tree.verdict, verify::Verdict::pass) << render_text(tree);

    Result<CcelTable> table = parse_ccel_table(file("go-tdx-guest/ccel/ccel_table.dat"));
    ASSERT_TRUE(table.has_value()) << table.error().message();
    EXPECT_EQ(table->area_bytes, area.size());
}

TEST_F(EventLogCorpus, EveryChangeOfOneDigestIsNoticedInItsRegister) {
    const Rtmrs quoted = quoted_rtmrs(file("go-tdx-guest/quotes/00b2526ab190.tdx4.bin"));
    const EventLog log = parse_ccel(file("go-tdx-guest/ccel/ccel_data.dat")).value();
    for (std::size_t i = 0; i < log.events.size(); ++i) {
        SCOPED_TRACE(i);
        const std::string register_id = "event_log.rtmr" + std::to_string(log.events[i].rtmr);
        EventLog flipped = log;
        flipped.events[i].digest[i % 48] ^= std::byte{0x40};
        verify::Summary summary = summarise(check_event_log(quoted, flipped));
        ASSERT_FALSE(summary.failed.empty());
        EXPECT_EQ(summary.failed.front(), register_id);
        EventLog dropped = log;
        dropped.events.erase(dropped.events.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_EQ(summarise(check_event_log(quoted, dropped)).failed, Ids{register_id});
        EXPECT_EQ(first_difference(log, dropped)->rtmr, log.events[i].rtmr);
        EventLog doubled = log;
        doubled.events.insert(doubled.events.begin() + static_cast<std::ptrdiff_t>(i),
                              log.events[i]);
        EXPECT_EQ(summarise(check_event_log(quoted, doubled)).failed, Ids{register_id});
    }
}

TEST_F(EventLogCorpus, ALogOfAnotherBootDoesNotReplay) {
    const Rtmrs quoted = quoted_rtmrs(file("trustee/quotes/12b401a88a51.tdx4.bin"));
    verify::Check tree =
        check_event_log(quoted, parse_ccel(file("go-tdx-guest/ccel/ccel_data.dat")));
    EXPECT_EQ(summarise(tree).failed,
              (Ids{"event_log.rtmr0", "event_log.rtmr1", "event_log.rtmr2"}));
}

TEST_F(EventLogCorpus, LogsWithoutAQuoteParse) {
    Result<EventLog> ovmf = parse_ccel(file("trustee/ccel/CCEL_data_ovmf"));
    ASSERT_TRUE(ovmf.has_value()) << ovmf.error().message();
    EXPECT_EQ(ovmf->events.size(), 20u);
    EXPECT_EQ(describe(ovmf->events[2]), "EV_EFI_VARIABLE_DRIVER_CONFIG \"SecureBoot\"");
    Result<EventLog> aael = parse_ccel(file("trustee/ccel/CCEL_AAEL_alibabacloud"));
    ASSERT_TRUE(aael.has_value()) << aael.error().message();
    EXPECT_EQ(aael->events.size(), 87u);
    EXPECT_EQ(aael->events.back().rtmr, 3u);
    for (const Result<EventLog>* log : {&ovmf, &aael}) {
        verify::Check tree = check_event_log(replay(**log), *log);
        EXPECT_EQ(tree.verdict, verify::Verdict::pass) << render_text(tree);
    }
}

TEST_F(EventLogCorpus, DstackReplaysAndItsRuntimeEventsAreCovered) {
    const json::Value report =
        json::parse(file("dstack/orig/quote-report.json"), {.size_bytes = 1 << 20}).value();
    const Bytes quote = from_hex(report["quote"].get<std::string>()).value();
    const std::string text = report["event_log"].get<std::string>();
    Result<EventLog> log = parse_runtime_log(as_bytes(text));
    ASSERT_TRUE(log.has_value()) << log.error().message();
    EXPECT_EQ(log->events.size(), 28u);
    const Rtmrs quoted = quoted_rtmrs(quote);
    verify::Check tree = check_event_log(quoted, log);
    EXPECT_EQ(tree.verdict, verify::Verdict::pass) << render_text(tree);
    for (std::size_t i = 0; i < log->events.size(); ++i) {
        if (log->events[i].type != kDstackRuntimeEvent) continue;
        SCOPED_TRACE(log->events[i].name);
        EXPECT_EQ(content_of(log->events[i]), Content::verified);
        EventLog changed = *log;
        changed.events[i].data.push_back(std::byte{0});
        EXPECT_EQ(summarise(check_event_log(quoted, changed)).failed, Ids{"event_log.content"});
    }
}

/// Rows with their collateral.
using VerifiedEventLog = testing::Corpus;

verify::Verification verified(const testing::Row& row, ByteView quote) {
    return verify::verify_quote(quote, row.endorsements, verify::Roots::intel(), row.time);
}

TEST_F(VerifiedEventLog, OnlyRegistersOfGenuineEvidenceCount) {
    const testing::Row& tdx = row("tdx4-gcp-cos113");
    const Result<EventLog> log =
        parse_ccel(testing::read_file(testing::corpus() / "go-tdx-guest/ccel/ccel_data.dat"));
    const verify::Check good = check_event_log(verified(tdx, tdx.quote), log);
    EXPECT_EQ(good.verdict, verify::Verdict::pass) << render_text(good);

    Bytes forged = tdx.quote;
    forged[48 + 328] ^= std::byte{1};  // RTMR0
    const verify::Check other = check_event_log(verified(tdx, forged), log);
    EXPECT_EQ(summarise(other).not_evaluated.size(), 5u);
    EXPECT_NE(render_text(other).find("the evidence is not genuine"), std::string::npos);
}

TEST_F(VerifiedEventLog, ALogBesideAnSgxQuoteIsNotEvaluated) {
    const testing::Row& sgx = row("sgx-automata-evalnum17");
    const verify::Verification verification = verified(sgx, sgx.quote);
    ASSERT_NE(verification.evidence(), nullptr) << render_text(verification.tree());
    const verify::Check tree = check_event_log(verification, Result<EventLog>(EventLog{}));
    EXPECT_EQ(tree.verdict, verify::Verdict::not_evaluated);
    EXPECT_EQ(summarise(tree).not_evaluated.size(), 5u);
}

}  // namespace
}  // namespace eos::attestation::event_log
