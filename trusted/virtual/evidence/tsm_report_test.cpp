// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/evidence/tsm_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/attestation/evidence/quote.h"
#include "common/oid/registry.h"
#include "emulation/snp/synthetic_amd.h"
#include "trusted/virtual/evidence/fake_tsm_test.h"

namespace eos::cvm {
namespace {

using namespace std::chrono_literals;
using testing::FakeKernel;
using testing::FakeTime;
using testing::FakeTsm;
using testing::some_report_data;

/// A guest on a fake kernel.
struct Guest {
    FakeKernel kernel;
    FakeTime time;
    std::unique_ptr<TsmReport> tee;

    Result<void> open() {
        tee = EOS_TRY(TsmReport::open(std::make_unique<FakeTsm>(kernel), time.waiting()));
        return {};
    }
    Result<FreshEvidence> ask(std::chrono::milliseconds patience = 1s) {
        return tee->evidence(some_report_data(), time.in(patience));
    }
};

struct TdxGuest : Guest {
    TdxGuest() { EXPECT_TRUE(open()); }
};

struct SnpGuest : Guest {
    SnpGuest() {
        kernel.provider = "sev_guest";
        kernel.report = [](ByteView inblob) { return testing::snp_report(inblob); };
        kernel.aux = testing::snp_table();
        EXPECT_TRUE(open());
    }
};

#define EXPECT_CODE(result, expected)                                                       \
    do {                                                                                    \
        const auto& outcome = (result);                                                     \
        ASSERT_FALSE(outcome.has_value());                                                  \
        EXPECT_EQ(outcome.error().code().name, expected.name) << outcome.error().message(); \
    } while (false)

TEST(TsmReport, gives_a_quote_over_exactly_the_64_bytes) {
    TdxGuest guest;
    const Result<FreshEvidence> evidence = guest.ask();
    ASSERT_TRUE(evidence) << evidence.error().message();
    EXPECT_EQ(evidence->kind, TeeKind::kTdx);
    EXPECT_EQ(evidence->assurance, Assurance::kDebug);
    EXPECT_EQ(guest.kernel.largest_inblob, 64u);
    const auto parsed = attestation::evidence::parse_quote(evidence->bytes);
    ASSERT_TRUE(parsed);
    const auto& quote = std::get<attestation::evidence::TdxQuote>(parsed->quote());
    EXPECT_TRUE(equal(quote.report.report_data, some_report_data().bytes()));
}

TEST(TsmReport, uses_one_entry_per_request_and_leaves_none) {
    TdxGuest guest;
    ASSERT_TRUE(guest.ask());
    ASSERT_TRUE(guest.ask());
    EXPECT_EQ(guest.kernel.entries_made, 3) << "one to look at the provider, one per request";
    EXPECT_TRUE(guest.kernel.items.empty());
    guest.kernel.outblob_errors = {EIO};
    EXPECT_FALSE(guest.ask());
    EXPECT_TRUE(guest.kernel.items.empty());
}

TEST(TsmReport, removes_what_a_killed_minter_left_behind) {
    Guest guest;
    const std::string alive = "enclave-os-" + std::to_string(::getpid()) + "-00";
    for (const std::string& name :
         {alive, std::string("enclave-os-999999999-00"), std::string("enclave-os-x"),
          std::string("enclave-os-999999999"), std::string("enclave-os--1-00"),
          std::string("somebody-else")})
        guest.kernel.items[name] = {};
    ASSERT_TRUE(guest.open());
    EXPECT_FALSE(guest.kernel.items.contains("enclave-os-999999999-00"));
    EXPECT_EQ(guest.kernel.items.size(), 5u);
    EXPECT_TRUE(guest.kernel.items.contains(alive));
}

TEST(TsmReport, gives_an_snp_report_with_its_chain) {
    SnpGuest guest;
    const Result<FreshEvidence> evidence = guest.ask();
    ASSERT_TRUE(evidence) << evidence.error().message();
    EXPECT_EQ(evidence->kind, TeeKind::kSevSnp);
    EXPECT_EQ(evidence_oid(evidence->kind), oid::kSnpReport);
    const auto parsed = attestation::evidence::parse_snp_evidence(evidence->bytes);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->table.size(), 3u);
}

TEST(TsmReport, an_snp_host_may_have_no_certificates) {
    SnpGuest guest;
    guest.kernel.aux.clear();
    const Result<FreshEvidence> evidence = guest.ask();
    ASSERT_TRUE(evidence) << evidence.error().message();
    EXPECT_EQ(evidence->bytes.size(), snp_arch::kReportBytes);
    EXPECT_TRUE(attestation::evidence::parse_snp_evidence(evidence->bytes)->table.empty());
}

TEST(TsmReport, refuses_a_malformed_certificate_table) {
    SnpGuest guest;
    guest.kernel.aux[16] = std::byte{0xff};
    guest.kernel.aux[18] = std::byte{0xff};
    EXPECT_CODE(guest.ask(), attestation::evidence::bad_certificate_table);
}

TEST(TsmReport, refuses_a_certificate_table_beyond_the_kernels_bound) {
    SnpGuest guest;
    guest.kernel.aux.resize(attestation::evidence::kMaxSnpTableBytes + 1);
    EXPECT_CODE(guest.ask(), answer_too_large);
}

TEST(TsmReport, takes_debug_from_the_report_itself) {
    SnpGuest guest;
    const auto before = testing::amd().report.policy;
    testing::amd().report.policy.raw |= snp_arch::kPolicyDebug;
    EXPECT_EQ(guest.ask().value().assurance, Assurance::kDebug);
    testing::amd().report.policy.raw &= ~snp_arch::kPolicyDebug;
    EXPECT_EQ(guest.ask().value().assurance, Assurance::kProduction);
    testing::amd().report.policy = before;
}

TEST(TsmReport, waits_while_the_kernel_is_busy_or_interrupted) {
    TdxGuest guest;
    guest.kernel.outblob_errors = {EBUSY, EINTR, EBUSY};
    EXPECT_TRUE(guest.ask());
    EXPECT_EQ(guest.time.sleeps, 3);
    EXPECT_EQ(guest.kernel.entries_made, 2) << "the same entry is asked again";
}

TEST(TsmReport, gives_up_at_the_deadline) {
    TdxGuest guest;
    guest.kernel.outblob_errors.assign(1000, EBUSY);
    const auto start = guest.time.now;
    EXPECT_CODE(guest.ask(100ms), evidence_deadline);
    EXPECT_LE(guest.time.now - start, 100ms);
    EXPECT_GT(guest.time.sleeps, 0);
}

TEST(TsmReport, says_what_an_errno_means) {
    struct Case {
        int error;
        Code code;
    };
    for (const Case& c :
         {Case{ENXIO, provider_gone}, Case{ENOTTY, provider_gone}, Case{ETIMEDOUT, host_timed_out},
          Case{EACCES, not_permitted}, Case{EPERM, not_permitted}, Case{EINVAL, kernel_refused},
          Case{EIO, kernel_refused}}) {
        TdxGuest guest;
        guest.kernel.outblob_errors = {c.error};
        EXPECT_CODE(guest.ask(), c.code);
    }
}

TEST(TsmReport, says_that_a_guest_without_its_key_to_the_firmware_must_be_rebooted) {
    SnpGuest guest;
    guest.kernel.outblob_errors = {EIO, ENOTTY, ENOTTY};
    EXPECT_CODE(guest.ask(), kernel_refused);
    for (int again = 0; again < 2; ++again) {
        const Result<FreshEvidence> evidence = guest.ask();
        EXPECT_CODE(evidence, firmware_key_gone);
        const std::string message = evidence.error().message();
        EXPECT_THAT(message, ::testing::HasSubstr("VMPCK"));
        EXPECT_THAT(message, ::testing::HasSubstr("rebooted"));
    }
    EXPECT_EQ(guest.time.sleeps, 0) << "nothing to wait for";
}

TEST(TsmReport, without_a_provider_there_is_nothing_to_open) {
    Guest guest;
    guest.kernel.provider.clear();
    EXPECT_CODE(guest.open(), provider_gone);
    guest.kernel.provider = "arm_cca_guest";
    EXPECT_CODE(guest.open(), unknown_provider);
    guest.kernel.make_error = EACCES;
    EXPECT_CODE(guest.open(), not_permitted);
    EXPECT_TRUE(guest.kernel.items.empty());
}

TEST(TsmReport, notices_that_the_provider_went_away_or_changed) {
    TdxGuest guest;
    guest.kernel.provider.clear();
    EXPECT_CODE(guest.ask(), provider_gone);
    guest.kernel.provider = "sev_guest";
    EXPECT_CODE(guest.ask(), provider_changed);
    EXPECT_TRUE(guest.kernel.items.empty());
}

TEST(TsmReport, throws_an_answer_away_when_somebody_else_wrote) {
    TdxGuest before;
    before.kernel.after_inblob = [](FakeKernel::Item& item) { ++item.generation; };
    EXPECT_CODE(before.ask(), generation_changed);
    TdxGuest dropped;
    dropped.kernel.after_inblob = [](FakeKernel::Item& item) { --item.generation; };
    EXPECT_CODE(dropped.ask(), generation_changed);
    TdxGuest after;
    after.kernel.after_outblob = [](FakeKernel::Item& item) { ++item.generation; };
    EXPECT_CODE(after.ask(), generation_changed);
}

TEST(TsmReport, throws_evidence_of_another_request_away) {
    TdxGuest tdx;
    tdx.kernel.report = [](ByteView inblob) {
        Bytes other = to_bytes(inblob);
        other[63] ^= std::byte{1};
        return testing::td_quote(other);
    };
    EXPECT_CODE(tdx.ask(), wrong_report);
    SnpGuest snp;
    snp.kernel.report = [](ByteView inblob) {
        Bytes other = to_bytes(inblob);
        other[0] ^= std::byte{1};
        return testing::snp_report(other);
    };
    EXPECT_CODE(snp.ask(), wrong_report);
}

TEST(TsmReport, throws_evidence_of_another_tee_away) {
    TdxGuest guest;
    guest.kernel.report = [](ByteView inblob) { return testing::snp_report(inblob); };
    EXPECT_CODE(guest.ask(), wrong_report);
    SnpGuest snp;
    snp.kernel.report = [](ByteView inblob) { return testing::td_quote(inblob); };
    snp.kernel.aux.clear();
    EXPECT_CODE(snp.ask(), wrong_report);
}

TEST(TsmReport, refuses_answers_that_are_too_large_or_no_evidence) {
    TdxGuest guest;
    guest.kernel.report = [](ByteView) { return Bytes(kMaxOutblobBytes + 1); };
    EXPECT_CODE(guest.ask(), answer_too_large);
    guest.kernel.report = [](ByteView) { return Bytes(); };
    EXPECT_FALSE(guest.ask());
    guest.kernel.report = [](ByteView inblob) {
        Bytes quote = testing::td_quote(inblob);
        quote.pop_back();
        return quote;
    };
    EXPECT_FALSE(guest.ask());
}

TEST(TsmAttributes, provider) {
    EXPECT_EQ(parse_provider(as_bytes("tdx_guest\n")).value(), TeeKind::kTdx);
    EXPECT_EQ(parse_provider(as_bytes("sev_guest\n")).value(), TeeKind::kSevSnp);
    EXPECT_CODE(parse_provider(as_bytes("tdx_guest")), malformed_attribute);
    EXPECT_CODE(parse_provider(as_bytes("")), malformed_attribute);
    EXPECT_CODE(parse_provider(as_bytes("tdx_guest \n")), unknown_provider);
    EXPECT_CODE(parse_provider(as_bytes(std::string(64, 'a') + "\n")), malformed_attribute);
}

TEST(TsmAttributes, generation) {
    EXPECT_EQ(parse_generation(as_bytes("0\n")).value(), 0u);
    EXPECT_EQ(parse_generation(as_bytes("18446744073709551615\n")).value(), ~std::uint64_t{0});
    for (const char* bad : {"", "\n", "1", "-1\n", "+1\n", " 1\n", "1 \n", "0x1\n", "1\n\n",
                            "18446744073709551616\n"})
        EXPECT_CODE(parse_generation(as_bytes(bad)), malformed_attribute);
}

}  // namespace
}  // namespace eos::cvm
