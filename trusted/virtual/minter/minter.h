// SPDX-License-Identifier: AGPL-3.0-only
// What the minter does with what the proxy asks: the one place that makes values, report data and
// signatures. Everything that comes from the proxy is taken to be hostile.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "trusted/os/log.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/owner_api.h"
#include "trusted/runtime/provisioning.h"
#include "trusted/runtime/time_guard.h"
#include "trusted/virtual/evidence/measurement.h"
#include "trusted/virtual/mint_protocol/messages.h"
#include "trusted/virtual/minter/owner_challenge.h"
#include "trusted/virtual/minter/quote_queue.h"
#include "trusted/virtual/minter/state_file.h"

namespace eos::cvm {

inline constexpr std::size_t kMaxAttestedKeys = 16;
/// How long a leaf under a key can be shown, at the most.
inline constexpr std::uint64_t kForgottenMs =
    std::uint64_t{ratls::kDeterministicLifeSeconds} * 1000;
inline constexpr std::size_t kMaxDrafts = 256;
inline constexpr std::uint64_t kDraftMs = 30'000;
inline constexpr std::uint64_t kQuoteRetryMs = 5'000;
/// Of all peers together; each peer's share is runtime::PeerRateLimiter's.
inline constexpr runtime::PeerRateLimiter::Limits kAllChallenges{256, 6'000, 1};
/// Of the proxy, whose every key costs the host a quote.
inline constexpr runtime::PeerRateLimiter::Limits kKeysAttested{64, 60, 1};
/// Of the owner: each costs a quote and, on TDX, an event of the policy log.
inline constexpr runtime::PeerRateLimiter::Limits kRotations{8, 1, 1};

/// threads: one, its loop's.
class Minter {
  public:
    /// What it works with; all outlives it.
    struct Parts {
        const runtime::Clock& clock;
        runtime::Random& random;
        QuoteQueue& quotes;
        const os::Log& log;
        std::string version;
        std::function<Result<Config>()> read_config;
        std::function<Result<void>(const MinterState&)> store;
        /// Extends the register, on machines that have one, before anything is served under it.
        std::function<Result<void>(const crypto::Digest32& policy_root, PolicyChange)> measure;
        /// The register's events, for verifiers; empty without one.
        std::function<std::string()> policy_log;
        /// To the proxy, if one is there.
        std::function<void(const State&)> push;
    };
    explicit Minter(Parts parts);

    /// Takes up what was stored, or nothing on a first run, and asks for a first quote.
    /// errors: those of read_config, store and measure; bad_config.
    [[nodiscard]] Result<void> start(std::optional<MinterState> stored);
    void turn();
    std::optional<std::uint64_t> next_deadline_ms() const;

    /// Answers exactly once. What changes what is served is pushed before it is answered.
    using Answer = std::move_only_function<void(MintReply)>;
    void handle(MintRequest request, Answer answer);

    /// The configuration is to be read again.
    /// errors: those of read_config, store and measure; bad_config, runtime::name_not_permitted,
    ///         runtime::time_jumped.
    [[nodiscard]] Result<void> reload();

    /// The proxy has gone: its drafts with it.
    void forget_proxy() { drafts_.clear(); }

    bool is_ready() const { return served_ != nullptr; }

  private:
    /// A leaf key that was attested for a day.
    struct AttestedKey {
        UnixTime not_before;
        Bytes evidence;
        crypto::Digest32 policy_root{};  ///< that was in force: the key is for no other
        /// What it said for each name: a key never says two things of one name.
        std::map<std::string, crypto::Digest32> tags;
    };
    struct DraftOnItsWay {
        ratls::LeafDraft leaf;
        std::string name;
        crypto::Digest32 tag;  ///< what it says; once that is not served, it is not signed
        std::uint64_t expires_ms;
    };
    /// What would be served.
    struct Next {
        MinterState state;
        Config config;
        std::string config_text;  ///< of config_json()
        std::shared_ptr<runtime::Served> served;
    };

    void on(const Hello& request, Answer answer);
    void on(const AskChallenge& request, Answer answer);
    void on(const OwnerRequest& request, Answer answer);
    void on(const Reload& request, Answer answer);
    void on(const Attest& request, Answer answer);
    void on(const DraftLeaf& request, Answer answer);
    void on(const SignLeaf& request, Answer answer);
    void on(const AttestChannel& request, Answer answer);
    void on(const ReadTree& request, Answer answer);

    void ask_first_quote();
    Result<void> serve_first(const FreshEvidence& evidence);
    Result<Next> prepare(MinterState state, Config config) const;
    Result<void> change(Next next, PolicyChange why = PolicyChange::kConfiguration);
    Result<json::Value> believe(const OwnerRequest& request);
    Result<void> check_token_proof(const json::Value& asked, const crypto::Digest32& key) const;
    void take_ca_step(runtime::CaChange change, const crypto::Digest32& owner,
                      const json::Value& asked, Answer answer);
    Result<void> complete(runtime::CaChange change, const crypto::Digest32& owner,
                          const std::string& chain_pem);
    Result<void> confirm_time(const json::Value& asked);
    Result<void> own(runtime::Ownership ownership, PolicyChange why);
    void attested_key(const crypto::Digest32& key_hash, UnixTime minute,
                      Result<FreshEvidence> evidence);
    void quote_ca(const runtime::CaRequester& requester, Answer answer);
    Result<void> expect_owned(bool owned) const;
    Result<const runtime::ServedName*> row_of(const DraftLeaf& request) const;
    Result<Draft> draft_attested(const DraftLeaf& request);
    void draft_challenged(const DraftLeaf& request, Answer answer);
    void challenge_quoted(const DraftLeaf& request, const crypto::Digest32& tag,
                          Result<FreshEvidence> evidence, Answer answer);
    Result<Draft> keep_draft(const runtime::ServedName& row, const crypto::P256PublicKey& key,
                             const ratls::LeafContent& content);
    ratls::LeafContent content_of(const runtime::ServedName& row, ratls::LeafScheme scheme) const;
    Result<SignedLeaf> sign(const SignLeaf& request);
    Result<TreeText> tree(const ReadTree& request) const;
    void keep_attested(const crypto::Digest32& key_hash, AttestedKey key);
    Result<void> admit(const ByteArray<16>& peer_address);
    AttestedKey* find_attested(const Spki& key);
    /// Zeros while nothing is served.
    crypto::Digest32 served_policy_root() const;
    Attested attested() const { return {config_, state_.owned, state_.app_ids}; }
    State state_to_push() const;
    UnixTime now() const;
    bool is_time_good();

    const Parts parts_;
    runtime::TimeGuard time_;
    MinterState state_;
    Config config_;
    std::string config_text_;  ///< of config_json(), once something is served
    MinterFacts facts_;
    TeeKind tee_ = TeeKind::kTdx;
    const ByteArray<16> boot_id_;
    Secret<ByteArray<16>> token_;
    OwnerChallenge challenge_;
    runtime::PendingAuthority pending_ca_;
    std::shared_ptr<runtime::Served> served_;  // null until there is a first quote
    std::map<crypto::Digest32, AttestedKey> attested_;
    /// Attested keys of before, and until when they are refused.
    std::map<crypto::Digest32, std::uint64_t> forgotten_;
    std::map<crypto::Digest32, std::vector<Answer>> attesting_;
    std::map<std::uint64_t, DraftOnItsWay> drafts_;
    std::uint64_t last_draft_ = 0;
    runtime::PeerRateLimiter peers_{runtime::PeerRateLimiter::Limits{}};
    runtime::PeerRateLimiter all_peers_{kAllChallenges};
    runtime::PeerRateLimiter keys_attested_{kKeysAttested};
    runtime::PeerRateLimiter rotations_{kRotations};
    std::uint64_t quote_at_ms_ = 0;
    std::shared_ptr<Minter*> self_;  // weakly held by quotes on their way
};

}  // namespace eos::cvm
