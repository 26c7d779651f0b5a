// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "common/base/assert.h"
#include "common/base/encoding.h"

namespace eos::daemon {
namespace {

// The kernel and inet_pton fill these in place; memcpy keeps clear of aliasing.
sockaddr_in as_v4(const SocketAddress& address) {
    sockaddr_in out{};
    std::memcpy(&out, &address.storage, sizeof(out));
    return out;
}

sockaddr_in6 as_v6(const SocketAddress& address) {
    sockaddr_in6 out{};
    std::memcpy(&out, &address.storage, sizeof(out));
    return out;
}

template <typename Family>
SocketAddress wrap(const Family& family) {
    SocketAddress out;
    std::memcpy(&out.storage, &family, sizeof(family));
    out.size = sizeof(family);
    return out;
}

bool parse_port(std::string_view text, in_port_t& port) {
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    port = htons(number);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<SocketAddress> parse_address(std::string_view text) {
    const auto refused = [&] { return fail(bad_address, "got " + printable(as_bytes(text))); };
    const std::size_t colon = text.rfind(':');
    in_port_t port = 0;
    if (colon == text.npos || !parse_port(text.substr(colon + 1), port)) return refused();
    std::string host(text.substr(0, colon));
    if (host.starts_with('[') && host.ends_with(']')) {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = port;
        host = host.substr(1, host.size() - 2);
        if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return refused();
        return wrap(v6);
    }
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = port;
    if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) != 1) return refused();
    return wrap(v4);
}

bool SocketAddress::is_loopback() const {
    if (storage.ss_family == AF_INET) return ntohl(as_v4(*this).sin_addr.s_addr) >> 24 == 127;
    const sockaddr_in6 v6 = as_v6(*this);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

std::string SocketAddress::text() const {
    std::array<char, INET6_ADDRSTRLEN> host{};
    if (storage.ss_family == AF_INET) {
        const sockaddr_in v4 = as_v4(*this);
        EOS_ASSERT(::inet_ntop(AF_INET, &v4.sin_addr, host.data(), host.size()) != nullptr);
        return std::string(host.data()) + ":" + std::to_string(ntohs(v4.sin_port));
    }
    const sockaddr_in6 v6 = as_v6(*this);
    EOS_ASSERT(::inet_ntop(AF_INET6, &v6.sin6_addr, host.data(), host.size()) != nullptr);
    return "[" + std::string(host.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
}

Peer SocketAddress::as_peer() const {
    Peer out;
    if (storage.ss_family == AF_INET) {
        const sockaddr_in v4 = as_v4(*this);
        out.address[10] = out.address[11] = std::byte{0xff};
        std::memcpy(&out.address[12], &v4.sin_addr, 4);
        out.port = ntohs(v4.sin_port);
    } else {
        const sockaddr_in6 v6 = as_v6(*this);
        std::memcpy(out.address.data(), &v6.sin6_addr, out.address.size());
        out.port = ntohs(v6.sin6_port);
    }
    return out;
}

}  // namespace eos::daemon
