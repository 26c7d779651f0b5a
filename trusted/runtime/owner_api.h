// SPDX-License-Identifier: AGPL-3.0-only
// What the owner's API has in common in both editions: who may call, how the bodies of docs/api.md
// are read, what answers say. What a call changes is each edition's own.
#pragma once

#include <functional>
#include <string>

#include "common/base/secret.h"
#include "common/base/time.h"
#include "common/crypto/hash.h"
#include "common/json/json.h"
#include "trusted/runtime/body.h"
#include "trusted/runtime/router.h"

namespace eos::runtime {

inline constexpr Code unknown_step{
    "trusted/runtime", "unknown_step",
    "step must be request-csr or complete, or import where keys made outside are taken"};

inline constexpr std::size_t kMaxCaStepBytes = 64 * 1024;
inline constexpr std::size_t kMaxCaChainPemBytes = 32 * 1024;

/// Whether the platform gets its first CA, and with it an owner, or another one.
enum class CaChange : std::uint8_t { kProvision, kRotate };

/// Whether a CA key that was made outside is taken.
enum class KeyImport : std::uint8_t { kRefused, kTaken };

/// One of the two steps in which a platform gets a CA, or the one step of an import. Members of
/// other steps are empty.
struct CaStep {
    enum class Kind : std::uint8_t { kRequest, kComplete, kImport };
    Kind kind = Kind::kRequest;
    std::string token;          ///< of kProvision
    std::string platform_name;  ///< of kProvision, but for kComplete
    ByteArray<32> nonce{};      ///< of kRequest
    std::string ca_chain;       ///< of the others; PEM, at most kMaxCaChainPemBytes
    SecretBytes ca_key;         ///< of kImport; PKCS #8
    bool accept_imported_key = false;
};

/// errors: unknown_step; those of json::Object; bad_encoding.
[[nodiscard]] Result<CaStep> parse_ca_step(const json::Value& value, CaChange change,
                                           KeyImport import);

/// What answers a kRequest.
struct CertificationRequest {
    ByteView csr;
    ByteView evidence;  ///< of purpose ca_csr
    ByteView instance_id;
};
json::Value to_json(const CertificationRequest& request);

/// What answers the step with which a CA came into use.
struct OwnedPlatform {
    ByteView instance_id;
    std::uint64_t generation = 0;
    ByteView policy_root;
    std::string_view name;
    UnixTime ca_not_after;
};
json::Value to_json(const OwnedPlatform& platform);

/// The owner's word for the time.
/// errors: those of json::Object; bad_time.
[[nodiscard]] Result<UnixTime> parse_time_confirmation(const json::Value& value);

/// Whether the connection proved the owner's key.
/// in: owner_key: SHA-256 of its SPKI; null: there is no owner.
Permission decide_for_owner(Access access, const ConnectionInfo& connection,
                            const crypto::Digest32* owner_key);

/// There is no authentication scheme for a key proved by TLS; the realm says what is missing.
inline constexpr std::string_view kOwnerChallenge = "ClientCertificate realm=\"owner\"";

/// A handler that needs the whole JSON body: `then` has it, or `refuse` has answered why not.
Dispatched with_json(RoutedRequest request, MemoryBudget& bodies,
                     void (*refuse)(Exchange&, const Error&),
                     std::move_only_function<void(Exchange, json::Value)> then);

}  // namespace eos::runtime
