// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace eos::cvm {
namespace {

constexpr std::size_t kMaxQueuedBytes = 2 * kMaxReplyBytes;

std::string reason(const std::string& what) {
    return what + ": " + std::strerror(errno);
}

// A socket that nobody listens on any more; whatever else lies there is not ours to remove.
Result<void> make_room(const std::string& path) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) return {};
    if (!S_ISSOCK(status.st_mode)) return fail(socket_unusable, path + " is no socket");
    if (::unlink(path.c_str()) != 0) return fail(socket_unusable, reason(path));
    return {};
}

}  // namespace

Result<std::unique_ptr<MinterServer>> MinterServer::listen(os::EventLoop& loop, const os::Log& log,
                                                           const std::string& path,
                                                           uid_t proxy_user) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(socket_unusable, "its path is too long");
    std::memcpy(address.sun_path, path.data(), path.size());
    EOS_TRY(make_room(path));
    os::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what the call takes.
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    if (!fd.valid() || ::bind(fd.get(), where, sizeof address) != 0)
        return fail(socket_unusable, reason(path));
    // Whoever connects is asked who it is; the mode alone lets nobody in.
    if (::chmod(path.c_str(), 0666) != 0 || ::listen(fd.get(), 4) != 0)
        return fail(socket_unusable, reason(path));
    return std::unique_ptr<MinterServer>(
        new MinterServer(loop, log, std::move(fd), path, proxy_user));
}

MinterServer::MinterServer(os::EventLoop& loop, const os::Log& log, os::UniqueFd fd,
                           std::string path, uid_t proxy_user)
    : loop_(loop),
      log_(log),
      fd_(std::move(fd)),
      path_(std::move(path)),
      proxy_user_(proxy_user),
      self_(std::make_shared<MinterServer*>(this)) {
    loop_.add(fd_.get(), EPOLLIN, *this);
}

MinterServer::~MinterServer() {
    loop_.remove(fd_.get(), *this);
    // Nobody listens there any more; the next start would remove it, too.
    ::unlinkat(AT_FDCWD, path_.c_str(), 0);
}

void MinterServer::on_events(std::uint32_t events) {
    static_cast<void>(events);
    os::UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd.valid()) accepted(std::move(fd));
}

void MinterServer::accepted(os::UniqueFd fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        peer.uid != proxy_user_) {
        log_.write(os::Severity::warning, "peer_refused", {{"uid", std::to_string(peer.uid)}});
        return;
    }
    if (channel_ != nullptr) {
        log_.write(os::Severity::warning, "second_proxy_refused",
                   {{"pid", std::to_string(peer.pid)}});
        return;
    }
    const std::uint64_t proxy = ++proxy_;
    last_id_ = 0;
    under_way_ = 0;
    channel_ = std::make_unique<FrameChannel>(
        loop_, std::move(fd), FrameChannel::Limits{kMaxRequestBytes, kMaxQueuedBytes},
        FrameChannel::Events{[this](Bytes frame) { received(frame); },
                             [this, proxy](std::string why) {
                                 loop_.post(
                                     [weak = std::weak_ptr(self_), proxy, why = std::move(why)] {
                                         if (auto self = weak.lock()) (*self)->lost(proxy, why);
                                     });
                             }});
    log_.write(os::Severity::info, "proxy_connected", {{"pid", std::to_string(peer.pid)}});
}

void MinterServer::lost(std::uint64_t proxy, const std::string& why) {
    if (proxy != proxy_) return;
    log_.write(os::Severity::info, "proxy_gone", {{"why", why}});
    channel_.reset();
    minter_->forget_proxy();
}

void MinterServer::push(const State& state) {
    if (channel_ != nullptr && last_id_ > 0) channel_->send(encode(Numbered<MintReply>{0, state}));
}

// Hello comes first and once; ids rise, so that no answer can be taken for another's.
void MinterServer::received(const Bytes& frame) {
    Result<Numbered<MintRequest>> request = decode_request(frame);
    if (!request) return channel_->close(request.error().message());
    const bool is_hello = std::holds_alternative<Hello>(request->message);
    if (is_hello != (last_id_ == 0) || request->id <= last_id_)
        return channel_->close("a request out of order");
    if (under_way_ >= kMaxRequestsUnderWay) return channel_->close("too many requests");
    last_id_ = request->id;
    ++under_way_;
    minter_->handle(std::move(request->message), [weak = std::weak_ptr(self_), proxy = proxy_,
                                                  id = request->id](MintReply reply) {
        if (auto self = weak.lock()) (*self)->answered(proxy, id, std::move(reply));
    });
}

void MinterServer::answered(std::uint64_t proxy, std::uint32_t id, MintReply reply) {
    if (proxy != proxy_ || channel_ == nullptr) return;
    --under_way_;
    channel_->send(encode(Numbered<MintReply>{id, std::move(reply)}));
}

}  // namespace eos::cvm
