// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/ring.h"

#include <atomic>
#include <bit>
#include <cstring>

#include "boundary/speculation.h"
#include "common/base/assert.h"

namespace eos::boundary {
namespace {

static_assert(std::endian::native == std::endian::little, "frames are copied as they lie");

constexpr std::size_t kCacheLineWords = 8;

std::uint64_t load_position(std::uint64_t* position) {
    return std::atomic_ref(*position).load(std::memory_order_seq_cst);
}

// Sequentially consistent, like the loads of `sleeping` that follow it: see doorbell.h.
void store_position(std::uint64_t* position, std::uint64_t value) {
    std::atomic_ref(*position).store(value, std::memory_order_seq_cst);
}

// Puts bytes into the ring's words, collecting them to whole words first.
class WordSink {
  public:
    WordSink(const RingMemory& memory, std::uint64_t position)
        : words_(memory.words.data()),
          mask_(memory.words.size() - 1),
          index_(position / sizeof(std::uint64_t)) {}

    void word(std::uint64_t value) {
        std::atomic_ref(words_[index_++ & mask_]).store(value, std::memory_order_relaxed);
    }

    void bytes(ByteView input) {
        while (!input.empty() && held_bytes_ != 0) {
            add(input.front());
            input = input.subspan(1);
        }
        for (; input.size() >= sizeof(std::uint64_t);
             input = input.subspan(sizeof(std::uint64_t))) {
            std::uint64_t value;
            std::memcpy(&value, input.data(), sizeof(value));
            word(value);
        }
        for (std::byte b : input) add(b);
    }

    void finish() {
        if (held_bytes_ != 0) word(held_);
    }

  private:
    void add(std::byte b) {
        held_ |= std::to_integer<std::uint64_t>(b) << (8 * held_bytes_);
        if (++held_bytes_ < sizeof(held_)) return;
        word(held_);
        held_ = 0;
        held_bytes_ = 0;
    }

    std::uint64_t* words_;
    std::uint64_t mask_;
    std::uint64_t index_;
    std::uint64_t held_ = 0;
    unsigned held_bytes_ = 0;
};

}  // namespace

Result<bool> RingProducer::has_room(std::size_t payload_bytes) {
    std::uint64_t capacity = memory_.words.size_bytes();
    std::uint64_t wanted = frame_bytes(payload_bytes);
    if (position_ - consumed_ + wanted <= capacity) return true;
    std::uint64_t consumed = load_position(memory_.consumed);
    // The consumer moves forwards, over whole words, and not past what was published.
    if (consumed - consumed_ > published_ - consumed_ || consumed % 8 != 0)
        return fail(ring_violated, "impossible consumer position");
    speculation_barrier();
    consumed_ = consumed;
    return position_ - consumed_ + wanted <= capacity;
}

Result<Push> RingProducer::push(std::uint32_t type, std::initializer_list<ByteView> parts) {
    std::size_t payload_bytes = 0;
    for (ByteView part : parts) payload_bytes += part.size();
    EOS_ASSERT(payload_bytes <= kMaxFramePayloadBytes);
    starved_ = !EOS_TRY(has_room(payload_bytes));
    if (starved_) return Push::kFull;
    WordSink sink(memory_, position_);
    sink.word(payload_bytes | std::uint64_t{type} << 32);
    for (ByteView part : parts) sink.bytes(part);
    sink.finish();
    position_ += frame_bytes(payload_bytes);
    return Push::kDone;
}

bool RingProducer::publish() {
    if (published_ == position_) return false;
    published_ = position_;
    store_position(memory_.produced, published_);
    return true;
}

bool RingProducer::room_was_given() const {
    return starved_ && load_position(memory_.consumed) != consumed_;
}

std::uint64_t RingProducer::taken_bytes() const {
    return load_position(memory_.consumed);
}

RingConsumer::RingConsumer(const RingMemory& memory)
    : memory_(memory),
      frame_(std::make_unique<std::uint64_t[]>(kMaxFramePayloadBytes / sizeof(std::uint64_t))) {}

bool RingConsumer::has_input() const {
    return produced_ != position_ || load_position(memory_.produced) != position_;
}

// Whether there is a frame; takes the producer's position over when all known ones are read.
Result<bool> RingConsumer::look() {
    if (produced_ != position_) return true;
    std::uint64_t produced = load_position(memory_.produced);
    if (produced == position_) return false;
    // The producer moves forwards, over whole words, into room that was given back.
    if (produced - released_ > memory_.words.size_bytes() ||
        produced - released_ < position_ - released_ || produced % 8 != 0)
        return fail(ring_violated, "impossible producer position");
    // A small frame lies in two cache lines that the producer's core still holds: ask for both at
    // once.
    const std::uint64_t* words = memory_.words.data();
    const std::uint64_t mask = memory_.words.size() - 1;
    __builtin_prefetch(&words[position_ / sizeof(std::uint64_t) & mask]);
    __builtin_prefetch(&words[(position_ / sizeof(std::uint64_t) + kCacheLineWords) & mask]);
    // No barrier: a position only decides whether and how far receive() copies words of the ring,
    // which is the other side's memory anyway, into frame_, whose bounds it clamps.
    produced_ = produced;
    return true;
}

Result<std::optional<Frame>> RingConsumer::receive() {
    if (position_ - released_ >= memory_.words.size_bytes() / 4)
        released_by_itself_ = release() || released_by_itself_;
    if (!EOS_TRY(look())) return std::nullopt;

    std::uint64_t* words = memory_.words.data();
    const std::uint64_t mask = memory_.words.size() - 1;
    std::uint64_t index = position_ / sizeof(std::uint64_t);
    std::uint64_t header = std::atomic_ref(words[index++ & mask]).load(std::memory_order_relaxed);
    std::uint64_t payload_bytes = static_cast<std::uint32_t>(header);
    if (payload_bytes > kMaxFramePayloadBytes) return fail(ring_violated, "oversized frame");
    if (frame_bytes(payload_bytes) > produced_ - position_)
        return fail(ring_violated, "frame longer than what was published");
    payload_bytes = speculation_clamp(payload_bytes, kMaxFramePayloadBytes);
    for (std::size_t i = 0; i < frame_bytes(payload_bytes) / 8 - 1; ++i)
        frame_[i] = std::atomic_ref(words[index++ & mask]).load(std::memory_order_relaxed);
    position_ += frame_bytes(payload_bytes);
    return Frame{
        .type = static_cast<std::uint32_t>(header >> 32),
        .payload =
            std::as_bytes(std::span(frame_.get(), (payload_bytes + 7) / 8)).first(payload_bytes)};
}

bool RingConsumer::release() {
    bool any = released_by_itself_;
    released_by_itself_ = false;
    if (released_ == position_) return any;
    released_ = position_;
    store_position(memory_.consumed, released_);
    return true;
}

}  // namespace eos::boundary
