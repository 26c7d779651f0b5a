// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/layout_files.h"

#include <array>
#include <fstream>

#include "client/files.h"
#include "common/base/encoding.h"

namespace eos::client::measure {
namespace {

constexpr std::size_t kBlockBytes = 512;

using Block = std::array<char, kBlockBytes>;

std::string_view field(const Block& block, std::size_t offset, std::size_t size) {
    std::string_view text(block.data() + offset, size);
    return text.substr(0, text.find('\0'));
}

/// An octal number with spaces or NUL behind it. Larger numbers have another form, which no layout
/// needs: its members are below 8 GiB.
Result<std::uint64_t> octal(std::string_view text) {
    std::uint64_t out = 0;
    std::size_t digits = 0;
    for (char c : text) {
        if (c == ' ') continue;
        if (c < '0' || c > '7') return fail(bad_image, "a number of the archive is not octal");
        out = out * 8 + static_cast<unsigned>(c - '0');
        ++digits;
    }
    if (digits == 0) return fail(bad_image, "a number of the archive is missing");
    return out;
}

/// The header's own checksum, computed with its field as spaces.
Result<void> check_sum(const Block& block) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < block.size(); ++i) {
        const bool in_field = i >= 148 && i < 156;
        sum += in_field ? std::uint64_t{' '} : static_cast<unsigned char>(block[i]);
    }
    if (EOS_TRY(octal(field(block, 148, 8))) != sum) {
        return fail(bad_image, "a header of the archive has the wrong checksum");
    }
    return {};
}

std::string entry_name(const Block& block) {
    std::string name(field(block, 0, 100));
    const std::string_view prefix = field(block, 345, 155);
    const bool is_ustar = std::string_view(block.data() + 257, 5) == "ustar";
    if (is_ustar && !prefix.empty()) name = std::string(prefix) + "/" + name;
    while (name.starts_with("./")) name.erase(0, 2);
    return name;
}

}  // namespace

Result<LayoutFiles> LayoutFiles::open(const std::filesystem::path& path) {
    LayoutFiles out;
    out.path_ = path;
    std::error_code error;
    out.is_archive_ = !std::filesystem::is_directory(path, error);
    if (out.is_archive_) EOS_TRY(out.index_archive());
    return out;
}

Result<void> LayoutFiles::index_archive() {
    std::ifstream in(path_, std::ios::binary);
    if (!in) return fail(file_unreadable, path_.string());
    Block block;
    for (std::uint64_t offset = 0; in.read(block.data(), kBlockBytes);) {
        offset += kBlockBytes;
        if (all_zero(as_bytes({block.data(), block.size()}))) return {};
        EOS_TRY(check_sum(block));
        const std::uint64_t size = EOS_TRY(octal(field(block, 124, 12)));
        const char kind = block[156];
        if (kind == 'x' || kind == 'L' || kind == 'K') {
            return fail(bad_image, "the archive has extended headers: pack it as plain ustar");
        }
        if (kind == '0' || kind == '\0') {
            if (archive_.size() == kMaxArchiveEntries) return fail(bad_image, "too many files");
            const std::string name = entry_name(block);
            if (!archive_.emplace(name, Place{offset, size}).second) {
                return fail(bad_image, "twice in the archive: " + printable(as_bytes(name)));
            }
        }
        offset += (size + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
        in.seekg(static_cast<std::streamoff>(offset));
    }
    return fail(bad_image, "the archive is cut off, or is none");
}

Result<LayoutFiles::Place> LayoutFiles::find(const std::string& name,
                                             std::filesystem::path& file) const {
    if (is_archive_) {
        const auto found = archive_.find(name);
        if (found == archive_.end()) {
            return fail(bad_image, "missing: " + printable(as_bytes(name)));
        }
        file = path_;
        return found->second;
    }
    file = path_ / name;
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(file, error);
    if (error) return fail(bad_image, "missing: " + printable(as_bytes(name)));
    return Place{0, size};
}

Result<std::uint64_t> LayoutFiles::size_of(const std::string& name) const {
    std::filesystem::path file;
    return EOS_TRY(find(name, file)).size;
}

Result<std::uint64_t> LayoutFiles::read(const std::string& name,
                                        const std::function<void(ByteView)>& take) const {
    std::filesystem::path file;
    const Place place = EOS_TRY(find(name, file));
    std::ifstream in(file, std::ios::binary);
    in.seekg(static_cast<std::streamoff>(place.offset));
    std::string piece(64 * 1024, '\0');
    for (std::uint64_t left = place.size; left > 0;) {
        const std::size_t size = std::min<std::uint64_t>(left, piece.size());
        if (!in.read(piece.data(), static_cast<std::streamsize>(size))) {
            return fail(file_unreadable, file.string() + ": it ends too early");
        }
        take(as_bytes(std::string_view(piece).substr(0, size)));
        left -= size;
    }
    return place.size;
}

Result<Bytes> LayoutFiles::read_small(const std::string& name, std::size_t max_bytes) const {
    std::filesystem::path file;
    const Place place = EOS_TRY(find(name, file));
    if (place.size > max_bytes) {
        return fail(bad_image, printable(as_bytes(name)) + " is larger than " +
                                   std::to_string(max_bytes) + " bytes");
    }
    Bytes out;
    EOS_TRY(read(name, [&out](ByteView piece) { append(out, piece); }));
    return out;
}

}  // namespace eos::client::measure
