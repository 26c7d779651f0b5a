// SPDX-License-Identifier: AGPL-3.0-only
// Collateral bundles: the endorsements of a set of platforms in one file. Whoever made the file is
// not trusted: each piece carries its vendor's signature, which common/attestation/verify checks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/crypto/p256.h"
#include "common/snp_arch/product.h"

namespace eos::attestation::endorsements {

inline constexpr Code bad_bundle{"common/attestation/endorsements", "bad_bundle",
                                 "not a collateral bundle of version 1"};
inline constexpr Code altered_bundle{"common/attestation/endorsements", "altered_bundle",
                                     "the collateral bundle is not as its maker signed it"};

inline constexpr std::size_t kMaxBundleBytes = 2 * 1024 * 1024;
inline constexpr std::size_t kMaxPieces = 128;

/// What a piece is. The names of docs/formats/bundle.md are those of the enumerators, with hyphens.
enum class PieceKind : std::uint8_t {
    intel_root_crl,    ///< no key
    intel_pck_crl,     ///< key: "platform" or "processor"
    sgx_tcb_info,      ///< key: FMSPC
    tdx_tcb_info,      ///< key: FMSPC
    sgx_qe_identity,   ///< no key
    tdx_qe_identity,   ///< no key
    intel_pck,         ///< key: SHA-256 of the certificate
    amd_vcek,          ///< key: SHA-256 of the certificate
    amd_vlek,          ///< key: SHA-256 of the certificate
    amd_vcek_issuers,  ///< key: product; ASK, ARK
    amd_vlek_issuers,  ///< key: product; ASVK, ARK
    amd_crl            ///< key: product
};

/// "sgx-tcb-info", …
std::string_view piece_kind_name(PieceKind kind);
std::optional<PieceKind> piece_kind_from(std::string_view name);

/// Whether the piece is JSON that Intel signed, so that it has a signature beside it.
bool is_signed_object(PieceKind kind);

/// Whether the piece is certificates: not issued anew as statements and lists are, so that only
/// their own end counts.
bool is_certificate(PieceKind kind);

/// The key of AMD's pieces: "milan", "genoa", "turin".
std::string piece_key(snp_arch::Product product);
std::optional<snp_arch::Product> product_from_key(std::string_view key);

/// One piece as its vendor issued it.
struct Piece {
    PieceKind kind{};
    std::string key;               ///< lower case; which one of its kind
    Bytes content;                 ///< DER, or the exact signed bytes of a JSON object
    ByteArray<64> signature{};     ///< r ‖ s; of signed objects only
    std::string issuer_chain_pem;  ///< whoever signed it first, then up to the root; may be empty
    UnixTime fetched;              ///< by the maker's clock and word: for display only
    std::string source;            ///< URL or file name: for display only

    friend bool operator==(const Piece&, const Piece&) = default;
};

/// A bundle whose maker's signature is right, which says nothing about its pieces.
struct Bundle {
    UnixTime made;
    std::vector<Piece> pieces;  ///< by kind and key, each once
    Bytes maker_spki;           ///< DER; whose key signed the file
};

/// Parses a bundle.
/// errors:  those of json::parse; json::missing_member, unknown_member, wrong_type, out_of_range;
///          bad_encoding; bad_time; bad_bundle (another version, an unknown kind, a key that its
///          kind does not have, a piece twice, out of order, or with a signature where none
///          belongs); crypto::bad_key; altered_bundle.
/// source:  docs/formats/bundle.md.
/// bound:   kMaxBundleBytes, kMaxPieces, kMaxCollateralBytes a piece.
[[nodiscard]] Result<Bundle> parse_bundle(ByteView in);

/// Whether the text claims to be a bundle, rather than another form of collateral. Cheap; nothing
/// is checked.
bool looks_like_bundle(ByteView in);

/// The file for these pieces, which are put in order. Its maker is the key's holder.
/// errors:  bad_bundle: what parse_bundle() would refuse; json::too_large.
[[nodiscard]] Result<std::string> write_bundle(std::vector<Piece> pieces, UnixTime made,
                                               const crypto::P256PrivateKey& maker);

/// The piece of this kind and key, or nullptr. Borrowed.
const Piece* find_piece(const std::vector<Piece>& pieces, PieceKind kind, std::string_view key);

/// From when to when a piece says of itself that it holds.
struct PieceDates {
    UnixTime issued;
    UnixTime next_update;  ///< of certificates: their end
    /// Of TCB info and identities: Intel's count of its own findings.
    std::optional<std::uint32_t> evaluation_data_number;
};
/// errors:  those of the piece's own parser. Nothing is verified.
[[nodiscard]] Result<PieceDates> dates_of(const Piece& piece);

}  // namespace eos::attestation::endorsements
