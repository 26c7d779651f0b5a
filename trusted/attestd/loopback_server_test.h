// SPDX-License-Identifier: AGPL-3.0-only
// A server on this machine, for tests of what fetches.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/assert.h"
#include "trusted/os/unique_fd.h"

namespace eos::attestd::testing {

/// Hands each connection to `serve`, on a thread of its own. It ends when all of them have.
class LoopbackServer {
  public:
    explicit LoopbackServer(std::function<void(int fd)> serve)
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), serve_(std::move(serve)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const name = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof address;
        EOS_ASSERT(::bind(fd_.get(), name, size) == 0 && ::listen(fd_.get(), 16) == 0);
        EOS_ASSERT(::getsockname(fd_.get(), name, &size) == 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::jthread([this] { run(); });
    }
    ~LoopbackServer() { ::shutdown(fd_.get(), SHUT_RDWR); }

    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  private:
    void run() {
        std::vector<std::jthread> threads;
        for (;;) {
            os::UniqueFd peer(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!peer.valid()) return;
            threads.emplace_back([this, fd = std::move(peer)] { serve_(fd.get()); });
        }
    }

    os::UniqueFd fd_;
    std::function<void(int)> serve_;
    std::uint16_t port_ = 0;
    std::jthread thread_;
};

/// Reads what a client says until it waits or leaves.
inline std::string read_request(int fd) {
    std::string out;
    char text[1024];
    while (out.find("\r\n\r\n") == out.npos) {
        const ssize_t count = ::recv(fd, text, sizeof text, 0);
        if (count <= 0) return out;
        out.append(text, static_cast<std::size_t>(count));
    }
    return out;
}

/// Says nothing until the client leaves.
inline void stay_silent(int fd) {
    char byte = 0;
    while (::recv(fd, &byte, 1, 0) > 0) continue;
}

}  // namespace eos::attestd::testing
