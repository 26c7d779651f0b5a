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

/// A path that the pattern matches.
std::string path_of(const runtime::RouteSpec& row) {
    std::string path(row.pattern.view());
    for (std::size_t open; (open = path.find('{')) != std::string::npos;)
        path.replace(open, path.find('}') - open + 1, "x");
    return path;
}

// First who asks, then how large; what the body is comes last, and is not read for strangers.
TEST_F(Routes, EveryOwnersRouteAsksWhoItIsBeforeAnythingElse) {
    start_owned();
    int rows = 0;
    for (const runtime::RouteSpec& row : router.table()) {
        if (row.access == runtime::Access::kAnyone) continue;
        if (row.names != runtime::RouteNames::kPlatform) continue;
        std::string start = std::string(to_string(row.method)) + " " + path_of(row);
        std::string size = "Content-Length: " + std::to_string(row.max_body_bytes + 1) + "\r\n";
        auto status = [&](Caller caller) {
            auto peer = connect(to_platform(caller));
            peer->send(start, size);
            settle(*peer);
            return runtime::read_response(peer->sink.written).status;
        };
        EXPECT_EQ(status(Caller::kNobody), 401) << start;
        EXPECT_EQ(status(Caller::kStranger), 403) << start;
        EXPECT_EQ(status(Caller::kOwner), 413) << start;
        ++rows;
    }
    EXPECT_GE(rows, 15);
}

TEST_F(Routes, AnUnownedEnclaveAnswersToThreePathsOnly) {
    start();
    int answered = 0;
    for (const runtime::RouteSpec& row : router.table()) {
        std::string start = std::string(to_string(row.method)) + " " + path_of(row);
        answered += ask(attested(to_platform(Caller::kNobody)), start).status != 404;
    }
    EXPECT_EQ(answered, 3);
}

TEST_F(Routes, WrongMethodsAreToldTheRightOnes) {
    start_owned();
    auto allowed = [&](std::string_view start) {
        runtime::ReadResponse answer = own(start);
        EXPECT_EQ(answer.status, 405) << start;
        return std::string(answer.headers.first("allow").value_or(""));
    };
    EXPECT_EQ(allowed("DELETE /healthz"), "GET, HEAD");
    EXPECT_EQ(allowed("GET /api/v1/apps:batch"), "POST");
    EXPECT_EQ(allowed("PUT /api/v1/apps/one"), "GET, HEAD, POST, DELETE");
    EXPECT_EQ(allowed("GET /api/v1/confirm-time"), "POST");
    EXPECT_EQ(allowed("POST /api/v1/apps/one/logs"), "GET, HEAD");
}

TEST_F(Routes, ProvisioningTakesNothingThatItDoesNotUnderstand) {
    start();
    auto provision = [&](const std::string& body) {
        return ask(to_platform(Caller::kOwner), "POST /api/v1/provision", "", body);
    };
    const std::string token32(32, '0');
    for (const std::string& bad :
         {std::string("{"), std::string("[]"), std::string("{}"),
          std::string(R"({"step":"request-csr"})"), std::string(R"({"step":7,"token":"x"})"),
          R"({"step":"dance","token":")" + token32 + R"(","ca_chain":""})",
          R"({"step":"request-csr","token":")" + token32 +
              R"(","platform_name":"mini.example.test","nonce":"AAAA"})",
          R"({"step":"complete","token":")" + token32 + R"(","ca_chain":"","more":1})",
          R"({"step":"import","token":")" + token32 +
              R"(","platform_name":"mini.example.test","ca_chain":"","ca_key":""})"}) {
        EXPECT_EQ(provision(bad).status, 400) << bad;
    }
    std::string step = R"({"step":"complete","token":")" + token32 + R"(","ca_chain":""})";
    EXPECT_EQ(provision(step).status, 403) << "not the token";
    runtime::ConnectionInfo nobody = to_platform(Caller::kOwner);
    nobody.client_key_hash.reset();
    EXPECT_EQ(ask(std::move(nobody), "POST /api/v1/provision", "", step).status, 401);
    EXPECT_EQ(control->snapshot()->stage, Stage::kUnowned);
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
