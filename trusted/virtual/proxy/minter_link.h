// SPDX-License-Identifier: AGPL-3.0-only
// What the proxy needs of whoever attests it: what is served, and leaves. The proxy computes no
// value of either.
#pragma once

#include <functional>
#include <memory>

#include "trusted/os/event_loop.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/served.h"
#include "trusted/virtual/config/config.h"

namespace eos::cvm::proxy {

/// One moment of what is served. A value that never changes once handed over.
struct ProxyState {
    Config config;
    std::shared_ptr<const runtime::Served> served;
};
using ProxyStatePtr = std::shared_ptr<const ProxyState>;

/// One loop's way to leaves. threads: the loop's.
class LeafSource {
  public:
    virtual ~LeafSource() = default;
    /// As runtime::ConnectionServices::leaf().
    virtual void leaf(std::shared_ptr<const runtime::Served> served,
                      const ratls::HandshakeOffer& offer, const ByteArray<16>& peer_address,
                      runtime::Done<runtime::CredentialPtr> done) = 0;
};

/// threads: the main loop's; what leaf_source() made is its loop's.
class MinterLink {
  public:
    using Changed = std::function<void(ProxyStatePtr)>;

    virtual ~MinterLink() = default;
    /// From now on `changed` hears of what is to be served, on `loop`, which outlives this.
    [[nodiscard]] virtual Result<void> start(os::EventLoop& loop, Changed changed) = 0;
    /// For a loop that outlives what is returned.
    virtual std::unique_ptr<LeafSource> leaf_source(os::EventLoop& loop) = 0;
    /// Has the configuration read again. What changed is handed over before `done`.
    virtual void reload(runtime::Done<void> done) = 0;
};

}  // namespace eos::cvm::proxy
