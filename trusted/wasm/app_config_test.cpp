// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/app_config.h"

#include <gtest/gtest.h>

namespace eos::wasm {
namespace {

AppConfig good() {
    AppConfig config;
    config.name = "app";
    config.arguments = {"--verbose"};
    config.environment = {{"GREETING", "hi"}};
    config.secrets = {{"API_KEY", "s3cret"}};
    return config;
}

void expect_refused(const AppConfig& config, std::string_view detail) {
    const auto checked = check_app_config(config);
    ASSERT_FALSE(checked.has_value()) << detail;
    EXPECT_EQ(checked.error().code(), bad_app_config);
    EXPECT_NE(checked.error().detail().find(detail), std::string::npos)
        << checked.error().message();
}

TEST(AppConfig, AcceptsAnOrdinaryOne) {
    EXPECT_TRUE(check_app_config(good()).has_value());
}

TEST(AppConfig, RefusesNamesThatArePlatformsOrNotNames) {
    for (const char* name : {"", "1A", "A B", "A=B", "A-B", "HTTP_HOST", "EOS_APP", "PATH_INFO",
                             "REQUEST_METHOD", "HTTPS", "REMOTE_ADDR"}) {
        AppConfig config = good();
        config.environment.push_back({name, "x"});
        expect_refused(config, "environment");
        config = good();
        config.secrets.push_back({name, "x"});
        expect_refused(config, "environment");
    }
}

TEST(AppConfig, RefusesAVariableGivenTwiceAlsoAsASecret) {
    AppConfig config = good();
    config.secrets.push_back({"GREETING", "other"});
    expect_refused(config, "GREETING is given twice");
}

TEST(AppConfig, NeverQuotesAValue) {
    AppConfig config = good();
    config.secrets[0].value = std::string("s3cret\0x", 8);
    const auto checked = check_app_config(config);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().message().find("s3cret"), std::string::npos);
}

TEST(AppConfig, BoundsEverything) {
    AppConfig config = good();
    config.arguments.assign(kMaxArguments + 1, "x");
    expect_refused(config, "arguments");
    config = good();
    config.arguments = {std::string("a\0b", 3)};
    expect_refused(config, "arguments");
    config = good();
    for (std::size_t i = 0; i < kMaxEnvironment; ++i) {
        config.environment.push_back({"V" + std::to_string(i), ""});
    }
    expect_refused(config, "variables");
    config = good();
    for (int i = 0; i < 5; ++i) {
        config.environment.push_back({"V" + std::to_string(i), std::string(60'000, 'x')});
    }
    expect_refused(config, "together");
    config = good();
    config.limits.memory_pages = kMaxPages + 1;
    expect_refused(config, "memory");
    config = good();
    config.limits.table_elements = kMaxTableElements + 1;
    expect_refused(config, "table");
    config = good();
    config.limits.call_depth = 0;
    expect_refused(config, "depth");
    config = good();
    config.budget.fuel = 0;
    expect_refused(config, "fuel");
    config = good();
    config.output_limit_bytes = kMaxOutputBytes + 1;
    expect_refused(config, "output");
    config = good();
    config.name = "";
    expect_refused(config, "name");
}

}  // namespace
}  // namespace eos::wasm
