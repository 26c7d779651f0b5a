// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/config_tree/name.h"
#include "common/crypto/hash.h"

namespace eos::config_tree {

using crypto::Digest32;

inline constexpr Code bad_value{"common/config_tree", "bad_value", "not a valid value of its kind"};
inline constexpr Code bad_scope{"common/config_tree", "bad_scope", "not a valid tree scope"};

inline constexpr std::size_t kMaxValueBytes = 64 * 1024;
inline constexpr std::size_t kSaltBytes = 32;

/// What a value is; the number is hashed with it. Other numbers are refused.
enum class Kind : std::uint8_t {
    kBytes = 1,
    kText = 2,    ///< UTF-8
    kU64 = 3,     ///< eight bytes, big endian
    kBool = 4,    ///< one byte, 0 or 1
    kSha256 = 5,  ///< a digest, which is its own value hash
    kSalted = 6,  ///< only HMAC-SHA-256(salt, value) is known
};

/// "bytes", "utf8", "u64", "bool", "sha256", "salted".
std::string_view kind_text(Kind kind);

/// The value of a leaf: its kind, its content unless it is salted, and the value hash. A value.
class Value {
  public:
    /// in: at most kMaxValueBytes.
    /// errors: bad_value.
    [[nodiscard]] static Result<Value> bytes(ByteView content);
    /// in: UTF-8, at most kMaxValueBytes.
    /// errors: bad_value.
    [[nodiscard]] static Result<Value> text(std::string_view content);
    /// Text that the program itself spells out; must be valid (asserted).
    static Value constant(std::string_view content);
    static Value u64(std::uint64_t content);
    static Value boolean(bool content);
    static Value sha256(const Digest32& digest);
    /// in: salt: 32 random bytes that go with the value and are never shown with the tree.
    static Value salted(const ByteArray<kSaltBytes>& salt, ByteView content);
    /// A salted value as others see it.
    static Value salted(const Digest32& value_hash);

    Kind kind() const { return kind_; }
    const Digest32& hash() const { return hash_; }

    /// The bytes that are hashed; empty for kSalted.
    ByteView content() const { return content_; }

    /// For a person: text quoted, numbers in decimal, digests and bytes in hexadecimal, cut to a
    /// line.
    std::string display() const;

    friend bool operator==(const Value& a, const Value& b) {
        return a.kind_ == b.kind_ && a.hash_ == b.hash_;
    }

  private:
    Value(Kind kind, Bytes content);
    Value(Kind kind, Bytes content, const Digest32& hash)
        : kind_(kind), content_(std::move(content)), hash_(hash) {}

    Kind kind_;
    Bytes content_;
    Digest32 hash_;
};

/// A setting and its effective value.
struct Leaf {
    Name name;
    Value value;

    friend bool operator==(const Leaf&, const Leaf&) = default;
};

/// Which of the three trees; what a root is a root of is hashed into it.
class Scope {
  public:
    /// The number is hashed with the root.
    enum class Kind : std::uint8_t { kPlatform = 0, kPolicy = 1, kWorkload = 2 };

    static Scope platform() { return {Kind::kPlatform, {}}; }
    static Scope policy() { return {Kind::kPolicy, {}}; }
    /// in:     a workload's name: `[a-z0-9-]`, 1..63, no hyphen at either end, not `manager`,
    ///         `platform` or `localhost`.
    /// errors: bad_scope.
    [[nodiscard]] static Result<Scope> workload(std::string_view name);

    Kind kind() const { return kind_; }
    /// The workload's name; empty in the other scopes.
    const std::string& id() const { return id_; }
    /// "platform", "policy", "workload".
    std::string_view kind_text() const;
    /// "policy tree", "tree of workload hello".
    std::string display() const;

    friend bool operator==(const Scope&, const Scope&) = default;

  private:
    Scope(Kind kind, std::string id) : kind_(kind), id_(std::move(id)) {}
    Kind kind_;
    std::string id_;
};

/// Whether `name` can name an app or a container.
/// errors: bad_scope.
/// source: docs/formats/config-tree.md.
[[nodiscard]] Result<void> check_workload_name(std::string_view name);

}  // namespace eos::config_tree
