// SPDX-License-Identifier: AGPL-3.0-only
// Connections over loopback to servers that are honest, or not.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "client/bindings/c/scene_test.h"
#include "common/ratls/attest_message.h"
#include "common/ratls/tls_session.h"

namespace eos::client::bindings::c {
namespace {

using ::testing::HasSubstr;

enum class Behaviour {
    kHonest,          ///< bound evidence; sends every byte back; ends when the client does
    kOtherHandshake,  ///< genuine evidence for the client's nonce, made for another connection
    kOldNonce,        ///< genuine evidence for this handshake, but another nonce
    kIgnoresNonce,    ///< shows the deterministic leaf in spite of the nonce
    kClientsEnd,      ///< mode C: evidence as a client would give it of itself
    kAnswersTwice,    ///< mode C
    kNoExchange,      ///< mode C: knows no such path
    kRefusesLeaf,
    kNoTls,
    kSilent,
    kCutsOff,   ///< sends "half" and closes without close_notify
    kEndsFirst  ///< sends "all" and closes in order
};

/// One connection on loopback, served in a thread.
class Server {
  public:
    Server(Scene& scene, Behaviour behaviour) : scene_(scene), behaviour_(behaviour) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof address;
        EXPECT_EQ(bind(listener_, generic, size), 0);
        EXPECT_EQ(listen(listener_, 1), 0);
        EXPECT_EQ(getsockname(listener_, generic, &size), 0);
        port = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~Server() {
        // The client may still hold its end.
        if (int fd = connection_; fd >= 0) shutdown(fd, SHUT_RDWR);
        finish();
        close(listener_);
        if (connection_ >= 0) close(connection_);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Waits until the connection is over.
    void finish() {
        shutdown(listener_, SHUT_RDWR);
        if (thread_.joinable()) thread_.join();
    }

    std::uint16_t port = 0;
    Bytes received;  ///< application bytes; to be looked at after finish()

  private:
    void serve() {
        int fd = accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        connection_ = fd;
        if (behaviour_ == Behaviour::kNoTls) send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0);
        if (behaviour_ != Behaviour::kNoTls && behaviour_ != Behaviour::kSilent) speak(fd);
        if (behaviour_ == Behaviour::kSilent) {
            std::byte ignored;
            while (recv(fd, &ignored, 1, 0) > 0) continue;
        }
        shutdown(fd, SHUT_RDWR);
    }

    void speak(int fd) {
        auto session = context_.accept();
        bool greeted = false;
        std::array<std::byte, 4096> buffer{};
        for (;;) {
            while (session->advance() == ratls::Progress::kNeedsLeaf) decide_leaf(*session);
            if (session->progress() == ratls::Progress::kOpen) {
                Bytes plain = session->read(buffer.size());
                if (channel_leaf_ && !answered_) {
                    answer(*session, plain);
                    plain.clear();
                }
                append(received, plain);
                if (behaviour_ == Behaviour::kHonest && !plain.empty()) session->write(plain);
                if (!greeted && greet(*session)) greeted = true;
            }
            flush(fd, *session);
            if (greeted || session->progress() == ratls::Progress::kFailed ||
                session->progress() == ratls::Progress::kClosed) {
                return;
            }
            ssize_t count = recv(fd, buffer.data(), buffer.size(), 0);
            if (count <= 0) return;
            session->receive(ByteView(buffer).first(static_cast<std::size_t>(count)));
        }
    }

    // The exchange of mode C, as soon as the whole request is there.
    void answer(ratls::ServerSession& session, ByteView plain) {
        append(request_, plain);
        if (!to_string(request_).ends_with("}")) return;
        answered_ = true;
        std::string body = to_string(request_);
        body.erase(0, body.find("\r\n\r\n") + 4);
        auto asked = ratls::parse_attest_request(as_bytes(body)).value();
        auto end = behaviour_ == Behaviour::kClientsEnd ? ratls::AttestedEnd::kClient
                                                        : ratls::AttestedEnd::kServer;
        ratls::ChannelBinding channel = session.bind_channel(end, *asked.context).value();
        if (behaviour_ == Behaviour::kOtherHandshake) channel.exporter.front() ^= std::byte{1};
        if (behaviour_ == Behaviour::kOldNonce) channel.context.front() ^= std::byte{1};
        std::string text =
            to_text(ratls::AttestResponse{ratls::AttestMode::kChallenge,
                                          "sgx",
                                          scene_.channel_evidence(*channel_leaf_, channel),
                                          {kTime}});
        const char* status = behaviour_ == Behaviour::kNoExchange ? "404" : "200";
        std::string whole = "HTTP/1.1 " + std::string(status) +
                            " X\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" +
                            text;
        if (behaviour_ == Behaviour::kAnswersTwice) whole += whole;
        session.write(as_bytes(whole));
    }

    bool greet(ratls::ServerSession& session) const {
        if (behaviour_ == Behaviour::kCutsOff) session.write(as_bytes("half"));
        if (behaviour_ == Behaviour::kEndsFirst) {
            session.write(as_bytes("all"));
            session.close();
        }
        return behaviour_ == Behaviour::kCutsOff || behaviour_ == Behaviour::kEndsFirst;
    }

    void decide_leaf(ratls::ServerSession& session) {
        const ratls::HandshakeOffer& offer = session.offer();
        if (behaviour_ == Behaviour::kRefusesLeaf) {
            session.refuse_leaf(ratls::LeafRefusal::kUnavailable, "no quote");
            return;
        }
        if (offer.scheme == ratls::LeafScheme::kV2 && behaviour_ != Behaviour::kIgnoresNonce) {
            channel_leaf_ = scene_.channel_leaf();
            session.provide_leaf(
                ratls::Credential::make({channel_leaf_->der}, channel_leaf_->key).value());
            return;
        }
        Leaf leaf = offer.nonce && behaviour_ != Behaviour::kIgnoresNonce
                        ? bound_leaf(*offer.nonce, *offer.binder)
                        : scene_.deterministic_leaf();
        session.provide_leaf(ratls::Credential::make({leaf.der}, leaf.key).value());
    }

    Leaf bound_leaf(Bytes nonce, ratls::Binder binder) {
        if (behaviour_ == Behaviour::kOtherHandshake) binder.front() ^= std::byte{1};
        if (behaviour_ == Behaviour::kOldNonce) nonce.front() ^= std::byte{1};
        return scene_.bound_leaf(nonce, binder);
    }

    static void flush(int fd, ratls::ServerSession& session) {
        ByteView out = session.output();
        while (!out.empty()) {
            ssize_t count = send(fd, out.data(), out.size(), MSG_NOSIGNAL);
            if (count <= 0) break;
            out = out.subspan(static_cast<std::size_t>(count));
        }
        session.output_taken(session.output().size());
    }

    Scene& scene_;
    Behaviour behaviour_;
    std::optional<Leaf> channel_leaf_;  ///< that was shown, in mode C
    Bytes request_;
    bool answered_ = false;
    ratls::ServerContext context_ = ratls::ServerContext::make().value();
    int listener_ = -1;
    std::atomic<int> connection_ = -1;
    std::thread thread_;
};

class ConnectionTest : public ::testing::Test {
  protected:
    int connect(std::uint16_t port, int mode = EOS_MODE_CHALLENGE,
                std::uint32_t timeout_ms = 20'000) {
        eos_endpoint endpoint{};
        endpoint.struct_size = sizeof endpoint;
        endpoint.host = "127.0.0.1";
        endpoint.server_name = "shop.example.test";
        endpoint.port = port;
        endpoint.mode = static_cast<std::uint16_t>(mode);
        endpoint.timeout_ms = timeout_ms;
        eos_connection* connection = nullptr;
        eos_verdict* verdict = nullptr;
        int status =
            eos_connect(verifier_.get(), &endpoint, kTime, &connection, &verdict, error_.out());
        connection_.reset(connection);
        verdict_.reset(verdict);
        return status;
    }

    int read(std::string& out, std::size_t size = 4096, std::uint32_t timeout_ms = 20'000) {
        std::string buffer(size, '\0');
        std::size_t count = 0;
        int status = eos_connection_read(connection_.get(), buffer.data(), size, &count, timeout_ms,
                                         error_.out());
        out = buffer.substr(0, count);
        return status;
    }

    void expect_refused(Behaviour behaviour, const char* check, int mode = EOS_MODE_CHALLENGE) {
        Server server(scene_, behaviour);
        EXPECT_EQ(connect(server.port, mode), EOS_NOT_BOUND) << error_.message();
        EXPECT_EQ(connection_, nullptr);
        ASSERT_NE(verdict_, nullptr);
        EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr(check));
        server.finish();
        EXPECT_TRUE(server.received.empty());
    }

    Scene scene_;
    VerifierHandle verifier_ = scene_.verifier(scene_.leaf_policy());
    ConnectionHandle connection_;
    VerdictHandle verdict_;
    ErrorOut error_;
};

TEST_F(ConnectionTest, AVerifiedServerIsSpokenWith) {
    Server server(scene_, Behaviour::kHonest);
    ASSERT_EQ(connect(server.port), EOS_ACCEPTED_EMULATED) << error_.message();
    std::string question(200'000, 'q');
    ASSERT_EQ(eos_connection_write(connection_.get(), question.data(), 5, 20'000, error_.out()),
              EOS_OK);
    std::string part, answer;
    // In small pieces: what was received stays until it is read.
    while (answer.size() < 5) {
        ASSERT_EQ(read(part, 2), EOS_OK) << error_.message();
        ASSERT_FALSE(part.empty());
        answer += part;
    }
    EXPECT_EQ(answer, "qqqqq");
    std::size_t size = 0;
    const void* leaf = eos_connection_certificate(connection_.get(), &size);
    ASSERT_NE(leaf, nullptr);
    EXPECT_TRUE(x509::Certificate::parse({static_cast<const std::byte*>(leaf), size}).has_value());
    connection_.reset();
    server.finish();
    EXPECT_EQ(to_string(server.received), "qqqqq");
}

TEST_F(ConnectionTest, AMemoryFindsARolledBackStateOut) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("eos-c-instances-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    scene_.instance.instance_id.fill(std::byte{1});
    auto connect_at = [&](std::uint64_t generation, std::byte boot) {
        scene_.instance.generation = generation;
        scene_.instance.boot_id.fill(boot);
        Server server(scene_, Behaviour::kHonest);
        return connect(server.port);
    };
    ASSERT_EQ(eos_verifier_set_memory(verifier_.get(), folder.c_str(), error_.out()), EOS_OK);
    EXPECT_EQ(connect_at(5, std::byte{1}), EOS_ACCEPTED_EMULATED) << error_.message();
    connection_.reset();
    EXPECT_EQ(connect_at(4, std::byte{2}), EOS_OLD_STATE);
    EXPECT_EQ(connection_, nullptr);
    EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("state_rollback"));
    EXPECT_EQ(connect_at(6, std::byte{3}), EOS_ACCEPTED_EMULATED);
    connection_.reset();
    ASSERT_EQ(eos_verifier_set_memory(verifier_.get(), nullptr, error_.out()), EOS_OK);
    EXPECT_EQ(connect_at(4, std::byte{2}), EOS_ACCEPTED_EMULATED);
    std::filesystem::remove_all(folder);
}

TEST_F(ConnectionTest, InModeCTheExchangeComesFirstAndTheStreamAfterIt) {
    Server server(scene_, Behaviour::kHonest);
    ASSERT_EQ(connect(server.port, EOS_MODE_EXPORTER), EOS_ACCEPTED_EMULATED) << error_.message();
    EXPECT_THAT(eos_verdict_text(verdict_.get()), HasSubstr("level 3"));
    ASSERT_EQ(eos_connection_write(connection_.get(), "hi", 2, 20'000, error_.out()), EOS_OK);
    std::string text;
    ASSERT_EQ(read(text), EOS_OK);
    EXPECT_EQ(text, "hi");
    connection_.reset();
    server.finish();
    EXPECT_EQ(to_string(server.received), "hi");
}

TEST_F(ConnectionTest, EvidenceThatIsNotForThisConnectionIsRefusedInModeC) {
    for (Behaviour each :
         {Behaviour::kOtherHandshake, Behaviour::kOldNonce, Behaviour::kClientsEnd}) {
        expect_refused(each, "report_data", EOS_MODE_EXPORTER);
    }
}

TEST_F(ConnectionTest, AServerThatDoesNotPlayModeCRightIsNoServer) {
    struct Case {
        Behaviour behaviour;
        const char* code;
    };
    for (const Case& each : {Case{Behaviour::kIgnoresNonce, "client/mode_unsupported"},
                             Case{Behaviour::kNoExchange, "client/mode_unsupported"},
                             Case{Behaviour::kAnswersTwice, "client/bad_response"}}) {
        Server server(scene_, each.behaviour);
        EXPECT_EQ(connect(server.port, EOS_MODE_EXPORTER), EOS_E_CONNECTION);
        EXPECT_EQ(error_.code(), each.code);
        EXPECT_EQ(connection_, nullptr);
        EXPECT_EQ(verdict_, nullptr);
        server.finish();
        EXPECT_TRUE(server.received.empty());
    }
}

TEST_F(ConnectionTest, DeterministicModeIsAskedForByName) {
    Server server(scene_, Behaviour::kHonest);
    EXPECT_EQ(connect(server.port, EOS_MODE_DETERMINISTIC), EOS_ACCEPTED_EMULATED);
}

TEST_F(ConnectionTest, EvidenceOfAnotherConnectionIsRefusedAndNothingIsSent) {
    expect_refused(Behaviour::kOtherHandshake, "report_data");
}

TEST_F(ConnectionTest, EvidenceForAnotherNonceIsRefused) {
    expect_refused(Behaviour::kOldNonce, "report_data");
}

TEST_F(ConnectionTest, ADeterministicLeafIsNoAnswerToAChallenge) {
    expect_refused(Behaviour::kIgnoresNonce, "report_data");
}

TEST_F(ConnectionTest, AnotherEnclaveIsRefusedAndNothingIsSent) {
    auto policy = scene_.leaf_policy();
    policy.identity = {{attestation::appraise::MrEnclavePin{}, {}}};
    verifier_ = scene_.verifier(policy);
    Server server(scene_, Behaviour::kHonest);
    EXPECT_EQ(connect(server.port), EOS_NOT_ACCEPTABLE);
    EXPECT_EQ(connection_, nullptr);
    EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("identity.enclave"));
    server.finish();
    EXPECT_TRUE(server.received.empty());
}

TEST_F(ConnectionTest, ARefusedHandshakeSaysWhatToDo) {
    Server unready(scene_, Behaviour::kRefusesLeaf);
    EXPECT_EQ(connect(unready.port), EOS_E_CONNECTION);
    EXPECT_EQ(error_.code(), "client/server_unready");
    EXPECT_THAT(error_.message(), HasSubstr("try again when it is ready"));
    EXPECT_EQ(verdict_, nullptr);
    Server other(scene_, Behaviour::kNoTls);
    EXPECT_EQ(connect(other.port), EOS_E_CONNECTION);
    EXPECT_EQ(error_.code(), "client/handshake_failed");
    EXPECT_THAT(error_.message(), HasSubstr("check server_name"));
    EXPECT_EQ(verdict_, nullptr);
}

TEST_F(ConnectionTest, NobodyListens) {
    std::uint16_t port = 0;
    {
        Server server(scene_, Behaviour::kHonest);
        port = server.port;
    }
    EXPECT_EQ(connect(port), EOS_E_CONNECTION);
    EXPECT_EQ(error_.code(), "client/connect_failed");
    EXPECT_THAT(error_.message(), HasSubstr("check host and port"));
}

TEST_F(ConnectionTest, ASilentServerTimesOut) {
    Server server(scene_, Behaviour::kSilent);
    EXPECT_EQ(connect(server.port, EOS_MODE_CHALLENGE, 50), EOS_E_TIMEOUT);
    EXPECT_THAT(error_.message(), HasSubstr("allow more time"));
}

TEST_F(ConnectionTest, ReadingTimesOutAndMayGoOn) {
    Server server(scene_, Behaviour::kHonest);
    ASSERT_EQ(connect(server.port), EOS_ACCEPTED_EMULATED);
    std::string text;
    EXPECT_EQ(read(text, 16, 20), EOS_E_TIMEOUT);
    ASSERT_EQ(eos_connection_write(connection_.get(), "a", 1, 20'000, nullptr), EOS_OK);
    EXPECT_EQ(read(text), EOS_OK);
    EXPECT_EQ(text, "a");
}

TEST_F(ConnectionTest, AStreamThatIsCutOffIsNotAnEnd) {
    Server server(scene_, Behaviour::kCutsOff);
    ASSERT_EQ(connect(server.port), EOS_ACCEPTED_EMULATED);
    std::string text;
    ASSERT_EQ(read(text), EOS_OK);
    EXPECT_EQ(text, "half");
    EXPECT_EQ(read(text), EOS_E_CONNECTION);
    EXPECT_THAT(error_.message(), HasSubstr("close_notify"));
}

TEST_F(ConnectionTest, AnOrderlyEndReadsAsNothing) {
    Server server(scene_, Behaviour::kEndsFirst);
    ASSERT_EQ(connect(server.port), EOS_ACCEPTED_EMULATED);
    std::string text;
    ASSERT_EQ(read(text), EOS_OK);
    EXPECT_EQ(text, "all");
    EXPECT_EQ(read(text), EOS_OK);
    EXPECT_EQ(text, "");
}

TEST_F(ConnectionTest, WrongCallsAreRefused) {
    EXPECT_EQ(connect(0), EOS_E_ARGUMENT);
    EXPECT_EQ(connect(1, 3), EOS_E_ARGUMENT);
    EXPECT_EQ(connect(1, EOS_MODE_CHALLENGE, 0), EOS_E_ARGUMENT);
    EXPECT_EQ(connect(1, EOS_MODE_CHALLENGE, kMaxTimeout_ms + 1), EOS_E_ARGUMENT);
    eos_endpoint endpoint{};
    eos_connection* connection = nullptr;
    EXPECT_EQ(eos_connect(verifier_.get(), &endpoint, kTime, &connection, nullptr, error_.out()),
              EOS_E_ARGUMENT);
    endpoint.struct_size = sizeof endpoint;
    endpoint.port = 1;
    endpoint.timeout_ms = 1;
    std::string long_name(300, 'a');
    endpoint.host = long_name.c_str();
    EXPECT_EQ(eos_connect(verifier_.get(), &endpoint, kTime, &connection, nullptr, error_.out()),
              EOS_E_ARGUMENT);
    EXPECT_THAT(error_.message(), HasSubstr("host is too long"));
    std::size_t count = 7;
    EXPECT_EQ(eos_connection_read(nullptr, &count, 1, &count, 1, nullptr), EOS_E_ARGUMENT);
    EXPECT_EQ(count, 0u);
    EXPECT_EQ(eos_connection_write(nullptr, "a", 1, 1, nullptr), EOS_E_ARGUMENT);
    EXPECT_EQ(eos_connection_certificate(nullptr, &count), nullptr);
    EXPECT_EQ(eos_verifier_set_stapled(verifier_.get(), 3, error_.out()), EOS_E_ARGUMENT);
    EXPECT_EQ(eos_verifier_set_stapled(nullptr, EOS_STAPLED_NEVER, error_.out()), EOS_E_ARGUMENT);
}

}  // namespace
}  // namespace eos::client::bindings::c
