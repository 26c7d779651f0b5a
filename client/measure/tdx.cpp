// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/tdx.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "common/base/assert.h"
#include "common/base/codec.h"

namespace eos::client::measure {
namespace {

using attestation::event_log::Event;
using attestation::event_log::EventLog;

/// SHA-384 over data that comes in pieces.
class Sha384 {
  public:
    Sha384() : context_(EVP_MD_CTX_new()) {
        EOS_ASSERT(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha384(), nullptr) == 1);
    }
    void update(ByteView bytes) {
        EOS_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
    }
    Digest48 finish() {
        Digest48 out;
        EOS_ASSERT(EVP_DigestFinal_ex(context_.get(), as_writable_uchars(out), nullptr) == 1);
        return out;
    }

  private:
    struct Free {
        void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> context_;
};

constexpr std::size_t kChunkBytes = 256;

/// The hash that the TDX module keeps while a guest is built.
class Mrtd {
  public:
    void add_page(std::uint64_t address) { record("MEM.PAGE.ADD", address); }

    void extend_page(std::uint64_t address, ByteView page) {
        for (std::size_t at = 0; at < kPageBytes; at += kChunkBytes) {
            record("MR.EXTEND", address + at);
            hash_.update(page.subspan(at, kChunkBytes));
        }
    }

    Digest48 finish() { return hash_.finish(); }

  private:
    /// 128 bytes: the call's name, and the address in the guest at byte 16.
    void record(std::string_view name, std::uint64_t address) {
        Writer out;
        out.text(name).zeros(16 - name.size()).u64le(address).zeros(128 - 24);
        hash_.update(out.view());
    }

    Sha384 hash_;
};

void add_section(Mrtd& mrtd, const TdvfSection& section, ByteView data, PageOrder order) {
    const bool extended = (section.attributes & kTdvfExtend) != 0;
    for (std::uint64_t at = 0; at < section.memory_bytes; at += kPageBytes) {
        mrtd.add_page(section.address + at);
        if (extended && order == PageOrder::page_by_page)
            mrtd.extend_page(section.address + at, data.subspan(at, kPageBytes));
    }
    if (!extended || order == PageOrder::page_by_page) return;
    for (std::uint64_t at = 0; at < section.memory_bytes; at += kPageBytes)
        mrtd.extend_page(section.address + at, data.subspan(at, kPageBytes));
}

/// Where the parts of a PE image lie that Authenticode leaves out, and the sections it hashes.
struct PeLayout {
    std::size_t checksum = 0;           ///< 4 bytes
    std::size_t certificate_entry = 0;  ///< 8 bytes of the data directories
    std::size_t headers_bytes = 0;
    std::size_t certificate_bytes = 0;
    std::vector<ByteView> sections;  ///< with data, in file order
};

Result<std::uint32_t> u32_at(ByteView image, std::size_t offset) {
    if (offset > image.size()) return fail(truncated);
    Reader in(image.subspan(offset));
    return in.u32le();
}

Result<std::uint16_t> u16_at(ByteView image, std::size_t offset) {
    if (offset > image.size()) return fail(truncated);
    Reader in(image.subspan(offset));
    return in.u16le();
}

std::unexpected<Error> no_pe(std::string detail) {
    return fail(bad_kernel, std::move(detail));
}

/// The section table of a PE image: where it begins, and its rows.
struct PeTable {
    std::size_t offset = 0;
    std::size_t count = 0;
};

/// Each byte of the file belongs to one part at most: then hashing costs no more than the file.
Result<std::vector<ByteView>> pe_sections(ByteView image, const PeTable& table,
                                          std::size_t headers_bytes) {
    struct Range {
        std::size_t offset;
        std::size_t size;
    };
    std::vector<Range> ranges;
    for (std::size_t i = 0; i < table.count; ++i) {
        const std::size_t size = EOS_TRY(u32_at(image, table.offset + 40 * i + 16));
        const std::size_t offset = EOS_TRY(u32_at(image, table.offset + 40 * i + 20));
        if (size != 0) ranges.push_back({offset, size});
    }
    std::ranges::sort(ranges, {}, &Range::offset);
    std::vector<ByteView> out;
    std::size_t end = headers_bytes;
    for (const Range& range : ranges) {
        if (range.offset > image.size() || range.size > image.size() - range.offset) {
            return no_pe("a section reaches beyond the file");
        }
        if (range.offset < end) {
            return no_pe("a section begins at " + std::to_string(range.offset) +
                         ", before the end of what precedes it");
        }
        end = range.offset + range.size;
        out.push_back(image.subspan(range.offset, range.size));
    }
    return out;
}

Result<PeLayout> parse_pe(ByteView image) {
    const std::size_t header = EOS_TRY(u32_at(image, 0x3c));
    if (EOS_TRY(u32_at(image, header)) != 0x4550) return no_pe("it has no PE signature");
    const std::size_t section_count = EOS_TRY(u16_at(image, header + 6));
    const std::size_t optional_bytes = EOS_TRY(u16_at(image, header + 20));
    const std::size_t optional = header + 24;
    const std::uint16_t magic = EOS_TRY(u16_at(image, optional));
    if (magic != 0x20b && magic != 0x10b) return no_pe("its optional header is of another kind");
    const std::size_t directories = optional + (magic == 0x20b ? 112 : 96);
    constexpr std::size_t kCertificateIndex = 4;
    if (EOS_TRY(u32_at(image, directories - 4)) <= kCertificateIndex) {
        return no_pe("it has no entry for certificates");
    }
    PeLayout out;
    out.checksum = optional + 64;
    out.certificate_entry = directories + 8 * kCertificateIndex;
    out.headers_bytes = EOS_TRY(u32_at(image, optional + 60));
    const std::size_t certificates = EOS_TRY(u32_at(image, out.certificate_entry));
    out.certificate_bytes = EOS_TRY(u32_at(image, out.certificate_entry + 4));
    if (out.certificate_bytes != 0 && certificates != image.size() - out.certificate_bytes) {
        return no_pe("its certificates do not end the file");
    }
    if (out.headers_bytes < out.certificate_entry + 8 || out.headers_bytes > image.size()) {
        return no_pe("its headers have " + std::to_string(out.headers_bytes) + " bytes");
    }
    out.sections =
        EOS_TRY(pe_sections(image, {optional + optional_bytes, section_count}, out.headers_bytes));
    std::size_t hashed = out.headers_bytes;
    for (ByteView section : out.sections) hashed += section.size();
    if (hashed > image.size() - out.certificate_bytes) {
        return no_pe("its sections reach into its certificates");
    }
    return out;
}

Event measured(std::size_t rtmr, std::uint32_t type, ByteView data) {
    return {rtmr, type, sha384(data), {}, to_bytes(data)};
}

constexpr std::uint32_t kEvEventTag = 0x6;
constexpr std::uint32_t kEvEfiBootServicesApplication = 0x80000003;

/// What the kernel's EFI stub finds as its LoadOptions. Empty if there is neither command line nor
/// initrd: edk2 (GenericQemuLoadImageLib) then leaves LoadOptionsSize 0, without a NUL.
Result<Bytes> load_options(const BootFiles& files) {
    std::string text(files.command_line);
    if (!files.initrd.empty()) text += " initrd=initrd";
    Writer out;
    for (char c : text) {
        if (c < 0x20 || c > 0x7e) return fail(bad_launch, "the command line is not plain ASCII");
        out.u16le(static_cast<std::uint16_t>(c));
    }
    if (!text.empty()) out.u16le(0);
    return std::move(out).take();
}

}  // namespace

Result<Digest48> mrtd(ByteView image, PageOrder order) {
    const std::vector<TdvfSection> sections = EOS_TRY(parse_tdvf_metadata(image));
    Mrtd hash;
    for (const TdvfSection& section : sections) {
        if ((section.attributes & kTdvfAugment) != 0) continue;
        if ((section.attributes & kTdvfExtend) != 0 && section.data_bytes != section.memory_bytes) {
            return fail(bad_firmware, "a measured TDVF section is larger than its data");
        }
        add_section(hash, section, image.subspan(section.data_offset, section.data_bytes), order);
    }
    return hash.finish();
}

Result<Digest48> authenticode_sha384(ByteView program) {
    if (program.size() % 8 != 0) return no_pe("its size is no multiple of 8");
    Result<PeLayout> parsed = parse_pe(program);
    if (!parsed && parsed.error().code() == truncated) return no_pe("it is cut off");
    const PeLayout layout = EOS_TRY(std::move(parsed));
    Sha384 hash;
    hash.update(program.first(layout.checksum));
    hash.update(
        program.subspan(layout.checksum + 4, layout.certificate_entry - layout.checksum - 4));
    hash.update(program.subspan(layout.certificate_entry + 8,
                                layout.headers_bytes - layout.certificate_entry - 8));
    std::size_t hashed = layout.headers_bytes;
    for (ByteView section : layout.sections) {
        hash.update(section);
        hashed += section.size();
    }
    const std::size_t end = program.size() - layout.certificate_bytes;
    hash.update(program.subspan(hashed, end - hashed));
    return hash.finish();
}

Result<EventLog> direct_boot_log(const BootFiles& files) {
    namespace log = attestation::event_log;
    EventLog out;
    Event kernel{
        1, kEvEfiBootServicesApplication, EOS_TRY(authenticode_sha384(files.kernel)), {}, {}};
    out.events.push_back(std::move(kernel));
    for (std::string_view action : {"Calling EFI Application from Boot Option"})
        out.events.push_back(measured(1, log::kEvEfiAction, as_bytes(action)));
    out.events.push_back(measured(1, log::kEvSeparator, Bytes(4)));
    const Bytes options = EOS_TRY(load_options(files));
    if (!options.empty()) {
        out.events.push_back({2,
                              kEvEventTag,
                              sha384(options),
                              {},
                              to_bytes(std::string_view("LOADED_IMAGE::LoadOptions"))});
    }
    if (!files.initrd.empty()) {
        out.events.push_back(
            {2, kEvEventTag, sha384(files.initrd), {}, to_bytes(std::string_view("Linux initrd"))});
    }
    for (std::string_view action :
         {"Exit Boot Services Invocation", "Exit Boot Services Returned with Success"})
        out.events.push_back(measured(1, log::kEvEfiAction, as_bytes(action)));
    return out;
}

}  // namespace eos::client::measure
