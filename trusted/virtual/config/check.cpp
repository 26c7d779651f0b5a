// SPDX-License-Identifier: AGPL-3.0-only
// What one field of a configuration cannot say by itself.
#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "common/config_tree/leaf.h"
#include "trusted/runtime/host_name.h"
#include "trusted/virtual/config/config.h"

namespace eos::cvm {
namespace {

constexpr std::string_view kDigestPrefix = "sha256:";

std::unexpected<Error> refuse(const std::string& path, std::string_view what) {
    return fail(bad_config, path + ": " + std::string(what));
}

struct Endpoint {
    x509::IpAddress address;
    std::uint16_t port;
};

// "127.0.0.1:8080", "[::1]:8080".
std::optional<Endpoint> endpoint_in(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == text.npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    const bool has_brackets = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
    if (has_brackets) host = host.substr(1, host.size() - 2);
    std::optional<x509::IpAddress> address = x509::IpAddress::parse(host);
    if (!address || (address->bytes().size() == 16) != has_brackets) return std::nullopt;
    std::uint16_t number = 0;
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc() || end != port.data() + port.size()) return std::nullopt;
    return Endpoint{*address, number};
}

bool is_loopback(const x509::IpAddress& address) {
    ByteView bytes = address.bytes();
    if (bytes.size() == 4) return bytes[0] == std::byte{127};
    return all_zero(bytes.first(15)) && bytes[15] == std::byte{1};
}

/// One spelling for equal endpoints.
std::string text_of(const Endpoint& endpoint) {
    return endpoint.address.text() + " " + std::to_string(endpoint.port);
}

Result<void> check_listener(const ListenConfig& listen, const std::string& path) {
    if (!endpoint_in(listen.address)) {
        return refuse(path + ".address", "an address of the form 0.0.0.0:443 or [::]:443");
    }
    for (std::size_t i = 0; i < listen.trusted_peers.size(); ++i) {
        if (Result<x509::IpNetwork> peer = parse_network(listen.trusted_peers[i]); !peer) {
            return refuse(json::element_path(path + ".trusted_peers", i), peer.error().detail());
        }
    }
    const bool is_expected = listen.proxy_protocol != ProxyProtocol::kOff;
    if (is_expected == listen.trusted_peers.empty()) {
        return refuse(path + ".trusted_peers",
                      is_expected ? "proxy_protocol lets a peer say who the client is: name those "
                                    "that are believed"
                                  : "of no use without proxy_protocol");
    }
    return {};
}

Result<void> check_platform(const PlatformConfig& platform) {
    if (!runtime::is_host_name(platform.name)) {
        return refuse("platform.name", "a DNS name in lower case");
    }
    if (platform.listen.empty()) return refuse("platform.listen", "at least one address");
    std::set<std::string> addresses;
    for (std::size_t i = 0; i < platform.listen.size(); ++i) {
        const std::string path = json::element_path("platform.listen", i);
        EOS_TRY(check_listener(platform.listen[i], path));
        const Endpoint endpoint = *endpoint_in(platform.listen[i].address);
        if (!addresses.insert(text_of(endpoint)).second) {
            return refuse(path + ".address", "is there twice");
        }
    }
    const std::string& metrics = platform.metrics.address;
    if (metrics.empty()) return {};
    std::optional<Endpoint> endpoint = endpoint_in(metrics);
    if (endpoint && is_loopback(endpoint->address)) return {};
    return refuse("platform.metrics.address", "a loopback address and port");
}

// What leaves the machine leaves it in clear, and nothing that the leaf says would hold for it.
Result<void> check_upstream(const UpstreamConfig& upstream, const std::string& path) {
    if (upstream.tcp.empty() == upstream.unix_socket.empty()) {
        return refuse(path, "either tcp or unix_socket");
    }
    if (upstream.tcp.empty()) {
        if (upstream.unix_socket.starts_with('/')) return {};
        return refuse(path + ".unix_socket", "an absolute path");
    }
    std::optional<Endpoint> endpoint = endpoint_in(upstream.tcp);
    if (!endpoint || endpoint->port == 0 || !is_loopback(endpoint->address)) {
        return refuse(path + ".tcp",
                      "a loopback address and port, such as 127.0.0.1:8080: requests to another "
                      "machine would leave this one unprotected");
    }
    return {};
}

bool is_target(std::string_view path) {
    constexpr std::string_view kUnsafe = " \"#<>\\^`{|}";
    return path.starts_with('/') && path.find_first_of(kUnsafe) == path.npos &&
           std::ranges::all_of(path, [](char c) { return c > 0x20 && c < 0x7f; });
}

Result<void> check_digests(const RouteConfig& route, const std::string& path) {
    std::string_view text = route.executable_sha256;
    std::string_view field = ".executable_sha256";
    if (!route.service_digest.empty()) {
        if (!text.empty()) return refuse(path, "either executable_sha256 or service_digest");
        text = route.service_digest;
        field = ".service_digest";
        if (!text.starts_with(kDigestPrefix)) return refuse(path + std::string(field), "sha256:…");
        text.remove_prefix(kDigestPrefix.size());
    }
    if (text.empty() && route.service_digest.empty()) return {};
    Result<ByteArray<32>> digest = array_from_hex<32>(text);
    if (!digest || hex(*digest) != text || all_zero(*digest)) {
        return refuse(path + std::string(field), "64 hexadecimal digits in lower case");
    }
    return {};
}

Result<void> check_route(const RouteConfig& route, const std::string& path) {
    if (Result<void> name = config_tree::check_workload_name(route.name); !name) {
        return refuse(path + ".name", name.error().message());
    }
    if (!runtime::is_host_name(route.hostname)) {
        return refuse(path + ".hostname", "a DNS name in lower case");
    }
    if (x509::IpAddress::parse(route.hostname)) {
        return refuse(path + ".hostname",
                      "a DNS name, not an address: clients cannot ask for an address by SNI "
                      "(RFC 6066, section 3)");
    }
    EOS_TRY(check_upstream(route.upstream, path + ".upstream"));
    if (!route.health.path.empty() && !is_target(route.health.path)) {
        return refuse(path + ".health.path", "a path that starts with /, percent-encoded");
    }
    return check_digests(route, path);
}

}  // namespace

DeclaredDigest declared_digest(const RouteConfig& route) {
    std::string_view text = route.executable_sha256;
    DigestKind kind = DigestKind::kExecutable;
    if (text.empty()) {
        if (route.service_digest.empty()) return {};
        text = std::string_view(route.service_digest).substr(kDigestPrefix.size());
        kind = DigestKind::kService;
    }
    Result<ByteArray<32>> digest = array_from_hex<32>(text);
    EOS_ASSERT(digest.has_value());
    return {kind, *digest};
}

Result<x509::IpNetwork> parse_network(std::string_view text) {
    constexpr std::string_view kForm = "an address or a network, such as 10.0.0.0/8";
    const std::size_t slash = text.find('/');
    std::optional<x509::IpAddress> address = x509::IpAddress::parse(text.substr(0, slash));
    if (!address) return fail(bad_config, std::string(kForm));
    const auto most = static_cast<unsigned>(address->bytes().size() * 8);
    unsigned bits = most;
    if (slash != text.npos) {
        std::string_view number = text.substr(slash + 1);
        auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bits);
        if (error != std::errc() || end != number.data() + number.size() || bits > most) {
            return fail(bad_config, std::string(kForm));
        }
    }
    return x509::IpNetwork{*address, bits};
}

Result<void> check_config(const Config& config) {
    EOS_TRY(check_platform(config.platform));
    std::set<std::string_view> names;
    std::set<std::string_view> hostnames{config.platform.name};
    for (std::size_t i = 0; i < config.routes.size(); ++i) {
        const RouteConfig& route = config.routes[i];
        const std::string path = json::element_path("routes", i);
        EOS_TRY(check_route(route, path));
        if (!names.insert(route.name).second) return refuse(path + ".name", "is there twice");
        if (!hostnames.insert(route.hostname).second) {
            return refuse(path + ".hostname", "another route or the platform has it");
        }
    }
    return {};
}

}  // namespace eos::cvm
