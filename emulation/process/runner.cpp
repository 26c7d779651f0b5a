// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/process/runner.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "boundary/exit_codes.h"
#include "common/base/encoding.h"
#include "emulation/process/process_platform.h"
#include "emulation/process/sandbox.h"
#include "trusted/platform/libc/start.h"

namespace eos::emulation::process {
namespace {

constexpr Code bad_descriptor{"emulation/process", "bad_descriptor",
                              "a descriptor is not what the daemon should have handed over"};

constexpr const char* kUsage =
    "usage: enclave-os-runner-process --identity FILE [--keep-stderr]\n"
    "Started by enclave-os-mini, with the shared block as descriptor 3 and an eventfd as 4.\n";

struct Options {
    std::filesystem::path identity;
    Stderr standard_error = kHasSandbox ? Stderr::kClosed : Stderr::kKept;
};

std::optional<Options> parse_options(std::span<char* const> arguments) {
    Options options;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        std::string_view argument = arguments[i];
        if (argument == "--keep-stderr") {
            options.standard_error = Stderr::kKept;
        } else if (argument == "--identity" && i + 1 < arguments.size()) {
            options.identity = arguments[++i];
        } else {
            return std::nullopt;
        }
    }
    if (options.identity.empty()) return std::nullopt;
    return options;
}

void print_banner() {
    std::fputs(
        "process: protects nothing. The enclave program runs as an ordinary process: this "
        "machine's\n"
        "process: owner can read all its memory and keys. For development and tests only.\n",
        stderr);
    if (!kHasSandbox)
        std::fputs("process: sanitizer build: no system call filter, dynamic linking.\n", stderr);
}

Result<MutableByteView> map_shared_block() {
    int seals = fcntl(kSharedBlockFd, F_GET_SEALS);
    constexpr int kWanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (seals < 0 || (seals & kWanted) != kWanted)
        return fail(bad_descriptor, "3 must be a memfd sealed against shrinking and growing");
    struct stat status{};
    if (fstat(kSharedBlockFd, &status) != 0 || status.st_size <= 0)
        return fail(bad_descriptor, "3 has no size");
    auto size = static_cast<std::size_t>(status.st_size);
    void* base =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, kSharedBlockFd, 0);
    if (base == MAP_FAILED) return fail(bad_descriptor, "3 cannot be mapped");
    return MutableByteView(static_cast<std::byte*>(base), size);
}

// All but the eventfd and, if kept, standard error; the block stays mapped without its descriptor.
Result<void> close_descriptors(Stderr standard_error) {
    unsigned last_closed = standard_error == Stderr::kKept ? STDERR_FILENO - 1U : 3U;
    if (close_range(0, last_closed, 0) != 0 || close_range(kNotifyFd + 1, ~0U, 0) != 0)
        return fail(bad_descriptor, "close_range");
    if (standard_error == Stderr::kKept && close(kSharedBlockFd) != 0)
        return fail(bad_descriptor, "close");
    return {};
}

Result<ProcessPlatform::Parts> prepare(const Options& options) {
    auto cpu = EOS_TRY(sgx_cpu::Cpu::load(options.identity));
    auto identity = EOS_TRY(measure_program("/proc/self/exe"));
    std::fprintf(stderr, "process: MRENCLAVE %s\n", hex(identity.mr_enclave).c_str());
    MutableByteView block = EOS_TRY(map_shared_block());
    auto layout = EOS_TRY(boundary::Layout::open(block));
    if (fcntl(kNotifyFd, F_GETFL) < 0) return fail(bad_descriptor, "4 is not open");
    return ProcessPlatform::Parts{.cpu = std::move(cpu),
                                  .identity = identity,
                                  .shared_block = block,
                                  .layout = layout,
                                  .notify_fd = kNotifyFd};
}

Result<void> close_doors(const Options& options) {
    // Ctrl-C reaches the whole process group; the daemon then ends connections in order and sends
    // Shutdown, or SIGKILL.
    for (int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, SIG_IGN);
    // No core file and no ptrace by others of this user: the memory holds keys. (The leak sanitizer
    // traces itself.)
    if (kHasSandbox && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return fail(sandbox_failed, "PR_SET_DUMPABLE");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return fail(sandbox_failed, "PR_SET_PDEATHSIG");
    EOS_TRY(close_descriptors(options.standard_error));
    return close_sandbox(kNotifyFd, options.standard_error);
}

}  // namespace

int run(std::span<char* const> arguments) {
    auto options = parse_options(arguments);
    if (!options) {
        std::fputs(kUsage, stderr);
        return boundary::kExitUsage;
    }
    print_banner();
    platform::prepare_libraries();
    auto parts = prepare(*options);
    if (!parts) {
        std::fprintf(stderr, "enclave-os-runner-process: %s\n", parts.error().message().c_str());
        return boundary::kExitSetup;
    }
    ProcessPlatform platform(*std::move(parts));
    if (auto closed = close_doors(*options); !closed) return boundary::kExitSetup;

    return boundary::exit_code(platform::start(platform));
}

}  // namespace eos::emulation::process
