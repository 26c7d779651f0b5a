// SPDX-License-Identifier: AGPL-3.0-only
// What an enclave knows about itself across restarts, typed: its owner, CA, settings, apps and
// history; how it lies in the sealed store, and the configuration trees made of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/secret.h"
#include "common/base/time.h"
#include "common/config_tree/history.h"
#include "common/config_tree/tree.h"
#include "common/crypto/hash.h"
#include "common/ratls/leaf_scheme.h"
#include "trusted/runtime/ownership.h"
#include "trusted/runtime/sealed_store.h"
#include "trusted/runtime/settings.h"

namespace eos::runtime {

inline constexpr Code malformed_record{"trusted/runtime", "malformed_record",
                                       "a sealed record is not what this program writes"};
inline constexpr Code unknown_record{"trusted/runtime", "unknown_record",
                                     "the sealed state holds a record this program does not know"};
inline constexpr Code inconsistent_state{"trusted/runtime", "inconsistent_state",
                                         "parts of the state contradict each other"};
inline constexpr Code bad_app{"trusted/runtime", "bad_app", "an app's description is not valid"};
inline constexpr Code hostname_taken{"trusted/runtime", "hostname_taken",
                                     "another workload or the platform has this hostname"};
inline constexpr Code too_many_apps{"trusted/runtime", "too_many_apps",
                                    "as many apps are loaded as the settings allow"};

inline constexpr std::size_t kMaxArguments = 64;
inline constexpr std::size_t kMaxArgumentBytes = 4096;
inline constexpr std::size_t kMaxEnvironmentVariables = 128;
inline constexpr std::size_t kMaxVariableNameBytes = 128;
inline constexpr std::size_t kMaxVariableBytes = 32 * 1024;
inline constexpr std::size_t kMaxPermissions = 32;
inline constexpr std::size_t kMaxStapledBytes = 256 * 1024;
inline constexpr UnixTime kLatestTime{253402300799};  ///< the last second of the year 9999

/// Whether others see the value of an environment variable, or only that it changed.
enum class Visibility : std::uint8_t { kSalted = 1, kPublic = 2 };

/// One environment variable of an app.
struct AppVariable {
    std::string name;  ///< [A-Za-z_][A-Za-z0-9_]*, not EOS_*
    SecretBytes value;
    Visibility visibility = Visibility::kSalted;
    ByteArray<config_tree::kSaltBytes> salt{};  ///< from the load request; zero if public
};

/// What an app may use in one call.
struct AppLimits {
    std::uint64_t max_memory_bytes = 64 * 1024 * 1024;
    std::uint64_t max_fuel = 100'000'000;

    friend bool operator==(const AppLimits&, const AppLimits&) = default;
};

/// A loaded app but for its module's bytes, which are a record of their own.
struct App {
    std::string hostname;            ///< lower-case DNS name, of this app alone
    crypto::Digest32 code_digest{};  ///< SHA-256 of the module
    std::uint32_t module_bytes = 0;  ///< its size
    ByteArray<16> app_id{};          ///< random UUID, kept while the name exists
    AppLimits limits;
    std::vector<std::string> arguments;    ///< UTF-8 without NUL
    std::vector<AppVariable> environment;  ///< names rise
    std::vector<std::string> permissions;  ///< [a-z0-9-], rising
    ratls::Profile profile = ratls::Profile::kAuto;
    UnixTime loaded_at;
};

using Apps = std::map<std::string, App, std::less<>>;

/// Everything but the modules. Holds secrets: copied by duplicate() only.
struct PlatformState {
    std::optional<Ownership> ownership;  ///< nothing: unowned
    Settings settings;
    Apps apps;  ///< by name
    config_tree::History history;
    UnixTime time_floor;  ///< no time before this is believed
    /// A collateral bundle for whoever verifies this enclave; public. Null: none. Not empty, at
    /// most kMaxStapledBytes. Whoever takes it in has parsed it; here it is bytes.
    std::shared_ptr<const Bytes> stapled;

    PlatformState duplicate() const;
};

/// What the program's parts say of themselves; fixed at build time.
struct BuildFacts {
    std::string engine;        ///< "libwabt 1.0.32 interpreter"
    std::string engine_flags;  ///< features switched on, separated by spaces
};

/// Whether `app` may stand under `name`.
/// errors: bad_app, config_tree::bad_scope.
[[nodiscard]] Result<void> check_app(std::string_view name, const App& app);

/// Whether the parts fit together: apps only with an owner, no more of them than the settings
/// allow, one hostname each, none of them the platform's.
/// errors: inconsistent_state, too_many_apps, hostname_taken, bad_app, bad_setting,
///         config_tree::bad_scope.
[[nodiscard]] Result<void> check_state(const PlatformState& state);

// --- configuration trees ---

/// What governs every tenant; its root is on every leaf.
/// errors: those of config_tree::TreeBuilder.
[[nodiscard]] Result<config_tree::Tree> policy_tree(const PlatformState& state,
                                                    const BuildFacts& facts);

/// The policy leaves, operational settings, and name, digest and root of every app.
/// errors: those of config_tree::TreeBuilder.
/// bound:  five leaves an app, and every app's own tree.
[[nodiscard]] Result<config_tree::Tree> platform_tree(const PlatformState& state,
                                                      const BuildFacts& facts);

/// The app's own.
/// errors: config_tree::bad_scope, those of config_tree::TreeBuilder.
[[nodiscard]] Result<config_tree::Tree> workload_tree(std::string_view name, const App& app);

// --- sealed records ---

/// A module with its digest: whoever has one knows that it was hashed, and need not do so again.
class HashedModule {
  public:
    explicit HashedModule(SecretBytes bytes)
        : digest_(crypto::sha256(bytes.view())), bytes_(std::move(bytes)) {}

    const crypto::Digest32& digest() const { return digest_; }
    const SecretBytes& bytes() const { return bytes_; }
    SecretBytes take_bytes() && { return std::move(bytes_); }

  private:
    crypto::Digest32 digest_;
    SecretBytes bytes_;
};

/// New modules, by app name.
using Modules = std::map<std::string, HashedModule, std::less<>>;

/// What a change needs besides the two states.
struct StageInput {
    std::uint64_t base_generation = 0;  ///< of the store; the commit makes the next one
    UnixTime now;
    Modules modules;
};

/// Prepares the commit that turns `before` into `after`. Adds the change to the history of `after`
/// and raises its time floor to `now`; `after` is the state in force once the commit has succeeded.
/// in:     modules: of every app whose code_digest is new, and no others.
/// errors: those of check_state; inconsistent_state (a module missing, too many, or not of its
///         app's digest and size); malformed_record (a part is larger than its record may be);
///         those of config_tree::TreeBuilder.
[[nodiscard]] Result<Transaction> stage_change(const PlatformState& before, PlatformState& after,
                                               const BuildFacts& facts, StageInput input);

/// Reads everything but the modules, whose presence and sizes are checked.
/// in:     store: outlives the call's answer.
/// errors: unknown_record, malformed_record, inconsistent_state, truncated, trailing_bytes, those
///         of check_state, of config_tree::verify_history and of SealedStore::get.
void load_platform_state(SealedStore& store, Done<PlatformState> done);

/// Reads an app's module.
/// errors: those of SealedStore::get; inconsistent_state (not of the app's digest).
void load_module(SealedStore& store, std::string name, const crypto::Digest32& code_digest,
                 Done<SecretBytes> done);

}  // namespace eos::runtime
