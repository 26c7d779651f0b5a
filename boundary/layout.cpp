// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/layout.h"

#include <atomic>
#include <bit>
#include <string>

#include "boundary/speculation.h"
#include "common/base/assert.h"

namespace eos::boundary {
namespace {

// Positions and bells keep two cache lines each: the adjacent-line prefetcher pulls lines in pairs.
constexpr std::size_t kSlotBytes = 128;
constexpr std::size_t kTimePageOffset = kPageBytes;
constexpr std::size_t kWorkersOffset = 2 * kPageBytes;
constexpr std::size_t kBellSlots = 2;
static_assert((kBellSlots + 2 * kRingsPerWorker) * kSlotBytes <= kPageBytes);

// The header, as 64-bit words at the start of the block.
enum HeaderWord : std::size_t { kMagic, kVersion, kWorkers, kDataRing, kRpcRing, kHeaderWords };

Result<void> check(const LayoutOptions& options) {
    if (options.worker_count < 1 || options.worker_count > kMaxWorkers)
        return fail(bad_layout, "worker count outside 1.." + std::to_string(kMaxWorkers));
    for (std::size_t bytes : {options.data_ring_bytes, options.rpc_ring_bytes}) {
        if (bytes < kMinRingBytes || bytes > kMaxRingBytes || !std::has_single_bit(bytes))
            return fail(bad_layout, "ring size is not a power of two in 128 KiB..16 MiB");
    }
    return {};
}

// Of options that were checked: at most 16 × (4 KiB + 64 MiB), far from overflow.
std::size_t worker_bytes(const LayoutOptions& options) {
    return kPageBytes + 2 * options.data_ring_bytes + 2 * options.rpc_ring_bytes;
}

Result<void> check_block(MutableByteView block) {
    if (reinterpret_cast<std::uintptr_t>(block.data()) % kPageBytes != 0)
        return fail(bad_layout, "the block is not page-aligned");
    if (block.size() < kWorkersOffset) return fail(bad_layout, "the block is too small");
    return {};
}

std::uint64_t* words_at(std::byte* place) {
    return reinterpret_cast<std::uint64_t*>(place);
}

BellMemory bell_at(std::byte* slot) {
    auto* words = reinterpret_cast<std::uint32_t*>(slot);
    return {.sequence = words, .sleeping = words + 1};
}

}  // namespace

Result<std::size_t> Layout::block_bytes(const LayoutOptions& options) {
    EOS_TRY(check(options));
    return kWorkersOffset + options.worker_count * worker_bytes(options);
}

Result<Layout> Layout::create(MutableByteView block, const LayoutOptions& options) {
    EOS_TRY(check_block(block));
    std::size_t wanted = EOS_TRY(block_bytes(options));
    if (block.size() != wanted) return fail(bad_layout, "the block has another size");
    std::uint64_t* header = words_at(block.data());
    header[kMagic] = kBlockMagic;
    header[kVersion] = kBlockVersion;
    header[kWorkers] = options.worker_count;
    header[kDataRing] = options.data_ring_bytes;
    header[kRpcRing] = options.rpc_ring_bytes;
    return Layout(block.data(), options);
}

Result<Layout> Layout::open(MutableByteView block) {
    EOS_TRY(check_block(block));
    std::uint64_t header[kHeaderWords];  // the one copy; the host may change the original
    for (std::size_t i = 0; i < kHeaderWords; ++i)
        header[i] = std::atomic_ref(words_at(block.data())[i]).load(std::memory_order_relaxed);
    if (header[kMagic] != kBlockMagic) return fail(bad_layout, "wrong magic");
    if (header[kVersion] != kBlockVersion) return fail(bad_layout, "another version");
    if (header[kWorkers] > kMaxWorkers) return fail(bad_layout, "too many workers");
    LayoutOptions options{.worker_count = static_cast<unsigned>(header[kWorkers]),
                          .data_ring_bytes = header[kDataRing],
                          .rpc_ring_bytes = header[kRpcRing]};
    std::size_t wanted = EOS_TRY(block_bytes(options));
    if (block.size() != wanted)
        return fail(bad_layout, "the block's size does not match its header");
    speculation_barrier();
    return Layout(block.data(), options);
}

TimeMemory Layout::time() const {
    std::uint64_t* words = words_at(base_ + kTimePageOffset);
    return {.sequence = words, .wall_ns = words + 1, .monotonic_ns = words + 2};
}

std::byte* Layout::worker_area(unsigned worker) const {
    EOS_ASSERT(worker < options_.worker_count);
    return base_ + kWorkersOffset + worker * worker_bytes(options_);
}

RingMemory Layout::ring(unsigned worker, RingId id) const {
    std::byte* area = worker_area(worker);
    auto index = static_cast<unsigned>(id);
    std::byte* slots = area + (kBellSlots + 2 * index) * kSlotBytes;
    bool is_data = id == RingId::kDataIn || id == RingId::kDataOut;
    std::size_t bytes = is_data ? options_.data_ring_bytes : options_.rpc_ring_bytes;
    std::size_t offset = kPageBytes + (is_data ? index * options_.data_ring_bytes
                                               : 2 * options_.data_ring_bytes +
                                                     (index - 2) * options_.rpc_ring_bytes);
    return {.produced = words_at(slots),
            .consumed = words_at(slots + kSlotBytes),
            .words = {words_at(area + offset), bytes / sizeof(std::uint64_t)}};
}

BellMemory Layout::trusted_bell(unsigned worker) const {
    return bell_at(worker_area(worker));
}

BellMemory Layout::host_bell(unsigned worker) const {
    return bell_at(worker_area(worker) + kSlotBytes);
}

}  // namespace eos::boundary
