// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/firmware.h"

#include <algorithm>
#include <array>
#include <optional>

#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::client::measure {
namespace {

constexpr std::uint64_t kFourGib = 0x1'0000'0000;
/// The reset vector's own bytes lie between the table and the end of the image.
constexpr std::size_t kAfterTableBytes = 32;
constexpr std::size_t kEntryHeadBytes = 2 + 16;

using Guid = ByteArray<16>;

/// A GUID as memory holds it: the first three groups little-endian.
constexpr Guid guid(std::uint32_t a, std::uint16_t b, std::uint16_t c,
                    std::array<std::uint8_t, 8> d) {
    Guid out{};
    for (unsigned i = 0; i < 4; ++i) out[i] = static_cast<std::byte>(a >> (8 * i));
    for (unsigned i = 0; i < 2; ++i) out[4 + i] = static_cast<std::byte>(b >> (8 * i));
    for (unsigned i = 0; i < 2; ++i) out[6 + i] = static_cast<std::byte>(c >> (8 * i));
    for (unsigned i = 0; i < 8; ++i) out[8 + i] = static_cast<std::byte>(d[i]);
    return out;
}

constexpr Guid kTableFooter =
    guid(0x96b582de, 0x1fb2, 0x45f7, {0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d});
constexpr Guid kSevHashTable =
    guid(0x7255371f, 0x3a3b, 0x4b04, {0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54});
constexpr Guid kSevEsReset =
    guid(0x00f771de, 0x1a7e, 0x4fcb, {0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e});
constexpr Guid kSevMetadata =
    guid(0xdc886566, 0x984a, 0x4798, {0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc});
constexpr Guid kSvsmInfo =
    guid(0xa789a612, 0x0597, 0x4c4b, {0xa4, 0x9f, 0xcb, 0xb1, 0xfe, 0x9d, 0x1d, 0xdd});
constexpr Guid kTdxMetadata =
    guid(0xe47a6535, 0x984a, 0x4798, {0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2});

std::unexpected<Error> bad(std::string detail) {
    return fail(bad_firmware, std::move(detail));
}

/// Entries stand one before the other, each with its size and GUID behind its data: the table is
/// read from its end.
struct Table {
    ByteView bytes;

    /// The data of an entry, or nothing; the table was found sound before.
    std::optional<ByteView> find(const Guid& wanted) const {
        ByteView rest = bytes;
        while (!rest.empty()) {
            const std::size_t size = entry_size(rest);
            if (equal(rest.last(16), wanted)) return rest.last(size).first(size - kEntryHeadBytes);
            rest = rest.first(rest.size() - size);
        }
        return {};
    }

    Result<void> check() const {
        ByteView rest = bytes;
        while (!rest.empty()) {
            if (rest.size() < kEntryHeadBytes) return bad("the GUID table has a remainder");
            const std::size_t size = entry_size(rest);
            if (size < kEntryHeadBytes || size > rest.size()) {
                return bad("an entry of the GUID table has " + std::to_string(size) + " bytes");
            }
            rest = rest.first(rest.size() - size);
        }
        return {};
    }

    static std::size_t entry_size(ByteView rest) {
        Reader size(rest.last(kEntryHeadBytes));
        return size.u16le().value_or(0);
    }
};

Result<Table> read_table(ByteView image) {
    const std::size_t footer = image.size() - kAfterTableBytes - kEntryHeadBytes;
    if (!equal(image.subspan(footer + 2, 16), kTableFooter)) return bad("it has no GUID table");
    Reader in(image.subspan(footer));
    const std::size_t size = EOS_TRY(in.u16le());
    if (size < kEntryHeadBytes || size - kEntryHeadBytes > footer) {
        return bad("the GUID table announces " + std::to_string(size) + " bytes");
    }
    Table table{image.subspan(footer + kEntryHeadBytes - size, size - kEntryHeadBytes)};
    EOS_TRY(table.check());
    return table;
}

Result<std::uint32_t> entry_u32(ByteView data, std::string_view what) {
    Reader in(data);
    Result<std::uint32_t> value = in.u32le();
    if (!value) return bad("the entry of the " + std::string(what) + " is too short");
    return value;
}

/// The part of the image that an entry points to, counted from the image's end.
Result<ByteView> pointed_to(ByteView image, ByteView entry, std::string_view what) {
    const std::uint32_t from_end = EOS_TRY(entry_u32(entry, what));
    if (from_end > image.size()) return bad("the " + std::string(what) + " lies before the image");
    return image.last(from_end);
}

Result<void> check_pages(std::uint64_t address, std::uint64_t size_bytes) {
    if (address % kPageBytes != 0 || size_bytes % kPageBytes != 0 || size_bytes == 0 ||
        size_bytes > kMaxSectionBytes || address > kFourGib) {
        return bad("a section at " + std::to_string(address) + " has " +
                   std::to_string(size_bytes) + " bytes");
    }
    return {};
}

Result<SevSectionKind> sev_kind(std::uint32_t kind) {
    switch (kind) {
        case 1:
        case 2:
        case 3:
        case 4:
        case 0x10:
            return static_cast<SevSectionKind>(kind);
        default:
            return bad("SEV metadata has a section of kind " + std::to_string(kind));
    }
}

/// The SNP firmware takes one page of secrets and one of CPUID values: what a monitor makes of more
/// is its own affair.
Result<void> check_sev_section(const SevSection& section) {
    EOS_TRY(check_pages(section.address, section.size_bytes));
    const bool is_single =
        section.kind == SevSectionKind::secrets || section.kind == SevSectionKind::cpuid;
    if (is_single && section.size_bytes != kPageBytes) {
        return bad("the section of kind " + std::to_string(static_cast<unsigned>(section.kind)) +
                   " at " + std::to_string(section.address) + " has " +
                   std::to_string(section.size_bytes) + " bytes, not one page");
    }
    return {};
}

/// A page is entered once: the RMP refuses it the second time.
Result<void> check_apart(std::vector<SevSection> sections) {
    std::ranges::sort(sections, {}, &SevSection::address);
    std::uint64_t end = 0;
    std::uint64_t sum_bytes = 0;
    for (const SevSection& section : sections) {
        if (section.address < end)
            return bad("two SEV sections overlap at " + std::to_string(section.address));
        end = section.address + section.size_bytes;
        sum_bytes += section.size_bytes;
    }
    if (sum_bytes > kMaxSevMemoryBytes) {
        return bad("the SEV sections have " + std::to_string(sum_bytes) +
                   " bytes together, at most " + std::to_string(kMaxSevMemoryBytes) +
                   " are measured");
    }
    return {};
}

Result<std::vector<SevSection>> parse_sev_sections(ByteView at) {
    Reader in(at);
    const ByteView signature = EOS_TRY(in.bytes(4));
    const std::uint32_t size = EOS_TRY(in.u32le());
    const std::uint32_t version = EOS_TRY(in.u32le());
    const std::uint32_t count = EOS_TRY(in.u32le());
    if (as_chars(signature) != "ASEV" || version != 1) return bad("SEV metadata of another kind");
    if (count > kMaxSections || size != 16 + 12 * count) {
        return bad("SEV metadata of " + std::to_string(count) + " sections in " +
                   std::to_string(size) + " bytes");
    }
    std::vector<SevSection> out;
    for (std::uint32_t i = 0; i < count; ++i) {
        SevSection section;
        section.address = EOS_TRY(in.u32le());
        section.size_bytes = EOS_TRY(in.u32le());
        section.kind = EOS_TRY(sev_kind(EOS_TRY(in.u32le())));
        EOS_TRY(check_sev_section(section));
        out.push_back(section);
    }
    EOS_TRY(check_apart(out));
    return out;
}

Result<std::vector<TdvfSection>> parse_tdvf_sections(ByteView image, ByteView at) {
    Reader in(at);
    const ByteView signature = EOS_TRY(in.bytes(4));
    const std::uint32_t size = EOS_TRY(in.u32le());
    const std::uint32_t version = EOS_TRY(in.u32le());
    const std::uint32_t count = EOS_TRY(in.u32le());
    if (as_chars(signature) != "TDVF" || version != 1) return bad("TDVF metadata of another kind");
    if (count > kMaxSections || size != 16 + 32 * count) {
        return bad("TDVF metadata of " + std::to_string(count) + " sections in " +
                   std::to_string(size) + " bytes");
    }
    std::vector<TdvfSection> out;
    for (std::uint32_t i = 0; i < count; ++i) {
        TdvfSection section;
        section.data_offset = EOS_TRY(in.u32le());
        section.data_bytes = EOS_TRY(in.u32le());
        section.address = EOS_TRY(in.u64le());
        section.memory_bytes = EOS_TRY(in.u64le());
        section.kind = EOS_TRY(in.u32le());
        section.attributes = EOS_TRY(in.u32le());
        EOS_TRY(check_pages(section.address, section.memory_bytes));
        if (section.data_bytes > section.memory_bytes || section.data_offset > image.size() ||
            section.data_bytes > image.size() - section.data_offset) {
            return bad("TDVF section " + std::to_string(i) + " reaches beyond the image");
        }
        out.push_back(section);
    }
    return out;
}

/// An end of input inside a structure is one more way not to be firmware.
template <typename T>
Result<T> as_bad_firmware(Result<T> result, std::string_view what) {
    if (result || result.error().code() != truncated) return result;
    return bad("the " + std::string(what) + " is cut off");
}

Result<Table> find_table(ByteView image) {
    if (image.empty() || image.size() > kMaxFirmwareBytes || image.size() % kPageBytes != 0) {
        return bad(std::to_string(image.size()) + " bytes are no whole pages of firmware");
    }
    return read_table(image);
}

}  // namespace

std::uint64_t firmware_address(ByteView image) {
    return kFourGib - image.size();
}

Result<SevMetadata> parse_sev_metadata(ByteView image) {
    const Table table = EOS_TRY(find_table(image));
    const std::optional<ByteView> metadata = table.find(kSevMetadata);
    if (!metadata) return bad("it has no SEV metadata: it is not for SEV-SNP");
    // A monitor launches an SVSM in front of this image: other pages, and another first vCPU state.
    if (table.find(kSvsmInfo)) return bad("an SVSM: not measured");
    SevMetadata out;
    const ByteView at = EOS_TRY(pointed_to(image, *metadata, "SEV metadata"));
    out.sections = EOS_TRY(as_bad_firmware(parse_sev_sections(at), "SEV metadata"));
    const std::optional<ByteView> reset = table.find(kSevEsReset);
    if (!reset) return bad("it has SEV metadata, but no SEV-ES reset address");
    out.reset_address = EOS_TRY(entry_u32(*reset, "SEV-ES reset address"));
    if (const std::optional<ByteView> hashes = table.find(kSevHashTable)) {
        out.kernel_hashes_address = EOS_TRY(entry_u32(*hashes, "SEV hash table"));
    }
    return out;
}

Result<std::vector<TdvfSection>> parse_tdvf_metadata(ByteView image) {
    const Table table = EOS_TRY(find_table(image));
    const std::optional<ByteView> metadata = table.find(kTdxMetadata);
    if (!metadata) return bad("it has no TDVF metadata: it is not for TDX");
    const ByteView at = EOS_TRY(pointed_to(image, *metadata, "TDVF metadata"));
    return as_bad_firmware(parse_tdvf_sections(image, at), "TDVF metadata");
}

}  // namespace eos::client::measure
