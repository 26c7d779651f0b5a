// SPDX-License-Identifier: AGPL-3.0-only
// What a caller of the verification service asks. Hostile bytes until they are parsed here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/attestation/appraise/policy.h"
#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/event_log/event_log.h"
#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::attestd {

inline constexpr Code bad_request{"trusted/attestd", "bad_request",
                                  "the request is not one that this service answers"};

inline constexpr std::size_t kMaxPlatformIds = 256;
inline constexpr std::size_t kMaxAudienceBytes = 256;
inline constexpr std::size_t kMinNonceBytes = 8;
inline constexpr std::size_t kMaxNonceBytes = 88;

/// Whom a signed token is for.
struct TokenRequest {
    std::string audience;
    std::string nonce;
};

/// One call.
struct VerifyRequest {
    Bytes quote;                          ///< without its padding
    std::size_t quote_padding_bytes = 0;  ///< zeros that came behind the quote's own end
    std::string tee;  ///< "sgx", "tdx", "sev-snp", or empty: what the caller says the quote is
    std::optional<Result<attestation::event_log::EventLog>> event_log;  ///< if given, as it parsed
    bool include_event_log = false;
    std::optional<attestation::endorsements::Endorsements> collateral;
    std::optional<attestation::appraise::Policy> policy;  ///< the caller's; else the service's
    std::optional<ByteArray<64>> report_data;             ///< that the evidence must have
    std::vector<std::string> platform_ids;  ///< hexadecimal, lower case; any of which is enough
    std::optional<TokenRequest> token;
};

/// Parses the body of POST /. What does not parse within it (base64, collateral, policy) is an
/// error; a quote or event log that does not parse is a verdict.
/// errors:  those of json::parse and of its members; bad_encoding; those of parse_endorsements()
///          and parse_policy(); bad_request (contradictions, what is not supported).
/// source:  docs/attestd.md.
/// bound:   linear in the body, which has a limited number of values.
[[nodiscard]] Result<VerifyRequest> parse_request(ByteView body, std::size_t max_bytes);

}  // namespace eos::attestd
