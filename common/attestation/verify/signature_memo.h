// SPDX-License-Identifier: AGPL-3.0-only
// What a caller may remember of a verification: which signatures were good over exactly these
// inputs, and nothing else. Dates, revocation, TCB levels and policy are looked at every time.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

#include "common/crypto/hash.h"

namespace eos::attestation::verify {

/// A signature, or a chain of them, that verify() looks at once per call. Which key signed which
/// bytes follows from the inputs alone, never from the time.
enum class SignatureOf : std::uint8_t {
    pck_chain,
    qe_report,
    quote,
    tcb_info_chain,
    tcb_info,
    qe_identity_chain,
    qe_identity,
    root_crl,
    pck_crl,
    vek_chain,
    snp_report,
    ark_crl,
    ask_crl
};
inline constexpr std::size_t kSignatureKinds = 13;

/// A set of them.
class SignatureSet {
  public:
    bool contains(SignatureOf one) const { return (bits_ & bit(one)) != 0; }
    void add(SignatureOf one) { bits_ |= bit(one); }
    void add(SignatureSet others) { bits_ |= others.bits_; }
    bool is_empty() const { return bits_ == 0; }
    friend bool operator==(SignatureSet, SignatureSet) = default;

  private:
    static std::uint32_t bit(SignatureOf one) {
        return std::uint32_t{1} << static_cast<unsigned>(one);
    }
    std::uint32_t bits_ = 0;
};

/// Remembers good signatures by the SHA-256 of everything they depend on: the evidence, each piece
/// of endorsements that is used, and the roots. Whoever implements it decides verdicts: it must not
/// be filled from anywhere but verify().
class SignatureMemo {
  public:
    virtual ~SignatureMemo() = default;
    /// The signatures that were good when these inputs were verified before; empty if unknown. May
    /// wait for another thread that is verifying the same inputs.
    virtual SignatureSet begin(const crypto::Digest32& inputs) = 0;
    /// Follows every begin(), on the same thread: all that are known to be good now.
    virtual void end(const crypto::Digest32& inputs, SignatureSet good) = 0;
};

/// The last `max_entries` inputs, least recently used first to go.
/// threads: one.
class BoundedSignatureMemo final : public SignatureMemo {
  public:
    /// in: max_entries: at least 1 (asserted).
    explicit BoundedSignatureMemo(std::size_t max_entries);

    SignatureSet begin(const crypto::Digest32& inputs) override;
    void end(const crypto::Digest32& inputs, SignatureSet good) override;

    std::size_t size() const { return order_.size(); }

  private:
    struct Entry {
        crypto::Digest32 inputs{};
        SignatureSet good;
    };
    struct FirstBytes {
        std::size_t operator()(const crypto::Digest32& digest) const;
    };
    std::size_t max_entries_;
    std::list<Entry> order_;  ///< the most recently used first
    std::unordered_map<crypto::Digest32, std::list<Entry>::iterator, FirstBytes> by_inputs_;
};

}  // namespace eos::attestation::verify
