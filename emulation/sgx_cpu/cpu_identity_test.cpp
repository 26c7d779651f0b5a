// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/sgx_cpu/cpu_identity.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "emulation/sgx_cpu/cpu.h"

namespace eos::emulation::sgx_cpu {
namespace {

namespace fs = std::filesystem;

class IdentityFile : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "eos-cpu-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        path_ = folder_ / "cpu.identity";
        write(encode_identity(identity_).view());
    }
    void TearDown() override { fs::remove_all(folder_); }

    void write(ByteView bytes) const {
        std::ofstream(path_, std::ios::binary | std::ios::trunc)
            .write(as_chars(bytes).data(), static_cast<std::streamsize>(bytes.size()));
        ::chmod(path_.c_str(), 0600);
    }
    std::string code() const {
        Result<Cpu> cpu = Cpu::load(path_);
        return cpu ? "loaded" : std::string(cpu.error().code().name);
    }

    CpuIdentity identity_ = generate_identity();
    fs::path folder_;
    fs::path path_;
};

TEST_F(IdentityFile, RoundTrips) {
    const CpuIdentity loaded = load_identity(path_).value();
    EXPECT_EQ(loaded.cpu_svn, identity_.cpu_svn);
    EXPECT_EQ(loaded.pce_svn, identity_.pce_svn);
    EXPECT_EQ(loaded.pce_id, identity_.pce_id);
    EXPECT_EQ(loaded.fmspc, identity_.fmspc);
    EXPECT_EQ(loaded.ppid, identity_.ppid);
    EXPECT_EQ(loaded.platform_instance_id, identity_.platform_instance_id);
    EXPECT_TRUE(equal(loaded.root_secret.view(), identity_.root_secret.view()));
    EXPECT_EQ(fs::file_size(path_), kIdentityFileBytes);
}

TEST_F(IdentityFile, NoTwoCpusAreTheSame) {
    const CpuIdentity other = generate_identity();
    EXPECT_FALSE(equal(other.root_secret.view(), identity_.root_secret.view()));
    EXPECT_NE(other.ppid, identity_.ppid);
    EXPECT_NE(other.platform_instance_id, identity_.platform_instance_id);
}

TEST_F(IdentityFile, LoosePermissionsAreRefused) {
    for (mode_t mode : {0640, 0604, 0660, 0601, 0777}) {
        ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
        EXPECT_EQ(code(), "identity_not_private") << std::oct << mode;
    }
    ASSERT_EQ(::chmod(path_.c_str(), 0400), 0);
    EXPECT_EQ(code(), "loaded");
}

TEST_F(IdentityFile, LinksFoldersAndPipesAreRefused) {
    const fs::path real = folder_ / "real";
    fs::rename(path_, real);
    EXPECT_EQ(code(), "identity_unreadable");
    fs::create_symlink(real, path_);
    EXPECT_EQ(code(), "identity_not_private");
    fs::remove(path_);
    fs::create_directory(path_);
    EXPECT_EQ(code(), "identity_not_private");
    fs::remove(path_);
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    EXPECT_EQ(code(), "identity_not_private");
}

TEST_F(IdentityFile, EveryAlteredByteIsNoticed) {
    const SecretBytes good = encode_identity(identity_);
    for (std::size_t i = 0; i < good.size(); ++i) {
        Bytes bad = to_bytes(good.view());
        bad[i] ^= std::byte{1};
        const bool version = i >= 16 && i < 20;
        Result<CpuIdentity> parsed = parse_identity(bad);
        ASSERT_FALSE(parsed.has_value()) << i;
        EXPECT_EQ(parsed.error().code(), version ? identity_version : identity_malformed) << i;
    }
}

TEST_F(IdentityFile, OtherSizesAreRefused) {
    Bytes bytes = to_bytes(encode_identity(identity_).view());
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_EQ(parse_identity(ByteView(bytes).first(size)).error().code(), identity_malformed);
    bytes.push_back(std::byte{0});
    write(bytes);
    EXPECT_EQ(code(), "identity_malformed");
    write({});
    EXPECT_EQ(code(), "identity_malformed");
}

}  // namespace
}  // namespace eos::emulation::sgx_cpu
