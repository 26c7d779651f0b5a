// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/listen_address.h"

#include <algorithm>
#include <charconv>

#include "common/base/encoding.h"
#include "common/x509/ip_address.h"

namespace eos::os {

bool ListenAddress::is_loopback() const {
    return host.starts_with("127.") || host == "::1";
}

std::string ListenAddress::text() const {
    bool is_v6 = host.find(':') != std::string::npos;
    return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
    std::size_t colon = text.rfind(':');
    std::string_view host = text.substr(0, std::min(colon, text.size()));
    const bool has_brackets = host.starts_with('[') && host.ends_with(']');
    if (has_brackets) host = host.substr(1, host.size() - 2);
    const bool is_v6 = host.find(':') != host.npos;
    ListenAddress out{std::string(host), 0};
    std::string_view port = colon == text.npos ? "" : text.substr(colon + 1);
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
    bool is_port = error == std::errc() && end == port.data() + port.size() && !port.empty();
    if (!is_port || is_v6 != has_brackets || !x509::IpAddress::parse(host)) {
        return fail(bad_address, printable(as_bytes(text), 64));
    }
    return out;
}

}  // namespace eos::os
