// SPDX-License-Identifier: AGPL-3.0-only
// The production code inside an emulated guest, at the kernel's own paths. Run by tsm-emulator,
// which also orders the faults (CMakeLists.txt).
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/attestation/event_log/replay.h"
#include "common/attestation/evidence/quote.h"
#include "common/attestation/evidence/snp_evidence.h"
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

/// Loads the driver by its name, or unloads it by "none"; whether that went well.
bool load(const std::string& driver) {
    std::ofstream control(environment("TSM_EMULATOR_CONTROL") + "/provider");
    control << driver << std::endl;
    return control.good();
}

TEST(Guest, says_that_the_driver_went_and_goes_on_when_it_is_back) {
    const std::filesystem::path entry = "/sys/kernel/config/tsm/report/somebody-else";
    const auto tee = open_evidence().value();
    const char* driver = tee->kind() == TeeKind::kTdx ? "tdx_guest" : "sev_guest";
    std::filesystem::create_directory(entry);
    ASSERT_TRUE(load("none"));
    EXPECT_EQ(ask(*tee).error().code(), provider_gone);
    EXPECT_EQ(find_evidence().error().code(), no_tee);
    EXPECT_FALSE(load(driver)) << "while there are entries";
    EXPECT_EQ(ask(*tee).error().code(), provider_gone);
    std::filesystem::remove(entry);
    EXPECT_TRUE(load(driver));
    EXPECT_FALSE(load(driver)) << "it is";
    EXPECT_TRUE(ask(*tee));
}

TEST(Snp, a_host_without_certificates_leaves_the_report_alone) {
    const auto tee = open_evidence().value();
    const Result<FreshEvidence> evidence = ask(*tee);
    ASSERT_TRUE(evidence) << evidence.error().message();
    const auto parsed = attestation::evidence::parse_snp_evidence(evidence->bytes).value();
    EXPECT_EQ(evidence->bytes.size(), parsed.report_bytes.size());
    EXPECT_TRUE(parsed.table.empty());
}

TEST(Snp, without_the_key_to_the_firmware_only_a_reboot_helps) {
    const auto tee = open_evidence().value();
    EXPECT_EQ(ask(*tee).error().code(), kernel_refused);
    EXPECT_EQ(ask(*tee).error().code(), firmware_key_gone);
    ASSERT_TRUE(load("none"));
    EXPECT_FALSE(load("sev_guest"));
    EXPECT_EQ(ask(*tee).error().code(), provider_gone);
    EXPECT_EQ(entries(), 0u);
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
