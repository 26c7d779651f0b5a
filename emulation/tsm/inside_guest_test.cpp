// SPDX-License-Identifier: AGPL-3.0-only
// The production code inside an emulated guest, at the kernel's own paths. Run by tsm-emulator,
// which also orders the faults (CMakeLists.txt).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "common/attestation/event_log/replay.h"
#include "common/attestation/evidence/quote.h"
#include "trusted/virtual/evidence/measurement.h"
#include "trusted/virtual/evidence/tee_evidence.h"

namespace eos::cvm {
namespace {

using namespace std::chrono_literals;

ratls::ReportData report_data() {
    static const auto key = crypto::P256PrivateKey::generate();
    return ratls::ReportData::v1_deterministic(key.public_key(), {1'780'000'020});
}

Result<FreshEvidence> ask(TeeEvidence& tee, std::chrono::milliseconds patience = 5s) {
    return tee.evidence(report_data(), std::chrono::steady_clock::now() + patience);
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::size_t entries() {
    const std::filesystem::directory_iterator all("/sys/kernel/config/tsm/report");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

TEST(Guest, gives_evidence_and_leaves_nothing_behind) {
    const auto tee = open_evidence().value();
    for (int i = 0; i < 3; ++i) {
        const Result<FreshEvidence> evidence = ask(*tee);
        ASSERT_TRUE(evidence) << evidence.error().message();
        EXPECT_EQ(evidence->assurance, Assurance::kDebug) << "all emulation says so";
    }
    EXPECT_EQ(entries(), 0u);
}

TEST(Guest, removes_what_a_killed_program_left_behind) {
    const std::filesystem::path reports = "/sys/kernel/config/tsm/report";
    std::filesystem::create_directory(reports / "enclave-os-999999999-00");
    std::filesystem::create_directory(reports / "somebody-else");
    EXPECT_TRUE(open_evidence());
    EXPECT_EQ(entries(), 1u);
    std::filesystem::remove(reports / "somebody-else");
}

TEST(Tdx, a_policy_is_in_the_next_quote) {
    const auto tee = open_evidence().value();
    ASSERT_EQ(tee->kind(), TeeKind::kTdx);
    std::string directory = ::testing::TempDir() + "policy-log-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    for (int start = 0; start < 2; ++start) {  // the minter may start again
        PolicyMeasurement policy =
            PolicyMeasurement::open(open_rtmr3().value(), directory + "/rtmr3.json").value();
        for (int n = 1; n <= 3; ++n) {
            crypto::Digest32 root{};
            root[0] = static_cast<std::byte>(16 * start + n);
            const Result<void> extended = policy.extend(root);
            ASSERT_TRUE(extended) << extended.error().message();
            const auto quote = attestation::evidence::parse_quote(ask(*tee).value().bytes).value();
            const auto& td = std::get<attestation::evidence::TdxQuote>(quote.quote()).report;
            EXPECT_EQ(td.rtmr[3], attestation::event_log::replay(policy.log())[3]);
            EXPECT_EQ(td.rtmr[3], open_rtmr3().value()->read().value());
        }
    }
    std::filesystem::remove_all(directory);
}

TEST(Fault, is_told_as_what_it_is) {
    const auto tee = open_evidence().value();
    const Result<FreshEvidence> evidence = ask(*tee, 300ms);
    ASSERT_FALSE(evidence);
    EXPECT_EQ(evidence.error().code().name, environment("EOS_EXPECTED_CODE"))
        << evidence.error().message();
    EXPECT_EQ(entries(), 0u);
}

}  // namespace
}  // namespace eos::cvm
