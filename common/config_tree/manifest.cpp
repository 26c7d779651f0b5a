// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/manifest.h"

#include <charconv>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::config_tree {
namespace {

constexpr std::string_view kManifestFormat = "enclave-os/config-manifest/1";
constexpr std::string_view kInclusionFormat = "enclave-os/config-inclusion/1";
constexpr std::string_view kAbsenceFormat = "enclave-os/config-absence/1";
constexpr std::string_view kHistoryFormat = "enclave-os/config-history/1";
constexpr std::size_t kMaxDepth = 6;
constexpr std::size_t kMaxWordBytes = 80;  // of formats, kinds, digests, numbers
constexpr std::uint64_t kMaxU32 = 0xFFFFFFFF;

json::Value encode_name(const Name& name) {
    json::Value out = json::Value::array();
    for (const std::string& component : name.components()) out.push_back(component_text(component));
    return out;
}

json::Value encode_content(const Value& value) {
    switch (value.kind()) {
        case Kind::kText:
            return to_string(value.content());
        case Kind::kU64:
            return std::to_string(*Reader(value.content()).u64be());
        case Kind::kBool:
            return value.content()[0] == std::byte{1};
        case Kind::kSha256:
            return hex(value.content());
        case Kind::kBytes:
        case Kind::kSalted:
            break;
    }
    return base64(value.content());
}

json::Value encode_leaf(const Leaf& leaf) {
    json::Value out{{"name", encode_name(leaf.name)}, {"kind", kind_text(leaf.value.kind())}};
    if (leaf.value.kind() == Kind::kSalted) {
        out["value_hash"] = hex(leaf.value.hash());
    } else {
        out["value"] = encode_content(leaf.value);
    }
    return out;
}

json::Value document(std::string_view format, const Scope& scope) {
    return {{"format", format}, {"scope", scope.kind_text()}, {"scope_id", scope.id()}};
}

json::Value encode_proved(const ProvedLeaf& proved) {
    json::Value path = json::Value::array();
    for (const Digest32& node : proved.path) path.push_back(hex(node));
    return {{"index", proved.index}, {"leaf", encode_leaf(proved.leaf)}, {"path", path}};
}

Result<Name> parse_name_array(json::Object& object) {
    static const json::Value kNone = json::Value::array();
    const json::Value* array = EOS_TRY(object.array("name", kMaxNameComponents));
    std::vector<std::string> components;
    for (const json::Value& element : array ? *array : kNone) {
        std::string text =
            EOS_TRY(json::as_text(element, object.path("name"), 3 * kMaxComponentBytes));
        components.push_back(EOS_TRY(parse_component(text)));
    }
    return Name::from(std::move(components));
}

// Decimal without sign or leading zeros, as encode_content() writes it.
Result<std::uint64_t> parse_u64(std::string_view text) {
    std::uint64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || std::to_string(value) != text) {
        return fail(bad_value, "'" + printable(as_bytes(text), 32) + "' is not a decimal number");
    }
    return value;
}

Result<bool> parse_bool(json::Object& object) {
    const json::Value* value = EOS_TRY(object.require("value"));
    const bool* flag = value->get_ptr<const bool*>();
    if (!flag) return fail(json::wrong_type, object.path("value") + ": expected true or false");
    return *flag;
}

Result<Digest32> parse_digest(json::Object& object, std::string_view name) {
    return array_from_hex<32>(EOS_TRY(object.text(name, kMaxWordBytes)));
}

Result<Value> parse_value(json::Object& object) {
    std::string kind = EOS_TRY(object.text("kind", kMaxWordBytes));
    if (kind == kind_text(Kind::kSalted)) {
        return Value::salted(EOS_TRY(parse_digest(object, "value_hash")));
    }
    if (kind == kind_text(Kind::kSha256)) {
        return Value::sha256(EOS_TRY(parse_digest(object, "value")));
    }
    if (kind == kind_text(Kind::kBool)) return Value::boolean(EOS_TRY(parse_bool(object)));
    if (kind == kind_text(Kind::kU64)) {
        return Value::u64(EOS_TRY(parse_u64(EOS_TRY(object.text("value", kMaxWordBytes)))));
    }
    if (kind == kind_text(Kind::kText)) {
        return Value::text(EOS_TRY(object.text("value", kMaxValueBytes)));
    }
    if (kind == kind_text(Kind::kBytes)) {
        return Value::bytes(
            EOS_TRY(from_base64(EOS_TRY(object.text("value", 2 * kMaxValueBytes)))));
    }
    return fail(bad_kind, "'" + printable(as_bytes(kind), 32) + "' at " + object.path("kind"));
}

Result<Leaf> parse_leaf(const json::Value& value, std::string path) {
    json::Object object = EOS_TRY(json::Object::of(value, std::move(path)));
    Name name = EOS_TRY(parse_name_array(object));
    Value content = EOS_TRY(parse_value(object));
    EOS_TRY(object.finish());
    return Leaf{std::move(name), std::move(content)};
}

Result<ProvedLeaf> parse_proved(const json::Value& value, const std::string& where) {
    json::Object object = EOS_TRY(json::Object::of(value, where));
    auto index = static_cast<std::uint32_t>(EOS_TRY(object.number("index", kMaxU32)));
    Leaf leaf = EOS_TRY(parse_leaf(*EOS_TRY(object.require("leaf")), object.path("leaf")));
    const json::Value* nodes = EOS_TRY(object.array("path", kMaxPathNodes));
    if (!nodes) return fail(json::missing_member, object.path("path"));
    ProvedLeaf out{index, std::move(leaf), {}};
    for (const json::Value& node : *nodes) {
        std::string text = EOS_TRY(json::as_text(node, object.path("path"), kMaxWordBytes));
        out.path.push_back(EOS_TRY(array_from_hex<32>(text)));
    }
    EOS_TRY(object.finish());
    return out;
}

Result<void> check_format(json::Object& object, std::string_view expected) {
    std::string format = EOS_TRY(object.text("format", kMaxWordBytes));
    if (format == expected) return {};
    return fail(bad_format,
                "'" + printable(as_bytes(format)) + "', expected '" + std::string(expected) + "'");
}

Result<Scope> parse_scope(json::Object& object) {
    std::string kind = EOS_TRY(object.text("scope", kMaxWordBytes));
    std::string id = EOS_TRY(object.text("scope_id", kMaxComponentBytes));
    if (kind == "workload") return Scope::workload(id);
    if (id.empty() && kind == "platform") return Scope::platform();
    if (id.empty() && kind == "policy") return Scope::policy();
    return fail(bad_scope,
                "'" + printable(as_bytes(kind)) + "', '" + printable(as_bytes(id)) + "'");
}

Result<std::optional<ProvedLeaf>> parse_neighbour(json::Object& object, std::string_view name) {
    const json::Value* value = EOS_TRY(object.require(name));
    if (value->is_null()) return std::optional<ProvedLeaf>();
    return EOS_TRY(parse_proved(*value, object.path(name)));
}

Result<Change> parse_change(const json::Value& value, std::string path) {
    json::Object object = EOS_TRY(json::Object::of(value, std::move(path)));
    Change change;
    change.generation = EOS_TRY(parse_u64(EOS_TRY(object.text("generation", kMaxWordBytes))));
    change.policy_root = EOS_TRY(parse_digest(object, "policy_root"));
    change.time = EOS_TRY(parse_rfc3339(EOS_TRY(object.text("time", kMaxWordBytes))));
    if (change.time.seconds < 0) return fail(bad_time, object.path("time") + ": before 1970");
    EOS_TRY(object.finish());
    return change;
}

}  // namespace

std::string encode_manifest(const Tree& tree) {
    json::Value leaves = json::Value::array();
    for (const Leaf& leaf : tree.leaves()) leaves.push_back(encode_leaf(leaf));
    json::Value out = document(kManifestFormat, tree.scope());
    out["leaves"] = std::move(leaves);
    return json::compact(out);
}

Result<Tree> parse_manifest(ByteView text) {
    json::Value value =
        EOS_TRY(json::parse(text, {.size_bytes = kMaxManifestBytes, .depth = kMaxDepth}));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    EOS_TRY(check_format(object, kManifestFormat));
    Scope scope = EOS_TRY(parse_scope(object));
    const json::Value* leaves = EOS_TRY(object.require("leaves"));
    if (!leaves->is_array()) return fail(json::wrong_type, "leaves: expected an array");
    if (leaves->size() > kMaxLeaves) return fail(too_many_leaves, std::to_string(leaves->size()));
    EOS_TRY(object.finish());

    TreeBuilder builder(std::move(scope));
    std::optional<Name> previous;
    for (std::size_t i = 0; i < leaves->size(); ++i) {
        Leaf leaf = EOS_TRY(parse_leaf((*leaves)[i], json::element_path("leaves", i)));
        if (previous && leaf.name < *previous) return fail(unsorted_leaves, leaf.name.text());
        previous = leaf.name;
        builder.add(std::move(leaf.name), std::move(leaf.value));
    }
    return std::move(builder).build();
}

std::string encode_proof(const InclusionProof& proof) {
    json::Value out = document(kInclusionFormat, proof.scope);
    out["count"] = proof.count;
    out["proof"] = encode_proved(proof.leaf);
    return json::compact(out);
}

std::string encode_proof(const AbsenceProof& proof) {
    json::Value out = document(kAbsenceFormat, proof.scope);
    out["count"] = proof.count;
    out["name"] = encode_name(proof.name);
    out["before"] = proof.before ? encode_proved(*proof.before) : json::Value();
    out["after"] = proof.after ? encode_proved(*proof.after) : json::Value();
    return json::compact(out);
}

Result<InclusionProof> parse_inclusion_proof(ByteView text) {
    json::Value value =
        EOS_TRY(json::parse(text, {.size_bytes = kMaxProofBytes, .depth = kMaxDepth}));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    EOS_TRY(check_format(object, kInclusionFormat));
    Scope scope = EOS_TRY(parse_scope(object));
    auto count = static_cast<std::uint32_t>(EOS_TRY(object.number("count", kMaxU32)));
    ProvedLeaf leaf = EOS_TRY(parse_proved(*EOS_TRY(object.require("proof")), "proof"));
    EOS_TRY(object.finish());
    return InclusionProof{std::move(scope), count, std::move(leaf)};
}

Result<AbsenceProof> parse_absence_proof(ByteView text) {
    json::Value value =
        EOS_TRY(json::parse(text, {.size_bytes = kMaxProofBytes, .depth = kMaxDepth}));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    EOS_TRY(check_format(object, kAbsenceFormat));
    Scope scope = EOS_TRY(parse_scope(object));
    auto count = static_cast<std::uint32_t>(EOS_TRY(object.number("count", kMaxU32)));
    Name name = EOS_TRY(parse_name_array(object));
    std::optional<ProvedLeaf> before = EOS_TRY(parse_neighbour(object, "before"));
    std::optional<ProvedLeaf> after = EOS_TRY(parse_neighbour(object, "after"));
    EOS_TRY(object.finish());
    return AbsenceProof{std::move(scope), count, std::move(name), std::move(before),
                        std::move(after)};
}

std::string encode_history(const History& history) {
    json::Value changes = json::Value::array();
    for (const Change& change : history.changes) {
        changes.push_back({{"generation", std::to_string(change.generation)},
                           {"policy_root", hex(change.policy_root)},
                           {"time", rfc3339(change.time)}});
    }
    return json::compact({{"format", kHistoryFormat},
                          {"base", hex(history.base)},
                          {"changes", std::move(changes)},
                          {"head", hex(history.head)}});
}

Result<History> parse_history(ByteView text) {
    json::Value value =
        EOS_TRY(json::parse(text, {.size_bytes = kMaxHistoryBytes, .depth = kMaxDepth}));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    EOS_TRY(check_format(object, kHistoryFormat));
    History out;
    out.base = EOS_TRY(parse_digest(object, "base"));
    out.head = EOS_TRY(parse_digest(object, "head"));
    const json::Value* changes = EOS_TRY(object.array("changes", kMaxHistoryEntries));
    if (!changes) return fail(json::missing_member, "changes");
    EOS_TRY(object.finish());
    for (std::size_t i = 0; i < changes->size(); ++i) {
        out.changes.push_back(
            EOS_TRY(parse_change((*changes)[i], json::element_path("changes", i))));
    }
    return out;
}

}  // namespace eos::config_tree
