// SPDX-License-Identifier: AGPL-3.0-only
// The file system calls that configfs-tsm is spoken to with, apart from what they mean.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "trusted/os/unique_fd.h"

namespace eos::cvm {

/// An errno value; never 0 as an error.
struct Errno {
    int value = 0;
};
template <typename T>
using SystemResult = std::expected<T, Errno>;

/// "EBUSY (Device or resource busy)".
std::string describe(Errno error);

/// One attribute of one entry.
struct TsmAttribute {
    std::string entry;
    const char* name = "";
};

inline constexpr std::size_t kMaxListedEntries = 4096;

/// A directory with the semantics of configfs-tsm. threads: one at a time.
class TsmDirectory {
  public:
    virtual ~TsmDirectory() = default;
    virtual SystemResult<void> make(const std::string& entry) = 0;
    virtual void remove(const std::string& entry) = 0;
    /// The names of all entries, as far as they can be read; at most kMaxListedEntries.
    virtual std::vector<std::string> entries() = 0;
    /// Reads to the end, at most `limit` bytes and one more, by which the caller sees that there
    /// are too many.
    virtual SystemResult<Bytes> read(const TsmAttribute& attribute, std::size_t limit) = 0;
    /// One write and the close that makes it take effect.
    virtual SystemResult<void> write(const TsmAttribute& attribute, ByteView value) = 0;
    /// Whether this process may write to it; nothing is written.
    virtual SystemResult<void> may_write(const TsmAttribute& attribute) = 0;
};

/// The real one. Follows no link below `path`.
/// errors: an errno.
[[nodiscard]] SystemResult<std::unique_ptr<TsmDirectory>> open_tsm_directory(
    const std::string& path);

}  // namespace eos::cvm
