// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/service.h"

#include <gtest/gtest.h>

#include "common/attestation/verify/synthetic_intel_test.h"
#include "trusted/attestd/testing.h"
#include "trusted/runtime/http_test_peer.h"

namespace eos::attestd {
namespace {

using attestation::testing::kNow;
using attestation::testing::SyntheticIntel;
using runtime::read_response;
using testing::Provider;

constexpr std::size_t kSmallWindow = 20 * 1024;

class TestClock final : public runtime::Clock {
  public:
    UnixTime now() const override { return kNow; }
    std::uint64_t monotonic_ms() const override { return ms; }
    std::uint64_t ms = 1'000'000;
};

crypto::P256PrivateKey copy_of(const crypto::P256PrivateKey& key) {
    return crypto::P256PrivateKey::from_pkcs8(key.to_pkcs8().view()).value();
}

/// A service; without tokens a caller is an address.
struct World {
    explicit World(const Limits& limits, Front front = Front::tls, TokenVerifier* tokens = nullptr)
        : service({loop, pool, cache, clock, log, tokens, front}, limits) {
        sign_with(nullptr);
    }

    /// As a reload would. Null: no tokens are signed.
    void sign_with(const crypto::P256PrivateKey* key) {
        std::optional<TokenSigner> signer;
        if (key != nullptr) signer = TokenSigner{"us", copy_of(*key)};
        service.set_standing(std::make_shared<const Standing>(
            Standing{default_policy(intel.roots()), {}, std::move(signer)}));
    }

    /// Until no request is worked on any more.
    void work() {
        for (int i = 0; i < 100 && service.in_flight() > 0; ++i) loop.turn(100);
        ASSERT_EQ(service.in_flight(), 0U);
    }

    SyntheticIntel intel;
    os::EventLoop loop;
    os::WorkerPool pool{1, 8};
    SignatureCache cache{16};
    TestClock clock;
    os::Log log{os::LogFormat::text};
    Service service;
};

/// One connection of a caller.
struct Peer {
    explicit Peer(World& of, std::uint8_t caller = 1) : world(of) {
        info.peer_address[15] = std::byte{caller};
        connection = world.service.start_protocol(info, sink);
    }
    void send(std::string_view bytes) { connection->receive(as_bytes(bytes)); }
    /// A request of `size` bytes whose body does not come yet.
    void announce(std::size_t size, const std::string& fields = {}) {
        send("POST / HTTP/1.1\r\nHost: mini.example\r\n" + fields +
             "Content-Length: " + std::to_string(size) + "\r\n\r\n");
    }
    void ask(const std::string& body, const std::string& fields = {}) {
        announce(body.size(), fields);
        send(body);
        world.work();
        connection->writable();
    }
    int status() { return read_response(std::exchange(sink.written, {})).status; }
    std::string get(const std::string& path, const std::string& fields = {}) {
        send("GET " + path + " HTTP/1.1\r\nHost: mini.example\r\n" + fields + "\r\n");
        connection->writable();
        return std::exchange(sink.written, {});
    }

    World& world;
    runtime::ConnectionInfo info = runtime::platform_connection();
    runtime::FakeSink sink;
    std::unique_ptr<runtime::ConnectionProtocol> connection;
};

/// Genuine evidence, with a log that makes the answer large.
std::string large_request(const SyntheticIntel& intel) {
    json::Value events = json::Value::array();
    for (int i = 0; i < 1000; ++i) {
        events.push_back({{"imr", 3},
                          {"event_type", 1},
                          {"digest", std::string(96, '0')},
                          {"event", "e"},
                          {"event_payload", ""}});
    }
    json::Value body = testing::body_for(intel.quote());
    body["collateral"] = base64(as_bytes(testing::collateral_file(intel.endorsements())));
    body["eventLog"] = base64(as_bytes(json::compact(events)));
    body["includeEventLog"] = true;
    return json::compact(body);
}

/// Two issuers, of whom the first may read metrics.
struct Issuers {
    Issuers() {
        verifier.set_keys(0, one.keys("a"));
        verifier.set_keys(1, two.keys("a"));
    }
    static std::string bearer(const Provider& of, const char* subject,
                              const char* role = "attestation-server:client") {
        const std::string token =
            of.token("a", {{"sub", subject}, {"roles", {role}}, {"exp", kNow.seconds + 60}});
        return "Authorization: Bearer " + token + "\r\n";
    }

    Provider one{"https://one.example"};
    Provider two{"https://two.example"};
    TokenVerifier verifier{
        {{.issuer = one.issuer, .monitoring_role = "m"}, {.issuer = two.issuer}}, 30, nullptr};
};

const std::string kSmallRequest = json::compact(testing::body_for(Bytes(9)));

TEST(Service, AnUnreadAnswerIsHeldAgainstItsCaller) {
    Limits limits;
    limits.in_flight_per_caller = 1;
    World world(limits);
    Peer idle(world);
    idle.sink.window = kSmallWindow;
    idle.ask(large_request(world.intel));
    ASSERT_EQ(idle.sink.written.size(), kSmallWindow);
    Peer other(world);
    other.ask(kSmallRequest);
    EXPECT_EQ(other.status(), 429);
    Peer bob(world, 2);
    bob.ask(kSmallRequest);
    EXPECT_EQ(bob.status(), 200);
    idle.sink.window = 1 << 20;
    idle.connection->writable();
    EXPECT_EQ(idle.status(), 200);
    other.ask(kSmallRequest);
    EXPECT_EQ(other.status(), 200);
    // One who goes away holds nothing, either.
    idle.sink.window = kSmallWindow;
    idle.ask(large_request(world.intel));
    idle.connection.reset();
    other.ask(kSmallRequest);
    EXPECT_EQ(other.status(), 200);
}

TEST(Service, AnswersAreCountedAsMemory) {
    Limits limits;
    limits.body_bytes = 1024;
    limits.body_memory_bytes = 1024;
    World world(limits);
    Peer peer(world);
    peer.ask(kSmallRequest);
    const auto response = read_response(peer.sink.written);
    EXPECT_EQ(response.status, 503);
    EXPECT_TRUE(response.headers.first("retry-after"));
}

TEST(Service, WhatIsAnnouncedHoldsNoMemory) {
    World world{Limits{}};
    std::vector<std::unique_ptr<Peer>> slow;
    for (int i = 0; i < 6; ++i) {
        slow.push_back(std::make_unique<Peer>(world));
        slow.back()->announce(8 * 1024 * 1024);
        slow.back()->send("{");
    }
    Peer peer(world);
    peer.ask(kSmallRequest);
    EXPECT_EQ(peer.status(), 200);
}

// A kilobyte a second, which was enough once, held 8 MiB for hours.
TEST(Service, ABodyMustComeAsFastAsItTakesMemory) {
    World world{Limits{}};
    Peer slow(world);
    slow.announce(8 * 1024 * 1024);
    auto after = [&](std::uint64_t ms, std::size_t bytes) {
        world.clock.ms += ms;
        slow.send(std::string(bytes, ' '));
        slow.connection->tick(world.clock.ms);
        slow.connection->writable();
        return slow.sink.written.empty();
    };
    EXPECT_TRUE(after(9'900, 640 * 1024)) << "ten seconds and what it pays for";
    EXPECT_TRUE(after(9'900, 1024));
    EXPECT_FALSE(after(1'000, 1024));
    EXPECT_EQ(slow.status(), 408);
}

Limits small_memory() {
    Limits limits;
    limits.body_bytes = 256 * 1024;
    limits.body_memory_bytes = 2 * 1024 * 1024;
    return limits;
}

TEST(Service, AnIssuerThatMakesUpCallersLeavesMemoryToTheOthers) {
    Issuers issuers;
    const Limits limits = small_memory();
    World world(limits, Front::tls, &issuers.verifier);
    std::vector<std::unique_ptr<Peer>> evil;
    for (const char* subject : {"m0", "m1", "m2", "m3", "m4", "m5"}) {
        evil.push_back(std::make_unique<Peer>(world));
        evil.back()->announce(limits.body_bytes, Issuers::bearer(issuers.one, subject));
        evil.back()->send(std::string(200'000, ' '));
    }
    EXPECT_EQ(evil.front()->sink.written.size(), 0U);
    EXPECT_EQ(evil.back()->status(), 503);
    Peer good(world);
    good.ask(std::string(limits.body_bytes, ' '), Issuers::bearer(issuers.two, "bob"));
    EXPECT_EQ(good.status(), 400);
}

TEST(Service, AnIssuerThatMakesUpCallersLeavesPlacesToTheOthers) {
    Issuers issuers;
    Limits limits;
    limits.queue = 7;
    limits.threads = 1;
    World world(limits, Front::tls, &issuers.verifier);
    std::vector<std::unique_ptr<Peer>> evil;
    for (const char* subject : {"m0", "m1", "m2", "m3", "m4"}) {
        evil.push_back(std::make_unique<Peer>(world));
        evil.back()->announce(kSmallRequest.size(), Issuers::bearer(issuers.one, subject));
        evil.back()->send(kSmallRequest);
        evil.back()->connection->writable();
    }
    EXPECT_EQ(world.service.in_flight(), 4U);
    EXPECT_EQ(evil.back()->status(), 503);
    Peer good(world);
    good.ask(kSmallRequest, Issuers::bearer(issuers.two, "bob"));
    EXPECT_EQ(good.status(), 200);
}

// One provider without keys is no outage, and who they are is not for anybody to read.
TEST(Service, IsReadyWhileAnyIssuerHasKeys) {
    Issuers issuers;
    World world(Limits{}, Front::tls, &issuers.verifier);
    Peer peer(world);
    issuers.verifier.set_keys(1, nullptr);
    EXPECT_TRUE(peer.get("/readyz").starts_with("HTTP/1.1 200"));
    const std::string numbers = peer.get("/metrics", Issuers::bearer(issuers.one, "x", "m"));
    EXPECT_NE(numbers.find("attestd_issuer_keys{issuer=\"0\"} 1\n"), std::string::npos) << numbers;
    EXPECT_NE(numbers.find("attestd_issuer_keys{issuer=\"1\"} 0\n"), std::string::npos);
    issuers.verifier.set_keys(0, nullptr);
    const std::string none = peer.get("/readyz");
    EXPECT_TRUE(none.starts_with("HTTP/1.1 503"));
    EXPECT_EQ(none.find("example/"), std::string::npos) << none;
    EXPECT_EQ(none.find("one.example"), std::string::npos) << none;
    issuers.verifier.set_keys(1, issuers.two.keys("a"));
    EXPECT_TRUE(peer.get("/readyz").starts_with("HTTP/1.1 200"));
    world.service.stop_being_ready();
    EXPECT_TRUE(peer.get("/readyz").starts_with("HTTP/1.1 503"));
}

// Tokens live on after the key that signed them was replaced.
TEST(Service, AFormerKeyIsServedWhileItsTokensLive) {
    World world{Limits{}};
    Peer peer(world);
    const auto first = crypto::P256PrivateKey::generate();
    const auto second = crypto::P256PrivateKey::generate();
    auto keys = [&] {
        const std::string answer = peer.get("/.well-known/jwks.json");
        const json::Value body =
            json::parse(as_bytes(answer.substr(answer.find("\r\n\r\n") + 4)), {}).value();
        return body.at("keys");
    };
    const json::Value of_first = jose::key_set_of(first.public_key())["keys"][0];
    const json::Value of_second = jose::key_set_of(second.public_key())["keys"][0];
    world.sign_with(&first);
    EXPECT_EQ(keys(), json::Value::array({of_first}));
    world.sign_with(&first);
    EXPECT_EQ(keys(), json::Value::array({of_first})) << "the same key read again";
    world.sign_with(&second);
    EXPECT_EQ(keys(), json::Value::array({of_second, of_first}));
    world.clock.ms += 300'000;
    EXPECT_EQ(keys(), json::Value::array({of_second, of_first}));
    world.clock.ms += 61'000;
    EXPECT_EQ(keys(), json::Value::array({of_second}));
    world.sign_with(nullptr);
    EXPECT_EQ(keys(), json::Value::array({of_second}));
}

std::string from(const char* address) {
    return std::string("X-Forwarded-For: ") + address + "\r\n";
}

/// One call for each address may be made, and none comes back while the clock stands.
Limits one_call() {
    Limits limits;
    limits.address_burst = 1;
    return limits;
}

TEST(Service, BehindAProxyLimitsAreOfTheAddressThatItSays) {
    World world(one_call(), Front::proxy);
    Peer proxy(world);
    auto status = [&](const std::string& fields) {
        proxy.ask(kSmallRequest, fields);
        return proxy.status();
    };
    EXPECT_EQ(status(from("192.0.2.1")), 200);
    EXPECT_EQ(status(from("192.0.2.1")), 429);
    EXPECT_EQ(status(from("192.0.2.2")), 200);
    EXPECT_EQ(status(from("2001:db8::1")), 200);
    EXPECT_EQ(status(from("2001:db8::2")), 429) << "of the same network";
    // What the proxy asks for itself, or forgets to say, has one limit, whatever connection it is
    // on.
    EXPECT_EQ(status(""), 200);
    Peer another(world, 2);
    another.ask(kSmallRequest);
    EXPECT_EQ(another.status(), 429);
    // Another field than the one that is documented is none.
    EXPECT_EQ(status("Forwarded: for=192.0.2.77\r\nX-Real-IP: 192.0.2.77\r\n"), 429);
}

TEST(Service, BehindAProxyAWrongAddressIsRefused) {
    for (const std::string& fields :
         {from("192.0.2.1") + from("192.0.2.2"), from("192.0.2.1, 192.0.2.2"), from("unknown"),
          from("192.0.2.1:80"), from("[2001:db8::1]"), from("")}) {
        World world(Limits{}, Front::proxy);
        Peer proxy(world);
        proxy.ask(kSmallRequest, fields);
        EXPECT_EQ(proxy.status(), 400) << fields;
    }
}

TEST(Service, WithoutAProxyNobodySaysWhoHeIs) {
    World world(one_call());
    Peer peer(world);
    peer.ask(kSmallRequest, from("192.0.2.1"));
    EXPECT_EQ(peer.status(), 200);
    peer.ask(kSmallRequest, from("192.0.2.2"));
    EXPECT_EQ(peer.status(), 429) << "its own address counts";
    Peer other(world, 2);
    other.ask(kSmallRequest, from("192.0.2.1, what is this"));
    EXPECT_EQ(other.status(), 200);
}

TEST(Service, AnIdleConnectionOfAProxyOutlivesItsPool) {
    World world(Limits{}, Front::proxy);
    Peer proxy(world);
    const std::uint64_t proxys_most_ms = 3'600'000;  // docs/formats/virtual-config.schema.json
    EXPECT_GT(proxy.connection->next_deadline_ms(), world.clock.monotonic_ms() + proxys_most_ms);
    World direct{Limits{}};
    Peer peer(direct);
    EXPECT_LE(peer.connection->next_deadline_ms(), direct.clock.monotonic_ms() + 60'000);
}

}  // namespace
}  // namespace eos::attestd
