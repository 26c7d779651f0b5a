// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include "boundary/test_block.h"
#include "untrusted/daemon/address.h"
#include "untrusted/daemon/health.h"
#include "untrusted/daemon/ops_server.h"
#include "untrusted/daemon/traffic.h"
#include "untrusted/daemon/worker_link.h"

namespace eos::daemon {
namespace {

using boundary::ConnData;
using boundary::ConnOpened;
using boundary::FromHost;

class NoSignals : public boundary::HostSignals, public boundary::TrustedSignals {
  public:
    void wake(unsigned /*worker*/) override {}
    void wait(unsigned /*worker*/, std::uint32_t /*expected*/, std::uint32_t /*ms*/) override {}
    void notify(unsigned /*worker*/) override {}
};

class Link : public ::testing::Test {
  protected:
    static constexpr boundary::LayoutOptions kSmall{.worker_count = 1,
                                                    .data_ring_bytes = boundary::kMinRingBytes,
                                                    .rpc_ring_bytes = boundary::kMinRingBytes};

    /// What the trusted side finds, as "opened 1" or "data 1 x…".
    std::vector<std::string> take_all() {
        std::vector<std::string> out;
        while (true) {
            auto message = trusted_.receive_data();
            EXPECT_TRUE(message.has_value()) << message.error().message();
            if (!message || !*message) break;
            if (auto* opened = std::get_if<FromHost<ConnOpened>>(&**message)) {
                auto value = std::move(*opened).take_unverifiable("a test");
                out.push_back("opened " + std::to_string(value.conn_id));
            }
            if (auto* data = std::get_if<FromHost<ConnData>>(&**message)) {
                auto value = std::move(*data).take_unverifiable("a test");
                out.push_back("data " + std::to_string(value.conn_id) + " " +
                              to_string(value.bytes.first(1)));
            }
        }
        trusted_.flush();
        return out;
    }

    NoSignals signals_;
    boundary::TestBlock block_{kSmall};
    WorkerLink link_{block_.layout(), 0, signals_};
    boundary::TrustedWorkerEndpoint trusted_{block_.layout(), 0, signals_};
};

TEST_F(Link, WhatDoesNotFitWaitsAndKeepsItsOrder) {
    std::vector<std::string> expected;
    std::vector<std::string> received;
    Bytes bytes(boundary::kMaxConnDataBytes);
    for (std::uint64_t id = 1; id <= 20; ++id) {
        const char letter = static_cast<char>('a' + id % 26);
        std::ranges::fill(bytes, static_cast<std::byte>(letter));
        ASSERT_TRUE(link_.send(ConnOpened{.conn_id = id}).has_value());
        ASSERT_TRUE(link_.send(ConnData{.conn_id = id, .bytes = bytes}).has_value());
        expected.push_back("opened " + std::to_string(id));
        expected.push_back("data " + std::to_string(id) + " " + letter);
    }
    EXPECT_FALSE(link_.data_has_room());
    while (received.size() < expected.size()) {
        ASSERT_TRUE(link_.send_waiting().has_value());
        link_.endpoint().flush();
        const auto more = take_all();
        ASSERT_FALSE(more.empty());
        received.insert(received.end(), more.begin(), more.end());
    }
    EXPECT_EQ(received, expected);
    EXPECT_TRUE(link_.data_has_room());
}

TEST_F(Link, AWorkerThatTakesNoAnswersIsNotAskedForMoreRequests) {
    const boundary::Reply large{1, boundary::BlobValue{Bytes(boundary::kMaxValueBytes)}};
    int sent = 0;
    while (link_.takes_requests()) {
        ASSERT_TRUE(link_.send(large).has_value());
        ASSERT_LT(++sent, 1000);
    }
    EXPECT_TRUE(link_.data_has_room());  // connections go on
}

TEST_F(Link, AWorkerThatTakesNothingForTenSecondsIsStuckAndAnIdleOneIsNot) {
    const MonotonicTime start{};
    const auto after = [start](int seconds) { return start + std::chrono::seconds(seconds); };
    EXPECT_FALSE(link_.is_stuck(start));
    EXPECT_FALSE(link_.is_stuck(after(3600)));  // nothing was sent
    for (std::uint64_t id : {1, 2}) {
        ASSERT_TRUE(link_.send(boundary::DataToTrusted(ConnOpened{.conn_id = id})));
    }
    link_.endpoint().flush();
    EXPECT_FALSE(link_.is_stuck(after(3610)));
    EXPECT_TRUE(link_.is_stuck(after(3611)));
    EXPECT_EQ(take_all().size(), 2u);
    EXPECT_FALSE(link_.is_stuck(after(3612)));
    EXPECT_FALSE(link_.is_stuck(after(7200)));
}

TEST_F(Link, NoConnectionIsTakenWhileTheNewsOfTheLastOneWaits) {
    EventLoop loop;
    ConnectionIds ids;
    Counters counters;
    std::deque<WorkerLink> links;
    for (int i = 0; i < 2; ++i) links.emplace_back(block_.layout(), 0, signals_);
    const Traffic traffic(loop, links, ids, counters);
    const auto fill = [](WorkerLink& link) {
        while (link.data_has_room()) {
            ASSERT_TRUE(link.send(boundary::DataToTrusted(ConnOpened{.conn_id = 1})));
        }
    };
    fill(links[0]);
    EXPECT_TRUE(traffic.can_adopt());
    fill(links[1]);
    EXPECT_FALSE(traffic.can_adopt());
}

TEST(Address, BothWaysAndRefused) {
    for (const char* text : {"127.0.0.1:8443", "0.0.0.0:0", "[::1]:65535", "[2001:db8::1]:1"}) {
        auto address = parse_address(text);
        ASSERT_TRUE(address.has_value()) << text;
        EXPECT_EQ(address->text(), text);
    }
    for (const char* text :
         {"", ":", "8443", "localhost:1", "127.0.0.1", "127.0.0.1:", "1.2.3:4", "127.0.0.1:65536",
          "127.0.0.1:-1", "127.0.0.1:1x", "::1:80", "[::1]", "[::1", "[127.0.0.1]:80"}) {
        auto address = parse_address(text);
        ASSERT_FALSE(address.has_value()) << text;
        EXPECT_EQ(address.error().code(), bad_address);
    }
}

TEST(Address, LoopbackAndPeers) {
    EXPECT_TRUE(parse_address("127.9.9.9:1")->is_loopback());
    EXPECT_TRUE(parse_address("[::1]:1")->is_loopback());
    EXPECT_FALSE(parse_address("128.0.0.1:1")->is_loopback());
    EXPECT_FALSE(parse_address("[::]:1")->is_loopback());
    const Peer peer = parse_address("1.2.3.4:258")->as_peer();
    EXPECT_EQ(peer.address[10], std::byte{0xff});
    EXPECT_EQ(peer.address[11], std::byte{0xff});
    EXPECT_EQ(peer.address[12], std::byte{1});
    EXPECT_EQ(peer.address[15], std::byte{4});
    EXPECT_EQ(peer.port, 258);
}

TEST(OpsPath, IsThatOfAGetRequestOnly) {
    EXPECT_EQ(ops_path("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"), "/readyz");
    EXPECT_EQ(ops_path("GET /a?b=c HTTP/1.0\r\n\r\n"), "/a");
    for (const char* bad : {"", "GET", "GET ", "GET HTTP/1.1", "POST / HTTP/1.1", "GET / HTTP/2"}) {
        EXPECT_EQ(ops_path(bad), "") << bad;
    }
}

TEST(Health, EveryReasonOfAnyWorkerIsSaidOnce) {
    Health health;
    health.runner_trouble.clear();
    EXPECT_TRUE(health.reasons().empty());
    health.workers = {boundary::Status{.not_ready_because = boundary::Status::kUnowned},
                      boundary::Status{.not_ready_because = boundary::Status::kUnowned |
                                                            boundary::Status::kNoEvidence}};
    EXPECT_EQ(health.reasons().size(), 2U);
    health.quoting_trouble = "quote source /x: connection refused";
    EXPECT_EQ(health.reasons().front(), health.quoting_trouble);
}

TEST(Health, WarnsOfWhatWasNotRenewedInTime) {
    constexpr UnixTime kNow{1'800'000'000};
    const auto in = [](std::int64_t s) { return static_cast<std::uint64_t>(kNow.seconds + s); };
    Health health;
    EXPECT_EQ(health.expiry_warning(kNow), "");
    health.workers = {boundary::Status{}};
    EXPECT_EQ(health.expiry_warning(kNow), "");  // nothing to expire yet
    health.workers[0].leaf_not_after_s = in(Health::kExpiryWarningSeconds);
    health.workers[0].evidence_not_after_s = in(Health::kExpiryWarningSeconds);
    EXPECT_EQ(health.expiry_warning(kNow), "");
    health.workers[0].evidence_not_after_s -= 1;
    EXPECT_TRUE(health.expiry_warning(kNow).starts_with("the evidence expires"));
    health.workers[0].leaf_not_after_s = in(-5);
    EXPECT_TRUE(health.expiry_warning(kNow).starts_with("the leaf certificate expires"));
}

}  // namespace
}  // namespace eos::daemon
