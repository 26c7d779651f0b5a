// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/connections.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "trusted/os/socket_stream.h"

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
class NothingServed : public runtime::ConnectionServices {
  public:
    class Clock final : public runtime::Clock {
      public:
        UnixTime now() const override { return {784111777}; }
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

/// Evidence that is none.
class InstantEvidence final : public runtime::EvidenceSource {
  public:
    void request(const ratls::ReportData&, runtime::Done<Bytes> done) override { done(Bytes(100)); }
};

/// Lets what is under way end when it is told to drain: a request that nobody has answered yet.
class Patient final : public runtime::ConnectionProtocol {
  public:
    std::size_t receive(ByteView plaintext) override { return plaintext.size(); }
    bool wants_input() const override { return true; }
    void input_ended() override {}
    void writable() override {}
    void drain() override {}
    void tick(std::uint64_t) override {}
    std::optional<std::uint64_t> next_deadline_ms() const override { return std::nullopt; }
};

/// Serves one name, whose connections wait for an answer.
class OneServed final : public NothingServed {
  public:
    OneServed() {
        InstantEvidence evidence;
        runtime::ServedName row{.name = "a.example", .kind = runtime::NameKind::kApp};
        runtime::make_epoch(evidence, time, [&](auto made) { row.epoch = *made; });
        served_->platform_name = row.name;
        runtime::add_name(*served_, std::move(row));
    }
    std::shared_ptr<const runtime::Served> served() const override { return served_; }
    void leaf(std::shared_ptr<const runtime::Served> shown, const ratls::HandshakeOffer& offer,
              const ByteArray<16>&, runtime::Done<runtime::CredentialPtr> done) override {
        done(leaves_.get(*shown, *shown->find(offer.server_name), offer.scheme, time.now()));
    }
    std::unique_ptr<runtime::ConnectionProtocol> start_protocol(const runtime::ConnectionInfo&,
                                                                runtime::PlaintextSink&) override {
        ++opened;
        return std::make_unique<Patient>();
    }
    int opened = 0;

  private:
    std::shared_ptr<runtime::Served> served_ = std::make_shared<runtime::Served>();
    runtime::LeafCache leaves_;
};

/// Takes nothing.
class Busy final : public runtime::ConnectionProtocol {
  public:
    explicit Busy(int& left) : left_(left) {}
    std::size_t receive(ByteView) override { return 0; }
    bool wants_input() const override { return false; }
    void input_ended() override {}
    void peer_left() override { ++left_; }
    void writable() override {}
    void drain() override {}
    void tick(std::uint64_t) override {}
    std::optional<std::uint64_t> next_deadline_ms() const override { return std::nullopt; }

  private:
    int& left_;
};

/// Every connection is busy, and cannot be spoken to.
class BusyServed final : public NothingServed {
  public:
    std::unique_ptr<runtime::ConnectionProtocol> start_protocol(const runtime::ConnectionInfo&,
                                                                runtime::PlaintextSink&) override {
        return std::make_unique<Busy>(left);
    }
    int left = 0;
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
    EXPECT_EQ(connections.counters().handshakes_failed, 1U) << "the other has not ended";
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
    EXPECT_EQ(connections.counters().opened, 4U);
    EXPECT_EQ(connections.counters().refused_per_address, 1U);
    EXPECT_EQ(connections.counters().refused_in_all, 1U);
    EXPECT_EQ(connections.counters().handshakes_failed, 0U) << "none of them is refused and failed";
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
    EXPECT_EQ(connections.counters().refused_in_all, 1U);
}

TEST_F(ConnectionsTest, WithoutTlsADrainEndsWhatIsIdle) {
    const UniqueFd fd = connect_plain();
    connections.drain_all(1000);
    EXPECT_EQ(heard(fd), "end");
    const UniqueFd late = connect_plain();
    EXPECT_EQ(heard(late), "end");
}

TEST(Connections, WhoLeavesIsNoticedWhileNothingIsRead) {
    for (const std::size_t waiting : {std::size_t{0}, 3 * SocketStream::kWindowBytes}) {
        BusyServed services;
        EventLoop loop;
        const ratls::ServerContext tls = ratls::ServerContext::make().value();
        Connections connections(loop, tls, services, {});
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
        const UniqueFd fd(ends[1]);
        connections.accepted_plain(UniqueFd(ends[0]));
        const auto turn = [&] {
            loop.turn(0);
            connections.turn();
        };
        const std::string more(waiting, 'x');
        ASSERT_EQ(::send(fd.get(), more.data(), more.size(), 0), static_cast<ssize_t>(waiting));
        for (int i = 0; i < 5; ++i) turn();
        EXPECT_EQ(services.left, 0);
        ASSERT_EQ(::shutdown(fd.get(), SHUT_WR), 0);
        for (int i = 0; i < 5; ++i) turn();
        EXPECT_GE(services.left, 1) << waiting;
        EXPECT_EQ(connections.count(), 1U) << "who is busy decides what becomes of it";
        loop.turn(0);
        EXPECT_EQ(connections.next_deadline_ms(), std::nullopt) << "nothing happens any more";
    }
}

TEST(Connections, ThoseThatDrainAreCountedUntilTheyEnd) {
    OneServed services;
    EventLoop loop;
    const ratls::ServerContext tls = ratls::ServerContext::make().value();
    Connections connections(loop, tls, services, {});
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    const UniqueFd fd(ends[1]);
    connections.accepted(UniqueFd(ends[0]), {});
    const ratls::ClientContext context = ratls::ClientContext::make().value();
    const auto client = context.connect({.server_name = "a.example"}).value();
    for (int i = 0; i < 20 && services.opened == 0; ++i) {
        client->advance();
        const ByteView output = client->output();
        if (!output.empty()) {
            ASSERT_EQ(::send(fd.get(), output.data(), output.size(), 0),
                      static_cast<ssize_t>(output.size()));
            client->output_taken(output.size());
        }
        loop.turn(0);
        connections.turn();
        ByteArray<65536> buffer;
        const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        if (count > 0) client->receive(ByteView(buffer).first(static_cast<std::size_t>(count)));
    }
    ASSERT_EQ(services.opened, 1) << client->failure();
    EXPECT_EQ(connections.draining(), 0U);
    runtime::Served changed = *services.served();
    changed.names.begin()->second.tag[0] ^= std::byte{1};
    connections.served_changed(changed, 1000);
    connections.turn();
    EXPECT_EQ(connections.draining(), 1U);
    EXPECT_EQ(connections.count(), 1U);
    services.time.ms += 1000;
    connections.turn();
    EXPECT_EQ(connections.draining(), 0U);
    EXPECT_EQ(connections.count(), 0U);
    EXPECT_EQ(connections.counters().handshakes_failed, 0U);
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
