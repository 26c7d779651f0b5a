// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/config.h"

#include <algorithm>

#include "common/base/encoding.h"
#include "common/json/json.h"
#include "common/x509/ip_address.h"

namespace eos::attestd {
namespace {

constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxList = 64;

/// An optional member of text.
Result<void> read(json::Object& object, std::string_view name, std::string& out) {
    const json::Value* value = object.find(name);
    if (value == nullptr) return {};
    out = EOS_TRY(json::as_text(*value, object.path(name), kMaxText));
    if (out.empty()) return fail(json::out_of_range, object.path(name) + ": empty");
    return {};
}

/// What an optional number may be.
struct Range {
    std::uint32_t min;
    std::uint32_t max;
};

Result<void> read(json::Object& object, std::string_view name, Range range, std::uint32_t& out) {
    const json::Value* value = object.find(name);
    if (value == nullptr) return {};
    std::uint64_t number = EOS_TRY(json::as_number(*value, object.path(name), range.max));
    if (number < range.min) {
        return fail(json::out_of_range,
                    object.path(name) + ": at least " + std::to_string(range.min));
    }
    out = static_cast<std::uint32_t>(number);
    return {};
}

Result<std::vector<std::string>> read_list(json::Object& object, std::string_view name) {
    std::vector<std::string> out;
    const json::Value* list = EOS_TRY(object.array(name, kMaxList));
    if (list == nullptr) return out;
    for (const json::Value& value : *list)
        out.push_back(EOS_TRY(json::as_text(value, object.path(name), kMaxText)));
    return out;
}

Result<void> read_algorithms(json::Object& object, std::set<jose::Algorithm>& out) {
    std::vector<std::string> names = EOS_TRY(read_list(object, "algorithms"));
    if (names.empty()) return {};
    out.clear();
    for (const std::string& name : names) {
        std::optional<jose::Algorithm> algorithm = jose::algorithm_from(name);
        if (!algorithm) {
            return fail(bad_config, object.path("algorithms") + ": ES256, ES384 or RS256, not " +
                                        printable(as_bytes(name)));
        }
        out.insert(*algorithm);
    }
    return {};
}

Result<IssuerConfig> read_issuer(const json::Value& value, const std::string& path) {
    json::Object object = EOS_TRY(json::Object::of(value, path));
    IssuerConfig out;
    out.issuer = EOS_TRY(object.text("issuer", kMaxText));
    EOS_TRY(read(object, "audience", out.audience));
    EOS_TRY(read(object, "jwks_file", out.jwks_file));
    EOS_TRY(read(object, "ca_file", out.ca_file));
    EOS_TRY(read(object, "role_claim", out.role_claim));
    EOS_TRY(read(object, "client_role", out.client_role));
    EOS_TRY(read(object, "monitoring_role", out.monitoring_role));
    EOS_TRY(read(object, "refresh_s", {30, 86400}, out.refresh_s));
    EOS_TRY(read_algorithms(object, out.algorithms));
    EOS_TRY(object.finish());
    if (out.issuer.empty()) return fail(bad_config, path + ": issuer is empty");
    if (!out.jwks_file.empty() && !out.ca_file.empty()) {
        return fail(bad_config, path + ": ca_file is for discovery, which jwks_file replaces");
    }
    return out;
}

Result<void> read_issuers(json::Object& root, Config& out) {
    const json::Value* list = EOS_TRY(root.array("issuers", kMaxIssuers));
    if (list == nullptr) return {};
    for (std::size_t i = 0; i < list->size(); ++i) {
        IssuerConfig issuer = EOS_TRY(read_issuer((*list)[i], json::element_path("issuers", i)));
        bool is_known = std::ranges::any_of(
            out.issuers, [&](const IssuerConfig& other) { return other.issuer == issuer.issuer; });
        if (is_known) return fail(bad_config, json::element_path("issuers", i) + ": named twice");
        out.issuers.push_back(std::move(issuer));
    }
    const bool has_one = out.issuers.size() == 1;
    if (has_one && out.issuers[0].monitoring_role.empty())
        out.issuers[0].monitoring_role = kMonitoringRole;
    return {};
}

Result<void> read_token(json::Object& root, Config& out) {
    const json::Value* value = root.find("token");
    if (value == nullptr) return {};
    json::Object object = EOS_TRY(json::Object::of(*value, "token"));
    TokenConfig token;
    token.issuer = EOS_TRY(object.text("issuer", 256));
    token.key_file = EOS_TRY(object.text("key_file", kMaxText));
    EOS_TRY(read(object, "life_s", {1, 300}, token.life_s));
    EOS_TRY(object.finish());
    if (token.issuer.empty()) return fail(bad_config, "token.issuer is empty");
    out.token = std::move(token);
    return {};
}

Result<void> read_limits(json::Object& root, Limits& out) {
    const json::Value* value = root.find("limits");
    if (value == nullptr) return {};
    constexpr std::uint32_t kMany = 1'000'000;
    constexpr std::uint32_t kMiB = 1024 * 1024;
    json::Object object = EOS_TRY(json::Object::of(*value, "limits"));
    EOS_TRY(read(object, "connections", {1, 65536}, out.connections));
    EOS_TRY(read(object, "connections_per_address", {1, 65536}, out.connections_per_address));
    EOS_TRY(read(object, "body_bytes", {1024, 16 * kMiB}, out.body_bytes));
    EOS_TRY(read(object, "body_memory_bytes", {64 * 1024, 4095 * kMiB}, out.body_memory_bytes));
    EOS_TRY(read(object, "requests_per_minute", {1, kMany}, out.requests_per_minute));
    EOS_TRY(read(object, "burst", {1, kMany}, out.burst));
    EOS_TRY(
        read(object, "address_requests_per_minute", {1, kMany}, out.address_requests_per_minute));
    EOS_TRY(read(object, "address_burst", {1, kMany}, out.address_burst));
    EOS_TRY(read(object, "in_flight_per_caller", {1, 65536}, out.in_flight_per_caller));
    EOS_TRY(read(object, "queue", {1, 65536}, out.queue));
    EOS_TRY(read(object, "threads", {1, 256}, out.threads));
    EOS_TRY(read(object, "cache_entries", {1, kMany}, out.cache_entries));
    EOS_TRY(object.finish());
    // A body that grows is there twice while it is copied.
    if (out.body_memory_bytes / 2 < out.body_bytes) {
        return fail(bad_config, "limits.body_memory_bytes is less than two bodies");
    }
    return {};
}

Result<void> read_proxy(const json::Value& value, Config& out) {
    json::Object object = EOS_TRY(json::Object::of(value, "proxy"));
    ProxyConfig proxy;
    proxy.socket = EOS_TRY(object.text("socket", kMaxText));
    proxy.user = EOS_TRY(object.text("user", kMaxText));
    EOS_TRY(object.finish());
    if (proxy.socket.empty() || proxy.user.empty())
        return fail(bad_config, "proxy: socket and user must not be empty");
    out.proxy = std::move(proxy);
    return {};
}

// One way in, so that nobody gets past the attested one by another.
Result<void> read_way_in(json::Object& root, Config& out) {
    if (const json::Value* proxy = root.find("proxy")) {
        for (const char* name : {"listen", "certificate_file", "key_file", "names"}) {
            if (root.find(name) != nullptr)
                return fail(bad_config, std::string(name) + " contradicts proxy: leave out either");
        }
        return read_proxy(*proxy, out);
    }
    Result<os::ListenAddress> listen =
        os::parse_listen_address(EOS_TRY(root.text("listen", kMaxText)));
    if (!listen) return fail(std::move(listen).error().within("listen"));
    out.listen = std::move(*listen);
    out.certificate_file = EOS_TRY(root.text("certificate_file", kMaxText));
    out.key_file = EOS_TRY(root.text("key_file", kMaxText));
    out.names = EOS_TRY(read_list(root, "names"));
    return {};
}

Result<void> read_log(json::Object& root, Config& out) {
    std::string name = "json";
    EOS_TRY(read(root, "log", name));
    if (name != "json" && name != "text") return fail(bad_config, "log: json or text");
    out.log = name == "json" ? os::LogFormat::json : os::LogFormat::text;
    return {};
}

}  // namespace

Result<Config> parse_config(ByteView text) {
    json::Value value = EOS_TRY(json::parse(text, {.size_bytes = kMaxConfigBytes, .depth = 6}));
    json::Object root = EOS_TRY(json::Object::of(value, ""));
    if (EOS_TRY(root.number("version", 1)) != 1) return fail(bad_config, "version is not 1");
    Config out;
    out.sha256 = crypto::sha256(text);
    EOS_TRY(read_way_in(root, out));
    EOS_TRY(read_issuers(root, out));
    EOS_TRY(read(root, "clock_leeway_s", {0, 300}, out.clock_leeway_s));
    EOS_TRY(read(root, "policy_file", out.policy_file));
    out.collateral = EOS_TRY(read_list(root, "collateral"));
    EOS_TRY(read_token(root, out));
    EOS_TRY(read_limits(root, out.limits));
    EOS_TRY(read(root, "drain_s", {1, 600}, out.drain_s));
    EOS_TRY(read_log(root, out));
    EOS_TRY(root.finish());
    return out;
}

Result<void> check_authentication(const Config& config, Authentication wanted) {
    if (wanted == Authentication::tokens) {
        if (!config.issuers.empty()) return {};
        return fail(bad_config, "no issuers: name one, or start with --no-auth on loopback");
    }
    if (config.proxy) return fail(bad_config, "--no-auth contradicts proxy: anybody may be behind");
    if (!config.listen.is_loopback()) {
        return fail(bad_config, "--no-auth only with a loopback address in listen, not " +
                                    config.listen.text());
    }
    if (!config.issuers.empty()) {
        return fail(bad_config, "--no-auth contradicts issuers: leave out either of them");
    }
    return {};
}

}  // namespace eos::attestd
