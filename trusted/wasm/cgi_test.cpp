// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/cgi.h"

#include <gtest/gtest.h>

#include <map>

#include "common/http/uri.h"
#include "trusted/wasm/test_modules.h"
#include "trusted/wasm/test_world.h"

namespace eos::wasm {
namespace {

CgiRequest request_of(std::string path, std::initializer_list<http::HeaderView> fields = {}) {
    CgiRequest out;
    out.head.path = std::move(path);
    out.head.authority.host = "shop.example";
    for (const http::HeaderView& field : fields) {
        EXPECT_TRUE(out.head.headers.add(field.name, field.value).has_value());
    }
    return out;
}

std::map<std::string, std::string> environment_of(const CgiRequest& request,
                                                  const AppConfig& config = {}) {
    const auto list = cgi_environment(request, config);
    EXPECT_TRUE(list.has_value());
    std::map<std::string, std::string> out;
    for (const EnvironmentVariable& variable : *list) {
        EXPECT_TRUE(out.emplace(variable.name, variable.value).second) << variable.name;
    }
    return out;
}

TEST(CgiEnvironment, MetaVariables) {
    CgiRequest request = request_of("/a%20b/c", {{"content-type", "text/x"}});
    request.head.method = http::Method::kPost;
    request.head.query = "q=1&r=%20";
    request.body = SecretBytes(to_bytes("12345"));
    request.platform_facts = {{"EOS_APP", "shop"}};
    AppConfig config;
    config.environment = {{"MODE", "test"}};
    config.secrets = {{"KEY", "hidden"}};
    const std::map<std::string, std::string> expected{{"CONTENT_LENGTH", "5"},
                                                      {"CONTENT_TYPE", "text/x"},
                                                      {"EOS_APP", "shop"},
                                                      {"GATEWAY_INTERFACE", "CGI/1.1"},
                                                      {"HTTPS", "on"},
                                                      {"KEY", "hidden"},
                                                      {"MODE", "test"},
                                                      {"PATH_INFO", "/a b/c"},
                                                      {"QUERY_STRING", "q=1&r=%20"},
                                                      {"REMOTE_ADDR", "0.0.0.0"},
                                                      {"REQUEST_METHOD", "POST"},
                                                      {"REQUEST_URI", "/a%20b/c?q=1&r=%20"},
                                                      {"SCRIPT_NAME", ""},
                                                      {"SERVER_NAME", "shop.example"},
                                                      {"SERVER_PORT", "443"},
                                                      {"SERVER_PROTOCOL", "HTTP/1.1"},
                                                      {"SERVER_SOFTWARE", "enclave-os"}};
    EXPECT_EQ(environment_of(request, config), expected);
}

TEST(CgiEnvironment, FieldsBecomeHttpVariables) {
    const auto got = environment_of(request_of("/", {{"Accept", "a"},
                                                     {"accept", "b"},
                                                     {"Cookie", "x=1"},
                                                     {"cookie", "y=2"},
                                                     {"X-Request-Id", "7"},
                                                     {"Authorization", "Bearer t"}}));
    EXPECT_EQ(got.at("HTTP_ACCEPT"), "a, b");
    EXPECT_EQ(got.at("HTTP_COOKIE"), "x=1; y=2");
    EXPECT_EQ(got.at("HTTP_X_REQUEST_ID"), "7");
    EXPECT_EQ(got.at("HTTP_AUTHORIZATION"), "Bearer t");
    EXPECT_FALSE(got.contains("CONTENT_LENGTH"));
}

TEST(CgiEnvironment, DropsWhatMustNotArrive) {
    const auto got = environment_of(request_of("/", {{"Proxy", "http://evil"},
                                                     {"X_Real_Ip", "1"},
                                                     {"X-Privasys-Role", "admin"},
                                                     {"Connection", "keep-alive, X-Hop ,x-other"},
                                                     {"X-Hop", "1"},
                                                     {"X-Other", "2"},
                                                     {"Keep-Alive", "5"},
                                                     {"TE", "trailers"},
                                                     {"Upgrade", "x"},
                                                     {"a!b", "1"},
                                                     {"Transfer-Encoding", "chunked"},
                                                     {"Content-Length", "99"},
                                                     {"EOS-App", "fake"},
                                                     {"Proxy-Authorization", "x"}}));
    for (const auto& [name, value] : got) {
        EXPECT_TRUE(!name.starts_with("HTTP_") || name == "HTTP_EOS_APP") << name;
    }
    EXPECT_FALSE(got.contains("EOS_APP"));
    EXPECT_FALSE(got.contains("CONTENT_LENGTH"));
}

TEST(CgiEnvironment, CredentialsOfThePlatformAreNotTheApps) {
    CgiRequest request = request_of("/", {{"Authorization", "Bearer t"}, {"Cookie", "a=b"}});
    request.owner = NameOwner::kPlatform;
    const auto got = environment_of(request);
    EXPECT_FALSE(got.contains("HTTP_AUTHORIZATION"));
    EXPECT_FALSE(got.contains("HTTP_COOKIE"));
}

TEST(CgiEnvironment, RefusesEscapesThatCannotStandInAVariable) {
    for (const char* path : {"/%00", "/%4", "/%zz"}) {
        const auto got = cgi_environment(request_of(path), {});
        ASSERT_FALSE(got.has_value()) << path;
        EXPECT_EQ(got.error().code(), http::bad_path);
    }
}

Result<CgiOutput> parse(std::string_view text, http::Method method = http::Method::kGet) {
    return parse_cgi_output(to_bytes(text), method);
}

TEST(CgiOutput, Documents) {
    const auto got = parse("Content-Type: text/html\r\nX-A: 1\nx-a: 2\r\n\r\n<p>\r\n\r\n");
    ASSERT_TRUE(got.has_value()) << got.error().message();
    EXPECT_EQ(got->head.status, 200);
    EXPECT_EQ(got->head.headers.first("content-type"), "text/html");
    EXPECT_EQ(got->head.headers.all("x-a").size(), 2u);
    EXPECT_EQ(as_chars(got->body), "<p>\r\n\r\n");
    EXPECT_EQ(parse("Status: 404 Not Found\nContent-Type: a/b\n\nx")->head.status, 404);
    EXPECT_EQ(parse("Status: 204\n\n")->head.status, 204);
}

TEST(CgiOutput, Redirects) {
    const auto got = parse("Location: https://other.example/\n\n");
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(got->head.status, 302);
    EXPECT_EQ(got->head.headers.first("location"), "https://other.example/");
    EXPECT_EQ(parse("Location: /x\nStatus: 307\n\n")->head.status, 307);
}

TEST(CgiOutput, FramingFieldsStayBehind) {
    const auto got = parse(
        "Content-Type: a/b\nContent-Length: 2\nTransfer-Encoding: chunked\nConnection: x\n"
        "Keep-Alive: 1\nUpgrade: h2c\nTrailer: y\n\nhi");
    ASSERT_TRUE(got.has_value()) << got.error().message();
    EXPECT_EQ(got->head.headers.count(), 1u);
    EXPECT_EQ(as_chars(got->body), "hi");
}

TEST(CgiOutput, WhatOnlyThePlatformMaySayStaysBehind) {
    const auto got = parse(
        "Content-Type: a/b\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nServer: x\nVIA: 1.1 x\n"
        "X-Privasys-Attestation: ok\nX-Server: mine\n\nhi");
    ASSERT_TRUE(got.has_value()) << got.error().message();
    EXPECT_EQ(got->head.headers.count(), 2u);
    EXPECT_EQ(got->head.headers.first("x-server"), "mine");
}

TEST(CgiOutput, AnAnswerToHeadHasNoBody) {
    const auto got = parse("Content-Type: a/b\nContent-Length: 1000\n\nhi", http::Method::kHead);
    ASSERT_TRUE(got.has_value());
    EXPECT_TRUE(got->body.empty());
}

TEST(CgiOutput, RefusesEverythingElse) {
    for (const char* text : {
             "",
             "hello",
             "Content-Type: a/b",
             "Content-Type: a/b\n",
             "\n",
             "X-Only: 1\n\n",
             "Content-Type a/b\n\n",
             ": a\n\n",
             " Content-Type: a/b\n\n",
             "Content-Type: a/b\n folded\n\n",
             "Content Type: a/b\n\n",
             "Content-Type : a/b\n\n",
             "Content-Type: a/b\nContent-Type: c/d\n\n",
             "Location: /a\nLocation: /b\n\n",
             "Content-Type: a\rb\n\n",
             "Status: 200\n\nbody",
             "Status: 99\n\n",
             "Status: 101 Switching\n\n",
             "Status: 600\n\n",
             "Status: 2000\n\n",
             "Status: +20\n\n",
             "Status: abc\n\n",
             "Status:\n\n",
             "Status: 200\nStatus: 200\n\n",
             "Content-Type: a/b\nStatus: 204\n\nx",
             "Content-Type: a/b\nStatus: 304\n\nx",
             "Content-Type: a/b\nContent-Length: 3\n\nhi",
             "Content-Type: a/b\nContent-Length: -2\n\nhi",
             "Content-Type: a/b\nContent-Length: 2\nContent-Length: 2\n\nhi",
         }) {
        const auto got = parse(text);
        ASSERT_FALSE(got.has_value()) << text;
        EXPECT_EQ(got.error().code(), app_answer) << text;
    }
    std::string many;
    for (int i = 0; i < 200; ++i) many += "X-" + std::to_string(i) + ": y\n";
    EXPECT_FALSE(parse(many + "Content-Type: a/b\n\n").has_value());
    EXPECT_FALSE(parse("X: " + std::string(20'000, 'y') + "\nContent-Type: a/b\n\n").has_value());
}

class CgiCallTest : public ::testing::Test {
  protected:
    CgiCallTest() {
        config_.name = "app";
        config_.environment = {{"GREETING", "hi"}};
    }
    AppResponse call(const Bytes& wasm, CgiRequest request, std::uint64_t slice = kFuelSlice) {
        auto module = Module::load(wasm, config_.limits, wasi_functions());
        EXPECT_TRUE(module.has_value());
        EXPECT_TRUE(has_cgi_entry(*module));
        auto call = begin_cgi_call(*module, world_.world(), config_, std::move(request));
        if (!call) return error_response(call.error());
        steps_ = waits_ = 0;
        for (;;) {
            ++steps_;
            Progress progress = (*call)->step(slice);
            if (auto* response = std::get_if<AppResponse>(&progress)) {
                fuel_used_ = (*call)->fuel_used();
                return std::move(*response);
            }
            if (const auto* wait = std::get_if<HostRequest>(&progress)) {
                ++waits_;
                world_.now = wait->wake_at_ns;
            }
        }
    }
    AppResponse command(const std::string& what) {
        config_.arguments = {what};
        return call(testing::test_module("commands"), request_of("/"));
    }
    Bytes hello_ = testing::example_app("hello-cgi");
    AppConfig config_;
    testing::TestWorld world_;
    int steps_ = 0;
    int waits_ = 0;
    std::uint64_t fuel_used_ = 0;
};

TEST_F(CgiCallTest, AnOrdinaryProgramAnswers) {
    CgiRequest request = request_of("/", {{"User-Agent", "test/1"}});
    request.head.query = "x=1";
    request.platform_facts = {{"EOS_APP", "hello"}};
    const AppResponse got = call(hello_, std::move(request));
    EXPECT_EQ(got.head.status, 200);
    EXPECT_EQ(got.head.headers.first("content-type"), "text/plain; charset=utf-8");
    EXPECT_EQ(got.head.headers.first("x-app"), "hello-cgi");
    EXPECT_EQ(as_chars(got.body),
              "Hello from inside the enclave.\n\n"
              "REQUEST_METHOD=GET\nPATH_INFO=/\nQUERY_STRING=x=1\nSERVER_NAME=shop.example\n"
              "SERVER_PROTOCOL=HTTP/1.1\nCONTENT_LENGTH=\nHTTP_USER_AGENT=test/1\nGREETING=hi\n"
              "EOS_APP=hello\n");
    EXPECT_EQ(world_.log, "greeted someone\n");
    EXPECT_EQ(got.outcome, "ok");
    EXPECT_GT(fuel_used_, 1000u);
}

TEST_F(CgiCallTest, BodiesGoInAndOut) {
    CgiRequest request = request_of("/echo");
    request.head.method = http::Method::kPost;
    Bytes sent;
    for (int i = 0; i < 100'000; ++i) sent.push_back(static_cast<std::byte>(i * 7));
    request.body = SecretBytes(Bytes(sent));
    const AppResponse got = call(hello_, std::move(request), 1000);
    EXPECT_EQ(got.head.status, 200);
    EXPECT_EQ(got.body, sent);
    EXPECT_GT(steps_, 10);
}

TEST_F(CgiCallTest, TheAppsOwnStatus) {
    const AppResponse got = call(hello_, request_of("/nowhere"));
    EXPECT_EQ(got.head.status, 404);
    EXPECT_EQ(as_chars(got.body), "nothing at /nowhere\n");
}

TEST_F(CgiCallTest, AnExitCodeIsABadGatewayWithItsNumber) {
    const AppResponse got = call(hello_, request_of("/fail"));
    EXPECT_EQ(got.head.status, 502);
    EXPECT_EQ(as_chars(got.body),
              R"({"error":"the app ended with a trap: exit","exit_code":3,"trap":"exit"})");
}

TEST_F(CgiCallTest, TrapsLoopsAndFloodsEndWithTheirNames) {
    EXPECT_EQ(command("trap").outcome, "unreachable");
    EXPECT_EQ(command("spin").outcome, "fuel_exhausted");
    EXPECT_GE(steps_, 99);
    EXPECT_EQ(command("print").outcome, "output_limit");
    const AppResponse silent = command("nothing");
    EXPECT_EQ(silent.head.status, 502);
    EXPECT_EQ(silent.outcome, "app_answer");
}

TEST_F(CgiCallTest, SleepingTakesNoSlices) {
    const std::uint64_t start = world_.now;
    const AppResponse got = command("wait");
    EXPECT_EQ(got.head.status, 200);
    EXPECT_EQ(as_chars(got.body), "awake\n");
    EXPECT_EQ(waits_, 1);
    EXPECT_EQ(world_.now, start + 5'000'000);
}

TEST_F(CgiCallTest, AModuleWithoutStartCannotAnswer) {
    const auto module = *Module::load(testing::test_module("basics"), Limits{}, {});
    EXPECT_FALSE(has_cgi_entry(module));
    const auto call = begin_cgi_call(module, world_.world(), config_, request_of("/"));
    ASSERT_FALSE(call.has_value());
    EXPECT_EQ(call.error().code(), no_such_export);
}

TEST_F(CgiCallTest, ACallCanBeAbandoned) {
    auto module = *Module::load(testing::test_module("commands"), Limits{}, wasi_functions());
    config_.arguments = {"spin"};
    auto call = *begin_cgi_call(module, world_.world(), config_, request_of("/"));
    EXPECT_TRUE(std::holds_alternative<StillRunning>(call->step(kFuelSlice)));
    EXPECT_GE(call->fuel_used(), kFuelSlice);
    call.reset();
}

TEST_F(CgiCallTest, WhoCannotPayForItsStartIsToldSo) {
    config_.budget.fuel = 1000;
    const AppResponse got = call(hello_, request_of("/"));
    EXPECT_EQ(got.head.status, 502);
    EXPECT_EQ(got.outcome, "no_fuel_to_start");
}

}  // namespace
}  // namespace eos::wasm
