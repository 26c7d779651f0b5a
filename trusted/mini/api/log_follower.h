// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>
#include <string>

#include "trusted/mini/api/context.h"

namespace eos::mini {

inline constexpr std::string_view kLogStreamType = "application/x-ndjson";

/// Answers with the app's log from the line after `sequence` on, for as long as the connection
/// lasts: a line of JSON for each line, {"missed":n} where the peer was too slow.
/// bound:   one line, and the connection's output buffer.
/// returns: what to hand to the connection.
runtime::Dispatched follow_log(const ApiContext& context, runtime::RoutedRequest request,
                               const std::string& app, std::uint64_t sequence);

}  // namespace eos::mini
