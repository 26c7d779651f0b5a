// SPDX-License-Identifier: AGPL-3.0-only
// Both implementations against each other: the published vectors, and random trees that the Python
// one makes up.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "common/base/encoding.h"
#include "common/config_tree/hashing.h"
#include "common/config_tree/manifest.h"

namespace eos::config_tree {
namespace {

using Json = nlohmann::json;

std::string reference(const std::string& arguments) {
    std::string command =
        "python3 " EOS_SOURCE_DIR "/tests/vectors/config_tree/reference.py " + arguments;
    std::FILE* pipe = popen(command.c_str(), "r");
    EXPECT_NE(pipe, nullptr);
    std::string out;
    char buffer[4096];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
        out.append(buffer, n);
    }
    EXPECT_EQ(pclose(pipe), 0) << command;
    return out;
}

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file.good()) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

Name name_of(const Json& components) {
    std::vector<std::string> out;
    for (const Json& c : components) out.push_back(to_string(*from_hex(c.get<std::string>())));
    return *Name::from(std::move(out));
}

Value value_of(const Json& row) {
    Bytes content = *from_hex(row["value"].get<std::string>());
    switch (row["kind"].get<int>()) {
        case 1:
            return *Value::bytes(content);
        case 2:
            return *Value::text(as_chars(content));
        case 3: {
            std::uint64_t number = 0;
            for (std::byte b : content) number = number << 8 | std::to_integer<unsigned>(b);
            return Value::u64(number);
        }
        case 4:
            return Value::boolean(content == Bytes{std::byte{1}});
        case 5:
            return Value::sha256(to_array<32>(content));
        default:
            return Value::salted(*array_from_hex<32>(row["salt"].get<std::string>()), content);
    }
}

Scope scope_of(const Json& tree) {
    if (tree["scope"] == 0) return Scope::platform();
    if (tree["scope"] == 1) return Scope::policy();
    return *Scope::workload(tree["scope_id"].get<std::string>());
}

void check_leaves(const Tree& tree, const Json& rows) {
    ASSERT_EQ(tree.leaves().size(), rows.size());
    TreeHasher hasher;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const Leaf& leaf = tree.leaves()[i];
        EXPECT_EQ(leaf.name, name_of(rows[i]["name"]));
        EXPECT_EQ(leaf.name.text(), rows[i]["text"].get<std::string>());
        EXPECT_EQ(*parse_name(leaf.name.text()), leaf.name);
        EXPECT_EQ(hex(leaf.value.hash()), rows[i]["value_hash"].get<std::string>());
        EXPECT_EQ(hex(hasher.leaf(leaf)), rows[i]["leaf_hash"].get<std::string>());
        InclusionProof proof = *tree.prove_inclusion(leaf.name);
        Json path = Json::array();
        for (const Digest32& node : proof.leaf.path) path.push_back(hex(node));
        EXPECT_EQ(path, rows[i]["path"]);
        EXPECT_TRUE(verify_inclusion(proof, {tree.scope(), tree.root()}, leaf.name).has_value());
    }
}

void check_absent(const Tree& tree, const Json& rows) {
    for (const Json& row : rows) {
        AbsenceProof proof = *tree.prove_absence(name_of(row["name"]));
        Json before = proof.before ? Json(proof.before->index) : Json();
        Json after = proof.after ? Json(proof.after->index) : Json();
        EXPECT_EQ(before, row["before"]);
        EXPECT_EQ(after, row["after"]);
        EXPECT_TRUE(verify_absence(proof, {tree.scope(), tree.root()}, proof.name).has_value());
    }
}

void check_document(const std::string& text) {
    Json document = Json::parse(text, nullptr, false);
    ASSERT_TRUE(document.is_object());
    ASSERT_FALSE(document["trees"].empty());
    for (const Json& expected : document["trees"]) {
        SCOPED_TRACE(expected["label"].get<std::string>());
        TreeBuilder builder(scope_of(expected));
        for (auto row = expected["leaves"].rbegin(); row != expected["leaves"].rend(); ++row) {
            builder.add(name_of((*row)["name"]), value_of(*row));
        }
        Tree tree = *std::move(builder).build();
        EXPECT_EQ(hex(tree.root()), expected["root"].get<std::string>());
        EXPECT_EQ(encode_manifest(tree), expected["manifest"].get<std::string>());
        Result<Tree> back = parse_manifest(as_bytes(expected["manifest"].get<std::string>()));
        ASSERT_TRUE(back.has_value()) << back.error().message();
        EXPECT_EQ(back->root(), tree.root());
        check_leaves(tree, expected["leaves"]);
        check_absent(tree, expected["absent"]);
    }
    Digest32 head{};
    ASSERT_FALSE(document["history"].empty());
    for (const Json& row : document["history"]) {
        Change change{std::stoull(row["generation"].get<std::string>()),
                      *array_from_hex<32>(row["policy_root"].get<std::string>()),
                      UnixTime{row["time"].get<std::int64_t>()}};
        head = extend_history(head, change);
        EXPECT_EQ(hex(head), row["history"].get<std::string>());
    }
}

const std::string kPublished = EOS_SOURCE_DIR "/docs/formats/config-tree-vectors.json";

TEST(ConfigTreeVectors, Published) {
    check_document(read_file(kPublished));
}

TEST(ConfigTreeVectors, PublishedAreWhatTheReferenceMakes) {
    EXPECT_EQ(reference("vectors"), read_file(kPublished));
}

TEST(ConfigTreeVectors, TableInTheDocumentIsCurrent) {
    std::string table = reference("table " + kPublished);
    EXPECT_NE(read_file(EOS_SOURCE_DIR "/docs/formats/config-tree.md").find(table),
              std::string::npos)
        << table;
}

TEST(ConfigTreeVectors, RandomTreesAgree) {
    for (int seed : {1, 2, 3}) check_document(reference("random " + std::to_string(seed) + " 40"));
}

}  // namespace
}  // namespace eos::config_tree
