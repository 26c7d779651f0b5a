// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/time.h"
#include "common/oid/oid.h"

// Strict DER (X.690 §10, §11), as far as X.509 needs it. The reader never recurses: each level of
// nesting is one DerReader of its caller, so depth is bounded by the grammar that is being read.

namespace eos::x509 {

inline constexpr Code truncated{"common/x509", "truncated", "the input ends inside an element"};
inline constexpr Code trailing_bytes{"common/x509", "trailing_bytes",
                                     "bytes follow the end of a structure"};
inline constexpr Code unexpected_tag{"common/x509", "unexpected_tag",
                                     "another element was expected"};
inline constexpr Code bad_length{"common/x509", "bad_length",
                                 "a length is indefinite, not minimal, or over four bytes"};
inline constexpr Code bad_value{"common/x509", "bad_value",
                                "the content of an element is not valid DER"};

/// Identifier octets. Tag numbers above 30 do not occur in X.509 and are refused.
enum class Tag : std::uint8_t {
    kBoolean = 0x01,
    kInteger = 0x02,
    kBitString = 0x03,
    kOctetString = 0x04,
    kNull = 0x05,
    kOid = 0x06,
    kEnumerated = 0x0a,
    kUtf8String = 0x0c,
    kPrintableString = 0x13,
    kIa5String = 0x16,
    kUtcTime = 0x17,
    kGeneralizedTime = 0x18,
    kSequence = 0x30,
    kSet = 0x31,
};

/// [number] with primitive content (IMPLICIT of a string), number at most 30.
constexpr Tag context(unsigned number) {
    return static_cast<Tag>(0x80 | number);
}
/// [number] with constructed content (EXPLICIT, or IMPLICIT of a SEQUENCE), number at most 30.
constexpr Tag context_constructed(unsigned number) {
    return static_cast<Tag>(0xa0 | number);
}

/// One tag-length-value, borrowed from the input.
struct Element {
    Tag tag{};
    ByteView value;  ///< content bytes
    ByteView whole;  ///< tag, length and content
};

/// Reads the elements of one level, front to back, from a borrowed buffer. Never allocates but for
/// the text of an error. A failing read leaves the position unchanged.
class DerReader {
  public:
    /// in: the elements of one level; must outlive the reader and all it hands out.
    explicit DerReader(ByteView input) : origin_(input.data()), rest_(input) {}

    bool at_end() const { return rest_.empty(); }

    /// Whether the next element has this tag. False at the end.
    bool next_is(Tag tag) const {
        return !rest_.empty() && rest_[0] == static_cast<std::byte>(tag);
    }

    /// The next element, whatever it is.
    /// errors: truncated, bad_length, unexpected_tag (a tag number above 30, or end-of-contents).
    [[nodiscard]] Result<Element> any();

    /// The next element, which must have this tag.
    /// errors: those of any(); unexpected_tag.
    [[nodiscard]] Result<Element> expect(Tag tag);

    /// The next element if it has this tag, else nothing.
    /// errors: truncated, bad_length.
    [[nodiscard]] Result<std::optional<Element>> optional(Tag tag);

    /// A reader for the content of the next element, which must have this (constructed) tag.
    /// errors: those of expect().
    [[nodiscard]] Result<DerReader> enter(Tag tag);
    [[nodiscard]] Result<DerReader> sequence() { return enter(Tag::kSequence); }

    /// errors: those of expect(); bad_value (neither 00 nor FF).
    [[nodiscard]] Result<bool> boolean();

    /// An INTEGER that must not be negative, as its big-endian magnitude without leading zeros;
    /// empty for zero.
    /// errors: those of expect(); bad_value (empty, not minimal, negative).
    [[nodiscard]] Result<ByteView> unsigned_integer();

    /// An INTEGER from 0 to 2^64-1.
    /// errors: those of unsigned_integer(); bad_value (larger).
    [[nodiscard]] Result<std::uint64_t> u64();

    /// errors: those of expect(); oid::bad_oid.
    [[nodiscard]] Result<oid::Oid> oid();

    /// errors: those of expect().
    [[nodiscard]] Result<ByteView> octet_string();

    /// A BIT STRING of whole bytes, as keys and signatures are.
    /// errors: those of expect(); bad_value (unused bits, or no content).
    [[nodiscard]] Result<ByteView> byte_bit_string();

    /// A named-bit list of at most 16 bits; bit n of the list is bit n (1 << n) of the result.
    /// Trailing zero bits are taken, against X.690 §11.2.2: AMD's CA certificates have them.
    /// errors: those of expect(); bad_value (unused bits that are set, more than 16, none set).
    [[nodiscard]] Result<std::uint16_t> named_bits();

    /// A UTCTime (1950 to 2049) or GeneralizedTime, with seconds, in UTC. GeneralizedTime before
    /// 2050 is taken, against RFC 5280: other projects' attestation certificates have it.
    /// errors: those of expect(); bad_value (another form, not a date, before 1950).
    /// source: RFC 5280 §4.1.2.5.
    [[nodiscard]] Result<UnixTime> time();

    /// errors: trailing_bytes.
    [[nodiscard]] Result<void> expect_end() const;

  private:
    DerReader(const std::byte* origin, ByteView input) : origin_(origin), rest_(input) {}

    // "at offset N", counted from the start of the outermost reader's input.
    std::string place() const;

    const std::byte* origin_;
    ByteView rest_;
};

/// Writes DER into a buffer it owns. Structures are written by a callback, so that none is left
/// open; a length of more than one byte moves the content once.
/// bound: each byte is moved at most once per enclosing level.
class DerWriter {
  public:
    explicit DerWriter(std::size_t reserve_bytes = 0) { out_.reserve(reserve_bytes); }

    /// A constructed element whose content `body` writes into this writer.
    template <typename Body>
    DerWriter& constructed(Tag tag, Body&& body) {
        std::size_t content_start = open(tag);
        std::forward<Body>(body)();
        close(content_start);
        return *this;
    }
    template <typename Body>
    DerWriter& sequence(Body&& body) {
        return constructed(Tag::kSequence, std::forward<Body>(body));
    }

    /// Tag and length of an element whose content, of this size, is written next.
    DerWriter& header(Tag tag, std::size_t content_bytes);
    DerWriter& primitive(Tag tag, ByteView content);
    /// Bytes that are DER already.
    DerWriter& raw(ByteView der);

    DerWriter& boolean_true();  ///< FALSE is a default everywhere in X.509, hence never written
    DerWriter& integer(std::uint64_t value);
    /// A non-negative INTEGER from its big-endian magnitude; leading zeros are allowed.
    DerWriter& unsigned_integer(ByteView magnitude);
    DerWriter& null() { return primitive(Tag::kNull, {}); }
    DerWriter& oid(const oid::Oid& oid) { return primitive(Tag::kOid, oid.der()); }
    DerWriter& octet_string(ByteView bytes) { return primitive(Tag::kOctetString, bytes); }
    /// A BIT STRING of whole bytes.
    DerWriter& byte_bit_string(ByteView bytes);
    /// The counterpart of DerReader::named_bits; at least one bit set (asserted).
    DerWriter& named_bits(std::uint16_t bits);
    DerWriter& text(Tag tag, std::string_view text) { return primitive(tag, as_bytes(text)); }
    /// UTCTime for the years 1950 to 2049, else GeneralizedTime. Years 0 to 9999 (asserted).
    DerWriter& time(UnixTime time);

    std::size_t size() const { return out_.size(); }
    ByteView view() const { return out_; }
    Bytes take() && { return std::move(out_); }

  private:
    std::size_t open(Tag tag);
    void close(std::size_t content_start);

    Bytes out_;
};

}  // namespace eos::x509
