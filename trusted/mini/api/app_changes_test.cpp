// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/api/app_changes.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "trusted/mini/api/testing.h"

namespace eos::mini {
namespace {

using testing::body_json;
using testing::Caller;
using testing::idle_module;
using testing::upload;

class AppChanges : public ::testing::Test, protected testing::ApiRig {
  protected:
    void SetUp() override { start_owned(); }

    const runtime::Apps& loaded() const { return control->snapshot()->state->apps; }
    static std::string load_item(const std::string& name, const Bytes& module,
                                 const std::string& more = "") {
        return R"({"load":")" + name + R"(","hostname":")" + name +
               R"(.example.test","module_bytes":)" + std::to_string(module.size()) + more + "}";
    }
    static std::string changes(const std::vector<std::string>& items) {
        std::string out = R"({"changes":[)";
        for (const std::string& item : items) out += (&item == items.data() ? "" : ",") + item;
        return out + "]}";
    }
};

TEST_F(AppChanges, ASingleLoadIsCreatedThenReplaced) {
    runtime::ReadResponse first = load_app("one", idle_module());
    EXPECT_EQ(first.status, 201) << first.body;
    EXPECT_EQ(body_json(first)["kind"], "cgi");
    EXPECT_EQ(body_json(first)["digest"], hex(crypto::sha256(idle_module())));
    runtime::ReadResponse second = load_app("one", idle_module("2"));
    EXPECT_EQ(second.status, 200) << second.body;
    EXPECT_EQ(body_json(second)["app_id"], body_json(first)["app_id"]);
    EXPECT_EQ(body_json(own("GET /api/v1/apps/one"))["functions"], json::Value::array());
}

TEST_F(AppChanges, ABatchIsOneGeneration) {
    ASSERT_EQ(load_app("old", idle_module()).status, 201);
    ASSERT_EQ(load_app("kept", idle_module()).status, 201);
    std::uint64_t generation = control->snapshot()->generation;
    std::size_t published_before = published.size();
    Bytes a = idle_module("a"), b = idle_module("bb");
    runtime::ReadResponse answer =
        batch(changes({load_item("a", a), R"({"unload":"old"})", load_item("kept", b)}), {a, b});
    ASSERT_EQ(answer.status, 200) << answer.body;
    json::Value value = body_json(answer);
    EXPECT_EQ(value["generation"], generation + 1);
    EXPECT_EQ(value["changes"][0]["status"], "loaded");
    EXPECT_EQ(value["changes"][1], json::Value({{"name", "old"}, {"status", "unloaded"}}));
    EXPECT_EQ(value["changes"][2]["status"], "replaced");
    EXPECT_EQ(value["changes"][2]["digest"], hex(crypto::sha256(b)));
    EXPECT_EQ(published.size(), published_before + 1);
    EXPECT_EQ(loaded().size(), 2u);
}

// One after the other, neither could be done: the name is taken until both are.
TEST_F(AppChanges, ABatchMaySwapHostNames) {
    ASSERT_EQ(load_app("a", idle_module()).status, 201);
    ASSERT_EQ(load_app("b", idle_module()).status, 201);
    Bytes module = idle_module();
    std::string size = std::to_string(module.size());
    runtime::ReadResponse answer =
        batch(R"({"changes":[{"load":"a","hostname":"b.example.test","module_bytes":)" + size +
                  R"(},{"load":"b","hostname":"a.example.test","module_bytes":)" + size + "}]}",
              {module, module});
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(loaded().at("a").hostname, "b.example.test");
}

TEST_F(AppChanges, EveryChangeThatCannotBeMadeIsNamedAndNothingIsDone) {
    Bytes good = idle_module(), bad = to_bytes("not a module");
    std::uint64_t generation = control->snapshot()->generation;
    runtime::ReadResponse answer =
        batch(changes({load_item("good", good), load_item("bad", bad),
                       load_item("large", good, R"(,"max_memory_bytes":99999999999)")}),
              {good, bad, good});
    EXPECT_EQ(answer.status, 400) << answer.body;
    json::Value value = body_json(answer);
    EXPECT_EQ(value["error"], "nothing was changed: 2 of 3 changes cannot be made");
    ASSERT_EQ(value["changes"].size(), 2u);
    EXPECT_EQ(value["changes"][0]["name"], "bad");
    EXPECT_EQ(value["changes"][1]["name"], "large");
    EXPECT_EQ(control->snapshot()->generation, generation);
    EXPECT_TRUE(loaded().empty());
}

TEST_F(AppChanges, WhatOnlyTheStateCanRefuseIsNamedToo) {
    Bytes module = idle_module();
    std::string size = std::to_string(module.size());
    runtime::ReadResponse answer =
        batch(R"({"changes":[{"load":"far","hostname":"far.other.test","module_bytes":)" + size +
                  R"(},{"unload":"nobody"},)" + load_item("good", module) + "]}",
              {module, module});
    EXPECT_EQ(answer.status, 403) << answer.body;
    json::Value value = body_json(answer);
    ASSERT_EQ(value["changes"].size(), 2u);
    EXPECT_EQ(value["changes"][0]["name"], "far");
    EXPECT_EQ(value["changes"][1],
              json::Value({{"name", "nobody"}, {"error", "there is no such app"}}));
    EXPECT_TRUE(loaded().empty());
    // Together they cannot stand, and neither is at fault alone.
    std::string twin =
        R"({"load":"twin","hostname":"good.example.test","module_bytes":)" + size + "}";
    answer = batch(changes({load_item("good", module), twin}), {module, module});
    EXPECT_EQ(answer.status, 409) << answer.body;
    EXPECT_TRUE(loaded().empty());
}

TEST_F(AppChanges, UnloadingNothingIs404) {
    EXPECT_EQ(own("DELETE /api/v1/apps/nobody").status, 404);
    EXPECT_EQ(own("GET /api/v1/apps/nobody").status, 404);
    EXPECT_EQ(own("GET /api/v1/apps/nobody/logs").status, 404);
}

TEST_F(AppChanges, SizesAreRefusedBeforeTheBodyIsRead) {
    auto refused = [&](std::string_view path, std::string_view type, std::size_t size) {
        auto peer = connect(to_platform(Caller::kOwner));
        peer->send("POST " + std::string(path),
                   "Content-Type: application/vnd.enclave-os." + std::string(type) +
                       "\r\nContent-Length: " + std::to_string(size) + "\r\n");
        settle(*peer);
        return runtime::read_response(peer->sink.written).status;
    };
    EXPECT_EQ(refused("/api/v1/apps:batch", "apps", kMaxBatchUploadBytes + 1), 413);
    EXPECT_EQ(refused("/api/v1/apps/one", "app", kMaxAppUploadBytes + 1), 413);
    EXPECT_EQ(bodies.free_bytes(), std::size_t{128} << 20);
}

TEST_F(AppChanges, TheWrongTypeIs415) {
    EXPECT_EQ(own("POST /api/v1/apps:batch", "Content-Type: application/json\r\n", "{}").status,
              415);
    EXPECT_EQ(own("POST /api/v1/apps/one", "Content-Type: application/wasm\r\n", "{}").status, 415);
}

TEST_F(AppChanges, AReplacementWhileAnotherWaitsIsNotRefused) {
    ASSERT_EQ(load_app("one", idle_module("1")).status, 201);
    auto ask_for = [&](const Bytes& module) {
        auto peer = connect(to_platform(Caller::kOwner));
        peer->send("POST /api/v1/apps/one", "Content-Type: application/vnd.enclave-os.app\r\n",
                   upload(R"({"hostname":"one.example.test"})", {module}));
        return peer;
    };
    evidence.is_held = true;
    auto first = ask_for(idle_module("2"));
    auto second = ask_for(idle_module("1"));
    settle(*first);
    EXPECT_TRUE(first->sink.written.empty());
    evidence.release();
    settle(*first);
    settle(*second);
    EXPECT_EQ(runtime::read_response(first->sink.written).status, 200);
    EXPECT_EQ(runtime::read_response(second->sink.written).status, 200);
    EXPECT_EQ(loaded().at("one").code_digest, crypto::sha256(idle_module("1")));
}

// A load that is under way when the state is destroyed was let in by an owner who is none any more.
TEST_F(AppChanges, AChangeAfterAFactoryResetIsRefused) {
    auto peer = connect(to_platform(Caller::kOwner));
    peer->send("POST /api/v1/apps/one", "Content-Type: application/vnd.enclave-os.app\r\n",
               upload(R"({"hostname":"one.example.test"})", {idle_module()}));
    control->factory_reset(control->snapshot()->instance_id, [](Result<void>) {});
    ASSERT_EQ(control->snapshot()->stage, Stage::kUnowned);
    settle(*peer);
    EXPECT_EQ(runtime::read_response(peer->sink.written).status, 403);
}

TEST_F(AppChanges, WhoHangsUpDuringTheChecksChangesNothing) {
    Bytes module = idle_module();
    std::uint64_t generation = control->snapshot()->generation;
    auto peer = connect(to_platform(Caller::kOwner));
    peer->send("POST /api/v1/apps:batch", "Content-Type: application/vnd.enclave-os.apps\r\n",
               upload(changes({load_item("a", module), load_item("b", module)}), {module, module}));
    peer->hang_up();
    port.run();
    EXPECT_EQ(control->snapshot()->generation, generation);
    EXPECT_EQ(bodies.free_bytes(), std::size_t{128} << 20);
}

}  // namespace
}  // namespace eos::mini
