// SPDX-License-Identifier: AGPL-3.0-only
// How the shared block is laid out. Header, time page, then one area per worker: a control page
// (doorbells and ring positions) and the words of its four rings. Every offset follows from the
// counts in the header; none is stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::boundary {

inline constexpr Code bad_layout{"boundary", "bad_layout",
                                 "the shared block's header is not one this build understands"};

inline constexpr std::uint64_t kBlockMagic = 0x314b434f4c42534fULL;  // "OSBLOCK1"
inline constexpr std::uint32_t kBlockVersion = 1;
inline constexpr std::size_t kPageBytes = 4096;
inline constexpr unsigned kMaxWorkers = 16;
inline constexpr std::size_t kMinRingBytes = 128 * 1024;        ///< one whole frame fits
inline constexpr std::size_t kMaxRingBytes = 16 * 1024 * 1024;  ///< keeps every offset small

/// The choices from which the layout follows. The daemon makes them; the trusted side bounds them.
struct LayoutOptions {
    unsigned worker_count = 1;                 ///< 1..kMaxWorkers
    std::size_t data_ring_bytes = 256 * 1024;  ///< each direction; a power of two
    std::size_t rpc_ring_bytes = 256 * 1024;   ///< each direction; a power of two
};

/// The four rings of a worker, named from the trusted side.
enum class RingId : unsigned { kDataIn = 0, kDataOut = 1, kRpcIn = 2, kRpcOut = 3 };
inline constexpr unsigned kRingsPerWorker = 4;

/// One ring inside the shared block: two positions on cache lines of their own, and the words.
/// What these refer to belongs to both sides and changes at any time: only ring.h reads it.
struct RingMemory {
    std::uint64_t* produced = nullptr;  ///< bytes ever published by the producer
    std::uint64_t* consumed = nullptr;  ///< bytes ever given back by the consumer
    std::span<std::uint64_t> words;     ///< size is a power of two
};

/// One side's bell: `sequence` is what its owner sleeps on, `sleeping` tells the other side whether
/// to ring (doorbell.h).
struct BellMemory {
    std::uint32_t* sequence = nullptr;
    std::uint32_t* sleeping = nullptr;
};

/// The words of the time page (time_page.h).
struct TimeMemory {
    std::uint64_t* sequence = nullptr;
    std::uint64_t* wall_ns = nullptr;
    std::uint64_t* monotonic_ns = nullptr;
};

/// Where everything is. Holds validated options and the address of the block; the block must
/// outlive it. threads: const, any.
class Layout {
  public:
    /// Writes a fresh header into `block`, which must be zeroed and block_bytes(options) long.
    /// errors: bad_layout (options out of range, block of another size or not page-aligned).
    [[nodiscard]] static Result<Layout> create(MutableByteView block, const LayoutOptions& options);

    /// Reads the header once, checks it, and never looks at it again.
    /// errors: bad_layout (magic, version, a count out of range, a size that does not match).
    [[nodiscard]] static Result<Layout> open(MutableByteView block);

    /// The size of the block for these options, a multiple of kPageBytes.
    /// errors: bad_layout.
    [[nodiscard]] static Result<std::size_t> block_bytes(const LayoutOptions& options);

    unsigned worker_count() const { return options_.worker_count; }
    const LayoutOptions& options() const { return options_; }

    TimeMemory time() const;
    /// worker < worker_count() (asserted), here and below.
    RingMemory ring(unsigned worker, RingId id) const;
    /// What the trusted worker sleeps on; the host rings it.
    BellMemory trusted_bell(unsigned worker) const;
    /// What the host sleeps on for this worker; the trusted worker rings it.
    BellMemory host_bell(unsigned worker) const;

  private:
    Layout(std::byte* base, const LayoutOptions& options) : base_(base), options_(options) {}
    std::byte* worker_area(unsigned worker) const;

    std::byte* base_;
    LayoutOptions options_;
};

}  // namespace eos::boundary
