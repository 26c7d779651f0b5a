// SPDX-License-Identifier: AGPL-3.0-only
// The body of a load request: a description and a module. docs/api.md "Loading an app".
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "trusted/runtime/platform_state.h"

namespace eos::mini {

inline constexpr Code bad_upload{"trusted/mini", "bad_upload", "the load request is malformed"};

inline constexpr std::string_view kAppUploadType = "application/vnd.enclave-os.app";
inline constexpr std::size_t kMaxManifestBytes = 64 * 1024;
inline constexpr std::size_t kMaxModuleBytes = 16 * 1024 * 1024;
inline constexpr std::size_t kMaxAppUploadBytes = 4 + kMaxManifestBytes + kMaxModuleBytes;

/// An app as it was asked for, not yet checked against the others.
struct AppManifest {
    runtime::App app;
    SecretBytes module;
};

/// in:      u32be size ‖ JSON of that size ‖ module, the whole body; `now` becomes loaded_at.
/// returns: the app with a fresh random app id.
/// errors:  bad_upload (sizes, an empty module, a salt that is missing or not 32 bytes), those of
/// json::parse and
///          json::Object, bad_encoding.
[[nodiscard]] Result<AppManifest> parse_app_upload(ByteView body, UnixTime now);

/// "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx".
std::string uuid_text(const ByteArray<16>& uuid);

}  // namespace eos::mini
