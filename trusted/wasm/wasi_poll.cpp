// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>

#include "trusted/wasm/wasi.h"
#include "trusted/wasm/wasi_internal.h"

namespace eos::wasm {

namespace {

// source: WASI preview 1, typenames.witx: layout of subscription and event.
constexpr std::uint32_t kSubscriptionBytes = 48;
constexpr std::uint32_t kEventBytes = 32;
constexpr std::uint16_t kAbsoluteTime = 1;
constexpr std::uint16_t kHangup = 1;
constexpr std::uint64_t kSubscriptionWork = 640;  // as bytes copied

enum class EventType : std::uint8_t { kClock = 0, kRead = 1, kWrite = 2 };

std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
    std::uint64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

}  // namespace

struct Wasi::Subscription {
    std::uint64_t userdata;
    std::uint8_t type;
    std::uint32_t target;  ///< a descriptor or a clock
    std::uint64_t timeout;
    std::uint16_t flags;
};

struct Wasi::Event {
    std::uint64_t userdata;
    Errno error = Errno::kSuccess;
    std::uint8_t type;
    std::uint64_t available = 0;
    std::uint16_t flags = 0;
};

std::optional<Wasi::Subscription> Wasi::read_subscription(std::uint32_t at,
                                                          const GuestMemory& memory) const {
    if (!memory.at(at, kSubscriptionBytes)) return std::nullopt;
    Subscription out{};
    out.userdata = *memory.load<std::uint64_t>(at);
    out.type = *memory.load<std::uint8_t>(at + 8);
    out.target = *memory.load<std::uint32_t>(at + 16);
    out.timeout = *memory.load<std::uint64_t>(at + 24);
    out.flags = *memory.load<std::uint16_t>(at + 40);
    return out;
}

// When a clock subscription fires, on the monotonic clock; nothing if it is not of a clock.
std::optional<std::uint64_t> Wasi::deadline(const Subscription& subscription) const {
    if (static_cast<EventType>(subscription.type) != EventType::kClock) return std::nullopt;
    const auto clock = static_cast<WasiClockId>(subscription.target);
    if (clock != WasiClockId::kRealtime && clock != WasiClockId::kMonotonic) return std::nullopt;
    if ((subscription.flags & kAbsoluteTime) == 0) {
        return saturating_add(poll_start_->monotonic_ns, subscription.timeout);
    }
    if (clock == WasiClockId::kMonotonic) return subscription.timeout;
    const std::uint64_t start = poll_start_->realtime_ns;
    const std::uint64_t rest = subscription.timeout > start ? subscription.timeout - start : 0;
    return saturating_add(poll_start_->monotonic_ns, rest);
}

// The event, if it has happened.
std::optional<Wasi::Event> Wasi::ready(const Subscription& subscription) const {
    Event event{.userdata = subscription.userdata, .type = subscription.type};
    switch (static_cast<EventType>(subscription.type)) {
        case EventType::kClock: {
            const auto due = deadline(subscription);
            if (!due) {
                event.error = Errno::kInval;
            } else if (world_.clock.monotonic_ns() < *due) {
                return std::nullopt;
            }
            return event;
        }
        case EventType::kRead:
        case EventType::kWrite: {
            const auto of = stream(Value::i32(subscription.target));
            const bool reading = static_cast<EventType>(subscription.type) == EventType::kRead;
            if (!of) {
                event.error = Errno::kBadF;
            } else if (reading != (*of == Stream::kInput)) {
                event.error = Errno::kNotCapable;
            } else if (reading) {
                event.available = input_.size() - input_read_;
                if (event.available == 0) event.flags = kHangup;
            } else if (*of == Stream::kOutput) {
                event.available = output_limit_ - output_.size();
            } else {
                event.available = kMaxLogBytes;
            }
            return event;
        }
    }
    event.error = Errno::kInval;
    return event;
}

// Input, output and log are always ready, so this waits only if nothing but clocks is asked for;
// then the engine calls again, with the same arguments, at the earliest deadline.
Wasi::Answer Wasi::poll_oneoff(Args args, HostContext& context) {
    const GuestMemory& memory = context.memory;
    const std::uint32_t count = args[2].as_u32();
    if (count == 0 || count > kMaxSubscriptions) return Errno::kInval;
    if (!memory.at(args[0].as_u32(), std::uint64_t{count} * kSubscriptionBytes) ||
        !memory.at(args[1].as_u32(), std::uint64_t{count} * kEventBytes)) {
        return Errno::kFault;
    }
    if (!poll_start_) poll_start_ = {world_.clock.monotonic_ns(), world_.clock.realtime_ns()};

    std::vector<Event> events;
    std::uint64_t earliest = UINT64_MAX;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t at = args[0].as_u32() + i * kSubscriptionBytes;
        const auto subscription = read_subscription(at, memory);
        if (const auto event = ready(*subscription)) {
            events.push_back(*event);
        } else {
            earliest = std::min(earliest, *deadline(*subscription));
        }
    }
    if (events.empty()) return HostRequest{earliest};
    context.work_bytes += count * kSubscriptionWork;
    poll_start_.reset();

    std::uint32_t out = args[1].as_u32();
    for (const Event& event : events) {
        std::ranges::fill(*memory.at(out, kEventBytes), std::byte{0});
        const bool stored = memory.store(out, event.userdata) &&
                            memory.store(out + 8, static_cast<std::uint16_t>(event.error)) &&
                            memory.store(out + 10, event.type) &&
                            memory.store(out + 16, event.available) &&
                            memory.store(out + 24, event.flags);
        if (!stored) return Errno::kFault;
        out += kEventBytes;
    }
    const auto happened = static_cast<std::uint32_t>(events.size());
    return memory.store(args[3].as_u32(), happened) ? Errno::kSuccess : Errno::kFault;
}

}  // namespace eos::wasm
