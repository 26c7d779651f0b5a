// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/metrics.h"

#include <gtest/gtest.h>

namespace eos::runtime {
namespace {

TEST(Metrics, TextFormSumsTheWorkers) {
    MetricRegistry first;
    MetricRegistry second;
    std::vector<Metric*> apps;
    for (MetricRegistry* registry : {&first, &second}) {
        registry->add(MetricType::kCounter, "eos_calls_total", "Calls.", {{"kind", "a"}}).add(2);
        registry->add(MetricType::kCounter, "eos_calls_total", "Calls.", {{"kind", "b"}}).add();
        apps.push_back(&registry->add(MetricType::kGauge, "eos_apps", "Apps."));
    }
    apps[0]->set(7);
    apps[1]->add(5);
    apps[1]->subtract(1);
    const MetricRegistry* workers[] = {&first, &second};
    EXPECT_EQ(MetricRegistry::to_text(workers),
              "# HELP eos_calls_total Calls.\n# TYPE eos_calls_total counter\n"
              "eos_calls_total{kind=\"a\"} 4\neos_calls_total{kind=\"b\"} 2\n"
              "# HELP eos_apps Apps.\n# TYPE eos_apps gauge\neos_apps 11\n");
}

TEST(Metrics, RequestsAreCountedByTemplateMethodAndClass) {
    const RouteSpec table[] = {{http::Method::kGet, "/a/{x}", RouteNames::kAll},
                               {http::Method::kPost, "/a/{x}", RouteNames::kAll}};
    MetricRegistry registry;
    HttpMetrics metrics(registry, table);
    const ConnectionInfo connection;
    metrics.answered(connection, {"/a/{x}", http::Method::kGet, 200, 3});
    metrics.answered(connection, {"/a/{x}", http::Method::kHead, 204, 4});
    metrics.answered(connection, {"/a/{x}", http::Method::kPost, 503, 5});
    metrics.answered(connection, {{}, std::nullopt, 400, 0});
    metrics.answered(connection, {{}, http::Method::kGet, 404, 6});
    const MetricRegistry* workers[] = {&registry};
    const std::string text = MetricRegistry::to_text(workers);
    const auto has = [&](std::string_view line) { return text.contains(line); };
    EXPECT_TRUE(has("requests_total{route=\"/a/{x}\",method=\"GET\",class=\"2xx\"} 2\n")) << text;
    EXPECT_TRUE(has("requests_total{route=\"/a/{x}\",method=\"POST\",class=\"5xx\"} 1\n")) << text;
    EXPECT_TRUE(has("requests_total{route=\"(none)\",method=\"(any)\",class=\"4xx\"} 2\n")) << text;
    EXPECT_TRUE(has("milliseconds_total{route=\"/a/{x}\",method=\"GET\"} 7\n")) << text;
    EXPECT_TRUE(has("milliseconds_total{route=\"(none)\",method=\"(any)\"} 6\n")) << text;
}

using MetricsDeathTest = ::testing::Test;

TEST(MetricsDeathTest, AMistakeInTheSchemaStopsTheProgram) {
    MetricRegistry registry;
    registry.add(MetricType::kCounter, "a", "A.");
    registry.add(MetricType::kCounter, "b", "B.");
    EXPECT_DEATH(registry.add(MetricType::kCounter, "a", "A.", {{"l", "v"}}), "assertion failed");
    EXPECT_DEATH(registry.add(MetricType::kCounter, "b", "B."), "assertion failed");
    EXPECT_DEATH(registry.add(MetricType::kGauge, "b", "B.", {{"l", "v"}}), "assertion failed");
    MetricRegistry other;
    const MetricRegistry* workers[] = {&registry, &other};
    EXPECT_DEATH(MetricRegistry::to_text(workers), "assertion failed");
}

}  // namespace
}  // namespace eos::runtime
