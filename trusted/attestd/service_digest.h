// SPDX-License-Identifier: AGPL-3.0-only
// One digest for what the service is: the program, its configuration, and the policy it decides by.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/crypto/hash.h"

namespace eos::attestd {

/// All that makes two services give different answers to the same question, but for collateral,
/// which vendors sign, and the time.
struct ServiceIdentity {
    crypto::Digest32 executable{};     ///< SHA-256 of the file
    crypto::Digest32 configuration{};  ///< SHA-256 of the file
    crypto::Digest32 policy{};         ///< as in an answer's policy.sha256
};

/// What a route of the proxy declares as service_digest: SHA-256 over four lines of text.
/// source: docs/attestd.md, In a TEE.
crypto::Digest32 service_digest(const ServiceIdentity& identity);

/// SHA-256 of the program that is running.
/// errors: os::file_unreadable.
[[nodiscard]] Result<crypto::Digest32> own_executable_digest();

}  // namespace eos::attestd
