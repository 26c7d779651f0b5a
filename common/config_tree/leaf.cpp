// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/leaf.h"

#include "common/base/assert.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::config_tree {
namespace {

constexpr std::size_t kDisplayBytes = 96;

Result<void> check_size(ByteView content) {
    if (content.size() > kMaxValueBytes) {
        return fail(bad_value, std::to_string(content.size()) + " bytes, at most 65536 expected");
    }
    return {};
}

}  // namespace

std::string_view kind_text(Kind kind) {
    switch (kind) {
        case Kind::kBytes:
            return "bytes";
        case Kind::kText:
            return "utf8";
        case Kind::kU64:
            return "u64";
        case Kind::kBool:
            return "bool";
        case Kind::kSha256:
            return "sha256";
        case Kind::kSalted:
            return "salted";
    }
    return "";
}

Value::Value(Kind kind, Bytes content)
    : kind_(kind), content_(std::move(content)), hash_(crypto::sha256(content_)) {}

Result<Value> Value::bytes(ByteView content) {
    EOS_TRY(check_size(content));
    return Value(Kind::kBytes, to_bytes(content));
}

Result<Value> Value::text(std::string_view content) {
    EOS_TRY(check_size(as_bytes(content)));
    if (!is_utf8(as_bytes(content))) return fail(bad_value, "text that is not UTF-8");
    return Value(Kind::kText, to_bytes(content));
}

Value Value::constant(std::string_view content) {
    Result<Value> value = text(content);
    EOS_ASSERT(value.has_value());
    return *std::move(value);
}

Value Value::u64(std::uint64_t content) {
    Writer writer;
    writer.u64be(content);
    return {Kind::kU64, std::move(writer).take()};
}

Value Value::boolean(bool content) {
    return {Kind::kBool, Bytes{std::byte{content}}};
}

Value Value::sha256(const Digest32& digest) {
    return {Kind::kSha256, to_bytes(ByteView(digest)), digest};
}

Value Value::salted(const ByteArray<kSaltBytes>& salt, ByteView content) {
    return salted(crypto::hmac_sha256(salt, {content}));
}

Value Value::salted(const Digest32& value_hash) {
    return {Kind::kSalted, {}, value_hash};
}

std::string Value::display() const {
    switch (kind_) {
        case Kind::kText:
            return "\"" + printable(content_, kDisplayBytes) + "\"";
        case Kind::kU64:
            return std::to_string(*Reader(content_).u64be());
        case Kind::kBool:
            return content_[0] == std::byte{1} ? "true" : "false";
        case Kind::kSalted:
            return "salted " + hex(hash_);
        case Kind::kBytes:
        case Kind::kSha256:
            break;
    }
    if (content_.size() <= kDisplayBytes) return hex(content_);
    return std::to_string(content_.size()) + " bytes, SHA-256 " + hex(hash_);
}

Result<Scope> Scope::workload(std::string_view name) {
    EOS_TRY(check_workload_name(name));
    return Scope(Kind::kWorkload, std::string(name));
}

std::string_view Scope::kind_text() const {
    switch (kind_) {
        case Kind::kPlatform:
            return "platform";
        case Kind::kPolicy:
            return "policy";
        case Kind::kWorkload:
            return "workload";
    }
    return "";
}

std::string Scope::display() const {
    if (kind_ == Kind::kWorkload) return "tree of workload " + id_;
    return std::string(kind_text()) + " tree";
}

Result<void> check_workload_name(std::string_view name) {
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
    if (name.empty() || name.size() > 63 || name.find_first_not_of(kAllowed) != name.npos ||
        name.front() == '-' || name.back() == '-') {
        return fail(bad_scope, "'" + printable(as_bytes(name), 64) +
                                   "' is not a DNS label of a-z, 0-9 and inner hyphens, 1 to 63");
    }
    if (name == "manager" || name == "platform" || name == "localhost") {
        return fail(bad_scope, "'" + std::string(name) + "' is reserved");
    }
    return {};
}

}  // namespace eos::config_tree
