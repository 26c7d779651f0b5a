// SPDX-License-Identifier: AGPL-3.0-only
// What the runtime needs from the world. Mini implements these over its platform and rings, Virtual
// over Linux, tests in memory. The runtime itself never waits, never reads a clock, never touches a
// descriptor.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/ratls/report_data.h"

namespace eos::runtime {

/// Receives the outcome of an asynchronous call: exactly once, on the worker that asked, either
/// before the asking call returns or later.
template <typename T>
using Done = std::move_only_function<void(Result<T>)>;

/// The time as the platform tells it. In Mini it is the host's claim, clamped to be monotonic.
class Clock {
  public:
    virtual ~Clock() = default;
    /// Wall-clock time; never goes back within one start of the program.
    virtual UnixTime now() const = 0;
    /// Milliseconds from an arbitrary start; for deadlines and intervals only.
    virtual std::uint64_t monotonic_ms() const = 0;
};

/// Unpredictable bytes.
class Random {
  public:
    virtual ~Random() = default;
    virtual void fill(MutableByteView out) = 0;
};

/// Where hardware evidence comes from. Slow (39 ms to 1 s), serialised, and able to fail.
class EvidenceSource {
  public:
    virtual ~EvidenceSource() = default;
    /// Asks for evidence over `report_data`. The evidence handed to `done` has been compared with
    /// the report that was sent.
    virtual void request(const ratls::ReportData& report_data, Done<Bytes> done) = 0;
};

/// Whether a write must be on stable storage before it is acknowledged.
enum class Durability { kBuffered, kSynced };

/// One change of a batch: sets `key` to `value`, or deletes it where there is no value.
struct BlobWrite {
    std::string key;             ///< at most kMaxBlobKeyBytes
    std::optional<Bytes> value;  ///< at most kMaxBlobBytes
};

inline constexpr std::size_t kMaxBlobKeyBytes = 128;
inline constexpr std::size_t kMaxBlobBytes = 64 * 1024;
inline constexpr std::size_t kMaxBlobBatch = 64;
/// Keys and values of one batch: it must fit one frame of the boundary (kMaxFramePayload, 80 KiB).
inline constexpr std::size_t kMaxBlobBatchBytes = 72 * 1024;
inline constexpr std::size_t kMaxBlobListKeys = 256;

/// Where a listing goes on: the keys that start with `prefix` and come after `after`.
struct BlobListRequest {
    std::string prefix;
    std::string after;  ///< the last key of the page before; empty for the first page
};

/// What a BlobStore fails with when the storage may do it another time.
inline constexpr Code storage_unavailable{"trusted/runtime", "storage_unavailable",
                                          "the host's storage does not answer, or cannot do it"};

/// Untrusted storage: it may lose, alter, swap, keep and replay what it is given.
///
/// What an honest one promises, and what a crash at any instant may cost: writes take effect in the
/// order of the calls; after a crash a prefix of that order is there and the rest is not, a batch
/// whole or not at all; a synced write that was acknowledged, and every write before it, buffered
/// ones too, is in that prefix. RocksDB keeps this when all writes go through one write-ahead log.
class BlobStore {
  public:
    virtual ~BlobStore() = default;
    /// The value stored under `key`, or nothing if there is none.
    virtual void get(std::string key, Done<std::optional<Bytes>> done) = 0;
    /// One page of keys in ascending bytewise order, at most kMaxBlobListKeys; an empty page is the
    /// end.
    virtual void list(BlobListRequest request, Done<std::vector<std::string>> done) = 0;
    /// Applies the batch (at most kMaxBlobBatch changes, kMaxBlobBatchBytes) atomically;
    /// acknowledged in the order of the calls.
    virtual void write(std::vector<BlobWrite> batch, Durability durability, Done<void> done) = 0;
};

/// One accepted connection's transport, as seen by what runs on top of it. All calls return at
/// once.
class ByteStream {
  public:
    virtual ~ByteStream() = default;
    /// How many bytes send() takes now; the peer's window and ours.
    virtual std::size_t writable_bytes() const = 0;
    /// Queues bytes, at most writable_bytes() of them (asserted).
    virtual void send(ByteView bytes) = 0;
    /// Tells the other side that `count` received bytes are done with and may be replaced by new
    /// ones.
    virtual void consumed(std::size_t count) = 0;
    /// Ends the connection after what was queued has gone out.
    virtual void close() = 0;
    /// Ends the connection at once.
    virtual void abort() = 0;
};

}  // namespace eos::runtime
