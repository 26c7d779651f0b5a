// SPDX-License-Identifier: AGPL-3.0-only
// Strict reading of JSON that somebody else wrote: bounded, no repeated members, no unknown
// members, and every error names the place.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::json {

using Value = nlohmann::json;

inline constexpr Code bad_syntax{"common/json", "bad_syntax", "not well-formed JSON"};
inline constexpr Code too_large{"common/json", "too_large", "the JSON text exceeds a limit"};
inline constexpr Code repeated_member{"common/json", "repeated_member",
                                      "a member occurs twice in one object"};
inline constexpr Code missing_member{"common/json", "missing_member", "a member is missing"};
inline constexpr Code unknown_member{"common/json", "unknown_member", "a member is not known here"};
inline constexpr Code wrong_type{"common/json", "wrong_type", "a member has the wrong type"};
inline constexpr Code out_of_range{"common/json", "out_of_range", "a member is out of range"};

/// What a document may cost. A value takes ten times the memory that its text may (`{},`), so that
/// values are counted too: scalars, members and what contains them, each as one.
struct Limits {
    std::size_t size_bytes = 64 * 1024;
    std::size_t depth = 16;
    /// If left out: one for every 16 of size_bytes, and 65,536 for small texts.
    std::optional<std::size_t> values = std::nullopt;
};

/// Parses one JSON text (RFC 8259, UTF-8, nothing but white space after it).
/// in:      not retained.
/// errors:  bad_syntax, too_large (size, depth, values), repeated_member; it names the member.
/// bound:   time linear in the size; memory in that of the texts in it, and in `values`.
[[nodiscard]] Result<Value> parse(ByteView text, const Limits& limits);

/// Reads the members of one object; remembers which were asked for, so that finish() can refuse the
/// rest. Borrows the value, which outlives it.
class Object {
  public:
    /// in:      path: where the object stands, for errors, e.g. "identity[0]"; empty for the root.
    /// errors:  wrong_type.
    [[nodiscard]] static Result<Object> of(const Value& value, std::string path);

    /// The member, or nullptr. Counts as read.
    const Value* find(std::string_view name);

    /// errors: missing_member.
    [[nodiscard]] Result<const Value*> require(std::string_view name);

    /// A required string of at most `max_bytes`.
    /// errors: missing_member, wrong_type, out_of_range.
    [[nodiscard]] Result<std::string> text(std::string_view name, std::size_t max_bytes);

    /// A required integer 0..max, written without fraction or exponent.
    /// errors: missing_member, wrong_type, out_of_range.
    [[nodiscard]] Result<std::uint64_t> number(std::string_view name, std::uint64_t max);

    /// An optional array of at most `max_count` elements; absent is nullptr.
    /// errors: wrong_type, out_of_range.
    [[nodiscard]] Result<const Value*> array(std::string_view name, std::size_t max_count);

    /// Refuses members that nobody asked for.
    /// errors: unknown_member.
    [[nodiscard]] Result<void> finish() const;

    /// "identity[0].mr_enclave".
    std::string path(std::string_view name) const;

  private:
    Object(const Value& value, std::string path) : value_(&value), path_(std::move(path)) {}

    const Value* value_;
    std::string path_;
    std::vector<const Value*> read_;  ///< the members that were asked for and are there
};

/// The string in `value`.
/// errors: wrong_type, out_of_range (longer than max_bytes).
[[nodiscard]] Result<std::string> as_text(const Value& value, std::string_view path,
                                          std::size_t max_bytes);

/// The integer in `value`, 0..max.
/// errors: wrong_type, out_of_range.
[[nodiscard]] Result<std::uint64_t> as_number(const Value& value, std::string_view path,
                                              std::uint64_t max);

/// "waivers[3]".
std::string element_path(std::string_view path, std::size_t index);

/// Deterministic text: members sorted, no white space. Invalid UTF-8 becomes U+FFFD.
std::string compact(const Value& value);

/// The same with an indentation of two.
std::string pretty(const Value& value);

}  // namespace eos::json
