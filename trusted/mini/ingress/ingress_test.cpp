// SPDX-License-Identifier: AGPL-3.0-only
// One worker's connections between a ring in memory and TLS clients in memory; the test is the
// host.
#include "trusted/mini/ingress/ingress.h"

#include <gtest/gtest.h>

#include <map>

#include "boundary/test_block.h"
#include "common/oid/registry.h"

namespace eos::mini {
namespace {

using namespace boundary;

class HandClock final : public runtime::Clock {
  public:
    UnixTime now() const override { return {784111777}; }
    std::uint64_t monotonic_ms() const override { return now_ms; }
    std::uint64_t now_ms = 1'000'000;
};

/// Answers every byte with `times` of it, as far as the window goes; has a timer of its own.
class Echo final : public runtime::ConnectionProtocol {
  public:
    Echo(runtime::PlaintextSink& sink, std::size_t times) : sink_(sink), times_(times) {}
    std::size_t receive(ByteView plaintext) override {
        for (std::byte b : plaintext) append(waiting_, Bytes(times_, b));
        writable();
        return plaintext.size();
    }
    bool wants_input() const override { return true; }
    void input_ended() override { sink_.finish(); }
    void writable() override {
        ByteView part = ByteView(waiting_).first(std::min(waiting_.size(), sink_.writable_bytes()));
        if (part.empty()) return;
        sink_.write(part);
        waiting_.erase(waiting_.begin(),
                       waiting_.begin() + static_cast<std::ptrdiff_t>(part.size()));
    }
    void drain() override { sink_.finish(); }
    void tick(std::uint64_t) override {}
    std::optional<std::uint64_t> next_deadline_ms() const override { return 9'000'000; }

  private:
    runtime::PlaintextSink& sink_;
    std::size_t times_;
    Bytes waiting_;
};

class EchoServices final : public runtime::ConnectionServices {
  public:
    EchoServices() {
        auto served = std::make_shared<runtime::Served>();
        served->platform_name = "mini.test";
        served->names["mini.test"] = {.name = "mini.test"};
        served_ = std::move(served);
        crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
        ratls::LeafContent content;
        content.not_after = UnixTime{} + 60;
        content.evidence_oid = oid::kSgxQuote;
        content.assurance = "process";
        leaf_ = *ratls::Credential::make({ratls::mint_leaf(content, key, nullptr)}, key);
    }
    const runtime::Clock& clock() const override { return hand_clock; }
    std::shared_ptr<const runtime::Served> served() const override { return served_; }
    void leaf(std::shared_ptr<const runtime::Served>, const ratls::HandshakeOffer&,
              const ByteArray<16>&, runtime::Done<runtime::CredentialPtr> done) override {
        done(leaf_);
    }
    std::unique_ptr<runtime::ConnectionProtocol> start_protocol(
        const runtime::ConnectionInfo&, runtime::PlaintextSink& sink) override {
        return std::make_unique<Echo>(sink, times);
    }

    HandClock hand_clock;
    std::size_t times = 1;

  private:
    std::shared_ptr<const runtime::Served> served_;
    runtime::CredentialPtr leaf_;
};

class IngressTest : public ::testing::Test {
  protected:
    /// What the host says, handled as the worker does.
    Result<void> say(const DataToTrusted& message) {
        EXPECT_EQ(*host_.send(message), Push::kDone);
        host_.flush();
        while (auto received = trusted_.receive_data().value())
            EOS_TRY(ingress_.handle(std::move(*received)));
        return {};
    }
    Result<void> open(std::uint64_t conn_id) { return say(ConnOpened{.conn_id = conn_id}); }
    Result<void> end(std::uint64_t conn_id, ConnEnded::Why why) {
        return say(ConnEnded{conn_id, why});
    }
    /// The end of a worker's turn; what it sent is kept by connection.
    void turn() {
        ingress_.turn();
        trusted_.flush();
        while (auto message = host_.receive_data().value()) {
            if (auto* data = std::get_if<ConnData>(&*message)) {
                append(sent_[data->conn_id], data->bytes);
            } else if (auto* credit = std::get_if<ConnCredit>(&*message)) {
                credit_[credit->conn_id] += credit->bytes;
            } else {
                auto& close = std::get<ConnClose>(*message);
                EXPECT_TRUE(closed_.emplace(close.conn_id, close.how).second) << "closed twice";
            }
        }
        host_.flush();
    }
    /// Whether the host gives credit for what it carried.
    enum class Credit { kGiven, kWithheld };
    /// Carries bytes between a client and its connection until all is quiet.
    void carry(ratls::ClientSession& client, std::uint64_t conn_id,
               Credit credit = Credit::kGiven) {
        for (bool moved = true; moved;) {
            client.advance();
            Bytes out = to_bytes(client.output());
            client.output_taken(out.size());
            if (!out.empty()) {
                ASSERT_TRUE(say(ConnData{conn_id, out}));
            }
            turn();
            Bytes in = std::exchange(sent_[conn_id], {});
            client.receive(in);
            client.advance();
            append(received_[conn_id], client.read(1 << 24));
            auto count = static_cast<std::uint32_t>(in.size());
            if (credit == Credit::kGiven && count != 0 && !closed_.contains(conn_id)) {
                ASSERT_TRUE(say(ConnCredit{conn_id, count}));
            }
            carried_[conn_id] += count;
            moved = !out.empty() || !in.empty();
        }
    }
    std::unique_ptr<ratls::ClientSession> connect(std::uint64_t conn_id) {
        EXPECT_TRUE(open(conn_id));
        auto client = std::move(*client_context_->connect({.server_name = "mini.test"}));
        carry(*client, conn_id);
        EXPECT_EQ(client->progress(), ratls::Progress::kOpen) << client->failure();
        return client;
    }

    TestBlock block_{{.data_ring_bytes = kMinRingBytes}};
    NoSignals signals_;
    TrustedWorkerEndpoint trusted_{block_.layout(), 0, signals_};
    HostWorkerEndpoint host_{block_.layout(), 0, signals_};
    Result<ratls::ServerContext> tls_ = ratls::ServerContext::make();
    Result<ratls::ClientContext> client_context_ = ratls::ClientContext::make();
    EchoServices services_;
    Ingress ingress_{trusted_, *tls_, services_};
    std::map<std::uint64_t, Bytes> sent_;
    std::map<std::uint64_t, Bytes> received_;
    std::map<std::uint64_t, std::uint32_t> credit_;
    std::map<std::uint64_t, std::size_t> carried_;
    std::map<std::uint64_t, ConnClose::How> closed_;
};

TEST_F(IngressTest, AHundredConnectionsThatEndedLeaveNoTimer) {
    EXPECT_FALSE(ingress_.next_deadline_ms());
    std::uint64_t id = 0;
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(open(++id));
    for (int i = 0; i < 50; ++i) connect(++id);
    turn();
    EXPECT_EQ(ingress_.connection_count(), 100u);
    EXPECT_EQ(ingress_.next_deadline_ms(), services_.hand_clock.now_ms + runtime::kHandshakeMs);
    for (std::uint64_t each = 1; each <= id; ++each) ASSERT_TRUE(end(each, ConnEnded::Why::kReset));
    turn();
    EXPECT_EQ(ingress_.connection_count(), 0u);
    EXPECT_FALSE(ingress_.next_deadline_ms());
    EXPECT_EQ(ingress_.counters().opened, 100u);
    EXPECT_EQ(ingress_.counters().handshakes, 50u);
    EXPECT_EQ(ingress_.counters().handshakes_failed, 50u);
}

TEST_F(IngressTest, AHandshakeThatTakesTooLongIsCutByItsTimer) {
    ASSERT_TRUE(open(1));
    turn();
    services_.hand_clock.now_ms = *ingress_.next_deadline_ms() - 1;
    turn();
    EXPECT_EQ(ingress_.connection_count(), 1u);
    services_.hand_clock.now_ms += 1;
    turn();
    EXPECT_EQ(closed_.at(1), ConnClose::How::kAbort);
    EXPECT_EQ(ingress_.connection_count(), 0u);
    EXPECT_FALSE(ingress_.next_deadline_ms());
}

TEST_F(IngressTest, EachConnectionGetsItsOwnAnswers) {
    auto first = connect(1);
    auto second = connect(2);
    first->write(as_bytes("one"));
    second->write(as_bytes("two"));
    carry(*second, 2);
    carry(*first, 1);
    EXPECT_EQ(to_string(received_[1]), "one");
    EXPECT_EQ(to_string(received_[2]), "two");
}

TEST_F(IngressTest, AConnectionIsKnownToTheWorkerItWasOpenedOnAlone) {
    EXPECT_EQ(say(ConnCredit{1, 1}).error().code().name, "unknown_connection");
    ASSERT_TRUE(open(5));
    EXPECT_EQ(open(5).error().code(), connection_id_repeated);
    EXPECT_EQ(open(4).error().code(), connection_id_repeated);
    EXPECT_EQ(end(6, ConnEnded::Why::kReset).error().code().name, "unknown_connection");
    ASSERT_TRUE(end(5, ConnEnded::Why::kReset));
    turn();
    // It was: what is still under way is no offence.
    EXPECT_TRUE(say(ConnData{5, as_bytes("late")}));
    EXPECT_TRUE(end(5, ConnEnded::Why::kReset));
}

TEST_F(IngressTest, CreditThatIsNotOwedBreaksTheRules) {
    ASSERT_TRUE(open(1));
    EXPECT_EQ(say(ConnCredit{1, 1}).error().code(), window_violated);
}

TEST_F(IngressTest, AnAnswerKeepsToTheWindowUntilTheHostGivesCredit) {
    services_.times = 100'000;
    auto client = connect(1);
    carried_[1] = 0;
    client->write(as_bytes("xyz"));
    carry(*client, 1, Credit::kWithheld);
    EXPECT_LE(carried_[1], kConnWindowBytes);
    EXPECT_GT(carried_[1], kConnWindowBytes / 2);
    EXPECT_LT(received_[1].size(), 300'000u);
    ASSERT_TRUE(say(ConnCredit{1, static_cast<std::uint32_t>(carried_[1])}));
    carry(*client, 1);
    EXPECT_EQ(received_[1].size(), 300'000u);
}

TEST_F(IngressTest, WhatWasReadIsCreditedToTheHost) {
    auto client = connect(1);
    credit_.clear();
    std::size_t sent = 0;
    for (int i = 0; i < 20; ++i) {
        client->write(Bytes(10'000, std::byte{'x'}));
        sent += client->output().size();
        carry(*client, 1);
    }
    // All but what is gathered to a quarter of a window.
    EXPECT_LE(credit_[1], sent + kConnWindowBytes / 4);
    EXPECT_GT(credit_[1] + kConnWindowBytes / 2, sent);
    EXPECT_EQ(received_[1].size(), 200'000u);
}

TEST_F(IngressTest, DrainingEndsWhatIsOpenAndRefusesWhatComes) {
    auto client = connect(1);
    ingress_.drain_all(1000);
    carry(*client, 1);
    EXPECT_EQ(client->progress(), ratls::Progress::kClosed);
    EXPECT_EQ(closed_.at(1), ConnClose::How::kAfterFlush);
    ASSERT_TRUE(open(2));
    turn();
    EXPECT_EQ(closed_.at(2), ConnClose::How::kAbort);
    EXPECT_EQ(ingress_.counters().refused, 1u);
    EXPECT_EQ(ingress_.connection_count(), 0u);
    EXPECT_FALSE(ingress_.next_deadline_ms());
}

}  // namespace
}  // namespace eos::mini
