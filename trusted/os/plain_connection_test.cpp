// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/plain_connection.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "common/base/bytes.h"

namespace eos::os {
namespace {

/// Takes and gives as much as a test says.
class FakeStream final : public runtime::ByteStream {
  public:
    std::size_t writable_bytes() const override { return is_closed ? 0 : window; }
    void send(ByteView bytes) override {
        ASSERT_LE(bytes.size(), window);
        window -= bytes.size();
        sent += as_chars(bytes);
    }
    void consumed(std::size_t count) override { consumed_bytes += count; }
    void close() override { is_closed = true; }
    void abort() override { is_aborted = true; }

    std::size_t window = 100;
    std::string sent;
    std::size_t consumed_bytes = 0;
    bool is_closed = false;
    bool is_aborted = false;
};

/// Echoes lines, one at a time: none is taken while the last one could not be written.
class Lines final : public runtime::ConnectionProtocol {
  public:
    explicit Lines(runtime::PlaintextSink& sink) : sink_(sink) {}

    std::size_t receive(ByteView plaintext) override {
        const std::string_view text = as_chars(plaintext);
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) return 0;
        waiting_ = text.substr(0, end + 1);
        say();
        return end + 1;
    }
    bool wants_input() const override { return waiting_.empty(); }
    void input_ended() override {
        if (waiting_.empty()) sink_.finish();
    }
    void writable() override { say(); }
    void drain() override { is_draining = true; }
    void tick(std::uint64_t now_ms) override { ticked_ms = now_ms; }
    std::optional<std::uint64_t> next_deadline_ms() const override { return deadline_ms; }

    std::optional<std::uint64_t> deadline_ms;
    std::uint64_t ticked_ms = 0;
    bool is_draining = false;

  private:
    void say() {
        if (waiting_.empty() || sink_.writable_bytes() < waiting_.size()) return;
        sink_.write(as_bytes(waiting_));
        if (std::exchange(waiting_, {}) == "bye\n") sink_.finish();
    }

    runtime::PlaintextSink& sink_;
    std::string waiting_;
};

class Services final : public runtime::ConnectionServices {
  public:
    class Clock final : public runtime::Clock {
      public:
        UnixTime now() const override { return {}; }
        std::uint64_t monotonic_ms() const override { return ms; }
        std::uint64_t ms = 1000;
    };
    const runtime::Clock& clock() const override { return time; }
    std::shared_ptr<const runtime::Served> served() const override { return nullptr; }
    void leaf(std::shared_ptr<const runtime::Served>, const ratls::HandshakeOffer&,
              const ByteArray<16>&, runtime::Done<runtime::CredentialPtr>) override {
        FAIL() << "no leaf is shown";
    }
    std::unique_ptr<runtime::ConnectionProtocol> start_protocol(
        const runtime::ConnectionInfo& of, runtime::PlaintextSink& to) override {
        info = &of;
        sink = &to;
        auto made = std::make_unique<Lines>(to);
        lines = made.get();
        return made;
    }
    Clock time;
    const runtime::ConnectionInfo* info = nullptr;
    runtime::PlaintextSink* sink = nullptr;
    Lines* lines = nullptr;
};

struct PlainConnectionTest : testing::Test {
    void hear(std::string_view text) { connection.receive(as_bytes(text)); }

    FakeStream stream;
    Services services;
    int changes = 0;
    PlainConnection connection{services, stream, [this] { ++changes; }};
};

TEST_F(PlainConnectionTest, IsOfAPlatformWithoutNameOrProof) {
    EXPECT_EQ(services.info->server_name, "");
    EXPECT_EQ(services.info->kind, runtime::NameKind::kPlatform);
    EXPECT_TRUE(all_zero(services.info->peer_address));
    EXPECT_FALSE(services.info->is_challenged());
    EXPECT_FALSE(services.info->client_key_hash);
}

TEST_F(PlainConnectionTest, WhatTheProtocolDoesNotTakeKeepsItsPlaceInTheWindow) {
    stream.window = 4;
    hear("one\ntwo\nth");
    EXPECT_EQ(stream.sent, "one\n");
    EXPECT_EQ(stream.consumed_bytes, 8U);  // "two" waits in the protocol, "th" in the connection
    stream.window = 10;
    connection.writable();
    EXPECT_EQ(stream.sent, "one\ntwo\n");
    hear("ree\n");
    EXPECT_EQ(stream.sent, "one\ntwo\nthree\n");
    EXPECT_EQ(stream.consumed_bytes, 14U);
    EXPECT_GT(changes, 0);
}

TEST_F(PlainConnectionTest, TheEndOfInputComesBehindTheInput) {
    stream.window = 0;
    hear("one\ntwo\n");
    connection.input_ended();
    EXPECT_FALSE(connection.is_over());
    stream.window = 100;
    connection.writable();
    EXPECT_EQ(stream.sent, "one\ntwo\n");
    EXPECT_TRUE(connection.is_over());
    EXPECT_TRUE(stream.is_closed);
    EXPECT_FALSE(stream.is_aborted);
}

TEST_F(PlainConnectionTest, NothingIsHeardOrSaidBehindItsEnd) {
    hear("bye\nmore\n");
    EXPECT_TRUE(connection.is_over());
    EXPECT_EQ(stream.sent, "bye\n");
    hear("more\n");
    connection.writable();
    connection.input_ended();
    connection.tick();
    EXPECT_EQ(stream.sent, "bye\n");
    EXPECT_EQ(services.sink->writable_bytes(), 0U);
    EXPECT_EQ(connection.next_deadline_ms(), std::nullopt);
}

TEST_F(PlainConnectionTest, AnAnswerFromOutsideIsCarriedOnWith) {
    stream.window = 0;
    hear("one\n");
    stream.window = 100;
    changes = 0;
    connection.carry_on();
    EXPECT_EQ(stream.sent, "") << "nobody asked for it";
    services.sink->wake();
    EXPECT_EQ(stream.sent, "") << "it never calls back";
    EXPECT_EQ(changes, 1);
    connection.carry_on();
    EXPECT_EQ(stream.sent, "one\n");
}

TEST_F(PlainConnectionTest, ADrainHasItsTimeAndThenEnds) {
    services.lines->deadline_ms = 9000;
    EXPECT_EQ(connection.next_deadline_ms(), 9000U);
    connection.drain(500);
    EXPECT_TRUE(services.lines->is_draining);
    EXPECT_EQ(connection.next_deadline_ms(), 1500U);
    connection.drain(5000);
    EXPECT_EQ(connection.next_deadline_ms(), 1500U) << "it was told before";
    services.time.ms = 1499;
    connection.tick();
    EXPECT_EQ(services.lines->ticked_ms, 1499U);
    EXPECT_FALSE(connection.is_over());
    services.time.ms = 1500;
    connection.tick();
    EXPECT_TRUE(connection.is_over());
    EXPECT_TRUE(stream.is_aborted);
}

}  // namespace
}  // namespace eos::os
