// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/app_config.h"

#include <algorithm>
#include <array>
#include <set>

#include "common/base/encoding.h"

namespace eos::wasm {

namespace {

constexpr std::array<std::string_view, 19> kCgiVariables = {
    "AUTH_TYPE",    "CONTENT_LENGTH",  "CONTENT_TYPE",    "GATEWAY_INTERFACE", "HTTPS",
    "PATH_INFO",    "PATH_TRANSLATED", "QUERY_STRING",    "REMOTE_ADDR",       "REMOTE_HOST",
    "REMOTE_IDENT", "REMOTE_USER",     "REQUEST_METHOD",  "REQUEST_URI",       "SCRIPT_NAME",
    "SERVER_NAME",  "SERVER_PORT",     "SERVER_PROTOCOL", "SERVER_SOFTWARE"};

bool is_letter(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

bool is_variable_name(std::string_view name) {
    if (name.empty() || name.size() > kMaxVariableNameBytes || !is_letter(name[0])) return false;
    return std::ranges::all_of(name, [](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

bool is_good_text(std::string_view text) {
    return text.size() <= kMaxVariableBytes && text.find('\0') == std::string_view::npos;
}

Result<void> check_variables(const std::vector<EnvironmentVariable>& variables,
                             std::set<std::string_view>& seen, std::size_t& total) {
    for (const EnvironmentVariable& variable : variables) {
        const std::string shown = printable(as_bytes(variable.name), 64);
        if (!is_variable_name(variable.name)) {
            return fail(bad_app_config, "environment: " + shown + " is not a variable's name");
        }
        if (is_reserved_variable(variable.name)) {
            return fail(bad_app_config, "environment: " + shown + " belongs to the platform");
        }
        if (!seen.insert(variable.name).second) {
            return fail(bad_app_config, "environment: " + shown + " is given twice");
        }
        if (!is_good_text(variable.value)) {
            return fail(bad_app_config, "environment: the value of " + shown +
                                            " has a NUL or more than " +
                                            std::to_string(kMaxVariableBytes) + " bytes");
        }
        total += variable.name.size() + variable.value.size();
    }
    return {};
}

}  // namespace

bool is_reserved_variable(std::string_view name) {
    return name.starts_with("HTTP_") || name.starts_with("EOS_") ||
           std::ranges::find(kCgiVariables, name) != kCgiVariables.end();
}

Result<void> check_app_config(const AppConfig& config) {
    if (config.arguments.size() > kMaxArguments) {
        return fail(bad_app_config, "arguments: at most " + std::to_string(kMaxArguments));
    }
    if (config.environment.size() + config.secrets.size() > kMaxEnvironment) {
        return fail(bad_app_config, "environment: at most " + std::to_string(kMaxEnvironment) +
                                        " variables, secrets included");
    }
    std::size_t total = config.name.size();
    for (const std::string& argument : config.arguments) {
        if (!is_good_text(argument)) return fail(bad_app_config, "arguments: NUL or too long");
        total += argument.size();
    }
    std::set<std::string_view> seen;
    EOS_TRY(check_variables(config.environment, seen, total));
    EOS_TRY(check_variables(config.secrets, seen, total));
    if (total > kMaxConfigTextBytes) {
        return fail(bad_app_config, "arguments and environment: more than " +
                                        std::to_string(kMaxConfigTextBytes) + " bytes together");
    }
    if (!is_good_text(config.name) || config.name.empty()) return fail(bad_app_config, "name");
    if (config.limits.memory_pages > kMaxPages) return fail(bad_app_config, "memory limit");
    if (config.limits.table_elements > kMaxTableElements) {
        return fail(bad_app_config, "table limit");
    }
    if (config.limits.call_depth == 0 || config.limits.call_depth > kMaxCallDepth) {
        return fail(bad_app_config, "call depth");
    }
    if (config.budget.fuel == 0 || config.budget.fuel > kMaxFuel) {
        return fail(bad_app_config, "max_fuel");
    }
    if (config.output_limit_bytes > kMaxOutputBytes) return fail(bad_app_config, "output limit");
    return {};
}

}  // namespace eos::wasm
