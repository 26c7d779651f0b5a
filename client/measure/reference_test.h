// SPDX-License-Identifier: AGPL-3.0-only
// Firmware, kernels and files made for tests, and the second implementation that measures them.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "client/measure/digest.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::client::measure::testing {

/// A folder of its own that goes with the test.
class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "eos-measure-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::filesystem::path& path() const { return path_; }

    std::string write(const std::string& name, ByteView content) const {
        const std::filesystem::path file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream out(file, std::ios::binary);
        out << as_chars(content);
        return file.string();
    }

  private:
    std::filesystem::path path_;
};

/// The lines that tests/vectors/measure/reference.py prints.
inline std::vector<std::string> reference(const std::string& arguments) {
    const std::string command =
        "python3 " EOS_SOURCE_DIR "/tests/vectors/measure/reference.py " + arguments;
    std::vector<std::string> lines;
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::array<char, 256> line{};
    while (pipe != nullptr && std::fgets(line.data(), line.size(), pipe) != nullptr)
        lines.emplace_back(
            std::string_view(line.data()).substr(0, std::string(line.data()).find('\n')));
    EXPECT_TRUE(pipe != nullptr && ::pclose(pipe) == 0) << command;
    return lines;
}

/// A GUID as the table has it.
inline Bytes guid_bytes(std::string_view text) {
    std::string digits;
    for (char c : text) {
        if (c != '-') digits.push_back(c);
    }
    Bytes out = from_hex(digits).value();
    std::reverse(out.begin(), out.begin() + 4);
    std::reverse(out.begin() + 4, out.begin() + 6);
    std::reverse(out.begin() + 6, out.begin() + 8);
    return out;
}

inline void put(Bytes& out, std::size_t offset, ByteView bytes) {
    std::ranges::copy(bytes, out.begin() + static_cast<std::ptrdiff_t>(offset));
}

/// What a synthetic image holds; every member can be made wrong.
struct ImageParts {
    std::size_t pages = 4;
    Bytes sev_metadata;   ///< empty: no entry
    Bytes tdvf_metadata;  ///< empty: no entry
    std::uint32_t kernel_hashes_address = 0x810c00;
    bool has_reset = true;
    bool has_svsm = false;
};

inline Bytes sev_metadata(const std::vector<std::array<std::uint32_t, 3>>& sections) {
    Writer out;
    const auto count = static_cast<std::uint32_t>(sections.size());
    out.text("ASEV").u32le(16 + 12 * count).u32le(1).u32le(count);
    for (const auto& [address, size, kind] : sections) out.u32le(address).u32le(size).u32le(kind);
    return std::move(out).take();
}

/// data offset, data size, address, memory size, kind, attributes
inline Bytes tdvf_metadata(const std::vector<std::array<std::uint64_t, 6>>& sections) {
    Writer out;
    const auto count = static_cast<std::uint32_t>(sections.size());
    out.text("TDVF").u32le(16 + 32 * count).u32le(1).u32le(count);
    for (const auto& s : sections) {
        out.u32le(static_cast<std::uint32_t>(s[0])).u32le(static_cast<std::uint32_t>(s[1]));
        out.u64le(s[2]).u64le(s[3]);
        out.u32le(static_cast<std::uint32_t>(s[4])).u32le(static_cast<std::uint32_t>(s[5]));
    }
    return std::move(out).take();
}

/// The sections that OVMF for SEV with kernel hashes has, with other sizes.
inline Bytes usual_sev_metadata() {
    return sev_metadata({{0x800000, 0x3000, 1},
                         {0x80d000, 0x1000, 2},
                         {0x80e000, 0x1000, 3},
                         {0x80f000, 0x1000, 4},
                         {0x810000, 0x1000, 0x10},
                         {0x811000, 0x2000, 1}});
}

/// A measured volume, the variables, memory for the HOB, and memory added later.
inline Bytes usual_tdvf_metadata() {
    return tdvf_metadata({{0x1000, 0x3000, 0xfffff000 - 0x2000, 0x3000, 0, 1},
                          {0, 0x1000, 0xfffc0000, 0x1000, 1, 0},
                          {0, 0, 0x809000, 0x2000, 2, 0},
                          {0, 0, 0x100000, 0x4000, 3, 2}});
}

inline Bytes make_image(const ImageParts& parts) {
    Bytes image(parts.pages * kPageBytes);
    for (std::size_t i = 0; i < image.size(); ++i)
        image[i] = static_cast<std::byte>(i * 7 + i / 256);
    Writer table;
    auto entry = [&table](std::string_view guid, ByteView data) {
        table.bytes(data)
            .u16le(static_cast<std::uint16_t>(data.size() + 18))
            .bytes(guid_bytes(guid));
    };
    auto u32 = [](std::size_t value) {
        Writer out;
        out.u32le(static_cast<std::uint32_t>(value));
        return std::move(out).take();
    };
    constexpr std::size_t kSevFromEnd = 0x600;
    constexpr std::size_t kTdvfFromEnd = 0x900;
    entry("11111111-2222-3333-4455-66778899aabb", to_bytes("of no concern"));
    if (!parts.sev_metadata.empty()) {
        put(image, image.size() - kSevFromEnd, parts.sev_metadata);
        entry("dc886566-984a-4798-a75e-5585a7bf67cc", u32(kSevFromEnd));
    }
    if (!parts.tdvf_metadata.empty()) {
        put(image, image.size() - kTdvfFromEnd, parts.tdvf_metadata);
        entry("e47a6535-984a-4798-865e-4685a7bf8ec2", u32(kTdvfFromEnd));
    }
    entry("7255371f-3a3b-4b04-927b-1da6efa8d454", u32(parts.kernel_hashes_address));
    if (parts.has_reset) entry("00f771de-1a7e-4fcb-890e-68c77e2fb44e", u32(0x80b004));
    if (parts.has_svsm) entry("a789a612-0597-4c4b-a49f-cbb1fe9d1ddd", u32(0));
    entry("96b582de-1fb2-45f7-baea-a366c55a082d", {});
    Bytes bytes = std::move(table).take();
    // The last entry is the footer, whose size is that of the whole table.
    Writer size;
    size.u16le(static_cast<std::uint16_t>(bytes.size()));
    put(bytes, bytes.size() - 18, size.view());
    put(image, image.size() - 32 - bytes.size(), bytes);
    return image;
}

inline Bytes usual_image() {
    return make_image(
        {.sev_metadata = usual_sev_metadata(), .tdvf_metadata = usual_tdvf_metadata()});
}

/// A PE32+ program of two sections and, if asked for, certificates at its end.
inline Bytes make_program(std::size_t certificate_bytes) {
    constexpr std::size_t kHeaders = 0x400;
    Bytes out(kHeaders + 0x600 + 0x20 + certificate_bytes);
    for (std::size_t i = 0x200; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 3);
    auto u32 = [&out](std::size_t offset, std::size_t value) {
        Writer writer;
        writer.u32le(static_cast<std::uint32_t>(value));
        put(out, offset, writer.view());
    };
    constexpr std::size_t kPe = 0x80;
    constexpr std::size_t kOptional = kPe + 24;
    u32(0x3c, kPe);
    u32(kPe, 0x4550);
    out[kPe + 6] = std::byte{2};     // sections
    out[kPe + 20] = std::byte{240};  // size of the optional header
    out[kOptional] = std::byte{0x0b};
    out[kOptional + 1] = std::byte{0x02};
    u32(kOptional + 60, kHeaders);
    u32(kOptional + 64, 0x12345678);  // checksum
    u32(kOptional + 108, 16);         // data directories
    u32(kOptional + 112 + 32, certificate_bytes == 0 ? 0 : out.size() - certificate_bytes);
    u32(kOptional + 112 + 36, certificate_bytes);
    constexpr std::size_t kSections = kOptional + 240;
    u32(kSections + 16, 0x400);
    u32(kSections + 20, kHeaders + 0x200);  // not in file order
    u32(kSections + 40 + 16, 0x200);
    u32(kSections + 40 + 20, kHeaders);
    return out;
}

}  // namespace eos::client::measure::testing
