// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/signature.h"

#include <gtest/gtest.h>

#include "trusted/wasm/test_modules.h"

namespace eos::wasm {
namespace {

// A module with its description replaced: one more custom section at the end.
Bytes described(const Bytes& wasm, std::string_view text) {
    std::string section =
        "\x0d"
        "eos.functions" +
        std::string(text);
    Bytes out = wasm;
    out.push_back(std::byte{0});
    // A LEB128 of two bytes takes up to 16,383.
    out.push_back(static_cast<std::byte>((section.size() & 0x7f) | 0x80));
    out.push_back(static_cast<std::byte>(section.size() >> 7));
    append(out, as_bytes(section));
    return out;
}

Result<Signatures> read(std::string_view text) {
    const Bytes wasm = described(testing::test_module("json_odd"), text);
    const auto module = Module::load(wasm, Limits{}, {});
    EXPECT_TRUE(module.has_value());
    return Signatures::read(*module);
}

TEST(Signature, ParsesALine) {
    const auto got = parse_signature(" put-it ( key : string,data: bytes , n:u64 )->bool\r");
    ASSERT_TRUE(got.has_value()) << got.error().message();
    EXPECT_EQ(got->name, "put-it");
    ASSERT_EQ(got->parameters.size(), 3u);
    EXPECT_EQ(got->parameters[1].name, "data");
    EXPECT_EQ(got->parameters[1].type, JsonType::kBytes);
    EXPECT_EQ(got->results, std::vector{JsonType::kBool});
    EXPECT_EQ(to_string(lowered(*got)), "(i32, i32, i32, i32, i64) -> (i32)");
    const auto nothing = parse_signature("f()");
    ASSERT_TRUE(nothing.has_value());
    EXPECT_EQ(to_string(lowered(*nothing)), "() -> ()");
}

TEST(Signature, RefusesOtherLines) {
    for (const char* line : {"", "f", "f(", "f(a)", "f(a:)", "f(a: s32", "f(a: s32,)", "f(a: s33)",
                             "f(a: s32, a: s32)", "f() ->", "f() -> s32, s32", "f() s32",
                             "(a: s32)", "f(a: s32) -> s32 x", "\xff()"}) {
        const auto got = parse_signature(line);
        ASSERT_FALSE(got.has_value()) << line;
        EXPECT_EQ(got.error().code(), bad_signature);
    }
    std::string many = "f(";
    for (int i = 0; i < 65; ++i) many += "a" + std::to_string(i) + ": s32,";
    many.back() = ')';
    EXPECT_FALSE(parse_signature(many).has_value());
}

TEST(Signatures, DescribedFunctionsFirstThenThoseOfNumbersOnly) {
    const auto got = read("length(text: string) -> u32\n\n");
    ASSERT_TRUE(got.has_value()) << got.error().message();
    ASSERT_NE(got->find("length"), nullptr);
    EXPECT_EQ(got->find("length")->parameters[0].type, JsonType::kString);
    ASSERT_NE(got->find("two"), nullptr);
    EXPECT_EQ(got->find("two")->results, (std::vector{JsonType::kS64, JsonType::kS32}));
    EXPECT_EQ(got->find("vector"), nullptr);
    EXPECT_EQ(got->find("_hidden"), nullptr);
    EXPECT_EQ(got->find("eos_alloc"), nullptr);
    EXPECT_EQ(got->find("memory"), nullptr);
}

TEST(Signatures, ADescriptionHasToBeTrue) {
    EXPECT_EQ(read("absent()").error().detail(), "absent is not exported");
    EXPECT_EQ(read("memory()").error().detail(), "memory is not exported");
    EXPECT_EQ(read("length(n: s32) -> u32").error().code(), bad_signature);
    EXPECT_EQ(read("spin() -> s32").error().code(), bad_signature);
    EXPECT_EQ(read("_hidden() -> s32").error().detail(), "_hidden is internal");
    EXPECT_EQ(read("eos_alloc(size: s32) -> s32").error().detail(), "eos_alloc is internal");
    EXPECT_EQ(read("spin()\nspin()").error().detail(), "spin is described twice");
}

TEST(Signatures, StringsNeedAnAllocator) {
    const auto module = Module::load(
        described(testing::test_module("basics"), "grow(n: s32) -> s32\nadd(t: string) -> s32"),
        Limits{}, {});
    ASSERT_TRUE(module.has_value());
    const auto got = Signatures::read(*module);
    ASSERT_FALSE(got.has_value());
    EXPECT_NE(got.error().detail().find("eos_alloc"), std::string::npos);
}

}  // namespace
}  // namespace eos::wasm
