// SPDX-License-Identifier: AGPL-3.0-only
// How apps are described to us and by us: the bodies of load requests, and what answers say of an
// app. docs/api.md "Loading an app", "Several changes as one".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/json/json.h"
#include "trusted/mini/apps/app_runner.h"
#include "trusted/mini/control/snapshot.h"
#include "trusted/runtime/platform_state.h"

namespace eos::mini {

inline constexpr Code bad_upload{"trusted/mini", "bad_upload", "the load request is malformed"};

inline constexpr std::string_view kAppUploadType = "application/vnd.enclave-os.app";
inline constexpr std::string_view kBatchUploadType = "application/vnd.enclave-os.apps";
inline constexpr std::size_t kMaxManifestBytes = 64 * 1024;
inline constexpr std::size_t kMaxModuleBytes = 16 * 1024 * 1024;
inline constexpr std::size_t kMaxAppUploadBytes = 4 + kMaxManifestBytes + kMaxModuleBytes;

inline constexpr std::size_t kMaxBatchChanges = 64;
inline constexpr std::size_t kMaxBatchManifestBytes = 512 * 1024;
inline constexpr std::size_t kMaxBatchModuleBytes = 2 * kMaxModuleBytes;  ///< all of them together
inline constexpr std::size_t kMaxBatchUploadBytes =
    4 + kMaxBatchManifestBytes + kMaxBatchModuleBytes;

/// An app as it was asked for, not yet checked against the others.
struct AppManifest {
    runtime::App app;
    runtime::HashedModule module;
};

/// One change of a batch.
struct AppChange {
    std::string name;
    std::optional<AppManifest> load;  ///< nothing: unload
};

/// in:      u32be size ‖ JSON of that size ‖ module, the whole body; `now` becomes loaded_at.
/// returns: the app with a fresh random app id.
/// errors:  bad_upload (sizes, an empty module, a salt that is missing or not 32 bytes), those of
///          json::parse and json::Object, bad_encoding.
[[nodiscard]] Result<AppManifest> parse_app_upload(ByteView body, UnixTime now);

/// in:      u32be size ‖ JSON of that size ‖ the modules in the order of the JSON, the whole body.
/// returns: 1 to kMaxBatchChanges changes of as many apps.
/// errors:  as parse_app_upload(); bad_upload also for an app that is named twice.
[[nodiscard]] Result<std::vector<AppChange>> parse_batch_upload(ByteView body, UnixTime now);

/// What answers say of an app that the snapshot has. Without facts (they cost an inspection of the
/// module) kind and functions are left out.
json::Value app_json(const std::string& name, const Snapshot& snapshot,
                     const Result<ModuleFacts>& facts);

/// "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx".
std::string uuid_text(const ByteArray<16>& uuid);

}  // namespace eos::mini
