// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"

namespace eos::x509 {

/// An IPv4 or IPv6 address in network byte order. A value.
class IpAddress {
  public:
    /// in: 4 or 16 bytes; nothing for any other size.
    static std::optional<IpAddress> from_bytes(ByteView bytes);

    /// in: "192.0.2.1" or "2001:db8::1", without brackets, zone or prefix; nothing for other text.
    static std::optional<IpAddress> parse(std::string_view text);

    ByteView bytes() const { return ByteView(bytes_).first(size_); }
    std::string text() const;

    friend bool operator==(const IpAddress&, const IpAddress&) = default;

  private:
    IpAddress() = default;
    ByteArray<16> bytes_{};
    std::size_t size_ = 0;
};

/// A range of addresses with a common prefix.
struct IpNetwork {
    IpAddress address;
    unsigned prefix_bits = 0;  ///< at most the bits of the address

    /// in: prefix_bits in range (asserted).
    bool contains(const IpAddress& candidate) const;
};

}  // namespace eos::x509
