// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/attest_route.h"

#include "trusted/mini/api/context.h"

namespace eos::mini {

void add_attest_route(runtime::Router& router, const ApiContext& context) {
    runtime::add_attest_route(
        router,
        {context.bodies, context.clock, [] { return std::string("sgx"); },
         [&context](const crypto::P256PublicKey& leaf_key, const ratls::ChannelBinding& channel,
                    const ByteArray<16>& peer_address, runtime::Done<Bytes> done) {
             context.minter.attest(leaf_key, channel, peer_address, std::move(done));
         }});
}

}  // namespace eos::mini
