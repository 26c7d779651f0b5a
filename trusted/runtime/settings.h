// SPDX-License-Identifier: AGPL-3.0-only
// Every setting that can be changed while the enclave runs: one table from which the struct, its
// record in the sealed state and its leaf in the configuration trees are made.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "common/base/result.h"
#include "common/config_tree/leaf.h"

namespace eos::runtime {

inline constexpr Code bad_setting{"trusted/runtime", "bad_setting",
                                  "a setting is out of its range"};

/// Which messages leave the enclave for the daemon's log.
enum class LogLevel : std::uint64_t { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3 };
inline constexpr std::string_view kLogLevelNames[] = {"error", "warning", "info", "debug"};

// Numbers: tree, name, default, least, greatest, meaning.
#define EOS_NUMBER_SETTINGS(X)                                                                \
    X(kPolicy, drain_time_s, 30, 0, 3600,                                                     \
      "how long streams go on after what they were shown has changed")                        \
    X(kPolicy, max_apps, 64, 0, 1000, "apps loaded at the same time")                         \
    X(kPolicy, max_module_bytes, 16 * 1024 * 1024, 8, 16 * 1024 * 1024, "size of one module") \
    X(kPolicy, max_body_bytes, 1024 * 1024, 0, 16 * 1024 * 1024, "body of one request to an app")

// Choices: tree, name, enumeration, default, names of its values, meaning.
#define EOS_CHOICE_SETTINGS(X)                               \
    X(kPlatform, log_level, LogLevel, kInfo, kLogLevelNames, \
      "which messages leave the enclave for the daemon's log")

/// The value of every setting. A value.
struct Settings {
#define EOS_ROW(tree, name, standard, least, greatest, text) std::uint64_t name = standard;
    EOS_NUMBER_SETTINGS(EOS_ROW)
#undef EOS_ROW
#define EOS_ROW(tree, name, type, standard, names, text) type name = type::standard;
    EOS_CHOICE_SETTINGS(EOS_ROW)
#undef EOS_ROW

    friend bool operator==(const Settings&, const Settings&) = default;
};

/// A row of the table.
struct SettingInfo {
    config_tree::Scope::Kind tree;
    std::string_view name;  ///< of the field, the leaf and the setting in messages
    std::string_view text;
    std::uint64_t least;
    std::uint64_t greatest;
    std::span<const std::string_view> choices;  ///< by value; empty for numbers
    std::uint64_t (*get)(const Settings&);
    void (*set)(Settings&, std::uint64_t);
};

/// All rows.
std::span<const SettingInfo> all_settings();

/// Sets one setting.
/// errors: bad_setting.
[[nodiscard]] Result<void> set_setting(Settings& settings, const SettingInfo& info,
                                       std::uint64_t value);

/// The leaf value of one setting: a number, or the name of the choice.
config_tree::Value setting_value(const Settings& settings, const SettingInfo& info);

}  // namespace eos::runtime
