// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/engine.h"

#include <algorithm>
#include <array>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "trusted/wasm/wabt_seam.h"

namespace eos::wasm {

namespace {

// A host call is worth this many instructions, and its work this much more.
constexpr std::uint64_t kHostCallFuel = 50;
constexpr std::uint64_t kHostBytesPerFuel = 64;

struct ModuleDeleter {
    void operator()(seam::Module* module) const { seam::unload(module); }
};
struct InstanceDeleter {
    void operator()(seam::Instance* instance) const {
        const seam::MemorySpan memory = seam::memory(instance);
        secure_wipe({reinterpret_cast<std::byte*>(memory.data), memory.size});
        seam::drop(instance);
    }
};

seam::Limits to_seam(const Limits& limits) {
    return {std::min(limits.memory_pages, kMaxPages),
            std::min(limits.table_elements, kMaxTableElements),
            std::clamp(limits.call_depth, 1u, kMaxCallDepth)};
}

TrapCode trap_code(seam::Stop stop) {
    switch (stop) {
        case seam::Stop::kUnreachable:
            return TrapCode::kUnreachable;
        case seam::Stop::kOutOfBoundsMemory:
            return TrapCode::kOutOfBoundsMemory;
        case seam::Stop::kOutOfBoundsTable:
            return TrapCode::kOutOfBoundsTable;
        case seam::Stop::kDivideByZero:
            return TrapCode::kIntegerDivideByZero;
        case seam::Stop::kIntegerOverflow:
            return TrapCode::kIntegerOverflow;
        case seam::Stop::kInvalidConversion:
            return TrapCode::kInvalidConversion;
        case seam::Stop::kUndefinedElement:
            return TrapCode::kUndefinedElement;
        case seam::Stop::kTypeMismatch:
            return TrapCode::kIndirectCallTypeMismatch;
        case seam::Stop::kStackExhausted:
            return TrapCode::kStackExhausted;
        case seam::Stop::kFuelExhausted:
            return TrapCode::kFuelExhausted;
        case seam::Stop::kMemoryLimit:
            return TrapCode::kMemoryLimit;
        case seam::Stop::kTableLimit:
            return TrapCode::kTableLimit;
        default:
            return TrapCode::kEngine;
    }
}

// The index of each import among `offered`.
Result<std::vector<std::uint32_t>> resolve(const std::vector<ModuleImport>& imports,
                                           std::span<const HostFunction> offered) {
    std::vector<std::uint32_t> out;
    for (const ModuleImport& import : imports) {
        const auto found = std::ranges::find_if(offered, [&](const HostFunction& function) {
            return function.module == import.module && function.name == import.name;
        });
        const std::string name = printable(as_bytes(import.module + "." + import.name));
        if (found == offered.end()) return fail(unknown_import, name);
        if (found->type != import.type) {
            return fail(import_mismatch, name + " is " + to_string(found->type) +
                                             ", the module wants " + to_string(import.type));
        }
        out.push_back(static_cast<std::uint32_t>(found - offered.begin()));
    }
    return out;
}

Result<void> check_limits(const ModuleInfo& info, const Limits& limits) {
    const seam::Limits effective = to_seam(limits);
    if (info.memory && info.memory->initial > effective.memory_pages) {
        return fail(over_limit, std::to_string(info.memory->initial) +
                                    " pages of memory at start, at most " +
                                    std::to_string(effective.memory_pages));
    }
    if (info.table_elements > effective.table_elements) {
        return fail(over_limit, std::to_string(info.table_elements) +
                                    " table elements at start, at most " +
                                    std::to_string(effective.table_elements));
    }
    return {};
}

// The library reads some custom sections, none of which matter here: it gets them with an empty
// name and zeros, so that positions in its messages stay right.
Bytes without_custom_sections(ByteView wasm, const ModuleInfo& info) {
    Bytes out = to_bytes(wasm);
    for (const ModuleInfo::Range& range : info.custom_sections) {
        std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(range.begin), range.size,
                    std::byte{0});
    }
    return out;
}

}  // namespace

std::string_view trap_name(TrapCode code) {
    switch (code) {
        case TrapCode::kUnreachable:
            return "unreachable";
        case TrapCode::kOutOfBoundsMemory:
            return "out_of_bounds_memory";
        case TrapCode::kOutOfBoundsTable:
            return "out_of_bounds_table";
        case TrapCode::kIntegerDivideByZero:
            return "integer_divide_by_zero";
        case TrapCode::kIntegerOverflow:
            return "integer_overflow";
        case TrapCode::kInvalidConversion:
            return "invalid_conversion";
        case TrapCode::kUndefinedElement:
            return "undefined_element";
        case TrapCode::kIndirectCallTypeMismatch:
            return "indirect_call_type_mismatch";
        case TrapCode::kStackExhausted:
            return "stack_exhausted";
        case TrapCode::kFuelExhausted:
            return "fuel_exhausted";
        case TrapCode::kMemoryLimit:
            return "memory_limit";
        case TrapCode::kTableLimit:
            return "table_limit";
        case TrapCode::kOutputLimit:
            return "output_limit";
        case TrapCode::kExit:
            return "exit";
        case TrapCode::kEngine:
            return "engine";
    }
    return "engine";
}

struct Module::State {
    ModuleInfo info;
    Limits limits;
    std::vector<std::uint32_t> imports;  // index among the offered functions
    std::unique_ptr<seam::Module, ModuleDeleter> compiled;
};

Result<Module> Module::load(ByteView wasm, const Limits& limits,
                            std::span<const HostFunction> offered) {
    auto state = std::make_shared<State>();
    state->info = EOS_TRY(scan_module(wasm));
    state->limits = limits;
    state->imports = EOS_TRY(resolve(state->info.imports, offered));
    EOS_TRY(check_limits(state->info, limits));

    const Bytes bytes = without_custom_sections(wasm, state->info);
    seam::LoadError error{};
    state->compiled.reset(seam::load(as_uchars(bytes), bytes.size(), to_seam(limits), &error));
    if (!state->compiled) {
        const std::string where =
            error.position == 0 ? "" : "at byte " + std::to_string(error.position) + ": ";
        return fail(invalid_module, where + printable(as_bytes(std::string_view(error.message)),
                                                      sizeof error.message));
    }
    return Module(std::move(state));
}

const std::vector<ModuleExport>& Module::exports() const {
    return state_->info.exports;
}

const ModuleExport* Module::find_function(std::string_view name) const {
    for (const ModuleExport& item : state_->info.exports) {
        if (item.name == name && item.kind == ExternKind::kFunction) return &item;
    }
    return nullptr;
}

bool Module::has_memory() const {
    return state_->info.memory.has_value();
}

std::uint64_t Module::max_instance_bytes() const {
    return seam::instance_bytes(state_->compiled.get(), to_seam(state_->limits));
}

std::string_view Module::functions_text() const {
    return state_->info.functions_text;
}

struct Instance::State {
    std::shared_ptr<const Module::State> module;
    Host* host = nullptr;
    std::uint64_t fuel = 0;
    enum class Phase { kReady, kRunning, kSpent } phase = Phase::kReady;
    const ModuleExport* called = nullptr;
    // What the host function said that stopped the run.
    Trap trap;
    HostRequest request;
    // Last: dropped first.
    std::unique_ptr<seam::Instance, InstanceDeleter> running;

    GuestMemory memory() {
        const seam::MemorySpan span = seam::memory(running.get());
        return GuestMemory({reinterpret_cast<std::byte*>(span.data), span.size});
    }
    seam::HostAnswer call_host(seam::HostCall& call);
};

seam::HostAnswer Instance::State::call_host(seam::HostCall& call) {
    const FunctionType& type = module->info.imports[call.import].type;
    Values arguments;
    for (std::size_t i = 0; i < type.params.size(); ++i) {
        arguments.push_back({type.params[i], call.arguments[i]});
    }
    HostContext context{memory(), 0};
    const HostOutcome outcome = host->call(module->imports[call.import], arguments, context);
    // Waiting is free: how often it is asked again must not change the fuel used.
    const bool waits = std::holds_alternative<HostRequest>(outcome);
    call.cost = waits ? 0 : kHostCallFuel + context.work_bytes / kHostBytesPerFuel;
    if (const auto* done = std::get_if<HostReturn>(&outcome)) {
        EOS_ASSERT(done->value.has_value() == !type.results.empty());
        if (done->value) call.result = done->value->bits;
        return seam::HostAnswer::kReturned;
    }
    if (const auto* failed = std::get_if<Trap>(&outcome)) {
        trap = *failed;
        return seam::HostAnswer::kTrapped;
    }
    request = std::get<HostRequest>(outcome);
    return seam::HostAnswer::kWaiting;
}

Instance::Instance(std::unique_ptr<State> state) : state_(std::move(state)) {}
Instance::~Instance() = default;

Result<std::unique_ptr<Instance>> Instance::create(const Module& module, Host& host,
                                                   const Budget& budget) {
    const std::uint64_t cost = seam::start_cost(module.state_->compiled.get());
    if (cost > budget.fuel) return fail(no_fuel_to_start, std::to_string(cost) + " needed");
    auto state = std::make_unique<State>();
    state->module = module.state_;
    state->host = &host;
    state->fuel = budget.fuel - cost;
    const seam::Host callbacks{state.get(), [](void* context, seam::HostCall* call) {
                                   return static_cast<State*>(context)->call_host(*call);
                               }};
    seam::Stop stop = seam::Stop::kOther;
    state->running.reset(seam::instantiate(module.state_->compiled.get(),
                                           to_seam(module.state_->limits), callbacks, &stop));
    if (!state->running) return fail(bad_segment, std::string(trap_name(trap_code(stop))));
    return std::unique_ptr<Instance>(new Instance(std::move(state)));
}

Result<void> Instance::begin(std::string_view function, std::span<const Value> arguments) {
    State& state = *state_;
    if (state.phase != State::Phase::kReady) return fail(instance_spent);
    const std::string name = printable(as_bytes(function));
    const auto& exports = state.module->info.exports;
    const auto found = std::ranges::find_if(exports, [&](const ModuleExport& item) {
        return item.kind == ExternKind::kFunction && item.name == function;
    });
    if (found == exports.end()) return fail(no_such_export, name);
    const FunctionType& type = found->type;
    if (found->index < state.module->imports.size() ||
        !std::ranges::all_of(type.params, is_numeric) ||
        !std::ranges::all_of(type.results, is_numeric)) {
        return fail(not_callable, name + " is " + to_string(type));
    }
    const auto same_type = [](const Value& value, ValueType wanted) {
        return value.type == wanted;
    };
    if (!std::ranges::equal(arguments, type.params, same_type)) {
        return fail(argument_mismatch, name + " is " + to_string(type));
    }
    std::vector<std::uint64_t> bits;
    for (const Value& value : arguments) bits.push_back(value.bits);
    seam::begin(state.running.get(), static_cast<std::uint32_t>(found - exports.begin()),
                bits.data());
    state.called = &*found;
    state.phase = State::Phase::kRunning;
    return {};
}

Outcome Instance::run(std::uint64_t slice) {
    State& state = *state_;
    EOS_ASSERT(state.phase == State::Phase::kRunning);
    const seam::Stop stop = seam::run(state.running.get(), slice, &state.fuel);
    if (stop == seam::Stop::kOutOfSlice) return OutOfSlice{};
    if (stop == seam::Stop::kWaiting) return state.request;
    if (stop != seam::Stop::kFinished) {
        const bool usable = seam::started(state.running.get());
        state.phase = usable ? State::Phase::kReady : State::Phase::kSpent;
        return stop == seam::Stop::kHostTrap ? state.trap : Trap{trap_code(stop), 0};
    }
    state.phase = State::Phase::kReady;
    std::array<std::uint64_t, kMaxResults> bits{};
    seam::results(state.running.get(), bits.data());
    Finished finished;
    for (std::size_t i = 0; i < state.called->type.results.size(); ++i) {
        finished.values.push_back({state.called->type.results[i], bits[i]});
    }
    return finished;
}

GuestMemory Instance::memory() {
    return state_->memory();
}

std::uint64_t Instance::fuel_left() const {
    return state_->fuel;
}

}  // namespace eos::wasm
