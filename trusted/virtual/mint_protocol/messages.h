// SPDX-License-Identifier: AGPL-3.0-only
// What proxy and minter say to each other over their Unix socket. The minter computes every value
// of a leaf and every report data itself: no message holds either. Integers are little-endian;
// encode() and the decoders are exact inverses, and decoding refuses anything else: another type,
// a bound exceeded, bytes left over. source: docs/formats/mint-protocol.md.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/config_tree/leaf.h"
#include "common/owner/statement.h"
#include "common/ratls/leaf.h"
#include "common/ratls/report_data.h"
#include "trusted/runtime/served.h"

namespace eos::cvm {

inline constexpr Code malformed_message{"trusted/virtual/mint_protocol", "malformed_message",
                                        "a message does not have its form"};
inline constexpr Code message_too_large{"trusted/virtual/mint_protocol", "message_too_large",
                                        "a message exceeds its bound"};
inline constexpr Code minter_failed{"trusted/virtual/mint_protocol", "minter_failed",
                                    "the minter refused"};
inline constexpr Code not_attested{"trusted/virtual/mint_protocol", "not_attested",
                                   "the minter has no evidence for that key: ask for it first"};
inline constexpr Code unknown_name{"trusted/virtual/mint_protocol", "unknown_name",
                                   "there is no such name"};
inline constexpr Code unknown_draft{"trusted/virtual/mint_protocol", "unknown_draft",
                                    "there is no such draft, or no longer"};
inline constexpr Code key_has_other_use{
    "trusted/virtual/mint_protocol", "key_has_other_use",
    "a key of a challenge is of one handshake, and one that is attested for a day is of none"};

inline constexpr std::uint32_t kMintProtocolVersion = 2;
/// One frame: u32 length of what follows, u8 type, u32 id, body.
inline constexpr std::size_t kMaxRequestBytes = 64 * 1024;
inline constexpr std::size_t kMaxReplyBytes = 32 * 1024 * 1024;
inline constexpr std::size_t kMaxEvidenceBytes = 64 * 1024;
inline constexpr std::size_t kMaxServedNames = 10'001;
inline constexpr std::size_t kMaxTextBytes = 1024;

/// The key that a message is about, as SubjectPublicKeyInfo.
using Spki = ByteArray<crypto::kP256SpkiBytes>;

// --- from the proxy ---

/// The first message: which protocol it speaks.
struct Hello {
    std::uint32_t version = kMintProtocolVersion;
    friend bool operator==(const Hello&, const Hello&) = default;
};
/// Which challenge the owner's statement is to answer.
struct AskChallenge {
    friend bool operator==(const AskChallenge&, const AskChallenge&) = default;
};
/// What the owner asks, as the owner signed it: a step towards a CA, or the time.
struct OwnerRequest {
    owner::Purpose purpose = owner::Purpose::kProvision;
    Spki owner_key{};
    std::string statement;
    friend bool operator==(const OwnerRequest&, const OwnerRequest&) = default;
};
/// Read the configuration file again.
struct Reload {
    friend bool operator==(const Reload&, const Reload&) = default;
};
/// Evidence of mode A about a leaf key, good for a day. The minter chooses the minute.
struct Attest {
    Spki leaf_key{};
    friend bool operator==(const Attest&, const Attest&) = default;
};
/// What makes a leaf one of mode B.
struct Challenge {
    Bytes nonce;
    ratls::Binder binder{};
    ByteArray<16> peer_address{};
    friend bool operator==(const Challenge&, const Challenge&) = default;
};
/// A leaf for a name, to be signed by its key: with `challenge` of mode B; without, of mode A or
/// (scheme kV2) mode C, about a key that was attested.
struct DraftLeaf {
    std::string name;
    std::uint64_t generation = 0;  ///< of the state that the proxy serves
    ratls::LeafScheme scheme = ratls::LeafScheme::kV1;
    Spki leaf_key{};
    std::optional<Challenge> challenge;
    friend bool operator==(const DraftLeaf&, const DraftLeaf&) = default;
};
/// The leaf key's signature over the draft.
struct SignLeaf {
    std::uint64_t draft = 0;
    Bytes binding;
    friend bool operator==(const SignLeaf&, const SignLeaf&) = default;
};
/// Evidence of mode C about an attested key, for one connection.
struct AttestChannel {
    Spki leaf_key{};
    ratls::ChannelBinding channel;
    ByteArray<16> peer_address{};
    friend bool operator==(const AttestChannel&, const AttestChannel&) = default;
};
/// Which configuration tree.
struct ReadTree {
    config_tree::Scope::Kind kind = config_tree::Scope::Kind::kPolicy;
    std::string workload;  ///< for kWorkload
    friend auto operator<=>(const ReadTree&, const ReadTree&) = default;
};

using MintRequest = std::variant<Hello, AskChallenge, OwnerRequest, Reload, Attest, DraftLeaf,
                                 SignLeaf, AttestChannel, ReadTree>;

// --- from the minter ---

/// What the proxy serves from now on. Pushed, with id 0.
struct State {
    bool is_owned = false;
    ratls::Instance instance;
    crypto::Digest32 policy_root{};
    crypto::Digest32 owner_key_hash{};  ///< zeros without an owner
    std::int64_t ca_not_after = 0;      ///< 0 without an owner
    std::string assurance;
    std::string tee;         ///< "tdx", "sev-snp"
    std::string time_trust;  ///< runtime::to_string(TimeTrust)
    std::string version;     ///< of the minter
    std::string config;      ///< as config_json() writes it
    std::string policy_log;  ///< the events of RTMR3, JSON; empty where there is no such register
    std::vector<Bytes> chain;
    /// Without epochs; the platform's is first. Tags are the receiver's to compute.
    std::vector<runtime::ServedName> names;
};
/// It was done, and pushed before where it changed what is served.
struct Done {
    friend bool operator==(const Done&, const Done&) = default;
};
/// Of OwnerRequest, where it asks for a CA key: that it was born inside for this owner.
struct CaRequest {
    Bytes csr;
    Bytes evidence;
    friend bool operator==(const CaRequest&, const CaRequest&) = default;
};
/// Of AskChallenge.
struct OpenChallenge {
    ByteArray<32> challenge{};
    friend bool operator==(const OpenChallenge&, const OpenChallenge&) = default;
};
/// Of Attest: `not_before` is the minute that it holds. Of AttestChannel: when it was made.
struct Evidence {
    std::int64_t not_before = 0;
    Bytes bytes;
    friend bool operator==(const Evidence&, const Evidence&) = default;
};
/// Of DraftLeaf: what the leaf's key signs.
struct Draft {
    std::uint64_t draft = 0;
    Bytes binding_message;
    friend bool operator==(const Draft&, const Draft&) = default;
};
/// Of SignLeaf. Without an owner the leaf signs itself: then this is what its key signs.
struct SignedLeaf {
    bool is_to_be_signed = false;
    Bytes leaf;  ///< certificate or TBSCertificate, DER
    friend bool operator==(const SignedLeaf&, const SignedLeaf&) = default;
};
/// Of ReadTree: as config_tree::encode_manifest() writes it.
struct TreeText {
    std::string text;
    friend bool operator==(const TreeText&, const TreeText&) = default;
};
/// It was refused.
struct Failed {
    std::string library;
    std::string name;
    std::string detail;
    friend bool operator==(const Failed&, const Failed&) = default;
};

using MintReply = std::variant<State, Done, CaRequest, OpenChallenge, Evidence, Draft, SignedLeaf,
                               TreeText, Failed>;

/// A message with the number that ties an answer to its request. Requests have ids from 1 that
/// rise; 0 is for what is pushed.
template <typename Message>
struct Numbered {
    std::uint32_t id = 0;
    Message message;
};

/// The whole frame.
Bytes encode(const Numbered<MintRequest>& request);
Bytes encode(const Numbered<MintReply>& reply);

/// A frame without its length.
/// errors: malformed_message, message_too_large.
[[nodiscard]] Result<Numbered<MintRequest>> decode_request(ByteView frame);
[[nodiscard]] Result<Numbered<MintReply>> decode_reply(ByteView frame);

/// Takes whole frames out of what a stream brings.
class FrameReader {
  public:
    explicit FrameReader(std::size_t max_bytes) : max_bytes_(max_bytes) {}

    void receive(ByteView bytes) { append(buffer_, bytes); }
    /// The next frame without its length, or nothing yet.
    /// errors: message_too_large, malformed_message (too short for type and id).
    [[nodiscard]] Result<std::optional<Bytes>> next();

  private:
    const std::size_t max_bytes_;
    Bytes buffer_;
};

/// An error as it travels, and back: a code that both sides know keeps its identity, every other
/// becomes minter_failed with its name.
Failed to_failed(const Error& error);
Error to_error(const Failed& failed);

}  // namespace eos::cvm
