// SPDX-License-Identifier: AGPL-3.0-only
// Ordinary web servers: public files over HTTPS with the public's CAs. Never for an enclave, and
// never for anything whose truth rests on who sent it.
#pragma once

#include <string>
#include <string_view>

#include "client/http_exchange.h"
#include "common/http/message.h"

namespace eos::client {

inline constexpr Code bad_url{"client", "bad_url", "not an http or https address"};
inline constexpr Code plain_http_refused{
    "client", "plain_http_refused",
    "http:// is only for this machine, or where it was allowed by name"};
inline constexpr Code web_tls_failed{"client", "web_tls_failed",
                                     "the server did not prove who it is"};
inline constexpr Code redirect_refused{"client", "redirect_refused",
                                       "the server points elsewhere, which is not followed"};
inline constexpr Code bad_status{"client", "bad_status", "the server has no such file for us"};

/// An address of the web, in parts.
struct Url {
    http::Scheme scheme = http::Scheme::kHttps;
    http::Authority authority;
    std::string path;   ///< starts with '/'
    std::string query;  ///< without '?'; may be empty
};
/// errors: bad_url (also: user information, fragment, white space), http::bad_authority.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

/// Whether http:// is taken from other machines than this one.
enum class PlainHttp { kLoopbackOnly, kAllowed };

/// How a file is fetched.
struct FetchOptions {
    std::string ca_file;  ///< PEM; empty: the CAs of this machine
    PlainHttp plain = PlainHttp::kLoopbackOnly;
    std::size_t max_body_bytes = 1024 * 1024;
};

/// GET of one file. Redirects are not followed.
/// returns: an answer with status 200.
/// errors:  those of parse_url, TcpSocket and HttpExchange; plain_http_refused, web_tls_failed,
///          redirect_refused, bad_status.
[[nodiscard]] Result<Response> fetch(std::string_view url, const FetchOptions& options,
                                     Deadline deadline);

}  // namespace eos::client
