// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/x509/certificate.h"

namespace eos::x509 {

inline constexpr Code bad_pem{"common/x509", "bad_pem", "not well-formed PEM"};

inline constexpr std::size_t kMaxPemBytes = 1024 * 1024;

/// What stands between -----BEGIN label----- and -----END label-----, decoded.
struct PemBlock {
    std::string label;
    Bytes der;
};

/// What may stand outside of blocks.
enum class PemOutside : std::uint8_t { kBlankLines, kAnyText };

/// What a caller of parse_pem() takes.
struct PemOptions {
    std::string_view label;  ///< blocks of other labels are refused; empty: all are taken
    PemOutside outside = PemOutside::kBlankLines;
    std::size_t max_blocks = 16;
};

/// One block, lines of 64 characters, ending in a line feed. RFC 7468 §2.
/// in: label: as in "CERTIFICATE", "PRIVATE KEY".
std::string encode_pem(std::string_view label, ByteView der);

/// All blocks, in order, at least one. Lines end in LF or CRLF; base64 is strict (RFC 4648 §4), in
/// lines of any length up to 76; no headers; the line feed between two blocks may be missing.
/// Intermediate copies are wiped, for private keys.
/// in:     text: at most kMaxPemBytes.
/// errors: bad_pem (also: another label), too_large, too_many, bad_encoding.
[[nodiscard]] Result<std::vector<PemBlock>> parse_pem(std::string_view text,
                                                      const PemOptions& options);

/// The certificates of a PEM file of CAs or a chain, with any text between them.
/// errors: those of parse_pem() and Certificate::parse().
[[nodiscard]] Result<std::vector<Certificate>> parse_pem_certificates(std::string_view text);

/// The PCK chain of a quote: CERTIFICATE blocks and nothing else, in the order in which they stand;
/// after the last one "\n\0", "\n" or nothing, since all three occur.
/// errors: those of parse_pem() and Certificate::parse().
/// source: RFC 7468; Intel quotes end their chain with a zero byte.
[[nodiscard]] Result<std::vector<Certificate>> parse_pem_chain(ByteView text);

}  // namespace eos::x509
