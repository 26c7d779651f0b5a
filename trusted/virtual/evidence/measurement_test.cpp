// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/evidence/measurement.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/attestation/event_log/replay.h"
#include "common/crypto/hash.h"

namespace eos::cvm {
namespace {

namespace event_log = attestation::event_log;

crypto::Digest32 root(int n) {
    crypto::Digest32 out{};
    out[0] = static_cast<std::byte>(n);
    return out;
}

/// The register, which outlives the programs that use it.
struct Hardware {
    Digest48 value{};
    bool refuses = false;
    bool is_read_only = false;
};

class FakeRegister final : public RuntimeRegister {
  public:
    explicit FakeRegister(Hardware& hardware) : hardware_(hardware) {}
    Result<Digest48> read() override { return hardware_.value; }
    Result<void> extend(const Digest48& digest) override {
        if (hardware_.refuses) return fail(register_unavailable);
        hardware_.value = to_array<48>(
            crypto::hash(crypto::HashKind::kSha384, concat({hardware_.value, digest})));
        return {};
    }
    Result<void> expect_extendable() override {
        if (hardware_.is_read_only) return fail(register_unavailable);
        return {};
    }

  private:
    Hardware& hardware_;
};

class PolicyMeasurementTest : public ::testing::Test {
  protected:
    PolicyMeasurementTest() {
        std::string path = ::testing::TempDir() + "policy-log-XXXXXX";
        directory_ = ::mkdtemp(path.data());
    }
    ~PolicyMeasurementTest() override { std::filesystem::remove_all(directory_); }

    std::string log_path() const { return directory_ + "/rtmr3.json"; }
    Result<PolicyMeasurement> open() {
        return PolicyMeasurement::open(std::make_unique<FakeRegister>(hardware_), log_path());
    }

    Hardware hardware_;
    std::string directory_;
};

TEST_F(PolicyMeasurementTest, what_is_extended_replays) {
    PolicyMeasurement policy = open().value();
    ASSERT_TRUE(policy.extend(root(1)));
    ASSERT_TRUE(policy.extend(root(2)));
    const auto log = event_log::parse_runtime_log(as_bytes(policy.log_json())).value();
    EXPECT_EQ(event_log::replay(log)[3], hardware_.value);
    ASSERT_EQ(log.events.size(), 2u);
    EXPECT_EQ(event_log::content_of(log.events[0]), event_log::Content::verified);
    EXPECT_EQ(log.events[1], attestation::event_log::policy_root_event(root(2)));
}

TEST_F(PolicyMeasurementTest, a_register_that_cannot_be_extended_stands_for_no_policy) {
    hardware_.is_read_only = true;
    EXPECT_EQ(open().error().code(), register_unavailable);
    EXPECT_FALSE(std::filesystem::exists(log_path()));
}

TEST(PolicyEvent, its_digest_is_the_documented_one) {
    // SHA-384(01 00 00 08 ":" name ":" 32 bytes 07 00 …), computed by other means.
    crypto::Digest32 policy_root{};
    policy_root[0] = std::byte{7};
    const Bytes covered =
        concat({as_bytes(std::string_view("\x01\x00\x00\x08", 4)), as_bytes(":"),
                as_bytes("enclave-os/policy-root/1"), as_bytes(":"), policy_root});
    EXPECT_TRUE(equal(attestation::event_log::policy_root_event(policy_root).digest,
                      crypto::hash(crypto::HashKind::kSha384, covered)));
}

TEST_F(PolicyMeasurementTest, the_same_root_is_measured_once) {
    PolicyMeasurement policy = open().value();
    ASSERT_TRUE(policy.extend(root(1)));
    const Digest48 once = hardware_.value;
    ASSERT_TRUE(policy.extend(root(1)));
    EXPECT_EQ(hardware_.value, once);
    ASSERT_TRUE(policy.extend(root(2)));
    ASSERT_TRUE(policy.extend(root(1)));
    EXPECT_EQ(policy.log().events.size(), 3u) << "going back is an event, too";
}

TEST_F(PolicyMeasurementTest, a_program_that_starts_again_goes_on) {
    {
        PolicyMeasurement policy = open().value();
        ASSERT_TRUE(policy.extend(root(1)));
    }
    PolicyMeasurement again = open().value();
    ASSERT_TRUE(again.extend(root(1)));
    ASSERT_TRUE(again.extend(root(2)));
    EXPECT_EQ(again.log().events.size(), 2u);
    EXPECT_EQ(event_log::replay(again.log())[3], hardware_.value);
}

TEST_F(PolicyMeasurementTest, an_event_that_was_logged_but_not_extended_is_taken_out) {
    {
        PolicyMeasurement policy = open().value();
        ASSERT_TRUE(policy.extend(root(1)));
        hardware_.refuses = true;
        const Result<void> refused = policy.extend(root(2));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), register_unavailable);
        EXPECT_EQ(policy.log().events.size(), 1u);
    }
    hardware_.refuses = false;
    PolicyMeasurement again = open().value();
    ASSERT_EQ(again.log().events.size(), 1u);
    EXPECT_EQ(again.log().events[0], attestation::event_log::policy_root_event(root(1)));
    ASSERT_TRUE(again.extend(root(3)));
    EXPECT_EQ(event_log::replay(again.log())[3], hardware_.value);
}

TEST_F(PolicyMeasurementTest, a_register_that_something_else_extended_is_refused) {
    PolicyMeasurement policy = open().value();
    ASSERT_TRUE(policy.extend(root(1)));
    ASSERT_TRUE(FakeRegister(hardware_).extend(Digest48{}));
    const Result<void> refused = policy.extend(root(2));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), register_mismatch);
    EXPECT_EQ(open().error().code(), register_mismatch);
}

TEST_F(PolicyMeasurementTest, the_log_of_another_boot_is_refused) {
    {
        PolicyMeasurement policy = open().value();
        ASSERT_TRUE(policy.extend(root(1)));
        ASSERT_TRUE(policy.extend(root(2)));
    }
    hardware_.value = {};
    EXPECT_EQ(open().error().code(), register_mismatch);
}

TEST_F(PolicyMeasurementTest, a_log_that_cannot_be_read_is_refused) {
    std::filesystem::create_directory(log_path());
    EXPECT_EQ(open().error().code(), log_unusable);
}

TEST_F(PolicyMeasurementTest, rotations_leave_the_last_events_to_the_configuration) {
    event_log::EventLog full;
    for (std::size_t i = 0; i < kMaxPolicyEvents - kReservedPolicyEvents; ++i)
        full.events.push_back(event_log::policy_root_event(root(i % 2 == 0 ? 1 : 2)));
    std::ofstream(log_path()) << event_log::encode_runtime_log(full);
    hardware_.value = event_log::replay(full)[3];
    PolicyMeasurement policy = open().value();
    const Result<void> refused = policy.extend(root(3), PolicyChange::kCaRotation);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), log_full);
    EXPECT_TRUE(policy.extend(root(3), PolicyChange::kConfiguration));
    EXPECT_EQ(policy.log().events.size(), full.events.size() + 1);
}

TEST_F(PolicyMeasurementTest, a_damaged_log_is_refused) {
    std::ofstream(log_path()) << "[{";
    EXPECT_FALSE(open());
}

TEST_F(PolicyMeasurementTest, a_log_that_cannot_be_written_measures_nothing) {
    PolicyMeasurement policy = open().value();
    std::filesystem::remove_all(directory_);
    const Result<void> refused = policy.extend(root(1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), log_unusable);
    EXPECT_EQ(hardware_.value, Digest48{});
}

TEST(Rtmr3, without_the_directory_it_says_which_kernel_has_it) {
    const Result<std::unique_ptr<RuntimeRegister>> rtmr3 =
        open_rtmr3({.measurements = "/nonexistent/m", .tdx_guest = "/nonexistent/d"});
    ASSERT_FALSE(rtmr3);
    EXPECT_EQ(rtmr3.error().code(), register_unavailable);
    EXPECT_NE(rtmr3.error().detail().find("/nonexistent/m"), std::string::npos);
    EXPECT_NE(rtmr3.error().detail().find("/nonexistent/d"), std::string::npos);
}

TEST(Rtmr3, an_older_kernel_has_the_device) {
    // Not the driver's: it opens, and no ioctl of ours is known to it.
    auto rtmr3 = open_rtmr3({.measurements = "/nonexistent/m", .tdx_guest = "/dev/null"}).value();
    EXPECT_EQ(rtmr3->read().error().code(), register_unavailable);
    EXPECT_EQ(rtmr3->extend({}).error().code(), register_unavailable);
    EXPECT_EQ(rtmr3->expect_extendable().error().code(), register_unavailable);
}

TEST(Rtmr3, reads_48_bytes_and_nothing_else) {
    std::string path = ::testing::TempDir() + "registers-XXXXXX";
    const std::string directory = ::mkdtemp(path.data());
    const auto put = [&](std::size_t size) {
        std::ofstream(directory + "/rtmr3:sha384") << std::string(size, 'r');
    };
    auto rtmr3 = open_rtmr3({.measurements = directory}).value();
    EXPECT_EQ(rtmr3->read().error().code(), register_unavailable);
    EXPECT_EQ(rtmr3->expect_extendable().error().code(), register_unavailable);
    for (std::size_t size : {0u, 47u, 49u}) {
        put(size);
        EXPECT_EQ(rtmr3->read().error().code(), register_unavailable);
    }
    put(48);
    EXPECT_TRUE(rtmr3->expect_extendable());
    EXPECT_EQ(rtmr3->read().value()[47], std::byte{'r'});
    std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace eos::cvm
