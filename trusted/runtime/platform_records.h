// SPDX-License-Identifier: AGPL-3.0-only
// The records of the platform state as bytes: docs/formats/sealed-state.md. Used by platform_state
// only.
#pragma once

#include <string>
#include <string_view>

#include "trusted/runtime/platform_state.h"

namespace eos::runtime {

inline constexpr RecordType kOwnershipType = 1;
inline constexpr RecordType kSettingsType = 2;
inline constexpr RecordType kHistoryType = 3;
inline constexpr RecordType kClockType = 4;
inline constexpr RecordType kAppType = 5;
inline constexpr RecordType kModuleType = 6;
inline constexpr RecordType kStapledType = 7;

inline constexpr std::string_view kOwnershipRecord = "ownership";
inline constexpr std::string_view kSettingsRecord = "settings";
inline constexpr std::string_view kHistoryRecord = "history";
inline constexpr std::string_view kClockRecord = "clock";
inline constexpr std::string_view kStapledRecord = "collateral";
inline constexpr std::string_view kAppPrefix = "app/";
inline constexpr std::string_view kModulePrefix = "module/";

/// The writers; each begins with the version of its layout.
SecretBytes encode_ownership(const Ownership& ownership);
/// \copydoc encode_ownership
SecretBytes encode_settings(const Settings& settings);
/// \copydoc encode_ownership
SecretBytes encode_history_record(const config_tree::History& history);
/// \copydoc encode_ownership
SecretBytes encode_clock(UnixTime floor);
/// \copydoc encode_ownership
SecretBytes encode_app(const App& app);

/// \copydoc encode_ownership
SecretBytes encode_stapled(ByteView bundle);

/// The readers accept what the writers write.
/// errors: malformed_record, truncated, trailing_bytes; bad_setting, check_app's, verify_history's.
[[nodiscard]] Result<Ownership> parse_ownership(ByteView record);
/// \copydoc parse_ownership
[[nodiscard]] Result<Settings> parse_settings(ByteView record);
/// \copydoc parse_ownership
[[nodiscard]] Result<config_tree::History> parse_history_record(ByteView record);
/// \copydoc parse_ownership
[[nodiscard]] Result<UnixTime> parse_clock(ByteView record);
/// \copydoc parse_ownership
[[nodiscard]] Result<Bytes> parse_stapled(ByteView record);
/// \copydoc parse_ownership
[[nodiscard]] Result<App> parse_app(std::string_view name, ByteView record);

}  // namespace eos::runtime
