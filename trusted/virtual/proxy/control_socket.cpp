// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "common/base/encoding.h"
#include "common/json/json.h"
#include "trusted/os/local_socket.h"

namespace eos::cvm::proxy {
namespace {

constexpr std::string_view kReload = "reload\n";
constexpr std::size_t kMaxAnswerBytes = 4096;
constexpr std::size_t kMaxReasonBytes = 1024;
constexpr int kAnswerMs = static_cast<int>(ControlSocket::kDeadlineMs);

std::string answer_of(const Result<std::uint64_t>& outcome) {
    json::Value answer;
    if (outcome) {
        answer = {{"generation", *outcome}};
    } else {
        answer = {{"refused", printable(as_bytes(outcome.error().message()), kMaxReasonBytes)}};
    }
    return json::compact(answer) + "\n";
}

Result<std::uint64_t> read_answer(std::string_view text) {
    const json::Value value =
        EOS_TRY(json::parse(as_bytes(text), {.size_bytes = kMaxAnswerBytes, .depth = 2}));
    json::Object answer = EOS_TRY(json::Object::of(value, ""));
    if (answer.find("refused") != nullptr)
        return fail(control_refused, EOS_TRY(answer.text("refused", kMaxAnswerBytes)));
    return answer.number("generation", UINT64_MAX);
}

/// Waits until there is something, or too long.
bool await(int fd, short events) {
    pollfd one{.fd = fd, .events = events, .revents = 0};
    return ::poll(&one, 1, kAnswerMs) == 1;
}

}  // namespace

/// Reads a question, writes an answer, closes.
class ControlSocket::Connection final : public os::EventHandler,
                                        public std::enable_shared_from_this<Connection> {
  public:
    Connection(ControlSocket& owner, os::UniqueFd fd)
        : owner_(owner),
          fd_(std::move(fd)),
          deadline_ms_(owner.clock_.monotonic_ms() + kDeadlineMs) {
        owner_.loop_.add(fd_.get(), EPOLLIN, *this);
    }
    ~Connection() override { owner_.loop_.remove(fd_.get(), *this); }

    void on_events(std::uint32_t events) override {
        if ((events & EPOLLHUP) != 0) is_over_ = true;
        if (!is_over_ && !is_asked_) read();
    }
    bool is_over(std::uint64_t now_ms) const { return is_over_ || now_ms >= deadline_ms_; }

  private:
    void read() {
        std::array<char, kReload.size() + 1> buffer;
        const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size() - question_.size(), 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (count > 0) question_.append(buffer.data(), static_cast<std::size_t>(count));
        if (count <= 0 || !kReload.starts_with(question_)) {
            is_over_ = true;
            return;
        }
        if (question_ != kReload) return;
        is_asked_ = true;
        // Nothing more is read, and that the other side leaves is heard all the same.
        owner_.loop_.modify(fd_.get(), 0, *this);
        owner_.reload_([weak = weak_from_this()](Result<std::uint64_t> outcome) {
            if (auto self = weak.lock()) self->answer(answer_of(outcome));
        });
    }
    // A socket that nothing was sent on takes a line at once.
    void answer(const std::string& text) {
        static_cast<void>(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL));
        is_over_ = true;
    }

    ControlSocket& owner_;
    os::UniqueFd fd_;
    const std::uint64_t deadline_ms_;
    std::string question_;
    bool is_asked_ = false;
    bool is_over_ = false;
};

ControlSocket::ControlSocket(os::EventLoop& loop, const runtime::Clock& clock, Reload reload)
    : loop_(loop), clock_(clock), reload_(std::move(reload)) {}

ControlSocket::~ControlSocket() {
    if (!fd_.valid()) return;
    loop_.remove(fd_.get(), *this);
    ::unlinkat(AT_FDCWD, path_.c_str(), 0);
}

Result<void> ControlSocket::listen(const std::string& path) {
    fd_ = EOS_TRY(os::listen_local(path, 0600));
    path_ = path;
    loop_.add(fd_.get(), EPOLLIN, *this);
    return {};
}

void ControlSocket::on_events(std::uint32_t events) {
    static_cast<void>(events);
    os::UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid() || connections_.size() >= kMaxConnections) return;
    const Result<os::LocalPeer> peer = os::local_peer(fd.get());
    if (!peer || (peer->user != 0 && peer->user != ::geteuid())) return;
    connections_.push_back(std::make_shared<Connection>(*this, std::move(fd)));
}

void ControlSocket::turn() {
    const std::uint64_t now_ms = clock_.monotonic_ms();
    connections_.remove_if([&](const auto& one) { return one->is_over(now_ms); });
}

Result<std::uint64_t> ask_reload(const std::string& path) {
    const os::UniqueFd fd = EOS_TRY(os::connect_local(path));
    if (::send(fd.get(), kReload.data(), kReload.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(kReload.size())) {
        return fail(control_silent);
    }
    std::string text;
    while (text.size() < kMaxAnswerBytes && await(fd.get(), POLLIN)) {
        std::array<char, kMaxAnswerBytes> buffer;
        const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        text.append(buffer.data(), static_cast<std::size_t>(count));
        if (text.ends_with('\n')) break;
    }
    if (text.empty()) return fail(control_silent);
    return read_answer(text);
}

}  // namespace eos::cvm::proxy
