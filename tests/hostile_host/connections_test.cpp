// SPDX-License-Identifier: AGPL-3.0-only
// Lies about connections: ids, windows, order. What no honest daemon can say ends the program; what
// a client or a network can bring about costs that connection and no other.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/hostile_host/client.h"

namespace eos::hostile {
namespace {

using namespace boundary;

class Connections : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(host_.serve_until_logged(LogCode::kUnowned));
        ASSERT_EQ(visit(host_), "served");
        ASSERT_EQ(visit(host_, {.worker = 1}), "served");
    }
    void expect_end() {
        EXPECT_EQ(host_.wait_for_end(), ended_by_violation());
        EXPECT_TRUE(host_.has_logged(LogCode::kBoundaryViolated));
    }
    void expect_going_on() {
        ASSERT_TRUE(host_.settle());
        EXPECT_EQ(visit(host_), "served");
        EXPECT_EQ(visit(host_, {.worker = 1}), "served");
        EXPECT_EQ(host_.stop(), "exited with code 0: it was asked to end");
        EXPECT_EQ(host_.violation(), "");
    }
    ConnData data(std::uint64_t id, std::size_t size = 100) {
        bytes_.assign(size, std::byte{0x16});
        return {.conn_id = id, .bytes = bytes_};
    }

    Machine machine_;
    Blobs blobs_;
    HostileHost host_{machine_, blobs_, 2};
    Bytes bytes_;
};

TEST_F(Connections, AnIdOpenedTwiceEndsTheProgram) {
    host_.send(ConnOpened{.conn_id = host_.open()});
    expect_end();
}

TEST_F(Connections, AnOldIdOpenedAgainEndsTheProgram) {
    host_.send(ConnOpened{.conn_id = 1});
    expect_end();
}

TEST_F(Connections, TheIdZeroEndsTheProgram) {
    host_.send(ConnOpened{.conn_id = 0});
    expect_end();
}

TEST_F(Connections, DataForAnIdThatNeverWasEndsTheProgram) {
    host_.send(data(host_.next_id()));
    expect_end();
}

TEST_F(Connections, CreditForAnIdThatNeverWasEndsTheProgram) {
    host_.send(ConnCredit{.conn_id = host_.next_id() + 1'000'000, .bytes = 1});
    expect_end();
}

TEST_F(Connections, TheEndOfAnIdThatNeverWasEndsTheProgram) {
    host_.send(ConnEnded{.conn_id = ~std::uint64_t{0}, .why = ConnEnded::Why::kReset});
    expect_end();
}

TEST_F(Connections, AnotherWorkersNewConnectionEndsTheProgram) {
    const std::uint64_t id = host_.open(1);
    host_.send(data(id), 0);
    expect_end();
}

// Below the highest id of a worker an unknown id is a connection that is over there.
TEST_F(Connections, BytesForAnotherWorkersConnectionNeverReachIt) {
    Client victim(host_, {.worker = 1});
    host_.open(0);
    host_.send(data(victim.conn_id()), 0);
    host_.send(ConnEnded{.conn_id = victim.conn_id(), .why = ConnEnded::Why::kReset}, 0);
    EXPECT_EQ(victim.ask("GET", "/healthz").status, 200);
    expect_going_on();
}

TEST_F(Connections, MoreDataThanTheWindowEndsTheProgram) {
    const std::uint64_t id = host_.open();
    // The header of a TLS record that never becomes whole: nothing is consumed.
    bytes_ = {std::byte{0x16}, std::byte{3}, std::byte{1}, std::byte{0x40}, std::byte{0}};
    host_.send(ConnData{.conn_id = id, .bytes = bytes_});
    for (int i = 0; i < 3; ++i) host_.send(data(id, kMaxConnDataBytes));
    expect_end();
}

TEST_F(Connections, CreditForWhatWasNeverSentEndsTheProgram) {
    host_.send(ConnCredit{.conn_id = host_.open(), .bytes = 1});
    expect_end();
}

TEST_F(Connections, CreditGivenTwiceEndsTheProgram) {
    host_.withhold_credit();
    Client client(host_);
    ASSERT_TRUE(client.shake_hands());
    for (int i = 0; i < 2; ++i)
        host_.send(ConnCredit{.conn_id = client.conn_id(), .bytes = kConnWindowBytes / 2});
    expect_end();
}

TEST_F(Connections, WhatComesAfterAResetIsDropped) {
    Client client(host_);
    ASSERT_TRUE(client.shake_hands());
    const std::uint64_t id = client.conn_id();
    // All in one turn of the worker, before it has settled anything.
    host_.send(ConnEnded{.conn_id = id, .why = ConnEnded::Why::kReset});
    host_.send(data(id));
    host_.send(ConnEnded{.conn_id = id, .why = ConnEnded::Why::kEndOfStream});
    host_.send(ConnEnded{.conn_id = id, .why = ConnEnded::Why::kHostLimit});
    ASSERT_TRUE(host_.settle());
    // And again when it has.
    host_.send(data(id));
    host_.send(ConnCredit{.conn_id = id, .bytes = kConnWindowBytes});
    host_.send(ConnEnded{.conn_id = id, .why = ConnEnded::Why::kReset});
    expect_going_on();
}

TEST_F(Connections, DataAfterTheEndOfTheStreamHarmsNobody) {
    Client client(host_);
    const std::uint64_t id = client.conn_id();
    host_.send(ConnEnded{.conn_id = id, .why = ConnEnded::Why::kEndOfStream});
    host_.send(ConnEnded{.conn_id = id, .why = ConnEnded::Why::kEndOfStream});
    host_.send(data(id));
    expect_going_on();
}

TEST_F(Connections, AResetBeforeTheFirstByteIsForgotten) {
    for (int i = 0; i < 200; ++i)
        host_.send(ConnEnded{.conn_id = host_.open(), .why = ConnEnded::Why::kReset});
    expect_going_on();
}

// --- the bytes of a connection are TLS's: a host that touches them is noticed
// ---------------------

/// What of the client's bytes the host passes on.
enum class Tampering { kRepeats, kFlips, kLosesOne, kSwapsHalves };

class Bytestream : public Connections, public testing::WithParamInterface<Tampering> {};

TEST_P(Bytestream, TamperedWithGetsNoAnswer) {
    Client client(host_);
    ASSERT_TRUE(client.shake_hands());
    client.session().write(as_bytes("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    Bytes record = to_bytes(client.session().output());
    client.session().output_taken(record.size());
    Bytes sent = record;
    switch (GetParam()) {
        case Tampering::kRepeats:
            sent = concat({record, record});
            break;
        case Tampering::kFlips:
            sent[record.size() - 1] ^= std::byte{1};
            break;
        case Tampering::kLosesOne:
            sent.erase(sent.begin() + 10);
            append(sent, record);
            break;
        case Tampering::kSwapsHalves:
            std::rotate(sent.begin(), sent.begin() + 20, sent.end());
            break;
    }
    host_.send(ConnData{.conn_id = client.conn_id(), .bytes = sent});
    std::string answer;
    host_.serve_until([&] {
        client.carry();
        answer += to_string(client.session().read(64 * 1024));
        return host_.wire(client.conn_id()).is_closed;
    });
    // Of a record that came twice the first was honest; the second is never answered.
    if (GetParam() != Tampering::kRepeats) {
        EXPECT_EQ(answer, "");
    }
    EXPECT_EQ(answer.find("200 OK"), answer.rfind("200 OK"));
    expect_going_on();
}

INSTANTIATE_TEST_SUITE_P(Tampering, Bytestream,
                         testing::Values(Tampering::kRepeats, Tampering::kFlips,
                                         Tampering::kLosesOne, Tampering::kSwapsHalves));

// The host may drop what the enclave sends, and change it: the client notices.
TEST_F(Connections, AFlippedByteToTheClientIsNoticedThere) {
    Client client(host_);
    ASSERT_TRUE(client.shake_hands());
    client.session().write(as_bytes("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    client.carry();
    HostileHost::Wire& wire = host_.wire(client.conn_id());
    ASSERT_TRUE(host_.serve_until([&] { return !wire.received.empty(); }));
    wire.received.back() ^= std::byte{1};
    client.carry();
    EXPECT_TRUE(client.session().read(1000).empty());
    EXPECT_EQ(client.session().progress(), ratls::Progress::kFailed);
    expect_going_on();
}

}  // namespace
}  // namespace eos::hostile
