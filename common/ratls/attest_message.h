// SPDX-License-Identifier: AGPL-3.0-only
// The messages of mode C: what a client asks inside a connection, and what the server answers.
// Syntax only; nothing is bound or verified here. source: docs/formats/certificate.md 6.3.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/crypto/hash.h"

namespace eos::ratls {

inline constexpr Code bad_attest_message{"common/ratls", "bad_attest_message",
                                         "not a message of the attestation exchange"};
inline constexpr Code client_evidence_unwanted{"common/ratls", "client_evidence_unwanted",
                                               "this server asks no client for evidence"};

/// Where the exchange is served, on every name, by POST.
inline constexpr std::string_view kAttestPath = "/__privasys/attest";

inline constexpr std::size_t kMaxAttestRequestBytes = 1024;
inline constexpr std::size_t kMaxAttestResponseBytes = 64 * 1024;

/// How the evidence that is asked for is bound.
enum class AttestMode : std::uint8_t {
    kDeterministic,  ///< to the leaf's key and a minute: the cached evidence of mode A
    kChallenge,      ///< to the leaf's key, the client's context and this connection's exporter
};

/// What a client asks.
struct AttestRequest {
    AttestMode mode = AttestMode::kChallenge;
    crypto::Digest32 leaf{};               ///< SHA-256 of the SPKI of the leaf that it was shown
    std::optional<ByteArray<32>> context;  ///< kChallenge only: random, for this once
};

/// What a server answers.
struct AttestResponse {
    AttestMode mode = AttestMode::kChallenge;
    std::string tee;      ///< "sgx", "tdx" or "sev-snp"
    Bytes quote;          ///< never empty
    UnixTime quote_time;  ///< when the quote was asked for, by the server's clock; whole minutes
};

/// errors: bad_attest_message (with the member), client_evidence_unwanted, those of json::parse.
///         Members that are not known are passed over.
/// bound:  kMaxAttestRequestBytes.
[[nodiscard]] Result<AttestRequest> parse_attest_request(ByteView text);

/// errors: bad_attest_message (with the member; also: evidence of a GPU, or a demand for the
///         client's evidence, neither of which this program can satisfy), those of json::parse.
///         Members that are not known are passed over.
/// bound:  kMaxAttestResponseBytes.
[[nodiscard]] Result<AttestResponse> parse_attest_response(ByteView text);

/// JSON.
std::string to_text(const AttestRequest& request);
std::string to_text(const AttestResponse& response);

}  // namespace eos::ratls
