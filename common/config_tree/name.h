// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <compare>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace eos::config_tree {

inline constexpr Code bad_name{"common/config_tree", "bad_name", "not a valid leaf name"};

inline constexpr std::size_t kMaxNameComponents = 8;
inline constexpr std::size_t kMaxComponentBytes = 255;

/// The name of a leaf: 1..8 components of 1..255 arbitrary bytes. Names are ordered component by
/// component, each compared as unsigned bytes, where a prefix comes before what it is a prefix of.
/// A value.
class Name {
  public:
    /// errors:  bad_name (number of components, or the size of one).
    /// source:  docs/formats/config-tree.md.
    [[nodiscard]] static Result<Name> from(std::vector<std::string> components);

    /// A name that the program itself spells out; must be valid (asserted).
    static Name of(std::initializer_list<std::string_view> components);

    const std::vector<std::string>& components() const { return components_; }

    /// For people and messages: components with dots between them, where every byte of a component
    /// that is not `[A-Za-z0-9_-]` becomes %XX. One to one: parse_name() reads it back.
    std::string text() const;

    friend bool operator==(const Name&, const Name&) = default;
    // std::string compares its characters as unsigned bytes, the shorter one first ([char.traits]).
    friend std::strong_ordering operator<=>(const Name&, const Name&) = default;

  private:
    explicit Name(std::vector<std::string> components) : components_(std::move(components)) {}
    std::vector<std::string> components_;
};

/// Reads what Name::text() writes, and nothing else: a byte that need not be encoded is refused if
/// it is, so that one name has one text.
/// errors:  bad_name.
[[nodiscard]] Result<Name> parse_name(std::string_view text);

/// One component as Name::text() prints it.
std::string component_text(std::string_view component);

/// Reads what component_text() writes.
/// errors:  bad_name.
[[nodiscard]] Result<std::string> parse_component(std::string_view text);

}  // namespace eos::config_tree
