// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/platform_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <string>

namespace eos::emulation::quoting {
namespace {

namespace fs = std::filesystem;

class PlatformDirectory : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "eos-platform-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        ASSERT_EQ(init(folder_ / "a", Overwrite::kNo), "ok");
    }
    void TearDown() override { fs::remove_all(folder_); }

    static std::string init(const fs::path& directory, Overwrite overwrite) {
        const auto made = init_platform(directory, overwrite, UnixTime{::time(nullptr)});
        return made ? "ok" : std::string(made.error().code().name);
    }
    static std::string load(const fs::path& directory) {
        const auto enclave = load_platform(directory);
        return enclave ? "ok" : std::string(enclave.error().code().name);
    }
    static void replace(const fs::path& path, ByteView bytes) {
        std::ofstream(path, std::ios::binary | std::ios::trunc)
            .write(as_chars(bytes).data(), static_cast<std::streamsize>(bytes.size()));
    }
    static mode_t mode(const fs::path& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
        return status.st_mode & 0777;
    }

    fs::path folder_;
};

TEST_F(PlatformDirectory, WhatInitMakesLoadsAndQuotes) {
    const QuotingEnclave enclave = load_platform(folder_ / "a").value();
    const auto report = enclave.cpu().report({}, enclave.target_info(), {}).value();
    EXPECT_TRUE(enclave.quote(encode(report)).has_value());

    // Another process that loads the same identity file is the same CPU.
    const sgx_cpu::Cpu again = sgx_cpu::Cpu::load(folder_ / "a" / kCpuFile).value();
    EXPECT_TRUE(
        enclave.quote(encode(again.report({}, enclave.target_info(), {}).value())).has_value());
}

TEST_F(PlatformDirectory, SecretsArePrivateAndNothingIsLeftOver) {
    EXPECT_EQ(mode(folder_ / "a"), 0700u);
    EXPECT_EQ(mode(folder_ / "a" / kCpuFile), 0600u);
    EXPECT_EQ(mode(folder_ / "a" / kKeysFile), 0600u);
    EXPECT_EQ(mode(folder_ / "a" / kTdKeysFile), 0600u);
    EXPECT_EQ(mode(folder_ / "a" / kIssuingFile), 0600u);
    EXPECT_EQ(mode(folder_ / "a" / kRootFile), 0644u);
    const auto files = fs::directory_iterator(folder_ / "a");
    EXPECT_EQ(std::distance(begin(files), end(files)), 8);
}

TEST_F(PlatformDirectory, NothingIsOverwrittenWithoutForce) {
    const Bytes root = read_file(folder_ / "a" / kRootFile).value();
    EXPECT_EQ(init(folder_ / "a", Overwrite::kNo), "already_initialised");
    EXPECT_EQ(read_file(folder_ / "a" / kRootFile).value(), root);
    for (const char* name : {kKeysFile, kTdKeysFile, kChainFile, kRootFile, kCollateralFile,
                             kTdxCollateralFile, kIssuingFile}) {
        const fs::path directory = folder_ / name;
        fs::create_directory(directory);
        fs::copy(folder_ / "a" / name, directory);
        EXPECT_EQ(init(directory, Overwrite::kNo), "already_initialised") << name;
    }
    EXPECT_EQ(init(folder_ / "a", Overwrite::kYes), "ok");
    EXPECT_NE(read_file(folder_ / "a" / kRootFile).value(), root);
    EXPECT_EQ(load(folder_ / "a"), "ok");
}

TEST_F(PlatformDirectory, UnsafeDirectoriesAreRefused) {
    EXPECT_EQ(init(folder_ / "missing" / "b", Overwrite::kNo), "directory_unusable");
    fs::create_directory(folder_ / "open");
    ASSERT_EQ(::chmod((folder_ / "open").c_str(), 0770), 0);
    EXPECT_EQ(init(folder_ / "open", Overwrite::kNo), "directory_unusable");
    fs::create_directory(folder_ / "real");
    fs::create_directory_symlink(folder_ / "real", folder_ / "link");
    EXPECT_EQ(init(folder_ / "link", Overwrite::kNo), "directory_unusable");
    std::ofstream(folder_ / "file") << "x";
    EXPECT_EQ(init(folder_ / "file", Overwrite::kYes), "directory_unusable");
}

TEST_F(PlatformDirectory, DamagedKeysAreNoticed) {
    const fs::path keys = folder_ / "a" / kKeysFile;
    const Bytes good = read_file(keys).value();
    for (std::size_t at : {std::size_t{0}, std::size_t{12}, std::size_t{600}, good.size() - 1}) {
        Bytes bad = good;
        bad[at] ^= std::byte{1};
        replace(keys, bad);
        EXPECT_EQ(load(folder_ / "a"), "keys_malformed") << at;
    }
    for (std::size_t size : {std::size_t{0}, std::size_t{11}, std::size_t{12}, good.size() - 1}) {
        replace(keys, ByteView(good).first(size));
        EXPECT_EQ(load(folder_ / "a"), "keys_malformed") << size;
    }
    replace(keys, Bytes(70'000));
    EXPECT_EQ(load(folder_ / "a"), "file_unreadable");
    fs::remove(keys);
    EXPECT_EQ(load(folder_ / "a"), "file_unreadable");
}

TEST_F(PlatformDirectory, TheTdQuotingEnclaveIsOfTheSamePlatform) {
    const auto report = emulated_td_report(attestation::evidence::TdReportKind::tdx15);
    EXPECT_TRUE(load_td_platform(folder_ / "a").value().quote(report).has_value());
    // Each quoting enclave's keys are sealed to itself.
    fs::copy_file(folder_ / "a" / kKeysFile, folder_ / "a" / kTdKeysFile,
                  fs::copy_options::overwrite_existing);
    EXPECT_EQ(load_td_platform(folder_ / "a").error().code(), keys_malformed);
    fs::remove(folder_ / "a" / kTdKeysFile);  // as of a platform from before there was TDX
    EXPECT_EQ(load_td_platform(folder_ / "a").error().code(), file_unreadable);
    EXPECT_EQ(load(folder_ / "a"), "ok");
}

TEST_F(PlatformDirectory, PartsOfTwoPlatformsDoNotMix) {
    ASSERT_EQ(init(folder_ / "b", Overwrite::kNo), "ok");
    const auto take_from_b = [&](const char* name) {
        fs::copy_file(folder_ / "b" / name, folder_ / "a" / name,
                      fs::copy_options::overwrite_existing);
        return load(folder_ / "a");
    };
    EXPECT_EQ(take_from_b(kChainFile), "inconsistent_keys");
    EXPECT_EQ(take_from_b(kKeysFile), "keys_malformed");
    EXPECT_EQ(take_from_b(kCpuFile), "ok");  // now it is b as a whole
}

TEST_F(PlatformDirectory, LooseIdentityIsRefused) {
    ASSERT_EQ(::chmod((folder_ / "a" / kCpuFile).c_str(), 0640), 0);
    EXPECT_EQ(load(folder_ / "a"), "identity_not_private");
}

}  // namespace
}  // namespace eos::emulation::quoting
