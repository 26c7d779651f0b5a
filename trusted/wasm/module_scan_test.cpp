// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/module_scan.h"

#include <gtest/gtest.h>

#include "trusted/wasm/engine.h"
#include "trusted/wasm/test_modules.h"

namespace eos::wasm {
namespace {

using testing::leb;
using testing::module_of;
using testing::raw;
using testing::section;
using testing::test_module;

const Bytes kOneType = section(1, raw({1, 0x60, 0, 0}));
const Bytes kOneFunction = section(3, raw({1, 0}));

Bytes one_function(const Bytes& locals_and_code) {
    const Bytes size = leb(static_cast<std::uint32_t>(locals_and_code.size()));
    return module_of(
        {kOneType, kOneFunction, section(10, concat({raw({1}), size, locals_and_code}))});
}

void expect_refused(const Bytes& wasm, const Code& code, std::string_view detail) {
    const auto info = scan_module(wasm);
    ASSERT_FALSE(info.has_value()) << detail;
    EXPECT_EQ(info.error().code(), code) << info.error().message();
    EXPECT_NE(info.error().detail().find(detail), std::string::npos) << info.error().message();
}

TEST(ModuleScan, DescribesAModule) {
    const auto info = scan_module(test_module("host"));
    ASSERT_TRUE(info.has_value());
    ASSERT_EQ(info->imports.size(), 3u);
    EXPECT_EQ(info->imports[0].module, "test");
    EXPECT_EQ(info->imports[0].name, "add_one");
    EXPECT_EQ(to_string(info->imports[0].type), "(i32) -> (i32)");
    ASSERT_EQ(info->exports.size(), 7u);
    EXPECT_EQ(info->exports[0].name, "memory");
    EXPECT_EQ(info->exports[0].kind, ExternKind::kMemory);
    EXPECT_EQ(info->exports[1].name, "direct");
    EXPECT_EQ(info->memory->initial, 1u);
    EXPECT_EQ(info->memory->maximum, kMaxPages);
    EXPECT_EQ(info->table_elements, 2u);
}

TEST(ModuleScan, AcceptsTheSmallestModule) {
    EXPECT_TRUE(scan_module(module_of({})).has_value());
    EXPECT_TRUE(scan_module(one_function(raw({0, 0x0b}))).has_value());
}

TEST(ModuleScan, EveryTruncationIsRefused) {
    const Bytes whole = test_module("basics");
    ASSERT_TRUE(scan_module(whole).has_value());
    std::size_t accepted = 0;
    for (std::size_t size = 0; size < whole.size(); ++size) {
        accepted += scan_module(ByteView(whole).first(size)).has_value() ? 1 : 0;
    }
    // Only between two sections, before the code that the function section announces.
    EXPECT_LE(accepted, 2u);
}

TEST(ModuleScan, RefusesOtherFiles) {
    expect_refused(to_bytes("#!/bin/sh\n# not wasm"), malformed_module, "magic");
    expect_refused(raw({0, 'a', 's', 'm', 2, 0, 0, 0}), malformed_module, "version");
    expect_refused(raw({0, 'a', 's', 'm', 0x0d, 0, 1, 0}), unsupported_feature, "component");
    expect_refused(Bytes(kMaxModuleBytes + 1), module_limit, "16777217 bytes");
}

TEST(ModuleScan, RefusesSectionsOutOfOrderOrTwice) {
    expect_refused(module_of({kOneFunction, kOneType}), malformed_module, "no such type");
    expect_refused(module_of({kOneType, kOneType}), malformed_module, "out of order");
    expect_refused(module_of({section(13, raw({0}))}), unsupported_feature, "section 13");
    expect_refused(module_of({section(1, raw({0, 0}))}), malformed_module, "left over");
}

TEST(ModuleScan, WhatAnInstanceHoldsOfFunctionTypesIsBounded) {
    const Bytes type = section(
        1, concat({raw({1, 0x60}), leb(kMaxParams), Bytes(kMaxParams, std::byte{0x7f}), raw({0})}));
    const auto functions_of = [&](std::size_t count) {
        const Bytes types(count, std::byte{0});
        return module_of(
            {type, section(3, concat({leb(static_cast<std::uint32_t>(count)), types}))});
    };
    constexpr std::size_t kMost = kMaxSignatureValues / kMaxParams;
    expect_refused(functions_of(kMost + 1), module_limit, "parameters and results");
    expect_refused(functions_of(kMost), malformed_module, "");
}

TEST(ModuleScan, CountsAreBounded) {
    expect_refused(module_of({section(1, leb(kMaxTypes + 1))}), module_limit, "types");
    expect_refused(module_of({section(2, leb(kMaxImports + 1))}), module_limit, "imports");
    expect_refused(module_of({section(3, leb(kMaxFunctions + 1))}), module_limit, "functions");
    expect_refused(module_of({section(4, leb(kMaxTables + 1))}), module_limit, "tables");
    expect_refused(module_of({section(5, leb(2))}), module_limit, "memories");
    expect_refused(module_of({section(6, leb(kMaxGlobals + 1))}), module_limit, "globals");
    expect_refused(module_of({section(7, leb(kMaxExports + 1))}), module_limit, "exports");
    expect_refused(module_of({section(9, leb(kMaxSegments + 1))}), module_limit, "segments");
    expect_refused(module_of({section(11, leb(kMaxSegments + 1))}), module_limit, "segments");
    expect_refused(module_of({section(1, concat({raw({1, 0x60}), leb(kMaxParams + 1)}))}),
                   module_limit, "parameters");
    expect_refused(module_of({section(1, concat({raw({1, 0x60, 0}), leb(kMaxResults + 1)}))}),
                   module_limit, "results");
    expect_refused(one_function(concat({raw({1}), leb(kMaxLocals + 1), raw({0x7f, 0x0b})})),
                   module_limit, "locals");
    // Two groups that overflow 32 bits together.
    expect_refused(one_function(concat({raw({2}), leb(0xffff'ffff), raw({0x7f}), leb(2)})),
                   module_limit, "locals");
}

TEST(ModuleScan, ElementsOfAllSegmentsAreBounded) {
    expect_refused(module_of({section(9, concat({raw({1, 1, 0}), leb(kMaxElements + 1)}))}),
                   module_limit, "elements");
}

Bytes nested(std::uint32_t depth) {
    Bytes code = raw({0});
    for (std::uint32_t i = 0; i < depth; ++i) append(code, raw({0x02, 0x40}));
    for (std::uint32_t i = 0; i < depth + 1; ++i) code.push_back(std::byte{0x0b});
    return one_function(code);
}

TEST(ModuleScan, NestingIsBounded) {
    EXPECT_TRUE(scan_module(nested(kMaxNesting - 1)).has_value());
    expect_refused(nested(kMaxNesting), module_limit, "nest");
    // What the scan lets through the library can digest.
    EXPECT_TRUE(Module::load(nested(kMaxNesting - 1), Limits{}, {}).has_value());
}

TEST(ModuleScan, InstructionsAreBounded) {
    Bytes code = raw({0});
    code.insert(code.end(), kMaxInstructions, std::byte{0x01});
    code.push_back(std::byte{0x0b});
    expect_refused(one_function(code), module_limit, "instructions");
}

TEST(ModuleScan, RefusesInstructionsThatAreNotOffered) {
    expect_refused(one_function(raw({0, 0x06, 0x40, 0x0b, 0x0b})), unsupported_feature, "6");
    expect_refused(one_function(raw({0, 0x12, 0, 0x0b})), unsupported_feature, "18");
    expect_refused(one_function(raw({0, 0xfe, 0x03, 0, 0x0b})), unsupported_feature, "254");
    expect_refused(one_function(raw({0, 0xfc, 18, 0x0b})), unsupported_feature, "252 18");
    expect_refused(one_function(raw({0, 0xfd, 0x80, 0x02, 0x0b})), unsupported_feature, "253 256");
}

TEST(ModuleScan, RefusesImportsThatAreNotFunctions) {
    const Bytes import =
        concat({raw({1, 3}), to_bytes("env"), raw({6}), to_bytes("memory"), raw({2, 0, 1})});
    expect_refused(module_of({section(2, import)}), unsupported_feature, "env.memory");
}

TEST(ModuleScan, IntegersAreStrict) {
    // Six bytes; five bytes with bits beyond 32.
    expect_refused(module_of({section(3, raw({0x80, 0x80, 0x80, 0x80, 0x80, 0x00}))}),
                   malformed_module, "integer");
    expect_refused(module_of({section(3, raw({0x80, 0x80, 0x80, 0x80, 0x10}))}), malformed_module,
                   "integer");
    // i32.const with a last byte whose unused bits are not the sign.
    expect_refused(one_function(raw({0, 0x41, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1a, 0x0b})),
                   malformed_module, "integer");
    EXPECT_TRUE(scan_module(one_function(raw({0, 0x41, 0x80, 0x80, 0x80, 0x80, 0x78, 0x1a, 0x0b})))
                    .has_value());
    EXPECT_TRUE(scan_module(one_function(raw({0, 0x42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                              0xff, 0xff, 0x7f, 0x1a, 0x0b})))
                    .has_value());
}

TEST(ModuleScan, CollectsTheFunctionsSections) {
    const auto custom = [](std::string_view name, std::string_view text) {
        const Bytes length = leb(static_cast<std::uint32_t>(name.size()));
        return section(0, concat({length, as_bytes(name), as_bytes(text)}));
    };
    const auto info =
        scan_module(module_of({custom("eos.functions", "a() -> s32\n"), kOneType,
                               custom("name", "zzz"), custom("eos.functions", "b()\n")}));
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->functions_text, "a() -> s32\nb()\n");
    EXPECT_EQ(info->custom_sections.size(), 3u);
    expect_refused(module_of({section(0, {})}), malformed_module, "ends inside");
}

// The library reads data segments' offsets as if there were a memory, and constant expressions as
// if they were code.
TEST(ModuleScan, StopsWhatTheLibraryDoesNot) {
    expect_refused(module_of({section(11, raw({1, 0, 0x41, 0, 0x0b, 0}))}), malformed_module,
                   "without a memory");
    expect_refused(module_of({section(6, raw({1, 0x7f, 0, 0x20, 0, 0x0b}))}), unsupported_feature,
                   "constant expression");
    expect_refused(module_of({section(6, raw({1, 0x7f, 0, 0x23, 0, 0x0b}))}), malformed_module,
                   "not imported");
    expect_refused(module_of({kOneType, kOneFunction}), malformed_module, "bodies");
    expect_refused(module_of({kOneType, kOneFunction, section(8, raw({7}))}), malformed_module,
                   "start function");
}

// 42 bytes (41 with a start function instead of the export) that the library accepts when it reads
// for its interpreter, and crashes on: data.drop of a segment that is only announced.
TEST(ModuleScan, AnAnnouncedDataSegmentHasToBeThere) {
    const Bytes exported = section(7, concat({raw({1, 1}), to_bytes("a"), raw({0, 0})}));
    const Bytes code = section(10, raw({1, 5, 0, 0xfc, 9, 0, 0x0b}));
    const Bytes wasm = module_of({kOneType, kOneFunction, section(5, raw({1, 0, 1})), exported,
                                  section(12, raw({1})), code});
    EXPECT_EQ(wasm.size(), 42u);
    expect_refused(wasm, malformed_module, "data segments");
}

TEST(ModuleScan, AnElseNeedsItsIf) {
    expect_refused(one_function(raw({0, 0x05, 0x0b})), malformed_module, "else");
    expect_refused(one_function(raw({0, 0x02, 0x40, 0x05, 0x0b, 0x0b})), malformed_module, "else");
    const Bytes twice = raw({0, 0x41, 1, 0x04, 0x40, 0x05, 0x05, 0x0b, 0x0b});
    expect_refused(one_function(twice), malformed_module, "else");
    const Bytes once = raw({0, 0x41, 1, 0x04, 0x40, 0x05, 0x0b, 0x0b});
    EXPECT_TRUE(scan_module(one_function(once)).has_value());
}

TEST(ModuleLoad, ValidatorsMessageHasItsPosition) {
    // A function that should return nothing leaves an i32.
    const auto module = Module::load(one_function(raw({0, 0x41, 0, 0x0b})), Limits{}, {});
    ASSERT_FALSE(module.has_value());
    EXPECT_EQ(module.error().code(), invalid_module);
    EXPECT_TRUE(module.error().detail().starts_with("at byte 2")) << module.error().message();
    EXPECT_NE(module.error().detail().find("type mismatch"), std::string::npos);
}

TEST(ModuleLoad, CustomSectionsDoNotReachTheLibrary) {
    // A "linking" section full of nonsense, which the library would otherwise parse.
    const Bytes linking = concat({raw({7}), to_bytes("linking"), Bytes(64, std::byte{0xff})});
    EXPECT_TRUE(Module::load(module_of({section(0, linking)}), Limits{}, {}).has_value());
}

}  // namespace
}  // namespace eos::wasm
