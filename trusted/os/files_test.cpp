// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace eos::os {
namespace {

class FilesTest : public ::testing::Test {
  protected:
    FilesTest() { std::filesystem::create_directories(folder_); }
    ~FilesTest() override { std::filesystem::remove_all(folder_); }

    std::string write(const std::string& name, std::string_view text) {
        std::ofstream(folder_ / name, std::ios::binary) << text;
        return (folder_ / name).string();
    }

    std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("eos-files." + std::to_string(::getpid()));
};

TEST_F(FilesTest, OnlyFilesOfAtMostTheSizeAreRead) {
    const std::string path = write("text", "0123456789");
    EXPECT_EQ(read_file(path, 10).value(), to_bytes("0123456789"));
    EXPECT_EQ(read_file(path, 9).error().code(), file_unreadable);
    EXPECT_EQ(read_file(folder_.string(), 10).error().code(), file_unreadable);
    EXPECT_EQ(read_file(path + ".not", 10).error().code(), file_unreadable);
}

TEST_F(FilesTest, AKeyThatOthersMayReadIsRefused) {
    const std::string path = write("key.pem", "-----BEGIN PRIVATE KEY-----\n");
    std::filesystem::permissions(path, std::filesystem::perms(0640));
    EXPECT_EQ(read_private_key(path).error().code(), file_exposed);
    std::filesystem::permissions(path, std::filesystem::perms(0600));
    Result<crypto::P256PrivateKey> key = read_private_key(path);
    ASSERT_FALSE(key.has_value());
    EXPECT_NE(key.error().code(), file_exposed);
}

}  // namespace
}  // namespace eos::os
