// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/ops_server.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "common/base/assert.h"
#include "common/http/request_parser.h"
#include "common/http/serialize.h"
#include "trusted/runtime/responses.h"

namespace eos::cvm::proxy {

/// Reads a head, writes an answer, closes.
class OpsServer::Connection final : public os::EventHandler {
  public:
    Connection(OpsServer& owner, os::UniqueFd fd)
        : owner_(owner),
          fd_(std::move(fd)),
          deadline_ms_(owner.clock_.monotonic_ms() + kDeadlineMs) {
        owner_.loop_.add(fd_.get(), EPOLLIN, *this);
    }
    ~Connection() override { owner_.loop_.remove(fd_.get(), *this); }

    void on_events(std::uint32_t events) override {
        (void)events;
        if (output_.empty()) read();
        if (!output_.empty()) write();
    }
    bool is_over(std::uint64_t now_ms) const { return is_over_ || now_ms >= deadline_ms_; }

  private:
    void read() {
        ByteArray<4096> buffer;
        const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (count <= 0) {
            is_over_ = true;
            return;
        }
        const auto step = parser_.feed(ByteView(buffer).first(static_cast<std::size_t>(count)));
        if (!step) {
            is_over_ = true;
        } else if (step->event == http::Event::kHead) {
            const http::RequestHead head = parser_.take_head();
            output_ = owner_.answer(head.method == http::Method::kGet ? head.path : "");
            owner_.loop_.modify(fd_.get(), EPOLLOUT, *this);
        }
    }
    void write() {
        const ByteView rest = ByteView(output_).subspan(sent_);
        const ssize_t count = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
        if (count > 0) sent_ += static_cast<std::size_t>(count);
        const bool is_broken = count < 0 && errno != EAGAIN && errno != EINTR;
        if (sent_ == output_.size() || is_broken) is_over_ = true;
    }

    OpsServer& owner_;
    os::UniqueFd fd_;
    const std::uint64_t deadline_ms_;
    http::RequestParser parser_;
    Bytes output_;
    std::size_t sent_ = 0;
    bool is_over_ = false;
};

OpsServer::OpsServer(os::EventLoop& loop, const runtime::Clock& clock, Answers answers)
    : loop_(loop), clock_(clock), answers_(std::move(answers)) {}

OpsServer::~OpsServer() = default;

Result<void> OpsServer::listen(const os::ListenAddress& address) {
    listener_ =
        EOS_TRY(os::Listener::open(loop_, address, [this](os::UniqueFd fd, const ByteArray<16>&) {
            if (connections_.size() < kMaxConnections)
                connections_.emplace_back(*this, std::move(fd));
        }));
    return {};
}

Bytes OpsServer::answer(std::string_view path) const {
    Answer found = answers_(path).value_or(Answer{404, runtime::kJsonType, {}});
    if (found.status == 404) found.body = to_string(runtime::error_body("there is nothing here"));
    Bytes out;
    const auto written = http::append_response_head(
        out, runtime::make_head(found.status, found.content_type),
        http::BodySize::known(found.body.size()),
        {clock_.now(), http::Persistence::kClose, http::Version::kHttp11});
    EOS_ASSERT(written.has_value());
    append(out, as_bytes(found.body));
    return out;
}

void OpsServer::turn() {
    const std::uint64_t now_ms = clock_.monotonic_ms();
    if (listener_) listener_->turn(now_ms);
    connections_.remove_if([&](const Connection& one) { return one.is_over(now_ms); });
}

}  // namespace eos::cvm::proxy
