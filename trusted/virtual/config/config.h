// SPDX-License-Identifier: AGPL-3.0-only
// The configuration of Virtual: one file, which the minter reads and the proxy serves by. There is
// no secret in it, and every value of it is a leaf of a configuration tree.
#pragma once

#include "common/crypto/hash.h"
#include "common/json/json.h"
#include "common/ratls/leaf_scheme.h"
#include "common/x509/ip_address.h"
#include "trusted/virtual/config/fields.h"

namespace eos::cvm {

inline constexpr Code bad_config{"trusted/virtual/config", "bad_config",
                                 "the configuration is not usable"};
inline constexpr Code bad_yaml{"trusted/virtual/config", "bad_yaml",
                               "the file is not the YAML that is read here"};

inline constexpr std::size_t kMaxConfigBytes = 8 * 1024 * 1024;
inline constexpr std::size_t kMaxConfigNodes = 500'000;
inline constexpr std::size_t kMaxConfigDepth = 8;
inline constexpr std::size_t kMaxRoutes = 10'000;
inline constexpr std::size_t kMaxListeners = 16;
inline constexpr std::uint64_t kMaxBodyBytes = std::uint64_t{1} << 50;

/// Whether something is done.
enum class Switch : std::uint8_t { kOff, kOn };
inline constexpr std::string_view kSwitchWords[] = {"off", "on"};

/// Which PROXY protocol a listener expects in front of every connection.
enum class ProxyProtocol : std::uint8_t { kOff, kV1, kV2, kAny };
inline constexpr std::string_view kProxyProtocolWords[] = {"off", "v1", "v2", "any"};

/// Lines for people, or one JSON object a line.
enum class LogFormat : std::uint8_t { kText, kJson };
inline constexpr std::string_view kLogFormatWords[] = {"text", "json"};

/// The least that is written.
enum class LogLevel : std::uint8_t { kError, kWarning, kInfo };
inline constexpr std::string_view kLogLevelWords[] = {"error", "warning", "info"};

/// What is spoken with an upstream; HTTP/2 without TLS and with prior knowledge (RFC 9113 §3.3).
enum class UpstreamProtocol : std::uint8_t { kHttp1, kHttp2 };
inline constexpr std::string_view kUpstreamProtocolWords[] = {"http1", "http2"};

/// Which generation of leaves a route shows.
using ratls::kProfileWords;
using ratls::Profile;

/// Whether a request that failed is sent to the upstream once more: never, or where that is safe.
enum class Retries : std::uint8_t { kOff, kSafe };
inline constexpr std::string_view kRetriesWords[] = {"off", "safe"};

#define EOS_CVM_LISTEN(X)                                                              \
    X(TEXT, address, 1, 64, "where connections are accepted: 0.0.0.0:443 or [::]:443") \
    X(CHOICE, proxy_protocol, ProxyProtocol, kOff, kProxyProtocolWords,                \
      "what a load balancer in front says of the client's address")                    \
    X(TEXTS, trusted_peers, 64, 64,                                                    \
      "addresses or networks of load balancers that are believed; demanded with proxy_protocol")
/// One listening address.
EOS_CVM_SECTION(ListenConfig, EOS_CVM_LISTEN)

#define EOS_CVM_LOG(X)                                                                        \
    X(CHOICE, format, LogFormat, kJson, kLogFormatWords, "lines for people, or JSON objects") \
    X(CHOICE, level, LogLevel, kInfo, kLogLevelWords, "the least that is written")            \
    X(CHOICE, access, Switch, kOn, kSwitchWords, "a line for every request")
/// What is written to the log.
EOS_CVM_SECTION(LogConfig, EOS_CVM_LOG)

#define EOS_CVM_LIMITS(X)                                                                   \
    X(NUMBER, connections, 20'000, 1, 1'000'000, "connections of clients")                  \
    X(NUMBER, connections_per_address, 1'000, 1, 1'000'000, "connections of one address")   \
    X(NUMBER, streams, 128, 1, 1'000, "requests at the same time on one HTTP/2 connection") \
    X(NUMBER, threads, 0, 0, 256, "event loops of the proxy; 0: one for every processor")
/// Bounds on what clients can make the proxy hold.
EOS_CVM_SECTION(LimitsConfig, EOS_CVM_LIMITS)

#define EOS_CVM_METRICS(X) \
    X(TEXT, address, 0, 64, "where /metrics is answered, on this machine only; empty: nowhere")
/// Prometheus metrics.
EOS_CVM_SECTION(MetricsConfig, EOS_CVM_METRICS)

// What governs every tenant: leaves of the policy tree.
#define EOS_CVM_POLICY(X)                 \
    X(NUMBER, drain_time_s, 30, 0, 3'600, \
      "how long streams go on after what they were shown has changed")
/// Settings of the policy tree.
EOS_CVM_SECTION(PolicyConfig, EOS_CVM_POLICY)

#define EOS_CVM_PLATFORM(X)                                                                \
    X(TEXT, name, 1, 253, "the host name under which the machine itself answers")          \
    X(LIST, listen, ListenConfig, kMaxListeners, "where clients connect to; at least one") \
    X(SECTION, policy, PolicyConfig, "what governs every tenant")                          \
    X(CHOICE, http2, Switch, kOn, kSwitchWords, "whether clients may speak HTTP/2")        \
    X(SECTION, log, LogConfig, "the log")                                                  \
    X(SECTION, limits, LimitsConfig, "bounds")                                             \
    X(SECTION, metrics, MetricsConfig, "metrics")
/// What is of no route.
EOS_CVM_SECTION(PlatformConfig, EOS_CVM_PLATFORM)

#define EOS_CVM_UPSTREAM(X)                                                                    \
    X(TEXT, tcp, 0, 64, "a loopback address: 127.0.0.1:8080 or [::1]:8080")                    \
    X(TEXT, unix_socket, 0, 107, "the path of a Unix socket, instead of tcp")                  \
    X(CHOICE, protocol, UpstreamProtocol, kHttp1, kUpstreamProtocolWords, "what it speaks")    \
    X(NUMBER, connections, 1'024, 1, 65'536, "connections to it at the same time")             \
    X(NUMBER, client_share_percent, 75, 1, 100,                                                \
      "of connections, for one client network; 100: all")                                      \
    X(NUMBER, keepalive, 64, 0, 65'536, "unused connections that are kept; 0: none is reused") \
    X(NUMBER, keepalive_time_s, 60, 1, 3'600, "how long an unused connection is kept")         \
    X(NUMBER, connect_timeout_s, 5, 1, 300, "how long connecting may take")                    \
    X(NUMBER, response_timeout_s, 60, 1, 86'400, "from the request to the response's head")    \
    X(NUMBER, idle_timeout_s, 300, 1, 86'400, "how long a body or a WebSocket may stand still")
/// Where a route's requests go.
EOS_CVM_SECTION(UpstreamConfig, EOS_CVM_UPSTREAM)

#define EOS_CVM_HEALTH(X)                                                                      \
    X(TEXT, path, 0, 1'024, "what is asked with GET; empty: the upstream is taken as healthy") \
    X(NUMBER, interval_s, 10, 1, 3'600, "from one check to the next")                          \
    X(NUMBER, timeout_s, 5, 1, 300, "how long an answer may take")                             \
    X(NUMBER, healthy_after, 1, 1, 100, "good answers in a row that make it healthy")          \
    X(NUMBER, unhealthy_after, 3, 1, 100, "failures in a row that make it unhealthy")
/// How it is found out whether an upstream works.
EOS_CVM_SECTION(HealthConfig, EOS_CVM_HEALTH)

#define EOS_CVM_ROUTE(X)                                                                         \
    X(TEXT, name, 1, 63, "the workload's name: a-z, 0-9 and hyphens")                            \
    X(TEXT, hostname, 1, 253, "the host name that is its alone")                                 \
    X(SECTION, upstream, UpstreamConfig, "the process behind it")                                \
    X(SECTION, health, HealthConfig, "health checks")                                            \
    X(NUMBER, max_body_bytes, 0, 0, kMaxBodyBytes, "size of a request's body; 0: without bound") \
    X(CHOICE, websocket, Switch, kOn, kSwitchWords, "whether connections may become WebSockets") \
    X(CHOICE, retries, Retries, kSafe, kRetriesWords, "whether a failed request is sent again")  \
    X(CHOICE, ratls_profile, Profile, kAuto, kProfileWords,                                      \
      "v1: the first generation's leaf also to clients that offer the second's ALPN name")       \
    X(TEXT, executable_sha256, 0, 64, "declared: SHA-256 of the process's executable, hex")      \
    X(TEXT, service_digest, 0, 71, "declared: another digest of the service, sha256:hex")
/// One workload: a host name and the process behind it.
EOS_CVM_SECTION(RouteConfig, EOS_CVM_ROUTE)

#define EOS_CVM_CONFIG(X)                                          \
    X(NUMBER, version, 0, 1, 1, "of this form")                    \
    X(SECTION, platform, PlatformConfig, "what is of no workload") \
    X(LIST, routes, RouteConfig, kMaxRoutes, "the workloads")
/// The whole file. A value.
EOS_CVM_SECTION(Config, EOS_CVM_CONFIG)

/// Which kind of digest a route declares.
enum class DigestKind { kNone, kExecutable, kService };

/// What a route declares to run behind it. Nobody measures it: it is what the machine's owner says.
struct DeclaredDigest {
    DigestKind kind = DigestKind::kNone;
    crypto::Digest32 digest{};  ///< zeros for kNone
};
/// in: of a configuration that check_config() has passed.
DeclaredDigest declared_digest(const RouteConfig& route);

/// One address or a network: "10.0.0.7", "10.0.0.0/8", "fd00::/8".
/// errors: bad_config.
[[nodiscard]] Result<x509::IpNetwork> parse_network(std::string_view text);

/// Reads a configuration as a person writes it, and checks it.
/// in:     YAML 1.2 of maps, lists and plain or quoted scalars; UTF-8.
/// errors: bad_yaml (syntax; an anchor, alias, tag or second document; a key twice; more than
///         kMaxConfigBytes, kMaxConfigNodes or kMaxConfigDepth), bad_config. The detail names line
///         and key.
/// source: docs/formats/virtual-config.md.
/// bound:  linear in the size of the text.
[[nodiscard]] Result<Config> parse_config(ByteView yaml);

/// Reads what config_json() writes, and checks it.
/// errors: those of json::parse, bad_config.
[[nodiscard]] Result<Config> parse_config_json(ByteView text);

/// Every field with its effective value, in one form only: equal configurations, equal text.
std::string config_json(const Config& config);

/// What one field cannot say by itself: names, addresses and digests are such, hostnames are
/// unique, every route has one upstream.
/// errors: bad_config.
[[nodiscard]] Result<void> check_config(const Config& config);

/// The JSON Schema (2020-12) of the file.
json::Value config_schema();

}  // namespace eos::cvm
