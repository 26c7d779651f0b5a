// SPDX-License-Identifier: AGPL-3.0-only
#include "client/policy/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace eos::client::policy {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string json_of(std::string_view text) {
    const Result<YamlDocument> out = parse_yaml(as_bytes(text));
    return out ? json::compact(out->value) : out.error().message();
}

std::string refusal_of(std::string_view text) {
    const Result<YamlDocument> out = parse_yaml(as_bytes(text));
    if (out) return "";
    EXPECT_EQ(out.error().code(), bad_yaml) << text;
    return out.error().detail();
}

TEST(Yaml, BecomesTheJsonThatItMeans) {
    EXPECT_EQ(json_of("version: 1\nname: shop  # ours\nlist: [a, 'b', \"c\"]\n"),
              R"({"list":["a","b","c"],"name":"shop","version":1})");
    EXPECT_EQ(json_of("a:\n- b: 1\n  c: 2\n-\n  - d\n"), R"({"a":[{"b":1,"c":2},["d"]]})");
    EXPECT_EQ(json_of("pem: |\n  one\n  two\n"), R"({"pem":"one\ntwo\n"})");
    EXPECT_EQ(json_of("folded: >-\n  one\n  two\n"), R"({"folded":"one two"})");
    EXPECT_EQ(json_of("text: \"\\u00e9 \\n\"\n"), "{\"text\":\"\xc3\xa9 \\n\"}");
    EXPECT_EQ(json_of("%YAML 1.2\n---\na: {}\nb: []\n...\n"), R"({"a":{},"b":[]})");
}

TEST(Yaml, JsonIsYaml) {
    const std::string text = R"({"a":[1,true,null,"1",{"b":"x\ty"}]})";
    EXPECT_EQ(json_of(text), text);
}

TEST(Yaml, WhatIsQuotedIsText) {
    EXPECT_EQ(json_of(R"({a: "123", b: '1e10', c: "true", d: 'null', e: "", f: "0x10"})"),
              R"({"a":"123","b":"1e10","c":"true","d":"null","e":"","f":"0x10"})");
    EXPECT_EQ(json_of("a: |-\n  123\n"), R"({"a":"123"})");
}

TEST(Yaml, PlainScalarsAreThoseOfTheCoreSchema) {
    EXPECT_EQ(json_of("[0, 007, -5, +5, 0x1F, 0o17, 18446744073709551615]"),
              "[0,7,-5,5,31,15,18446744073709551615]");
    EXPECT_EQ(json_of("[true, false, null, ~, ]"), "[true,false,null,null]");
    EXPECT_EQ(json_of("a:\n"), R"({"a":null})");
    // Words of YAML 1.1 and what only resembles a number are text.
    EXPECT_EQ(json_of("[yes, no, on, Off, 0b1, 1_000, 0xg, 12h, 1e, e5, ., +, 12:30, 2026-01-01]"),
              R"(["yes","no","on","Off","0b1","1_000","0xg","12h","1e","e5",".","+","12:30",)"
              R"("2026-01-01"])");
    EXPECT_EQ(json_of("a: 4f0c99aa"), R"({"a":"4f0c99aa"})");
}

TEST(Yaml, WhatMayBeADigestWithoutQuotesIsRefused) {
    for (const char* text : {"1e10", "12345e67", "1.5", ".5", "5.", "-1.0E+3", ".inf", "-.Inf",
                             ".nan", "18446744073709551616", "-9223372036854775809",
                             "00112233445566778899001122334455667788990011223344556677889900112"}) {
        const std::string refusal =
            refusal_of("x:\n  pins: [{mr_enclave: " + std::string(text) + "}]");
        EXPECT_THAT(refusal, StartsWith("line 2, column 23: x.pins[0].mr_enclave: ")) << text;
        EXPECT_THAT(refusal, HasSubstr("quote it if it is text")) << text;
    }
    EXPECT_THAT(refusal_of("a: 0x00112233445566778899"), HasSubstr("quote it if it is text"));
    for (const char* text : {"True", "TRUE", "False"})
        EXPECT_THAT(refusal_of("a: " + std::string(text)), HasSubstr("write true or false"));
}

TEST(Yaml, KeysAreTextEachOnce) {
    EXPECT_EQ(json_of("'<<': 1\n\"2\": 2\n1.2.840: 3\n"), R"({"1.2.840":3,"2":2,"<<":1})");
    EXPECT_EQ(refusal_of("a: 1\nb:\n  c: 1\n  c: 2\n"), "line 4, column 3: b: c is there twice");
    EXPECT_EQ(refusal_of("{a: 1, \"a\": 2}"), "line 1, column 8: a is there twice");
    EXPECT_THAT(refusal_of("1: a"), HasSubstr("a key must be text: quote 1"));
    EXPECT_THAT(refusal_of("1.3: a"), HasSubstr("quote it"));
    EXPECT_THAT(refusal_of("~: a"), HasSubstr("a key must be text"));
    EXPECT_THAT(refusal_of("[a]: b"), HasSubstr("a key must be text"));
    EXPECT_THAT(refusal_of("? {a: b}\n: c"), HasSubstr("a key must be text"));
    EXPECT_THAT(refusal_of(std::string(kMaxYamlKeyBytes + 1, 'k') + ": 1"),
                HasSubstr("a key this"));
}

TEST(Yaml, WhatHidesAValueIsRefused) {
    EXPECT_EQ(refusal_of("a: 1\nb: &x 2\n"), "line 2, column 4: b: anchors are not read here");
    EXPECT_THAT(refusal_of("a: &x [1]\n"), HasSubstr("anchors"));
    EXPECT_THAT(refusal_of("a: *x\n"), HasSubstr("line 1, column 4: "));
    EXPECT_THAT(refusal_of("a: !!str 1\n"), HasSubstr("tags are not read here"));
    EXPECT_THAT(refusal_of("a: !mine [1]\n"), HasSubstr("tags are not read here"));
    EXPECT_THAT(refusal_of("a:\n  <<: {b: 1}\n"), HasSubstr("a: merge keys are not read here"));
    EXPECT_EQ(refusal_of("a: 1\n---\na: 2\n"), "there is a second document");
}

TEST(Yaml, WhatIsNoneOrTooMuchIsRefused) {
    EXPECT_EQ(refusal_of(""), "there is nothing in it");
    EXPECT_EQ(refusal_of("# nothing\n"), "there is nothing in it");
    EXPECT_EQ(refusal_of("a: \xff"), "not UTF-8");
    EXPECT_THAT(refusal_of("a: [1\nb: 2"), StartsWith("line "));
    EXPECT_THAT(refusal_of("a: 'x"), StartsWith("line 1, column "));
    EXPECT_EQ(json_of("[[[[[[[[1]]]]]]]]"), "[[[[[[[[1]]]]]]]]");
    EXPECT_THAT(refusal_of("[[[[[[[[[1]]]]]]]]]"), HasSubstr("nested too deeply"));
    EXPECT_THAT(refusal_of(std::string(100'000, '[')), StartsWith("line 1, column "));
    EXPECT_THAT(refusal_of(std::string(kMaxYamlBytes + 1, ' ')), HasSubstr("262144 bytes"));
    std::string many = "[1";
    for (std::size_t i = 0; i < kMaxYamlValues; ++i) many += ",1";
    EXPECT_THAT(refusal_of(many + "]"), HasSubstr("more values than are read"));
}

TEST(Yaml, PlacesAreThoseOfKeysAndElements) {
    const auto out = parse_yaml(as_bytes(std::string_view("a: 1\nb:\n- c\n- d: null\n"))).value();
    const auto at = [&](const char* path) { return describe(out.places.at(path)); };
    EXPECT_EQ(at(""), "line 1, column 1");
    EXPECT_EQ(at("b"), "line 2, column 1");
    EXPECT_EQ(at("b[0]"), "line 3, column 3");
    EXPECT_EQ(at("b[1].d"), "line 4, column 3");
    EXPECT_EQ(out.places.at("a").reads_as, "a number");
    EXPECT_EQ(out.places.at("b[0]").reads_as, "");
    EXPECT_EQ(out.places.at("b[1].d").reads_as, "null");
}

}  // namespace
}  // namespace eos::client::policy
