// SPDX-License-Identifier: AGPL-3.0-only
// The measurements of a TDX guest that follow from public rules alone: MRTD from the firmware, and
// RTMR1 and RTMR2 of a guest whose firmware starts a Linux kernel directly. RTMR0 holds what the
// machine monitor makes up for this machine (memory map, ACPI tables): it is read from a log.
#pragma once

#include "client/measure/firmware.h"
#include "client/measure/snp.h"
#include "common/attestation/event_log/event_log.h"

namespace eos::client::measure {

/// How the machine monitor builds the guest: MRTD depends on it.
enum class PageOrder {
    page_by_page,       ///< each page is added, then measured (the TDX module's usual caller)
    section_by_section  ///< all pages of a section are added, then all are measured (QEMU up to 8)
};

/// errors: those of parse_tdvf_metadata(); bad_firmware also for a measured section whose memory is
///         larger than its data: what the rest holds is not in the image.
/// bound:  kMaxSections sections of kMaxSectionBytes.
/// source: Intel TDX module ABI, TDH.MEM.PAGE.ADD and TDH.MR.EXTEND; TDX Virtual Firmware Design
///         Guide, 11.2.
[[nodiscard]] Result<Digest48> mrtd(ByteView image, PageOrder order);

/// The Authenticode digest of an EFI program with SHA-384: what firmware measures of it.
/// in:     the program as the firmware gets it. QEMU versions that write into the setup header of a
///         kernel change it.
/// errors: bad_kernel (no PE image, sections that reach beyond it or overlap each other or the
///         headers, or a size that is no multiple of 8, whose end tools and firmware hash
///         differently).
/// bound:  each byte is hashed once; nothing is before the sections are found apart.
/// source: Microsoft, Windows Authenticode Portable Executable Signature Format; TCG PC Client
///         Platform Firmware Profile 1.06, 3.3.4.
[[nodiscard]] Result<Digest48> authenticode_sha384(ByteView program);

/// The events of RTMR1 and RTMR2 when OVMF starts a kernel that it got with its initrd and command
/// line. Replay gives the registers; a guest's own log can be compared event by event.
/// in:     command_line as the kernel's EFI stub sees it: OVMF appends " initrd=initrd" if there is
///         an initrd, and so does this. Without both there are no LoadOptions, and the stub
///         measures nothing: RTMR2 stays zero.
/// errors: bad_kernel; bad_launch (a command line that is not printable ASCII).
/// source: TCG PC Client Platform Firmware Profile 1.06, 2.3.4 and 10.4; Linux, drivers/firmware/
///         efi/libstub (LoadOptions and initrd measured as EV_EVENT_TAG).
[[nodiscard]] Result<attestation::event_log::EventLog> direct_boot_log(const BootFiles& files);

}  // namespace eos::client::measure
