// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/routes.h"

#include <gtest/gtest.h>

namespace eos::cvm::proxy {
namespace {

Config two_routes() {
    Config config;
    config.routes.resize(2);
    config.routes[0].name = "a";
    config.routes[0].hostname = "a.example";
    config.routes[1].name = "b";
    config.routes[1].hostname = "b.example";
    return config;
}

TEST(Routes, WhatDidNotChangeStaysTheSame) {
    Config config = two_routes();
    const auto first = make_routes(config, {}, 2);
    first->at("a.example")->is_healthy = false;
    (*first->at("b.example")->statistics)[1].retries.add(5);
    config.routes[1].max_body_bytes = 1;
    const auto second = make_routes(config, *first, 2);
    EXPECT_EQ(second->at("a.example"), first->at("a.example"));
    EXPECT_NE(second->at("b.example"), first->at("b.example"));
    EXPECT_EQ((*second->at("b.example")->statistics)[1].retries.get(), 5U);
}

TEST(Routes, AHostnameThatMovesTakesNothingOfItsOldRouteAlong) {
    Config config = two_routes();
    const auto first = make_routes(config, {}, 1);
    std::swap(config.routes[0].hostname, config.routes[1].hostname);
    const auto second = make_routes(config, *first, 1);
    EXPECT_EQ(second->at("a.example")->config.name, "b");
    EXPECT_EQ(second->at("a.example")->statistics, first->at("b.example")->statistics);
}

TEST(Routes, NumbersOfAllLoopsAreAddedUp) {
    const auto routes = make_routes(two_routes(), {}, 2);
    StatisticsOfLoops& loops = *routes->at("a.example")->statistics;
    loops[0].answers[0].add(3);
    loops[1].answers[0].add(4);
    loops[1].outcomes[static_cast<std::size_t>(Outcome::kStalled)].add();
    const std::string text = route_metrics(*routes);
    for (std::string_view line :
         {"proxy_answers_total{route=\"a\",class=\"2xx\"} 7\n",
          "proxy_answers_total{route=\"b\",class=\"2xx\"} 0\n",
          "proxy_requests_total{route=\"a\",outcome=\"stalled\"} 1\n",
          "proxy_upstream_healthy{route=\"b\"} 1\n", "# TYPE proxy_requests_active gauge\n"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << text;
    }
}

}  // namespace
}  // namespace eos::cvm::proxy
