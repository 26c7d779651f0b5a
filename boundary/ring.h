// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

// A lock-free ring of frames between exactly one producer and one consumer that do not trust each
// other. A frame is u32le payload size ‖ u32le type ‖ payload, padded with zeros to 8 bytes. It
// lies in the ring in 64-bit words, and wraps at any word.
//
// Each side keeps its own position in its own memory and only publishes it; the peer's position is
// copied once, then checked: it never goes back, never passes what is possible, and is a multiple
// of
// 8. A frame's size is copied once and bounded; its payload is copied into private memory before
// anyone looks at it. Shared memory is only ever touched as aligned 64-bit words (Intel SA-00615:
// narrower accesses across the boundary may move stale data along).

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>

#include "boundary/layout.h"
#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::boundary {

/// After this error the ring is of no use any more: its peer is hostile or broken.
inline constexpr Code ring_violated{"boundary", "ring_violated",
                                    "the other side broke the rules of the ring"};

/// Holds one blob of 64 KiB with its key and envelope, one quote, or one page of keys.
inline constexpr std::size_t kMaxFramePayloadBytes = 80 * 1024;
inline constexpr std::size_t kFrameHeaderBytes = 8;

/// What a frame of `payload_bytes` takes in the ring.
constexpr std::size_t frame_bytes(std::size_t payload_bytes) {
    return kFrameHeaderBytes + (payload_bytes + 7) / 8 * 8;
}
static_assert(frame_bytes(kMaxFramePayloadBytes) <= kMinRingBytes);

/// Whether a frame found room.
enum class Push { kDone, kFull };

/// threads: one at a time.
class RingProducer {
  public:
    explicit RingProducer(const RingMemory& memory) : memory_(memory) {}
    RingProducer(const RingProducer&) = delete;
    RingProducer& operator=(const RingProducer&) = delete;

    /// Writes a frame whose payload is `parts`, one after the other, at most kMaxFramePayloadBytes
    /// (asserted). The consumer sees it only after publish().
    /// errors: ring_violated.
    [[nodiscard]] Result<Push> push(std::uint32_t type, std::initializer_list<ByteView> parts);

    /// Whether a frame of this payload size would find room now.
    /// errors: ring_violated.
    [[nodiscard]] Result<bool> has_room(std::size_t payload_bytes);

    /// Makes everything pushed visible at once; says whether there was anything.
    bool publish();

    /// Whether the last push() found no room.
    bool is_starved() const { return starved_; }
    /// Whether the consumer has given room back since that push(). A hint for going to sleep:
    /// push() decides.
    bool room_was_given() const;
    /// How many bytes the consumer says it has taken since the ring was made, and whether that is
    /// everything that was published. Hints: the consumer writes what it likes.
    std::uint64_t taken_bytes() const;
    bool all_taken() const { return taken_bytes() == published_; }
    /// The one that wanted room has been told of it, and tries again or never.
    void forget_starvation() { starved_ = false; }

  private:
    RingMemory memory_;
    std::uint64_t position_ = 0;   // where the next frame goes
    std::uint64_t published_ = 0;  // what the consumer has been told
    std::uint64_t consumed_ = 0;   // the peer's position, checked
    bool starved_ = false;
};

/// A frame in the consumer's private memory; valid until the next receive().
struct Frame {
    std::uint32_t type = 0;
    ByteView payload;
};

/// threads: one at a time.
class RingConsumer {
  public:
    explicit RingConsumer(const RingMemory& memory);
    RingConsumer(const RingConsumer&) = delete;
    RingConsumer& operator=(const RingConsumer&) = delete;

    /// The next frame, or nothing if there is none.
    /// errors: ring_violated.
    [[nodiscard]] Result<std::optional<Frame>> receive();

    /// Gives back the room of every frame received; says whether there was anything. receive()
    /// does so by itself when a quarter of the ring is held back.
    bool release();

    /// Whether the producer has published more. A hint for going to sleep: receive() decides.
    bool has_input() const;

  private:
    Result<bool> look();

    RingMemory memory_;
    std::unique_ptr<std::uint64_t[]> frame_;  // the private copy, kMaxFramePayloadBytes
    std::uint64_t position_ = 0;              // where the next frame starts
    std::uint64_t released_ = 0;              // what the producer has been told
    std::uint64_t produced_ = 0;              // the peer's position, checked
    bool released_by_itself_ = false;         // since the last release()
};

}  // namespace eos::boundary
