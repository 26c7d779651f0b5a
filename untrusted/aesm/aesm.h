// SPDX-License-Identifier: AGPL-3.0-only
// The wire protocol of Intel's aesmd, as far as ECDSA quotes need it: a u32le length, then one
// protobuf message, on a Unix stream socket; one request and one response per connection.
// Used by the daemon (client) and by the quoting emulator (server). No input or output here.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::aesm {

inline constexpr Code malformed{"untrusted/aesm", "malformed",
                                "not a well-formed protobuf message"};
inline constexpr Code oversized{"untrusted/aesm", "oversized",
                                "the announced message is larger than any valid one"};
inline constexpr Code repeated_field{"untrusted/aesm", "repeated_field", "a field appears twice"};
inline constexpr Code missing_field{"untrusted/aesm", "missing_field",
                                    "a required field is missing"};
inline constexpr Code field_range{"untrusted/aesm", "field_range",
                                  "a field's value does not fit its type"};
inline constexpr Code unexpected_message{"untrusted/aesm", "unexpected_message",
                                         "no message of the ECDSA quoting protocol"};

inline constexpr std::size_t kLengthBytes = 4;
inline constexpr std::size_t kMaxMessageBytes = 64 * 1024;
inline constexpr std::size_t kAttKeyIdBytes = 256;
inline constexpr std::size_t kPubKeyIdBytes = 32;  ///< a SHA-256
inline constexpr std::size_t kTargetInfoBytes = 512;
inline constexpr std::size_t kReportBytes = 432;

inline constexpr const char* kDefaultSocket = "/var/run/aesmd/aesm.socket";

/// errorCode values (aesm_error.h) that we act on; any other non-zero value is a failure too.
enum class Status : std::uint32_t {
    kSuccess = 0,
    kUnexpectedError = 1,
    kParameterError = 3,
    kServiceUnavailable = 30,
    kAttKeyNotInitialised = 42,  ///< InitQuoteEx has to be sent (again) first
};

/// Whether the answer should carry the id of the attestation key.
enum class PubKeyId { kOmit, kReturn };

/// InitQuoteEx: asks for the quoting enclave's target info.
struct InitQuoteRequest {
    Bytes att_key_id;
    PubKeyId pub_key_id = PubKeyId::kReturn;
    std::uint64_t buf_size = kPubKeyIdBytes;  ///< room for pub_key_id, in bytes
    std::uint32_t timeout_ms = 0;

    friend bool operator==(const InitQuoteRequest&, const InitQuoteRequest&) = default;
};
struct QuoteSizeRequest {
    Bytes att_key_id;
    std::uint32_t timeout_ms = 0;

    friend bool operator==(const QuoteSizeRequest&, const QuoteSizeRequest&) = default;
};
struct QuoteRequest {
    Bytes report;
    Bytes att_key_id;
    std::optional<Bytes> qe_report_info;
    std::uint32_t buf_size = 0;  ///< room for the quote, in bytes
    std::uint32_t timeout_ms = 0;

    friend bool operator==(const QuoteRequest&, const QuoteRequest&) = default;
};
using Request = std::variant<InitQuoteRequest, QuoteSizeRequest, QuoteRequest>;

/// The answer to InitQuoteRequest; only status counts unless it says success.
struct InitQuoteResponse {
    Status status = Status::kUnexpectedError;
    Bytes target_info;
    std::uint64_t pub_key_id_size = 0;
    Bytes pub_key_id;

    friend bool operator==(const InitQuoteResponse&, const InitQuoteResponse&) = default;
};
struct QuoteSizeResponse {
    Status status = Status::kUnexpectedError;
    std::uint32_t quote_size = 0;

    friend bool operator==(const QuoteSizeResponse&, const QuoteSizeResponse&) = default;
};
struct QuoteResponse {
    Status status = Status::kUnexpectedError;
    Bytes quote;
    Bytes qe_report_info;

    friend bool operator==(const QuoteResponse&, const QuoteResponse&) = default;
};
using Response = std::variant<InitQuoteResponse, QuoteSizeResponse, QuoteResponse>;

/// The attestation key id of Intel's ECDSA P-256 quoting enclave.
/// source:  sgx_quote.h, sgx_att_key_id_ext_t; zero-padded to kAttKeyIdBytes.
ByteArray<kAttKeyIdBytes> ecdsa_p256_att_key_id();

/// A whole frame, length included. The message must fit kMaxMessageBytes (asserted). Empty byte
/// fields of a response and a zero timeout are left out.
Bytes encode(const Request& request);
Bytes encode(const Response& response);

/// The size of the message that follows a frame's length field.
/// errors: oversized.
[[nodiscard]] Result<std::size_t> parse_length(const ByteArray<kLengthBytes>& field);

/// One message, without its length field. Unknown fields are skipped, as protobuf demands; a known
/// field that appears twice is refused. Sizes of byte fields are the caller's to check.
/// in:      not retained.
/// errors:  malformed, repeated_field, missing_field, field_range, unexpected_message, oversized.
/// source:  Intel linux-sgx, psw/ae/aesm_service/source/core/ipc/messages.proto.
/// bound:   linear in the input.
[[nodiscard]] Result<Request> parse_request(ByteView message);
[[nodiscard]] Result<Response> parse_response(ByteView message);

}  // namespace eos::aesm
