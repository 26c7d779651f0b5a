// SPDX-License-Identifier: AGPL-3.0-only
// HTTP by CGI/1.1: `_start` once per request, so that a program of any language with a WASI target
// can answer. docs/apps-cgi.md is the page for authors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/http/message.h"
#include "trusted/wasm/app_call.h"
#include "trusted/wasm/app_config.h"
#include "trusted/wasm/engine.h"
#include "trusted/wasm/wasi.h"

namespace eos::wasm {

/// Whose name the request came in on: on the platform's, its credentials are not the app's.
enum class NameOwner : std::uint8_t { kApp, kPlatform };

/// One request, its body whole.
struct CgiRequest {
    http::RequestHead head;
    SecretBytes body;
    NameOwner owner = NameOwner::kApp;
    /// EOS_* variables: what the platform tells the app (asserted: names start with EOS_).
    std::vector<EnvironmentVariable> platform_facts;
};

/// The meta-variables of a request, the owner's variables and the platform's facts. A header field
/// becomes HTTP_NAME only if its name is [A-Za-z0-9-]; repeated ones are joined. Proxy,
/// X-Privasys-*, hop-by-hop fields (also those that Connection names), and on platform names
/// Authorization and Cookie, are left out. No field can become anything but HTTP_*.
/// errors:  http::bad_path (an escape for NUL, or an incomplete one).
/// source:  RFC 3875 §4.1; docs/apps-cgi.md.
[[nodiscard]] Result<std::vector<EnvironmentVariable>> cgi_environment(const CgiRequest& request,
                                                                       const AppConfig& config);

/// The parts of what a CGI program wrote.
struct CgiOutput {
    http::ResponseHead head;  ///< without the fields that the platform writes
    Bytes body;
};

/// Parses a program's output: header section, blank line, body. Lines end with LF or CRLF. Status
/// defaults to 200, or 302 with Location. Status, framing fields and those that only the platform
/// may say (Date, Server, Via, X-Privasys-*) do not reach the wire; a Content-Length that differs
/// from the body is an error.
/// in:      `method` of the request: an answer to HEAD has no body, whatever was written.
/// errors:  app_answer, saying what is wrong with it.
/// source:  RFC 3875 §6. Stricter: no folded lines; a local redirect goes to the client.
[[nodiscard]] Result<CgiOutput> parse_cgi_output(Bytes output, http::Method method);

/// Whether the module has what CGI starts: an exported `_start` without parameters and results.
bool has_cgi_entry(const Module& module);

/// Prepares the call; nothing has run yet.
/// in:      `config` was checked by check_app_config. `world` outlives the call.
/// errors:  http::bad_path; no_such_export, not_callable (no `_start`), bad_segment.
[[nodiscard]] Result<std::unique_ptr<AppCall>> begin_cgi_call(const Module& module,
                                                              const WasiWorld& world,
                                                              const AppConfig& config,
                                                              CgiRequest request);

}  // namespace eos::wasm
