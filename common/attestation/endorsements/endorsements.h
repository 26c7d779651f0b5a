// SPDX-License-Identifier: AGPL-3.0-only
// What vendors sign about evidence, as it travels: nothing here is trusted before verify says so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/attestation/endorsements/bundle.h"
#include "common/attestation/endorsements/tcb.h"
#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::attestation::endorsements {

/// A JSON object that a vendor signed: the signature covers these exact bytes.
struct SignedObject {
    Bytes body;
    ByteArray<64> signature{};     ///< ECDSA P-256, r ‖ s
    std::string issuer_chain_pem;  ///< signer, root
};

/// The Endorsements of AMD evidence. What is missing is taken from the evidence itself and, above
/// the VCEK or VLEK, from the certificates that this library knows.
struct AmdEndorsements {
    std::vector<Bytes> certificates;  ///< DER, or PEM of one or more; in any order
    std::optional<Bytes> ark_crl;     ///< DER: the list in which AMD revokes ASKs and ASVKs
    std::optional<Bytes> ask_crl;     ///< DER: a list of the CA that issued the VCEK or VLEK
};

/// Where endorsements came from, for the verdict: nothing rests on it.
struct Origin {
    std::string text;               ///< "stapled by …", a file's name
    std::string failure;            ///< why nothing came from there; empty if something did
    bool is_judged_server = false;  ///< it came from whom it is about
};

/// The Endorsements of a piece of evidence, one by one, or those of a set of platforms, from which
/// verify takes what fits. What is missing is not evaluated.
struct Endorsements {
    std::optional<Bytes> root_ca_crl;  ///< DER
    std::optional<Bytes> pck_crl;      ///< DER, of the CA that issued the PCK certificate
    /// PEM: PCK CA, root. Evidence carries its own; this is for whoever has none.
    std::string pck_crl_issuer_chain_pem;
    std::optional<SignedObject> tcb_info;
    std::optional<SignedObject> qe_identity;
    /// Of a bundle. What stands above wins.
    std::vector<Piece> pieces;
    AmdEndorsements amd;
    /// The highest evaluation data number that the caller has met in a statement for this kind of
    /// TEE: a lower one is a rollback. 0: none is remembered.
    std::uint32_t seen_evaluation_data_number = 0;
    std::vector<Origin> origins;  ///< as far as the caller says
};

/// Which pieces a piece of Intel evidence needs.
struct IntelPlatform {
    PieceKind tcb_info;     ///< sgx_tcb_info or tdx_tcb_info
    PieceKind qe_identity;  ///< likewise
    Fmspc fmspc{};
    ByteView pck_issuer;  ///< subject of the PCK CA, the whole TLV
};

/// The endorsements for one platform: what was given one by one, completed from the pieces.
Endorsements select(const Endorsements& all, const IntelPlatform& platform);

/// The pieces that stand for endorsements given one by one, as if fetched at `time` from `source`.
/// errors:  those of parse_tcb_info, parse_qe_identity, amd_pieces and x509 (pieces that cannot be
///          named).
[[nodiscard]] Result<std::vector<Piece>> to_pieces(const Endorsements& single, UnixTime time,
                                                   const std::string& source);

/// Reads the JSON collateral object in use among verifiers: string members root_ca_crl and pck_crl
/// (as parse_crl_text() reads them: hexadecimal, PEM or base64), tcb_info, tcb_info_signature (hex
/// r ‖ s), tcb_info_issuer_chain (PEM, also as the header that it came in), and the same three for
/// qe_identity; pck_crl_issuer_chain; for AMD amd_certificates (PEM), amd_ark_crl and amd_ask_crl
/// (as the other lists). A member that is absent, null or empty is missing. The member
/// pck_certificate_chain is allowed and not used: evidence that can be verified carries its own. So
/// are version and tee_type, of the quote library's structure: the statements say it themselves.
/// Or a bundle: bundle.h. Or one of the shapes of collateral_containers.h. Or certificates of AMD's
/// alone, DER or PEM. Syntax of the frame only.
/// errors:  those of parse_bundle(), of the containers and of amd_pieces(); those of json::parse;
///          json::wrong_type, out_of_range, missing_member (an object without its signature or
///          chain), unknown_member; bad_encoding.
/// bound:   4 × kMaxCollateralBytes.
[[nodiscard]] Result<Endorsements> parse_endorsements(ByteView in);

}  // namespace eos::attestation::endorsements
