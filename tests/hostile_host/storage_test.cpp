// SPDX-License-Identifier: AGPL-3.0-only
// Storage that answers with something else than it was given, refuses, forgets, or says nothing.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/hostile_host/client.h"

namespace eos::hostile {
namespace {

using namespace boundary;
using Honest = HostileHost::Honest;
using Replies = std::vector<Reply>;

constexpr const char* kRoot = "state/root";
constexpr const char* kStopped = "exited with code 0: it was asked to end";
constexpr std::size_t kAppBytes = 100'000;  // more than one blob

/// An enclave with an owner and an app, twice loaded: `before_` is the storage of the first time.
class Storage : public testing::Test {
  protected:
    void SetUp() override {
        HostileHost host(machine_, blobs_);
        ASSERT_EQ(owner_.provision(host), "owned");
        ASSERT_EQ(owner_.load(host, "hello", kAppBytes).status, 201);
        before_ = blobs_;
        ASSERT_EQ(owner_.load(host, "hello", kAppBytes).status, 200);
        ASSERT_EQ(host.stop(), kStopped);
    }

    // The largest blob that only one of the two has: a part of the app's module.
    static std::string part_only_in(const Blobs& blobs, const Blobs& not_in) {
        std::string found;
        for (const auto& [key, value] : blobs) {
            if (not_in.contains(key) || key == kRoot) continue;
            if (found.empty() || value.size() > blobs.at(found).size()) found = key;
        }
        return found;
    }
    std::string module_part() const { return part_only_in(blobs_, before_); }
    // A part of a record that the second load left alone: not of the index, which is written anew
    // each time, and without which no record has an owner to be named.
    std::string other_blob() const {
        return std::ranges::find_if(blobs_,
                                    [&](const auto& blob) {
                                        return blob.first != kRoot && before_.contains(blob.first);
                                    })
            ->first;
    }

    void expect_refused(LogCode why) {
        HostileHost host(machine_, blobs_);
        expect_refused(host, why);
    }
    void expect_refused(HostileHost& host, LogCode why) {
        const Blobs stored = blobs_;
        EXPECT_EQ(host.wait_for_end(), ended_by_refused_state());
        EXPECT_TRUE(host.has_logged(why));
        EXPECT_EQ(host.exit_reason(), Exit::Why::kStateRefused);
        EXPECT_EQ(blobs_, stored) << "what is refused is not touched";
        EXPECT_FALSE(host.has_logged(LogCode::kUnowned)) << "never a first run";
    }
    void expect_all_there() {
        HostileHost host(machine_, blobs_);
        ASSERT_TRUE(host.serve_until_logged(LogCode::kOwned));
        EXPECT_EQ(visit(host, {.server_name = kPlatformName}), "served");
        EXPECT_EQ(owner_.apps(host), "hello");
        EXPECT_EQ(host.stop(), kStopped);
    }

    Machine machine_;
    Blobs blobs_;
    Blobs before_;
    Owner owner_{machine_};
};

// --- at start: every record authenticates itself -------------------------------------------------

TEST_F(Storage, AnotherRecordIsRefused) {
    std::swap(blobs_[module_part()], blobs_[other_blob()]);
    expect_refused(LogCode::kStateRecordSwapped);
}

TEST_F(Storage, AnOldRecordIsRefused) {
    blobs_[module_part()] = before_[part_only_in(before_, blobs_)];
    expect_refused(LogCode::kStateRecordStale);
}

TEST_F(Storage, AFlippedBitIsRefused) {
    Bytes& blob = blobs_[module_part()];
    blob[blob.size() / 2] ^= std::byte{1};
    expect_refused(LogCode::kStateRecordAltered);
}

TEST_F(Storage, ATruncatedRecordIsRefused) {
    blobs_[module_part()].pop_back();
    expect_refused(LogCode::kStateRecordAltered);
}

TEST_F(Storage, AnEmptyRecordIsRefused) {
    blobs_[module_part()].clear();
    expect_refused(LogCode::kStateRecordAltered);
}

TEST_F(Storage, AMissingRecordIsRefused) {
    blobs_.erase(module_part());
    expect_refused(LogCode::kStateRecordMissing);
}

TEST_F(Storage, AMissingRootIsRefused) {
    blobs_.erase(kRoot);
    expect_refused(LogCode::kStateRootMissing);
}

TEST_F(Storage, ATruncatedRootIsRefused) {
    blobs_[kRoot].pop_back();
    expect_refused(LogCode::kStateRootAltered);
}

TEST_F(Storage, AnOldRootOverTodaysRecordsIsRefused) {
    blobs_[kRoot] = before_[kRoot];
    expect_refused(LogCode::kStateRecordMissing);
}

TEST_F(Storage, TheStateOfAnotherMachineIsRefused) {
    Machine other;
    Blobs blobs;
    HostileHost host(other, blobs);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kUnowned));
    blobs_ = blobs;
    expect_refused(LogCode::kStateForeign);
}

TEST_F(Storage, AnAnswerOfAnotherKindIsRefused) {
    HostileHost host(machine_, blobs_);
    host.answer_with([](const RpcToHost& request, const Honest& honest) {
        Reply reply = honest();
        if (std::holds_alternative<BlobGet>(request)) reply.body = Done{};
        return Replies{std::move(reply)};
    });
    expect_refused(host, LogCode::kStateStorage);
}

TEST_F(Storage, AListThatGoesRoundAndRoundIsRefused) {
    HostileHost host(machine_, blobs_);
    host.answer_with([this](const RpcToHost& request, const Honest& honest) {
        Reply reply = honest();
        if (std::holds_alternative<BlobList>(request)) reply.body = BlobKeys{{other_blob()}};
        return Replies{std::move(reply)};
    });
    expect_refused(host, LogCode::kStateStorage);
}

TEST_F(Storage, AListWithoutEndIsRefused) {
    HostileHost host(machine_, blobs_);
    host.answer_with([n = 0](const RpcToHost& request, const Honest& honest) mutable {
        Reply reply = honest();
        if (std::holds_alternative<BlobList>(request))
            reply.body = BlobKeys{{"state/" + std::to_string(1'000'000 + ++n)}};
        return Replies{std::move(reply)};
    });
    expect_refused(host, LogCode::kStateStorage);
}

TEST_F(Storage, AListThatHidesARecordIsRefused) {
    HostileHost host(machine_, blobs_);
    host.answer_with([this](const RpcToHost&, const Honest& honest) {
        Reply reply = honest();
        if (auto* page = std::get_if<BlobKeys>(&reply.body)) std::erase(page->keys, module_part());
        return Replies{std::move(reply)};
    });
    expect_refused(host, LogCode::kStateRecordMissing);
}

// What is not lost is left alone: an error is no refusal, and time may mend it.
TEST_F(Storage, ErrorsAtStartAreTriedAgain) {
    for (std::size_t working : {0U, 1U, 4U}) {
        HostileHost host(machine_, blobs_);
        host.answer_with([left = working](const RpcToHost&, const Honest& honest) mutable {
            Reply reply = honest();
            if (left == 0) reply.body = Failed{Failed::Why::kStorage};
            if (left > 0) --left;
            return Replies{std::move(reply)};
        });
        ASSERT_TRUE(host.serve_until_logged(LogCode::kStateUnavailable)) << working;
        EXPECT_FALSE(Client(host).shake_hands());
        host.answer_with({});
        host.skip(std::chrono::seconds(6));
        ASSERT_TRUE(host.serve_until_logged(LogCode::kOwned)) << working;
        EXPECT_EQ(owner_.apps(host), "hello");
        EXPECT_EQ(host.stop(), kStopped);
    }
}

TEST_F(Storage, SilenceAtStartEndsAtTheDeadlineAndIsTriedAgain) {
    HostileHost host(machine_, blobs_);
    std::vector<Reply> late;
    host.answer_with([&late](const RpcToHost&, const Honest& honest) {
        late.push_back(honest());
        return Replies();
    });
    ASSERT_TRUE(host.serve_until([&] { return !late.empty(); }));
    EXPECT_FALSE(Client(host).shake_hands());
    host.skip(std::chrono::seconds(31));
    ASSERT_TRUE(host.serve_until_logged(LogCode::kStateUnavailable));
    host.answer_with({});
    for (const Reply& reply : late) host.send(reply);
    host.skip(std::chrono::seconds(6));
    ASSERT_TRUE(host.serve_until_logged(LogCode::kOwned));
    EXPECT_EQ(owner_.apps(host), "hello");
}

// By design: no counter outside backs the state yet (docs/security-model.md).
TEST_F(Storage, AWholeOldStateIsAccepted) {
    blobs_ = before_;
    expect_all_there();
}

// --- while it runs: a change is acknowledged when it is stored, or refused
// ------------------------

bool is_synced(const RpcToHost& request) {
    const auto* batch = std::get_if<BlobWriteBatch>(&request);
    return batch != nullptr && batch->durability == BlobWriteBatch::Durability::kSynced;
}

TEST_F(Storage, AWriteThatFailsChangesNothingAndTheNextOneWorks) {
    for (bool only_synced : {false, true}) {
        HostileHost host(machine_, blobs_);
        ASSERT_TRUE(host.serve_until_logged(LogCode::kOwned));
        host.answer_with([only_synced](const RpcToHost& request, const Honest& honest) {
            const bool fails =
                only_synced ? is_synced(request) : std::holds_alternative<BlobWriteBatch>(request);
            if (!fails) return Replies{honest()};
            return Replies{
                {.request_id = request_id_of(request), .body = Failed{Failed::Why::kStorage}}};
        });
        Answer refused = owner_.load(host, "more", kAppBytes);
        EXPECT_EQ(refused.status, 503);
        EXPECT_NE(refused.body.find("disk"), std::string::npos) << refused.body;
        EXPECT_EQ(host.count_of(LogCode::kStateWriteFailed), 1u);
        EXPECT_EQ(owner_.apps(host), "hello");
        host.answer_with({});
        EXPECT_EQ(owner_.load(host, "hello", kAppBytes).status, 200);
        EXPECT_EQ(host.stop(), kStopped);
        expect_all_there();
    }
}

// The root was written and the host says it was not: memory and storage differ, so nothing more is
// written, and the next start finds what is there.
TEST_F(Storage, AWriteThatHappenedAndIsDeniedStopsAllOthers) {
    {
        HostileHost host(machine_, blobs_);
        ASSERT_TRUE(host.serve_until_logged(LogCode::kOwned));
        host.answer_with([](const RpcToHost& request, const Honest& honest) {
            Reply reply = honest();
            if (is_synced(request)) reply.body = Failed{Failed::Why::kStorage};
            return Replies{std::move(reply)};
        });
        EXPECT_EQ(owner_.load(host, "more").status, 503);
        host.answer_with({});
        Answer next = owner_.load(host, "other");
        EXPECT_EQ(next.status, 503);
        EXPECT_NE(next.body.find("restart"), std::string::npos) << next.body;
        EXPECT_EQ(host.count_of(LogCode::kStateWriteUnknown), 2u);  // of each change
        EXPECT_EQ(host.count_of(LogCode::kStateWriteFailed), 0u);
        EXPECT_EQ(visit(host, {.server_name = kPlatformName}), "served");
        EXPECT_EQ(owner_.apps(host), "hello");
    }
    HostileHost host(machine_, blobs_);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kOwned));
    EXPECT_EQ(owner_.apps(host), "hello more");
    EXPECT_EQ(owner_.load(host, "other").status, 201);
}

TEST_F(Storage, AWriteWithoutAnswerEndsAtTheDeadline) {
    HostileHost host(machine_, blobs_);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kOwned));
    bool asked = false;
    host.answer_with([&asked](const RpcToHost& request, const Honest& honest) {
        if (!std::holds_alternative<BlobWriteBatch>(request)) return Replies{honest()};
        // Once it has asked, its time is up.
        asked = true;
        return Replies();
    });
    host.tell_time([&] {
        if (std::exchange(asked, false)) host.skip(std::chrono::seconds(31));
        return std::optional(host.real_time());
    });
    Answer refused = owner_.load(host, "more", kAppBytes);
    EXPECT_EQ(refused.status, 503);
    EXPECT_NE(refused.body.find("in time"), std::string::npos) << refused.body;
    host.answer_with({});
    EXPECT_EQ(owner_.load(host, "more", kAppBytes).status, 201);
}

// An acknowledged change of which a part is forgotten is found out at the next start.
TEST_F(Storage, AForgottenPartOfAnAcknowledgedChangeIsNoticed) {
    {
        HostileHost host(machine_, blobs_);
        ASSERT_TRUE(host.serve_until_logged(LogCode::kOwned));
        host.answer_with([first = true](const RpcToHost& request, const Honest& honest) mutable {
            if (!std::holds_alternative<BlobWriteBatch>(request) || !std::exchange(first, false))
                return Replies{honest()};
            return Replies{{.request_id = request_id_of(request), .body = Done{}}};
        });
        EXPECT_EQ(owner_.load(host, "more", kAppBytes).status, 201);
    }
    expect_refused(LogCode::kStateRecordMissing);
}

// A whole one is a rollback, which nothing inside can notice.
TEST_F(Storage, AWhollyForgottenChangeIsARollback) {
    {
        HostileHost host(machine_, blobs_);
        ASSERT_TRUE(host.serve_until_logged(LogCode::kOwned));
        host.answer_with([](const RpcToHost& request, const Honest& honest) {
            if (!std::holds_alternative<BlobWriteBatch>(request)) return Replies{honest()};
            return Replies{{.request_id = request_id_of(request), .body = Done{}}};
        });
        EXPECT_EQ(owner_.load(host, "more").status, 201);
        EXPECT_EQ(owner_.apps(host), "hello more");
    }
    expect_all_there();
}

}  // namespace
}  // namespace eos::hostile
