// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/local_socket.h"

#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

namespace eos::os {
namespace {

/// A service that a proxy opens many connections to has as many waiting at once.
constexpr int kBacklog = 512;

std::string reason(const std::string& what) {
    return what + ": " + std::strerror(errno);
}

std::optional<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

const sockaddr* plain(const sockaddr_un& address) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what the calls take.
    return reinterpret_cast<const sockaddr*>(&address);
}

UniqueFd new_socket() {
    return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// A socket that somebody left behind; whatever else lies there is not ours to remove.
Result<void> make_room(const std::string& path) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) return {};
    if (!S_ISSOCK(status.st_mode)) return fail(local_socket_unusable, path + " is no socket");
    if (::unlink(path.c_str()) != 0) return fail(local_socket_unusable, reason(path));
    return {};
}

}  // namespace

Result<UniqueFd> listen_local(const std::string& path, mode_t mode) {
    const std::optional<sockaddr_un> address = address_of(path);
    if (!address) return fail(local_socket_unusable, "its path is empty or too long");
    EOS_TRY(make_room(path));
    UniqueFd fd = new_socket();
    // It has its mode before it has a name, but for what the umask takes away.
    if (!fd.valid() || ::fchmod(fd.get(), mode) != 0 ||
        ::bind(fd.get(), plain(*address), sizeof *address) != 0 ||
        ::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), kBacklog) != 0) {
        return fail(local_socket_unusable, reason(path));
    }
    return fd;
}

Result<UniqueFd> connect_local(const std::string& path) {
    const std::optional<sockaddr_un> address = address_of(path);
    if (!address) return fail(nobody_listens, "its path is empty or too long");
    UniqueFd fd = new_socket();
    if (!fd.valid() || ::connect(fd.get(), plain(*address), sizeof *address) != 0)
        return fail(nobody_listens, reason(path));
    return fd;
}

Result<LocalPeer> local_peer(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || size != sizeof peer ||
        peer.uid == static_cast<uid_t>(-1)) {
        return fail(unknown_peer);
    }
    return LocalPeer{peer.uid, peer.pid};
}

Result<uid_t> find_user(const std::string& user) {
    uid_t uid = 0;
    const char* const last = user.data() + user.size();
    const auto [end, error] = std::from_chars(user.data(), last, uid);
    if (error == std::errc() && end == last) return uid;
    const passwd* row = ::getpwnam(user.c_str());
    if (row == nullptr) return fail(unknown_user, user);
    return row->pw_uid;
}

}  // namespace eos::os
