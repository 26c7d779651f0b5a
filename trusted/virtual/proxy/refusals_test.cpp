// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/refusals.h"

#include <gtest/gtest.h>

#include "trusted/virtual/proxy/forwarder_fixture_test.h"

namespace eos::cvm::proxy {
namespace {

std::string text_of(const LoopMetrics& metrics) {
    const runtime::MetricRegistry* const all[] = {&metrics.registry()};
    return runtime::MetricRegistry::to_text(all);
}

std::string refused_line(std::string_view status, std::string_view count) {
    return "proxy_requests_refused_total{status=\"" + std::string(status) + "\"} " +
           std::string(count) + "\n";
}

std::string log_line(std::string_view method, int status, std::string_view duration_ms = "0") {
    return "client=9.0.0.9 route=a method=" + std::string(method) +
           " status=" + std::to_string(status) +
           " outcome=refused request_bytes=0 response_bytes=0 duration_ms=" +
           std::string(duration_ms) + "\n";
}

struct RefusalsTest : ForwarderTest {
    void expect_refused(int status, std::string_view method) {
        EXPECT_EQ(read_response(client.take_written()).status, status);
        EXPECT_EQ(lines(), log_line(method, status));
        EXPECT_NE(text_of(metrics).find(refused_line(std::to_string(status), "1")),
                  std::string::npos);
        EXPECT_EQ(outcomes(Outcome::kRefused), 1U);
        EXPECT_EQ(answers(static_cast<std::size_t>(status) / 100), 1U);
    }
};

TEST_F(RefusalsTest, AHeadThatCannotBeReadHasALineAndACount) {
    client.send("GET /secret?key=1 HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n");
    expect_refused(400, "-");
}

TEST_F(RefusalsTest, AnUnknownMethodHasALineAndACount) {
    client.send("PROPFIND / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    expect_refused(501, "-");
}

TEST_F(RefusalsTest, ATargetThatIsTooLongHasALineAndACount) {
    client.send(get("/" + std::string(9000, 'x')));
    expect_refused(414, "-");
}

TEST_F(RefusalsTest, AHeadThatIsTooLargeHasALineAndACount) {
    client.send(get("/", "X: " + std::string(9000, 'x') + "\r\n"));
    expect_refused(431, "-");
}

TEST_F(RefusalsTest, AHeadThatDoesNotEndHasALineAndACount) {
    client.send("GET / HTTP/1.1\r\n");
    client.advance_to_deadline();
    expect_refused(408, "-");
}

TEST_F(RefusalsTest, ARequestForAnotherHostHasALineAndACount) {
    client.send("POST / HTTP/1.1\r\nHost: b.example\r\nContent-Length: 0\r\n\r\n");
    expect_refused(421, "POST");
}

TEST_F(RefusalsTest, ARequestUnderAnOldLeafHasALineAndACount) {
    client.sink.current = false;
    client.send(get());
    expect_refused(421, "GET");
}

TEST_F(RefusalsTest, AnExpectationThatNobodyMeetsHasALineAndACount) {
    client.send(get("/", "Expect: miracles\r\n"));
    expect_refused(417, "GET");
}

TEST_F(RefusalsTest, WhatTheForwarderHasSeenIsCountedOnce) {
    client.send(post("Content-Length: 5\r\nX-Secret: s", "ab"));
    until([&] { return upstream.connections.size() == 1; });
    client.advance_to_deadline();  // the body stands still
    EXPECT_EQ(read_response(client.take_written()).status, 408);
    EXPECT_EQ(outcomes(Outcome::kRefused), 1U);
    const std::string all = lines();
    EXPECT_EQ(std::ranges::count(all, '\n'), 1) << all;
    EXPECT_EQ(text_of(metrics).find(refused_line("408", "1")), std::string::npos);
}

TEST_F(RefusalsTest, ARouteThatIsGoneLeavesALine) {
    routes = make_routes({}, *routes, 1);
    forwarder.set_routes(routes);
    refusals.set_routes(routes);
    client.send(get());
    EXPECT_EQ(read_response(client.take_written()).status, 404);
    EXPECT_EQ(lines(), log_line("GET", 404));
    EXPECT_NE(text_of(metrics).find(refused_line("404", "1")), std::string::npos);
}

TEST_F(RefusalsTest, OfTheApiOnlyRefusalsOfTheRequestHaveALine) {
    runtime::ConnectionInfo platform;
    platform.server_name = "vm.example";
    platform.client_address[15] = std::byte{1};
    refusals.answered(platform, {"/readyz", http::Method::kGet, 503, 0});
    refusals.answered(platform, {"/readyz", http::Method::kGet, 200, 0});
    refusals.answered(platform, {"/api/v1/status", http::Method::kGet, 401, 2});
    EXPECT_EQ(lines(),
              "client=::1 route=platform method=GET status=401 outcome=refused request_bytes=0 "
              "response_bytes=0 duration_ms=2\n");
    const std::string text = text_of(metrics);
    EXPECT_NE(text.find(refused_line("401", "1")), std::string::npos);
    EXPECT_NE(text.find(refused_line("other", "0")), std::string::npos);
    EXPECT_EQ(outcomes(Outcome::kRefused), 0U) << "that is no route's";
}

TEST_F(RefusalsTest, AStreamThatIsResetInPlaceOfAnAnswerHasALineAndACount) {
    refusals.turned_away(client.info, {{}, std::nullopt, 0, 1});
    EXPECT_EQ(lines(), log_line("-", 0, "1"));
    EXPECT_NE(text_of(metrics).find(refused_line("none", "1")), std::string::npos);
    EXPECT_EQ(outcomes(Outcome::kRefused), 1U);
}

TEST_F(RefusalsTest, AStatusWithoutALabelIsCountedAmongTheOthers) {
    metrics.add_refusal(451);
    EXPECT_NE(text_of(metrics).find(refused_line("other", "1")), std::string::npos);
}

TEST(LoopMetrics, HandshakesAreToldApartByTheirChallenge) {
    LoopMetrics metrics;
    runtime::ConnectionInfo connection;
    metrics.add_handshake(connection);
    metrics.add_handshake(connection);
    connection.is_bound = true;
    metrics.add_handshake(connection);
    const std::string text = text_of(metrics);
    for (std::string_view line :
         {"proxy_tls_handshakes_completed_total{kind=\"ordinary\"} 2\n",
          "proxy_tls_handshakes_completed_total{kind=\"challenge\"} 1\n",
          "proxy_tls_handshakes_failed_total 0\n",
          "proxy_client_connections_refused_total{limit=\"connections_per_address\"} 0\n",
          "# TYPE proxy_client_connections_draining gauge\n"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << text;
    }
}

}  // namespace
}  // namespace eos::cvm::proxy
