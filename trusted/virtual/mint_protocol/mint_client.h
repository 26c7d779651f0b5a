// SPDX-License-Identifier: AGPL-3.0-only
// The proxy's side of the minter: what is to be served, leaves, evidence, and changes. Leaf keys
// are born here and never leave; every value of a leaf is the minter's.
#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "trusted/os/log.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/metrics.h"
#include "trusted/virtual/config/config.h"
#include "trusted/virtual/mint_protocol/frame_channel.h"

namespace eos::cvm {

inline constexpr Code minter_gone{"trusted/virtual/mint_protocol", "minter_gone",
                                  "the minter cannot be reached: is enclave-os-minter running?"};
inline constexpr Code minter_slow{"trusted/virtual/mint_protocol", "minter_slow",
                                  "the minter did not answer in time"};

inline constexpr Code not_served_yet{
    "trusted/virtual/mint_protocol", "not_served_yet",
    "the change was made; it is served as soon as there is evidence for it"};
inline constexpr Code minter_is_another{
    "trusted/virtual/mint_protocol", "minter_is_another",
    "who listens on the minter's socket is not the minter's user: --minter-user"};

inline constexpr std::uint64_t kMintRequestMs = 60'000;
inline constexpr std::uint64_t kAttestRetryMs = 5'000;
inline constexpr std::size_t kMaxMintRequests = 4096;
/// A wall clock that gains more than this on the monotonic one was set, or the machine slept.
inline constexpr std::int64_t kClockStepSeconds = 60;

/// What is served from now on; never changed once published.
struct MintedState {
    State state;  ///< its names are moved into `served`
    Config config;
    std::shared_ptr<const runtime::Served> served;  ///< every name has an epoch; no issuer
};
using MintedStatePtr = std::shared_ptr<const MintedState>;

/// What is counted of the way to the minter. Written by the client, read by any thread.
struct MinterStatistics {
    runtime::Metric is_connected;  ///< 1 or 0
    runtime::Metric requests;
    runtime::Metric unanswered;  ///< requests that the minter did not get, or did not answer
    runtime::Metric refused;     ///< requests that it answered with a failure
};

/// One for a proxy process, on the loop of its main thread. threads: that one, but for what
/// statistics() returns.
class MintClient {
  public:
    /// All references outlive it.
    struct Parts {
        os::EventLoop& loop;
        const runtime::Clock& clock;
        const os::Log& log;
        std::string socket_path;
        /// Who the minter must be: whoever else listens there could have anything served.
        uid_t minter_user;
        /// Called whenever something new is to be served; every connection that was shown
        /// something else drains from then on.
        std::function<void(MintedStatePtr)> publish;
    };
    explicit MintClient(Parts parts);
    ~MintClient();

    /// Connects, and connects again whenever that ends.
    void start();
    /// Once a turn of the loop.
    void turn();
    std::optional<std::uint64_t> next_deadline_ms() const;

    /// What is served now; null until there is something.
    const MintedStatePtr& state() const { return state_; }
    bool is_connected() const { return channel_ != nullptr; }
    const MinterStatistics& statistics() const { return statistics_; }

    // Each ends with what the minter says, or minter_gone or minter_slow.
    void open_challenge(runtime::Done<OpenChallenge> done);
    /// A certification request where the owner asks for one; else done as reload() is.
    void owner_request(OwnerRequest request, runtime::Done<std::optional<CaRequest>> done);
    /// What the minter said once is answered from here until it pushes another state.
    void read_tree(ReadTree request, runtime::Done<std::string> done);
    /// Done once what it led to is published, or not_served_yet after kMintRequestMs without
    /// evidence for it.
    void reload(runtime::Done<void> done);

    /// A leaf out of `served`: of mode A or C, shared and kept; of mode B, for this handshake.
    /// errors: runtime::leaf_expired, runtime::mint_busy, runtime::mint_rate, minter_gone,
    ///         minter_slow, minter_failed; runtime::state_changed: the minter serves something else
    ///         of the name, which is published as soon as there is evidence for it.
    void leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>& peer_address, runtime::Done<runtime::CredentialPtr> done);

    /// Mode C: evidence about the key of a leaf of mode A or C, for one connection.
    void attest(const crypto::P256PublicKey& leaf_key, const ratls::ChannelBinding& channel,
                const ByteArray<16>& peer_address, runtime::Done<Bytes> done);

  private:
    using LeafKey = std::pair<std::string, ratls::LeafScheme>;
    struct Pending {
        std::uint64_t deadline_ms;
        runtime::Done<MintReply> done;
    };
    /// One leaf on its way, and who waits for it.
    struct Minting;

    void connect();
    void give_up_late();
    void watch_clock();
    void schedule_renewal();
    std::int64_t clock_lead_s() const;
    void lost(const std::string& why);
    void received(const Bytes& frame);
    void ask(MintRequest request, runtime::Done<MintReply> done);
    void count(const Result<MintReply>& reply);
    template <typename Reply>
    void ask_for(MintRequest request, runtime::Done<Reply> done);
    void state_pushed(State state);
    void when_published(runtime::Done<void> done);
    void keep_tree(const ReadTree& request, const std::string& text);
    void attest_epoch();
    void epoch_attested(std::shared_ptr<runtime::KeyEpoch> epoch, Result<Evidence> evidence);
    void publish(std::shared_ptr<MintedState> next, std::shared_ptr<runtime::Served> served);
    std::shared_ptr<const runtime::Served> newest(std::shared_ptr<const runtime::Served> served,
                                                  const runtime::ServedName& row) const;
    void draft(std::shared_ptr<Minting> minting, std::optional<Challenge> challenge);
    void finish(const std::shared_ptr<Minting>& minting, Result<runtime::CredentialPtr> outcome);

    const Parts parts_;
    MinterStatistics statistics_;
    std::unique_ptr<FrameChannel> channel_;
    std::uint64_t connect_at_ms_ = 0;
    std::uint64_t back_off_ms_ = 0;
    std::uint32_t last_id_ = 0;
    std::map<std::uint32_t, Pending> pending_;

    MintedStatePtr state_;
    /// What was pushed and waits for a key epoch; null: nothing does.
    std::shared_ptr<MintedState> next_;
    std::shared_ptr<runtime::Served> next_served_;
    bool is_attesting_ = false;
    std::vector<runtime::Done<OpenChallenge>> awaiting_challenge_;
    std::size_t owner_requests_ = 0;         ///< and not answered yet
    std::size_t trees_asked_ = 0;            ///< the same
    std::map<ReadTree, std::string> trees_;  ///< of the state that was pushed last
    std::size_t tree_bytes_ = 0;
    std::uint64_t attest_at_ms_ = 0;
    UnixTime oldest_epoch_;    ///< of what is served
    std::int64_t lead_s_ = 0;  ///< of the wall clock, when the renewal was scheduled
    struct Awaiting {
        std::uint64_t deadline_ms;
        runtime::Done<void> done;
    };
    std::vector<Awaiting> when_published_;

    runtime::LeafCache leaves_;
    std::map<LeafKey, std::shared_ptr<Minting>> minting_;
    std::shared_ptr<MintClient*> self_;  // weakly held by what comes back later
};

/// The same for one of the proxy's event loop threads: leaves that are known are at hand at once,
/// others come by way of the main thread. threads: its loop's.
class WorkerMint {
  public:
    /// Where it runs, and where the client does; all outlive it and what it was asked for.
    struct Parts {
        os::EventLoop& loop;
        const runtime::Clock& clock;
        os::EventLoop& client_loop;
        MintClient& client;
    };
    explicit WorkerMint(Parts parts) : parts_(parts) {}

    void leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>& peer_address, runtime::Done<runtime::CredentialPtr> done);
    void attest(const crypto::P256PublicKey& leaf_key, const ratls::ChannelBinding& channel,
                const ByteArray<16>& peer_address, runtime::Done<Bytes> done);

    /// Forgets leaves that are served no longer.
    void retain(const runtime::Served& served) { leaves_.retain(served); }

  private:
    const Parts parts_;
    runtime::LeafCache leaves_;
};

}  // namespace eos::cvm
