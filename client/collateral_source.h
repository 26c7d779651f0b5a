// SPDX-License-Identifier: AGPL-3.0-only
// Where collateral comes from: the vendors' services, or caches of them that answer alike. Nothing
// that they say is believed: each piece must lead to a root.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/web.h"
#include "common/attestation/endorsements/bundle.h"
#include "common/attestation/verify/roots.h"
#include "common/base/time.h"
#include "common/snp_arch/product.h"

namespace eos::client {

inline constexpr Code bad_answer{"client", "bad_answer",
                                 "the answer is not the collateral that was asked for"};
inline constexpr Code stale_answer{"client", "stale_answer", "the answer is too old"};
inline constexpr Code no_source{"client", "no_source", "no source gave a piece of collateral"};

/// Whose VCEK is meant: each chip has one for each TCB.
struct ChipTcb {
    snp_arch::Product product = snp_arch::Product::milan;
    ByteArray<64> chip_id{};  ///< as reports have it
    snp_arch::Tcb tcb;        ///< as reported

    friend bool operator==(const ChipTcb&, const ChipTcb&) = default;
};

/// A piece that is wanted.
struct Wanted {
    attestation::endorsements::PieceKind kind{};
    std::string key;              ///< of a VCEK: unknown before it is there, else the old one's
    std::optional<ChipTcb> chip;  ///< of a VCEK

    friend bool operator==(const Wanted&, const Wanted&) = default;
};

/// What would replace a piece.
Wanted wanted_like(const attestation::endorsements::Piece& piece);

/// The piece that is wanted, if it is among these; else null. Borrowed.
const attestation::endorsements::Piece* find_wanted(
    const std::vector<attestation::endorsements::Piece>& pieces, const Wanted& wanted);

/// Base addresses, tried in order.
struct Sources {
    /// Of Intel's PCS or a PCCS: ".../sgx/certification/v4/…" is appended.
    std::vector<std::string> pcs{"https://api.trustedservices.intel.com"};
    /// Whole addresses of the root CA's list; after them each PCS is asked as a PCCS.
    std::vector<std::string> root_crl{
        "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"};
    /// Of AMD's KDS or a cache of it: "/vcek/v1/…" is appended. Providers hand on their VLEKs
    /// themselves.
    std::vector<std::string> kds{"https://kdsintf.amd.com"};
};

/// Whatever all requests of one run share.
struct FetchPlan {
    Sources sources;
    FetchOptions web;
    attestation::verify::Roots roots = attestation::verify::Roots::of(
        {attestation::verify::Vendor::intel, attestation::verify::Vendor::amd});
    UnixTime now;
    /// The largest age that a vendor's statement or list may have; 0: none beyond its own end.
    std::int64_t max_age_s = 0;
    std::chrono::seconds attempt_limit{10};
    /// Told of each attempt, one line.
    std::function<void(const std::string&)> progress = [](const std::string&) {};
};

/// Fetches one piece from the first source whose answer is genuine and young enough.
/// in:      have: what was fetched already; the root CA's list is verified with a chain among them,
///          a VCEK with its product's CAs.
///          older: the piece that it would replace, or nullptr: an answer from before it is
///          refused.
/// errors:  no_source, with what each source did.
[[nodiscard]] Result<attestation::endorsements::Piece> fetch_piece(
    const Wanted& wanted, const FetchPlan& plan,
    const std::vector<attestation::endorsements::Piece>& have,
    const attestation::endorsements::Piece* older);

/// Makes the piece of an answer. Nothing is verified; but a VCEK of another chip or TCB than asked
/// for, which could be genuine, is refused.
/// errors:  bad_answer, those of the piece's parsers.
/// source:  Intel PCS API v4 (and PCCS, whose lists are hexadecimal); AMD 57230 VCEK and KDS.
[[nodiscard]] Result<attestation::endorsements::Piece> read_answer(const Wanted& wanted,
                                                                   const Response& response);

/// Whether the pieces are genuine as far as this program can tell, alone or with `have`.
/// errors: bad_answer, with the check that failed.
[[nodiscard]] Result<void> check_genuine(const attestation::endorsements::Piece& piece,
                                         const FetchPlan& plan,
                                         const std::vector<attestation::endorsements::Piece>& have);

}  // namespace eos::client
