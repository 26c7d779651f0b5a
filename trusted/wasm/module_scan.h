// SPDX-License-Identifier: AGPL-3.0-only
// Our own first look at a module, before the engine's library sees a byte of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "trusted/wasm/value.h"

namespace eos::wasm {

inline constexpr Code malformed_module{"trusted/wasm", "malformed_module",
                                       "this is not a well-formed WebAssembly module"};
inline constexpr Code module_limit{"trusted/wasm", "module_limit",
                                   "the module exceeds a limit of this platform"};
inline constexpr Code unsupported_feature{
    "trusted/wasm", "unsupported_feature",
    "the module uses a WebAssembly feature this platform does not offer"};

inline constexpr std::size_t kMaxModuleBytes = 16 * 1024 * 1024;
inline constexpr std::uint32_t kMaxTypes = 10'000;
inline constexpr std::uint32_t kMaxParams = 255;
inline constexpr std::uint32_t kMaxResults = 32;
inline constexpr std::uint32_t kMaxImports = 1'000;
inline constexpr std::uint32_t kMaxFunctions = 50'000;
/// Parameters and results of all functions together: the engine copies each into every instance,
/// whatever the instance may take of memory and before it runs.
inline constexpr std::size_t kMaxSignatureValues = 500'000;
inline constexpr std::uint32_t kMaxTables = 16;
inline constexpr std::uint32_t kMaxGlobals = 10'000;
inline constexpr std::uint32_t kMaxExports = 10'000;
inline constexpr std::uint32_t kMaxSegments = 10'000;   ///< of data, and of elements
inline constexpr std::uint32_t kMaxElements = 200'000;  ///< in all element segments together
inline constexpr std::uint32_t kMaxLocals = 10'000;     ///< of one function, parameters included
inline constexpr std::uint32_t kMaxNesting = 4'096;     ///< of blocks in one function
inline constexpr std::uint32_t kMaxCustomSections = 100;
/// Of the whole module, a branch table's targets counted one each: what validation costs in memory
/// is proportional to it.
inline constexpr std::uint32_t kMaxInstructions = 2'000'000;
inline constexpr std::uint32_t kMaxPages = 65'536;  ///< 4 GiB, the most that 32 bits address

/// What an export can be; the binary format's codes.
enum class ExternKind : std::uint8_t { kFunction = 0, kTable = 1, kMemory = 2, kGlobal = 3 };

/// A function the module wants from its host.
struct ModuleImport {
    std::string module;
    std::string name;
    FunctionType type;
};

/// What the module shows to the outside.
struct ModuleExport {
    std::string name;
    ExternKind kind = ExternKind::kFunction;
    std::uint32_t index = 0;  ///< among the things of its kind, imports first
    FunctionType type;        ///< of a function; empty otherwise
};

/// A memory's declared size, in pages of 64 KiB.
struct PageLimits {
    std::uint32_t initial = 0;
    std::uint32_t maximum = kMaxPages;  ///< as declared
};

/// What the scan found out.
struct ModuleInfo {
    std::vector<ModuleImport> imports;  ///< functions only; anything else is refused
    std::vector<ModuleExport> exports;  ///< in the module's order; names are unique
    std::optional<PageLimits> memory;
    std::vector<std::uint64_t> table_maxima;  ///< declared, one per table
    std::uint64_t table_elements = 0;         ///< initial, all tables together
    std::uint64_t instructions = 0;
    /// Content of the custom section "eos.functions" (docs/apps-json.md), or empty.
    std::string functions_text;
    /// Where custom sections' contents lie: the engine gets them blanked out.
    struct Range {
        std::size_t begin;
        std::size_t size;
    };
    std::vector<Range> custom_sections;
};

/// Parses everything but the meaning of function bodies: sections and their order, types, imports,
/// declarations, constant expressions, segments; in bodies, which instructions there are and how
/// deep they nest. Types are not checked: that is the engine's validator. What this lets through
/// has bounded counts, bounded nesting and known instructions only, which is what the library
/// behind the engine needs to not exhaust stack or memory; it crashes on some modules without.
/// in:      the whole module; borrowed during the call only.
/// errors:  malformed_module, module_limit, unsupported_feature, each with the byte position.
/// source:  WebAssembly 2.0 (W3C), chapter 5.
/// bound:   linear in the input.
[[nodiscard]] Result<ModuleInfo> scan_module(ByteView wasm);

}  // namespace eos::wasm
