// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/wasi.h"

#include <algorithm>
#include <array>

#include "common/base/assert.h"
#include "trusted/wasm/wasi_internal.h"

namespace eos::wasm {

namespace {

// source: WASI preview 1, typenames.witx, rights.
constexpr std::uint64_t kRightRead = 1u << 1;
constexpr std::uint64_t kRightWrite = 1u << 6;
constexpr std::uint64_t kRightPoll = 1u << 27;
constexpr std::uint32_t kFdstatBytes = 24;
constexpr std::uint32_t kFilestatBytes = 64;
constexpr std::uint32_t kMaxDescriptor = 1'023;  // that fd_renumber may make
// What costs more than the bytes it copies, as bytes of work.
constexpr std::uint64_t kRandomWork = 16;    // each random byte
constexpr std::uint64_t kIovecWork = 64;     // each entry of a list
constexpr std::uint64_t kLogLineWork = 512;  // each line of the log, however short

struct Iovec {
    std::uint32_t address;
    std::uint32_t size;
};

// All that the string ever held, also where it was moved from.
void wipe(std::string& text) {
    text.resize(text.capacity());
    secure_wipe(std::as_writable_bytes(std::span(text)));
    text.clear();
}

// How many entries of the log a text makes.
std::uint64_t lines_in(std::string_view text) {
    return static_cast<std::uint64_t>(std::ranges::count(text, '\n')) + 1;
}

}  // namespace

EnvironmentVariable::~EnvironmentVariable() {
    wipe(value);
}

Wasi::Wasi(const WasiWorld& world, WasiProgram program)
    : world_(world),
      arguments_(std::move(program.arguments)),
      input_(std::move(program.input)),
      output_limit_(std::min(program.output_limit_bytes, kMaxOutputBytes)),
      descriptors_{{0, Stream::kInput}, {1, Stream::kOutput}, {2, Stream::kLog}} {
    if (program.output == WasiProgram::Output::kLog) descriptors_[1] = Stream::kLog;
    // Each string is made in its place and to its size: no copy stays behind that nobody wipes.
    environment_.reserve(program.environment.size());
    for (const EnvironmentVariable& variable : program.environment) {
        std::string& text = environment_.emplace_back();
        text.reserve(variable.name.size() + 1 + variable.value.size());
        text.append(variable.name).append("=").append(variable.value);
    }
}

Wasi::~Wasi() {
    for (std::string& text : environment_) wipe(text);
}

std::optional<Wasi::Stream> Wasi::stream(const Value& fd) const {
    const auto found = descriptors_.find(fd.as_u32());
    if (found == descriptors_.end()) return std::nullopt;
    return found->second;
}

Wasi::Errno Wasi::put_strings(std::span<const std::string> strings, Args args,
                              HostContext& context) {
    std::uint32_t pointer = args[0].as_u32();
    std::uint32_t text = args[1].as_u32();
    for (const std::string& string : strings) {
        const auto size = static_cast<std::uint32_t>(string.size() + 1);  // with its NUL
        const ByteView bytes = std::as_bytes(std::span(string.c_str(), size));
        if (!context.memory.store(pointer, text)) return Errno::kFault;
        if (!context.memory.write(text, bytes)) return Errno::kFault;
        pointer += 4;
        text += size;
        context.work_bytes += size + 4;
    }
    return Errno::kSuccess;
}

Wasi::Errno Wasi::put_sizes(std::span<const std::string> strings, Args args, HostContext& context) {
    std::uint32_t bytes = 0;
    for (const std::string& string : strings) {
        bytes += static_cast<std::uint32_t>(string.size() + 1);
    }
    const auto count = static_cast<std::uint32_t>(strings.size());
    const bool stored = context.memory.store(args[0].as_u32(), count) &&
                        context.memory.store(args[1].as_u32(), bytes);
    return stored ? Errno::kSuccess : Errno::kFault;
}

Wasi::Answer Wasi::args_get(Args args, HostContext& context) {
    return put_strings(arguments_, args, context);
}

Wasi::Answer Wasi::args_sizes_get(Args args, HostContext& context) {
    return put_sizes(arguments_, args, context);
}

Wasi::Answer Wasi::environ_get(Args args, HostContext& context) {
    return put_strings(environment_, args, context);
}

Wasi::Answer Wasi::environ_sizes_get(Args args, HostContext& context) {
    return put_sizes(environment_, args, context);
}

Wasi::Answer Wasi::clock_res_get(Args args, HostContext& context) {
    const auto id = static_cast<WasiClockId>(args[0].as_u32());
    if (id == WasiClockId::kProcess || id == WasiClockId::kThread) return Errno::kNotSup;
    if (id != WasiClockId::kRealtime && id != WasiClockId::kMonotonic) return Errno::kInval;
    const std::uint64_t step = id == WasiClockId::kRealtime ? world_.clock.realtime_step_ns()
                                                            : world_.clock.monotonic_step_ns();
    const bool stored = context.memory.store(args[1].as_u32(), step);
    return stored ? Errno::kSuccess : Errno::kFault;
}

Wasi::Answer Wasi::clock_time_get(Args args, HostContext& context) {
    std::uint64_t now = 0;
    switch (static_cast<WasiClockId>(args[0].as_u32())) {
        case WasiClockId::kRealtime:
            now = world_.clock.realtime_ns();
            break;
        case WasiClockId::kMonotonic:
            now = world_.clock.monotonic_ns();
            break;
        case WasiClockId::kProcess:
        case WasiClockId::kThread:
            return Errno::kNotSup;
        default:
            return Errno::kInval;
    }
    return context.memory.store(args[2].as_u32(), now) ? Errno::kSuccess : Errno::kFault;
}

Wasi::Answer Wasi::random_get(Args args, HostContext& context) {
    const std::uint32_t size = args[1].as_u32();
    if (size > kMaxRandomBytes) return Errno::kInval;
    const auto out = context.memory.at(args[0].as_u32(), size);
    if (!out) return Errno::kFault;
    world_.random.fill(*out);
    context.work_bytes += size * kRandomWork;
    return Errno::kSuccess;
}

Wasi::Answer Wasi::sched_yield(Args, HostContext&) {
    return Errno::kSuccess;
}

Wasi::Answer Wasi::proc_exit(Args args, HostContext&) {
    return Trap{TrapCode::kExit, args[0].as_u32()};
}

namespace {

// The scatter/gather list of fd_read and fd_write, or nothing if it lies outside the memory.
std::optional<std::vector<Iovec>> read_iovecs(std::uint32_t address, std::uint32_t count,
                                              const GuestMemory& memory) {
    std::vector<Iovec> out;
    for (std::uint32_t i = 0; i < count; ++i) {
        const auto buffer = memory.load<std::uint32_t>(address + 8 * i);
        const auto size = memory.load<std::uint32_t>(address + 8 * i + 4);
        if (!buffer || !size || !memory.at(*buffer, *size)) return std::nullopt;
        out.push_back({*buffer, *size});
    }
    return out;
}

}  // namespace

Wasi::Answer Wasi::fd_read(Args args, HostContext& context) {
    if (stream(args[0]) != Stream::kInput) {
        return stream(args[0]) ? Errno::kNotCapable : Errno::kBadF;
    }
    if (args[2].as_u32() > kMaxIovecs) return Errno::kInval;
    const auto iovecs = read_iovecs(args[1].as_u32(), args[2].as_u32(), context.memory);
    if (!iovecs) return Errno::kFault;
    std::uint32_t total = 0;
    for (const Iovec& iovec : *iovecs) {
        const std::size_t size = std::min<std::size_t>(iovec.size, input_.size() - input_read_);
        if (!context.memory.write(iovec.address, input_.view().subspan(input_read_, size))) {
            return Errno::kFault;
        }
        input_read_ += size;
        total += static_cast<std::uint32_t>(size);
    }
    context.work_bytes += total + iovecs->size() * kIovecWork;
    return context.memory.store(args[3].as_u32(), total) ? Errno::kSuccess : Errno::kFault;
}

Wasi::Answer Wasi::fd_write(Args args, HostContext& context) {
    const auto to = stream(args[0]);
    if (!to) return Errno::kBadF;
    if (*to == Stream::kInput) return Errno::kNotCapable;
    if (args[2].as_u32() > kMaxIovecs) return Errno::kInval;
    const auto iovecs = read_iovecs(args[1].as_u32(), args[2].as_u32(), context.memory);
    if (!iovecs) return Errno::kFault;
    std::uint32_t total = 0;
    for (const Iovec& iovec : *iovecs) {
        MutableByteView bytes = *context.memory.at(iovec.address, iovec.size);
        if (*to == Stream::kOutput) {
            if (bytes.size() > output_limit_ - output_.size()) {
                return Trap{TrapCode::kOutputLimit, 0};
            }
            append(output_, bytes);
        } else {
            // A short write, as for a full pipe.
            bytes = bytes.first(std::min(bytes.size(), kMaxLogBytes - total));
            context.work_bytes += kLogLineWork * lines_in(as_chars(bytes));
            world_.log.write(bytes);
        }
        total += static_cast<std::uint32_t>(bytes.size());
    }
    context.work_bytes += total + iovecs->size() * kIovecWork;
    return context.memory.store(args[3].as_u32(), total) ? Errno::kSuccess : Errno::kFault;
}

Wasi::Answer Wasi::fd_close(Args args, HostContext&) {
    return descriptors_.erase(args[0].as_u32()) == 1 ? Errno::kSuccess : Errno::kBadF;
}

Wasi::Answer Wasi::fd_renumber(Args args, HostContext&) {
    const auto from = stream(args[0]);
    if (!from || args[1].as_u32() > kMaxDescriptor) return Errno::kBadF;
    descriptors_.erase(args[0].as_u32());
    descriptors_[args[1].as_u32()] = *from;
    return Errno::kSuccess;
}

Wasi::Answer Wasi::fd_fdstat_get(Args args, HostContext& context) {
    const auto of = stream(args[0]);
    if (!of) return Errno::kBadF;
    const std::uint32_t out = args[1].as_u32();
    const auto place = context.memory.at(out, kFdstatBytes);
    if (!place) return Errno::kFault;
    // File type 0, "unknown": neither a terminal nor a file, so that libraries buffer.
    std::ranges::fill(*place, std::byte{0});
    const std::uint64_t rights = kRightPoll | (*of == Stream::kInput ? kRightRead : kRightWrite);
    return context.memory.store(out + 8, rights) ? Errno::kSuccess : Errno::kFault;
}

Wasi::Answer Wasi::fd_filestat_get(Args args, HostContext& context) {
    if (!stream(args[0])) return Errno::kBadF;
    const auto place = context.memory.at(args[1].as_u32(), kFilestatBytes);
    if (!place) return Errno::kFault;
    std::ranges::fill(*place, std::byte{0});
    return Errno::kSuccess;
}

Wasi::Answer Wasi::fd_nothing_to_do(Args args, HostContext&) {
    return stream(args[0]) ? Errno::kSuccess : Errno::kBadF;
}

Wasi::Answer Wasi::fd_not_seekable(Args args, HostContext&) {
    return stream(args[0]) ? Errno::kSPipe : Errno::kBadF;
}

Wasi::Answer Wasi::fd_not_capable(Args args, HostContext&) {
    return stream(args[0]) ? Errno::kNotCapable : Errno::kBadF;
}

Wasi::Answer Wasi::not_directory(Args args, HostContext&) {
    return stream(args[0]) ? Errno::kNotDir : Errno::kBadF;
}

Wasi::Answer Wasi::not_socket(Args args, HostContext&) {
    return stream(args[0]) ? Errno::kNotSock : Errno::kBadF;
}

Wasi::Answer Wasi::no_preopen(Args, HostContext&) {
    return Errno::kBadF;
}

Wasi::Answer Wasi::not_offered(Args, HostContext&) {
    return Errno::kNoSys;
}

// Every function of preview 1. Parameters: i is i32, I is i64; all but proc_exit return an i32.
struct WasiTable {
    using Handler = Wasi::Answer (Wasi::*)(Wasi::Args, HostContext&);
    struct Row {
        std::string_view name;
        std::string_view params;
        Handler handler;
    };
    // In the order of the specification; path_link and path_rename start with a descriptor like
    // the others, path_symlink does not.
    static constexpr std::array kRows{
        Row{"args_get", "ii", &Wasi::args_get},
        Row{"args_sizes_get", "ii", &Wasi::args_sizes_get},
        Row{"environ_get", "ii", &Wasi::environ_get},
        Row{"environ_sizes_get", "ii", &Wasi::environ_sizes_get},
        Row{"clock_res_get", "ii", &Wasi::clock_res_get},
        Row{"clock_time_get", "iIi", &Wasi::clock_time_get},
        Row{"fd_advise", "iIIi", &Wasi::fd_not_seekable},
        Row{"fd_allocate", "iII", &Wasi::fd_not_capable},
        Row{"fd_close", "i", &Wasi::fd_close},
        Row{"fd_datasync", "i", &Wasi::fd_nothing_to_do},
        Row{"fd_fdstat_get", "ii", &Wasi::fd_fdstat_get},
        Row{"fd_fdstat_set_flags", "ii", &Wasi::fd_nothing_to_do},
        Row{"fd_fdstat_set_rights", "iII", &Wasi::fd_not_capable},
        Row{"fd_filestat_get", "ii", &Wasi::fd_filestat_get},
        Row{"fd_filestat_set_size", "iI", &Wasi::fd_not_capable},
        Row{"fd_filestat_set_times", "iIIi", &Wasi::fd_not_capable},
        Row{"fd_pread", "iiiIi", &Wasi::fd_not_seekable},
        Row{"fd_prestat_get", "ii", &Wasi::no_preopen},
        Row{"fd_prestat_dir_name", "iii", &Wasi::no_preopen},
        Row{"fd_pwrite", "iiiIi", &Wasi::fd_not_seekable},
        Row{"fd_read", "iiii", &Wasi::fd_read},
        Row{"fd_readdir", "iiiIi", &Wasi::not_directory},
        Row{"fd_renumber", "ii", &Wasi::fd_renumber},
        Row{"fd_seek", "iIii", &Wasi::fd_not_seekable},
        Row{"fd_sync", "i", &Wasi::fd_nothing_to_do},
        Row{"fd_tell", "ii", &Wasi::fd_not_seekable},
        Row{"fd_write", "iiii", &Wasi::fd_write},
        Row{"path_create_directory", "iii", &Wasi::not_directory},
        Row{"path_filestat_get", "iiiii", &Wasi::not_directory},
        Row{"path_filestat_set_times", "iiiiIIi", &Wasi::not_directory},
        Row{"path_link", "iiiiiii", &Wasi::not_directory},
        Row{"path_open", "iiiiiIIii", &Wasi::not_directory},
        Row{"path_readlink", "iiiiii", &Wasi::not_directory},
        Row{"path_remove_directory", "iii", &Wasi::not_directory},
        Row{"path_rename", "iiiiii", &Wasi::not_directory},
        Row{"path_symlink", "iiiii", &Wasi::no_preopen},
        Row{"path_unlink_file", "iii", &Wasi::not_directory},
        Row{"poll_oneoff", "iiii", &Wasi::poll_oneoff},
        Row{"proc_exit", "i", &Wasi::proc_exit},
        Row{"proc_raise", "i", &Wasi::not_offered},
        Row{"random_get", "ii", &Wasi::random_get},
        Row{"sched_yield", "", &Wasi::sched_yield},
        Row{"sock_accept", "iii", &Wasi::not_socket},
        Row{"sock_recv", "iiiiii", &Wasi::not_socket},
        Row{"sock_send", "iiiii", &Wasi::not_socket},
        Row{"sock_shutdown", "ii", &Wasi::not_socket},
    };
};

std::vector<HostFunction> wasi_functions() {
    std::vector<HostFunction> out;
    for (const WasiTable::Row& row : WasiTable::kRows) {
        HostFunction function{"wasi_snapshot_preview1", row.name, {}};
        for (char type : row.params) {
            function.type.params.push_back(type == 'i' ? ValueType::kI32 : ValueType::kI64);
        }
        if (row.name != "proc_exit") function.type.results.push_back(ValueType::kI32);
        out.push_back(std::move(function));
    }
    return out;
}

HostOutcome Wasi::call(std::uint32_t function, std::span<const Value> args, HostContext& context) {
    EOS_ASSERT(function < WasiTable::kRows.size());
    const WasiTable::Row& row = WasiTable::kRows[function];
    EOS_ASSERT(args.size() == row.params.size());
    const Answer answer = (this->*row.handler)(args, context);
    if (const auto* trap = std::get_if<Trap>(&answer)) return *trap;
    if (const auto* request = std::get_if<HostRequest>(&answer)) return *request;
    return HostReturn{Value::i32(static_cast<std::uint32_t>(std::get<Errno>(answer)))};
}

}  // namespace eos::wasm
