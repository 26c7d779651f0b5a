// SPDX-License-Identifier: AGPL-3.0-only
// Leaves and evidence for connections: leaves that wait for a quote once a day (modes A and C), and
// what waits for a quote each time: leaves of mode B, answers of mode C. source:
// docs/formats/certificate.md 2 and 5.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/served.h"

namespace eos::runtime {

inline constexpr Code leaf_expired{"trusted/runtime", "leaf_expired",
                                   "the quote behind the leaf is too old and could not be renewed"};
inline constexpr Code mint_busy{"trusted/runtime", "mint_busy",
                                "too many challenge handshakes wait for a quote"};
inline constexpr Code mint_rate{"trusted/runtime", "mint_rate",
                                "the peer asks for challenge handshakes too often"};
inline constexpr Code state_changed{"trusted/runtime", "state_changed",
                                    "what is served has changed: ask again"};

using CredentialPtr = std::shared_ptr<const ratls::Credential>;

/// A key epoch is renewed when it is this old; a quote may then take hours before a leaf expires.
inline constexpr std::int64_t kEpochRenewalSeconds = 18 * 3600;

/// Makes a fresh leaf key and gets a quote that binds it to the current minute.
/// errors:  those of the evidence source.
void make_epoch(EvidenceSource& evidence, const Clock& clock,
                Done<std::shared_ptr<const KeyEpoch>> done);

/// The leaves of modes A and C of one worker, minted on first use. Small: two entries a name.
class LeafCache {
  public:
    /// The leaf of `name` under its epoch.
    /// errors: leaf_expired, ratls::bad_credential.
    [[nodiscard]] Result<CredentialPtr> get(const Served& served, const ServedName& name,
                                            ratls::LeafScheme scheme, UnixTime now);

    /// The leaf if there is one that is still good; null if one must be made.
    /// errors: leaf_expired (the epoch is too old to make one).
    [[nodiscard]] Result<CredentialPtr> find(const Served& served, const ServedName& name,
                                             ratls::LeafScheme scheme, UnixTime now);

    /// Keeps a leaf that was made elsewhere, under the name's epoch, just now.
    void insert(const Served& served, const ServedName& name, ratls::LeafScheme scheme,
                UnixTime now, CredentialPtr credential);

    /// Forgets the leaves of names that `served` no longer has.
    void retain(const Served& served);

  private:
    struct Entry {
        crypto::Digest32 tag;
        std::shared_ptr<const KeyEpoch> epoch;
        ratls::Instance instance;
        UnixTime reuse_until;
        CredentialPtr credential;
    };
    std::map<std::pair<std::string, ratls::LeafScheme>, Entry> entries_;
};

/// Lets each peer start `burst` challenge handshakes at once and `per_minute` on average. Remembers
/// a bounded number of peers; when it is full, the peer that was idle longest makes room.
class PeerRateLimiter {
  public:
    struct Limits {
        std::uint32_t burst = 32;
        std::uint32_t per_minute = 60;
        std::size_t max_peers = 4096;
    };
    explicit PeerRateLimiter(Limits limits) : limits_(limits) {}

    /// errors: mint_rate.
    [[nodiscard]] Result<void> take(const ByteArray<16>& peer_address, std::uint64_t now_ms);

  private:
    struct Bucket {
        std::uint64_t millitokens = 0;
        std::uint64_t updated_ms = 0;
    };
    void make_room();

    Limits limits_;
    std::map<ByteArray<16>, Bucket> buckets_;
};

/// Answers challenges for one worker, with leaves (mode B) or evidence alone (mode C): at most
/// kMaxPendingPerWorker wait for a quote here, and at most kMaxPendingInAll on all workers, which
/// share one counter. The only thing that gets quotes for peers, and only such as bind to the
/// peer's own connection.
class BoundMinter {
  public:
    static constexpr int kMaxPendingPerWorker = 8;
    static constexpr int kMaxPendingInAll = 64;

    /// All three must outlive the minter and every request it has made.
    BoundMinter(EvidenceSource& evidence, const Clock& clock, std::atomic<int>& pending_in_all)
        : evidence_(evidence), clock_(clock), pending_in_all_(pending_in_all) {}

    /// A leaf of `server_name` for one handshake, with a fresh key. `served` is kept until done.
    /// errors: mint_busy, mint_rate, ratls::bad_nonce, those of the evidence source.
    void mint(std::shared_ptr<const Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>& peer_address, Done<CredentialPtr> done);

    /// Evidence about `leaf_key` for one connection, which shows a leaf with that key.
    /// errors: mint_busy, mint_rate, those of the evidence source.
    void attest(const crypto::P256PublicKey& leaf_key, const ratls::ChannelBinding& channel,
                const ByteArray<16>& peer_address, Done<Bytes> done);

    int pending() const { return pending_; }

  private:
    Result<void> admit(const ByteArray<16>& peer_address);
    void request(const ratls::ReportData& report_data, Done<Bytes> done);

    EvidenceSource& evidence_;
    const Clock& clock_;
    std::atomic<int>& pending_in_all_;
    PeerRateLimiter peers_{PeerRateLimiter::Limits{}};
    int pending_ = 0;
};

}  // namespace eos::runtime
