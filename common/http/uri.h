// SPDX-License-Identifier: AGPL-3.0-only
// Request targets and paths. A path is kept raw and taken apart only here, so that no two parts of
// the program can disagree about where a segment ends.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/http/message.h"

namespace eos::http {

inline constexpr Code bad_target{"common/http", "bad_target", "the request target is malformed"};
inline constexpr Code bad_path{"common/http", "bad_path",
                               "the path cannot be taken apart unambiguously"};

inline constexpr std::size_t kMaxPathSegments = 32;

/// A request target taken apart.
struct Target {
    std::optional<Scheme> scheme;        ///< absolute form only
    std::optional<Authority> authority;  ///< absolute form only
    std::string path;  ///< raw; "/" if the absolute form has none; "*" for OPTIONS *
    std::optional<std::string> query;  ///< raw, without '?'
};

/// Parses the target of a request line: origin form, absolute form with http or https, and the
/// asterisk form for OPTIONS. A fragment, a character that must be percent-encoded (but for
/// "[]|^{}", which browsers and others send as they are) and an incomplete percent-encoding are
/// refused in the path; the query takes any visible ASCII character but '#'.
/// errors:  bad_target, bad_authority.
/// source:  RFC 9112 §3.2, RFC 3986 §3.3.
[[nodiscard]] Result<Target> parse_target(Method method, std::string_view text);

/// The segments of an absolute path, percent-decoded: "/a/b%20c" is {"a", "b c"}, "/" is {}.
/// Refused, because two readers could understand them differently: empty segments (a trailing slash
/// included), "." and ".." in any spelling, and an encoded '/', '\' or control character.
/// errors:  bad_path (also: more than kMaxPathSegments).
[[nodiscard]] Result<std::vector<std::string>> split_path(std::string_view path);

/// Decodes %XX; every other character stands for itself ('+' too).
/// errors:  bad_path (an incomplete or non-hexadecimal escape, or one for NUL).
[[nodiscard]] Result<std::string> percent_decode(std::string_view text);

/// The value of the first query parameter of that name, percent-decoded; nothing if there is none
/// with an equals sign.
/// errors: those of percent_decode().
[[nodiscard]] Result<std::optional<std::string>> query_parameter(const RequestHead& head,
                                                                 std::string_view name);

}  // namespace eos::http
