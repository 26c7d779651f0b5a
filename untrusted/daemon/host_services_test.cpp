// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/host_services.h"

#include <gtest/gtest.h>

#include <optional>

#include "untrusted/daemon/test_disk.h"
#include "untrusted/daemon/testing.h"

namespace eos::daemon {
namespace {

using boundary::Failed;

class Services : public ::testing::Test {
  protected:
    Services() {
        auto database = BlobDatabase::open({.directory = dir_.path() / "blobs", .env = env_.get()});
        EXPECT_TRUE(database.has_value()) << database.error().message();
        blobs_.emplace(std::move(*database));
        services_.emplace(HostServices::Parts{.blobs = *blobs_,
                                              .quotes = quotes_,
                                              .mailbox = mailbox_,
                                              .counters = counters_,
                                              .health = health_,
                                              .log = log_});
    }

    /// Asks, and turns the loop until the answer is there.
    template <typename Request>
    boundary::Reply ask(Request request) {
        request.head = {.request_id = 7, .deadline_ms = 20'000};
        std::optional<boundary::Reply> answer;
        services_->serve(std::move(request),
                         [&](boundary::Reply reply) { answer = std::move(reply); });
        while (!answer) loop_.turn(Milliseconds(1'000));
        return std::move(*answer);
    }
    bool write() {
        boundary::BlobWriteBatch batch{};
        batch.durability = boundary::BlobWriteBatch::Durability::kSynced;
        batch.writes.push_back({"key", to_bytes("value")});
        return !std::holds_alternative<Failed>(ask(std::move(batch)).body);
    }
    bool read() { return !std::holds_alternative<Failed>(ask(boundary::BlobGet{{}, "key"}).body); }

    testing::TemporaryDirectory dir_;
    std::shared_ptr<testing::TestDisk> disk_ = std::make_shared<testing::TestDisk>();
    std::unique_ptr<rocksdb::Env> env_ = rocksdb::NewCompositeEnv(disk_);
    EventLoop loop_;
    Mailbox mailbox_{loop_};
    Counters counters_;
    Health health_;
    Log log_{LogFormat::kText};
    std::optional<BlobService> blobs_;
    QuoteService quotes_{(dir_.path() / "aesm.socket").string()};
    std::optional<HostServices> services_;
};

// What a commit does that failed: it looks which state there is. That reading works says nothing
// about writing, and an operator whose disk is full must not be told that all is well.
TEST_F(Services, AReadThatWorksDoesNotEndTheTroubleOfWrites) {
    ASSERT_TRUE(write());
    EXPECT_EQ(health_.writing_trouble, "");
    disk_->full = true;
    EXPECT_FALSE(write());
    EXPECT_NE(health_.writing_trouble.find("space"), std::string::npos) << health_.writing_trouble;
    EXPECT_TRUE(read());
    EXPECT_NE(health_.writing_trouble, "");
    disk_->full = false;
    EXPECT_TRUE(write());
    EXPECT_EQ(health_.writing_trouble, "");
    EXPECT_EQ(health_.reading_trouble, "");
    EXPECT_EQ(counters_.storage_requests, 4U);
    EXPECT_EQ(counters_.storage_failures, 1U);
}

}  // namespace
}  // namespace eos::daemon
