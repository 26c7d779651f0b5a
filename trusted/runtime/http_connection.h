// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>

#include "trusted/runtime/http1_connection.h"
#include "trusted/runtime/http2_connection.h"

namespace eos::runtime {

/// What one connection may cost, whatever is spoken on it.
struct HttpLimits {
    Http1Limits http1;
    Http2Limits http2;
};

/// HTTP in the version that the connection's handshake chose. `info` and the parts outlive it.
std::unique_ptr<ConnectionProtocol> start_http(const ConnectionInfo& info, const HttpParts& parts,
                                               const HttpLimits& limits = {});

}  // namespace eos::runtime
