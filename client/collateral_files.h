// SPDX-License-Identifier: AGPL-3.0-only
// Collateral as people keep it in files: more shapes than the library takes. What is signed stays
// byte by byte what it was, and all of it is verified as ever: only the reading is wider.
#pragma once

#include <string>
#include <vector>

#include "common/attestation/endorsements/endorsements.h"

namespace eos::client {

inline constexpr Code bad_collateral{"client", "bad_collateral",
                                     "the collateral is of no shape that is read here"};

/// Reads what parse_endorsements() does and, where it refuses:
///  - a revocation list alone, also as {"crl": …, "ca_chain": …};
///  - the JSON object with statements as objects or as answers of Intel's service, and with bytes
///    as lists of numbers;
///  - signatures as hexadecimal, base64 or numbers, r ‖ s or DER;
///  - chains as lists, and with the root first, which are turned round;
///  - statements and answers with their platform ("fmspc" and the like) beside them;
///  - any of these as the member "collateral" of an object, of which the rest is not looked at;
///  - PCK certificates ("pck_data", "pck_certs" or "cert") with "ca_chain", as pieces.
/// errors:  those of parse_endorsements(), of what it refused for another reason; bad_collateral;
///          those of the members.
/// bound:   4 × kMaxCollateralBytes.
[[nodiscard]] Result<attestation::endorsements::Endorsements> read_collateral(ByteView file);

/// An answer of Intel's service, which lacks the chain of its signer, as parse_signed_answer()
/// takes it: without members beside it, its signature in hexadecimal.
/// errors:  bad_collateral (it is none); those of its members.
[[nodiscard]] Result<Bytes> plain_answer(ByteView file);

/// A revocation list by itself, in any of the ways of parse_crl_text(), where its issuer says.
/// errors:  those of parse_crl_text() and x509::Crl::parse().
[[nodiscard]] Result<attestation::endorsements::Endorsements> read_crl(ByteView file);

/// A chain of certificates as PEM, its root behind the others; what is no PEM is left as it is.
std::string leaf_first(std::string pem);

/// Puts collateral together from several files.
class CollateralSet {
  public:
    /// The first of a kind counts.
    /// errors:  those of read_collateral().
    [[nodiscard]] Result<void> add(ByteView file);

    /// What was added. Answers without a chain get the one that was added as PEM.
    /// errors:  those of read_collateral(), of an answer for which there is no chain.
    [[nodiscard]] Result<attestation::endorsements::Endorsements> finish();

  private:
    attestation::endorsements::Endorsements all_;
    std::vector<Bytes> answers_;
    std::vector<std::string> chains_;
};

}  // namespace eos::client
