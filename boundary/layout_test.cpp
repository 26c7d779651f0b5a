// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/layout.h"

#include <gtest/gtest.h>

#include <set>

#include "boundary/test_block.h"

namespace eos::boundary {
namespace {

TEST(Layout, OpensWhatWasCreated) {
    TestBlock block({.worker_count = 3, .data_ring_bytes = 1 << 18, .rpc_ring_bytes = 1 << 17});
    auto opened = Layout::open(block.bytes());
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->worker_count(), 3u);
    for (unsigned worker = 0; worker < 3; ++worker) {
        for (RingId id : {RingId::kDataIn, RingId::kDataOut, RingId::kRpcIn, RingId::kRpcOut}) {
            RingMemory a = block.layout().ring(worker, id);
            RingMemory b = opened->ring(worker, id);
            EXPECT_EQ(a.produced, b.produced);
            EXPECT_EQ(a.consumed, b.consumed);
            EXPECT_EQ(a.words.data(), b.words.data());
            EXPECT_EQ(a.words.size(), b.words.size());
        }
    }
}

// Every area of every worker, as [begin, end): none may overlap another or leave the block.
TEST(Layout, AreasAreDisjointAndInside) {
    TestBlock block({.worker_count = 16, .data_ring_bytes = 1 << 18, .rpc_ring_bytes = 1 << 17});
    std::set<std::pair<std::byte*, std::byte*>> areas;
    auto add = [&](void* begin, std::size_t size) {
        auto* at = static_cast<std::byte*>(begin);
        EXPECT_GE(at, block.bytes().data() + kPageBytes);
        EXPECT_LE(at + size, block.bytes().data() + block.bytes().size());
        EXPECT_TRUE(areas.emplace(at, at + size).second);
    };
    add(block.layout().time().sequence, 24);
    for (unsigned worker = 0; worker < 16; ++worker) {
        add(block.layout().trusted_bell(worker).sequence, 128);
        add(block.layout().host_bell(worker).sequence, 128);
        for (RingId id : {RingId::kDataIn, RingId::kDataOut, RingId::kRpcIn, RingId::kRpcOut}) {
            RingMemory ring = block.layout().ring(worker, id);
            add(ring.produced, 128);
            add(ring.consumed, 128);
            add(ring.words.data(), ring.words.size_bytes());
        }
    }
    std::byte* last = nullptr;
    for (auto [begin, end] : areas) {
        EXPECT_GE(begin, last);
        last = end;
    }
}

struct HostileHeader {
    const char* what;
    std::size_t word;
    std::uint64_t value;
};

class LayoutHostile : public testing::TestWithParam<HostileHeader> {};

TEST_P(LayoutHostile, IsRefused) {
    TestBlock block({.worker_count = 2});
    std::memcpy(block.bytes().data() + 8 * GetParam().word, &GetParam().value, 8);
    auto opened = Layout::open(block.bytes());
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code(), bad_layout);
}

INSTANTIATE_TEST_SUITE_P(
    Headers, LayoutHostile,
    testing::Values(HostileHeader{"magic", 0, kBlockMagic + 1}, HostileHeader{"version", 1, 2},
                    HostileHeader{"no worker", 2, 0}, HostileHeader{"other count", 2, 3},
                    HostileHeader{"many workers", 2, 17},
                    HostileHeader{"count wraps 32 bits", 2, (1ULL << 32) + 2},
                    HostileHeader{"ring of 0", 3, 0}, HostileHeader{"not a power", 3, 300 * 1024},
                    HostileHeader{"tiny ring", 3, 4096}, HostileHeader{"huge ring", 3, 1ULL << 63},
                    HostileHeader{"other ring", 3, 1 << 19}, HostileHeader{"rpc ring", 4, 1 << 17},
                    HostileHeader{"rpc wraps", 4, (1ULL << 32) + (1 << 18)}),
    [](const auto& row) {
        std::string name = row.param.what;
        for (char& c : name) c = c == ' ' ? '_' : c;
        return name;
    });

TEST(Layout, RefusesBlocksOfAnotherShape) {
    TestBlock block({.worker_count = 2});
    EXPECT_FALSE(Layout::open(block.bytes().first(block.bytes().size() - kPageBytes)).has_value());
    EXPECT_FALSE(Layout::open(block.bytes().first(8)).has_value());
    EXPECT_FALSE(Layout::open(block.bytes().subspan(8)).has_value());
    EXPECT_FALSE(Layout::create(block.bytes(), {.worker_count = 1}).has_value());
    EXPECT_FALSE(Layout::block_bytes({.worker_count = 17}).has_value());
}

TEST(Layout, ReadsTheHeaderOnce) {
    TestBlock block({.worker_count = 2});
    auto opened = Layout::open(block.bytes());
    ASSERT_TRUE(opened.has_value());
    std::memset(block.bytes().data(), 0xff, kPageBytes);
    EXPECT_EQ(opened->worker_count(), 2u);
    EXPECT_EQ(opened->ring(1, RingId::kRpcOut).words.data(),
              block.layout().ring(1, RingId::kRpcOut).words.data());
}

}  // namespace
}  // namespace eos::boundary
