// SPDX-License-Identifier: AGPL-3.0-only
// For the tests of this folder: a TLS server on loopback that does what a test wants, be it wrong.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "client/tcp.h"
#include "common/oid/registry.h"
#include "common/ratls/leaf.h"
#include "common/ratls/tls_session.h"

namespace eos::client {

/// What a server shows in each mode, with one key.
struct LoopbackLeaves {
    std::shared_ptr<const ratls::Credential> v1, v2;

    static LoopbackLeaves make() {
        crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
        ratls::LeafContent content;
        content.not_after = UnixTime{} + 60;
        content.evidence_oid = oid::kSgxQuote;
        content.assurance = "process";
        auto v1 = *ratls::Credential::make({ratls::mint_leaf(content, key, nullptr)}, key);
        content.scheme = ratls::LeafScheme::kV2;
        return {v1, *ratls::Credential::make({ratls::mint_leaf(content, key, nullptr)}, key)};
    }
};

/// One connection as the server sees it.
class LoopbackPeer {
  public:
    explicit LoopbackPeer(int fd) : fd_(fd) {
        timeval limit{.tv_sec = 10, .tv_usec = 0};
        setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }
    ~LoopbackPeer() { ::close(fd_); }
    LoopbackPeer(const LoopbackPeer&) = delete;
    LoopbackPeer& operator=(const LoopbackPeer&) = delete;

    void send_raw(ByteView bytes) {
        while (!bytes.empty()) {
            ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count <= 0) return;
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        }
    }
    /// Empty at the end.
    Bytes receive_raw() {
        Bytes out(64 * 1024);
        ssize_t count = ::recv(fd_, out.data(), out.size(), 0);
        out.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
        return out;
    }

    /// Answers until the handshake is over. `refusal`: instead of a leaf.
    void shake_hands(const ratls::ServerContext& context, const LoopbackLeaves& leaves,
                     std::optional<ratls::LeafRefusal> refusal) {
        session_ = context.accept();
        bool knows_names = refusal != ratls::LeafRefusal::kUnknownName;
        session_->set_known_names([knows_names](std::string_view) { return knows_names; });
        while (session_->progress() != ratls::Progress::kOpen) {
            Bytes input = receive_raw();
            if (input.empty()) return;
            session_->receive(input);
            if (session_->advance() == ratls::Progress::kNeedsLeaf) {
                if (refusal) {
                    session_->refuse_leaf(*refusal, "as the test wants");
                } else {
                    bool for_mode_c = session_->offer().scheme == ratls::LeafScheme::kV2;
                    session_->provide_leaf(for_mode_c ? leaves.v2 : leaves.v1);
                }
                session_->advance();
            }
            flush();
            if (session_->progress() == ratls::Progress::kFailed) return;
        }
    }
    bool is_open() const { return session_ && session_->progress() == ratls::Progress::kOpen; }
    const ratls::HandshakeOffer& offer() const { return session_->offer(); }
    ratls::ChannelBinding bind_channel(const ByteArray<32>& context) const {
        return *session_->bind_channel(ratls::AttestedEnd::kServer, context);
    }

    /// Plaintext until it ends with `end`, or the client is gone.
    std::string receive_until(std::string_view end) {
        std::string out = to_string(session_->read(1 << 24));
        while (!out.ends_with(end)) {
            Bytes input = receive_raw();
            if (input.empty()) break;
            session_->receive(input);
            out += to_string(session_->read(1 << 24));
        }
        return out;
    }
    void send(std::string_view text) {
        session_->write(as_bytes(text));
        flush();
    }
    /// close_notify; without it the end of the stream is a cut.
    void close() {
        session_->close();
        flush();
    }

  private:
    void flush() {
        Bytes out = to_bytes(session_->output());
        session_->output_taken(out.size());
        send_raw(out);
    }

    int fd_;
    std::unique_ptr<ratls::ServerSession> session_;
};

/// Serves connections one after another, in a thread of its own.
class LoopbackServer {
  public:
    using Serve = std::function<void(LoopbackPeer& peer, int number)>;

    /// `serve` gets each connection as it was accepted; the connection ends when it returns.
    static std::unique_ptr<LoopbackServer> raw(Serve serve) {
        return std::unique_ptr<LoopbackServer>(new LoopbackServer(std::move(serve)));
    }
    /// `serve` gets each connection whose handshake succeeded. `refuse`: by connection number.
    static std::unique_ptr<LoopbackServer> tls(
        Serve serve, std::function<std::optional<ratls::LeafRefusal>(int)> refuse = {},
        LoopbackLeaves leaves = LoopbackLeaves::make()) {
        auto context = std::make_shared<ratls::ServerContext>(*ratls::ServerContext::make());
        return raw([context, serve = std::move(serve), refuse = std::move(refuse),
                    leaves = std::move(leaves)](LoopbackPeer& peer, int number) {
            peer.shake_hands(*context, leaves, refuse ? refuse(number) : std::nullopt);
            if (peer.is_open()) serve(peer, number);
        });
    }

    ~LoopbackServer() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }

    Address address() const { return {"127.0.0.1", port_}; }
    int accepted() const { return accepted_; }

  private:
    explicit LoopbackServer(Serve serve) : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* generic = static_cast<sockaddr*>(static_cast<void*>(&address));
        EXPECT_EQ(::bind(listener_, generic, size), 0);
        EXPECT_EQ(::listen(listener_, 16), 0);
        EXPECT_EQ(::getsockname(listener_, generic, &size), 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this, serve = std::move(serve)] {
            for (int fd = accept(listener_, nullptr, nullptr); fd >= 0;
                 fd = accept(listener_, nullptr, nullptr)) {
                LoopbackPeer peer(fd);
                serve(peer, accepted_++);
            }
        });
    }

    int listener_;
    std::uint16_t port_ = 0;
    std::atomic<int> accepted_ = 0;
    std::thread thread_;
};

}  // namespace eos::client
