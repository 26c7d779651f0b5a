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

/// Writes "hi" to standard error, without end.
Bytes chatty_module() {
    return *from_hex(
        "0061736d01000000010c0260047f7f7f7f017f60000002230116776173695f736e617073686f745f"
        "70726576696577310866645f77726974650000030201010503010001071302066d656d6f72790200"
        "065f737461727400010a140112000340410241004101411010001a0c000b0b0b11010041000b0b08"
        "0000000300000068690a");
}

/// "step", of a clock's number: what clock_res_get says of it.
Bytes clock_module() {
    return *from_hex(
        "0061736d01000000010c0260027f7f017f60017f017e02280116776173695f736e617073686f745f"
        "70726576696577310d636c6f636b5f7265735f6765740000030201010503010001071102066d656d"
        "6f72790200047374657000010a10010e002000410810001a41082903000b");
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
    ASSERT_NO_FATAL_FAILURE(load_with("half", chatty_module(), R"("max_memory_bytes":1073741824)"));
    auto first = begin("half"), second = begin("half"), third = begin("half");
    EXPECT_TRUE(first->sink.written.empty());
    EXPECT_TRUE(second->sink.written.empty());
    expect_busy(runtime::read_response(third->sink.written));
}

TEST_F(Workloads, MoreThanLinearMemoryIsPromised) {
    ASSERT_NO_FATAL_FAILURE(load_with("fifth", chatty_module(), R"("max_memory_bytes":536870912)"));
    std::vector<std::unique_ptr<testing::ApiPeer>> calls;
    static_assert(5 * 536870912ull == kMaxCallMemoryBytes);
    for (int i = 0; i < 5; ++i) calls.push_back(begin("fifth"));
    EXPECT_EQ(apps.call_count(), 4U) << "five have stacks and an answer, too";
}

TEST_F(Workloads, OneAppLeavesRoomForTheOthers) {
    ASSERT_NO_FATAL_FAILURE(load_with("large", chatty_module(), R"("max_memory_bytes":268435456)"));
    std::vector<std::unique_ptr<testing::ApiPeer>> calls;
    for (std::size_t i = 0; i < kMaxCallsPerApp; ++i) calls.push_back(begin("large"));
    EXPECT_EQ(apps.call_count(), 9U) << "as long as there is no other";
    calls.clear();
    ASSERT_NO_FATAL_FAILURE(load_with("other", chatty_module(), R"("max_memory_bytes":268435456)"));
    for (std::size_t i = 0; i < kMaxCallsPerApp; ++i) calls.push_back(begin("large"));
    EXPECT_EQ(apps.call_count(), 4U);
    EXPECT_TRUE(begin("other")->sink.written.empty());
}

TEST_F(Workloads, WhatALoadAcceptsCanBeCalled) {
    ASSERT_EQ(load_app("other", testing::idle_module()).status, 201);
    ASSERT_NO_FATAL_FAILURE(
        load_with("whole", chatty_module(), R"("max_memory_bytes":2147483648)"));
    EXPECT_TRUE(begin("whole")->sink.written.empty());
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

TEST_F(Workloads, FuelCountsHoweverACallEnds) {
    ASSERT_NO_FATAL_FAILURE(load_with("app", testing::endless_module(), R"("max_fuel":100000000)"));
    auto late = begin("app");
    apps.turn();
    const std::uint64_t of_one = apps.counters().fuel;
    EXPECT_GE(of_one, wasm::kFuelSlice);
    clock.ms += kMaxCallMs;
    EXPECT_EQ(finish(*late).status, 504);
    auto abandoned = begin("app");
    apps.turn();
    abandoned->hang_up();
    apps.turn();
    EXPECT_EQ(apps.call_count(), 0U);
    EXPECT_EQ(apps.counters().fuel, 2 * of_one);
}

TEST_F(Workloads, ABodyIsOnLoanAsLongAsItsCallRuns) {
    ASSERT_NO_FATAL_FAILURE(load_with("app", testing::endless_module(), R"("max_fuel":300000)"));
    ASSERT_EQ(load_app("who", who_module(1)).status, 201);
    const std::string body = "{" + std::string(10'000, ' ') + "}";
    const std::size_t before = bodies.free_bytes();
    auto request = begin("app", "POST /", body);
    EXPECT_EQ(bodies.free_bytes(), before - body.size());
    auto call = begin("who", "POST /rpc/who/who", body);
    EXPECT_EQ(bodies.free_bytes(), before - 2 * body.size());
    EXPECT_EQ(finish(*call).status, 200);
    finish(*request);
    EXPECT_EQ(bodies.free_bytes(), before);
}

TEST_F(Workloads, ARunningCallOutlivesTheReplacementOfItsApp) {
    ASSERT_NO_FATAL_FAILURE(load_with("app", testing::endless_module(), R"("max_fuel":300000)"));
    auto call = begin("app");
    ASSERT_EQ(load_app("app", testing::idle_module()).status, 200);
    apps.retain(loaded_apps(*control->snapshot()));
    EXPECT_EQ(body_json(finish(*call))["trap"], "fuel_exhausted") << "it is still the old code";
}

TEST_F(Workloads, WhatARequestBringsAlongOfAnEarlierStateIsNotKept) {
    ASSERT_EQ(load_app("app", who_module(1)).status, 201);
    auto old_code = connect(to_app("app"));
    old_code->send("POST /rpc/app/who", "Content-Length: 2\r\n");
    auto of_nobody = connect(to_app("app"));
    of_nobody->send("POST /rpc/app/who", "Content-Length: 2\r\n");
    ASSERT_EQ(load_app("app", who_module(2)).status, 200);
    apps.retain(loaded_apps(*control->snapshot()));
    old_code->more("{}");
    settle(*old_code);
    EXPECT_EQ(body_json(finish(*old_code))["returns"][0]["value"], 1);
    EXPECT_EQ(apps.prepared_count(), 0U);
    ASSERT_EQ(own("DELETE /api/v1/apps/app").status, 200);
    apps.retain(loaded_apps(*control->snapshot()));
    of_nobody->more("{}");
    settle(*of_nobody);
    EXPECT_EQ(runtime::read_response(of_nobody->sink.written).status, 404);
}

TEST_F(Workloads, WhatACallWritesAfterItsAppIsGoneIsNobodysLog) {
    ASSERT_NO_FATAL_FAILURE(load_with("app", chatty_module(), R"("max_fuel":100000000)"));
    auto call = begin("app");
    apps.turn();
    EXPECT_FALSE(logs.read("app", 0).lines.empty());
    ASSERT_EQ(own("DELETE /api/v1/apps/app").status, 200);
    apps.turn();
    EXPECT_TRUE(logs.read("app", 0).lines.empty());
    ASSERT_NO_FATAL_FAILURE(load_with("app", chatty_module(), R"("max_fuel":2000000)"));
    auto next = begin("app");
    apps.turn();
    EXPECT_TRUE(logs.read("app", 0).lines.empty()) << "the old call's turn";
    apps.turn();
    EXPECT_FALSE(logs.read("app", 0).lines.empty());
}

TEST_F(Workloads, ClocksAreSaidToMoveInTheStepsTheyDo) {
    ASSERT_EQ(load_app("app", clock_module()).status, 201);
    const auto step = [&](const char* clock_id) {
        auto call =
            begin("app", "POST /rpc/app/step", std::string(R"({"args":[)") + clock_id + "]}");
        return body_json(finish(*call))["returns"][0]["value"];
    };
    EXPECT_EQ(step("0"), "1000000000") << "runtime::Clock::now() is in seconds";
    EXPECT_EQ(step("1"), "100000000");
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
    for (const char* name : {"one", "two", "three"}) {
        ASSERT_EQ(load_app(name, sleeping_module(kLongNs)).status, 201);
        for (std::size_t i = 0; i < kMaxCallsPerApp; ++i) calls.push_back(begin(name));
    }
    ASSERT_GE(apps.call_count(), 2 * kMaxCallsPerApp);
    ASSERT_LT(apps.call_count(), 3 * kMaxCallsPerApp) << "all the memory there is";
    while (apps.turn()) {
    }
    expect_busy(runtime::read_response(begin("three")->sink.written));
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
