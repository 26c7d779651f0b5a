// SPDX-License-Identifier: AGPL-3.0-only
// HTTP with a server that has been appraised.
#pragma once

#include <memory>
#include <vector>

#include "client/http_exchange.h"
#include "client/verified_channel.h"

namespace eos::client {

/// An appraised server that was not rejected, and speaks HTTP/1.1.
class VerifiedServer {
  public:
    /// errors: those of HttpExchange::run.
    [[nodiscard]] Result<Response> request(Request request, std::size_t max_body_bytes,
                                           Deadline deadline);

    const attestation::appraise::AttestationResult& verdict() const { return channel_->verdict(); }

    /// DER of the certificates the server showed, leaf first.
    const std::vector<Bytes>& chain() const { return channel_->chain(); }

  private:
    friend struct Connection;
    VerifiedServer(std::unique_ptr<VerifiedChannel> channel, http::Authority authority);

    std::unique_ptr<VerifiedChannel> channel_;
    HttpExchange exchange_;
    http::Authority authority_;
};

/// The outcome of connecting: always a verdict, and the server if it was not "rejected".
struct Connection {
    attestation::appraise::AttestationResult verdict;
    std::unique_ptr<VerifiedServer> server;

    /// Connects, shakes hands, appraises. Sends no application byte.
    /// errors: those of AppraisedConnection::open; http::bad_authority.
    [[nodiscard]] static Result<Connection> open(const Target& target, Deadline deadline);
};

}  // namespace eos::client
