// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include "client/tls_channel.h"
#include "common/http/authority.h"
#include "common/ratls/appraise_leaf.h"

namespace eos::client {

inline constexpr Code mode_unsupported{
    "client", "mode_unsupported", "the server answers no challenge inside the connection (mode C)"};

/// Asks the server for evidence inside a connection whose handshake asked for mode C. All that is
/// sent is a random context and the hash of the key that the server itself showed. Nothing is
/// verified: the answer is to be appraised, with the chain, before anything else is sent.
/// errors: mode_unsupported; challenge_limited (asking again later, on another connection, may
///         help); bad_response (also: it says more than was asked for); those of HttpExchange::run,
///         x509::Certificate::parse and parse_attest_response.
/// source: docs/formats/certificate.md 6.
[[nodiscard]] Result<ratls::ChannelEvidence> ask_for_evidence(TlsChannel& channel,
                                                              const http::Authority& authority,
                                                              Deadline deadline);

}  // namespace eos::client
