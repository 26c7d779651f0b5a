// SPDX-License-Identifier: AGPL-3.0-only
// For the tests of this folder.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace eos::client {

/// A folder of a test's own, gone with it.
class TestFolder {
  public:
    TestFolder() {
        std::string pattern = ::testing::TempDir() + "eos-client.XXXXXX";
        path_ = mkdtemp(pattern.data());
    }
    ~TestFolder() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;

    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace eos::client
