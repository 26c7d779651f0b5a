// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <filesystem>

#include "boundary/layout.h"
#include "common/base/result.h"
#include "emulation/sgx_cpu/cpu.h"
#include "trusted/platform/platform.h"

namespace eos::emulation::process {

inline constexpr Code unreadable_program{"emulation/process", "unreadable_program",
                                         "the program's own ELF file cannot be read"};

/// What the process back end says it is: MRENCLAVE = SHA-256("enclave-os process back end, no
/// protection" ‖ SHA-256(the program's ELF file)), so that no policy which pins a release ever
/// matches it, and a rebuild is another enclave.
/// errors: unreadable_program.
[[nodiscard]] Result<sgx_cpu::EnclaveIdentity> measure_program(const std::filesystem::path& elf);

/// The platform as a process: REPORT and keys from the emulated CPU, randomness from the kernel,
/// bells by futex and eventfd. threads: any.
class ProcessPlatform final : public platform::Platform {
  public:
    struct Parts {
        sgx_cpu::Cpu cpu;
        sgx_cpu::EnclaveIdentity identity;
        MutableByteView shared_block;  ///< outlives the platform
        boundary::Layout layout;       ///< of that block
        int notify_fd;                 ///< an eventfd
    };
    explicit ProcessPlatform(Parts parts) : parts_(std::move(parts)) {}

    void wait(unsigned worker, std::uint32_t expected, std::uint32_t timeout_ms) override;
    void notify(unsigned worker) override;
    void wake(unsigned worker) override;
    MutableByteView shared_block() const override { return parts_.shared_block; }
    Result<platform::Report> report(const platform::TargetInfo& target,
                                    const platform::ReportData& report_data) const override;
    Result<platform::Key> get_key(const platform::KeyRequest& request) const override;
    void random(MutableByteView out) const override;
    platform::Assurance assurance() const override { return platform::Assurance::kProcess; }
    platform::RefusedCalls refused_calls() const override;
    [[noreturn]] void abort(platform::AbortReason reason) override;

  private:
    Parts parts_;
};

}  // namespace eos::emulation::process
