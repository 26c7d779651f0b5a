// SPDX-License-Identifier: AGPL-3.0-only
// Apps as their callers see them: limits on calls, time, sizes.
#include <gtest/gtest.h>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "trusted/mini/api/testing.h"

namespace eos::mini {
namespace {

using testing::body_json;
using testing::Caller;

/// "who", which takes nothing and returns `number`.
Bytes who_module(unsigned char number) {
    Bytes out =
        *from_hex("0061736d010000000105016000017f030201000707010377686f00000a0601040041010b");
    out[out.size() - 2] = std::byte{number};
    return out;
}

/// Sleeps for `timeout_ns`, again and again.
Bytes sleeping_module(std::uint64_t timeout_ns) {
    const Bytes out = *from_hex(
        "0061736d01000000010c0260047f7f7f7f017f60000002260116776173695f736e617073686f745f7072657669"
        "6577310b706f6c6c5f6f6e656f66660000030201010503010001071302066d656d6f72790200065f7374617274"
        "00010a160114000340410041c000410141800110001a0c000b0b0b14020041100b01010041180b08");
    return concat({out, std::move(Writer().u64le(timeout_ns)).take()});
}

class Workloads : public ::testing::Test, protected testing::ApiRig {
  protected:
    void SetUp() override { start_owned(); }

    std::unique_ptr<testing::ApiPeer> begin(const std::string& app,
                                            std::string_view start = "GET /",
                                            std::string_view body = "") {
        auto peer = connect(to_app(app));
        peer->send(start, "", body);
        settle(*peer);
        return peer;
    }
    /// Runs slices until the peer has its answer.
    runtime::ReadResponse finish(testing::ApiPeer& peer) {
        for (int i = 0; i < 10'000 && peer.sink.written.empty(); ++i) {
            apps.turn();
            settle(peer);
        }
        return runtime::read_response(peer.sink.written);
    }
    void load_with(const std::string& name, const Bytes& module, const std::string& limits) {
        std::string manifest = R"({"hostname":")" + name + R"(.example.test",)" + limits + "}";
        runtime::ReadResponse answer =
            own("POST /api/v1/apps/" + name, "Content-Type: application/vnd.enclave-os.app\r\n",
                testing::upload(manifest, {module}));
        ASSERT_EQ(answer.status, 201) << answer.body;
    }
    static void expect_busy(const runtime::ReadResponse& answer) {
        EXPECT_EQ(answer.status, 503) << answer.body;
        EXPECT_TRUE(answer.headers.first("retry-after").has_value());
    }
};

TEST_F(Workloads, CallsOfOneAppAreBoundedAndTheOthersGoOn) {
    ASSERT_EQ(load_app("spin", testing::endless_module()).status, 201);
    ASSERT_EQ(load_app("idle", testing::idle_module()).status, 201);
    std::vector<std::unique_ptr<testing::ApiPeer>> calls;
    for (std::size_t i = 0; i < kMaxCallsPerApp; ++i) {
        calls.push_back(begin("spin"));
        EXPECT_TRUE(calls.back()->sink.written.empty());
    }
    auto beyond = begin("spin");
    expect_busy(runtime::read_response(beyond->sink.written));
    EXPECT_EQ(apps.counters().refused, 1u);
    // Every app has its turn; this one says nothing, which is no CGI answer.
    auto idle = begin("idle");
    EXPECT_EQ(finish(*idle).status, 502);
    // Who hangs up makes room, at the latest when its turn comes.
    calls.front()->hang_up();
    for (std::size_t i = 0; i < kMaxCallsPerApp; ++i) apps.turn();
    EXPECT_TRUE(begin("spin")->sink.written.empty());
}

TEST_F(Workloads, CallsOfAWorkerAreBounded) {
    constexpr std::size_t kApps = kMaxCallsPerWorker / kMaxCallsPerApp;
    std::vector<std::unique_ptr<testing::ApiPeer>> calls;
    for (std::size_t i = 0; i <= kApps; ++i) {
        std::string name = "spin" + std::to_string(i);
        ASSERT_NO_FATAL_FAILURE(
            load_with(name, testing::endless_module(), R"("max_memory_bytes":65536)"));
        if (i == kApps) break;
        for (std::size_t call = 0; call < kMaxCallsPerApp; ++call) calls.push_back(begin(name));
    }
    EXPECT_EQ(apps.call_count(), kMaxCallsPerWorker);
    expect_busy(runtime::read_response(begin("spin4")->sink.written));
}

TEST_F(Workloads, MemoryIsPromisedBeforeACallBegins) {
    ASSERT_NO_FATAL_FAILURE(
        load_with("half", testing::endless_module(), R"("max_memory_bytes":1073741824)"));
    auto first = begin("half"), second = begin("half"), third = begin("half");
    EXPECT_TRUE(first->sink.written.empty());
    EXPECT_TRUE(second->sink.written.empty());
    expect_busy(runtime::read_response(third->sink.written));
}

TEST_F(Workloads, ACallEndsByFuelOrByTheClock) {
    ASSERT_NO_FATAL_FAILURE(load_with("short", testing::endless_module(), R"("max_fuel":1000)"));
    ASSERT_NO_FATAL_FAILURE(
        load_with("long", testing::endless_module(), R"("max_fuel":100000000000)"));
    runtime::ReadResponse answer = finish(*begin("short"));
    EXPECT_EQ(answer.status, 502);
    EXPECT_EQ(body_json(answer)["trap"], "fuel_exhausted");
    auto waiting = begin("long");
    apps.turn();
    clock.ms += kMaxCallMs;
    EXPECT_EQ(finish(*waiting).status, 504);
}

TEST_F(Workloads, ARunningCallOutlivesTheReplacementOfItsApp) {
    ASSERT_NO_FATAL_FAILURE(load_with("app", testing::endless_module(), R"("max_fuel":300000)"));
    auto call = begin("app");
    ASSERT_EQ(load_app("app", testing::idle_module()).status, 200);
    std::set<crypto::Digest32> roots;
    for (const auto& [name, tree] : control->snapshot()->workload_trees) roots.insert(tree->root());
    apps.retain(roots);
    EXPECT_EQ(body_json(finish(*call))["trap"], "fuel_exhausted") << "it is still the old code";
}

TEST_F(Workloads, ABodyGoesToTheAppThatTheConnectionStandsFor) {
    ASSERT_EQ(load_app("app", who_module(1)).status, 201);
    auto peer = connect(to_app("app"));
    peer->send("POST /rpc/app/who", "Content-Length: 2\r\n");
    peer->more("{");
    ASSERT_EQ(load_app("app", who_module(2)).status, 200);
    peer->more("}");
    settle(*peer);
    const runtime::ReadResponse answer = finish(*peer);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(body_json(answer)["returns"][0]["value"], 1) << answer.body;
}

TEST_F(Workloads, WhoSleepsAndIsNotWaitedForTakesNoRoom) {
    constexpr std::uint64_t kLongNs = 50'000'000'000;
    std::vector<std::unique_ptr<testing::ApiPeer>> calls;
    for (const char* name : {"one", "two"}) {
        ASSERT_EQ(load_app(name, sleeping_module(kLongNs)).status, 201);
        for (std::size_t i = 0; i < kMaxCallsPerApp; ++i) calls.push_back(begin(name));
    }
    ASSERT_EQ(apps.call_count(), 2 * kMaxCallsPerApp) << "all the memory there is";
    while (apps.turn()) {
    }
    ASSERT_EQ(load_app("three", testing::endless_module()).status, 201);
    const auto refused = begin("three");
    expect_busy(runtime::read_response(refused->sink.written));
    EXPECT_NE(refused->sink.written.size(), 0U);
    for (const auto& call : calls) call->hang_up();
    EXPECT_TRUE(begin("three")->sink.written.empty());
}

TEST_F(Workloads, ASleepOfLessThanAMillisecondIsOne) {
    ASSERT_EQ(load_app("nap", sleeping_module(1)).status, 201);
    auto call = begin("nap");
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(apps.turn()) << "nothing to do before the clock has moved";
        ASSERT_TRUE(apps.next_deadline_ms().has_value());
        EXPECT_GT(*apps.next_deadline_ms(), clock.ms);
        clock.ms = *apps.next_deadline_ms();
    }
}

TEST_F(Workloads, BodiesAreBoundedByTheSetting) {
    ASSERT_EQ(load_app("app", testing::idle_module()).status, 201);
    auto peer = connect(to_app("app"));
    peer->send("POST /", "Content-Length: 1048577\r\n");
    settle(*peer);
    EXPECT_EQ(runtime::read_response(peer->sink.written).status, 413);
    EXPECT_EQ(apps.counters().calls, 0u);
}

TEST_F(Workloads, OneAppIsNotReachedOnTheNameOfAnother) {
    ASSERT_EQ(load_app("one", testing::idle_module()).status, 201);
    ASSERT_EQ(load_app("two", testing::idle_module()).status, 201);
    EXPECT_EQ(ask(to_app("one"), "POST /rpc/two/f", "", "{}").status, 404);
    EXPECT_EQ(ask(to_app("gone"), "GET /").status, 404);
    EXPECT_EQ(ask(to_platform(Caller::kNobody), "POST /rpc/one/f", "", "{}").status, 401);
    EXPECT_EQ(own("POST /rpc/none/f", "", "{}").status, 404);
}

}  // namespace
}  // namespace eos::mini
