// SPDX-License-Identifier: AGPL-3.0-only
#include "common/config_tree/manifest.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::config_tree {
namespace {

Tree sample() {
    TreeBuilder builder(*Scope::workload("hello"));
    builder.add(Name::of({"a.b", "c"}), Value::constant("tab\t\"quoted\" é"));
    builder.add(Name::of({"bytes"}), *Value::bytes(Bytes(3, std::byte{255})));
    builder.add(Name::of({"digest"}), Value::sha256(Digest32{std::byte{9}}));
    builder.add(Name::of({"env", "TOKEN"}),
                Value::salted(ByteArray<32>{std::byte{1}}, as_bytes("x")));
    builder.add(Name::of({"flag"}), Value::boolean(true));
    builder.add(Name::of({"number"}), Value::u64(0xFFFFFFFFFFFFFFFF));
    return *std::move(builder).build();
}

template <typename T>
std::string outcome(const Result<T>& result) {
    return result.has_value() ? "accepted" : std::string(result.error().code().name);
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    std::size_t at = text.find(from);
    EXPECT_NE(at, text.npos) << from;
    return at == text.npos ? text : text.replace(at, from.size(), to);
}

TEST(ConfigTreeManifest, ReadBackGivesTheSameTree) {
    Tree tree = sample();
    std::string text = encode_manifest(tree);
    Result<Tree> back = parse_manifest(as_bytes(text));
    ASSERT_TRUE(back.has_value()) << back.error().message();
    EXPECT_EQ(back->root(), tree.root());
    EXPECT_EQ(back->scope(), tree.scope());
    EXPECT_EQ(encode_manifest(*back), text);
    EXPECT_EQ(text.find("TOKEN\",\"x"), text.npos);
}

struct TextCase {
    std::string_view code;
    std::string_view from;
    std::string_view to;
};

TEST(ConfigTreeManifest, MutatedTexts) {
    const std::vector<TextCase> cases{
        {"bad_format", "config-manifest/1", "config-manifest/2"},
        {"bad_scope", "\"workload\"", "\"container\""},
        {"bad_scope", "\"workload\"", "\"policy\""},
        {"bad_scope", "\"hello\"", "\"Hello\""},
        {"bad_name", "a%2Eb", "a%2eb"},
        {"bad_name", "\"a%2Eb\",\"c\"", ""},
        {"bad_kind", "\"u64\"", "\"u32\""},
        {"bad_value", "18446744073709551615", "18446744073709551616"},
        {"bad_value", "18446744073709551615", "007"},
        {"bad_value", "18446744073709551615", "-1"},
        {"bad_encoding", "////", "///"},
        {"bad_encoding", "\"09", "\"9"},
        {"wrong_type", "true", "1"},
        {"missing_member", "\"value_hash\"", "\"value\""},
        {"unknown_member", "\"flag\"]", "\"flag\"],\"x\":1"},
        {"repeated_member", "\"flag\"]", "\"flag\"],\"kind\":\"bool\""},
        {"unsorted_leaves", "\"flag\"]", "\"zzz\"]"},
        {"duplicate_name", "\"flag\"]", "\"env\",\"TOKEN\"]"},
        {"bad_syntax", "true", "tru"},
        {"bad_syntax", "\"scope\"", "]\"scope\""},
    };
    std::string text = encode_manifest(sample());
    for (const TextCase& c : cases) {
        std::string mutated = replaced(text, c.from, c.to);
        EXPECT_EQ(outcome(parse_manifest(as_bytes(mutated))), c.code) << c.from << " " << c.to;
    }
}

TEST(ConfigTreeManifest, EveryLeafCountsForTheRoot) {
    std::string text = encode_manifest(sample());
    for (auto [from, to] :
         std::vector<std::pair<std::string_view, std::string_view>>{{"a%2Eb", "a%2Ea"},
                                                                    {"////", "///+"},
                                                                    {"true", "false"},
                                                                    {"\"09", "\"0a"},
                                                                    {"551615", "551614"},
                                                                    {"hello", "hallo"}}) {
        Result<Tree> other = parse_manifest(as_bytes(replaced(text, from, to)));
        ASSERT_TRUE(other.has_value()) << from;
        EXPECT_NE(other->root(), sample().root()) << from;
    }
}

TEST(ConfigTreeManifest, OversizedTextIsRefusedUnread) {
    EXPECT_EQ(outcome(parse_manifest(Bytes(kMaxManifestBytes + 1))), "too_large");
    EXPECT_EQ(outcome(parse_inclusion_proof(Bytes(kMaxProofBytes + 1))), "too_large");
    EXPECT_EQ(outcome(parse_history(Bytes(kMaxHistoryBytes + 1))), "too_large");
}

TEST(ConfigTreeProofText, ReadBack) {
    Tree tree = sample();
    for (const Leaf& leaf : tree.leaves()) {
        InclusionProof proof = *tree.prove_inclusion(leaf.name);
        Result<InclusionProof> back = parse_inclusion_proof(as_bytes(encode_proof(proof)));
        ASSERT_TRUE(back.has_value()) << back.error().message();
        EXPECT_EQ(*back, proof);
    }
    for (std::string_view name : {"A", "bytez", "zz"}) {
        AbsenceProof proof = *tree.prove_absence(Name::of({name}));
        Result<AbsenceProof> back = parse_absence_proof(as_bytes(encode_proof(proof)));
        ASSERT_TRUE(back.has_value()) << back.error().message();
        EXPECT_EQ(*back, proof);
    }
}

TEST(ConfigTreeProofText, LargestProofFits) {
    Value big = *Value::bytes(Bytes(kMaxValueBytes, std::byte{0xAA}));
    std::vector<std::string> components(kMaxNameComponents, std::string(kMaxComponentBytes, '.'));
    ProvedLeaf leaf{65535, {*Name::from(components), big}, std::vector<Digest32>(kMaxPathNodes)};
    AbsenceProof proof{Scope::policy(), kMaxLeaves, leaf.leaf.name, leaf, leaf};
    EXPECT_EQ(outcome(parse_absence_proof(as_bytes(encode_proof(proof)))), "accepted");
}

TEST(ConfigTreeProofText, MutatedTexts) {
    Tree tree = sample();
    std::string inclusion = encode_proof(*tree.prove_inclusion(Name::of({"flag"})));
    std::string absence = encode_proof(*tree.prove_absence(Name::of({"flab"})));
    EXPECT_EQ(outcome(parse_absence_proof(as_bytes(inclusion))), "bad_format");
    EXPECT_EQ(outcome(parse_inclusion_proof(as_bytes(absence))), "bad_format");
    for (const TextCase& c : std::vector<TextCase>{
             {"out_of_range", "\"count\":6", "\"count\":4294967296"},
             {"out_of_range", "\"count\":6", "\"count\":-1"},
             {"missing_member", "\"count\":6,", ""},
             {"wrong_type", "\"index\":4", "\"index\":\"4\""},
             {"bad_encoding", "\"path\":[\"", "\"path\":[\"00"},
             {"unknown_member", "\"index\":4", "\"index\":4,\"root\":\"\""},
         }) {
        EXPECT_EQ(outcome(parse_inclusion_proof(as_bytes(replaced(inclusion, c.from, c.to)))),
                  c.code)
            << c.from;
    }
    std::string nodes = "\"path\":[";
    for (int i = 0; i < 17; ++i) nodes += "\"" + std::string(64, '0') + "\",";
    EXPECT_EQ(outcome(parse_inclusion_proof(as_bytes(replaced(inclusion, "\"path\":[", nodes)))),
              "out_of_range");
    EXPECT_EQ(outcome(parse_absence_proof(as_bytes(replaced(absence, "\"before\"", "\"befor\"")))),
              "missing_member");
}

TEST(ConfigTreeHistoryText, ReadBackAndMutate) {
    History history;
    history.append({1, Digest32{std::byte{1}}, UnixTime{0}});
    history.append({0xFFFFFFFFFFFFFFFF, Digest32{std::byte{2}}, UnixTime{1788516930}});
    std::string text = encode_history(history);
    Result<History> back = parse_history(as_bytes(text));
    ASSERT_TRUE(back.has_value()) << back.error().message();
    EXPECT_EQ(*back, history);
    EXPECT_TRUE(verify_history(*back).has_value());
    for (const TextCase& c : std::vector<TextCase>{
             {"bad_time", "1970-01-01T", "1969-12-31T"},
             {"bad_time", "1970-01-01T", "1970-02-30T"},
             {"bad_value", "\"1\"", "\"01\""},
             {"missing_member", "\"head\"", "\"heed\""},
             {"unknown_member", "\"head\"", "\"more\":0,\"head\""},
         }) {
        EXPECT_EQ(outcome(parse_history(as_bytes(replaced(text, c.from, c.to)))), c.code) << c.to;
    }
}

}  // namespace
}  // namespace eos::config_tree
