// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/connections.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <utility>

namespace eos::os {
namespace {

/// Says what it hears, until it is told to stop.
class Echo final : public runtime::ConnectionProtocol {
  public:
    explicit Echo(runtime::PlaintextSink& sink) : sink_(sink) {}
    std::size_t receive(ByteView plaintext) override {
        sink_.write(plaintext);
        return plaintext.size();
    }
    bool wants_input() const override { return true; }
    void input_ended() override { sink_.finish(); }
    void writable() override {}
    void drain() override { sink_.finish(); }
    void tick(std::uint64_t) override {}
    std::optional<std::uint64_t> next_deadline_ms() const override { return std::nullopt; }

  private:
    runtime::PlaintextSink& sink_;
};

/// Serves nothing, so every handshake is refused, with an alert.
class NothingServed final : public runtime::ConnectionServices {
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
              const ByteArray<16>&, runtime::Done<runtime::CredentialPtr>) override {}
    std::unique_ptr<runtime::ConnectionProtocol> start_protocol(
        const runtime::ConnectionInfo&, runtime::PlaintextSink& sink) override {
        return std::make_unique<Echo>(sink);
    }
    Clock time;
};

/// "!x" names the client x; anything else is none.
Result<std::optional<Preface>> exclamation(ByteView input) {
    if (input.empty()) return std::nullopt;
    if (input[0] != std::byte{'!'}) return fail(Code{"test", "bad", "bad"});
    if (input.size() < 2) return std::nullopt;
    Preface out{2, ByteArray<16>{}};
    out.client->front() = input[1];
    return out;
}

struct ConnectionsTest : testing::Test {
    UniqueFd connect(ReadPreface preface, const ByteArray<16>& from = {}) {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        connections.accepted(UniqueFd(ends[0]), from, preface);
        return UniqueFd(ends[1]);
    }
    UniqueFd connect_plain() {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        connections.accepted_plain(UniqueFd(ends[0]));
        return UniqueFd(ends[1]);
    }
    void say(const UniqueFd& fd, std::string_view text) {
        EXPECT_EQ(::send(fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
        turn();
    }
    void turn() {
        loop.turn(0);
        connections.turn();
    }
    /// What came, "end" for its end, "-" for nothing.
    std::string heard(const UniqueFd& fd) {
        turn();
        char text[64];
        const ssize_t count = ::recv(fd.get(), text, sizeof text, 0);
        if (count < 0) return "-";
        return count == 0 ? "end" : "bytes";
    }

    NothingServed services;
    EventLoop loop;
    ratls::ServerContext tls = ratls::ServerContext::make().value();
    Connections connections{loop, tls, services, {.in_all = 3, .per_address = 2}};
};

TEST_F(ConnectionsTest, AConnectionBeginsWithItsPrefaceOrEnds) {
    const UniqueFd good = connect(exclamation);
    say(good, "!");
    EXPECT_EQ(heard(good), "-");
    say(good, "a\x16\x03\x01");  // a record begins: TLS waits for the rest of it
    EXPECT_EQ(heard(good), "-");
    say(good, std::string(64, 'x'));
    EXPECT_EQ(heard(good), "bytes");  // an alert
    const UniqueFd bad = connect(exclamation);
    say(bad, "\x16\x03\x01");
    EXPECT_EQ(heard(bad), "end");
}

TEST_F(ConnectionsTest, APrefaceThatDoesNotComeIsNotAwaitedForEver) {
    const UniqueFd fd = connect(exclamation);
    turn();
    services.time.ms += kPrefaceMs - 1;
    EXPECT_EQ(heard(fd), "-");
    services.time.ms += 1;
    EXPECT_EQ(heard(fd), "end");
    EXPECT_EQ(connections.count(), 0U);
}

TEST_F(ConnectionsTest, TheLimitOfAnAddressCountsForTheClientBehindTheBalancer) {
    const UniqueFd one = connect(exclamation);
    const UniqueFd two = connect(exclamation);
    const UniqueFd three = connect(exclamation);
    for (const UniqueFd* fd : {&one, &two, &three}) say(*fd, "!a");
    EXPECT_EQ(heard(one), "-");
    EXPECT_EQ(heard(two), "-");
    EXPECT_EQ(heard(three), "end");
    const UniqueFd other = connect(exclamation);
    say(other, "!b");
    EXPECT_EQ(heard(other), "-");
    const UniqueFd over = connect(exclamation);  // the limit of all
    EXPECT_EQ(heard(over), "end");
}

TEST_F(ConnectionsTest, DrainingEndsWhoIsStillBeingWaitedFor) {
    const UniqueFd fd = connect(exclamation);
    connections.drain_all(1000);
    EXPECT_EQ(heard(fd), "end");
    EXPECT_EQ(connections.count(), 0U);
}

TEST_F(ConnectionsTest, WithoutTlsTheProtocolIsSpokenAtOnce) {
    const UniqueFd fd = connect_plain();
    say(fd, "hello");
    EXPECT_EQ(heard(fd), "bytes");
    EXPECT_EQ(::shutdown(fd.get(), SHUT_WR), 0);
    turn();
    EXPECT_EQ(heard(fd), "end");
    EXPECT_EQ(connections.count(), 0U);
    EXPECT_EQ(connections.counters().handshakes_failed, 0U);
}

TEST_F(ConnectionsTest, WithoutTlsOnlyTheLimitOfAllCounts) {
    const UniqueFd open[] = {connect_plain(), connect_plain(), connect_plain()};
    for (const UniqueFd& fd : open) {
        say(fd, "hello");
        EXPECT_EQ(heard(fd), "bytes");
    }
    const UniqueFd over = connect_plain();
    EXPECT_EQ(heard(over), "end");
    EXPECT_EQ(connections.counters().refused, 1U);
}

TEST_F(ConnectionsTest, WithoutTlsADrainEndsWhatIsIdle) {
    const UniqueFd fd = connect_plain();
    connections.drain_all(1000);
    EXPECT_EQ(heard(fd), "end");
    const UniqueFd late = connect_plain();
    EXPECT_EQ(heard(late), "end");
}

TEST(NetworkOf, IsHalfOfIpv6AndAllOfIpv4) {
    ByteArray<16> v6;
    v6.fill(std::byte{1});
    const ByteArray<16> network = network_of(v6);
    EXPECT_EQ(network[7], std::byte{1});
    EXPECT_EQ(network[8], std::byte{0});
    ByteArray<16> v4{};
    v4[10] = v4[11] = std::byte{0xff};
    v4[15] = std::byte{7};
    EXPECT_EQ(network_of(v4), v4);
}

}  // namespace
}  // namespace eos::os
