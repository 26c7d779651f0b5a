// SPDX-License-Identifier: AGPL-3.0-only
// A request that an app answers, as a worker drives it: a slice, other work, another slice.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/http/message.h"
#include "trusted/wasm/engine.h"

namespace eos::wasm {

inline constexpr Code app_trapped{"trusted/wasm", "app_trapped", "the app ended with a trap"};
inline constexpr Code app_answer{"trusted/wasm", "app_answer", "the app's answer is malformed"};

/// What goes back to the client.
struct AppResponse {
    http::ResponseHead head;
    Bytes body;
    /// For metrics and logs: "ok", the trap's name, or the name of the error's code.
    std::string outcome = "ok";
};

/// The slice is used up: step() again when it is convenient.
struct StillRunning {};
using Progress = std::variant<StillRunning, HostRequest, AppResponse>;

/// One call of an app, with an instance of its own. Destroying it ends the call at any time.
class AppCall {
  public:
    virtual ~AppCall() = default;
    /// Runs for about `slice` fuel. After an AppResponse it must not be called again.
    virtual Progress step(std::uint64_t slice) = 0;
    /// Since the call was prepared, what the module has at start included.
    virtual std::uint64_t fuel_used() const = 0;
};

/// The answer to a call that failed: 502 with `{"error":…,"trap":…}`, the exit code if there is
/// one. Says what happened, nothing of what the app wrote.
AppResponse trap_response(const Trap& trap);

/// The answer to a call that could not begin, or whose answer was no answer: 404 for
/// no_such_export, 400 for what is wrong with the request, 502 for what is wrong with the app.
AppResponse error_response(const Error& error);

/// A response with a JSON body.
AppResponse json_response(int status, std::string text);

}  // namespace eos::wasm
