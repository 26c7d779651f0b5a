// SPDX-License-Identifier: AGPL-3.0-only
// Every message that crosses the boundary; README.md has the table. A message is the payload of one
// frame. Integers are little-endian; encode() and decode_*() are exact inverses, and decoding
// refuses anything else: another type, a bound exceeded, bytes left over.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "boundary/ring.h"
#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::boundary {

inline constexpr Code unknown_message{"boundary", "unknown_message",
                                      "a frame of a type that does not belong on this ring"};
inline constexpr Code malformed_message{"boundary", "malformed_message",
                                        "a message does not have its form"};
inline constexpr Code message_too_large{"boundary", "message_too_large",
                                        "a message exceeds its bound"};

/// Frame types. A number is never used again for something else.
enum class MessageType : std::uint32_t {
    kConnOpened = 1,
    kConnData = 2,
    kConnCredit = 3,
    kConnEnded = 4,
    kConnClose = 5,

    kBlobGet = 16,
    kBlobList = 17,
    kBlobWrite = 18,
    kTargetInfo = 19,
    kQuote = 20,
    kLog = 21,
    kStatus = 22,
    kExit = 23,

    kReplyDone = 32,
    kReplyBlobValue = 33,
    kReplyBlobKeys = 34,
    kReplyTargetInfo = 35,
    kReplyQuote = 36,
    kReplyFailed = 37,
    kShutdown = 48,
};

// ---- data ring: connections -------------------------------------------------------------------

inline constexpr std::size_t kMaxConnDataBytes = 32 * 1024;
inline constexpr std::uint32_t kConnWindowBytes =
    64 * 1024;  ///< each way, at the start and at most

/// A connection was accepted. Ids rise strictly within a worker and are never used again.
struct ConnOpened {
    std::uint64_t conn_id = 0;
    ByteArray<16> peer_address{};  ///< IPv6; an IPv4 peer as ::ffff:a.b.c.d. The host's claim.
    std::uint16_t peer_port = 0;

    friend bool operator==(const ConnOpened&, const ConnOpened&) = default;
};

/// Bytes of the connection, in order; 1..kMaxConnDataBytes of them, within the window. Borrowed.
struct ConnData {
    std::uint64_t conn_id = 0;
    ByteView bytes;
};

/// So many bytes have been written out (to trusted) or consumed (to the host): as many may follow.
struct ConnCredit {
    std::uint64_t conn_id = 0;
    std::uint32_t bytes = 0;  ///< 1..kConnWindowBytes

    friend bool operator==(const ConnCredit&, const ConnCredit&) = default;
};

/// The peer's half of the connection ended. After kEndOfStream this side may still send; after the
/// others the connection is gone. The host's claim in each case.
struct ConnEnded {
    enum class Why : std::uint8_t { kEndOfStream = 1, kReset = 2, kHostLimit = 3 };
    std::uint64_t conn_id = 0;
    Why why = Why::kReset;

    friend bool operator==(const ConnEnded&, const ConnEnded&) = default;
};

/// The trusted side is done with the connection: the last message about it in that direction.
struct ConnClose {
    enum class How : std::uint8_t { kAfterFlush = 1, kAbort = 2 };
    std::uint64_t conn_id = 0;
    How how = How::kAbort;

    friend bool operator==(const ConnClose&, const ConnClose&) = default;
};

// ---- rpc ring: requests of the trusted side ---------------------------------------------------

inline constexpr std::size_t kMaxKeyBytes = 128;          ///< runtime::kMaxBlobKeyBytes
inline constexpr std::size_t kMaxValueBytes = 64 * 1024;  ///< runtime::kMaxBlobBytes
inline constexpr std::size_t kMaxBatchWrites = 64;        ///< runtime::kMaxBlobBatch
inline constexpr std::size_t kMaxKeysPerPage = 256;       ///< runtime::kMaxBlobListKeys
inline constexpr std::size_t kTargetInfoBytes = 512;
inline constexpr std::size_t kReportBytes = 432;
inline constexpr std::size_t kMaxQuoteBytes = 16 * 1024;
inline constexpr std::size_t kMaxNumbers = 4;

/// Which request a reply answers, and how long the asker waits for it.
struct RequestHead {
    std::uint64_t request_id = 0;   ///< rises strictly within a worker
    std::uint32_t deadline_ms = 0;  ///< from now; after it the answer is ignored

    friend bool operator==(const RequestHead&, const RequestHead&) = default;
};

/// Answered by BlobValue.
struct BlobGet {
    RequestHead head;
    std::string key;

    friend bool operator==(const BlobGet&, const BlobGet&) = default;
};

/// Answered by BlobKeys: keys with `prefix` that come after `after` (empty: from the first).
struct BlobList {
    RequestHead head;
    std::string prefix;
    std::string after;

    friend bool operator==(const BlobList&, const BlobList&) = default;
};

/// Applied whole or not at all, in the order of the requests; answered by Done. A batch is one
/// frame: keys, values and 7 bytes for each write must fit kMaxBatchBytes.
struct BlobWriteBatch {
    enum class Durability : std::uint8_t { kBuffered = 1, kSynced = 2 };
    struct Write {
        std::string key;
        std::optional<Bytes> value;  ///< nothing: delete

        friend bool operator==(const Write&, const Write&) = default;
    };
    RequestHead head;
    Durability durability = Durability::kSynced;
    std::vector<Write> writes;  ///< 1..kMaxBatchWrites

    friend bool operator==(const BlobWriteBatch&, const BlobWriteBatch&) = default;
};
inline constexpr std::size_t kBatchOverheadBytes = 12 + 1 + 2;
inline constexpr std::size_t kWriteOverheadBytes = 2 + 1 + 4;
inline constexpr std::size_t kMaxBatchBytes = kMaxFramePayloadBytes - kBatchOverheadBytes;
static_assert(kWriteOverheadBytes + kMaxKeyBytes + kMaxValueBytes <= kMaxBatchBytes);

/// Answered by TargetInfoReply: at whom a report must be aimed to be quoted.
struct TargetInfoRequest {
    RequestHead head;

    friend bool operator==(const TargetInfoRequest&, const TargetInfoRequest&) = default;
};

/// Answered by QuoteReply.
struct QuoteRequest {
    RequestHead head;
    ByteArray<kReportBytes> report{};

    friend bool operator==(const QuoteRequest&, const QuoteRequest&) = default;
};

/// Up to kMaxNumbers numbers.
struct Numbers {
    std::uint8_t count = 0;
    std::array<std::uint64_t, kMaxNumbers> values{};

    friend bool operator==(const Numbers&, const Numbers&) = default;
};

/// A line of log_codes.h; not answered. All of the log that leaves the TEE.
struct Log {
    std::uint16_t code = 0;
    Numbers numbers;

    friend bool operator==(const Log&, const Log&) = default;
};

/// What the daemon's /readyz and /metrics say about this worker; not answered. Zero reasons: ready.
struct Status {
    enum Reason : std::uint32_t {
        kStarting = 1U << 0,
        kUnowned = 1U << 1,
        kNoEvidence = 1U << 2,
        kNoCa = 1U << 3,
        kStateRefused = 1U << 4,
        kDraining = 1U << 5,
        kTimeJumped = 1U << 6,
    };
    static constexpr std::uint32_t kAllReasons = (1U << 7) - 1;

    std::uint32_t not_ready_because = kStarting;  ///< of Reason
    std::uint32_t connection_count = 0;
    std::uint32_t app_count = 0;
    std::uint64_t evidence_not_after_s = 0;  ///< Unix time; 0: none
    std::uint64_t leaf_not_after_s = 0;      ///< Unix time; 0: none

    friend bool operator==(const Status&, const Status&) = default;
};

/// The last message of a trusted process that ends on purpose; not answered.
struct Exit {
    enum class Why : std::uint8_t {
        kRequested = 0,         ///< Shutdown was obeyed
        kBoundaryViolated = 1,  ///< the host broke a rule of this boundary
        kStateRefused = 2,      ///< starting again will not help: a person must act
        kInternal = 3,
    };
    Why why = Why::kInternal;

    friend bool operator==(const Exit&, const Exit&) = default;
};

// ---- rpc ring: replies and notices of the host -------------------------------------------------

/// The answer to BlobWriteBatch: it is applied, and durable as asked.
struct Done {
    friend bool operator==(const Done&, const Done&) = default;
};
/// The answer to BlobGet.
struct BlobValue {
    std::optional<Bytes> value;  ///< nothing: there is no such key

    friend bool operator==(const BlobValue&, const BlobValue&) = default;
};
/// One page, in strictly rising bytewise order; an empty one is the end.
struct BlobKeys {
    std::vector<std::string> keys;  ///< at most kMaxKeysPerPage

    friend bool operator==(const BlobKeys&, const BlobKeys&) = default;
};
/// The answer to TargetInfoRequest.
struct TargetInfoReply {
    ByteArray<kTargetInfoBytes> target_info{};

    friend bool operator==(const TargetInfoReply&, const TargetInfoReply&) = default;
};
/// The answer to QuoteRequest. The asker compares its report body with the report it sent.
struct QuoteReply {
    Bytes quote;  ///< 1..kMaxQuoteBytes

    friend bool operator==(const QuoteReply&, const QuoteReply&) = default;
};
/// The answer to any request that could not be served.
struct Failed {
    enum class Why : std::uint16_t {
        kUnavailable = 1,  ///< the service is not there now
        kTimedOut = 2,
        kOverloaded = 3,  ///< too many requests wait
        kStorage = 4,     ///< the disk is full or broken
        kQuoting = 5,     ///< the quoting enclave refused
        kRefused = 6,     ///< the request breaks a limit of the host
    };
    Why why = Why::kUnavailable;

    friend bool operator==(const Failed&, const Failed&) = default;
};

/// Every answer: which request, and what.
struct Reply {
    std::uint64_t request_id = 0;
    std::variant<Done, BlobValue, BlobKeys, TargetInfoReply, QuoteReply, Failed> body;

    friend bool operator==(const Reply&, const Reply&) = default;
};

/// A request to finish within `deadline_ms` and then send Exit; sent to every worker. The host may
/// end the process at any time anyway; this lets connections end in order.
struct Shutdown {
    std::uint32_t deadline_ms = 0;

    friend bool operator==(const Shutdown&, const Shutdown&) = default;
};

// ---- codecs -------------------------------------------------------------------------------------

using DataToTrusted = std::variant<ConnOpened, ConnData, ConnCredit, ConnEnded>;
using DataToHost = std::variant<ConnData, ConnCredit, ConnClose>;
using RpcToHost = std::variant<BlobGet, BlobList, BlobWriteBatch, TargetInfoRequest, QuoteRequest,
                               Log, Status, Exit>;
using RpcToTrusted = std::variant<Reply, Shutdown>;

/// Decodes what the consumer of each ring receives. ConnData borrows from the frame; all else is
/// copied.
/// errors: unknown_message, malformed_message, message_too_large.
[[nodiscard]] Result<DataToTrusted> decode_data_to_trusted(const Frame& frame);
[[nodiscard]] Result<DataToHost> decode_data_to_host(const Frame& frame);
[[nodiscard]] Result<RpcToHost> decode_rpc_to_host(const Frame& frame);
[[nodiscard]] Result<RpcToTrusted> decode_rpc_to_trusted(const Frame& frame);

/// A message ready for RingProducer::push: its payload is head() and then `tail`, which is borrowed
/// from the message (the bytes of ConnData, else nothing).
struct Encoded {
    MessageType type{};
    /// The head of a data ring's message: no allocation per message. Only fixed_bytes of it are
    /// set.
    ByteArray<32> fixed;
    std::size_t fixed_bytes = 0;
    Bytes variable;  ///< the head of any other
    ByteView tail;

    /// Borrowed from this object.
    ByteView head() const {
        return fixed_bytes != 0 ? ByteView(fixed).first(fixed_bytes) : ByteView(variable);
    }
};

/// errors: message_too_large, malformed_message (what decoding would refuse).
[[nodiscard]] Result<Encoded> encode(const DataToTrusted& message);
[[nodiscard]] Result<Encoded> encode(const DataToHost& message);
[[nodiscard]] Result<Encoded> encode(const RpcToHost& message);
[[nodiscard]] Result<Encoded> encode(const RpcToTrusted& message);

}  // namespace eos::boundary
