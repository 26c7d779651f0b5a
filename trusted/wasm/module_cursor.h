// SPDX-License-Identifier: AGPL-3.0-only
// Reads the primitives of the WebAssembly binary format. Private to trusted/wasm.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::wasm {

/// Front-to-back reader with a sticky failure: the first failing read records where and why, every
/// later read gives zero. So a parser checks ok() once per loop instead of after each byte, which
/// matters for 16 MiB of code. Never reads past the end, never allocates but for the failure text.
class ModuleCursor {
  public:
    explicit ModuleCursor(ByteView input) : input_(input), end_(input.size()) {}

    bool ok() const { return !error_.has_value(); }
    std::size_t position() const { return position_; }
    std::size_t remaining() const { return end_ - position_; }

    /// Records the failure, unless there was an earlier one; `detail` gets the position in front.
    void fail(const Code& code, std::string_view detail);
    /// The recorded failure, if any.
    Result<void> status() const;

    std::uint8_t u8();
    /// source: WebAssembly 2.0, 5.2.2 (at most 5 bytes, unused bits zero).
    std::uint32_t u32();
    /// As u32, and at most `maximum`; `what` names the limit in the message.
    std::uint32_t count(std::string_view what, std::uint32_t maximum);
    /// A signed LEB128 of `bits` bits (32, 33 or 64), checked and sign-extended.
    std::int64_t signed_leb(unsigned bits);
    /// The next `size` bytes, borrowed.
    ByteView bytes(std::size_t size);
    /// A vector of bytes that is UTF-8, borrowed.
    std::string_view name();

    /// Narrows the cursor to the next `size` bytes; returns the old end for leave().
    std::size_t enter(std::size_t size);
    /// Undoes enter(); fails if the narrowed part was not used up.
    void leave(std::size_t old_end, std::string_view what);

  private:
    ByteView input_;
    std::size_t position_ = 0;
    std::size_t end_;
    std::optional<Error> error_;
};

}  // namespace eos::wasm
