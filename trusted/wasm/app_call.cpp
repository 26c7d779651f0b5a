// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/app_call.h"

#include "common/base/assert.h"
#include "common/json/json.h"

namespace eos::wasm {

namespace {

int status_of(const Code& code) {
    if (code == no_such_export) return 404;
    const bool of_the_app = code == app_answer || code == bad_segment || code == app_trapped ||
                            code == instance_spent || code == no_fuel_to_start;
    return of_the_app ? 502 : 400;
}

}  // namespace

AppResponse json_response(int status, std::string text) {
    AppResponse out;
    out.head.status = status;
    const bool added = out.head.headers.add("content-type", "application/json").has_value();
    EOS_ASSERT(added);
    out.body = to_bytes(text);
    return out;
}

AppResponse trap_response(const Trap& trap) {
    const std::string name(trap_name(trap.code));
    json::Value body{{"error", std::string(app_trapped.text) + ": " + name}, {"trap", name}};
    if (trap.code == TrapCode::kExit) body["exit_code"] = trap.exit_code;
    AppResponse out = json_response(502, json::compact(body));
    out.outcome = name;
    return out;
}

AppResponse error_response(const Error& error) {
    AppResponse out = json_response(status_of(error.code()),
                                    json::compact(json::Value{{"error", error.message()}}));
    out.outcome = error.code().name;
    return out;
}

}  // namespace eos::wasm
