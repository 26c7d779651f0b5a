// SPDX-License-Identifier: AGPL-3.0-only
// The files of an OCI image layout, in a folder or in a tar archive of one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "client/measure/digest.h"

namespace eos::client::measure {

inline constexpr std::size_t kMaxArchiveEntries = 65536;

/// Reads files by their path within the layout. Nothing is unpacked, no link is followed out of an
/// archive.
class LayoutFiles {
  public:
    /// in:     a folder, or a tar archive (POSIX ustar, not compressed).
    /// errors: bad_image (no archive, more than kMaxArchiveEntries, a name twice, an extension that
    ///         changes names or sizes), client::file_unreadable.
    [[nodiscard]] static Result<LayoutFiles> open(const std::filesystem::path& path);

    /// The size in bytes that read() will find.
    /// errors: bad_image (no such file).
    [[nodiscard]] Result<std::uint64_t> size_of(const std::string& name) const;

    /// Gives the content piece by piece to `take`.
    /// returns: its size in bytes.
    /// errors:  bad_image (no such file), client::file_unreadable.
    [[nodiscard]] Result<std::uint64_t> read(const std::string& name,
                                             const std::function<void(ByteView)>& take) const;

    /// The whole content, at most max_bytes.
    /// errors: as read(); bad_image (larger).
    [[nodiscard]] Result<Bytes> read_small(const std::string& name, std::size_t max_bytes) const;

  private:
    struct Place {
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
    };
    [[nodiscard]] Result<void> index_archive();
    [[nodiscard]] Result<Place> find(const std::string& name, std::filesystem::path& file) const;

    std::filesystem::path path_;
    bool is_archive_ = false;
    std::map<std::string, Place, std::less<>> archive_;
};

}  // namespace eos::client::measure
