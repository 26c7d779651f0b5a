// SPDX-License-Identifier: AGPL-3.0-only
// One worker: a thread with its own rings, connections and calls, and a loop that never waits for
// anything but its bell.
#pragma once

#include <functional>
#include <memory>

#include "boundary/layout.h"
#include "boundary/log_codes.h"
#include "trusted/mini/host_services/services.h"
#include "trusted/mini/hub.h"
#include "trusted/mini/ingress/ingress.h"
#include "trusted/platform/trusted_clock.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/server_connection.h"
#include "trusted/runtime/settings.h"

namespace eos::mini {

/// threads: one, but for the constructor.
class Worker final : private runtime::ConnectionServices {
  public:
    /// What a worker is made of; all references outlive it.
    struct Parts {
        unsigned index;
        const boundary::Layout& layout;
        platform::Platform& platform;
        const platform::TrustedClock& clock;
        Hub& hub;
        ratls::ServerContext tls;
    };
    explicit Worker(Parts parts);
    ~Worker() override;

    /// Makes the protocol of each new connection; set before run().
    using StartProtocol = std::function<std::unique_ptr<runtime::ConnectionProtocol>(
        const runtime::ConnectionInfo&, runtime::PlaintextSink&)>;
    void set_protocol(StartProtocol start) { start_protocol_ = std::move(start); }

    /// More work of the loop's turns.
    struct Background {
        std::function<bool()> turn;  ///< returns whether it wants the next turn at once
        std::function<std::optional<std::uint64_t>()> next_deadline_ms;
    };
    void set_background(Background background) { background_ = std::move(background); }

    /// The loop. Returns when the hub stops.
    void run();

    /// From now on this is served; connections that were shown something else drain.
    void adopt(std::shared_ptr<const runtime::Served> served, std::uint64_t drain_ms);

    HostCalls& calls() { return calls_; }
    HostBlobStore& blobs() { return blobs_; }
    SgxEvidenceSource& evidence() { return evidence_; }
    runtime::BoundMinter& minter() { return minter_; }
    const runtime::Clock& clock() const override { return clock_; }
    EnclaveRandom& random() { return random_; }
    Ingress& ingress() { return *ingress_; }
    unsigned index() const { return parts_.index; }

    /// Sends a line of the log, unless the setting log_level leaves it out.
    void log(boundary::LogCode code, std::initializer_list<std::uint64_t> numbers);
    void set_log_level(runtime::LogLevel level) { log_level_ = level; }

  private:
    std::shared_ptr<const runtime::Served> served() const override { return served_; }
    void leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>& peer_address,
              runtime::Done<runtime::CredentialPtr> done) override;
    std::unique_ptr<runtime::ConnectionProtocol> start_protocol(
        const runtime::ConnectionInfo& info, runtime::PlaintextSink& sink) override;

    Result<bool> receive();
    void obey(const boundary::Shutdown& shutdown);
    void finish_draining();
    std::uint32_t sleep_ms() const;
    void give_up();

    Parts parts_;
    boundary::TrustedWorkerEndpoint endpoint_;
    HostClock clock_;
    EnclaveRandom random_;
    HostCalls calls_;
    HostBlobStore blobs_;
    SgxEvidenceSource evidence_;
    runtime::LeafCache leaves_;
    runtime::BoundMinter minter_;
    std::unique_ptr<Ingress> ingress_;
    std::shared_ptr<const runtime::Served> served_;
    StartProtocol start_protocol_;
    Background background_;
    runtime::LogLevel log_level_ = runtime::LogLevel::kInfo;
    std::uint64_t stop_at_ms_ = 0;  // of a shutdown; 0: none
    bool drained_ = false;
};

}  // namespace eos::mini
