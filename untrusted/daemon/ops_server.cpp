// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/ops_server.h"

#include <algorithm>
#include <array>
#include <cerrno>

namespace eos::daemon {
namespace {

std::string_view reason_phrase(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 400:
            return "Bad Request";
        case 404:
            return "Not Found";
        default:
            return "Service Unavailable";
    }
}

std::string serialize(const OpsResponse& response) {
    return "HTTP/1.1 " + std::to_string(response.status) + " " +
           std::string(reason_phrase(response.status)) +
           "\r\nContent-Type: " + response.content_type +
           "\r\nContent-Length: " + std::to_string(response.body.size()) +
           "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n" + response.body;
}

}  // namespace

std::string_view ops_path(std::string_view head) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    constexpr std::string_view kGet = "GET ";
    const std::size_t end = line.rfind(" HTTP/1.");
    if (!line.starts_with(kGet) || end == line.npos || end < kGet.size()) return {};
    const std::string_view target = line.substr(kGet.size(), end - kGet.size());
    return target.substr(0, target.find('?'));
}

/// One connection: reads a head, writes an answer.
class OpsServer::Conversation : public EventHandler {
  public:
    Conversation(EventLoop& loop, UniqueFd socket, const Answer& answer)
        : loop_(loop),
          socket_(std::move(socket)),
          answer_(answer),
          end_by_(std::chrono::steady_clock::now() + kMaxTime) {
        loop_.add(socket_.get(), EPOLLIN, *this);
    }
    ~Conversation() override { loop_.remove(socket_.get(), *this); }
    Conversation(const Conversation&) = delete;
    Conversation& operator=(const Conversation&) = delete;

    bool is_over(MonotonicTime now) const { return done_ || now >= end_by_; }

    void on_events(std::uint32_t events) override {
        if (done_) return;
        if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
            done_ = true;
        } else if (out_.empty()) {
            read();
        } else {
            write();
        }
    }

  private:
    void read() {
        std::array<char, 1024> chunk;
        const ssize_t got = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        done_ = got <= 0;
        if (done_) return;
        in_.append(chunk.data(), static_cast<std::size_t>(got));
        const bool complete = in_.find("\r\n\r\n") != in_.npos;
        if (!complete && in_.size() < kMaxHeadBytes) return;
        const std::string_view path = complete ? ops_path(in_) : std::string_view();
        out_ = serialize(path.empty() ? OpsResponse{.status = 400, .body = "GET only\n"}
                                      : answer_(path));
        loop_.modify(socket_.get(), EPOLLOUT, *this);
    }

    void write() {
        const ssize_t sent =
            ::send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (sent > 0) sent_ += static_cast<std::size_t>(sent);
        done_ = sent < 0 || sent_ == out_.size();
    }

    EventLoop& loop_;
    UniqueFd socket_;
    const Answer& answer_;
    MonotonicTime end_by_;
    std::string in_;
    std::string out_;
    std::size_t sent_ = 0;
    bool done_ = false;
};

Result<std::unique_ptr<OpsServer>> OpsServer::open(EventLoop& loop, const SocketAddress& address,
                                                   Answer answer) {
    if (!address.is_loopback()) {
        return fail(cannot_listen, address.text() +
                                       " is not a loopback address, and the operations "
                                       "endpoint is for this machine only");
    }
    std::unique_ptr<OpsServer> out(new OpsServer(loop, std::move(answer)));
    out->listener_ = EOS_TRY(Listener::open(loop, *out, address));
    return out;
}

OpsServer::OpsServer(EventLoop& loop, Answer answer) : loop_(loop), answer_(std::move(answer)) {}
OpsServer::~OpsServer() = default;

void OpsServer::turn(MonotonicTime now) {
    std::erase_if(conversations_, [now](const auto& c) { return c->is_over(now); });
    listener_->permit(kMaxConnections - conversations_.size(), now);
}

void OpsServer::on_accept(UniqueFd socket, const SocketAddress& /*peer*/) {
    conversations_.push_back(std::make_unique<Conversation>(loop_, std::move(socket), answer_));
}

}  // namespace eos::daemon
