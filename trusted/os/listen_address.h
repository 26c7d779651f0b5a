// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace eos::os {

inline constexpr Code bad_address{"trusted/os", "bad_address",
                                  "not an address of the form 127.0.0.1:8443 or [::1]:8443"};

/// A numeric address and port.
struct ListenAddress {
    std::string host;  ///< without brackets
    std::uint16_t port = 0;

    bool is_loopback() const;
    std::string text() const;
};

/// "127.0.0.1:8443" or "[::1]:8443"; port 0 lets the system choose.
/// errors: bad_address.
[[nodiscard]] Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace eos::os
