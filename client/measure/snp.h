// SPDX-License-Identifier: AGPL-3.0-only
// The launch digest of an SEV-SNP guest: MEASUREMENT of its attestation report.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "client/measure/firmware.h"

namespace eos::client::measure {

inline constexpr unsigned kMaxVcpus = 512;
inline constexpr std::size_t kMaxBootFileBytes = 512 * 1024 * 1024;

/// Which machine monitor launches the guest: they differ in the vCPUs' first state and in the
/// order of pages.
enum class SnpVmm { qemu, ec2, gce };

/// Kernel, initrd and command line as QEMU hashes them into the guest (measured direct boot).
struct KernelHashes {
    crypto::Digest32 kernel{};
    crypto::Digest32 initrd{};
    crypto::Digest32 command_line{};  ///< with its final NUL
};

/// The files of a direct boot. Borrowed.
struct BootFiles {
    ByteView kernel;
    ByteView initrd;
    std::string_view command_line;
};

/// source: QEMU target/i386/sev.c, add_sev_hashes.
KernelHashes hash_boot_files(const BootFiles& files);

/// All that a launch digest depends on.
struct SnpLaunch {
    Digest48 firmware_pages{};  ///< firmware_pages_digest() of the image
    SevMetadata metadata;
    std::optional<KernelHashes> kernel;
    unsigned vcpus = 1;
    std::uint32_t vcpu_signature = 0;  ///< CPUID Fn0000_0001_EAX; QEMU only
    std::uint64_t guest_features = 1;  ///< SEV_FEATURES: 1 SNP active, 0x20 debug swap
    SnpVmm vmm = SnpVmm::qemu;
};

/// The launch digest once the image's own pages are in.
/// in: whole pages.
Digest48 firmware_pages_digest(ByteView image);

/// The whole launch: firmware, the pages its metadata names, one VMSA a vCPU.
/// errors: bad_launch (no vCPU or more than kMaxVcpus, a kernel without a place for its hashes).
/// bound:  one SHA-384 of 112 bytes a page: of kMaxSevMemoryBytes in at most kMaxSections sections
///         (what parse_sev_metadata() lets through), and of kMaxVcpus save areas.
/// source: AMD 56860 SEV-SNP Firmware ABI, 8.17.2 (PAGE_INFO); AMD64 APM vol. 2, table B-4 (VMSA).
[[nodiscard]] Result<Digest48> launch_digest(const SnpLaunch& launch);

/// The signature of a CPU model by QEMU's name for it, e.g. "EPYC-Milan".
std::optional<std::uint32_t> vcpu_signature(std::string_view model);
/// All names that vcpu_signature() knows.
std::vector<std::string_view> vcpu_names();
/// Of them one for each signature.
const std::vector<std::string_view>& vcpu_models();
/// CPUID Fn0000_0001_EAX. source: AMD 25481 CPUID Specification.
struct CpuModel {
    unsigned family = 0;
    unsigned model = 0;
    unsigned stepping = 0;
};
std::uint32_t cpuid_signature(const CpuModel& cpu);

/// A launch that differs in one thing.
struct SnpVariant {
    std::string change;  ///< "2 vCPUs", "vCPU EPYC-Milan", …
    Digest48 measurement{};
};

/// What the digest would be if one usual thing were different: the first thing to look at when a
/// report does not match. Empty if launch_digest() refuses the launch itself.
/// bound:  the metadata's pages three times, whatever the number of variants, and a save area for
///         each vCPU of each: other vCPUs follow the same pages.
std::vector<SnpVariant> usual_variants(const SnpLaunch& launch);

}  // namespace eos::client::measure
