// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/snp.h"

#include <algorithm>
#include <array>

#include "common/base/assert.h"
#include "common/base/codec.h"

namespace eos::client::measure {
namespace {

/// PAGE_TYPE of SNP_LAUNCH_UPDATE.
enum class PageKind : std::uint8_t {
    normal = 1,
    vmsa = 2,
    zero = 3,
    unmeasured = 4,
    secrets = 5,
    cpuid = 6
};

constexpr std::uint16_t kPageInfoBytes = 0x70;
/// VMSA pages are entered under the highest page address that the RMP can hold.
constexpr std::uint64_t kVmsaAddress = 0xfffffffff000;
constexpr std::uint32_t kResetVector = 0xfffffff0;

/// The digest as the firmware keeps it: each page's PAGE_INFO is hashed with the digest so far.
class LaunchContext {
  public:
    explicit LaunchContext(const Digest48& digest) : digest_(digest) {}

    void add(PageKind kind, std::uint64_t address, const Digest48& content) {
        Writer info;
        info.bytes(digest_).bytes(content);
        info.u16le(kPageInfoBytes).u8(static_cast<std::uint8_t>(kind));
        info.u8(0);     // no initial migration image
        info.u32le(0);  // permissions of VMPL 3 to 1, reserved
        info.u64le(address);
        EOS_ASSERT(info.size() == kPageInfoBytes);
        digest_ = sha384(info.view());
    }

    /// Pages whose content is not the launcher's: their digest counts as zero.
    void add_blank(PageKind kind, std::uint64_t address, std::uint64_t size_bytes) {
        for (std::uint64_t at = 0; at < size_bytes; at += kPageBytes) add(kind, address + at, {});
    }

    const Digest48& digest() const { return digest_; }

  private:
    Digest48 digest_;
};

constexpr std::array<std::uint8_t, 16> kHashTableGuid{
    0x06, 0xd6, 0x38, 0x94, 0x22, 0x4f, 0xc9, 0x4c, 0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21};
constexpr std::array<std::uint8_t, 16> kCommandLineGuid{
    0xd8, 0x2d, 0xd0, 0x97, 0x20, 0xbd, 0x94, 0x4c, 0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a};
constexpr std::array<std::uint8_t, 16> kInitrdGuid{0x31, 0xf7, 0xba, 0x44, 0x2f, 0x3a, 0xd7, 0x4b,
                                                   0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d};
constexpr std::array<std::uint8_t, 16> kKernelGuid{0x37, 0x94, 0xe7, 0x4d, 0xd2, 0xab, 0x7f, 0x42,
                                                   0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b};
constexpr std::uint16_t kHashEntryBytes = 16 + 2 + 32;
constexpr std::uint16_t kHashTableBytes = 16 + 2 + 3 * kHashEntryBytes;

/// The page with QEMU's table of hashes, at the offset that the firmware asks for.
Result<Bytes> kernel_hashes_page(const KernelHashes& hashes, std::uint64_t table_address) {
    const std::size_t offset = table_address % kPageBytes;
    if (offset + kHashTableBytes > kPageBytes) {
        return fail(bad_launch, "the table of kernel hashes does not end in its page");
    }
    Writer page;
    auto entry = [&page](ByteView guid, const crypto::Digest32& hash) {
        page.bytes(guid).u16le(kHashEntryBytes).bytes(hash);
    };
    page.zeros(offset).bytes(std::as_bytes(std::span(kHashTableGuid))).u16le(kHashTableBytes);
    entry(std::as_bytes(std::span(kCommandLineGuid)), hashes.command_line);
    entry(std::as_bytes(std::span(kInitrdGuid)), hashes.initrd);
    entry(std::as_bytes(std::span(kKernelGuid)), hashes.kernel);
    page.zeros(kPageBytes - page.size());
    return std::move(page).take();
}

Result<void> add_kernel_hashes(LaunchContext& context, const SnpLaunch& launch,
                               const SevSection& section) {
    if (!launch.kernel) {
        context.add_blank(PageKind::zero, section.address, section.size_bytes);
        return {};
    }
    const std::uint64_t table = launch.metadata.kernel_hashes_address;
    if (section.size_bytes != kPageBytes || table < section.address ||
        table - section.address >= kPageBytes) {
        return fail(bad_launch, "the table of kernel hashes does not lie in its section");
    }
    context.add(PageKind::normal, section.address,
                sha384(EOS_TRY(kernel_hashes_page(*launch.kernel, table))));
    return {};
}

Result<void> add_section(LaunchContext& context, const SnpLaunch& launch,
                         const SevSection& section) {
    switch (section.kind) {
        case SevSectionKind::memory: {
            const PageKind kind = launch.vmm == SnpVmm::gce ? PageKind::unmeasured : PageKind::zero;
            context.add_blank(kind, section.address, section.size_bytes);
            return {};
        }
        case SevSectionKind::secrets:
            context.add(PageKind::secrets, section.address, {});
            return {};
        case SevSectionKind::cpuid:
            // EC2 enters the CPUID page after all others.
            if (launch.vmm != SnpVmm::ec2) context.add(PageKind::cpuid, section.address, {});
            return {};
        case SevSectionKind::svsm_caa:
            context.add_blank(PageKind::zero, section.address, section.size_bytes);
            return {};
        case SevSectionKind::kernel_hashes:
            return add_kernel_hashes(context, launch, section);
    }
    __builtin_unreachable();
}

/// What the monitors set differently in a vCPU's first state.
struct VmmState {
    std::uint16_t code_attributes;
    std::uint16_t stack_attributes;
    std::uint16_t task_attributes;
    std::uint32_t rdx;
    std::uint64_t page_attribute_table;
    std::uint32_t mxcsr;
    std::uint16_t x87_control;
};

VmmState vmm_state(const SnpLaunch& launch, std::uint32_t start) {
    switch (launch.vmm) {
        case SnpVmm::qemu:
            return {0x9b, 0x93, 0x8b, launch.vcpu_signature, 0x7040600070406, 0x1f80, 0x37f};
        case SnpVmm::ec2: {
            const std::uint16_t code = start == kResetVector ? 0x9a : 0x9b;
            return {code, 0x92, 0x83, 0x600, 0x7040600070406, 0, 0};
        }
        case SnpVmm::gce:
            return {0x9b, 0x93, 0x8b, 0x600, 0x70106, 0, 0};
    }
    __builtin_unreachable();
}

/// A page of which only named offsets are not zero.
class SaveArea {
  public:
    template <std::unsigned_integral T>
    void set(std::size_t offset, T value) {
        for (std::size_t i = 0; i < sizeof(T); ++i)
            page_[offset + i] = static_cast<std::byte>(value >> (8 * i));
    }
    void segment(std::size_t offset, std::uint16_t selector, std::uint16_t attributes,
                 std::uint64_t base) {
        set(offset, selector);
        set(offset + 2, attributes);
        set<std::uint32_t>(offset + 4, 0xffff);
        set(offset + 8, base);
    }
    ByteView bytes() const { return page_; }

  private:
    ByteArray<kPageBytes> page_{};
};

/// The VMSA of a vCPU that starts at `start`. Offsets: AMD64 APM vol. 2, table B-4.
Digest48 vmsa_digest(const SnpLaunch& launch, std::uint32_t start) {
    const VmmState state = vmm_state(launch, start);
    SaveArea area;
    area.segment(0x000, 0, 0x93, 0);                                         // ES
    area.segment(0x010, 0xf000, state.code_attributes, start & 0xffff0000);  // CS
    area.segment(0x020, 0, state.stack_attributes, 0);                       // SS
    area.segment(0x030, 0, 0x93, 0);                                         // DS
    area.segment(0x040, 0, 0x93, 0);                                         // FS
    area.segment(0x050, 0, 0x93, 0);                                         // GS
    area.segment(0x060, 0, 0, 0);                                            // GDTR
    area.segment(0x070, 0, 0x82, 0);                                         // LDTR
    area.segment(0x080, 0, 0, 0);                                            // IDTR
    area.segment(0x090, 0, state.task_attributes, 0);                        // TR
    area.set<std::uint64_t>(0x0d0, 0x1000);                                  // EFER: SVME
    area.set<std::uint64_t>(0x148, 0x40);                                    // CR4: MCE
    area.set<std::uint64_t>(0x158, 0x10);                                    // CR0
    area.set<std::uint64_t>(0x160, 0x400);                                   // DR7
    area.set<std::uint64_t>(0x168, 0xffff0ff0);                              // DR6
    area.set<std::uint64_t>(0x170, 0x2);                                     // RFLAGS
    area.set<std::uint64_t>(0x178, start & 0xffff);                          // RIP
    area.set<std::uint64_t>(0x268, state.page_attribute_table);              // G_PAT
    area.set<std::uint64_t>(0x310, state.rdx);                               // RDX
    area.set<std::uint64_t>(0x3b0, launch.guest_features);                   // SEV_FEATURES
    area.set<std::uint64_t>(0x3e8, 0x1);                                     // XCR0
    area.set<std::uint32_t>(0x408, state.mxcsr);                             // MXCSR
    area.set<std::uint16_t>(0x410, state.x87_control);                       // x87 FCW
    return sha384(area.bytes());
}

struct NamedModel {
    std::string_view name;
    CpuModel cpu;
};
/// QEMU's builtin_x86_defs: every version of a model has the same signature.
constexpr NamedModel kModels[] = {
    {"EPYC", {23, 1, 2}},          {"EPYC-v1", {23, 1, 2}},       {"EPYC-v2", {23, 1, 2}},
    {"EPYC-v3", {23, 1, 2}},       {"EPYC-v4", {23, 1, 2}},       {"EPYC-IBPB", {23, 1, 2}},
    {"EPYC-Rome", {23, 49, 0}},    {"EPYC-Rome-v1", {23, 49, 0}}, {"EPYC-Rome-v2", {23, 49, 0}},
    {"EPYC-Rome-v3", {23, 49, 0}}, {"EPYC-Milan", {25, 1, 1}},    {"EPYC-Milan-v1", {25, 1, 1}},
    {"EPYC-Milan-v2", {25, 1, 1}}, {"EPYC-Genoa", {25, 17, 0}},   {"EPYC-Genoa-v1", {25, 17, 0}},
    {"EPYC-Turin", {26, 0, 0}},
};

/// The digest once the metadata's pages are in: all but the vCPUs, whatever their number and kind.
Result<Digest48> all_pages_digest(const SnpLaunch& launch) {
    if (launch.vcpus == 0 || launch.vcpus > kMaxVcpus) {
        return fail(bad_launch, std::to_string(launch.vcpus) + " vCPUs, 1 to " +
                                    std::to_string(kMaxVcpus) + " are possible");
    }
    const std::vector<SevSection>& sections = launch.metadata.sections;
    if (launch.kernel && std::ranges::find(sections, SevSectionKind::kernel_hashes,
                                           &SevSection::kind) == sections.end()) {
        return fail(bad_launch,
                    "this firmware has no place for the hashes of a kernel: it would "
                    "boot whatever kernel it is given");
    }
    LaunchContext context(launch.firmware_pages);
    for (const SevSection& section : sections) EOS_TRY(add_section(context, launch, section));
    for (const SevSection& section : sections) {
        if (launch.vmm == SnpVmm::ec2 && section.kind == SevSectionKind::cpuid)
            context.add(PageKind::cpuid, section.address, {});
    }
    return context.digest();
}

/// The launch's end: one save area a vCPU after the pages.
Digest48 with_vcpus(const Digest48& pages, const SnpLaunch& launch) {
    LaunchContext context(pages);
    context.add(PageKind::vmsa, kVmsaAddress, vmsa_digest(launch, kResetVector));
    const Digest48 further = vmsa_digest(launch, launch.metadata.reset_address);
    for (unsigned i = 1; i < launch.vcpus; ++i) context.add(PageKind::vmsa, kVmsaAddress, further);
    return context.digest();
}

/// The launches that differ from this one in their vCPUs alone.
void add_vcpu_variants(std::vector<SnpVariant>& out, const Digest48& pages,
                       const SnpLaunch& launch) {
    constexpr unsigned kUsualVcpus = 64;
    auto add = [&](std::string change, const SnpLaunch& other) {
        out.push_back({std::move(change), with_vcpus(pages, other)});
    };
    SnpLaunch other = launch;
    for (unsigned vcpus = 1; vcpus <= kUsualVcpus; ++vcpus) {
        other.vcpus = vcpus;
        if (vcpus != launch.vcpus) add(std::to_string(vcpus) + " vCPUs", other);
    }
    other = launch;
    for (std::string_view model : vcpu_models()) {
        other.vcpu_signature = *vcpu_signature(model);
        if (other.vcpu_signature != launch.vcpu_signature) add("vCPU " + std::string(model), other);
    }
    other = launch;
    for (std::uint64_t features : {0x1u, 0x21u}) {
        other.guest_features = features;
        if (features != launch.guest_features)
            add(features == 1 ? "guest features 0x1" : "guest features 0x21", other);
    }
}

}  // namespace

KernelHashes hash_boot_files(const BootFiles& files) {
    constexpr std::byte kNul[1]{};
    return {crypto::sha256(files.kernel), crypto::sha256(files.initrd),
            crypto::sha256({as_bytes(files.command_line), ByteView(kNul)})};
}

Digest48 firmware_pages_digest(ByteView image) {
    LaunchContext context{Digest48{}};
    for (std::size_t at = 0; at + kPageBytes <= image.size(); at += kPageBytes) {
        context.add(PageKind::normal, firmware_address(image) + at,
                    sha384(image.subspan(at, kPageBytes)));
    }
    return context.digest();
}

Result<Digest48> launch_digest(const SnpLaunch& launch) {
    return with_vcpus(EOS_TRY(all_pages_digest(launch)), launch);
}

std::uint32_t cpuid_signature(const CpuModel& cpu) {
    const unsigned family = std::min(cpu.family, 0xfu);
    const unsigned extended_family = cpu.family - family;
    return (extended_family & 0xff) << 20 | (cpu.model >> 4 & 0xf) << 16 | family << 8 |
           (cpu.model & 0xf) << 4 | (cpu.stepping & 0xf);
}

std::optional<std::uint32_t> vcpu_signature(std::string_view model) {
    for (const NamedModel& row : kModels) {
        if (row.name == model) return cpuid_signature(row.cpu);
    }
    return {};
}

std::vector<std::string_view> vcpu_names() {
    std::vector<std::string_view> out;
    for (const NamedModel& row : kModels) out.push_back(row.name);
    return out;
}

const std::vector<std::string_view>& vcpu_models() {
    static const std::vector<std::string_view> kNames{"EPYC", "EPYC-Rome", "EPYC-Milan",
                                                      "EPYC-Genoa", "EPYC-Turin"};
    return kNames;
}

std::vector<SnpVariant> usual_variants(const SnpLaunch& launch) {
    const Result<Digest48> pages = all_pages_digest(launch);
    if (!pages) return {};
    std::vector<SnpVariant> out;
    add_vcpu_variants(out, *pages, launch);
    if (!launch.kernel) return out;
    auto add = [&out](std::string change, const SnpLaunch& other) {
        Result<Digest48> digest = launch_digest(other);
        if (digest) out.push_back({std::move(change), *digest});
    };
    SnpLaunch other = launch;
    other.kernel.reset();
    add("no kernel hashes: kernel, initrd and command line are not measured", other);
    constexpr std::byte kNul[1]{};
    other.kernel = launch.kernel;
    other.kernel->command_line = crypto::sha256(ByteView(kNul));
    add("an empty command line", other);
    return out;
}

}  // namespace eos::client::measure
