// SPDX-License-Identifier: AGPL-3.0-only
// For tests: an upstream that does what a test says, over real sockets.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <vector>

#include "trusted/os/unique_fd.h"

namespace eos::cvm::proxy {

/// The listening end of an upstream, and the connections that came.
class FakeUpstream {
  public:
    FakeUpstream() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
        sockaddr_in own{};
        own.sin_family = AF_INET;
        own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof own;
        EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&own), size), 0);
        EXPECT_EQ(::listen(listener_.get(), 64), 0);
        EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&own), &size), 0);
        address = "127.0.0.1:" + std::to_string(ntohs(own.sin_port));
    }
    void stop() { listener_ = {}; }

    /// Takes what came in.
    void turn() {
        for (;;) {
            os::UniqueFd fd(
                ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!fd.valid()) break;
            connections.push_back({std::move(fd), {}, false});
        }
        for (Connection& one : connections) {
            std::array<char, 65536> buffer;
            while (one.reads && one.fd.valid()) {
                const ssize_t count = ::recv(one.fd.get(), buffer.data(), buffer.size(), 0);
                if (count == 0) one.ended = true;
                if (count <= 0) break;
                one.received.append(buffer.data(), static_cast<std::size_t>(count));
            }
        }
    }

    struct Connection {
        os::UniqueFd fd;
        std::string received;
        bool ended = false;
        bool reads = true;

        void send(std::string_view text) const {
            EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
                      static_cast<ssize_t>(text.size()));
        }
        /// As a process that is killed.
        void reset() {
            const linger now{1, 0};
            ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
            fd = {};
        }
        void close() { fd = {}; }
    };

    std::string address;
    std::vector<Connection> connections;

  private:
    os::UniqueFd listener_;
};

}  // namespace eos::cvm::proxy
