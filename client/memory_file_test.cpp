// SPDX-License-Identifier: AGPL-3.0-only
#include "client/memory_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "client/files.h"
#include "client/testing.h"

namespace eos::client {
namespace {

using attestation::appraise::InstanceMemory;
using attestation::appraise::Sighting;
using ::testing::HasSubstr;

Sighting sighting(unsigned instance, std::uint64_t generation) {
    Sighting out;
    out.claim.id[0] = static_cast<std::byte>(instance);
    out.claim.boot_id[0] = std::byte{1};
    out.claim.generation = generation;
    out.server_name = "a.test";
    out.time = UnixTime{1'800'000'000};
    return out;
}

void write(const std::filesystem::path& path, std::string_view text) {
    ASSERT_TRUE(write_file(path, as_bytes(text), {}));
}

TEST(MemoryFile, BeginsEmptyAndKeepsWhatItWasTold) {
    TestFolder folder;
    MemoryFile file(folder / "new-folder/seen.json");
    EXPECT_EQ(file.load().value(), InstanceMemory{});
    EXPECT_FALSE(std::filesystem::exists(file.path()));
    ASSERT_TRUE(file.remember(sighting(1, 7)));
    ASSERT_TRUE(MemoryFile(file.path()).remember(sighting(2, 9)));
    ASSERT_TRUE(file.remember(sighting(1, 3)));
    InstanceMemory memory = file.load().value();
    EXPECT_EQ(memory.find(sighting(1, 0).claim.id)->generation, 7u);
    EXPECT_EQ(memory.find(sighting(2, 0).claim.id)->generation, 9u);
    EXPECT_TRUE(file.forget(sighting(1, 0).claim.id).value());
    EXPECT_FALSE(file.forget(sighting(1, 0).claim.id).value());
    EXPECT_EQ(file.load()->instances().size(), 1u);
    ASSERT_TRUE(file.forget_all());
    EXPECT_EQ(file.load().value(), InstanceMemory{});
}

TEST(MemoryFile, ADamagedFileIsAnErrorWithAWayOutAndStaysAsItIs) {
    TestFolder folder;
    MemoryFile file(folder / "seen.json");
    ASSERT_TRUE(file.remember(sighting(1, 7)));
    const Bytes good = *read_file(file.path());
    std::string half = to_string(good).substr(0, good.size() / 2);
    for (const std::string& damaged : {half, std::string("{}"), std::string()}) {
        write(file.path(), damaged);
        for (const Error& error : {file.load().error(), file.remember(sighting(1, 9)).error(),
                                   file.forget(sighting(1, 0).claim.id).error()}) {
            EXPECT_EQ(error.code(), memory_unusable);
            EXPECT_THAT(error.message(), HasSubstr(file.path().string()));
            EXPECT_THAT(error.message(), HasSubstr("context forget --all"));
        }
        EXPECT_EQ(to_string(*read_file(file.path())), damaged);
    }
    ASSERT_TRUE(file.forget_all());
    EXPECT_TRUE(file.remember(sighting(1, 1)));
}

TEST(MemoryFile, WhatCannotBeWrittenIsAnError) {
    TestFolder folder;
    write(folder / "file", "x");
    MemoryFile file(folder / "file/seen.json");
    EXPECT_EQ(file.remember(sighting(1, 7)).error().code(), memory_unusable);
    EXPECT_THAT(file.remember(sighting(1, 7)).error().message(), HasSubstr("--no-memory"));
}

TEST(MemoryFile, AFullMemorySaysHowToMakeRoom) {
    TestFolder folder;
    MemoryFile file(folder / "seen.json");
    InstanceMemory memory;
    for (unsigned i = 0; i < attestation::appraise::kMaxSeenInstances; ++i) {
        Sighting each = sighting(0, 1);
        each.claim.id[1] = static_cast<std::byte>(i >> 8);
        each.claim.id[2] = static_cast<std::byte>(i);
        ASSERT_TRUE(memory.remember(each));
    }
    write(file.path(), memory.text());
    Result<void> remembered = file.remember(sighting(1, 1));
    EXPECT_EQ(remembered.error().code(), memory_unusable);
    EXPECT_THAT(remembered.error().message(), HasSubstr("context forget INSTANCE"));
}

TEST(MemoryFile, WritersAtTheSameTimeLoseNothing) {
    TestFolder folder;
    MemoryFile file(folder / "seen.json");
    constexpr unsigned kWriters = 4;
    constexpr unsigned kEach = 8;
    std::vector<std::thread> writers;
    for (unsigned writer = 0; writer < kWriters; ++writer) {
        writers.emplace_back([&file, writer] {
            for (unsigned i = 0; i < kEach; ++i)
                EXPECT_TRUE(file.remember(sighting(writer * kEach + i, i)));
        });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(file.load()->instances().size(), kWriters * kEach);
}

}  // namespace
}  // namespace eos::client
