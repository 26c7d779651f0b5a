// SPDX-License-Identifier: AGPL-3.0-only
// The first step of the pipeline: bytes → Evidence.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <variant>

#include "common/attestation/evidence/snp_evidence.h"
#include "common/attestation/evidence/tdx_report.h"
#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/sgx_arch/report.h"

namespace eos::attestation::evidence {

/// The largest quote looked at. Real ones have up to 5 kB; Intel reserves 8 kB.
inline constexpr std::size_t kMaxQuoteBytes = 16 * 1024;

inline constexpr Code quote_too_large{"common/attestation/evidence", "quote_too_large",
                                      "the quote is larger than any real one"};
inline constexpr Code quote_truncated{"common/attestation/evidence", "quote_truncated",
                                      "the quote ends too early"};
inline constexpr Code quote_trailing_bytes{"common/attestation/evidence", "quote_trailing_bytes",
                                           "a length in the quote does not reach to its end"};
inline constexpr Code unsupported_version{"common/attestation/evidence", "unsupported_version",
                                          "quotes of this version are not supported"};
inline constexpr Code unsupported_attestation_key_type{
    "common/attestation/evidence", "unsupported_attestation_key_type",
    "the quote is signed with a kind of key that is not supported"};
inline constexpr Code unsupported_tee_type{"common/attestation/evidence", "unsupported_tee_type",
                                           "the quote's version and kind of TEE do not agree"};
inline constexpr Code unsupported_body{"common/attestation/evidence", "unsupported_body",
                                       "the quote's body is of a kind or size that is not known"};
inline constexpr Code unknown_qe_vendor{"common/attestation/evidence", "unknown_qe_vendor",
                                        "the quoting enclave is not Intel's"};
inline constexpr Code certification_data_unsupported{
    "common/attestation/evidence", "certification_data_unsupported",
    "the quote does not carry the PCK certificate chain that offline verification needs"};

/// 939a7233-f79c-4ca9-940a-0db3957f0607: Intel's quoting enclaves, and their emulation.
inline constexpr ByteArray<16> kIntelQeVendorId = std::bit_cast<ByteArray<16>>(
    std::to_array<std::uint8_t>({0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d,
                                 0xb3, 0x95, 0x7f, 0x06, 0x07}));

/// What every quote of Intel's with an ECDSA P-256 attestation key and the PCK certificate chain
/// has beside its body, whatever the version. Nothing in it is authenticated before
/// common/attestation/verify says so.
struct IntelQuote {
    std::uint16_t version = 0;
    std::uint16_t qe_svn = 0;   ///< version 3; reserved later
    std::uint16_t pce_svn = 0;  ///< version 3; reserved later
    ByteArray<20> user_data{};

    ByteArray<64> signature{};        ///< r ‖ s over signed_bytes
    ByteArray<64> attestation_key{};  ///< x ‖ y
    sgx_arch::ReportBody qe_report;
    ByteArray<64> qe_report_signature{};  ///< r ‖ s over qe_report_bytes, by the PCK
    Bytes qe_auth_data;
    std::string pck_chain_pem;  ///< as in the quote, less one NUL at the end if there is one

    Bytes signed_bytes;  ///< header ‖ body descriptor (version 5) ‖ body, as sent
    ByteArray<sgx_arch::kReportBodyBytes> qe_report_bytes{};  ///< as sent
};

/// A syntactically sound SGX quote, version 3, 4 or 5.
struct SgxQuote : IntelQuote {
    sgx_arch::ReportBody report;

    /// The report body as sent, borrowed from this object.
    ByteView report_bytes() const {
        return ByteView(signed_bytes).last(sgx_arch::kReportBodyBytes);
    }
};

/// A syntactically sound TDX quote, version 4 or 5.
struct TdxQuote : IntelQuote {
    TdReport report;
};

/// Every kind of evidence this library can parse.
using Quote = std::variant<SgxQuote, TdxQuote, SnpEvidence>;

/// Evidence: the product of the two functions below and of nothing else.
class Evidence {
  public:
    const Quote& quote() const { return quote_; }

    /// The evidence as it came. Never an identifier or a replay key: ECDSA signatures are
    /// malleable, so that other bytes can be as genuine.
    ByteView bytes() const { return bytes_; }

  private:
    friend Result<Evidence> parse_quote(ByteView in);
    friend Result<Evidence> parse_evidence(ByteView in);
    Evidence(Quote quote, Bytes bytes) : quote_(std::move(quote)), bytes_(std::move(bytes)) {}

    Quote quote_;
    Bytes bytes_;
};

/// Parses a quote. Syntax only: nothing is verified.
/// in:      the whole quote and nothing after it; not retained.
/// returns: every field, copied; integers in host order.
/// errors:  quote_too_large, quote_truncated, quote_trailing_bytes, unsupported_version,
///          unsupported_attestation_key_type, unsupported_tee_type, unsupported_body,
///          unknown_qe_vendor, certification_data_unsupported.
/// source:  Intel SGX ECDSA QuoteLibReference DCAP API, appendix A.4 (version 3); Intel TDX DCAP
///          Quoting Library API, appendix A.3 (versions 4 and 5).
/// bound:   one pass over at most kMaxQuoteBytes.
[[nodiscard]] Result<Evidence> parse_quote(ByteView in);

/// Where a quote ends by its own lengths, with whatever stands behind it. Nothing else is looked
/// at. in:      bytes: begin with a quote of version 3, 4 or 5. errors:  those of parse_quote()
/// about header, kind of body and lengths.
[[nodiscard]] Result<std::size_t> stated_quote_size(ByteView bytes);

/// Takes off what hosts and services put behind a quote in a buffer of fixed size: zeros after the
/// end that the quote's own lengths say, and nothing else (a signature can end with zeros). For
/// those who receive evidence; the parsers know no padding.
/// returns: the front of `quote`; all of it if something else follows, or if it is no quote, which
///          is for the parser to refuse.
ByteView without_padding(ByteView quote);

/// Parses evidence of any kind. Quotes and reports are told apart by bytes 1 to 3: zero in a report
/// (its version has 32 bits), the kind of attestation key, which is never zero, in a quote.
/// errors:  those of parse_quote() and parse_snp_evidence().
[[nodiscard]] Result<Evidence> parse_evidence(ByteView in);

}  // namespace eos::attestation::evidence
