// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/endpoint.h"

#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>

#include "boundary/credit.h"
#include "boundary/host_futex.h"
#include "boundary/test_block.h"

namespace eos::boundary {
namespace {

// Sleeping and waking as in the programs, but within one: the host sleeps on a semaphore instead of
// its eventfd. A wait without wake-up fails the test instead of hanging it.
class Signals : public TrustedSignals, public HostSignals {
  public:
    explicit Signals(const Layout& layout) : layout_(layout) {}
    void wait(unsigned worker, std::uint32_t expected, std::uint32_t timeout_ms) override {
        futex_wait(layout_.trusted_bell(worker).sequence, expected, timeout_ms);
        ++waits;
    }
    void notify(unsigned) override {
        ++notifications;
        host_.release();
    }
    void wake(unsigned worker) override {
        ++wakes;
        futex_wake(layout_.trusted_bell(worker).sequence);
    }
    [[nodiscard]] bool host_sleep() { return host_.try_acquire_for(std::chrono::seconds(20)); }
    void drain() {
        while (host_.try_acquire()) {
        }
    }

    std::atomic<int> waits = 0, notifications = 0, wakes = 0;

  private:
    const Layout& layout_;
    std::counting_semaphore<> host_{0};
};

bool nothing_else() {
    return false;
}

class Endpoint : public testing::Test {
  protected:
    TestBlock block_{{.data_ring_bytes = kMinRingBytes, .rpc_ring_bytes = kMinRingBytes}};
    Signals signals_{block_.layout()};
    TrustedWorkerEndpoint trusted_{block_.layout(), 0, signals_};
    HostWorkerEndpoint host_{block_.layout(), 0, signals_};

    template <typename T>
    T expect_from_host(Result<std::optional<FromHostData>> outcome) {
        EXPECT_TRUE(outcome.has_value() && outcome->has_value());
        auto any = [](const T&) { return true; };
        return *std::get<FromHost<T>>(std::move(**outcome)).check(any, malformed_message);
    }
};

TEST_F(Endpoint, MessagesArriveOnTheirRings) {
    ASSERT_EQ(*host_.send(DataToTrusted(ConnOpened{.conn_id = 3, .peer_port = 80})), Push::kDone);
    ASSERT_EQ(*host_.send(RpcToTrusted(Reply{.request_id = 4, .body = Done{}})), Push::kDone);
    host_.flush();
    EXPECT_EQ(expect_from_host<ConnOpened>(trusted_.receive_data()).peer_port, 80);
    auto reply = trusted_.receive_rpc();
    ASSERT_TRUE(reply.has_value() && reply->has_value());
    EXPECT_TRUE(std::holds_alternative<FromHost<Reply>>(**reply));

    Bytes text = to_bytes("response");
    ASSERT_EQ(*trusted_.send(DataToHost(ConnData{.conn_id = 3, .bytes = text})), Push::kDone);
    ASSERT_EQ(*trusted_.send(RpcToHost(Exit{})), Push::kDone);
    trusted_.flush();
    auto data = host_.receive_data();
    ASSERT_TRUE(data.has_value() && data->has_value());
    EXPECT_EQ(to_bytes(std::get<ConnData>(**data).bytes), text);
    auto rpc = host_.receive_rpc();
    ASSERT_TRUE(rpc.has_value() && rpc->has_value());
    EXPECT_TRUE(std::holds_alternative<Exit>(**rpc));
}

// A message of the wrong ring is refused even if it is well-formed.
TEST_F(Endpoint, MessageOnTheWrongRingIsRefused) {
    RingProducer stray(block_.layout().ring(0, RingId::kDataIn));
    auto encoded = encode(RpcToTrusted(Shutdown{}));
    ASSERT_TRUE(
        stray.push(static_cast<std::uint32_t>(encoded->type), {encoded->head()}).has_value());
    stray.publish();
    auto outcome = trusted_.receive_data();
    ASSERT_FALSE(outcome.has_value());
    EXPECT_EQ(outcome.error().code(), unknown_message);
}

TEST_F(Endpoint, NoSystemCallWhileTheOtherSideIsAwake) {
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(host_.send(DataToTrusted(ConnCredit{.conn_id = 1, .bytes = 1})).has_value());
        host_.flush();
        expect_from_host<ConnCredit>(trusted_.receive_data());
        ASSERT_TRUE(trusted_.send(DataToHost(ConnCredit{.conn_id = 1, .bytes = 1})).has_value());
        trusted_.flush();
        ASSERT_TRUE(host_.receive_data()->has_value());
    }
    EXPECT_EQ(signals_.notifications + signals_.wakes + signals_.waits, 0);
}

TEST_F(Endpoint, WaitEndsAtItsTimeout) {
    trusted_.wait(1, nothing_else);
    trusted_.wait(1, nothing_else);
    EXPECT_EQ(signals_.waits, 2);
}

TEST_F(Endpoint, OtherWorkKeepsFromSleeping) {
    trusted_.wait(kNoTimeout, [] { return true; });
    EXPECT_EQ(signals_.waits, 0);
}

TEST_F(Endpoint, HostDoesNotSleepOverWork) {
    EXPECT_TRUE(host_.prepare_sleep());
    ASSERT_TRUE(trusted_.send(RpcToHost(Exit{})).has_value());
    trusted_.flush();
    EXPECT_EQ(signals_.notifications, 1);
    host_.awake();
    EXPECT_FALSE(host_.prepare_sleep());
    ASSERT_TRUE(host_.receive_rpc()->has_value());
    EXPECT_TRUE(host_.prepare_sleep());
}

// One who gave up on a full ring must not keep the other from sleeping for ever.
TEST_F(Endpoint, RoomIsToldOnce) {
    while (*host_.send(RpcToTrusted(Reply{.body = TargetInfoReply{}})) == Push::kDone) {
    }
    host_.flush();
    ASSERT_TRUE(trusted_.receive_rpc()->has_value());
    trusted_.flush();
    EXPECT_TRUE(host_.has_work());
    EXPECT_FALSE(host_.prepare_sleep());
    EXPECT_TRUE(host_.prepare_sleep());
}

// Echo between two threads that sleep whenever they can: every lost wake-up would end the test by
// its deadline. Bursts of random size run into full rings, so waking for room is tried as well.
TEST_F(Endpoint, NoWakeUpIsLost) {
    constexpr int kBursts = 500;
    std::atomic<bool> failed = false;
    std::thread enclave([&] {
        for (;;) {
            auto message = trusted_.receive_data();
            if (!message.has_value()) return void(failed = true);
            if (!message->has_value()) {
                trusted_.wait(20000, nothing_else);
                continue;
            }
            if (std::holds_alternative<FromHost<ConnEnded>>(**message)) return;
            auto any = [](const ConnData&) { return true; };
            ConnData data =
                *std::get<FromHost<ConnData>>(std::move(**message)).check(any, malformed_message);
            for (;;) {
                auto pushed = trusted_.send(DataToHost(data));
                if (!pushed.has_value()) return void(failed = true);
                if (*pushed == Push::kDone) break;
                trusted_.wait(20000, nothing_else);
            }
        }
    });
    std::uint64_t sent = 0, received = 0;
    Bytes payload(20000, std::byte{1});
    auto receive_all = [&] {
        for (;;) {
            auto message = host_.receive_data();
            if (!message.has_value()) failed = true;
            if (failed || !message->has_value()) return;
            if (std::get<ConnData>(**message).conn_id != ++received) failed = true;
        }
    };
    auto sleep = [&] {
        if (!host_.prepare_sleep()) return;
        if (!signals_.host_sleep()) failed = true;
        signals_.drain();
        host_.awake();
    };
    for (int burst = 0; burst < kBursts && !failed; ++burst) {
        for (int i = burst % 40; i >= 0 && !failed; --i) {
            std::size_t size = (burst * 31 + i * 977) % payload.size() + 1;
            ConnData data{.conn_id = ++sent, .bytes = ByteView(payload).first(size)};
            while (!failed && *host_.send(DataToTrusted(data)) == Push::kFull) {
                receive_all();
                sleep();
            }
        }
        host_.flush();
        while (received < sent && !failed) {
            receive_all();
            if (received < sent) sleep();
        }
    }
    while (*host_.send(DataToTrusted(ConnEnded{.conn_id = 1})) == Push::kFull) sleep();
    host_.flush();
    enclave.join();
    EXPECT_FALSE(failed);
    EXPECT_EQ(received, sent);
}

TEST(Credit, SendWindow) {
    SendWindow window;
    EXPECT_EQ(window.available(), kConnWindowBytes);
    window.sent(100);
    ASSERT_TRUE(window.credited(60).has_value());
    EXPECT_EQ(window.available(), kConnWindowBytes - 40);
    EXPECT_EQ(window.credited(41).error().code(), window_violated);
    EXPECT_EQ(window.credited(~0U).error().code(), window_violated);
    EXPECT_TRUE(window.credited(40).has_value());
}

TEST(Credit, ReceiveWindow) {
    ReceiveWindow window;
    ASSERT_TRUE(window.arrived(kConnWindowBytes).has_value());
    EXPECT_EQ(window.arrived(1).error().code(), window_violated);
    EXPECT_EQ(window.consumed(kConnWindowBytes / 4 - 1), 0u);
    EXPECT_EQ(window.arrived(1).error().code(), window_violated);
    EXPECT_EQ(window.consumed(1), kConnWindowBytes / 4);
    EXPECT_TRUE(window.arrived(kConnWindowBytes / 4).has_value());
    EXPECT_EQ(window.arrived(1).error().code(), window_violated);
}

TEST(Credit, IdsRise) {
    RisingIds ids;
    EXPECT_EQ(ids.accept(0).error().code(), connection_id_repeated);
    EXPECT_TRUE(ids.accept(1).has_value());
    EXPECT_EQ(ids.accept(1).error().code(), connection_id_repeated);
    EXPECT_TRUE(ids.accept(9).has_value());
    EXPECT_EQ(ids.accept(5).error().code(), connection_id_repeated);
    EXPECT_TRUE(ids.accept(~0ULL).has_value());
    EXPECT_EQ(ids.accept(~0ULL).error().code(), connection_id_repeated);
}

}  // namespace
}  // namespace eos::boundary
