// SPDX-License-Identifier: AGPL-3.0-only
// A connection to a server that has been appraised. The only thing in this library that takes
// application bytes: whoever has one has the verdict too.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/memory_file.h"
#include "client/tls_channel.h"
#include "common/attestation/appraise/appraise.h"
#include "common/attestation/endorsements/endorsements.h"
#include "common/ratls/appraise_leaf.h"

namespace eos::client {

/// How the evidence is bound to the connection.
enum class BindingMode {
    kChallenge,      ///< mode B: to this handshake, by our nonce
    kDeterministic,  ///< mode A: to the leaf's key and a minute; for reading public things only
};

/// How often a handshake is begun anew that the server refused for a limit on challenges. It showed
/// no certificate and we sent it nothing, so that trying again repeats nothing.
struct RetryRules {
    int tries = 4;                                ///< in all, at least 1
    std::chrono::milliseconds first_pause{1000};  ///< doubled each time, and up to half more
    /// Called before each pause, for a person: why, and how long it will be.
    std::function<void(const Error&, std::chrono::milliseconds)> before_pause;
};

/// Which server, and by what it is judged.
struct Target {
    Address address;
    std::string server_name;  ///< SNI and certificate name; empty: none
    attestation::appraise::Policy policy;
    std::vector<x509::Certificate>
        anchors;  ///< root of the private PKI; empty: evidence alone decides
    attestation::endorsements::Endorsements endorsements;
    std::shared_ptr<const ratls::Credential> credential;  ///< client certificate, mode B only
    BindingMode mode = BindingMode::kChallenge;
    UnixTime now;  ///< the instant to appraise at
    RetryRules retry;
    /// The guest's event log, or why it cannot be read; absent: none was given.
    std::optional<Result<attestation::event_log::EventLog>> event_log;
    /// What was seen of instances; null: nothing is looked up or kept.
    std::shared_ptr<const MemoryFile> memory;
};

/// An open TLS connection to an appraised server that was not rejected.
class VerifiedChannel : public Channel {
  public:
    /// errors: connection_lost, timed_out.
    [[nodiscard]] Result<void> send(ByteView plaintext, Deadline deadline) override {
        return channel_.send(plaintext, deadline);
    }

    /// As TlsChannel::receive().
    /// errors: connection_lost, timed_out.
    [[nodiscard]] Result<Bytes> receive(Deadline deadline) override {
        return channel_.receive(deadline);
    }

    /// As TlsChannel::close().
    void close() { channel_.close(); }

    const attestation::appraise::AttestationResult& verdict() const { return verdict_; }

    /// DER of the certificates the server showed, leaf first.
    const std::vector<Bytes>& chain() const { return chain_; }

  private:
    friend struct AppraisedConnection;
    VerifiedChannel(TlsChannel channel, attestation::appraise::AttestationResult verdict,
                    std::vector<Bytes> chain)
        : channel_(std::move(channel)), verdict_(std::move(verdict)), chain_(std::move(chain)) {}

    TlsChannel channel_;
    attestation::appraise::AttestationResult verdict_;
    std::vector<Bytes> chain_;
};

/// The outcome of connecting: always a verdict, and the channel if it was not "rejected". What
/// was accepted has been remembered by then.
struct AppraisedConnection {
    attestation::appraise::AttestationResult verdict;
    std::unique_ptr<VerifiedChannel> channel;

    /// Connects, shakes hands, appraises. Sends no application byte.
    /// errors: those of TlsChannel::open, challenge_limited only after the last try or when the
    /// next would begin after the deadline; memory_unusable.
    [[nodiscard]] static Result<AppraisedConnection> open(const Target& target, Deadline deadline);
};

}  // namespace eos::client
