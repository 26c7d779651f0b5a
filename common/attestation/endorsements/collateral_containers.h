// SPDX-License-Identifier: AGPL-3.0-only
// Other shapes in which Intel's collateral travels. The contents are Intel's bytes in all of them;
// parse_endorsements() tells them apart by their first bytes.
#pragma once

#include <string>

#include "common/attestation/endorsements/endorsements.h"
#include "common/json/json.h"

namespace eos::attestation::endorsements {

inline constexpr Code bad_container{"common/attestation/endorsements", "bad_container",
                                    "not a well-formed container of Intel's collateral"};

/// An answer of Intel's provisioning service or a cache of it: {"tcbInfo": {…}, "signature": "hex"}
/// or the same with "enclaveIdentity".
/// returns: the exact bytes of the inner object, which are what is signed.
/// errors:  those of json::parse and of its members; bad_encoding; bad_container (both or neither).
/// bound:   kMaxCollateralBytes.
[[nodiscard]] Result<SignedObject> parse_signed_answer(ByteView answer,
                                                       std::string issuer_chain_pem);

/// A revocation list as DER, as its hexadecimal text (also behind "0x"), as base64 or as PEM, with
/// or without line ends or the NUL of a C string behind it; or one of these once more in
/// hexadecimal or base64. returns: DER; that it is a list is for x509::Crl to say. errors:
/// bad_encoding, those of x509::parse_pem.
[[nodiscard]] Result<Bytes> parse_crl_text(ByteView in);

/// Open Enclave's endorsements for SGX: version, type, size and the offsets of nine elements.
/// errors:  bad_container, truncated, those of the elements.
/// source:  openenclave, attestation/sgx/endorsements.h (layout).
[[nodiscard]] Result<Endorsements> parse_oe_endorsements(ByteView in);

/// The image of the quote library's collateral structure, followed by its seven buffers. The
/// pointers in it are of the process that wrote it and are not looked at.
/// errors:  bad_container, truncated, trailing_bytes, those of the buffers.
/// source:  Intel SGX DCAP, sgx_ql_qve_collateral_t.
[[nodiscard]] Result<Endorsements> parse_quote_library_collateral(ByteView in);

/// Whether this JSON value is one statement as dcap-artifact-retrieval keeps it: {"raw_tcb_info"
/// or "raw_enclave_identity": "the signed text", "signature": [DER, byte by byte], "ca_chain":
/// [PEM of the signer, PEM of the root]}.
bool is_statement_file(const json::Value& value);

/// in:      value: for which is_statement_file() holds.
/// returns: endorsements with that one statement.
/// errors:  json::unknown_member, wrong_type, out_of_range; bad_container (both statements or
///          none, no signature or chain); crypto::bad_signature (not DER).
/// source:  fortanix/rust-sgx, dcap-artifact-retrieval.
[[nodiscard]] Result<Endorsements> parse_statement_file(const json::Value& value);

/// A chain of certificates as PEM, or percent-encoded as Intel's services send it in a header.
/// returns: PEM; whether it is one is for x509::parse_pem_certificates() to say.
/// errors:  bad_encoding.
[[nodiscard]] Result<std::string> parse_chain_text(std::string text);

/// Hexadecimal text without the "0x" in front of it, if that is there.
std::string_view without_hex_mark(std::string_view text);

/// Whether this JSON value is an answer of Intel's provisioning service or a cache of it: as it
/// came
/// ({"tcbInfo": …} or {"enclaveIdentity": …}), or as teepot saves it with the chain from its
/// header:
/// {"tcb_info_json", "enclave_identity_json", "crl_data" or "crl_data_base64": "the answer as
/// text", "issuer_chain": "PEM"}.
bool is_saved_answer(const json::Value& value);

/// in:      value: for which is_saved_answer() holds.
/// returns: endorsements with that one statement or list.
/// errors:  json::missing_member, unknown_member, wrong_type, out_of_range; those of
///          parse_signed_answer(), parse_crl_text(), parse_chain_text(); bad_container (several
///          answers; an answer as it came, which lacks the chain: the detail says in which header
///          it was sent and how to give it).
/// source:  matter-labs/teepot, intel-dcap-api.
[[nodiscard]] Result<Endorsements> parse_saved_answer(const json::Value& value);

/// Which of them this is.
enum class Container { none, oe_endorsements, quote_library };
Container container_of(ByteView in);

}  // namespace eos::attestation::endorsements
