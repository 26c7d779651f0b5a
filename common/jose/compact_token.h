// SPDX-License-Identifier: AGPL-3.0-only
// The three parts of a token, before anything is believed. For this folder only.
#pragma once

#include <string_view>

#include "common/base/result.h"
#include "common/json/json.h"

namespace eos::jose {

/// Borrowed from the token.
struct TokenParts {
    std::string_view header;
    std::string_view claims;
    std::string_view signature;
    std::string_view signed_text;  ///< header "." claims
};

/// errors: bad_token.
[[nodiscard]] Result<TokenParts> split_token(std::string_view token, std::size_t max_bytes);

/// One part, which must be an object.
/// errors: bad_token.
[[nodiscard]] Result<json::Value> parse_part(std::string_view part, const json::Limits& limits);

}  // namespace eos::jose
