// SPDX-License-Identifier: AGPL-3.0-only
// A crash, or a failing disk, at every write. Storage after a crash holds a prefix of the batches
// that were written (interfaces.h), so trying every prefix tries every crash.
#include <gtest/gtest.h>

#include "trusted/runtime/testing.h"

namespace eos::runtime {
namespace {

using testing::Blobs;
using testing::MemoryBlobStore;
using testing::outcome;
using testing::TestStore;
using State = std::map<std::string, std::string>;

std::string big(char c) {
    return std::string(200'000, c);
}

// One commit of a story, and the state after it.
struct Chapter {
    void (*change)(Transaction&);
    State after;
};

void put(Transaction& change, std::string name, std::string_view value) {
    change.put(std::move(name), 1, SecretBytes(to_bytes(value)));
}

const std::vector<Chapter>& story() {
    static const std::vector<Chapter> chapters{
        {[](Transaction& t) { put(t, "owner", "alice"); }, {{"owner", "alice"}}},
        {[](Transaction& t) {
             put(t, "app/a", "1");
             put(t, "module/a", big('a'));
         },
         {{"owner", "alice"}, {"app/a", "1"}, {"module/a", big('a')}}},
        {[](Transaction& t) {
             put(t, "app/a", "2");
             put(t, "module/a", big('b'));
             put(t, "owner", "bob");
         },
         {{"owner", "bob"}, {"app/a", "2"}, {"module/a", big('b')}}},
        {[](Transaction& t) {
             t.erase("app/a");
             t.erase("module/a");
         },
         {{"owner", "bob"}}},
    };
    return chapters;
}

State state_before(std::size_t chapter) {
    return chapter == 0 ? State{} : story()[chapter - 1].after;
}

State read_state(TestStore& test) {
    State out;
    for (const RecordInfo& record : test.store->records()) {
        Result<std::string> value = test.get(record.name);
        EXPECT_EQ(outcome(value), "ok") << record.name;
        out[record.name] = value ? *value : "";
    }
    return out;
}

Result<void> run_chapter(TestStore& test, const Chapter& chapter) {
    Transaction change = test.transaction();
    chapter.change(change);
    return test.commit(std::move(change));
}

Blobs after_first(const std::vector<MemoryBlobStore::Write>& log, std::size_t count) {
    Blobs out;
    for (std::size_t i = 0; i < count; ++i) MemoryBlobStore::apply(out, log[i].batch);
    return out;
}

TEST(SealedCrash, AfterEveryPrefixOfTheWritesTheStateIsOneThatWasCommitted) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    std::vector<std::size_t> acknowledged_at;  // batches written when a commit was acknowledged
    for (const Chapter& chapter : story()) {
        ASSERT_EQ(outcome(run_chapter(test, chapter)), "ok");
        acknowledged_at.push_back(test.blobs.log.size());
    }
    std::size_t generations_seen = 0;
    for (std::size_t count = 1; count <= test.blobs.log.size(); ++count) {
        TestStore crashed(after_first(test.blobs.log, count));
        ASSERT_EQ(outcome(crashed.open()), "ok") << count;
        std::uint64_t generation = crashed.store->generation();
        EXPECT_EQ(read_state(crashed), state_before(generation)) << count;
        EXPECT_GE(generation, generations_seen);
        generations_seen = generation;
        // What start-up left is a whole state without garbage, and the next commit works on it.
        if (generation < story().size()) {
            EXPECT_EQ(outcome(run_chapter(crashed, story()[generation])), "ok");
            EXPECT_EQ(read_state(crashed), story()[generation].after);
        }
        ASSERT_EQ(outcome(crashed.open()), "ok");
        EXPECT_EQ(crashed.store->garbage_deleted(), 0u);
    }
    EXPECT_EQ(generations_seen, story().size());
}

// A synced root makes a commit durable: at its acknowledgement the last synced batch is written, so
// no crash after it can leave an earlier state.
TEST(SealedCrash, AnAcknowledgedCommitSurvivesTheLossOfEveryBufferedWriteAfterIt) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    for (std::size_t i = 0; i < story().size(); ++i) {
        ASSERT_EQ(outcome(run_chapter(test, story()[i])), "ok");
        std::size_t durable = test.blobs.log.size();
        while (test.blobs.log[durable - 1].durability != Durability::kSynced) --durable;
        TestStore crashed(after_first(test.blobs.log, durable));
        ASSERT_EQ(outcome(crashed.open()), "ok");
        EXPECT_EQ(read_state(crashed), story()[i].after);
    }
}

TEST(SealedCrash, AFailingWriteLeavesTheOldStateOrAnUnknownOutcome) {
    using Fault = MemoryBlobStore::Fault;
    for (Fault fault : {Fault::kNotApplied, Fault::kApplied}) {
        for (std::size_t i = 0; i < story().size(); ++i) {
            int failures = 0;
            for (int at = 0;; ++at) {
                TestStore test;
                ASSERT_EQ(outcome(test.open()), "ok");
                for (std::size_t j = 0; j < i; ++j) {
                    ASSERT_EQ(outcome(run_chapter(test, story()[j])), "ok");
                }
                test.blobs.fault_kind = fault;
                test.blobs.writes_until_fault = at;
                Result<void> result = run_chapter(test, story()[i]);
                if (result) break;  // the fault hit what comes after the commit, or nothing
                ++failures;
                EXPECT_EQ(read_state(test), state_before(i));
                bool unknown = outcome(result) == "commit_outcome_unknown";
                if (!unknown) {
                    ASSERT_EQ(outcome(result), "commit_failed");
                    EXPECT_EQ(outcome(run_chapter(test, story()[i])), "ok");
                    EXPECT_EQ(read_state(test), story()[i].after);
                } else {
                    // Another root than ours lies there.
                    EXPECT_EQ(fault, Fault::kApplied);
                    EXPECT_EQ(outcome(test.put("x", "y")), "commit_outcome_unknown");
                    EXPECT_EQ(outcome(test.destroy()), "commit_outcome_unknown");
                }
                ASSERT_EQ(outcome(test.open()), "ok");
                EXPECT_EQ(read_state(test), story()[i].after);
            }
            EXPECT_GE(failures, 1);
        }
    }
}

// A write that failed may lie in the storage's log all the same. Whatever comes of it in a crash:
// a whole state, and never one older than what was acknowledged since.
TEST(SealedCrash, AFailedWriteThatACrashBringsToLightIsAWholeState) {
    for (std::size_t i = 0; i < story().size(); ++i) {
        for (int at = 0;; ++at) {
            TestStore test;
            ASSERT_EQ(outcome(test.open()), "ok");
            for (std::size_t j = 0; j < i; ++j)
                ASSERT_EQ(outcome(run_chapter(test, story()[j])), "ok");
            const std::size_t known = test.blobs.log.size();
            test.blobs.fault_kind = MemoryBlobStore::Fault::kLatent;
            test.blobs.writes_until_fault = at;
            Result<void> failed = run_chapter(test, story()[i]);
            if (failed) break;
            ASSERT_EQ(outcome(failed), "commit_failed");
            ASSERT_EQ(outcome(test.put("owner", "carol")), "ok");
            const std::size_t acknowledged = test.blobs.log.size();
            State later = state_before(i);
            later["owner"] = "carol";
            for (std::size_t count = known; count <= acknowledged; ++count) {
                TestStore crashed(after_first(test.blobs.log, count));
                ASSERT_EQ(outcome(crashed.open()), "ok") << i << " " << at << " " << count;
                State found = read_state(crashed);
                EXPECT_TRUE(found == state_before(i) || found == story()[i].after ||
                            found == later);
                EXPECT_TRUE(count < acknowledged || found == later);
            }
        }
    }
}

TEST(SealedCrash, AFailingFirstWriteIsReportedAndTheNextStartIsWhole) {
    using Fault = MemoryBlobStore::Fault;
    for (Fault fault : {Fault::kNotApplied, Fault::kApplied}) {
        TestStore test;
        test.blobs.fault_kind = fault;
        test.blobs.writes_until_fault = 0;
        EXPECT_EQ(outcome(test.open()),
                  fault == Fault::kApplied ? "commit_outcome_unknown" : "commit_failed");
        EXPECT_EQ(outcome(test.open()), "ok");
        EXPECT_TRUE(test.store->records().empty());
    }
}

TEST(SealedCrash, DestroyIsAtomicToo) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    ASSERT_EQ(outcome(run_chapter(test, story()[0])), "ok");
    ASSERT_EQ(outcome(run_chapter(test, story()[1])), "ok");
    std::size_t before = test.blobs.log.size();
    ASSERT_EQ(outcome(test.destroy()), "ok");
    EXPECT_GT(test.blobs.log.size(), before + 1);
    for (std::size_t count = before; count <= test.blobs.log.size(); ++count) {
        TestStore crashed(after_first(test.blobs.log, count));
        ASSERT_EQ(outcome(crashed.open()), "ok");
        EXPECT_EQ(read_state(crashed), count == before ? state_before(2) : State{});
    }
}

// The commit's answer never comes: nothing else happens, and nothing is leaked (sanitizers).
TEST(SealedCrash, AnAnswerThatNeverComes) {
    TestStore test;
    ASSERT_EQ(outcome(test.open()), "ok");
    test.blobs.fault_kind = MemoryBlobStore::Fault::kNoAnswer;
    test.blobs.writes_until_fault = 0;
    EXPECT_EQ(outcome(run_chapter(test, story()[1])), "injected_failure");
    EXPECT_EQ(outcome(test.get("owner")), "injected_failure");
    test.store.reset();
    ASSERT_EQ(outcome(test.open()), "ok");
}

}  // namespace
}  // namespace eos::runtime
