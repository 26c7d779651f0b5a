// SPDX-License-Identifier: AGPL-3.0-only
// Public files over HTTPS, for what identity providers publish. Waits: not for an event loop.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::attestd {

inline constexpr Code bad_url{"trusted/attestd", "bad_url", "not an https address"};
inline constexpr Code address_refused{"trusted/attestd", "address_refused",
                                      "the address is one of this machine or of its link"};
inline constexpr Code fetch_failed{"trusted/attestd", "fetch_failed", "the file was not fetched"};

/// Where fetching may lead. A configuration file cannot choose the second.
enum class Reach {
    elsewhere,         ///< https, and no loopback, link-local or other special address
    loopback_as_well,  ///< emulation: this machine, too, also by http
};

/// How a file is fetched.
struct FetchOptions {
    std::string ca_file;  ///< PEM; empty: the CAs of this machine
    Reach reach = Reach::elsewhere;
    std::size_t max_bytes = 256 * 1024;
    std::chrono::milliseconds timeout{5000};
    std::stop_token stop;  ///< gives up, as the timeout does
};

/// GET. Redirects are not followed; each address that a name has is held to `reach`. Whatever the
/// server sends, it ends soon after the timeout, which counts from the call on. Looking up the name
/// cannot be interrupted: the system's resolver takes what it is configured to, and if that was
/// longer than the timeout, nothing is connected to.
/// returns: the body of an answer with status 200.
/// errors:  bad_url, address_refused, fetch_failed.
[[nodiscard]] Result<Bytes> fetch(const std::string& url, const FetchOptions& options);

/// An address in parts, for its tests.
struct Url {
    bool is_https = true;
    std::string host;  ///< IPv6 without brackets
    std::uint16_t port = 443;
    std::string path;  ///< with query
};
/// errors: bad_url.
[[nodiscard]] Result<Url> parse_url(const std::string& text, Reach reach);

/// Whether an address, 4 or 16 bytes, may be connected to.
bool is_within(Reach reach, ByteView address);

}  // namespace eos::attestd
