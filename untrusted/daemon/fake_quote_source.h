// SPDX-License-Identifier: AGPL-3.0-only
// A quote source for tests: answers each connection as the test says. In no program.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "untrusted/aesm/aesm.h"
#include "untrusted/daemon/unique_fd.h"

namespace eos::daemon::testing {

/// Listens on a socket from construction to destruction, on a thread of its own.
class FakeQuoteSource {
  public:
    /// Turns a request into the frame to send back; no frame: never answer, keep the connection.
    using Script = std::function<std::optional<Bytes>(const aesm::Request&)>;

    FakeQuoteSource(const std::filesystem::path& socket, Script script)
        : script_(std::move(script)),
          listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
          stop_(::eventfd(0, EFD_CLOEXEC)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        socket.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
        ::unlink(address.sun_path);
        if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
            ::listen(listener_.get(), 16) != 0) {
            std::abort();
        }
        thread_ = std::thread([this] { run(); });
    }
    ~FakeQuoteSource() {
        const std::uint64_t one = 1;
        if (::write(stop_.get(), &one, sizeof(one)) != sizeof(one)) std::abort();
        thread_.join();
    }
    FakeQuoteSource(const FakeQuoteSource&) = delete;
    FakeQuoteSource& operator=(const FakeQuoteSource&) = delete;

    /// A source that does its work: target info of 512 × 0x11, quotes that end with the report.
    static std::optional<Bytes> honest(const aesm::Request& request) {
        if (std::holds_alternative<aesm::InitQuoteRequest>(request)) {
            return aesm::encode(aesm::InitQuoteResponse{
                aesm::Status::kSuccess, Bytes(aesm::kTargetInfoBytes, std::byte{0x11}), 32,
                Bytes(aesm::kPubKeyIdBytes, std::byte{0x22})});
        }
        if (std::holds_alternative<aesm::QuoteSizeRequest>(request)) {
            return aesm::encode(aesm::QuoteSizeResponse{aesm::Status::kSuccess, 1000});
        }
        const auto& quote = std::get<aesm::QuoteRequest>(request);
        Bytes body(1000 - quote.report.size(), std::byte{0x33});
        append(body, quote.report);
        return aesm::encode(aesm::QuoteResponse{aesm::Status::kSuccess, body, {}});
    }

    int requests() const { return requests_; }

  private:
    void run() {
        std::vector<UniqueFd> unanswered;
        while (true) {
            pollfd entries[2] = {{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
            if (::poll(entries, 2, -1) < 0 || entries[0].revents != 0) return;
            UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (peer && !serve(peer.get())) unanswered.push_back(std::move(peer));
        }
    }

    bool serve(int peer) {
        ByteArray<aesm::kLengthBytes> field;
        if (!read_all(peer, field)) return true;
        Bytes message(*aesm::parse_length(field));
        if (!read_all(peer, message)) return true;
        auto request = aesm::parse_request(message);
        if (!request) std::abort();
        ++requests_;
        auto answer = script_(*request);
        if (!answer) return false;
        ::send(peer, answer->data(), answer->size(), MSG_NOSIGNAL);
        return true;
    }

    static bool read_all(int fd, MutableByteView out) {
        return ::recv(fd, out.data(), out.size(), MSG_WAITALL) == static_cast<ssize_t>(out.size());
    }

    Script script_;
    UniqueFd listener_;
    UniqueFd stop_;
    std::atomic<int> requests_ = 0;
    std::thread thread_;
};

}  // namespace eos::daemon::testing
