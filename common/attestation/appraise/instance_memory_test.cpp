// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/instance_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::attestation::appraise {
namespace {

ByteArray<16> id_of(unsigned number) {
    ByteArray<16> out{};
    out[0] = static_cast<std::byte>(number >> 8);
    out[1] = static_cast<std::byte>(number);
    return out;
}

Sighting sighting(unsigned instance, unsigned boot, std::uint64_t generation,
                  std::string name = "a.test") {
    return {.claim = {id_of(instance), id_of(boot), generation},
            .server_name = std::move(name),
            .time = UnixTime{1'800'000'000}};
}

InstanceMemory filled() {
    InstanceMemory memory;
    EXPECT_TRUE(memory.remember(sighting(1, 1, 7)));
    EXPECT_TRUE(memory.remember(sighting(1, 2, ~std::uint64_t{0}, "b.test")));
    EXPECT_TRUE(memory.remember(sighting(2, 3, 0, "")));
    return memory;
}

Result<InstanceMemory> parse(const json::Value& value) {
    return InstanceMemory::parse(as_bytes(json::compact(value)));
}

TEST(InstanceMemory, RemembersTheHighestGenerationAndTheOrderOfStarts) {
    InstanceMemory memory;
    for (std::uint64_t generation : {7, 9, 8})
        ASSERT_TRUE(memory.remember(sighting(1, 1, generation)));
    ASSERT_TRUE(memory.remember(sighting(1, 2, 9, "b.test")));
    ASSERT_TRUE(memory.remember(sighting(1, 1, 9)));
    const SeenInstance* seen = memory.find(id_of(1));
    ASSERT_NE(seen, nullptr);
    EXPECT_EQ(seen->generation, 9u);
    EXPECT_THAT(seen->boot_ids, ::testing::ElementsAre(id_of(1), id_of(2)));
    EXPECT_THAT(seen->names, ::testing::ElementsAre("a.test", "b.test"));
    EXPECT_EQ(memory.find(id_of(2)), nullptr);
    EXPECT_FALSE(memory.forget(id_of(2)));
    EXPECT_TRUE(memory.forget(id_of(1)));
    EXPECT_EQ(memory, InstanceMemory{});
}

TEST(InstanceMemory, IsReadAsItWasWritten) {
    EXPECT_EQ(InstanceMemory::parse(as_bytes(InstanceMemory{}.text())).value(), InstanceMemory{});
    EXPECT_EQ(InstanceMemory::parse(as_bytes(filled().text())).value(), filled());
}

TEST(InstanceMemory, IsBoundedAndDropsNoInstanceToMakeRoom) {
    InstanceMemory memory;
    for (unsigned i = 0; i < kMaxSeenInstances; ++i)
        ASSERT_TRUE(memory.remember(sighting(i, 1, 1)));
    EXPECT_EQ(memory.remember(sighting(5000, 1, 1)).error().code(), instance_memory_full);
    EXPECT_TRUE(memory.remember(sighting(0, 1, 2)));
    for (unsigned boot = 1; boot <= kMaxSeenBootIds + 1; ++boot)
        ASSERT_TRUE(memory.remember(sighting(0, boot, 2, std::to_string(boot))));
    for (unsigned i = 0; i < 2 * kMaxSeenNames; ++i)
        ASSERT_TRUE(memory.remember(sighting(0, 2, 2, "name" + std::to_string(i))));
    EXPECT_EQ(memory.find(id_of(0))->boot_ids.front(), id_of(2));
    EXPECT_EQ(memory.find(id_of(0))->boot_ids.size(), kMaxSeenBootIds);
    EXPECT_EQ(memory.find(id_of(0))->names.size(), kMaxSeenNames);
    std::string text = memory.text();
    EXPECT_LE(text.size(), kMaxInstanceMemoryBytes);
    EXPECT_EQ(InstanceMemory::parse(as_bytes(text)).value(), memory);
}

TEST(InstanceMemory, TwinsAreRefused) {
    struct Twin {
        std::string pointer;
        json::Value value;  ///< null removes the member
        Code code;
    };
    const std::string id = hex(id_of(1));
    const Twin twins[] = {
        {"/version", 2, bad_instance_memory},
        {"/version", {}, json::missing_member},
        {"/instances", {}, json::missing_member},
        {"/instances", 1, json::wrong_type},
        {"/more", 1, json::unknown_member},
        {"/instances/0/id", {}, json::missing_member},
        {"/instances/0/id", "00", bad_encoding},
        {"/instances/1/id", id, bad_instance_memory},  // that of the first
        {"/instances/0/generation", "7", json::wrong_type},
        {"/instances/0/generation", -1, json::out_of_range},
        {"/instances/0/generation", {}, json::missing_member},
        {"/instances/0/boot_ids", {}, bad_instance_memory},
        {"/instances/0/boot_ids", json::Value::array(), bad_instance_memory},
        {"/instances/0/boot_ids", {id, id}, bad_instance_memory},
        {"/instances/0/boot_ids/0", "zz", bad_encoding},
        {"/instances/0/names/0", 1, json::wrong_type},
        {"/instances/0/last_seen", "yesterday", bad_time},
        {"/instances/0/more", 1, json::unknown_member},
    };
    const json::Value good = json::parse(as_bytes(filled().text()), {}).value();
    for (const Twin& twin : twins) {
        json::Value value = good;
        json::Value::json_pointer pointer(twin.pointer);
        if (twin.value.is_null()) {
            value[pointer.parent_pointer()].erase(pointer.back());
        } else {
            value[pointer] = twin.value;
        }
        Result<InstanceMemory> memory = parse(value);
        ASSERT_FALSE(memory) << twin.pointer;
        EXPECT_EQ(memory.error().code(), twin.code) << twin.pointer << memory.error().message();
    }
    for (std::string_view text : {"", "{", "[]", "null"}) {
        EXPECT_FALSE(InstanceMemory::parse(as_bytes(text))) << text;
    }
}

}  // namespace
}  // namespace eos::attestation::appraise
