// SPDX-License-Identifier: AGPL-3.0-only
// The answers that every endpoint gives in the same form.
#pragma once

#include <string_view>

#include "common/base/bytes.h"
#include "common/http/message.h"
#include "common/json/json.h"
#include "trusted/runtime/exchange.h"

namespace eos::runtime {

inline constexpr std::string_view kJsonType = "application/json";

/// A head with that status and content type, for responses that no cache may keep.
http::ResponseHead make_head(int status, std::string_view content_type);

/// The body of every error: {"error":"text"}. Text of any origin comes out as valid JSON.
Bytes error_body(std::string_view text);

/// Answers {"error":"text"}. An answer that was given already stays.
void respond_error(Exchange& exchange, int status, std::string_view text);

/// Answers 503 with Retry-After.
void respond_busy(Exchange& exchange, std::string_view text, unsigned retry_after_s);

/// Answers 429 with Retry-After: it is this client that has too much.
void respond_too_many(Exchange& exchange, std::string_view text, unsigned retry_after_s);

/// Answers with a JSON value. An answer that was given already stays.
void respond_json(Exchange& exchange, int status, const json::Value& value);

/// Answers with plain text, for /metrics. An answer that was given already stays.
void respond_text(Exchange& exchange, std::string_view content_type, std::string_view text);

}  // namespace eos::runtime
