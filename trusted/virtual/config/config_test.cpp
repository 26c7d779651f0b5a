// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "trusted/virtual/config/node.h"

namespace eos::cvm {
namespace {

using testing::HasSubstr;

constexpr std::string_view kSmall = R"(
version: 1
platform:
  name: vm.example.test
  listen:
    - address: 0.0.0.0:443
routes:
  - name: shop
    hostname: shop.example.test
    upstream:
      tcp: 127.0.0.1:8080
  - name: chat
    hostname: chat.example.test
    upstream: {unix_socket: /run/chat.sock, protocol: http2}
    health: {path: /healthz, interval_s: 3}
    service_digest: "sha256:00000000000000000000000000000000000000000000000000000000000000aa"
)";

Result<Config> read(std::string_view yaml) {
    return parse_config(as_bytes(yaml));
}

Config small() {
    Result<Config> config = read(kSmall);
    EXPECT_TRUE(config) << config.error().message();
    return config.value_or(Config{});
}

std::string with(std::string_view from, std::string_view to) {
    std::string text(kSmall);
    const std::size_t at = text.find(from);
    EXPECT_NE(at, text.npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(Config, ReadsWhatIsGivenAndDefaultsForTheRest) {
    Config config = small();
    EXPECT_EQ(config.platform.name, "vm.example.test");
    EXPECT_EQ(config.platform.policy.drain_time_s, 30u);
    EXPECT_EQ(config.platform.http2, Switch::kOn);
    ASSERT_EQ(config.routes.size(), 2u);
    EXPECT_EQ(config.routes[0].upstream.tcp, "127.0.0.1:8080");
    EXPECT_EQ(config.routes[0].upstream.protocol, UpstreamProtocol::kHttp1);
    EXPECT_EQ(config.routes[1].upstream.protocol, UpstreamProtocol::kHttp2);
    EXPECT_EQ(config.routes[1].health.interval_s, 3u);
    EXPECT_EQ(config.routes[1].retries, Retries::kSafe);
    EXPECT_EQ(declared_digest(config.routes[0]).kind, DigestKind::kNone);
    EXPECT_EQ(declared_digest(config.routes[1]).kind, DigestKind::kService);
    EXPECT_EQ(declared_digest(config.routes[1]).digest[31], std::byte{0xaa});
}

TEST(Config, CanonicalTextIsReadBackAsItWas) {
    Config config = small();
    const std::string text = config_json(config);
    Result<Config> again = parse_config_json(as_bytes(text));
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(*again, config);
    EXPECT_EQ(config_json(*again), text);
}

TEST(Config, AnotherSpellingIsTheSameConfiguration) {
    Result<Config> config = read(with("name: vm.example.test", "name: 'vm.example.test'"));
    ASSERT_TRUE(config);
    EXPECT_EQ(config_json(*config), config_json(small()));
}

struct Refused {
    std::string_view from;
    std::string_view to;
    Code code;
    std::string_view says;
};

TEST(Config, RefusesWhatIsNotItsForm) {
    const Refused rows[] = {
        {"version: 1", "version: 2", bad_config, "line 2: version: from 1 to 1"},
        {"version: 1", "", bad_config, "version: must be given"},
        {"version: 1", "version: 1\nversion: 1", bad_yaml, "line 3: version is there twice"},
        {"version: 1", "version: \"1\"", bad_config, "not quoted"},
        {"version: 1", "version: 01", bad_config, "line 2: version"},
        {"version: 1", "version: -1", bad_config, "decimal digits"},
        {"version: 1", "version: 1_0", bad_config, "decimal digits"},
        {"version: 1", "version: 99999999999999999999", bad_config, "decimal digits"},
        {"version: 1", "verson: 1", bad_config, "must be given"},
        {"version: 1", "version: 1\ncolour: red", bad_config, "line 3: colour: there is no such"},
        {"version: 1", "version: &a 1", bad_yaml, "line 2: anchors"},
        {"version: 1", "version: !!int 1", bad_yaml, "line 2: tags"},
        {"version: 1", "version: 1\n? [a]\n: b", bad_yaml, "line 3: a key must be plain"},
        {"  name: vm.example.test", "  name: &n vm.example.test\n  <<: *n", bad_yaml, "anchors"},
        {"  name: vm.example.test", "  name: vm.example.test\n  <<: {a: b}", bad_yaml, "merge"},
        {"  name: vm.example.test", "  name: *nobody", bad_yaml, "line 4"},
        {"  name: vm.example.test", "  name: [vm]", bad_config, "platform.name: must be text"},
        {"  name: vm.example.test", "  name: ~", bad_config, "platform.name: must be text"},
        {"  name: vm.example.test", "  name: \"\"", bad_config, "must not be empty"},
        {"  name: vm.example.test", "  name: VM.example.test", bad_config, "lower case"},
        {"  name: vm.example.test", "  name: \"vm\\x01\"", bad_config, "control characters"},
        {"  name: vm.example.test", "  nane: vm.example.test", bad_config, "platform"},
        {"routes:", "...\n---\nroutes:", bad_yaml, "second document"},
        {"    - address: 0.0.0.0:443", "    address: 0.0.0.0:443", bad_config, "must be a list"},
        {"0.0.0.0:443", "localhost:443", bad_config, "platform.listen[0].address"},
        {"0.0.0.0:443", "0.0.0.0:443\n      proxy_protocol: v3", bad_config, "off, v1, v2, any"},
        {"0.0.0.0:443", "0.0.0.0:443\n      proxy_protocol: v1", bad_config, "trusted_peers"},
        {"0.0.0.0:443", "0.0.0.0:443\n      trusted_peers: [10.0.0.0/8]", bad_config, "no use"},
        {"0.0.0.0:443", "0.0.0.0:443\n    - address: 0.0.0.0:443", bad_config, "there twice"},
        {"0.0.0.0:443", "0.0.0.0:443\n    - address: 0.0.0.0:0443", bad_config, "there twice"},
        {"0.0.0.0:443", "'[::]:443'\n    - address: '[0:0::0]:443'", bad_config, "there twice"},
        {"shop.example.test", "10.0.0.1", bad_config, "routes[0].hostname: a DNS name, not an"},
        {"127.0.0.1:8080", "192.0.2.1:8080", bad_config, "routes[0].upstream.tcp: a loopback"},
        {"127.0.0.1:8080", "127.0.0.1:0", bad_config, "routes[0].upstream.tcp"},
        {"127.0.0.1:8080", "127.0.0.1:65536", bad_config, "routes[0].upstream.tcp"},
        {"/run/chat.sock", "run/chat.sock", bad_config, "an absolute path"},
        {"tcp: 127.0.0.1:8080", "protocol: http1", bad_config, "either tcp or unix_socket"},
        {"name: shop", "name: platform", bad_config, "routes[0].name"},
        {"name: shop", "name: chat", bad_config, "routes[1].name: is there twice"},
        {"shop.example.test", "chat.example.test", bad_config, "routes[1].hostname"},
        {"shop.example.test", "vm.example.test", bad_config, "routes[0].hostname"},
        {"interval_s: 3", "interval_s: 0", bad_config, "routes[1].health.interval_s: from 1"},
        {"path: /healthz", "path: healthz", bad_config, "routes[1].health.path"},
        {"path: /healthz", "path: \"/a b\"", bad_config, "routes[1].health.path"},
        {"sha256:0", "sha256:g", bad_config, "routes[1].service_digest"},
        {"sha256:0", "sha512:0", bad_config, "routes[1].service_digest"},
        {"00aa\"", "00AA\"", bad_config, "lower case"},
    };
    for (const Refused& row : rows) {
        Result<Config> config = read(with(row.from, row.to));
        ASSERT_FALSE(config) << row.to;
        EXPECT_EQ(config.error().code(), row.code) << config.error().message();
        EXPECT_THAT(config.error().detail(), HasSubstr(row.says)) << row.to;
    }
}

TEST(Config, RefusesWhatIsNotYaml) {
    for (std::string_view text : {"", "# nothing\n", "version: [1", "a: b: c", "\xff\xfe", "- 1"}) {
        EXPECT_FALSE(read(text)) << text;
    }
}

TEST(Config, IsBoundedInDepthAndCount) {
    const std::string deep = "version: " + std::string(100, '[') + std::string(100, ']');
    Result<Config> config = read(deep);
    ASSERT_FALSE(config);
    EXPECT_EQ(read("version: " + std::string(1'000'000, '[')).error().code(), bad_yaml);
    EXPECT_THAT(config.error().detail(), HasSubstr("nested too deeply"));
    std::string wide = "version: [";
    for (std::size_t i = 0; i < kMaxConfigNodes; ++i) wide += "1,";
    config = read(wide + "]");
    ASSERT_FALSE(config);
    EXPECT_THAT(config.error().detail(), HasSubstr("more values"));
    EXPECT_FALSE(read(std::string(kMaxConfigBytes + 1, '#')));
}

TEST(Config, ReadsTenThousandRoutes) {
    std::ostringstream text;
    text << "version: 1\nplatform: {name: vm.example.test, listen: [{address: '[::]:443'}]}\n"
         << "routes:\n";
    for (std::size_t i = 0; i < kMaxRoutes; ++i) {
        text << "- {name: w" << i << ", hostname: w" << i
             << ".example.test, upstream: {tcp: '127.0.0.1:8080'}}\n";
    }
    Result<Config> config = read(text.str());
    ASSERT_TRUE(config) << config.error().message();
    EXPECT_EQ(config->routes.size(), kMaxRoutes);
    Result<Config> again = parse_config_json(as_bytes(config_json(*config)));
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(*again, *config);
}

TEST(Config, JsonIsReadAsStrictly) {
    EXPECT_EQ(parse_config_json(as_bytes("{\"version\":true}")).error().code(), bad_config);
    EXPECT_EQ(parse_config_json(as_bytes("{\"version\":\"1\"}")).error().code(), bad_config);
    EXPECT_EQ(parse_config_json(as_bytes("{\"version\":1,\"version\":1}")).error().code(),
              json::repeated_member);
    std::string text = config_json(small());
    text.insert(1, "\"colour\":1,");
    EXPECT_EQ(parse_config_json(as_bytes(text)).error().code(), bad_config);
}

TEST(Config, NetworksAreAddressesWithALength) {
    Result<x509::IpNetwork> network = parse_network("10.1.0.0/16");
    ASSERT_TRUE(network);
    EXPECT_TRUE(network->contains(*x509::IpAddress::parse("10.1.2.3")));
    EXPECT_FALSE(network->contains(*x509::IpAddress::parse("10.2.2.3")));
    EXPECT_EQ(parse_network("::1")->prefix_bits, 128u);
    for (std::string_view text : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0/8"})
        EXPECT_FALSE(parse_network(text)) << text;
}

TEST(Config, TheSchemaDemandsWhatCheckDemands) {
    const json::Value schema = config_schema();
    const json::Value& platform = schema["properties"]["platform"];
    EXPECT_EQ(platform["required"], json::Value({"name", "listen"}));
    EXPECT_EQ(platform["properties"]["listen"]["minItems"], 1);
    const json::Value& route = schema["properties"]["routes"]["items"];
    EXPECT_EQ(route["required"], json::Value({"name", "hostname", "upstream"}));
    const json::Value& upstream = route["properties"]["upstream"]["oneOf"];
    ASSERT_EQ(upstream.size(), 2U);
    EXPECT_EQ(upstream[0]["required"], json::Value::array({"tcp"}));
    EXPECT_EQ(upstream[1]["required"], json::Value::array({"unix_socket"}));
    EXPECT_EQ(upstream[1]["properties"]["unix_socket"]["minLength"], 1);
}

TEST(Config, ThePublishedSchemaIsThisOne) {
    std::ifstream file(EOS_SOURCE_DIR "/docs/formats/virtual-config.schema.json");
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_EQ(text.str(), json::pretty(config_schema()) + "\n")
        << "write it anew: enclave-os-minter schema";
}

}  // namespace
}  // namespace eos::cvm
