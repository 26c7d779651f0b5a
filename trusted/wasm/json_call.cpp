// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/json_call.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "trusted/wasm/json_value.h"

namespace eos::wasm {

namespace {

constexpr std::string_view kReactorEntry = "_initialize";
constexpr std::size_t kMaxBodyDepth = 4;

std::string parameter_name(const FunctionSignature& function, std::size_t index) {
    const std::string& name = function.parameters[index].name;
    return name.empty() ? "argument " + std::to_string(index) : name;
}

Result<std::vector<JsonArgument>> read_by_position(const json::Value& args,
                                                   const FunctionSignature& function) {
    if (args.size() != function.parameters.size()) {
        return fail(bad_arguments, std::to_string(args.size()) + " given, " + function.name +
                                       " takes " + std::to_string(function.parameters.size()));
    }
    std::vector<JsonArgument> out;
    for (std::size_t i = 0; i < function.parameters.size(); ++i) {
        out.push_back(EOS_TRY(
            read_argument(args[i], function.parameters[i].type, parameter_name(function, i))));
    }
    return out;
}

Result<std::vector<JsonArgument>> read_by_name(const json::Value& args,
                                               const FunctionSignature& function) {
    json::Object object = EOS_TRY(json::Object::of(args, "args"));
    std::vector<JsonArgument> out;
    for (const JsonParameter& parameter : function.parameters) {
        if (parameter.name.empty()) {
            return fail(bad_arguments, "the module does not name the parameters: pass an array");
        }
        const json::Value* value = EOS_TRY(object.require(parameter.name));
        out.push_back(EOS_TRY(read_argument(*value, parameter.type, parameter.name)));
    }
    EOS_TRY(object.finish());
    return out;
}

Result<std::vector<JsonArgument>> read_arguments(ByteView body, const FunctionSignature& function) {
    const json::Value none = json::Value::array();
    if (body.empty()) return read_by_position(none, function);
    const json::Value request =
        EOS_TRY(json::parse(body, {.size_bytes = kMaxCallBodyBytes, .depth = kMaxBodyDepth}));
    json::Object object = EOS_TRY(json::Object::of(request, ""));
    const json::Value* args = object.find("args");
    EOS_TRY(object.finish());
    if (args == nullptr) return read_by_position(none, function);
    if (args->is_array()) return read_by_position(*args, function);
    return read_by_name(*args, function);
}

class JsonCall : public AppCall {
  public:
    JsonCall(const WasiWorld& world, const AppConfig& config, FunctionSignature function,
             std::vector<JsonArgument> arguments)
        : wasi_(world, program(config)),
          budget_(config.budget),
          output_limit_(config.output_limit_bytes),
          function_(std::move(function)),
          arguments_(std::move(arguments)) {}

    Result<void> begin(const Module& module) {
        instance_ = EOS_TRY(Instance::create(module, wasi_, budget_));
        const ModuleExport* initialize = module.find_function(kReactorEntry);
        if (initialize != nullptr && initialize->type == FunctionType{}) {
            phase_ = Phase::kInitialize;
            return instance_->begin(kReactorEntry, {});
        }
        return next();
    }

    Progress step(std::uint64_t slice) override {
        for (;;) {
            const std::uint64_t before = instance_->fuel_left();
            const Outcome outcome = instance_->run(slice);
            slice -= std::min(slice, before - instance_->fuel_left());
            if (std::holds_alternative<OutOfSlice>(outcome)) return StillRunning{};
            if (const auto* request = std::get_if<HostRequest>(&outcome)) return *request;
            if (const auto* trap = std::get_if<Trap>(&outcome)) return trap_response(*trap);
            auto answer = advance(std::get<Finished>(outcome).values);
            if (!answer) return error_response(answer.error());
            if (*answer) return *std::move(*answer);
        }
    }

    std::uint64_t fuel_used() const override { return budget_.fuel - instance_->fuel_left(); }

  private:
    enum class Phase : std::uint8_t { kInitialize, kAllocate, kFunction };

    static WasiProgram program(const AppConfig& config) {
        WasiProgram out;
        out.arguments.push_back(config.name);
        out.arguments.insert(out.arguments.end(), config.arguments.begin(), config.arguments.end());
        out.environment = config.environment;
        out.environment.insert(out.environment.end(), config.secrets.begin(), config.secrets.end());
        out.output = WasiProgram::Output::kLog;
        return out;
    }

    // Goes on after a call returned `values`: the response, or nothing if there is more to run.
    Result<std::optional<AppResponse>> advance(const Values& values) {
        if (phase_ == Phase::kFunction) return EOS_TRY(answer(values));
        if (phase_ == Phase::kAllocate) EOS_TRY(place(values[0].as_u32()));
        EOS_TRY(next());
        return std::nullopt;
    }

    // Lowers arguments up to the next one that needs memory, or begins the function.
    Result<void> next() {
        while (lowered_ < arguments_.size()) {
            const JsonArgument& argument = arguments_[lowered_];
            if (const auto* bytes = std::get_if<SecretBytes>(&argument)) {
                phase_ = Phase::kAllocate;
                // Never zero: some allocators answer that with null.
                const std::size_t size = std::max<std::size_t>(bytes->size(), 1);
                const Values arguments{Value::i32(static_cast<std::uint32_t>(size))};
                return instance_->begin(kAllocate, arguments);
            }
            values_.push_back(std::get<Value>(argument));
            ++lowered_;
        }
        phase_ = Phase::kFunction;
        return instance_->begin(function_.name, values_);
    }

    Result<void> place(std::uint32_t address) {
        const SecretBytes& bytes = std::get<SecretBytes>(arguments_[lowered_++]);
        if (address == 0 || !instance_->memory().write(address, bytes.view())) {
            return fail(app_answer,
                        "eos_alloc gave no room for " + std::to_string(bytes.size()) + " bytes");
        }
        values_.push_back(Value::i32(address));
        values_.push_back(Value::i32(static_cast<std::uint32_t>(bytes.size())));
        return {};
    }

    Result<json::Value> read_text(const Value& value, JsonType type) {
        const auto address = static_cast<std::uint32_t>(value.as_u64() >> 32);
        const auto size = static_cast<std::uint32_t>(value.as_u64());
        const auto place = instance_->memory().at(address, size);
        if (!place) return fail(app_answer, "a result lies outside the app's memory");
        if (size > output_limit_) {
            return fail(app_answer, "a result of " + std::to_string(size) + " bytes, at most " +
                                        std::to_string(output_limit_));
        }
        if (type == JsonType::kBytes) return json::Value(base64(*place));
        if (!is_utf8(*place)) return fail(app_answer, "a string that is not UTF-8");
        return json::Value(std::string(as_chars(*place)));
    }

    Result<AppResponse> answer(const Values& values) {
        json::Value returns = json::Value::array();
        for (std::size_t i = 0; i < values.size(); ++i) {
            const JsonType type = function_.results[i];
            const bool text = type == JsonType::kString || type == JsonType::kBytes;
            json::Value value =
                text ? EOS_TRY(read_text(values[i], type)) : write_number(values[i], type);
            returns.push_back({{"type", to_string(type)}, {"value", std::move(value)}});
        }
        const json::Value body{{"returns", std::move(returns)}, {"status", "ok"}};
        return json_response(200, json::compact(body));
    }

    Wasi wasi_;
    Budget budget_;
    std::size_t output_limit_;
    FunctionSignature function_;
    std::vector<JsonArgument> arguments_;
    std::size_t lowered_ = 0;  // how many of them are in values_
    Values values_;
    Phase phase_ = Phase::kFunction;
    std::unique_ptr<Instance> instance_;  // refers to wasi_
};

}  // namespace

Result<std::unique_ptr<AppCall>> begin_json_call(const Module& module, const Signatures& signatures,
                                                 const WasiWorld& world, const AppConfig& config,
                                                 std::string_view function, ByteView body) {
    const FunctionSignature* found = signatures.find(function);
    if (found == nullptr) return fail(no_such_export, printable(as_bytes(function), 64));
    auto call =
        std::make_unique<JsonCall>(world, config, *found, EOS_TRY(read_arguments(body, *found)));
    EOS_TRY(call->begin(module));
    return call;
}

}  // namespace eos::wasm
