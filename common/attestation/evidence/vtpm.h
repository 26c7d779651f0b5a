// SPDX-License-Identifier: AGPL-3.0-only
// Evidence of a virtual TPM that a paravisor runs: Azure's HCL report, which ties an attestation
// key to a hardware report, and TPM 2.0 quotes signed with such a key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/crypto/rsa.h"
#include "common/snp_arch/report.h"

namespace eos::attestation::evidence {

inline constexpr std::size_t kMaxHclReportBytes = 16 * 1024;
inline constexpr std::size_t kMaxTpmAttestBytes = 4096;
inline constexpr std::size_t kMaxVtpmJsonBytes = 128 * 1024;
inline constexpr unsigned kPcrCount = 24;

inline constexpr Code bad_hcl_report{"common/attestation/evidence", "bad_hcl_report",
                                     "not an HCL report"};
inline constexpr Code bad_tpm_quote{"common/attestation/evidence", "bad_tpm_quote",
                                    "not a TPM 2.0 quote of PCRs with SHA-256"};
inline constexpr Code bad_vtpm_evidence{"common/attestation/evidence", "bad_vtpm_evidence",
                                        "not evidence of a virtual TPM"};

/// What stands in an HCL report beside the runtime data.
enum class HclHardware : std::uint32_t {
    snp_report = 2,
    td_report = 4  ///< without a quote, which comes beside it
};

/// A syntactically sound HCL report. Nothing in it is authenticated.
struct HclReport {
    HclHardware hardware{};
    ByteArray<snp_arch::kReportBytes> hardware_report{};  ///< of a TD report only the first 1024
    Bytes runtime_data;                    ///< JSON; the hardware report's data binds its SHA-256
    crypto::RsaPublicKey attestation_key;  ///< HCLAkPub of the runtime data
    ByteArray<64> user_data{};             ///< of the runtime data; zero if it has none

    /// What the hardware must have signed: SHA-256 of the runtime data, then zeros.
    ByteArray<64> expected_report_data() const;
    /// REPORTDATA of the TD report. Only if hardware is td_report.
    ByteView td_report_data() const { return ByteView(hardware_report).subspan(128, 64); }
};

/// in:      zeros may follow what the header counts, as the TPM pads it.
/// errors:  bad_hcl_report; those of json::parse and crypto::bad_key for the runtime data.
/// source:  Microsoft, Azure confidential VM guest attestation (HCL report).
/// bound:   kMaxHclReportBytes.
[[nodiscard]] Result<HclReport> parse_hcl_report(ByteView in);

/// What a TPM signs about its PCRs.
struct TpmAttest {
    Bytes qualified_signer;  ///< name of the key
    Bytes extra_data;        ///< the nonce
    std::uint64_t clock_ms = 0;
    std::uint32_t reset_count = 0;
    std::uint32_t restart_count = 0;
    std::uint64_t firmware_version = 0;
    std::uint32_t selected = 0;  ///< bit n: PCR n, bank SHA-256
    crypto::Digest32 pcr_digest{};
};

/// Parses TPMS_ATTEST: a quote, one bank, SHA-256, nothing behind it.
/// errors:  bad_tpm_quote.
/// source:  TCG TPM 2.0 part 2, 10.12.
/// bound:   kMaxTpmAttestBytes.
[[nodiscard]] Result<TpmAttest> parse_tpm_attest(ByteView in);

/// A quote with the values of all PCRs beside it.
struct TpmQuote {
    Bytes message;  ///< TPMS_ATTEST, as signed
    TpmAttest attest;
    Bytes signature;                     ///< RSASSA-PKCS1-v1_5 with SHA-256
    std::vector<crypto::Digest32> pcrs;  ///< kPcrCount of bank SHA-256; not authenticated
};

/// A virtual TPM's evidence on Azure.
struct AzureVtpmEvidence {
    HclReport hcl;
    TpmQuote quote;
    std::vector<Bytes> certificates;  ///< of an SNP report: VCEK, perhaps more; DER or PEM
    Bytes td_quote;                   ///< of a TD report
};

/// A TPM's quote with the public key that signed it, and nothing that vouches for the key.
struct PlainTpmEvidence {
    crypto::RsaPublicKey attestation_key;
    TpmQuote quote;
};

/// {"version": 1 or 2, "hcl_report", "tpm_quote": {"message", "signature", "pcrs"}, and "vcek" or
/// "td_quote"}: binary as base64url, the quote's members in hexadecimal. Or without a version, with
/// arrays of numbers for bytes: {"report", "quote", "vcek": PEM} or {"hcl_report", "tpm_quote",
/// "td_quote"}. Zeros behind the TD quote are left out.
/// errors:  bad_vtpm_evidence, bad_encoding, those of json, parse_hcl_report, parse_tpm_attest.
/// bound:   kMaxVtpmJsonBytes.
[[nodiscard]] Result<AzureVtpmEvidence> parse_azure_vtpm(ByteView in);

/// The "tpm_quote" of the above alone, in hexadecimal or numbers.
/// errors:  as parse_azure_vtpm().
[[nodiscard]] Result<TpmQuote> parse_azure_tpm_quote(ByteView in);

/// {"ak_public", "tpm_quote": {…}} in base64, the signature as TPMT_SIGNATURE, PCRs in hexadecimal.
/// errors:  as parse_azure_vtpm().
[[nodiscard]] Result<PlainTpmEvidence> parse_plain_tpm(ByteView in);

}  // namespace eos::attestation::evidence
