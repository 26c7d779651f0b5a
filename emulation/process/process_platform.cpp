// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/process/process_platform.h"

#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <limits>
#include <vector>

#include "boundary/host_futex.h"
#include "common/crypto/hash.h"
#include "emulation/process/sandbox.h"
#include "trusted/platform/libc/libc_overrides.h"

namespace eos::emulation::process {

Result<sgx_cpu::EnclaveIdentity> measure_program(const std::filesystem::path& elf) {
    std::ifstream file(elf, std::ios::binary);
    crypto::Sha256 hash;
    std::vector<char> buffer(64 * 1024);
    while (file) {
        file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        hash.update(as_bytes({buffer.data(), static_cast<std::size_t>(file.gcount())}));
    }
    if (!file.eof()) return fail(unreadable_program, elf.string());
    sgx_cpu::EnclaveIdentity identity;
    constexpr std::string_view kDomain = "enclave-os process back end, no protection";
    identity.mr_enclave = crypto::sha256({as_bytes(kDomain), hash.finish()});
    identity.mr_signer = crypto::sha256(as_bytes(kDomain));
    return identity;
}

void ProcessPlatform::wait(unsigned worker, std::uint32_t expected, std::uint32_t timeout_ms) {
    boundary::futex_wait(parts_.layout.trusted_bell(worker).sequence, expected, timeout_ms);
}

void ProcessPlatform::notify(unsigned) {
    std::uint64_t one = 1;
    // Fails only when the counter is at its end, and then the host is awake anyway.
    [[maybe_unused]] ssize_t written = write(parts_.notify_fd, &one, sizeof(one));
}

void ProcessPlatform::wake(unsigned worker) {
    std::uint32_t* word = parts_.layout.trusted_bell(worker).sequence;
    std::atomic_ref(*word).fetch_add(1, std::memory_order_seq_cst);
    boundary::futex_wake(word);
}

Result<platform::Report> ProcessPlatform::report(const platform::TargetInfo& target,
                                                 const platform::ReportData& report_data) const {
    auto parsed = sgx_arch::parse_target_info(target);
    if (!parsed) return fail(platform::target_refused, parsed.error().message());
    auto report = parts_.cpu.report(parts_.identity, *parsed, report_data);
    if (!report) return fail(platform::target_refused, report.error().message());
    return sgx_arch::encode(*report);
}

Result<platform::Key> ProcessPlatform::get_key(const platform::KeyRequest& request) const {
    auto parsed = sgx_arch::parse_key_request(request);
    if (!parsed) return fail(platform::key_refused, parsed.error().message());
    auto key = parts_.cpu.get_key(parts_.identity, *parsed);
    if (!key) return fail(platform::key_refused, key.error().message());
    return key;
}

void ProcessPlatform::random(MutableByteView out) const {
    while (!out.empty()) {
        ssize_t size = getrandom(out.data(), out.size(), 0);
        if (size <= 0) _exit(boundary::exit_code(boundary::AbortReason::kNoEntropy));
        out = out.subspan(static_cast<std::size_t>(size));
    }
}

platform::RefusedCalls ProcessPlatform::refused_calls() const {
    return {.file_opens = sandbox_file_opens(),
            .others = sandbox_other_calls() + platform::refused_libc_calls()};
}

void ProcessPlatform::abort(platform::AbortReason reason) {
    _exit(boundary::exit_code(reason));
}

}  // namespace eos::emulation::process
