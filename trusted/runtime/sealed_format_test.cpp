// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/sealed_format.h"

#include <gtest/gtest.h>

#include "common/base/codec.h"
#include "common/crypto/cipher.h"
#include "trusted/runtime/testing.h"

namespace eos::runtime {
namespace {

using testing::outcome;

RecordCipher cipher(unsigned char key = 7) {
    return {SealingKeyBytes(ByteArray<16>{std::byte{key}}), InstanceId{std::byte{9}}};
}

RecordEntry entry() {
    return {3, 12, Salt{std::byte{0x55}}, 5};
}

RootRecord root() {
    RootRecord out;
    out.measurement = Measurement{std::byte{1}};
    out.key_request = to_bytes("request");
    out.instance_id = InstanceId{std::byte{9}};
    out.generation = 12;
    out.salt = Salt{std::byte{2}};
    return out;
}

TEST(SealedFormat, ChunksCoverARecord) {
    for (std::uint32_t size : {0u, 1u, 65472u, 65473u, 130944u, 130945u, 17u << 20}) {
        std::size_t sum = 0;
        for (std::uint32_t i = 0; i < chunk_count(size); ++i) {
            EXPECT_TRUE(chunk_size(size, i) > 0 || size == 0);
            sum += chunk_size(size, i);
        }
        EXPECT_EQ(sum, size);
    }
    Bytes blob = cipher().seal({"a", entry(), 0}, Bytes(kChunkBytes));
    EXPECT_LE(blob.size(), kMaxBlobBytes);
}

// The construction of docs/formats/sealed-state.md, spelt out with the primitives.
TEST(SealedFormat, KeyAndAdditionalDataAreAsDecided) {
    Bytes blob = cipher().seal({"owner", entry(), 4}, as_bytes("value"));
    Writer info;
    info.u16be(3).u16be(1).bytes(InstanceId{std::byte{9}}).u64be(12).u8(5).text("owner").u32be(4);
    auto key = crypto::hkdf_sha256(ByteArray<16>{std::byte{7}}, Salt{std::byte{0x55}}, info.view());
    Bytes sealed = crypto::aes256_gcm_seal(key.view(), {}, as_bytes("value"), as_bytes("owner"));
    Writer expected;
    expected.u16be(1).u64be(12).bytes(Salt{std::byte{0x55}}).bytes(sealed);
    EXPECT_TRUE(equal(blob, expected.view()));
}

TEST(SealedFormat, EveryPartOfAnIdentityIsBound) {
    ChunkId id{"name", entry(), 1};
    Bytes blob = cipher().seal(id, as_bytes("x"));
    ByteView sealed = parse_envelope(blob)->sealed;
    EXPECT_EQ(outcome(cipher().open(id, sealed)), "ok");
    std::vector<ChunkId> others(6, id);
    others[0].name = "nams";
    others[1].chunk = 2;
    others[2].entry.type = 4;
    others[3].entry.generation = 13;
    others[4].entry.salt[31] = std::byte{1};
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(outcome(cipher().open(others[i], sealed)), "decryption_failed") << i;
        EXPECT_NE(cipher().blob_key(others[i]), i == 3 ? "" : cipher().blob_key(id)) << i;
    }
    EXPECT_EQ(outcome(cipher(8).open(id, sealed)), "decryption_failed");
    RecordCipher other_instance(SealingKeyBytes(ByteArray<16>{std::byte{7}}),
                                InstanceId{std::byte{8}});
    EXPECT_EQ(outcome(other_instance.open(id, sealed)), "decryption_failed");
    EXPECT_NE(other_instance.blob_key(id), cipher().blob_key(id));
}

TEST(SealedFormat, EnvelopesThatAreNone) {
    Bytes blob = cipher().seal({"a", entry(), 0}, {});
    EXPECT_EQ(outcome(parse_envelope(blob)), "ok");
    for (std::size_t size = 0; size < blob.size(); ++size) {
        EXPECT_EQ(outcome(parse_envelope(ByteView(blob).first(size))), "record_altered");
    }
    blob[1] = std::byte{2};
    EXPECT_EQ(outcome(parse_envelope(blob)), "record_altered");
}

TEST(SealedFormat, RootReadBack) {
    Bytes blob = cipher().seal_root(root(), {Salt{std::byte{4}}, 77});
    Result<RootRecord> parsed = parse_root(blob);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->generation, 12u);
    EXPECT_EQ(parsed->key_request, to_bytes("request"));
    Result<IndexPin> pin = cipher().open_root(*parsed);
    ASSERT_TRUE(pin.has_value());
    EXPECT_EQ(pin->size_bytes, 77u);
    EXPECT_EQ(pin->salt, Salt{std::byte{4}});
}

TEST(SealedFormat, RootFieldsInClearAreAuthenticated) {
    RootRecord parsed = *parse_root(cipher().seal_root(root(), {Salt{}, 1}));
    std::vector<void (*)(RootRecord&)> mutations{
        [](RootRecord& r) { r.measurement[0] ^= std::byte{1}; },
        [](RootRecord& r) { r.key_request.push_back(std::byte{0}); },
        [](RootRecord& r) { r.instance_id[0] ^= std::byte{1}; },
        [](RootRecord& r) { ++r.generation; },
        [](RootRecord& r) { r.salt[0] ^= std::byte{1}; },
        [](RootRecord& r) { r.sealed[0] ^= std::byte{1}; },
    };
    for (auto mutate : mutations) {
        RootRecord mutated = parsed;
        mutate(mutated);
        EXPECT_EQ(outcome(cipher().open_root(mutated)), "decryption_failed");
    }
}

Bytes with_checksum(Bytes blob) {
    blob.erase(blob.end() - 32, blob.end());
    append(blob, crypto::sha256(ByteView(blob)));
    return blob;
}

TEST(SealedFormat, RootsThatAreNone) {
    Bytes blob = cipher().seal_root(root(), {Salt{}, 1});
    for (std::size_t i = 0; i < blob.size(); ++i) {
        Bytes flipped = blob;
        flipped[i] ^= std::byte{0x10};
        EXPECT_EQ(outcome(parse_root(flipped)), "root_altered") << i;
        EXPECT_EQ(outcome(parse_root(ByteView(blob).first(i))), "root_altered") << i;
    }
    Bytes newer = blob;
    newer[9] = std::byte{2};
    EXPECT_EQ(outcome(parse_root(with_checksum(newer))), "unsupported_format");
    Bytes long_request = blob;
    long_request[42] = std::byte{0xff};
    EXPECT_EQ(outcome(parse_root(with_checksum(long_request))), "root_altered");
    Bytes short_fields(blob.begin(), blob.begin() + 60);
    EXPECT_EQ(outcome(parse_root(with_checksum(short_fields))), "root_altered");
    EXPECT_EQ(outcome(parse_root(Bytes(kMaxBlobBytes + 1))), "root_altered");
}

RecordIndex sample_index() {
    return {{"app/a", entry()}, {"app/b", entry()}, {"ca", {1, 0, Salt{}, 0}}};
}

TEST(SealedFormat, IndexReadBack) {
    Bytes bytes = encode_index(sample_index());
    Result<RecordIndex> index = parse_index(bytes, 12);
    ASSERT_TRUE(index.has_value());
    EXPECT_EQ(*index, sample_index());
    EXPECT_TRUE(parse_index(encode_index({}), 0)->empty());
}

TEST(SealedFormat, MalformedIndexes) {
    Bytes bytes = encode_index(sample_index());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_EQ(outcome(parse_index(ByteView(bytes).first(size), 12)), "malformed_index");
    }
    auto mutated = [&](auto change) {
        RecordIndex index = sample_index();
        change(index);
        return outcome(parse_index(encode_index(index), 12));
    };
    EXPECT_EQ(mutated([](RecordIndex&) {}), "ok");
    EXPECT_EQ(mutated([](RecordIndex& i) { i["ca"].generation = 13; }), "malformed_index");
    EXPECT_EQ(mutated([](RecordIndex& i) { i["ca"].type = 0; }), "malformed_index");
    EXPECT_EQ(mutated([](RecordIndex& i) { i["ca"].type = kIndexType; }), "malformed_index");
    EXPECT_EQ(mutated([](RecordIndex& i) { i["ca"].size_bytes = kMaxRecordBytes + 1; }),
              "malformed_index");
    EXPECT_EQ(mutated([](RecordIndex& i) { i["(index)"] = entry(); }), "malformed_index");
    EXPECT_EQ(mutated([](RecordIndex& i) { i[""] = entry(); }), "malformed_index");
    Bytes trailing = bytes;
    trailing.push_back(std::byte{0});
    EXPECT_EQ(outcome(parse_index(trailing, 12)), "malformed_index");
    Bytes unsorted = bytes;
    unsorted[4 + 1 + 4] = std::byte{'c'};  // app/a becomes app/c
    EXPECT_EQ(outcome(parse_index(unsorted, 12)), "malformed_index");
    Bytes many = bytes;
    many[0] = std::byte{0xff};
    EXPECT_EQ(outcome(parse_index(many, 12)), "malformed_index");
}

}  // namespace
}  // namespace eos::runtime
