// SPDX-License-Identifier: AGPL-3.0-only
// The host's time: backwards, frozen, torn, far ahead. The enclave's own never goes back; what a
// host can do with it is delay, and end, connections.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/hostile_host/client.h"

namespace eos::hostile {
namespace {

using namespace boundary;

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kHourNs = 3600 * kSecondNs;

class Time : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(host_.serve_until_logged(LogCode::kUnowned));
        ASSERT_EQ(visit(host_), "served");
    }
    void expect_served() {
        EXPECT_EQ(visit(host_), "served");
        EXPECT_EQ(visit(host_, {.challenges = true}), "served");
        EXPECT_EQ(host_.violation(), "");
    }
    // The page says what the machine's clocks say, changed by `change`.
    void tell(void (*change)(HostTime&)) {
        host_.tell_time([this, change] {
            HostTime time = host_.real_time();
            change(time);
            return std::optional(time);
        });
    }
    // As the owner is told.
    std::string status_time() {
        Answer answer = owner_.ask(host_, "GET", "/api/v1/status");
        EXPECT_EQ(answer.status, 200) << answer.body << answer.trouble;
        return json::parse(as_bytes(answer.body), {}).value()["time"].get<std::string>();
    }

    Machine machine_;
    Blobs blobs_;
    HostileHost host_{machine_, blobs_};
    Owner owner_{machine_};
};

TEST_F(Time, GoesBackOnlyOutside) {
    ASSERT_EQ(owner_.provision(host_), "owned");
    const std::string before = status_time();
    tell([](HostTime& t) {
        t.wall_ns -= 20 * kHourNs;
        t.monotonic_ns = t.monotonic_ns > kHourNs ? t.monotonic_ns - kHourNs : 0;
    });
    const std::string after = status_time();
    EXPECT_GE(after, before);  // RFC 3339 in UTC: text order is time order
    EXPECT_EQ(visit(host_, {.server_name = kPlatformName}), "served");
    // The host's clock comes back, and both go on together.
    host_.tell_time([this] { return std::optional(host_.real_time()); });
    EXPECT_GE(status_time(), after);
}

TEST_F(Time, IsZero) {
    tell([](HostTime& t) { t = {}; });
    expect_served();
}

TEST_F(Time, StandsStill) {
    const HostTime frozen = host_.real_time();
    host_.tell_time([frozen] { return std::optional(frozen); });
    for (int i = 0; i < 3; ++i) expect_served();
}

TEST_F(Time, JumpsBackAndForthAtEveryTurn) {
    host_.tell_time([this, back = false]() mutable {
        back = !back;
        HostTime time = host_.real_time();
        if (back) time = {.wall_ns = time.wall_ns - kHourNs, .monotonic_ns = 0};
        return std::optional(time);
    });
    for (int i = 0; i < 3; ++i) expect_served();
}

TEST_F(Time, IsTornForEver) {
    host_.tell_time([] { return std::optional<HostTime>(); });
    std::atomic_ref(*host_.layout().time().sequence).fetch_or(1);  // a writer that never ends
    std::atomic_ref(*host_.layout().time().wall_ns).store(0);
    expect_served();
    host_.tell_time([this] { return std::optional(host_.real_time()); });
    expect_served();
}

TEST_F(Time, AnHourAheadEndsWhatWaitedAndServesOn) {
    Client stalled(host_);
    ASSERT_TRUE(host_.settle());
    host_.skip(std::chrono::hours(1));
    ASSERT_TRUE(host_.serve_until([&] { return host_.wire(stalled.conn_id()).is_closed; }));
    expect_served();
}

// Whether a leaf can still be shown then is another matter; nothing overflows, nothing crashes.
TEST_F(Time, IsOver) {
    constexpr std::uint64_t kLast = ~std::uint64_t{0};
    host_.tell_time(
        [] { return std::optional(HostTime{.wall_ns = kLast, .monotonic_ns = kLast}); });
    for (int i = 0; i < 3; ++i) static_cast<void>(visit(host_));
    EXPECT_FALSE(host_.has_ended());
    EXPECT_EQ(host_.stop(), "exited with code 0: it was asked to end");
}

}  // namespace
}  // namespace eos::hostile
