// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/signature.h"

#include <algorithm>
#include <array>
#include <set>

#include "common/base/encoding.h"

namespace eos::wasm {

namespace {

constexpr std::size_t kMaxNameBytes = 128;
constexpr std::size_t kMaxParameters = 64;

struct TypeName {
    std::string_view name;
    JsonType type;
    ValueType wasm;  ///< as a parameter of numbers, or as a result
};
constexpr std::array<TypeName, 9> kTypes{{
    {"bool", JsonType::kBool, ValueType::kI32},
    {"s32", JsonType::kS32, ValueType::kI32},
    {"u32", JsonType::kU32, ValueType::kI32},
    {"s64", JsonType::kS64, ValueType::kI64},
    {"u64", JsonType::kU64, ValueType::kI64},
    {"f32", JsonType::kF32, ValueType::kF32},
    {"f64", JsonType::kF64, ValueType::kF64},
    {"string", JsonType::kString, ValueType::kI64},
    {"bytes", JsonType::kBytes, ValueType::kI64},
}};

const TypeName& entry(JsonType type) {
    return *std::ranges::find(kTypes, type, &TypeName::type);
}

bool is_text(JsonType type) {
    return type == JsonType::kString || type == JsonType::kBytes;
}

// Cuts a line into names and signs; blanks separate and mean nothing else.
class Scanner {
  public:
    explicit Scanner(std::string_view line) : line_(line), rest_(line) {}

    bool take(std::string_view sign) {
        skip_blanks();
        if (!rest_.starts_with(sign)) return false;
        rest_.remove_prefix(sign.size());
        return true;
    }
    Result<std::string> name() {
        skip_blanks();
        const auto is_part = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '_' || c == '-' || c == '.';
        };
        const std::size_t size =
            static_cast<std::size_t>(std::ranges::find_if_not(rest_, is_part) - rest_.begin());
        if (size == 0 || size > kMaxNameBytes) return wrong("a name");
        std::string out(rest_.substr(0, size));
        rest_.remove_prefix(size);
        return out;
    }
    Result<JsonType> type() {
        const std::string text = EOS_TRY(name());
        const auto found = std::ranges::find(kTypes, text, &TypeName::name);
        if (found == kTypes.end()) return wrong("a type, not " + text);
        return found->type;
    }
    bool at_end() {
        skip_blanks();
        return rest_.empty();
    }
    std::unexpected<Error> wrong(const std::string& expected) const {
        return fail(bad_signature, "expected " + expected + " at column " +
                                       std::to_string(line_.size() - rest_.size() + 1) + " of \"" +
                                       printable(as_bytes(line_)) + "\"");
    }

  private:
    void skip_blanks() {
        rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r"), rest_.size()));
    }
    std::string_view line_;
    std::string_view rest_;
};

Result<void> parse_parameters(Scanner& in, FunctionSignature& out) {
    if (in.take(")")) return {};
    std::set<std::string> names;
    do {
        if (out.parameters.size() == kMaxParameters) return in.wrong("fewer parameters");
        JsonParameter parameter;
        parameter.name = EOS_TRY(in.name());
        if (!in.take(":")) return in.wrong("':'");
        parameter.type = EOS_TRY(in.type());
        if (!names.insert(parameter.name).second) return in.wrong("another parameter name");
        out.parameters.push_back(std::move(parameter));
    } while (in.take(","));
    if (!in.take(")")) return in.wrong("',' or ')'");
    return {};
}

/// For the module's tools, not for callers.
bool is_internal(std::string_view name) {
    return name.starts_with('_') || name == kAllocate;
}

bool is_callable_export(const ModuleExport& item) {
    return item.kind == ExternKind::kFunction && !is_internal(item.name) &&
           std::ranges::all_of(item.type.params, is_numeric) &&
           std::ranges::all_of(item.type.results, is_numeric);
}

JsonType plain(ValueType type) {
    switch (type) {
        case ValueType::kI64:
            return JsonType::kS64;
        case ValueType::kF32:
            return JsonType::kF32;
        case ValueType::kF64:
            return JsonType::kF64;
        default:
            return JsonType::kS32;
    }
}

FunctionSignature undescribed(const ModuleExport& item) {
    FunctionSignature out;
    out.name = item.name;
    for (ValueType type : item.type.params) out.parameters.push_back({"", plain(type)});
    for (ValueType type : item.type.results) out.results.push_back(plain(type));
    return out;
}

Result<void> check_described(const FunctionSignature& function, const Module& module) {
    const ModuleExport* item = module.find_function(function.name);
    if (item == nullptr) return fail(bad_signature, function.name + " is not exported");
    if (is_internal(function.name)) return fail(bad_signature, function.name + " is internal");
    if (item->type != lowered(function)) {
        return fail(bad_signature, function.name + " is " + to_string(item->type) +
                                       ", described is " + to_string(lowered(function)));
    }
    const auto takes_text = [](const JsonParameter& p) { return is_text(p.type); };
    const bool in = std::ranges::any_of(function.parameters, takes_text);
    const bool out = std::ranges::any_of(function.results, is_text);
    if ((in || out) && !module.has_memory()) return fail(bad_signature, "there is no memory");
    const ModuleExport* allocate = module.find_function(kAllocate);
    const FunctionType wanted{{ValueType::kI32}, {ValueType::kI32}};
    if (in && (allocate == nullptr || allocate->type != wanted)) {
        return fail(bad_signature, function.name + " needs an exported eos_alloc, (i32) -> (i32)");
    }
    return {};
}

}  // namespace

std::string_view to_string(JsonType type) {
    return entry(type).name;
}

Result<FunctionSignature> parse_signature(std::string_view line) {
    Scanner in(line);
    FunctionSignature out;
    out.name = EOS_TRY(in.name());
    if (!in.take("(")) return in.wrong("'('");
    EOS_TRY(parse_parameters(in, out));
    if (in.take("->")) {
        const JsonType result = EOS_TRY(in.type());
        out.results.push_back(result);
    }
    if (!in.at_end()) return in.wrong("the end of the line");
    return out;
}

FunctionType lowered(const FunctionSignature& signature) {
    FunctionType out;
    for (const JsonParameter& parameter : signature.parameters) {
        if (is_text(parameter.type)) {
            out.params.insert(out.params.end(), {ValueType::kI32, ValueType::kI32});
        } else {
            out.params.push_back(entry(parameter.type).wasm);
        }
    }
    for (JsonType type : signature.results) out.results.push_back(entry(type).wasm);
    return out;
}

Result<Signatures> Signatures::read(const Module& module) {
    Signatures out;
    std::set<std::string, std::less<>> described;  // names may be many, and long
    std::string_view rest = module.functions_text();
    while (!rest.empty()) {
        const std::size_t end =
            std::min(rest.find_first_of(std::string_view("\n\0", 2)), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        FunctionSignature function = EOS_TRY(parse_signature(line));
        EOS_TRY(check_described(function, module));
        if (!described.insert(function.name).second) {
            return fail(bad_signature, function.name + " is described twice");
        }
        out.functions_.push_back(std::move(function));
    }
    for (const ModuleExport& item : module.exports()) {
        if (!is_callable_export(item) || described.contains(item.name)) continue;
        out.functions_.push_back(undescribed(item));
    }
    return out;
}

const FunctionSignature* Signatures::find(std::string_view name) const {
    const auto found = std::ranges::find(functions_, name, &FunctionSignature::name);
    return found == functions_.end() ? nullptr : &*found;
}

}  // namespace eos::wasm
