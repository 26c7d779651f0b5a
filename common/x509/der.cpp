// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/der.h"

#include <algorithm>
#include <bit>
#include <cstdio>

#include "common/base/assert.h"
#include "common/base/encoding.h"

namespace eos::x509 {
namespace {

constexpr std::size_t kMaxLengthBytes = 4;

unsigned as_unsigned(std::byte b) {
    return std::to_integer<unsigned>(b);
}

std::string tag_text(Tag tag) {
    std::byte byte = static_cast<std::byte>(tag);
    return "0x" + hex(ByteView(&byte, 1));
}

unsigned reverse_bits(unsigned byte) {
    unsigned out = 0;
    for (unsigned i = 0; i < 8; ++i) out |= (byte >> i & 1) << (7 - i);
    return out;
}

// Two decimal digits, or -1.
int two_digits(std::string_view text, std::size_t at) {
    char high = text[at];
    char low = text[at + 1];
    if (high < '0' || high > '9' || low < '0' || low > '9') return -1;
    return (high - '0') * 10 + (low - '0');
}

// MMDDHHMMSSZ, 11 characters, of a given year; nothing if it is not a time.
std::optional<UnixTime> parse_rest_of_time(int year, std::string_view text) {
    CivilTime civil;
    civil.year = year;
    civil.month = two_digits(text, 0);
    civil.day = two_digits(text, 2);
    civil.hour = two_digits(text, 4);
    civil.minute = two_digits(text, 6);
    civil.second = two_digits(text, 8);
    if (text[10] != 'Z') return {};
    Result<UnixTime> time = from_civil(civil);
    if (!time) return {};
    return *time;
}

std::optional<UnixTime> parse_time(const Element& element) {
    std::string_view text = as_chars(element.value);
    if (element.tag == Tag::kUtcTime) {
        if (text.size() != 13) return {};
        int year = two_digits(text, 0);
        if (year < 0) return {};
        return parse_rest_of_time(year + (year >= 50 ? 1900 : 2000), text.substr(2));
    }
    if (text.size() != 15) return {};
    int century = two_digits(text, 0);
    int year = two_digits(text, 2);
    if (century < 0 || year < 0) return {};
    year += century * 100;
    if (year < 1950) return {};
    return parse_rest_of_time(year, text.substr(4));
}

}  // namespace

std::string DerReader::place() const {
    return "at offset " + std::to_string(rest_.data() - origin_);
}

Result<Element> DerReader::any() {
    if (rest_.size() < 2) return fail(truncated, place());
    unsigned tag = as_unsigned(rest_[0]);
    if (tag == 0 || (tag & 0x1f) == 0x1f) {
        return fail(unexpected_tag,
                    "found " + tag_text(static_cast<Tag>(rest_[0])) + " " + place());
    }
    std::size_t header = 2;
    std::size_t size = as_unsigned(rest_[1]);
    if (size >= 0x80) {
        std::size_t count = size & 0x7f;
        if (count == 0 || count > kMaxLengthBytes) return fail(bad_length, place());
        if (rest_.size() < header + count) return fail(truncated, place());
        size = 0;
        for (std::byte b : rest_.subspan(header, count)) size = size << 8 | as_unsigned(b);
        if (size < 0x80 || rest_[header] == std::byte{0}) return fail(bad_length, place());
        header += count;
    }
    if (size > rest_.size() - header) return fail(truncated, place());
    Element out{static_cast<Tag>(rest_[0]), rest_.subspan(header, size),
                rest_.first(header + size)};
    rest_ = rest_.subspan(header + size);
    return out;
}

Result<Element> DerReader::expect(Tag tag) {
    if (rest_.empty()) return fail(truncated, "expected " + tag_text(tag) + " " + place());
    if (!next_is(tag)) {
        return fail(unexpected_tag, "expected " + tag_text(tag) + ", found " +
                                        tag_text(static_cast<Tag>(rest_[0])) + " " + place());
    }
    return any();
}

Result<std::optional<Element>> DerReader::optional(Tag tag) {
    if (!next_is(tag)) return std::optional<Element>();
    return std::optional<Element>(EOS_TRY(any()));
}

Result<DerReader> DerReader::enter(Tag tag) {
    Element element = EOS_TRY(expect(tag));
    return DerReader(origin_, element.value);
}

Result<bool> DerReader::boolean() {
    DerReader ahead = *this;
    Element element = EOS_TRY(ahead.expect(Tag::kBoolean));
    if (element.value.size() != 1 ||
        (element.value[0] != std::byte{0} && element.value[0] != std::byte{0xff})) {
        return fail(bad_value, "BOOLEAN " + place());
    }
    *this = ahead;
    return element.value[0] != std::byte{0};
}

Result<ByteView> DerReader::unsigned_integer() {
    DerReader ahead = *this;
    ByteView value = EOS_TRY(ahead.expect(Tag::kInteger)).value;
    if (value.empty()) return fail(bad_value, "INTEGER without content " + place());
    if (as_unsigned(value[0]) >= 0x80) return fail(bad_value, "negative INTEGER " + place());
    if (value[0] == std::byte{0}) {
        value = value.subspan(1);
        if (!value.empty() && as_unsigned(value[0]) < 0x80) {
            return fail(bad_value, "INTEGER not minimal " + place());
        }
    }
    *this = ahead;
    return value;
}

Result<std::uint64_t> DerReader::u64() {
    DerReader ahead = *this;
    ByteView magnitude = EOS_TRY(ahead.unsigned_integer());
    if (magnitude.size() > 8) return fail(bad_value, "INTEGER above 64 bits " + place());
    std::uint64_t out = 0;
    for (std::byte b : magnitude) out = out << 8 | as_unsigned(b);
    *this = ahead;
    return out;
}

Result<oid::Oid> DerReader::oid() {
    DerReader ahead = *this;
    Element element = EOS_TRY(ahead.expect(Tag::kOid));
    oid::Oid out = EOS_TRY(oid::Oid::from_der(element.value));
    *this = ahead;
    return out;
}

Result<ByteView> DerReader::octet_string() {
    return EOS_TRY(expect(Tag::kOctetString)).value;
}

Result<ByteView> DerReader::byte_bit_string() {
    DerReader ahead = *this;
    ByteView value = EOS_TRY(ahead.expect(Tag::kBitString)).value;
    if (value.empty() || value[0] != std::byte{0}) {
        return fail(bad_value, "BIT STRING that is not whole bytes " + place());
    }
    *this = ahead;
    return value.subspan(1);
}

Result<std::uint16_t> DerReader::named_bits() {
    DerReader ahead = *this;
    ByteView value = EOS_TRY(ahead.expect(Tag::kBitString)).value;
    unsigned unused = value.empty() ? 8 : as_unsigned(value[0]);
    if (value.size() < 2 || value.size() > 3 || unused > 7) {
        return fail(bad_value, "named bits: expected 1 to 16 bits " + place());
    }
    unsigned last = as_unsigned(value.back());
    if ((last & ((1u << unused) - 1)) != 0) {
        return fail(bad_value, "named bits: unused bits are set " + place());
    }
    unsigned out = reverse_bits(as_unsigned(value[1]));
    if (value.size() == 3) out |= reverse_bits(last) << 8;
    if (out == 0) return fail(bad_value, "named bits: none is set " + place());
    *this = ahead;
    return static_cast<std::uint16_t>(out);
}

Result<UnixTime> DerReader::time() {
    DerReader ahead = *this;
    Tag tag = next_is(Tag::kGeneralizedTime) ? Tag::kGeneralizedTime : Tag::kUtcTime;
    Element element = EOS_TRY(ahead.expect(tag));
    std::optional<UnixTime> out = parse_time(element);
    if (!out) {
        return fail(bad_value,
                    "time " + place() + ": expected YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ, from 1950");
    }
    *this = ahead;
    return *out;
}

Result<void> DerReader::expect_end() const {
    if (!rest_.empty()) return fail(trailing_bytes, place());
    return {};
}

std::size_t DerWriter::open(Tag tag) {
    out_.push_back(static_cast<std::byte>(tag));
    out_.push_back(std::byte{0});
    return out_.size();
}

void DerWriter::close(std::size_t content_start) {
    std::size_t size = out_.size() - content_start;
    if (size < 0x80) {
        out_[content_start - 1] = static_cast<std::byte>(size);
        return;
    }
    std::size_t count = (static_cast<std::size_t>(std::bit_width(size)) + 7) / 8;
    EOS_ASSERT(count <= kMaxLengthBytes);
    out_[content_start - 1] = static_cast<std::byte>(0x80 | count);
    out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(content_start), count, std::byte{0});
    for (std::size_t i = count; i-- > 0; size >>= 8)
        out_[content_start + i] = static_cast<std::byte>(size & 0xff);
}

DerWriter& DerWriter::header(Tag tag, std::size_t content_bytes) {
    out_.push_back(static_cast<std::byte>(tag));
    if (content_bytes < 0x80) {
        out_.push_back(static_cast<std::byte>(content_bytes));
        return *this;
    }
    std::size_t count = (static_cast<std::size_t>(std::bit_width(content_bytes)) + 7) / 8;
    EOS_ASSERT(count <= kMaxLengthBytes);
    out_.push_back(static_cast<std::byte>(0x80 | count));
    for (std::size_t i = count; i-- > 0;)
        out_.push_back(static_cast<std::byte>(content_bytes >> (8 * i) & 0xff));
    return *this;
}

DerWriter& DerWriter::primitive(Tag tag, ByteView content) {
    return header(tag, content.size()).raw(content);
}

DerWriter& DerWriter::raw(ByteView der) {
    append(out_, der);
    return *this;
}

DerWriter& DerWriter::boolean_true() {
    constexpr std::byte kTrue{0xff};
    return primitive(Tag::kBoolean, ByteView(&kTrue, 1));
}

DerWriter& DerWriter::integer(std::uint64_t value) {
    ByteArray<8> magnitude;
    for (std::size_t i = 8; i-- > 0; value >>= 8)
        magnitude[i] = static_cast<std::byte>(value & 0xff);
    return unsigned_integer(magnitude);
}

DerWriter& DerWriter::unsigned_integer(ByteView magnitude) {
    while (!magnitude.empty() && magnitude[0] == std::byte{0}) magnitude = magnitude.subspan(1);
    bool pad = magnitude.empty() || as_unsigned(magnitude[0]) >= 0x80;
    header(Tag::kInteger, magnitude.size() + (pad ? 1 : 0));
    if (pad) out_.push_back(std::byte{0});
    return raw(magnitude);
}

DerWriter& DerWriter::byte_bit_string(ByteView bytes) {
    header(Tag::kBitString, bytes.size() + 1);
    out_.push_back(std::byte{0});
    return raw(bytes);
}

DerWriter& DerWriter::named_bits(std::uint16_t bits) {
    EOS_ASSERT(bits != 0);
    unsigned low = reverse_bits(bits & 0xffu);
    unsigned high = reverse_bits(bits >> 8 & 0xffu);
    unsigned last = high != 0 ? high : low;
    ByteArray<3> content{static_cast<std::byte>(std::countr_zero(last)),
                         static_cast<std::byte>(low), static_cast<std::byte>(high)};
    return primitive(Tag::kBitString, ByteView(content).first(high != 0 ? 3 : 2));
}

DerWriter& DerWriter::time(UnixTime time) {
    CivilTime c = to_civil(time);
    bool utc_time = c.year >= 1950 && c.year <= 2049;
    char text[24];
    std::snprintf(text, sizeof text, "%04d%02d%02d%02d%02d%02dZ", c.year, c.month, c.day, c.hour,
                  c.minute, c.second);
    std::string_view whole(text);
    if (utc_time) return this->text(Tag::kUtcTime, whole.substr(2));
    return this->text(Tag::kGeneralizedTime, whole);
}

}  // namespace eos::x509
