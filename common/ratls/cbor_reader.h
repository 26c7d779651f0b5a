// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::ratls {

inline constexpr Code bad_cbor{"common/ratls", "bad_cbor", "not CBOR of the expected shape"};

/// Reads the little CBOR that tagged evidence is made of: definite lengths, shortest heads, numbers
/// from 0 on, byte strings, text, arrays, maps, tags. Borrows its input; never recurses.
/// source: RFC 8949 §4.2.1.
class CborReader {
  public:
    explicit CborReader(ByteView input) : rest_(input) {}

    /// errors: bad_cbor, as of all of these.
    [[nodiscard]] Result<void> expect_tag(std::uint64_t tag);
    /// An array of exactly this many elements, which follow.
    [[nodiscard]] Result<void> expect_array(std::uint64_t count);
    /// A map; how many pairs follow.
    [[nodiscard]] Result<std::uint64_t> map() { return head(5); }
    [[nodiscard]] Result<std::uint64_t> number() { return head(0); }
    [[nodiscard]] Result<ByteView> bytes() { return run(2); }
    [[nodiscard]] Result<std::string_view> text();
    [[nodiscard]] Result<void> expect_end() const;

  private:
    Result<std::uint64_t> head(unsigned major);
    Result<ByteView> run(unsigned major);
    ByteView rest_;
};

}  // namespace eos::ratls
