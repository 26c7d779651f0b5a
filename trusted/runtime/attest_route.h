// SPDX-License-Identifier: AGPL-3.0-only
// Mode C: evidence about the key of this connection's leaf, bound to this connection, asked for
// inside it. What is signed holds a value of this connection's own exporter, which nobody can
// choose. source: docs/formats/certificate.md 6.
#pragma once

#include <functional>
#include <string>

#include "trusted/runtime/body.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/router.h"

namespace eos::runtime {

/// Where it is asked for, on every name.
inline constexpr StaticText kAttestPath = "/__privasys/attest";

/// What the route works with; the references outlive the router.
struct AttestParts {
    MemoryBudget& bodies;
    const Clock& clock;
    /// The TEE's name in answers; asked for with each request.
    std::function<std::string()> tee;
    /// As BoundMinter::attest().
    std::function<void(const crypto::P256PublicKey& leaf_key, const ratls::ChannelBinding& channel,
                       const ByteArray<16>& peer_address, Done<Bytes> done)>
        attest;
};

/// Adds the route.
void add_attest_route(Router& router, AttestParts parts);

}  // namespace eos::runtime
