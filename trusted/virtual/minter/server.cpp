// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "trusted/os/local_socket.h"

namespace eos::cvm {
namespace {

constexpr std::size_t kMaxQueuedBytes = 2 * kMaxReplyBytes;

}  // namespace

Result<std::unique_ptr<MinterServer>> MinterServer::listen(os::EventLoop& loop, const os::Log& log,
                                                           const std::string& path,
                                                           uid_t proxy_user) {
    // Whoever connects is asked who it is; the mode alone lets nobody in.
    Result<os::UniqueFd> fd = os::listen_local(path, 0666);
    if (!fd) return fail(socket_unusable, fd.error().detail());
    return std::unique_ptr<MinterServer>(
        new MinterServer(loop, log, *std::move(fd), path, proxy_user));
}

MinterServer::MinterServer(os::EventLoop& loop, const os::Log& log, os::UniqueFd fd,
                           std::string path, uid_t proxy_user)
    : loop_(loop),
      log_(log),
      peers_refused_(log, "peer_refused"),
      second_proxies_(log, "second_proxy_refused"),
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
    const Result<os::LocalPeer> peer = os::local_peer(fd.get());
    if (!peer || peer->user != proxy_user_) {
        return peers_refused_.write({"uid", peer ? std::to_string(peer->user) : "unknown"});
    }
    if (channel_ != nullptr) {
        return second_proxies_.write({"pid", std::to_string(peer->process)});
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
    log_.write(os::Severity::info, "proxy_connected", {{"pid", std::to_string(peer->process)}});
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
