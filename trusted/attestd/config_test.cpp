// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/config.h"

#include <gtest/gtest.h>

#include "common/json/json.h"

namespace eos::attestd {
namespace {

json::Value minimal() {
    return {{"version", 1},
            {"listen", "127.0.0.1:8443"},
            {"certificate_file", "/c.pem"},
            {"key_file", "/k.pem"}};
}

Result<Config> parse(const json::Value& value) {
    std::string text = json::compact(value);
    return parse_config(as_bytes(text));
}

Code refusal(const char* name, const json::Value& value) {
    json::Value config = minimal();
    config[name] = value;
    Result<Config> parsed = parse(config);
    EXPECT_FALSE(parsed.has_value()) << config.dump();
    return parsed ? Code{} : parsed.error().code();
}

TEST(Config, WhatIsLeftOutHasTheDocumentedValue) {
    Config config = parse(minimal()).value();
    EXPECT_EQ(config.listen.text(), "127.0.0.1:8443");
    EXPECT_EQ(config.clock_leeway_s, 60U);
    EXPECT_EQ(config.drain_s, 30U);
    EXPECT_EQ(config.limits.body_bytes, 8U * 1024 * 1024);
    EXPECT_EQ(config.log, os::LogFormat::json);
    EXPECT_FALSE(config.token.has_value());
    json::Value with = minimal();
    with["issuers"] = {{{"issuer", "https://id"}}};
    IssuerConfig issuer = parse(with).value().issuers.at(0);
    EXPECT_EQ(issuer.audience, "attestation-server");
    EXPECT_EQ(issuer.client_role, "attestation-server:client");
    EXPECT_EQ(issuer.algorithms,
              (std::set<jose::Algorithm>{jose::Algorithm::es256, jose::Algorithm::rs256}));
}

// Who may read about all issuers' callers is one issuer's to say only where there is one.
TEST(Config, OfSeveralIssuersNoneGrantsMonitoringUnnamed) {
    json::Value config = minimal();
    config["issuers"] = {{{"issuer", "https://a"}}};
    EXPECT_EQ(parse(config)->issuers.at(0).monitoring_role, "attestation-server:monitoring");
    config["issuers"] = {{{"issuer", "https://a"}},
                         {{"issuer", "https://b"}, {"monitoring_role", "operator"}}};
    EXPECT_EQ(parse(config)->issuers.at(0).monitoring_role, "");
    EXPECT_EQ(parse(config)->issuers.at(1).monitoring_role, "operator");
}

TEST(Config, EverythingUnknownOrOutOfRangeIsRefused) {
    EXPECT_EQ(refusal("debug", true), json::unknown_member);
    EXPECT_EQ(refusal("version", 2), json::out_of_range);
    EXPECT_EQ(refusal("version", 0), bad_config);
    EXPECT_EQ(refusal("log", "xml"), bad_config);
    EXPECT_EQ(refusal("drain_s", 0), json::out_of_range);
    EXPECT_EQ(refusal("clock_leeway_s", 301), json::out_of_range);
    EXPECT_EQ(refusal("limits", {{"threads", 0}}), json::out_of_range);
    EXPECT_EQ(refusal("limits", {{"threads", 257}}), json::out_of_range);
    EXPECT_EQ(refusal("limits", {{"body_bytes", 1 << 25}}), json::out_of_range);
    EXPECT_EQ(refusal("limits", {{"body_memory_bytes", 2048}}), json::out_of_range);
    EXPECT_EQ(refusal("limits", {{"body_memory_bytes", (1 << 24) - 1}}), bad_config);
    EXPECT_EQ(refusal("limits", {{"conections", 7}}), json::unknown_member);
    EXPECT_EQ(refusal("token", {{"issuer", "us"}}), json::missing_member);
    EXPECT_EQ(refusal("token", {{"issuer", "us"}, {"key_file", "k"}, {"life_s", 301}}),
              json::out_of_range);
    EXPECT_EQ(refusal("issuers", {{{"issuer", ""}}}), bad_config);
    EXPECT_EQ(refusal("issuers", {{{"issuer", "a"}}, {{"issuer", "a"}}}), bad_config);
    EXPECT_EQ(refusal("issuers", {{{"issuer", "a"}, {"algorithms", {"none"}}}}), bad_config);
    EXPECT_EQ(refusal("issuers", {{{"issuer", "a"}, {"algorithms", {"HS256"}}}}), bad_config);
    EXPECT_EQ(refusal("issuers", {{{"issuer", "a"}, {"audience", ""}}}), json::out_of_range);
    EXPECT_EQ(refusal("issuers", {{{"issuer", "a"}, {"jwks_file", "f"}, {"ca_file", "c"}}}),
              bad_config);
    EXPECT_EQ(refusal("issuers", {{{"issuer", "a"}, {"secret", "x"}}}), json::unknown_member);
    EXPECT_EQ(refusal("listen", "localhost:1"), os::bad_address);
}

json::Value behind_proxy() {
    return {{"version", 1}, {"proxy", {{"socket", "/run/a.sock"}, {"user", "proxy"}}}};
}

TEST(Config, AProxyIsTheOnlyWayIn) {
    const Config config = parse(behind_proxy()).value();
    EXPECT_EQ(config.proxy->socket, "/run/a.sock");
    EXPECT_EQ(config.proxy->user, "proxy");
    for (const char* name : {"listen", "certificate_file", "key_file", "names"}) {
        json::Value both = behind_proxy();
        both[name] = "x";
        EXPECT_EQ(parse(both).error().code(), bad_config) << name;
    }
    EXPECT_FALSE(parse(minimal()).value().proxy);
}

TEST(Config, AProxyHasASocketAndAUser) {
    for (const char* name : {"socket", "user"}) {
        json::Value without = behind_proxy();
        without["proxy"].erase(name);
        EXPECT_EQ(parse(without).error().code(), json::missing_member) << name;
        json::Value empty = behind_proxy();
        empty["proxy"][name] = "";
        EXPECT_EQ(parse(empty).error().code(), bad_config) << name;
    }
    json::Value more = behind_proxy();
    more["proxy"]["mode"] = "0666";
    EXPECT_EQ(parse(more).error().code(), json::unknown_member);
}

TEST(Config, BehindAProxyCallersMustSayWhoTheyAre) {
    Config config = parse(behind_proxy()).value();
    EXPECT_FALSE(check_authentication(config, Authentication::none));
    EXPECT_FALSE(check_authentication(config, Authentication::tokens));
    config.issuers.push_back({.issuer = "https://id"});
    EXPECT_TRUE(check_authentication(config, Authentication::tokens));
}

TEST(Config, ItsDigestIsThatOfTheFile) {
    const std::string text = json::compact(behind_proxy());
    EXPECT_EQ(parse_config(as_bytes(text))->sha256, crypto::sha256(as_bytes(text)));
    const std::string same = text + "\n";
    EXPECT_NE(parse_config(as_bytes(same))->sha256, crypto::sha256(as_bytes(text)));
}

TEST(Config, WithoutAuthenticationOnlyThisMachineMayCall) {
    Config config = parse(minimal()).value();
    EXPECT_FALSE(check_authentication(config, Authentication::tokens).has_value());
    EXPECT_TRUE(check_authentication(config, Authentication::none).has_value());
    for (const char* address : {"0.0.0.0:1", "192.0.2.1:1", "[::]:1", "[::ffff:127.0.0.1]:1"}) {
        config.listen = os::parse_listen_address(address).value();
        EXPECT_FALSE(check_authentication(config, Authentication::none).has_value()) << address;
    }
    config.listen = os::parse_listen_address("[::1]:1").value();
    EXPECT_TRUE(check_authentication(config, Authentication::none).has_value());
    config.issuers.push_back({.issuer = "https://id"});
    EXPECT_TRUE(check_authentication(config, Authentication::tokens).has_value());
    EXPECT_FALSE(check_authentication(config, Authentication::none).has_value());
}

}  // namespace
}  // namespace eos::attestd
