// SPDX-License-Identifier: AGPL-3.0-only
// One word for callers that read no tree, as the reference's attestation server says it.
#pragma once

#include <string_view>

#include "common/attestation/appraise/appraise.h"
#include "common/attestation/endorsements/tcb.h"

namespace eos::attestd {

/// Whether the caller said what the evidence must be bound to.
enum class Binding { stated, left_to_caller };

/// "OK" for production evidence without DEBUG on a platform that is up to date, every check of
/// which was made and passed: all of evidence and policy, and of what the request asked for. With
/// stated report data it is "OK" only where the policy accepts. Where the binding is left to the
/// caller, so are the checks of it, and the assurance, which only a certificate states. Everything
/// else has another word, and nothing is waived but that assurance.
/// source: docs/attestd.md, "Status".
std::string_view status_of(const attestation::appraise::AttestationResult& result, Binding binding);

/// The word for a status of Intel's that is not UpToDate.
std::string_view tcb_word(attestation::endorsements::TcbStatus status);

}  // namespace eos::attestd
