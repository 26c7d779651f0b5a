// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/proxied.h"

#include <algorithm>

#include "common/x509/ip_address.h"
#include "trusted/os/connections.h"
#include "trusted/os/local_socket.h"
#include "trusted/runtime/responses.h"

namespace eos::attestd {

Result<void> check_is_proxy(int fd, uid_t proxy_user) {
    const os::LocalPeer peer = EOS_TRY(os::local_peer(fd));
    if (peer.user == proxy_user) return {};
    return fail(not_the_proxy, "user " + std::to_string(peer.user));
}

Result<ByteArray<16>> client_address(const http::Headers& headers) {
    const auto field = headers.single("x-forwarded-for");
    if (!field) return fail(bad_client_address);
    ByteArray<16> out{};
    if (!*field) return out;
    const std::optional<x509::IpAddress> address = x509::IpAddress::parse(**field);
    if (!address) return fail(bad_client_address);
    const ByteView bytes = address->bytes();
    if (bytes.size() < out.size()) out[10] = out[11] = std::byte{0xff};
    std::ranges::copy(bytes, out.end() - static_cast<std::ptrdiff_t>(bytes.size()));
    return os::network_of(out);
}

runtime::Dispatched ProxiedRequests::dispatch(http::RequestHead head,
                                              const runtime::ConnectionInfo& connection,
                                              runtime::Exchange exchange) {
    const Result<ByteArray<16>> client = client_address(head.headers);
    if (!client) {
        runtime::respond_error(exchange, 400, client.error().message());
        return {};
    }
    runtime::ConnectionInfo of_client = connection;
    of_client.peer_address = *client;
    return next_.dispatch(std::move(head), of_client, std::move(exchange));
}

}  // namespace eos::attestd
