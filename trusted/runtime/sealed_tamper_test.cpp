// SPDX-License-Identifier: AGPL-3.0-only
// What a hostile host can do to blobs between two starts, each with its own error.
#include <gtest/gtest.h>

#include "trusted/runtime/testing.h"

namespace eos::runtime {
namespace {

using testing::Blobs;
using testing::outcome;
using testing::TestStore;

const std::string kRoot = "state/root";

struct Sample {
    Blobs blobs;
    std::map<std::string, std::string> names;  // blob key -> record name
};

std::string large() {
    std::string out(150'000, 'x');
    out[77'777] = 'y';
    return out;
}

// Three records, one of them in three blobs; which blob is whose is found by committing one by one.
Sample make_sample() {
    TestStore test;
    EXPECT_EQ(outcome(test.open()), "ok");
    Sample out;
    for (std::string name : {"a", "b", "large"}) {
        Blobs before = test.blobs.blobs;
        EXPECT_EQ(outcome(test.put(name, name == "large" ? large() : "value of " + name)), "ok");
        for (const auto& [key, value] : test.blobs.blobs) {
            // The index is new too: the next round, or the loop below, takes it out again.
            if (!before.contains(key)) out.names[key] = name;
        }
    }
    std::erase_if(out.names, [&](const auto& e) { return !test.blobs.blobs.contains(e.first); });
    for (auto& [key, name] : out.names) {
        TestStore probe(test.blobs.blobs);
        probe.blobs.blobs.erase(key);
        if (probe.open().error().detail() == "(index)") name = "(index)";
    }
    out.blobs = test.blobs.blobs;
    return out;
}

// Opens the blobs and reads every record: the first error, or "ok".
Result<void> read_all(const Blobs& blobs) {
    TestStore test(blobs);
    EOS_TRY(test.open());
    for (const char* name : {"a", "b", "large"}) {
        std::string value = EOS_TRY(test.get(name));
        std::string expected =
            std::string(name) == "large" ? large() : "value of " + std::string(name);
        EXPECT_EQ(value, expected);
    }
    return {};
}

class SealedTamper : public ::testing::Test {
  protected:
    static void SetUpTestSuite() { sample_ = new Sample(make_sample()); }
    static void TearDownTestSuite() {
        delete sample_;
        sample_ = nullptr;
    }
    static Sample* sample_;
};
Sample* SealedTamper::sample_ = nullptr;

TEST_F(SealedTamper, TheSampleIsWhatTheTestsThink) {
    EXPECT_EQ(outcome(read_all(sample_->blobs)), "ok");
    std::map<std::string, int> count;
    for (const auto& [key, name] : sample_->names) ++count[name];
    EXPECT_EQ(count,
              (std::map<std::string, int>{{"(index)", 1}, {"a", 1}, {"b", 1}, {"large", 3}}));
    EXPECT_EQ(sample_->blobs.size(), 7u);
}

TEST_F(SealedTamper, AFlippedBitInAnyByteOfAnyBlob) {
    for (const auto& [key, value] : sample_->blobs) {
        // Every byte of small blobs; of large ones the envelope, the tag and a sample between.
        std::size_t step = value.size() > 2000 ? 1997 : 1;
        for (std::size_t i = 0; i < value.size(); i += i < 64 ? 1 : step) {
            Blobs blobs = sample_->blobs;
            blobs[key][i] ^= std::byte(1u << i % 8);
            Result<void> result = read_all(blobs);
            ASSERT_EQ(outcome(result), key == kRoot ? "root_altered" : "record_altered")
                << sample_->names[key] << " byte " << i;
            if (key != kRoot) {
                EXPECT_TRUE(result.error().detail().starts_with(sample_->names[key]));
            }
        }
        Blobs blobs = sample_->blobs;
        blobs[key].back() ^= std::byte{0x80};
        EXPECT_FALSE(read_all(blobs).has_value());
    }
}

TEST_F(SealedTamper, TruncatedOrExtendedBlobs) {
    for (const auto& [key, value] : sample_->blobs) {
        for (std::size_t size : {std::size_t{0}, value.size() - 1, value.size() + 1}) {
            Blobs blobs = sample_->blobs;
            blobs[key].resize(size);
            EXPECT_EQ(outcome(read_all(blobs)), key == kRoot ? "root_altered" : "record_altered");
        }
    }
}

TEST_F(SealedTamper, EveryDeletion) {
    for (const auto& [key, value] : sample_->blobs) {
        Blobs blobs = sample_->blobs;
        blobs.erase(key);
        TestStore test(blobs);
        Result<void> opened = test.open();
        if (key == kRoot) {
            EXPECT_EQ(outcome(opened), "root_missing_but_state_present");
        } else {
            ASSERT_EQ(outcome(opened), "record_missing");
            EXPECT_TRUE(opened.error().detail().starts_with(sample_->names[key]));
        }
        EXPECT_EQ(test.blobs.blobs, blobs);  // refusing must not delete anything
    }
}

TEST_F(SealedTamper, EverySwap) {
    for (const auto& [a, a_value] : sample_->blobs) {
        for (const auto& [b, b_value] : sample_->blobs) {
            if (a >= b) continue;
            Blobs blobs = sample_->blobs;
            std::swap(blobs[a], blobs[b]);
            Result<void> result = read_all(blobs);
            if (a == kRoot || b == kRoot) {
                EXPECT_EQ(outcome(result), "root_altered");
            } else if (sample_->names[a] == "(index)" || sample_->names[b] == "(index)") {
                // Before the index is read nobody knows whose the other blob is.
                EXPECT_EQ(outcome(result), "record_altered");
                EXPECT_TRUE(result.error().detail().starts_with("(index)"));
            } else {
                ASSERT_EQ(outcome(result), "record_swapped");
                const std::string& detail = result.error().detail();
                EXPECT_NE(detail.find(sample_->names[a]), detail.npos) << detail;
                EXPECT_NE(detail.find(sample_->names[b]), detail.npos) << detail;
            }
        }
    }
}

TEST(SealedTamperOld, AnOldVersionOfOneRecordIsStale) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    auto new_blob = [&](std::string_view value) {
        Blobs before = test.blobs.blobs;
        EXPECT_EQ(outcome(test.put("a", value)), "ok");
        std::vector<std::string> keys;
        for (const auto& [key, blob] : test.blobs.blobs) {
            if (!before.contains(key)) keys.push_back(key);
        }
        for (const std::string& key : keys) {
            TestStore probe(test.blobs.blobs);
            probe.blobs.blobs.erase(key);
            if (probe.open().error().detail() == "a") return key;
        }
        return std::string();
    };
    std::string old_key = new_blob("old");
    Bytes old_blob = test.blobs.blobs[old_key];
    std::string new_key = new_blob("new");
    ASSERT_NE(old_key, new_key);
    test.blobs.blobs[new_key] = old_blob;
    ASSERT_EQ(outcome(test.open()), "ok");
    Result<std::string> read = test.get("a");
    ASSERT_EQ(outcome(read), "stale_record");
    EXPECT_EQ(read.error().detail(), "a is of generation 1, expected 2");
}

TEST(SealedTamperOld, AnOldRootAloneIsRefused) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    ASSERT_EQ(outcome(test.put("a", "old")), "ok");
    Bytes old_root = test.blobs.blobs[kRoot];
    ASSERT_EQ(outcome(test.put("a", "new")), "ok");
    test.blobs.blobs[kRoot] = old_root;
    Result<void> opened = test.open();
    ASSERT_EQ(outcome(opened), "record_missing");
    EXPECT_EQ(opened.error().detail(), "(index)");
}

// Documented: nothing outside the host's reach says how old a whole directory is.
TEST(SealedTamperOld, AWholeOldDirectoryIsAccepted) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    ASSERT_EQ(outcome(test.put("a", "old")), "ok");
    Blobs old = test.blobs.blobs;
    ASSERT_EQ(outcome(test.put("a", "new")), "ok");
    test.blobs.blobs = old;
    ASSERT_EQ(outcome(test.open()), "ok");
    EXPECT_EQ(*test.get("a"), "old");
    EXPECT_EQ(test.store->generation(), 1u);
}

// While the enclave runs it knows better: the directory of yesterday does not have today's blobs.
TEST(SealedTamperOld, AnOldDirectoryUnderARunningStoreIsFound) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    ASSERT_EQ(outcome(test.put("a", "old")), "ok");
    Blobs old = test.blobs.blobs;
    ASSERT_EQ(outcome(test.put("a", "new")), "ok");
    test.blobs.blobs = old;
    EXPECT_EQ(outcome(test.get("a")), "record_missing");
}

TEST(SealedTamperOld, BlobsOfAnotherInstanceAreGarbage) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    ASSERT_EQ(outcome(test.put("a", "1")), "ok");
    Blobs whole = test.blobs.blobs;
    TestStore other;
    ASSERT_EQ(outcome(other.open()), "ok");
    ASSERT_EQ(outcome(other.put("a", "2")), "ok");
    for (const auto& [key, value] : other.blobs.blobs) test.blobs.blobs.emplace(key, value);
    for (int i = 0; i < 700; ++i) test.blobs.blobs["state/junk" + std::to_string(i)] = {};
    test.blobs.blobs["elsewhere"] = to_bytes("not ours to delete");
    ASSERT_EQ(outcome(test.open()), "ok");
    EXPECT_EQ(test.store->garbage_deleted(), 702u);
    EXPECT_EQ(*test.get("a"), "1");
    whole["elsewhere"] = to_bytes("not ours to delete");
    EXPECT_EQ(test.blobs.blobs, whole);
}

// A host that answers lists with nonsense.
class LyingBlobStore : public testing::MemoryBlobStore {
  public:
    using MemoryBlobStore::MemoryBlobStore;
    void list(BlobListRequest request, Done<std::vector<std::string>> done) override {
        done(lie(request));
    }
    std::function<std::vector<std::string>(const BlobListRequest&)> lie;
};

std::string open_with(LyingBlobStore& blobs) {
    testing::FakeSealingKeys keys;
    testing::OpensslRandom random;
    std::string out = "no answer";
    SealedStore::open({blobs, keys, random},
                      [&](const Result<std::unique_ptr<SealedStore>>& r) { out = outcome(r); });
    return out;
}

TEST_F(SealedTamper, LyingLists) {
    LyingBlobStore blobs(sample_->blobs);
    using Keys = std::vector<std::string>;
    blobs.lie = [](const BlobListRequest&) { return Keys{"other/key"}; };
    EXPECT_EQ(open_with(blobs), "storage_misbehaved");
    blobs.lie = [](const BlobListRequest&) { return Keys{"state/b", "state/a"}; };
    EXPECT_EQ(open_with(blobs), "storage_misbehaved");
    blobs.lie = [](const BlobListRequest&) { return Keys{"state/a"}; };  // again and again
    EXPECT_EQ(open_with(blobs), "storage_misbehaved");
    blobs.lie = [](const BlobListRequest&) { return Keys{"state/" + std::string(200, 'a')}; };
    EXPECT_EQ(open_with(blobs), "storage_misbehaved");
    blobs.lie = [](const BlobListRequest&) { return Keys(257, "state/a"); };
    EXPECT_EQ(open_with(blobs), "storage_misbehaved");
    blobs.lie = [](const BlobListRequest&) { return Keys{"state/"}; };  // not even a name
    EXPECT_EQ(open_with(blobs), "storage_misbehaved");
    int n = 0;
    blobs.lie = [&n](const BlobListRequest&) {
        return Keys{"state/" + std::to_string(100'000 + n++)};
    };
    EXPECT_EQ(open_with(blobs), "storage_misbehaved");
    EXPECT_LE(n, static_cast<int>(kMaxListedPages) + 1);
    blobs.lie = [](const BlobListRequest&) { return Keys{}; };
    EXPECT_EQ(open_with(blobs), "record_missing");
    EXPECT_EQ(blobs.blobs, sample_->blobs);
}

TEST(SealedTamperOld, AHiddenRootIsNoFirstRun) {
    LyingBlobStore blobs(Blobs{{"state/x", {}}});
    blobs.lie = [](const BlobListRequest&) { return std::vector<std::string>{"state/x"}; };
    EXPECT_EQ(open_with(blobs), "root_missing_but_state_present");
}

}  // namespace
}  // namespace eos::runtime
