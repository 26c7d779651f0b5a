// SPDX-License-Identifier: AGPL-3.0-only
// A connection to a server that has been appraised. The only thing in this library that takes
// application bytes: whoever has one has the verdict too.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/attest_exchange.h"
#include "client/memory_file.h"
#include "client/tls_channel.h"
#include "common/attestation/appraise/appraise.h"
#include "common/attestation/endorsements/endorsements.h"
#include "common/ratls/appraise_leaf.h"

namespace eos::client {

/// How the evidence is bound to the connection.
enum class BindingMode {
    kExporter,       ///< mode C, "v2-challenge": to this connection, by its exporter
    kChallenge,      ///< mode B, "v1-challenge": to this handshake, by our nonce
    kDeterministic,  ///< mode A: to the leaf's key and a minute; for reading public things only
};

/// How often a connection is begun anew on which the server refused a challenge for a limit.
/// Nothing of the application was sent, so that trying again repeats nothing.
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
    std::shared_ptr<const ratls::Credential> credential;  ///< client certificate, modes C and B
    BindingMode mode = BindingMode::kExporter;            ///< never another one without being told
    UnixTime now;                                         ///< the instant to appraise at
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

/// Who the server is in HTTP: the name that its certificate must be for, else where it is.
/// errors: http::bad_authority.
[[nodiscard]] Result<http::Authority> authority_of(const Target& target);

/// The outcome of connecting: always a verdict, and the channel if it was not "rejected". What
/// was accepted has been remembered by then.
struct AppraisedConnection {
    attestation::appraise::AttestationResult verdict;
    std::unique_ptr<VerifiedChannel> channel;

    /// Connects, shakes hands, in mode C asks for evidence, and appraises. Sends no application
    /// byte. errors: those of TlsChannel::open and ask_for_evidence(), challenge_limited only after
    /// the last try or when the next would begin after the deadline; memory_unusable.
    [[nodiscard]] static Result<AppraisedConnection> open(const Target& target, Deadline deadline);
};

}  // namespace eos::client
