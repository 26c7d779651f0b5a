// SPDX-License-Identifier: AGPL-3.0-only
// What the tests of this folder share; in no program.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace eos::daemon::testing {

/// A directory of its own for one test (mode 0700), removed at the end.
class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "eos-daemon-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) abort();
        path_ = pattern;
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace eos::daemon::testing
