// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/http_connection.h"

namespace eos::runtime {

std::unique_ptr<ConnectionProtocol> start_http(const ConnectionInfo& info, const HttpParts& parts,
                                               const HttpLimits& limits) {
    if (info.protocol == ratls::Protocol::kHttp2) {
        return std::make_unique<Http2Connection>(info, parts, limits.http2);
    }
    return std::make_unique<Http1Connection>(info, parts, limits.http1);
}

}  // namespace eos::runtime
