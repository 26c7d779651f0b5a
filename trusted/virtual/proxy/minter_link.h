// SPDX-License-Identifier: AGPL-3.0-only
// What the proxy needs of whoever attests it: what is served, leaves, and the machine's own API.
// The proxy computes no value of what is served.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trusted/os/event_loop.h"
#include "trusted/runtime/exchange.h"
#include "trusted/virtual/mint_protocol/mint_client.h"

namespace eos::cvm::proxy {

/// What the API says about the program. threads: any.
struct ProgramView {
    std::function<std::string()> metrics;
    std::function<std::size_t()> connections;
    /// Why requests cannot be served, if they cannot.
    std::function<std::vector<std::string>(UnixTime now)> unready_reasons;
    std::size_t loops = 1;
};

/// One loop's end of it. threads: the loop's.
class LoopLink {
  public:
    virtual ~LoopLink() = default;
    /// What is served from now on.
    virtual void take(const MintedStatePtr& state) = 0;
    /// As runtime::ConnectionServices::leaf().
    virtual void leaf(std::shared_ptr<const runtime::Served> served,
                      const ratls::HandshakeOffer& offer, const ByteArray<16>& peer_address,
                      runtime::Done<runtime::CredentialPtr> done) = 0;
    /// What the machine's own name answers, and of every other name what is_own_path() says.
    virtual runtime::RequestDispatcher& api() = 0;
};

/// Where a loop runs.
struct LoopPlace {
    os::EventLoop& loop;
    const runtime::Clock& clock;
    const ProgramView& program;
};

/// threads: the main loop's; what for_loop() made is its loop's, statistics() any.
class MinterLink {
  public:
    using Changed = std::function<void(MintedStatePtr)>;

    virtual ~MinterLink() = default;
    /// From now on `changed` hears of what is to be served, on `loop`, which outlives this.
    [[nodiscard]] virtual Result<void> start(os::EventLoop& loop, Changed changed) = 0;
    /// Once a turn of the main loop.
    virtual void turn() {}
    virtual std::optional<std::uint64_t> next_deadline_ms() const { return std::nullopt; }
    /// All of `place` outlives what is returned.
    virtual std::unique_ptr<LoopLink> for_loop(LoopPlace place) = 0;
    /// Has the configuration read again. What changed is handed over before `done`.
    virtual void reload(runtime::Done<void> done) = 0;
    /// What is counted of the way to the minter; null: there is none. From start() to stop().
    virtual const MinterStatistics* statistics() const { return nullptr; }
    /// Lets go of the loop. What for_loop() made is gone.
    virtual void stop() {}
};

}  // namespace eos::cvm::proxy
