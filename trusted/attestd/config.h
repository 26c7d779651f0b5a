// SPDX-License-Identifier: AGPL-3.0-only
// The service's configuration: one JSON file, every member of which is in docs/attestd.md.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/jose/jwt.h"
#include "trusted/os/listen_address.h"
#include "trusted/os/log.h"

namespace eos::attestd {

inline constexpr Code bad_config{"trusted/attestd", "bad_config",
                                 "the configuration is not usable"};

inline constexpr std::size_t kMaxConfigBytes = 256 * 1024;
inline constexpr std::size_t kMaxIssuers = 16;

inline constexpr std::string_view kMonitoringRole = "attestation-server:monitoring";

/// An identity provider whose tokens are taken.
struct IssuerConfig {
    std::string issuer;  ///< exactly as in "iss"
    std::string audience = "attestation-server";
    std::set<jose::Algorithm> algorithms{jose::Algorithm::es256, jose::Algorithm::rs256};
    std::string jwks_file;   ///< empty: by discovery
    std::string ca_file;     ///< for discovery, PEM; empty: the CAs of this machine
    std::string role_claim;  ///< looked at beside "roles" and "realm_access.roles"
    std::string client_role = "attestation-server:client";
    /// Empty: none of its callers may. Left out it is kMonitoringRole for an only issuer; where
    /// there are several, none of them reads about the others' callers unless it was named.
    std::string monitoring_role;
    std::uint32_t refresh_s = 300;
};

/// Who signs tokens, as configured.
struct TokenConfig {
    std::string issuer;
    std::string key_file;
    std::uint32_t life_s = 300;
};

/// A bound on everything that callers can make the service hold or do.
struct Limits {
    std::uint32_t connections = 1024;
    std::uint32_t connections_per_address = 64;
    std::uint32_t body_bytes = 8 * 1024 * 1024;
    std::uint32_t body_memory_bytes = 128 * 1024 * 1024;  ///< of all bodies at once
    std::uint32_t requests_per_minute = 600;              ///< of one caller
    std::uint32_t burst = 100;
    std::uint32_t address_requests_per_minute = 1200;  ///< before anybody is known
    std::uint32_t address_burst = 200;
    std::uint32_t in_flight_per_caller = 8;
    std::uint32_t queue = 256;  ///< requests that wait for a thread
    std::uint32_t threads = 2;
    std::uint32_t cache_entries = 4096;
};

/// Where `enclave-os-proxy` passes on what it was asked over attested TLS.
struct ProxyConfig {
    std::string socket;  ///< its path
    std::string user;    ///< of the proxy: a name or a number; nobody else is heard
};

/// The whole file. Names are those of its members.
struct Config {
    std::optional<ProxyConfig> proxy;  ///< in place of the four that follow
    os::ListenAddress listen;
    std::string certificate_file;
    std::string key_file;
    std::vector<std::string> names;  ///< empty: those of the certificate
    std::vector<IssuerConfig> issuers;
    std::uint32_t clock_leeway_s = 60;
    std::string policy_file;              ///< empty: the built-in policy
    std::vector<std::string> collateral;  ///< files, or folders of *.json
    std::optional<TokenConfig> token;
    Limits limits;
    std::uint32_t drain_s = 30;
    os::LogFormat log = os::LogFormat::json;
    crypto::Digest32 sha256{};  ///< of the file's text
};

/// Whether callers must say who they are.
enum class Authentication { tokens, none };

/// errors:  those of json::parse; json::missing_member, unknown_member, wrong_type, out_of_range;
///          bad_config, os::bad_address.
/// source:  docs/attestd.md, Configuration.
/// bound:   kMaxConfigBytes.
[[nodiscard]] Result<Config> parse_config(ByteView text);

/// That a service without authentication is reached from this machine only, and that one with it
/// has somebody to ask.
/// errors: bad_config.
[[nodiscard]] Result<void> check_authentication(const Config& config, Authentication wanted);

}  // namespace eos::attestd
