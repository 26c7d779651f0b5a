// SPDX-License-Identifier: AGPL-3.0-only
// WASI preview 1 for programs that read their input, write their output and want nothing else of
// the world: there is no file system, no network and no other process.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/secret.h"
#include "trusted/wasm/engine.h"

namespace eos::wasm {

inline constexpr std::size_t kMaxOutputBytes = 16 * 1024 * 1024;  ///< of standard output
inline constexpr std::uint32_t kMaxIovecs = 1'024;
inline constexpr std::uint32_t kMaxRandomBytes = 1024 * 1024;  ///< of one random_get
inline constexpr std::uint32_t kMaxSubscriptions = 64;         ///< of one poll_oneoff
inline constexpr std::size_t kMaxLogBytes = 64 * 1024;         ///< taken by one fd_write to fd 2

/// The time as apps see it. The composition root adapts the platform's clock to it.
class WasiClock {
  public:
    virtual ~WasiClock() = default;
    /// Nanoseconds since 1970, UTC.
    virtual std::uint64_t realtime_ns() const = 0;
    /// Nanoseconds from an arbitrary start; never goes back.
    virtual std::uint64_t monotonic_ns() const = 0;
    /// The steps in which they move, at most.
    virtual std::uint64_t realtime_step_ns() const = 0;
    virtual std::uint64_t monotonic_step_ns() const = 0;
};

/// Unpredictable bytes.
class WasiRandom {
  public:
    virtual ~WasiRandom() = default;
    virtual void fill(MutableByteView out) = 0;
};

/// Where standard error goes: a bounded ring, read by the app's owner.
class WasiLog {
  public:
    virtual ~WasiLog() = default;
    /// At most kMaxLogBytes; any bytes, not necessarily whole lines or UTF-8.
    virtual void write(ByteView text) = 0;
};

/// What the platform lends to every app; outlives them.
struct WasiWorld {
    WasiClock& clock;
    WasiRandom& random;
    WasiLog& log;
};

/// NAME=value. The value may be a secret: its memory is wiped when the variable dies.
struct EnvironmentVariable {
    EnvironmentVariable(std::string variable_name, std::string_view text)
        : name(std::move(variable_name)), value(text) {}
    EnvironmentVariable(const EnvironmentVariable&) = default;
    EnvironmentVariable(EnvironmentVariable&&) noexcept = default;
    EnvironmentVariable& operator=(EnvironmentVariable other) noexcept {
        name.swap(other.name);
        value.swap(other.value);
        return *this;
    }
    ~EnvironmentVariable();

    std::string name;
    std::string value;

    friend bool operator==(const EnvironmentVariable&, const EnvironmentVariable&) = default;
};

/// What one run of a program starts with. Strings contain no NUL (check_app_config).
struct WasiProgram {
    std::vector<std::string> arguments;  ///< the first is the program's name
    std::vector<EnvironmentVariable> environment;
    SecretBytes input;                             ///< standard input, whole
    std::size_t output_limit_bytes = 1024 * 1024;  ///< writing more is a trap
    enum class Output : std::uint8_t { kCollected, kLog };
    Output output = Output::kCollected;  ///< where standard output goes
};

/// All functions of wasi_snapshot_preview1, to be offered to Module::load. Their index is what
/// Wasi::call takes.
std::vector<HostFunction> wasi_functions();

/// The host of one instance. Guest pointers are looked at only through GuestMemory: one that lies
/// outside gets EFAULT. What is not offered resolves all the same and answers ENOTCAPABLE, EBADF or
/// ENOSYS, so that programs of any tool chain load.
class Wasi : public Host {
  public:
    Wasi(const WasiWorld& world, WasiProgram program);
    ~Wasi() override;
    Wasi(const Wasi&) = delete;
    Wasi& operator=(const Wasi&) = delete;

    HostOutcome call(std::uint32_t function, std::span<const Value> args,
                     HostContext& context) override;

    /// What was written to standard output so far.
    const Bytes& output() const { return output_; }
    Bytes take_output() { return std::move(output_); }

  private:
    friend struct WasiTable;
    enum class Stream : std::uint8_t { kInput, kOutput, kLog };
    enum class Errno : std::uint16_t;
    using Answer = std::variant<Errno, Trap, HostRequest>;
    using Args = std::span<const Value>;

    Answer args_get(Args args, HostContext& context);
    Answer args_sizes_get(Args args, HostContext& context);
    Answer environ_get(Args args, HostContext& context);
    Answer environ_sizes_get(Args args, HostContext& context);
    Answer clock_res_get(Args args, HostContext& context);
    Answer clock_time_get(Args args, HostContext& context);
    Answer random_get(Args args, HostContext& context);
    Answer sched_yield(Args args, HostContext& context);
    Answer proc_exit(Args args, HostContext& context);
    Answer poll_oneoff(Args args, HostContext& context);
    Answer fd_read(Args args, HostContext& context);
    Answer fd_write(Args args, HostContext& context);
    Answer fd_close(Args args, HostContext& context);
    Answer fd_renumber(Args args, HostContext& context);
    Answer fd_fdstat_get(Args args, HostContext& context);
    Answer fd_filestat_get(Args args, HostContext& context);
    Answer fd_nothing_to_do(Args args, HostContext& context);
    Answer fd_not_seekable(Args args, HostContext& context);
    Answer fd_not_capable(Args args, HostContext& context);
    Answer not_directory(Args args, HostContext& context);
    Answer not_socket(Args args, HostContext& context);
    Answer no_preopen(Args args, HostContext& context);
    Answer not_offered(Args args, HostContext& context);

    Errno put_strings(std::span<const std::string> strings, Args args, HostContext& context);
    Errno put_sizes(std::span<const std::string> strings, Args args, HostContext& context);
    std::optional<Stream> stream(const Value& fd) const;

    struct Subscription;
    struct Event;
    std::optional<Subscription> read_subscription(std::uint32_t at,
                                                  const GuestMemory& memory) const;
    std::optional<std::uint64_t> deadline(const Subscription& subscription) const;
    std::optional<Event> ready(const Subscription& subscription) const;

    WasiWorld world_;
    std::vector<std::string> arguments_;
    std::vector<std::string> environment_;  // NAME=VALUE, wiped at the end
    SecretBytes input_;
    std::size_t input_read_ = 0;
    Bytes output_;
    std::size_t output_limit_;
    std::map<std::uint32_t, Stream> descriptors_;
    // When the poll_oneoff in progress was first made: timeouts count from then.
    struct PollStart {
        std::uint64_t monotonic_ns;
        std::uint64_t realtime_ns;
    };
    std::optional<PollStart> poll_start_;
};

}  // namespace eos::wasm
