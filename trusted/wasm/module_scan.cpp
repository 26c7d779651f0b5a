// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/module_scan.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "common/base/encoding.h"
#include "trusted/wasm/code_scan.h"
#include "trusted/wasm/module_cursor.h"

namespace eos::wasm {

namespace {

constexpr std::string_view kFunctionsSection = "eos.functions";
constexpr std::size_t kMaxFunctionsText = 64 * 1024;

// What later sections need to know of earlier ones.
class Scanner {
  public:
    explicit Scanner(ByteView wasm) : in_(wasm) {}

    Result<ModuleInfo> scan();

  private:
    void header();
    void section();
    void custom_section(std::size_t size);
    void known_section(std::uint8_t id);
    void types();
    void imports();
    void functions();
    void tables();
    void memories();
    void globals();
    void exports();
    void start();
    void elements();
    void element_segment();
    void data_count();
    void code();
    void data();
    void check_whole();

    FunctionType function_type();
    FunctionType type_of_function(std::uint32_t index);
    struct Bounds {
        std::uint32_t minimum;
        std::uint32_t maximum;
    };
    Bounds bounds(std::uint32_t default_maximum);
    std::size_t function_count() const { return info_.imports.size() + function_types_.size(); }

    ModuleCursor in_;
    ModuleInfo info_;
    CodeContext context_;
    unsigned last_order_ = 0;
    std::uint32_t customs_ = 0;
    std::uint32_t element_total_ = 0;
    std::vector<FunctionType> types_;
    std::vector<std::uint32_t> function_types_;
    std::size_t signature_values_ = 0;  ///< of all functions
    std::uint32_t globals_ = 0;
    std::uint32_t bodies_ = 0;
    std::uint32_t data_segments_ = 0;
    std::optional<std::uint32_t> declared_data_;
};

Result<ModuleInfo> Scanner::scan() {
    header();
    while (in_.ok() && in_.remaining() > 0) section();
    if (in_.ok()) check_whole();
    EOS_TRY(in_.status());
    info_.instructions = context_.instructions;
    return std::move(info_);
}

void Scanner::header() {
    constexpr std::array<std::uint8_t, 4> kMagic{0x00, 'a', 's', 'm'};
    constexpr std::array<std::uint8_t, 4> kCore{0x01, 0x00, 0x00, 0x00};
    constexpr std::array<std::uint8_t, 4> kComponent{0x0d, 0x00, 0x01, 0x00};
    const auto is = [](ByteView got, const std::array<std::uint8_t, 4>& want) {
        return equal(got, std::as_bytes(std::span(want)));
    };
    const ByteView magic = in_.bytes(4);
    const ByteView version = in_.bytes(4);
    if (!in_.ok()) return;
    if (!is(magic, kMagic)) return in_.fail(malformed_module, "no WebAssembly magic number");
    if (is(version, kComponent)) {
        return in_.fail(unsupported_feature, "this is a component; upload its core module");
    }
    if (!is(version, kCore)) in_.fail(malformed_module, "unknown version");
}

// The place of each section id in the prescribed order; 12 (data count) stands before 10 (code).
constexpr std::array<std::uint8_t, 13> kOrder{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10};

void Scanner::section() {
    const std::uint8_t id = in_.u8();
    const std::uint32_t size = in_.u32();
    if (!in_.ok()) return;
    if (id >= kOrder.size()) {
        return in_.fail(unsupported_feature, "section " + std::to_string(id));
    }
    const std::size_t old_end = in_.enter(size);
    if (id == 0) {
        custom_section(size);
    } else {
        if (kOrder[id] <= last_order_) in_.fail(malformed_module, "sections out of order");
        last_order_ = kOrder[id];
        known_section(id);
    }
    in_.leave(old_end, "a section");
}

void Scanner::custom_section(std::size_t size) {
    if (++customs_ > kMaxCustomSections) {
        return in_.fail(module_limit,
                        "more than " + std::to_string(kMaxCustomSections) + " custom sections");
    }
    info_.custom_sections.push_back({in_.position(), size});
    const std::string_view name = in_.name();
    const ByteView content = in_.bytes(in_.remaining());
    if (!in_.ok() || name != kFunctionsSection) return;
    if (info_.functions_text.size() + content.size() > kMaxFunctionsText) {
        return in_.fail(module_limit, "the section eos.functions has more than " +
                                          std::to_string(kMaxFunctionsText) + " bytes");
    }
    info_.functions_text += as_chars(content);
}

void Scanner::known_section(std::uint8_t id) {
    switch (id) {
        case 1:
            return types();
        case 2:
            return imports();
        case 3:
            return functions();
        case 4:
            return tables();
        case 5:
            return memories();
        case 6:
            return globals();
        case 7:
            return exports();
        case 8:
            return start();
        case 9:
            return elements();
        case 10:
            return code();
        case 11:
            return data();
        case 12:
            return data_count();
        default:
            return in_.fail(malformed_module, "unknown section");
    }
}

FunctionType Scanner::function_type() {
    FunctionType type;
    if (in_.u8() != 0x60) in_.fail(unsupported_feature, "a type that is not a function type");
    const std::uint32_t params = in_.count("parameters of one function", kMaxParams);
    for (std::uint32_t i = 0; i < params && in_.ok(); ++i) {
        type.params.push_back(read_value_type(in_));
    }
    const std::uint32_t results = in_.count("results of one function", kMaxResults);
    for (std::uint32_t i = 0; i < results && in_.ok(); ++i) {
        type.results.push_back(read_value_type(in_));
    }
    return type;
}

void Scanner::types() {
    const std::uint32_t count = in_.count("types", kMaxTypes);
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) types_.push_back(function_type());
}

void Scanner::imports() {
    const std::uint32_t count = in_.count("imports", kMaxImports);
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) {
        ModuleImport import;
        import.module = in_.name();
        import.name = in_.name();
        const std::uint8_t kind = in_.u8();
        const std::uint32_t type = in_.u32();
        if (!in_.ok()) return;
        if (kind != 0) {
            return in_.fail(unsupported_feature,
                            "import " + printable(as_bytes(import.module + "." + import.name)) +
                                " is not a function: memories, tables and globals cannot be "
                                "imported here");
        }
        if (type >= types_.size()) return in_.fail(malformed_module, "no such type");
        import.type = types_[type];
        info_.imports.push_back(std::move(import));
    }
}

void Scanner::functions() {
    const std::uint32_t count = in_.count("functions", kMaxFunctions);
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) {
        const std::uint32_t type = in_.u32();
        if (type >= types_.size()) return in_.fail(malformed_module, "no such type");
        signature_values_ += types_[type].params.size() + types_[type].results.size();
        if (signature_values_ > kMaxSignatureValues) {
            return in_.fail(module_limit, "parameters and results of all functions: more than " +
                                              std::to_string(kMaxSignatureValues));
        }
        function_types_.push_back(type);
    }
}

Scanner::Bounds Scanner::bounds(std::uint32_t default_maximum) {
    Bounds out{0, default_maximum};
    const std::uint8_t flags = in_.u8();
    if (flags > 1) {
        in_.fail(unsupported_feature, "shared or 64-bit memories and tables");
        return out;
    }
    out.minimum = in_.u32();
    if (flags == 1) out.maximum = in_.u32();
    if (out.minimum > out.maximum) in_.fail(malformed_module, "minimum above maximum");
    return out;
}

void Scanner::tables() {
    const std::uint32_t count = in_.count("tables", kMaxTables);
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) {
        const ValueType type = read_value_type(in_);
        if (type != ValueType::kFuncRef && type != ValueType::kExternRef) {
            return in_.fail(malformed_module, "a table of something other than references");
        }
        const Bounds limits = bounds(UINT32_MAX);
        context_.tables.push_back(type);
        info_.table_elements += limits.minimum;
        info_.table_maxima.push_back(limits.maximum);
    }
}

void Scanner::memories() {
    const std::uint32_t count = in_.count("memories", 1);
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) {
        const Bounds limits = bounds(kMaxPages);
        if (limits.maximum > kMaxPages) {
            return in_.fail(malformed_module, "a memory of more than 65536 pages");
        }
        info_.memory = PageLimits{limits.minimum, limits.maximum};
    }
}

void Scanner::globals() {
    const std::uint32_t count = in_.count("globals", kMaxGlobals);
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) {
        read_value_type(in_);
        if (in_.u8() > 1) return in_.fail(malformed_module, "mutability of a global");
        skip_constant_expression(in_);
    }
    globals_ = count;
}

FunctionType Scanner::type_of_function(std::uint32_t index) {
    if (index < info_.imports.size()) return info_.imports[index].type;
    return types_[function_types_[index - info_.imports.size()]];
}

void Scanner::exports() {
    const std::uint32_t count = in_.count("exports", kMaxExports);
    std::set<std::string_view> names;
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) {
        const std::string_view name = in_.name();
        const std::uint8_t kind = in_.u8();
        const std::uint32_t index = in_.u32();
        if (!in_.ok()) return;
        if (!names.insert(name).second) return in_.fail(malformed_module, "two exports, one name");
        const std::array<std::size_t, 4> known{function_count(), info_.table_maxima.size(),
                                               info_.memory.has_value() ? 1u : 0u, globals_};
        if (kind >= known.size()) return in_.fail(unsupported_feature, "kind of an export");
        if (index >= known[kind]) return in_.fail(malformed_module, "export of nothing");
        ModuleExport out{std::string(name), static_cast<ExternKind>(kind), index, {}};
        if (out.kind == ExternKind::kFunction) out.type = type_of_function(index);
        info_.exports.push_back(std::move(out));
    }
}

void Scanner::start() {
    const std::uint32_t index = in_.u32();
    if (!in_.ok()) return;
    if (index >= function_count()) return in_.fail(malformed_module, "no such start function");
    if (type_of_function(index) != FunctionType{}) {
        return in_.fail(malformed_module, "the start function takes or returns something");
    }
    if (index < info_.imports.size()) {
        in_.fail(unsupported_feature, "an imported start function");
    }
}

void Scanner::elements() {
    const std::uint32_t count = in_.count("element segments", kMaxSegments);
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) element_segment();
}

// Bit 0: passive or declared; bit 1: explicit table, or declared; bit 2: expressions, not indices.
// source: 5.5.12.
void Scanner::element_segment() {
    const std::uint32_t flags = in_.u32();
    if (flags > 7) return in_.fail(malformed_module, "flags of an element segment");
    const bool active = (flags & 1) == 0;
    if (active) {
        const std::uint32_t table = (flags & 2) != 0 ? in_.u32() : 0;
        if (table >= info_.table_maxima.size()) return in_.fail(malformed_module, "no such table");
        skip_constant_expression(in_);
    }
    if ((flags & 3) != 0) in_.u8();  // element kind or type: the validator looks at it
    const std::uint32_t count = in_.count("elements in segments", kMaxElements - element_total_);
    element_total_ += count;
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) {
        if ((flags & 4) != 0) {
            skip_constant_expression(in_);
        } else if (in_.u32() >= function_count()) {
            in_.fail(malformed_module, "no such function");
        }
    }
}

void Scanner::data_count() {
    declared_data_ = in_.count("data segments", kMaxSegments);
}

void Scanner::code() {
    bodies_ = in_.count("function bodies", kMaxFunctions);
    if (bodies_ != function_types_.size()) {
        return in_.fail(malformed_module, "not as many bodies as functions");
    }
    for (std::uint32_t i = 0; i < bodies_ && in_.ok(); ++i) {
        const std::uint32_t size = in_.u32();
        const std::size_t old_end = in_.enter(size);
        const std::size_t params = types_[function_types_[i]].params.size();
        std::uint64_t locals = params;
        const std::uint32_t groups = in_.count("groups of locals", kMaxLocals);
        for (std::uint32_t g = 0; g < groups && in_.ok(); ++g) {
            locals += in_.u32();
            read_value_type(in_);
            if (locals > kMaxLocals) {
                in_.fail(module_limit,
                         "a function has more than " + std::to_string(kMaxLocals) + " locals");
            }
        }
        skip_expression(in_, context_);
        in_.leave(old_end, "a function body");
    }
}

void Scanner::data() {
    data_segments_ = in_.count("data segments", kMaxSegments);
    for (std::uint32_t i = 0; i < data_segments_ && in_.ok(); ++i) {
        const std::uint32_t flags = in_.u32();
        if (flags > 2) return in_.fail(malformed_module, "flags of a data segment");
        if (flags != 1) {
            if (flags == 2 && in_.u32() != 0) {
                return in_.fail(unsupported_feature, "more than one memory");
            }
            if (!info_.memory) return in_.fail(malformed_module, "data without a memory");
            skip_constant_expression(in_);
        }
        in_.bytes(in_.u32());
    }
}

void Scanner::check_whole() {
    if (bodies_ != function_types_.size()) {
        return in_.fail(malformed_module, "not as many bodies as functions");
    }
    if (declared_data_ && *declared_data_ != data_segments_) {
        in_.fail(malformed_module, "not as many data segments as announced");
    }
}

}  // namespace

Result<ModuleInfo> scan_module(ByteView wasm) {
    if (wasm.size() > kMaxModuleBytes) {
        return fail(module_limit, std::to_string(wasm.size()) + " bytes, at most " +
                                      std::to_string(kMaxModuleBytes));
    }
    return Scanner(wasm).scan();
}

}  // namespace eos::wasm
