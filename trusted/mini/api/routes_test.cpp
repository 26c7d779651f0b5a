// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "trusted/mini/api/testing.h"

namespace eos::mini {
namespace {

using testing::body_json;
using testing::Caller;

class Routes : public ::testing::Test, protected testing::ApiRig {};

std::string read_text(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// What is documented is what there is: docs/api.md holds the router's own table.
TEST_F(Routes, TheDocumentedTableIsTheRouters) {
    start_owned();
    std::string table = runtime::to_markdown(router.table());
    std::string document = read_text(EOS_SOURCE_DIR "/docs/api.md");
    ASSERT_FALSE(document.empty());
    EXPECT_NE(document.find("\n\n" + table + "\n"), std::string::npos)
        << "replace the table in docs/api.md by this one:\n"
        << table;
}

TEST_F(Routes, TimeIsConfirmedByWhoKnowsIt) {
    start_owned();
    EXPECT_EQ(body_json(own("GET /api/v1/status"))["time_trust"], "unconfirmed");
    EXPECT_EQ(own("GET /readyz").status, 200);
    clock.time = clock.time + 30 * 3600;
    control->turn();
    EXPECT_EQ(body_json(own("GET /api/v1/status"))["time_trust"], "jumped");
    EXPECT_EQ(own("GET /readyz").status, 503);
    EXPECT_EQ(load_app("one", testing::idle_module()).status, 503);

    auto confirm = [&](Caller caller, const std::string& body) {
        return ask(to_platform(caller), "POST /api/v1/confirm-time", "", body);
    };
    std::string good = R"({"time":")" + rfc3339(clock.time) + R"("})";
    EXPECT_EQ(confirm(Caller::kNobody, good).status, 401);
    EXPECT_EQ(confirm(Caller::kStranger, good).status, 403);
    for (const char* bad : {"{}", "7", R"({"time":7})", R"({"time":"yesterday"})",
                            R"({"time":"2026-09-04T10:15:30Z","x":1})"}) {
        EXPECT_EQ(confirm(Caller::kOwner, bad).status, 400) << bad;
    }
    std::string other = R"({"time":")" + rfc3339(clock.time - 30 * 3600) + R"("})";
    EXPECT_EQ(confirm(Caller::kOwner, other).status, 409);
    EXPECT_EQ(own("GET /readyz").status, 503);
    runtime::ReadResponse answer = confirm(Caller::kOwner, good);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(body_json(answer)["time_trust"], "confirmed");
    control->turn();
    EXPECT_EQ(own("GET /readyz").status, 200);
    EXPECT_EQ(load_app("one", testing::idle_module()).status, 201);
}

// The owner's key alone is not enough where the connection must answer a challenge.
TEST_F(Routes, WhatNeedsAChallengeIsRefusedWithoutOne) {
    start_owned();
    for (const char* path : {"/api/v1/confirm-time", "/api/v1/ca", "/api/v1/factory-reset"}) {
        runtime::ConnectionInfo info = to_platform(Caller::kOwner);
        info.is_bound = false;
        runtime::ReadResponse answer = ask(std::move(info), "POST " + std::string(path), "", "{}");
        EXPECT_EQ(answer.status, 403) << path;
        EXPECT_NE(answer.body.find("challenge"), std::string::npos) << answer.body;
    }
}

}  // namespace
}  // namespace eos::mini
