// SPDX-License-Identifier: AGPL-3.0-only
// The protobuf wire format, as far as aesmd's messages use it. Internal to untrusted/aesm.
// source: protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"
#include "common/base/codec.h"
#include "common/base/result.h"

namespace eos::aesm::protobuf {

/// Groups (3, 4) are obsolete and refused.
enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

/// One field as it stands on the wire.
struct Field {
    std::uint32_t number = 0;
    WireType type = WireType::kVarint;
    std::uint64_t varint = 0;  ///< for kVarint
    ByteView bytes;            ///< for kBytes: borrowed from the message
};

/// Walks the fields of one message, front to back.
class FieldReader {
  public:
    explicit FieldReader(ByteView message) : in_(message) {}

    bool at_end() const { return in_.remaining() == 0; }

    /// The next field; the reader must not be at its end (then: malformed).
    /// errors: malformed.
    [[nodiscard]] Result<Field> next();

  private:
    Result<std::uint64_t> varint();

    Reader in_;
};

/// Builds one message.
class FieldWriter {
  public:
    void varint(std::uint32_t number, std::uint64_t value);
    void bytes(std::uint32_t number, ByteView value);

    ByteView view() const { return out_.view(); }
    Bytes take() && { return std::move(out_).take(); }

  private:
    void raw_varint(std::uint64_t value);

    Writer out_;
};

}  // namespace eos::aesm::protobuf
