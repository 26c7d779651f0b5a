// SPDX-License-Identifier: AGPL-3.0-only
// What a guest's UEFI firmware (OVMF) says of itself to the machine that launches it: a table of
// GUIDs at its end, and through it the memory that SEV-SNP and TDX want measured.
#pragma once

#include <cstdint>
#include <vector>

#include "client/measure/digest.h"

namespace eos::client::measure {

inline constexpr std::size_t kMaxFirmwareBytes = 64 * 1024 * 1024;
inline constexpr std::size_t kMaxSections = 64;
inline constexpr std::uint64_t kMaxSectionBytes = 64 * 1024 * 1024;
/// All sections of SEV metadata together: each page of them costs a hash a launch.
inline constexpr std::uint64_t kMaxSevMemoryBytes = 64 * 1024 * 1024;

/// The kinds of memory that SEV metadata names.
enum class SevSectionKind : std::uint32_t {
    memory = 1,
    secrets = 2,
    cpuid = 3,
    svsm_caa = 4,
    kernel_hashes = 0x10
};

/// Memory that an SEV-SNP launch sets up. Whole pages.
struct SevSection {
    std::uint64_t address = 0;
    std::uint64_t size_bytes = 0;
    SevSectionKind kind{};
};

/// What firmware for SEV-SNP says.
struct SevMetadata {
    std::vector<SevSection> sections;         ///< in launch order
    std::uint32_t reset_address = 0;          ///< where further vCPUs start
    std::uint64_t kernel_hashes_address = 0;  ///< 0: no place for the hashes of a kernel
};

/// Memory that a TDX launch sets up from the image. Whole pages.
struct TdvfSection {
    std::uint32_t data_offset = 0;
    std::uint32_t data_bytes = 0;
    std::uint64_t address = 0;
    std::uint64_t memory_bytes = 0;
    std::uint32_t kind = 0;
    std::uint32_t attributes = 0;
};
inline constexpr std::uint32_t kTdvfExtend = 1;   ///< attribute: the content is measured
inline constexpr std::uint32_t kTdvfAugment = 2;  ///< attribute: added after launch, not measured

/// Where the image lies in the guest: it ends at 4 GiB.
std::uint64_t firmware_address(ByteView image);

/// What the image says for SEV-SNP. A code volume without its variables will do, if the machine is
/// launched so.
/// in:      whole pages, at most kMaxFirmwareBytes; not retained.
/// errors:  bad_firmware (the detail says what is missing or does not fit): also sections that
///          overlap, secrets or CPUID values in other than one page, and an image with an SVSM.
/// bound:   at most kMaxSections sections, kMaxSevMemoryBytes together.
/// source:  OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm (table), X64/OvmfSevMetadata.asm.
[[nodiscard]] Result<SevMetadata> parse_sev_metadata(ByteView image);

/// What the image says for TDX: sections in launch order.
/// in:      as parse_sev_metadata().
/// errors:  bad_firmware (the detail says what is missing or does not fit).
/// bound:   at most kMaxSections sections of kMaxSectionBytes.
/// source:  Intel TDX Virtual Firmware Design Guide, 11 (TDVF descriptor).
[[nodiscard]] Result<std::vector<TdvfSection>> parse_tdvf_metadata(ByteView image);

}  // namespace eos::client::measure
