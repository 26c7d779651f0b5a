// SPDX-License-Identifier: AGPL-3.0-only
#include "client/verified_server.h"

namespace eos::client {

VerifiedServer::VerifiedServer(std::unique_ptr<VerifiedChannel> channel, http::Authority authority)
    : channel_(std::move(channel)), exchange_(*channel_), authority_(std::move(authority)) {}

Result<Response> VerifiedServer::request(Request request, std::size_t max_body_bytes,
                                         Deadline deadline) {
    request.head.authority = authority_;
    return exchange_.run(std::move(request), max_body_bytes, deadline);
}

Result<Connection> Connection::open(const Target& target, Deadline deadline) {
    http::Authority authority = EOS_TRY(authority_of(target));
    AppraisedConnection appraised = EOS_TRY(AppraisedConnection::open(target, deadline));
    Connection out{std::move(appraised.verdict), nullptr};
    if (appraised.channel) {
        out.server.reset(new VerifiedServer(std::move(appraised.channel), std::move(authority)));
    }
    return out;
}

}  // namespace eos::client
