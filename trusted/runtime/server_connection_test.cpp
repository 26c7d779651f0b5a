// SPDX-License-Identifier: AGPL-3.0-only
// A whole connection in memory: a TLS client, ServerConnection, HTTP/1.1 and a dispatcher.
#include "trusted/runtime/server_connection.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <functional>

#include "common/oid/registry.h"
#include "common/ratls/tls_session.h"
#include "common/x509/certificate.h"
#include "trusted/runtime/body.h"
#include "trusted/runtime/http_test_peer.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/responses.h"

// libssl's convenience macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace eos::runtime {
namespace {

constexpr std::size_t kWindowBytes = 64 * 1024;

class InstantEvidence final : public EvidenceSource {
  public:
    void request(const ratls::ReportData&, Done<Bytes> done) override { done(Bytes(100)); }
};

/// A transport with a window in each direction.
class WindowStream final : public ByteStream {
  public:
    std::size_t writable_bytes() const override { return over ? 0 : send_window; }
    void send(ByteView bytes) override {
        ASSERT_LE(bytes.size(), writable_bytes());
        send_window -= bytes.size();
        append(sent, bytes);
    }
    void consumed(std::size_t count) override {
        ASSERT_LE(receive_window + count, kWindowBytes);
        receive_window += count;
    }
    void close() override { over = closed = true; }
    void abort() override { over = aborted = true; }

    std::size_t send_window = kWindowBytes;
    std::size_t receive_window = kWindowBytes;
    Bytes sent;
    bool over = false;
    bool closed = false;
    bool aborted = false;
};

std::shared_ptr<Served> make_served(const Clock& clock) {
    InstantEvidence evidence;
    std::shared_ptr<const KeyEpoch> epoch;
    make_epoch(evidence, clock, [&](auto result) { epoch = *result; });
    auto out = std::make_shared<Served>();
    out->assurance = "process";
    out->platform_name = "mini.example";
    out->names["mini.example"] = ServedName{.name = "mini.example", .epoch = epoch};
    out->names["app.example"] =
        ServedName{.name = "app.example", .kind = NameKind::kApp, .app = "app", .epoch = epoch};
    for (auto& [name, row] : out->names) row.tag = name_tag(row, *out);
    return out;
}

/// Serves HTTP from one dispatcher, with mode A leaves.
class TestServices final : public ConnectionServices {
  public:
    explicit TestServices(FakeClock& clock) : clock_(clock), now_served(make_served(clock)) {}
    const Clock& clock() const override { return clock_; }
    std::shared_ptr<const Served> served() const override { return now_served; }
    void leaf(std::shared_ptr<const Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>&, Done<CredentialPtr> done) override {
        if (at_leaf) std::exchange(at_leaf, {})();
        if (no_leaf && (!no_leaf_of || no_leaf_of == served)) return done(fail(*no_leaf));
        done(cache_.get(*served, *served->find(offer.server_name), offer.scheme, clock_.now()));
    }
    std::unique_ptr<ConnectionProtocol> start_protocol(const ConnectionInfo& info,
                                                       PlaintextSink& sink) override {
        if (start) return start(info, sink);
        return std::make_unique<Http1Connection>(
            info, Http1Connection::Parts{sink, dispatcher, clock_}, Http1Limits{});
    }

  private:
    FakeClock& clock_;
    LeafCache cache_;

  public:
    std::shared_ptr<Served> now_served;
    std::optional<Code> no_leaf;
    std::shared_ptr<const Served> no_leaf_of;  ///< null: of none
    std::function<void()> at_leaf;
    std::function<std::unique_ptr<ConnectionProtocol>(const ConnectionInfo&, PlaintextSink&)> start;
    FakeDispatcher dispatcher;
};

class ServerConnectionTest : public ::testing::Test {
  protected:
    void connect(std::string server_name) {
        shake_hands({.server_name = std::move(server_name)});
        ASSERT_EQ(client->progress(), ratls::Progress::kOpen) << client->failure();
    }
    void shake_hands(const ratls::ClientOptions& options) {
        client = std::move(*client_context->connect(options));
        connection =
            std::make_unique<ServerConnection>(server_context->accept(), services, stream,
                                               ByteArray<16>{}, [this] { touched = true; });
        exchange_bytes();
    }
    /// The alert that a handshake ends with; the connection is closed behind it.
    std::optional<ratls::Alert> refused(const ratls::ClientOptions& options) {
        stream = {};
        shake_hands(options);
        EXPECT_EQ(client->progress(), ratls::Progress::kFailed);
        EXPECT_TRUE(stream.closed);
        return client->received_alert();
    }
    /// Moves bytes both ways, within the windows, and runs the worker's turns, until all is quiet.
    void exchange_bytes() {
        for (bool moved = true; moved;) {
            moved = false;
            client->advance();
            const std::size_t count = std::min(client->output().size(), stream.receive_window);
            if (count > 0 && !stream.over) {
                const Bytes bytes = to_bytes(client->output().first(count));
                client->output_taken(count);
                stream.receive_window -= count;
                connection->receive(bytes);
                moved = true;
            }
            if (std::exchange(touched, false)) {
                connection->carry_on();
                moved = true;
            }
            moved |= receive_at_client();
        }
    }
    bool receive_at_client() {
        if (stream.sent.empty()) return false;
        const Bytes bytes = std::exchange(stream.sent, {});
        client->receive(bytes);
        client->advance();
        append(received, client->read(1 << 24));
        if (credits_client) {
            stream.send_window += bytes.size();
            connection->writable();
        }
        return true;
    }
    /// What every name says changes; connections have not been told.
    void change() {
        services.now_served = std::make_shared<Served>(*services.now_served);
        for (auto& [name, row] : services.now_served->names) row.tag[0] ^= std::byte{1};
    }
    void publish() {
        connection->served_changed(*services.now_served, 30'000);
        exchange_bytes();
    }
    /// A handshake whose leaf was to say what the minter serves no longer.
    void shake_hands_during_a_change() {
        services.no_leaf = state_changed;
        services.no_leaf_of = services.now_served;
        shake_hands({.server_name = "app.example"});
        ASSERT_EQ(client->progress(), ratls::Progress::kNeedsInput) << client->failure();
    }
    void send(std::string_view text) {
        client->write(as_bytes(text));
        exchange_bytes();
    }
    std::string take_received() { return std::string(as_chars(std::exchange(received, {}))); }
    void keep_exchanges() {
        services.dispatcher.serve = [this](http::RequestHead, const ConnectionInfo&,
                                           Exchange exchange) {
            waiting.push_back(std::move(exchange));
            return Dispatched{};
        };
    }

    FakeClock clock;
    TestServices services{clock};
    Result<ratls::ServerContext> server_context = ratls::ServerContext::make();
    Result<ratls::ClientContext> client_context = ratls::ClientContext::make();
    WindowStream stream;
    std::unique_ptr<ratls::ClientSession> client;
    std::unique_ptr<ServerConnection> connection;
    std::vector<Exchange> waiting;
    Bytes received;
    bool touched = false;
    bool credits_client = true;
};

TEST_F(ServerConnectionTest, TheNameOfTheHandshakeDecidesForTheWholeConnection) {
    connect("app.example");
    services.dispatcher.serve = [](http::RequestHead, const ConnectionInfo& info,
                                   Exchange exchange) {
        EXPECT_EQ(info.kind, NameKind::kApp);
        EXPECT_EQ(info.app, "app");
        EXPECT_TRUE(exchange.respond(ok_head(), to_bytes(info.server_name)));
        return Dispatched{};
    };
    send("GET / HTTP/1.1\r\nHost: app.example\r\n\r\n" + std::string(kGet));
    const auto responses = read_responses(take_received());
    ASSERT_EQ(responses.size(), 2u);
    EXPECT_EQ(responses[0].body, "app.example");
    EXPECT_EQ(responses[1].status, 421);
    EXPECT_EQ(services.dispatcher.paths.size(), 1u);
}

TEST_F(ServerConnectionTest, WithoutSniThePlatformAnswersToItsAddress) {
    connect("");
    keep_exchanges();
    send("GET / HTTP/1.1\r\nHost: 127.0.0.1:8443\r\n\r\n");
    ASSERT_EQ(waiting.size(), 1u);
    EXPECT_TRUE(connection->info()->server_name == "mini.example");
    EXPECT_FALSE(connection->info()->sent_server_name);
}

TEST_F(ServerConnectionTest, TheChannelBindsToThisConnectionAndDiesWithIt) {
    shake_hands({.server_name = "app.example", .scheme = ratls::LeafScheme::kV2});
    ASSERT_EQ(client->progress(), ratls::Progress::kOpen) << client->failure();
    std::shared_ptr<ChannelEnd> end = connection->info()->channel;
    ASSERT_NE(end, nullptr);
    auto leaf = x509::Certificate::parse(client->peer_certificate());
    EXPECT_EQ(leaf->p256_key()->spki_hash(), end->leaf_key().spki_hash());
    ByteArray<32> context{std::byte{1}};
    EXPECT_EQ(*end->bind(context), *client->bind_channel(ratls::AttestedEnd::kServer, context));
    EXPECT_FALSE(connection->info()->is_challenged());
    end->set_answered();
    EXPECT_TRUE(connection->info()->is_challenged());
    connection.reset();
    EXPECT_EQ(end->bind(context).error().code(), ratls::tls_failed);
}

TEST_F(ServerConnectionTest, OnlyModeBHasNoChannel) {
    shake_hands({.server_name = "app.example", .nonce = ByteArray<32>{}});
    ASSERT_EQ(client->progress(), ratls::Progress::kOpen) << client->failure();
    EXPECT_EQ(connection->info()->channel, nullptr);
    EXPECT_TRUE(connection->info()->is_challenged());
    stream = {};
    connect("app.example");
    EXPECT_NE(connection->info()->channel, nullptr);
    EXPECT_FALSE(connection->info()->is_challenged());
}

TEST_F(ServerConnectionTest, TheProfileOfANameDecidesWhichLeafAlpnGets) {
    auto leaf_has_evidence = [&] {
        stream = {};
        shake_hands({.server_name = "app.example", .scheme = ratls::LeafScheme::kV2});
        EXPECT_EQ(client->progress(), ratls::Progress::kOpen) << client->failure();
        const x509::Certificate leaf = x509::Certificate::parse(client->peer_chain().at(0)).value();
        return leaf.find_extension(oid::kSgxQuote) != nullptr;
    };
    EXPECT_FALSE(leaf_has_evidence());
    services.now_served = std::make_shared<Served>(*services.now_served);
    services.now_served->names["app.example"].profile = ratls::Profile::kV1;
    EXPECT_TRUE(leaf_has_evidence());
    services.now_served = std::make_shared<Served>(*services.now_served);
    services.now_served->names["app.example"].profile = ratls::Profile::kAuto;
    EXPECT_FALSE(leaf_has_evidence());
}

TEST_F(ServerConnectionTest, EachRefusedHandshakeEndsWithTheAlertThatSaysWhy) {
    const ratls::ClientOptions plain{.server_name = "app.example"};
    ratls::ClientOptions challenge = plain;
    challenge.nonce = ByteArray<32>{};
    EXPECT_EQ(refused({.server_name = "other.example"}), ratls::Alert::kUnrecognizedName);
    EXPECT_EQ(refused({.server_name = "other.example", .nonce = challenge.nonce}),
              ratls::Alert::kUnrecognizedName);
    for (const Code& limit : {mint_rate, mint_busy}) {
        services.no_leaf = limit;
        EXPECT_EQ(refused(challenge), ratls::Alert::kAccessDenied);
    }
    constexpr Code kQuoteFailed{"test", "quote_failed", "there is no quote"};
    services.no_leaf = kQuoteFailed;
    EXPECT_EQ(refused(challenge), ratls::Alert::kInternalError);
    EXPECT_EQ(connection->failure(), kQuoteFailed.text);
    services.no_leaf = leaf_expired;
    EXPECT_EQ(refused(plain), ratls::Alert::kInternalError);
    services.no_leaf.reset();
    services.now_served.reset();
    for (const ratls::ClientOptions& options : {plain, challenge}) {
        EXPECT_EQ(refused(options), ratls::Alert::kInternalError);
        EXPECT_EQ(connection->failure(), "nothing is served yet");
    }
}

TEST_F(ServerConnectionTest, AnswersFromOutsideGoOutAndTheNextRequestFollows) {
    connect("mini.example");
    keep_exchanges();
    send(std::string(kGet) + std::string(kGet));
    ASSERT_EQ(waiting.size(), 1u);
    EXPECT_TRUE(waiting[0].respond(ok_head(), to_bytes("first")));
    EXPECT_EQ(waiting.size(), 1u);  // nothing came back into the caller
    exchange_bytes();
    EXPECT_EQ(read_response(take_received()).body, "first");
    ASSERT_EQ(waiting.size(), 2u);
    waiting.pop_back();  // forgotten
    exchange_bytes();
    EXPECT_EQ(read_response(take_received()).status, 500);
}

TEST_F(ServerConnectionTest, APausedBodyHoldsThePeerBackAndGoesOnFromOutside) {
    connect("mini.example");
    HandlerLog log;
    log.flow = BodyFlow::kPause;
    log.on_end = [](Exchange& exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), to_bytes("ok")));
    };
    TestHandler* handler = nullptr;
    serve_and_remember(services.dispatcher, log, handler, 1 << 20);
    const std::string body(500'000, 'b');
    send(post("Content-Length: 500000", body));
    EXPECT_LT(log.body.size(), 100'000u);
    EXPECT_EQ(stream.receive_window, 0u);
    for (int i = 0; i < 1000 && log.ends == 0; ++i) {
        handler->exchange().resume_body();
        exchange_bytes();
    }
    EXPECT_EQ(log.body, body);
    EXPECT_EQ(read_response(take_received()).body, "ok");
    EXPECT_EQ(stream.receive_window, kWindowBytes);  // every byte was credited
}

TEST_F(ServerConnectionTest, ALargeAnswerFollowsThePeersWindow) {
    connect("mini.example");
    credits_client = false;
    services.dispatcher.serve = [](http::RequestHead, const ConnectionInfo&, Exchange exchange) {
        EXPECT_TRUE(exchange.respond(ok_head(), Bytes(1'000'000, std::byte{'x'})));
        return Dispatched{};
    };
    stream.send_window = 5000;
    send(kGet);
    EXPECT_LE(received.size(), 5000u);
    for (int i = 0; i < 1000 && received.size() < 1'000'000; ++i) {
        stream.send_window += 7777;
        connection->writable();
        exchange_bytes();
    }
    EXPECT_EQ(read_response(take_received()).body, std::string(1'000'000, 'x'));
}

TEST_F(ServerConnectionTest, NoRequestIsHandledUnderAProofThatNoLongerHolds) {
    connect("app.example");
    keep_exchanges();
    const std::string get = "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n";
    send(get + get);
    ASSERT_EQ(waiting.size(), 1u);
    auto changed = std::make_shared<Served>(*services.now_served);
    changed->names["app.example"].tag = {};
    connection->served_changed(*changed, 30'000);
    send(get);
    EXPECT_TRUE(waiting[0].respond(ok_head(), to_bytes("old instance")));
    exchange_bytes();
    const ReadResponse response = read_response(take_received());
    EXPECT_EQ(response.body, "old instance");
    EXPECT_EQ(response.headers.first("connection"), "close");
    EXPECT_EQ(services.dispatcher.paths.size(), 1u);
    EXPECT_TRUE(stream.closed);
    EXPECT_TRUE(connection->is_over());
}

TEST_F(ServerConnectionTest, AnIdleConnectionIsClosedWhenWhatItWasShownChanges) {
    connect("app.example");
    keep_exchanges();
    send("GET /1 HTTP/1.1\r\nHost: app.example\r\n\r\n");
    EXPECT_TRUE(waiting.at(0).respond(ok_head(), {}));
    exchange_bytes();
    auto changed = std::make_shared<Served>(*services.now_served);
    connection->served_changed(*changed, 30'000);
    exchange_bytes();
    EXPECT_FALSE(stream.over);  // nothing it was shown changed
    changed->names.erase("app.example");
    connection->served_changed(*changed, 30'000);
    exchange_bytes();
    EXPECT_TRUE(stream.closed);
    EXPECT_EQ(client->progress(), ratls::Progress::kClosed);
}

TEST_F(ServerConnectionTest, AFirstRequestThatAChangeOvertookIsToldSo) {
    connect("app.example");
    keep_exchanges();
    services.now_served = std::make_shared<Served>(*services.now_served);
    services.now_served->names.at("app.example").tag = {};
    connection->served_changed(*services.now_served, 30'000);
    exchange_bytes();
    EXPECT_FALSE(stream.over);
    send("GET /1 HTTP/1.1\r\nHost: app.example\r\n\r\n");
    EXPECT_EQ(read_response(take_received()).status, 421);
    EXPECT_TRUE(waiting.empty());
    EXPECT_TRUE(stream.closed);
}

TEST_F(ServerConnectionTest, AHandshakeDuringAChangeIsShownWhatIsServedNext) {
    shake_hands_during_a_change();
    publish();
    EXPECT_EQ(client->progress(), ratls::Progress::kNeedsInput) << "nothing else is served yet";
    change();
    publish();
    ASSERT_EQ(client->progress(), ratls::Progress::kOpen) << client->failure();
    EXPECT_EQ(connection->info()->tag, services.now_served->find("app.example")->tag);
    publish();
    EXPECT_FALSE(connection->is_draining());
}

TEST_F(ServerConnectionTest, ARefusedLeafThatComesAfterTheChangeIsAskedForAgain) {
    services.at_leaf = [this] { change(); };
    services.no_leaf = state_changed;
    services.no_leaf_of = services.now_served;
    connect("app.example");
    EXPECT_EQ(connection->info()->tag, services.now_served->find("app.example")->tag);
}

TEST_F(ServerConnectionTest, AHandshakeWaitsThroughTwoChanges) {
    shake_hands_during_a_change();
    change();
    services.no_leaf_of = services.now_served;
    publish();
    EXPECT_EQ(client->progress(), ratls::Progress::kNeedsInput);
    change();
    publish();
    EXPECT_EQ(client->progress(), ratls::Progress::kOpen) << client->failure();
}

TEST_F(ServerConnectionTest, ANameThatAChangeRemovesIsRefused) {
    shake_hands_during_a_change();
    change();
    services.now_served->names.erase("app.example");
    publish();
    EXPECT_EQ(client->received_alert(), ratls::Alert::kInternalError);
    EXPECT_TRUE(stream.closed);
}

TEST_F(ServerConnectionTest, AChangeWithoutEvidenceIsWaitedForAsLongAsAHandshakeMayTake) {
    shake_hands_during_a_change();
    clock.now_ms += kHandshakeMs - 1;
    connection->tick();
    EXPECT_FALSE(stream.over);
    clock.now_ms += 1;
    connection->tick();
    exchange_bytes();
    EXPECT_EQ(client->received_alert(), ratls::Alert::kInternalError);
    EXPECT_TRUE(stream.closed);
    change();
    publish();
    EXPECT_EQ(client->progress(), ratls::Progress::kFailed);
}

// A client of libssl alone, whose first group is not ours: it has to say its hello again.
TEST_F(ServerConnectionTest, AChangeBetweenTwoClientHellosIsNotWhatWasShown) {
    const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                               SSL_CTX_free);
    SSL_CTX_set1_groups_list(context.get(), "P-384:X25519");
    const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
    BIO* to_client = BIO_new(BIO_s_mem());
    BIO* from_client = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl.get(), to_client, from_client);
    SSL_set_connect_state(ssl.get());
    SSL_set_tlsext_host_name(ssl.get(), "app.example");
    connection = std::make_unique<ServerConnection>(server_context->accept(), services, stream,
                                                    ByteArray<16>{}, [] {});
    const crypto::Digest32 shown = services.now_served->find("app.example")->tag;
    for (int turn = 0; turn < 4; ++turn) {
        SSL_do_handshake(ssl.get());
        Bytes bytes(BIO_ctrl_pending(from_client));
        BIO_read(from_client, bytes.data(), static_cast<int>(bytes.size()));
        stream.receive_window -= bytes.size();
        connection->receive(bytes);
        if (turn == 0) change();
        const Bytes answer = std::exchange(stream.sent, {});
        BIO_write(to_client, answer.data(), static_cast<int>(answer.size()));
    }
    ASSERT_TRUE(connection->info().has_value()) << connection->failure();
    EXPECT_EQ(connection->info()->tag, shown);
    EXPECT_TRUE(connection->is_draining()) << "what it was shown is served no longer";
}

TEST_F(ServerConnectionTest, WhatIsServedNowAnswersNobodyWhoWasShownSomethingElse) {
    connect("app.example");
    keep_exchanges();
    send("GET /1 HTTP/1.1\r\nHost: app.example\r\n\r\n");
    ASSERT_EQ(waiting.size(), 1u);
    EXPECT_TRUE(waiting[0].respond(ok_head(), {}));
    exchange_bytes();
    take_received();
    // The change is there, and the connection has not been told yet.
    services.now_served = std::make_shared<Served>(*services.now_served);
    services.now_served->names["app.example"].tag = {};
    send("GET /2 HTTP/1.1\r\nHost: app.example\r\n\r\n");
    EXPECT_EQ(read_response(take_received()).status, 421);
    EXPECT_EQ(waiting.size(), 1u);
}

TEST_F(ServerConnectionTest, ADrainThatTakesTooLongIsCutAndTheLateAnswerGoesNowhere) {
    connect("mini.example");
    keep_exchanges();
    send(kGet);
    connection->drain(30'000);
    clock.now_ms += 29'999;
    connection->tick();
    EXPECT_FALSE(stream.over);
    clock.now_ms += 1;
    connection->tick();
    EXPECT_TRUE(stream.aborted);
    EXPECT_TRUE(waiting.at(0).respond(ok_head(), to_bytes("too late")));
    exchange_bytes();
    EXPECT_TRUE(received.empty());
    connection.reset();
    EXPECT_FALSE(waiting[0].is_open());
}

// What is under way may be as long as it likes, but not for longer than the drain lets it.
TEST_F(ServerConnectionTest, AStreamIsCutAfterTheDrainTime) {
    connect("mini.example");
    keep_exchanges();
    send(kGet);
    ASSERT_TRUE(waiting.at(0).start(ok_head(), http::BodySize::unknown()).has_value());
    auto stream_bytes = [&](std::string_view text) {
        waiting.at(0).write(as_bytes(text));
        exchange_bytes();
        return take_received();
    };
    EXPECT_NE(stream_bytes("before").find("before"), std::string::npos);
    auto changed = std::make_shared<Served>(*services.now_served);
    changed->names.at("mini.example").tag[0] ^= std::byte{1};
    connection->served_changed(*changed, 30'000);
    exchange_bytes();
    EXPECT_NE(stream_bytes("still").find("still"), std::string::npos);
    clock.now_ms += 29'999;
    connection->tick();
    EXPECT_NE(stream_bytes("still here").find("still here"), std::string::npos);
    clock.now_ms += 1;
    connection->tick();
    EXPECT_TRUE(stream.aborted);
    EXPECT_EQ(stream_bytes("too late"), "");
    connection.reset();
    EXPECT_FALSE(waiting[0].is_open());
}

/// Takes a byte, and then nothing until it is told to go on.
class PausingProtocol final : public ConnectionProtocol {
  public:
    std::size_t receive(ByteView plaintext) override {
        const std::size_t size = is_paused ? 0 : std::min(plaintext.size(), piece);
        taken += as_chars(plaintext.first(size));
        is_paused = true;
        return size;
    }
    bool wants_input() const override { return !is_paused; }
    void input_ended() override { ended_at = taken.size(); }
    void peer_left() override { left_at = taken.size(); }
    void writable() override {}
    void drain() override {}
    void tick(std::uint64_t) override {}
    std::optional<std::uint64_t> next_deadline_ms() const override { return std::nullopt; }

    std::size_t piece = 1;
    bool is_paused = false;
    std::string taken;
    std::optional<std::size_t> ended_at;
    std::optional<std::size_t> left_at;  ///< when it heard so last
};

TEST_F(ServerConnectionTest, AProtocolThatPausesHearsOfTheEndBehindAllThatCameBefore) {
    auto made = std::make_unique<PausingProtocol>();
    PausingProtocol& protocol = *made;
    services.start = [&](const ConnectionInfo&, PlaintextSink&) { return std::move(made); };
    connect("mini.example");
    client->write(as_bytes("x"));
    exchange_bytes();
    EXPECT_EQ(protocol.taken, "x");
    // Two records wait in TLS when the transport ends.
    const std::string sent(20'000, 'y');
    client->write(as_bytes(sent));
    exchange_bytes();
    connection->input_ended();
    EXPECT_EQ(protocol.ended_at, std::nullopt);
    protocol.piece = 1 << 20;
    for (int i = 0; i < 3; ++i) {
        protocol.is_paused = false;
        connection->writable();
    }
    EXPECT_EQ(protocol.taken.size(), 1 + sent.size());
    EXPECT_EQ(protocol.ended_at, 1 + sent.size());
}

TEST_F(ServerConnectionTest, AProtocolThatPausesHearsAtOnceThatThePeerHasLeft) {
    auto made = std::make_unique<PausingProtocol>();
    PausingProtocol& protocol = *made;
    services.start = [&](const ConnectionInfo&, PlaintextSink&) { return std::move(made); };
    connect("mini.example");
    client->write(as_bytes("xyz"));
    exchange_bytes();
    // TLS ends, which is no more than that nothing else will be sent.
    client->close();
    exchange_bytes();
    EXPECT_EQ(protocol.left_at, std::nullopt);
    connection->peer_left();
    EXPECT_EQ(protocol.left_at, 1U);
    EXPECT_EQ(protocol.ended_at, std::nullopt);
    // And again when it takes what came before: it may be another request.
    protocol.piece = 2;
    protocol.is_paused = false;
    connection->writable();
    EXPECT_EQ(protocol.left_at, 3U);
}

TEST_F(ServerConnectionTest, WhoLeavesBeforeTheHandshakeEndsHasLeftTheProtocolBehindIt) {
    auto made = std::make_unique<PausingProtocol>();
    PausingProtocol& protocol = *made;
    services.start = [&](const ConnectionInfo&, PlaintextSink&) {
        connection->peer_left();
        return std::move(made);
    };
    connect("mini.example");
    EXPECT_EQ(protocol.left_at, 0U);
}

}  // namespace
}  // namespace eos::runtime
