// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/access_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "trusted/os/unique_fd.h"
#include "trusted/runtime/http_test_peer.h"

namespace eos::cvm::proxy {
namespace {

AccessRecord record() {
    AccessRecord out;
    out.client[15] = std::byte{1};
    out.route = "shop";
    out.method = http::Method::kPost;
    out.status = 502;
    out.outcome = Outcome::kClosed;
    out.request_bytes = 1;
    out.response_bytes = 2;
    out.duration_ms = 3;
    return out;
}

TEST(AccessLog, WritesALineInBothForms) {
    EXPECT_EQ(access_line(record(), os::LogFormat::text, {784111777}),
              "1994-11-06T08:49:37Z info request client=::1 route=shop method=POST "
              "status=502 outcome=closed request_bytes=1 response_bytes=2 duration_ms=3\n");
    EXPECT_EQ(access_line(record(), os::LogFormat::json, {784111777}),
              R"({"time":"1994-11-06T08:49:37Z","level":"info","event":"request","client":"::1",)"
              R"("route":"shop","method":"POST","status":502,"outcome":"closed",)"
              R"("request_bytes":1,"response_bytes":2,"duration_ms":3})"
              "\n");
}

TEST(AccessLog, ARequestThatNobodyUnderstoodHasNoMethod) {
    AccessRecord refused = record();
    refused.method = std::nullopt;
    EXPECT_NE(access_line(refused, os::LogFormat::text, {}).find(" method=- "), std::string::npos);
    EXPECT_NE(access_line(refused, os::LogFormat::json, {}).find(R"("method":"-")"),
              std::string::npos);
}

TEST(AccessLog, GathersLinesForAWhile) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const os::UniqueFd reader(ends[0]);
    const os::UniqueFd writer(ends[1]);
    os::LineSink sink(writer.get());
    AccessLog log(sink, os::LogFormat::text);
    EXPECT_EQ(log.next_deadline_ms(), std::nullopt);
    runtime::FakeClock clock;
    log.write(record(), clock);
    EXPECT_EQ(log.next_deadline_ms(), clock.now_ms + AccessLog::kFlushMs);
    log.turn(clock.now_ms + AccessLog::kFlushMs - 1);
    EXPECT_NE(log.next_deadline_ms(), std::nullopt);
    log.turn(clock.now_ms + AccessLog::kFlushMs);
    EXPECT_EQ(log.next_deadline_ms(), std::nullopt);
    std::array<char, 1024> line;
    EXPECT_GT(::read(reader.get(), line.data(), line.size()), 100);
}

}  // namespace
}  // namespace eos::cvm::proxy
