// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "common/base/assert.h"

namespace eos::x509 {

std::optional<IpAddress> IpAddress::from_bytes(ByteView bytes) {
    if (bytes.size() != 4 && bytes.size() != 16) return {};
    IpAddress out;
    out.size_ = bytes.size();
    std::ranges::copy(bytes, out.bytes_.begin());
    return out;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    std::string terminated(text);
    if (terminated.find('\0') != std::string::npos) return {};
    IpAddress out;
    int family = text.find(':') == std::string_view::npos ? AF_INET : AF_INET6;
    out.size_ = family == AF_INET ? 4 : 16;
    if (inet_pton(family, terminated.c_str(), out.bytes_.data()) != 1) return {};
    return out;
}

std::string IpAddress::text() const {
    char out[INET6_ADDRSTRLEN] = {};
    inet_ntop(size_ == 4 ? AF_INET : AF_INET6, bytes_.data(), out, sizeof out);
    return out;
}

bool IpNetwork::contains(const IpAddress& candidate) const {
    EOS_ASSERT(prefix_bits <= 8 * address.bytes().size());
    if (candidate.bytes().size() != address.bytes().size()) return false;
    for (unsigned bit = 0; bit < prefix_bits; ++bit) {
        std::byte mask{static_cast<std::uint8_t>(0x80 >> bit % 8)};
        if (((candidate.bytes()[bit / 8] ^ address.bytes()[bit / 8]) & mask) != std::byte{0})
            return false;
    }
    return true;
}

}  // namespace eos::x509
