// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/cbor_reader.h"

#include <array>

namespace eos::ratls {

Result<std::uint64_t> CborReader::head(unsigned major) {
    if (rest_.empty()) return fail(bad_cbor, "it ends early");
    const auto first = std::to_integer<unsigned>(rest_.front());
    if (first >> 5 != major) return fail(bad_cbor, "another type than expected");
    const unsigned info = first & 0x1f;
    rest_ = rest_.subspan(1);
    if (info < 24) return info;
    if (info > 27) return fail(bad_cbor, "an indefinite or reserved length");
    const std::size_t size = std::size_t{1} << (info - 24);
    if (rest_.size() < size) return fail(bad_cbor, "it ends early");
    std::uint64_t value = 0;
    for (std::byte digit : rest_.first(size))
        value = value << 8 | std::to_integer<std::uint64_t>(digit);
    rest_ = rest_.subspan(size);
    // A number has one encoding: the shortest.
    constexpr std::array<std::uint64_t, 4> kLeast{24, 0x100, 0x10000, 0x100000000};
    if (value < kLeast[info - 24]) return fail(bad_cbor, "a head that is longer than needed");
    return value;
}

Result<ByteView> CborReader::run(unsigned major) {
    const std::uint64_t size = EOS_TRY(head(major));
    if (size > rest_.size()) return fail(bad_cbor, "a string ends behind the input");
    const ByteView out = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(out.size());
    return out;
}

Result<void> CborReader::expect_tag(std::uint64_t tag) {
    if (EOS_TRY(head(6)) != tag) return fail(bad_cbor, "another tag than " + std::to_string(tag));
    return {};
}

Result<void> CborReader::expect_array(std::uint64_t count) {
    if (EOS_TRY(head(4)) != count) {
        return fail(bad_cbor, "expected an array of " + std::to_string(count));
    }
    return {};
}

Result<std::string_view> CborReader::text() {
    return as_chars(EOS_TRY(run(3)));
}

Result<void> CborReader::expect_end() const {
    if (!rest_.empty()) return fail(bad_cbor, "something follows");
    return {};
}

}  // namespace eos::ratls
