// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos {

inline constexpr Code bad_encoding{"common/base", "bad_encoding",
                                   "the text is not in the expected encoding"};

/// Lower-case hexadecimal, two digits a byte.
std::string hex(ByteView bytes);

/// Decodes hexadecimal of either case, no separators.
/// errors: bad_encoding (odd length, other characters).
[[nodiscard]] Result<Bytes> from_hex(std::string_view text);

/// As from_hex, for a value of known size.
/// errors: bad_encoding (also: another size).
template <std::size_t N>
[[nodiscard]] Result<ByteArray<N>> array_from_hex(std::string_view text) {
    Bytes bytes = EOS_TRY(from_hex(text));
    if (bytes.size() != N) {
        return fail(bad_encoding, "expected " + std::to_string(2 * N) + " hexadecimal digits");
    }
    return to_array<N>(bytes);
}

/// RFC 4648 §4, with padding, one line.
std::string base64(ByteView bytes);

/// RFC 4648 §5, no padding.
std::string base64url(ByteView bytes);

/// Strict RFC 4648 §4: padding required, no white space, unused bits zero.
/// errors: bad_encoding.
[[nodiscard]] Result<Bytes> from_base64(std::string_view text);

/// Strict RFC 4648 §5 without padding.
/// errors: bad_encoding.
[[nodiscard]] Result<Bytes> from_base64url(std::string_view text);

/// Whether the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
bool is_utf8(ByteView bytes);

/// Text of unknown origin made fit for a terminal or log: printable ASCII stays, the rest becomes
/// \xNN; cut after `limit` source bytes with "…".
std::string printable(ByteView bytes, std::size_t limit = 128);

}  // namespace eos
