// SPDX-License-Identifier: AGPL-3.0-only
// The RA-TLS leaf: an X.509 certificate that carries hardware evidence and the values of the
// configuration it was made under, and binds them all by its own key. source:
// docs/formats/certificate.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/crypto/hash.h"
#include "common/crypto/p256.h"
#include "common/oid/oid.h"
#include "common/ratls/leaf_scheme.h"
#include "common/x509/builder.h"
#include "common/x509/certificate.h"

namespace eos::ratls {

inline constexpr Code bad_leaf{"common/ratls", "bad_leaf", "the certificate is not a leaf of ours"};
inline constexpr Code leaf_has_evidence{
    "common/ratls", "leaf_has_evidence",
    "the leaf carries hardware evidence, which one for mode C never does"};
inline constexpr Code leaf_binding_missing{"common/ratls", "leaf_binding_missing",
                                           "the leaf carries no leaf_binding"};
inline constexpr Code leaf_binding_invalid{
    "common/ratls", "leaf_binding_invalid",
    "leaf_binding is not the leaf key's signature over this certificate's values"};

/// The subject of a leaf that is served without SNI.
inline constexpr std::string_view kUnnamedSubject = "Enclave OS RA-TLS";

/// How long a mode A leaf lives, the two sides of a mode B leaf's life, and how long a mode C leaf
/// lives after minting; it is backdated as one of mode B.
inline constexpr std::int64_t kDeterministicLifeSeconds = 24 * 3600;
inline constexpr std::int64_t kChallengeBackdateSeconds = 5 * 60;
inline constexpr std::int64_t kChallengeLifeSeconds = 5 * 60;
inline constexpr std::int64_t kChannelLeafLifeSeconds = 3600;

/// The value of extension .3: which instance, which start of it, and how new its state is.
struct Instance {
    ByteArray<16> instance_id{};
    ByteArray<16> boot_id{};
    std::uint64_t generation = 0;  ///< of the sealed state, when the leaf was minted

    friend bool operator==(const Instance&, const Instance&) = default;
};

/// 16 + 16 + 8 bytes, the generation big endian.
ByteArray<40> encode_instance(const Instance& instance);

/// errors: bad_leaf (not 40 bytes).
[[nodiscard]] Result<Instance> decode_instance(ByteView value);

/// One extension whose raw value stands directly in extnValue.
struct ExtensionValue {
    oid::Oid oid;
    Bytes value;

    friend bool operator==(const ExtensionValue&, const ExtensionValue&) = default;
};

/// The hardware evidence of a leaf and the extension it travels in.
struct LeafEvidence {
    oid::Oid oid;  ///< says which TEE: oid::kSgxQuote, …
    Bytes bytes;
};

/// Everything a leaf says, apart from who signs it.
struct LeafContent {
    std::string name;  ///< the one DNS name; empty for the leaf that is served without SNI
    UnixTime not_before;
    UnixTime not_after;
    LeafScheme scheme = LeafScheme::kV1;
    ByteView evidence;      ///< borrowed; kV1 only
    oid::Oid evidence_oid;  ///< kV1 only
    crypto::Digest32 policy_root{};
    Instance instance;
    std::string assurance;  ///< "production", "debug" or "process"
    /// 1.1, 2.x, 3.x, whatever the scheme; in ascending order of OID.
    std::vector<ExtensionValue> values;
};

/// Who signs leaves: an intermediate CA, or nobody, in which case leaves are self-signed.
struct Issuer {
    Bytes subject;                                ///< the intermediate's subject, a Name in DER
    Bytes key_identifier;                         ///< its subjectKeyIdentifier; may be empty
    const crypto::P256PrivateKey* key = nullptr;  ///< borrowed
};

/// A leaf on its way: everything but the two signatures. The leaf's key makes the first and the
/// issuer's the second, so that the two keys can lie in different processes. Every byte of it
/// counts: another draft of the same content has another serial number.
class LeafDraft {
  public:
    /// in: content and issuer are read, not kept. Null `issuer`: the leaf signs itself.
    LeafDraft(const LeafContent& content, const crypto::P256PublicKey& leaf_key,
              const Issuer* issuer);

    /// What the leaf's key signs as leaf_binding.
    /// source: docs/formats/certificate.md 4.
    Bytes binding_message() const;

    /// Whether `binding` is the leaf key's signature (DER) over binding_message().
    /// errors: leaf_binding_invalid.
    [[nodiscard]] Result<void> check_binding(ByteView binding) const;

    /// The finished certificate, DER.
    /// in: binding: as check_binding() wants it, which whoever did not make it calls first.
    Bytes finish(ByteView binding, const crypto::P256PrivateKey& issuer_key) &&;

    /// Of a leaf that signs itself: what its key signs with x509::write_signed(), elsewhere.
    Bytes tbs(ByteView binding) &&;

  private:
    crypto::P256PublicKey leaf_key_;
    x509::CertificateDraft draft_;
};

/// Mints a leaf: serial of 127 random bits, the extensions above, leaf_binding by the leaf key, and
/// the issuer's signature (its own if `issuer` is null). returns: certificate DER. source:
/// docs/formats/certificate.md 1 and 2.
Bytes mint_leaf(const LeafContent& content, const crypto::P256PrivateKey& leaf_key,
                const Issuer* issuer);

/// What a leaf says, taken apart. Syntax only: nothing is verified.
struct LeafClaimsView {
    std::optional<LeafEvidence> evidence;
    std::optional<crypto::Digest32> policy_root;
    std::optional<Instance> instance;
    std::optional<std::string> assurance;
    /// Every extension of the two arcs, known or not, under its number of the first generation. Of
    /// a leaf of the second generation those without such a number are left out.
    std::vector<ExtensionValue> values;
};

/// Takes the extensions of a parsed certificate apart.
/// errors:  bad_leaf (two kinds of evidence, an extension of ours that is critical or of wrong
/// size), leaf_has_evidence (of the second generation there is none in a leaf).
[[nodiscard]] Result<LeafClaimsView> read_leaf(const x509::Certificate& certificate,
                                               LeafScheme scheme = LeafScheme::kV1);

/// Checks that leaf_binding is the leaf key's signature over every other value of this certificate.
/// errors:  leaf_binding_missing, leaf_binding_invalid, crypto::bad_key.
/// source:  docs/formats/certificate.md 4.
[[nodiscard]] Result<void> check_leaf_binding(const x509::Certificate& certificate);

}  // namespace eos::ratls
