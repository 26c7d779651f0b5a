// SPDX-License-Identifier: AGPL-3.0-only
// The only file that sees libwabt 1.0.32. Built as C++17, with -fno-access-control: calls have to
// stop between two instructions, and the interpreter offers that only through its private parts.
//
// Its interpreter is driven one instruction at a time, because some need looking at first:
//  - memory.grow, memory.fill and the like do unbounded work for one instruction: they are charged
//    by length, and growth beyond the app's limit is a trap;
//  - locals are taken from a stack that grows without limit: here it has one;
//  - call_indirect reports "call stack exhausted" as success and would go on with a wrong stack;
//  - references pushed are remembered for a garbage collector that never runs here.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wabt/binary-reader-ir.h"
#include "wabt/binary-reader.h"
#include "wabt/interp/binary-reader-interp.h"
#include "wabt/interp/interp.h"
#include "wabt/ir.h"
#include "wabt/validator.h"

#include "trusted/wasm/wabt_seam.h"

namespace eos::wasm::seam {

namespace wi = wabt::interp;

namespace {

// Operands and locals of all active functions together, 16 bytes each.
constexpr std::size_t kMaxStackValues = 256 * 1024;
// How much of bulk work is worth one instruction (about 10 ns).
constexpr std::uint64_t kBytesPerFuel = 64;
constexpr std::uint64_t kElementsPerFuel = 8;
constexpr std::uint64_t kLocalsPerFuel = 8;
// What an instance starts with: a function, and the evaluation of a constant expression.
constexpr std::uint64_t kFunctionFuel = 40;
constexpr std::uint64_t kExpressionFuel = 40;
// What the allocator adds to an object.
constexpr std::uint64_t kAllocationBytes = 32;
// A memory has this much room at first, which the allocator keeps at hand; then all it may take.
constexpr std::size_t kSmallMemoryBytes = 2 * 1024 * 1024;
// The module is the first object after null in every store that holds it.
constexpr std::size_t kModuleIndex = 1;
constexpr std::size_t kPageBytes = WABT_PAGE_SIZE;
// Of one imported function: no more than a module's scan lets through, parameters and result.
constexpr std::size_t kMaxImportValues = 256;
// What the library's constructor of a thread reserves for its stacks.
constexpr std::uint64_t kThreadBytes = 2 * 64 * 1024;

using Op = wabt::Opcode;

// Instructions that run() looks at before it lets the interpreter execute them.
enum class Watch : std::uint8_t {
    kNothing,
    kMemoryGrow,
    kMemoryBulk,
    kTableGrow,
    kTableBulk,
    kAlloca,
    kIndirectCall,
    kReference,
    kHostCall,
};

struct WatchTable {
    Watch of[Op::Invalid + 1] = {};
    constexpr WatchTable() {
        of[Op::MemoryGrow] = Watch::kMemoryGrow;
        of[Op::MemoryFill] = of[Op::MemoryCopy] = of[Op::MemoryInit] = Watch::kMemoryBulk;
        of[Op::TableGrow] = Watch::kTableGrow;
        of[Op::TableFill] = of[Op::TableCopy] = of[Op::TableInit] = Watch::kTableBulk;
        of[Op::InterpAlloca] = Watch::kAlloca;
        of[Op::CallIndirect] = Watch::kIndirectCall;
        of[Op::RefFunc] = of[Op::RefNull] = of[Op::TableGet] = Watch::kReference;
        of[Op::InterpCallImport] = Watch::kHostCall;
    }
};
constexpr WatchTable kWatch;

struct TrapName {
    const char* prefix;
    Stop stop;
};
// The interpreter tells its traps apart by text only.
constexpr TrapName kTrapNames[] = {
    {"unreachable executed", Stop::kUnreachable},
    {"out of bounds memory access", Stop::kOutOfBoundsMemory},
    {"out of bounds table access", Stop::kOutOfBoundsTable},
    {"undefined table index", Stop::kUndefinedElement},
    {"uninitialized table element", Stop::kUndefinedElement},
    {"indirect call signature mismatch", Stop::kTypeMismatch},
    {"integer divide by zero", Stop::kDivideByZero},
    {"integer overflow", Stop::kIntegerOverflow},
    {"invalid conversion to integer", Stop::kInvalidConversion},
    {"call stack exhausted", Stop::kStackExhausted},
};

Stop trap_kind(const std::string& message) {
    for (const TrapName& name : kTrapNames) {
        if (message.compare(0, std::strlen(name.prefix), name.prefix) == 0) return name.stop;
    }
    return Stop::kOther;
}

void report(const wabt::Errors& errors, std::size_t size, LoadError* out) {
    out->position = 0;
    const char* text = "refused without a reason";
    for (const wabt::Error& error : errors) {
        if (error.error_level != wabt::ErrorLevel::Error) continue;
        // All ones means that the library does not know.
        if (error.loc.offset < size) out->position = error.loc.offset;
        text = error.message.c_str();
        break;
    }
    std::strncpy(out->message, text, sizeof out->message - 1);
    out->message[sizeof out->message - 1] = '\0';
}

bool validate(const std::uint8_t* bytes, std::size_t size, const wabt::ReadBinaryOptions& options,
              wabt::Errors* errors) {
    wabt::Module ir;
    if (wabt::Failed(wabt::ReadBinaryIr("module", bytes, size, options, errors, &ir))) return false;
    return wabt::Succeeded(
        wabt::ValidateModule(&ir, errors, wabt::ValidateOptions(options.features)));
}

// A value is a union of all types: its bits are the same whichever way they are read.
bool is_32_bit(wabt::Type type) {
    return type == wabt::Type::I32 || type == wabt::Type::F32;
}

std::uint64_t to_bits(const wi::Value& value, wabt::Type type) {
    return is_32_bit(type) ? value.Get<wi::u32>() : value.Get<wi::u64>();
}

wi::Value from_bits(std::uint64_t bits, wabt::Type type) {
    if (is_32_bit(type)) return wi::Value::Make(static_cast<wi::u32>(bits));
    return wi::Value::Make(static_cast<wi::u64>(bits));
}

}  // namespace

struct Module {
    // The store is only what the object's constructor asks for; the object does not live in it.
    wi::Store store;
    std::unique_ptr<wi::Module> object;
    std::vector<std::uint32_t> starts;
    std::uint64_t initial_pages = 0;
    std::uint64_t memory_maximum = 0;
    std::vector<std::uint64_t> table_maxima;
    std::vector<std::size_t> active_data;  ///< segments that instantiate() copies itself
    std::uint64_t start_cost = 0;          ///< of every instance, in fuel
    std::uint64_t object_bytes = 0;        ///< of every instance: all but memory, tables and stacks
};

struct Instance {
    const Module* module = nullptr;
    Limits limits{};
    Host host{};
    // Declared before whatever holds references into it, hence destroyed after it.
    std::unique_ptr<wi::Store> store;
    wi::Instance::Ptr object;
    std::unique_ptr<wi::Thread> thread;
    wi::Trap::Ptr host_trap;  ///< one for all host calls: what is made anew is freed with the store
    wi::Memory* memory = nullptr;
    const std::uint8_t* code = nullptr;

    bool start_pending = false;
    bool starting = false;  ///< the frames are the start function's
    std::uint32_t export_index = 0;
    std::vector<std::uint64_t> arguments;

    // A host function that waits: called again with the same arguments by the next run().
    bool host_waits = false;
    std::uint32_t waiting_import = 0;
    std::vector<std::uint64_t> waiting_arguments;

    // What a host function left for run() to see after the instruction.
    Stop host_stop = Stop::kFinished;
    std::uint64_t host_cost = 0;

    ~Instance() {
        thread.reset();
        host_trap.reset();
        object.reset();
        // The module belongs to every instance of it: this store must not delete it.
        store->objects_.list_[kModuleIndex] = nullptr;
    }
};

namespace {

void weigh_function(const wi::FuncDesc& func, Module& module) {
    const std::size_t values = func.type.params.size() + func.type.results.size();
    module.start_cost += kFunctionFuel;
    // The type is kept twice, two vectors each; references lie in two lists that double.
    module.object_bytes += sizeof(wi::DefinedFunc) + 2 * values * sizeof(wi::ValueType) +
                           4 * sizeof(wi::Ref) + 5 * kAllocationBytes;
}

void weigh_expression(const wi::FuncDesc& init, Module& module) {
    weigh_function(init, module);
    module.start_cost += kExpressionFuel;
}

// Adds up what every instance of the module is made of before its first instruction.
void weigh(const wi::ModuleDesc& desc, Module& module) {
    for (const wi::FuncDesc& func : desc.funcs) weigh_function(func, module);
    for (const wi::GlobalDesc& global : desc.globals) {
        weigh_expression(global.init_func, module);
        module.object_bytes += sizeof(wi::Global) + 4 * sizeof(wi::Ref) + kAllocationBytes;
    }
    for (const wi::ElemDesc& elem : desc.elems) {
        weigh_expression(elem.init_func, module);
        module.start_cost += elem.elements.size() / kElementsPerFuel;
        module.object_bytes +=
            2 * sizeof(wi::ElemSegment) + elem.elements.size() * sizeof(wi::Ref) + kAllocationBytes;
    }
    for (const wi::DataDesc& data : desc.datas) {
        weigh_expression(data.init_func, module);
        module.start_cost += data.data.size() / kBytesPerFuel;
        module.object_bytes += 2 * sizeof(wi::DataSegment);
    }
    for (const wi::TableDesc& table : desc.tables) {
        module.start_cost += table.type.limits.initial / kElementsPerFuel;
        module.object_bytes += sizeof(wi::Table) + 4 * sizeof(wi::Ref) + kAllocationBytes;
    }
    module.start_cost += module.initial_pages * kPageBytes / kBytesPerFuel;
    module.object_bytes += desc.exports.size() * 2 * sizeof(wi::Ref);
    module.object_bytes += desc.imports.size() * (sizeof(wi::HostFunc) + 8 * kAllocationBytes +
                                                  kMaxImportValues * sizeof(wi::ValueType));
}

// Linear memory and active data are left to instantiate(), which says how much room there is from
// the start.
void take_out_memory(wi::ModuleDesc& desc, const Limits& limits, Module& module) {
    for (wi::MemoryDesc& memory : desc.memories) {
        module.initial_pages = std::exchange(memory.type.limits.initial, 0);
        module.memory_maximum = memory.type.limits.max;
        memory.type.limits.max =
            std::min<std::uint64_t>(memory.type.limits.max, limits.memory_pages);
    }
    for (std::size_t i = 0; i < desc.datas.size(); ++i) {
        if (desc.datas[i].mode != wi::SegmentMode::Active) continue;
        desc.datas[i].mode = wi::SegmentMode::Passive;
        module.active_data.push_back(i);
    }
}

}  // namespace

Module* load(const std::uint8_t* bytes, std::size_t size, const Limits& limits, LoadError* error) {
    const wabt::ReadBinaryOptions options(wabt::Features{}, nullptr, /*read_debug_names=*/false,
                                          /*stop_on_first_error=*/true,
                                          /*fail_on_custom_section_error=*/true);
    wabt::Errors errors;
    wi::ModuleDesc desc;
    if (!validate(bytes, size, options, &errors) ||
        wabt::Failed(wi::ReadBinaryInterp("module", bytes, size, options, &errors, &desc))) {
        report(errors, size, error);
        return nullptr;
    }

    auto module = std::make_unique<Module>();
    for (const wi::StartDesc& start : desc.starts) module->starts.push_back(start.func_index);
    desc.starts.clear();  // begin() runs it, in slices and on the app's fuel
    for (wi::FuncDesc& func : desc.funcs) {
        // Only tracing and exceptions look at these, and every instance would copy them.
        func.locals.clear();
        func.handlers.clear();
    }
    take_out_memory(desc, limits, *module);
    for (wi::TableDesc& table : desc.tables) {
        module->table_maxima.push_back(table.type.limits.max);
        table.type.limits.max =
            std::min<std::uint64_t>(table.type.limits.max, limits.table_elements);
    }
    weigh(desc, *module);
    module->object.reset(new wi::Module(module->store, std::move(desc)));
    module->object->self_ = wi::Ref{kModuleIndex};
    return module.release();
}

void unload(Module* module) {
    delete module;
}

std::uint64_t start_cost(const Module* module) {
    return module->start_cost;
}

std::uint64_t instance_bytes(const Module* module, const Limits& limits) {
    const std::uint64_t pages =
        std::min<std::uint64_t>(module->memory_maximum, limits.memory_pages);
    const std::uint64_t elements = module->table_maxima.empty() ? 0 : limits.table_elements;
    // A memory leaves its first room; tables grow by doubling, and are there twice meanwhile.
    return pages * kPageBytes + kSmallMemoryBytes + 3 * elements * sizeof(wi::Ref) +
           kMaxStackValues * sizeof(wi::Value) + limits.call_depth * sizeof(wi::Frame) +
           kThreadBytes + module->object_bytes;
}

namespace {

// Called by the interpreter for an imported function.
wabt::Result call_host(Instance& instance, std::uint32_t import, const wi::FuncType& type,
                       const wi::Values& params, wi::Values& results, wi::Trap::Ptr* trap) {
    std::vector<std::uint64_t> bits(params.size());
    for (std::size_t i = 0; i < params.size(); ++i) bits[i] = to_bits(params[i], type.params[i]);
    HostCall call{import, bits.data(), 0, 0};
    const HostAnswer answer = instance.host.call(instance.host.context, &call);
    instance.host_cost = call.cost;
    if (answer == HostAnswer::kReturned) {
        if (!results.empty()) results[0] = from_bits(call.result, type.results[0]);
        return wabt::Result::Ok;
    }
    instance.host_stop = answer == HostAnswer::kWaiting ? Stop::kWaiting : Stop::kHostTrap;
    if (answer == HostAnswer::kWaiting) {
        instance.waiting_import = import;
        instance.waiting_arguments = std::move(bits);
    }
    *trap = instance.host_trap;
    return wabt::Result::Error;
}

wi::RefVec make_imports(Instance& instance) {
    wi::RefVec refs;
    std::uint32_t number = 0;
    for (const wi::ImportDesc& import : instance.module->object->desc().imports) {
        const auto& type = *static_cast<const wi::FuncType*>(import.type.type.get());
        const wi::FuncType* kept = &type;  // lives in the module, as long as the instance
        Instance* self = &instance;
        const std::uint32_t index = number++;
        auto callback = [self, index, kept](wi::Thread&, const wi::Values& params,
                                            wi::Values& results, wi::Trap::Ptr* trap) {
            return call_host(*self, index, *kept, params, results, trap);
        };
        refs.push_back(wi::HostFunc::New(*instance.store, type, std::move(callback)).ref());
    }
    return refs;
}

// Gives the memory room for that many pages: a little, or at once all that it may ever take. So no
// more than a little is ever there twice; and nothing of it stays behind.
void make_room(wi::Memory& memory, std::uint64_t pages) {
    const std::size_t wanted = pages * kPageBytes;
    const std::size_t most = memory.type().limits.max * kPageBytes;
    if (wanted <= memory.data_.capacity()) return;
    wi::Buffer room;
    room.reserve(wanted <= kSmallMemoryBytes ? std::min(most, kSmallMemoryBytes) : most);
    room.assign(memory.data_.begin(), memory.data_.end());
    memory.data_.swap(room);
    std::fill(room.begin(), room.end(), wi::u8{0});
    __asm__ volatile("" : : "r"(room.data()) : "memory");  // the compiler may not leave it out
}

// Does with memory and active data what the library would have done.
Stop fill_memory(Instance& instance) {
    const Module& module = *instance.module;
    if (instance.object->memories().empty()) return Stop::kFinished;
    wi::Memory& memory = *instance.store->UnsafeGet<wi::Memory>(instance.object->memories()[0]);
    instance.memory = &memory;
    make_room(memory, module.initial_pages);
    if (wabt::Failed(memory.Grow(module.initial_pages))) return Stop::kMemoryLimit;
    for (const std::size_t index : module.active_data) {
        wi::DataSegment& segment = instance.object->datas()[index];
        const auto init =
            wi::DefinedFunc::New(*instance.store, instance.object.ref(), segment.desc().init_func);
        wi::Trap::Ptr trap;
        wi::Value offset;
        if (wabt::Failed(
                instance.object->CallInitFunc(*instance.store, init.ref(), &offset, &trap)) ||
            wabt::Failed(memory.Init(offset.Get<wi::u32>(), segment, 0, segment.size()))) {
            return Stop::kOutOfBoundsMemory;
        }
        segment.Drop();
    }
    return Stop::kFinished;
}

}  // namespace

Instance* instantiate(const Module* module, const Limits& limits, const Host& host, Stop* stop) {
    auto instance = std::make_unique<Instance>();
    instance->module = module;
    instance->limits = limits;
    instance->host = host;
    instance->store = std::make_unique<wi::Store>();
    const std::size_t index = instance->store->objects_.New(module->object.get());
    if (index != kModuleIndex) std::abort();  // a store of another libwabt: nothing here holds then

    wi::Trap::Ptr trap;
    const wi::RefVec imports = make_imports(*instance);
    instance->object =
        wi::Instance::Instantiate(*instance->store, wi::Ref{kModuleIndex}, imports, &trap);
    if (!instance->object) {
        *stop = trap ? trap_kind(trap->message()) : Stop::kOther;
        trap.reset();
        return nullptr;
    }
    *stop = fill_memory(*instance);
    if (*stop != Stop::kFinished) return nullptr;
    instance->host_trap = wi::Trap::New(*instance->store, "host");
    instance->code = module->object->desc().istream.data_.data();
    instance->start_pending = !module->starts.empty();
    return instance.release();
}

void drop(Instance* instance) {
    delete instance;
}

MemorySpan memory(Instance* instance) {
    if (instance->memory == nullptr) return {nullptr, 0};
    return {instance->memory->data_.data(), instance->memory->data_.size()};
}

namespace {

Stop push_function(Instance& instance, wi::Ref ref, const std::vector<std::uint64_t>& arguments) {
    wi::Thread& thread = *instance.thread;
    wi::Func::Ptr func(*instance.store, ref);
    const wi::FuncType& type = func->type();
    wi::Values values;
    for (std::size_t i = 0; i < type.params.size(); ++i) {
        values.push_back(from_bits(arguments[i], type.params[i]));
    }
    thread.PushValues(type.params, values);
    wi::Trap::Ptr trap;
    if (auto* defined = wabt::dyn_cast<wi::DefinedFunc>(func.get())) {
        const wi::RunResult result = thread.PushCall(*defined, &trap);
        return result == wi::RunResult::Ok ? Stop::kOutOfSlice : Stop::kStackExhausted;
    }
    return Stop::kOther;  // an import exported again: engine.cpp does not let that through
}

Stop enter_export(Instance& instance) {
    instance.starting = false;
    const wi::Ref ref = instance.object->exports()[instance.export_index];
    return push_function(instance, ref, instance.arguments);
}

}  // namespace

void begin(Instance* instance, std::uint32_t export_index, const std::uint64_t* arguments) {
    const wi::Ref ref = instance->object->exports()[export_index];
    wi::Func::Ptr func(*instance->store, ref);
    instance->export_index = export_index;
    instance->arguments.assign(arguments, arguments + func->type().params.size());
    instance->host_waits = false;
    instance->thread.reset();
    instance->thread = std::make_unique<wi::Thread>(*instance->store);
    instance->thread->values_.reserve(kMaxStackValues);  // for good: it would grow by copying
    // The interpreter takes the capacity for the limit; the constructor reserves its own.
    std::vector<wi::Frame>().swap(instance->thread->frames_);
    instance->thread->frames_.reserve(instance->limits.call_depth);
}

namespace {

// The fuel of one run: of the whole instance, and of this slice.
struct Meter {
    std::uint64_t* total;
    std::uint64_t slice;

    // Takes `cost` off, or says that there is not as much. The slice may be overdrawn: what an
    // instruction does cannot be split, and the total is what the outcome depends on.
    bool take(std::uint64_t cost) {
        if (cost > *total) {
            *total = 0;
            return false;
        }
        *total -= cost;
        slice -= std::min(slice, cost);
        return true;
    }
};

std::uint32_t top(const wi::Thread& thread, std::size_t depth) {
    return thread.values_[thread.values_.size() - 1 - depth].Get<wi::u32>();
}

// memory.grow beyond what the module declares is the module's affair: it gets -1. Beyond what the
// app may have it traps, so that the limit has a name.
Stop before_memory_grow(Instance& instance, Meter& meter) {
    const std::uint64_t delta = top(*instance.thread, 0);
    const std::uint64_t pages = instance.memory->PageSize() + delta;
    if (pages > instance.module->memory_maximum) return Stop::kFinished;
    if (pages > instance.limits.memory_pages) return Stop::kMemoryLimit;
    if (!meter.take(delta * kPageBytes / kBytesPerFuel)) return Stop::kFuelExhausted;
    make_room(*instance.memory, pages);
    return Stop::kFinished;
}

Stop before_table_grow(Instance& instance, std::uint32_t table_index, Meter& meter) {
    const std::uint32_t delta = top(*instance.thread, 0);
    std::uint64_t all = delta;
    for (const wi::Ref ref : instance.object->tables()) {
        all += instance.store->UnsafeGet<wi::Table>(ref)->size();
    }
    const wi::Ref ref = instance.object->tables()[table_index];
    const std::uint64_t size = instance.store->UnsafeGet<wi::Table>(ref)->size();
    if (size + delta > instance.module->table_maxima[table_index]) return Stop::kFinished;
    if (all > instance.limits.table_elements) return Stop::kTableLimit;
    return meter.take((size + delta) / kElementsPerFuel) ? Stop::kFinished : Stop::kFuelExhausted;
}

Stop before(Instance& instance, Watch watch, const std::uint8_t* at, Meter& meter) {
    std::uint32_t immediate = 0;
    std::memcpy(&immediate, at + sizeof(std::uint32_t), sizeof immediate);
    std::uint64_t cost = 0;
    switch (watch) {
        case Watch::kMemoryGrow:
            return before_memory_grow(instance, meter);
        case Watch::kTableGrow:
            return before_table_grow(instance, immediate, meter);
        case Watch::kMemoryBulk:
            cost = top(*instance.thread, 0) / kBytesPerFuel;
            break;
        case Watch::kTableBulk:
            cost = top(*instance.thread, 0) / kElementsPerFuel;
            break;
        case Watch::kAlloca:
            if (instance.thread->values_.size() + immediate > kMaxStackValues) {
                return Stop::kStackExhausted;
            }
            cost = immediate / kLocalsPerFuel;
            break;
        default:
            break;
    }
    return meter.take(cost) ? Stop::kFinished : Stop::kFuelExhausted;
}

// The interpreter gave up inside an imported function's call; its frame is still there.
Stop after_host(Instance& instance, Meter& meter) {
    const Stop stop = instance.host_stop;
    instance.host_stop = Stop::kFinished;
    if (!meter.take(std::exchange(instance.host_cost, 0))) return Stop::kFuelExhausted;
    if (stop == Stop::kWaiting) instance.host_waits = true;
    return stop;
}

// Calls a host function that had asked to wait once more; if it is done now, does what is left of
// the interpreter's call: pop the frame, push the result.
Stop call_waiting_host(Instance& instance, Meter& meter) {
    HostCall call{instance.waiting_import, instance.waiting_arguments.data(), 0, 0};
    const HostAnswer answer = instance.host.call(instance.host.context, &call);
    if (!meter.take(call.cost)) return Stop::kFuelExhausted;
    if (answer == HostAnswer::kWaiting) return Stop::kWaiting;
    if (answer == HostAnswer::kTrapped) return Stop::kHostTrap;
    instance.host_waits = false;
    const wi::ImportDesc& import = instance.module->object->desc().imports[instance.waiting_import];
    const auto& type = *static_cast<const wi::FuncType*>(import.type.type.get());
    instance.thread->PopCall();
    wi::Values results;
    if (!type.results.empty()) results.push_back(from_bits(call.result, type.results[0]));
    instance.thread->PushValues(type.results, results);
    return Stop::kFinished;
}

// One instruction. kFinished: go on. kOutOfSlice: the outermost function returned.
Stop step(Instance& instance, Meter& meter) {
    wi::Thread& thread = *instance.thread;
    const std::uint8_t* at = instance.code + thread.frames_.back().offset;
    std::uint32_t opcode;
    std::memcpy(&opcode, at, sizeof opcode);
    const Watch watch = kWatch.of[opcode];
    if (watch != Watch::kNothing) {
        const Stop stop = before(instance, watch, at, meter);
        if (stop != Stop::kFinished) return stop;
    }
    wi::Trap::Ptr trap;
    const wi::RunResult result = thread.StepInternal(&trap);
    if (trap) {
        if (instance.host_stop != Stop::kFinished) return after_host(instance, meter);
        return trap_kind(trap->message());
    }
    if (result == wi::RunResult::Return) return Stop::kOutOfSlice;
    if (result != wi::RunResult::Ok) return Stop::kOther;
    if (watch != Watch::kNothing) {
        thread.refs_.clear();
        if (!meter.take(std::exchange(instance.host_cost, 0))) return Stop::kFuelExhausted;
    }
    // Not one beyond: the vector would double for it.
    if (thread.values_.size() >= kMaxStackValues) return Stop::kStackExhausted;
    return Stop::kFinished;
}

// Enters the start function or the export, whichever is next. kFinished: there are frames to run.
Stop enter_next(Instance& instance) {
    Stop stop = Stop::kFinished;
    if (instance.start_pending) {
        instance.start_pending = false;
        instance.starting = true;
        const wi::Ref ref = instance.object->funcs()[instance.module->starts[0]];
        stop = push_function(instance, ref, {});
    } else {
        stop = enter_export(instance);
    }
    return stop == Stop::kOutOfSlice ? Stop::kFinished : stop;
}

}  // namespace

Stop run(Instance* instance, std::uint64_t slice, std::uint64_t* fuel) {
    Meter meter{fuel, slice};
    wi::Thread& thread = *instance->thread;
    if (thread.frames_.empty()) {
        const Stop stop = enter_next(*instance);
        if (stop != Stop::kFinished) return stop;
    }
    if (instance->host_waits) {
        const Stop stop = call_waiting_host(*instance, meter);
        if (stop != Stop::kFinished) return stop;
    }
    while (meter.slice > 0) {
        if (!meter.take(1)) return Stop::kFuelExhausted;
        const Stop stop = step(*instance, meter);
        if (stop == Stop::kFinished) continue;
        if (stop != Stop::kOutOfSlice) return stop;
        if (!instance->starting) return Stop::kFinished;
        const Stop next = enter_next(*instance);
        if (next != Stop::kFinished) return next;
    }
    return Stop::kOutOfSlice;
}

bool started(const Instance* instance) {
    return !instance->start_pending && !instance->starting;
}

void results(Instance* instance, std::uint64_t* out) {
    const wi::Ref ref = instance->object->exports()[instance->export_index];
    wi::Func::Ptr func(*instance->store, ref);
    const wi::FuncType& type = func->type();
    wi::Values values;
    instance->thread->PopValues(type.results, &values);
    for (std::size_t i = 0; i < values.size(); ++i) out[i] = to_bits(values[i], type.results[i]);
}

}  // namespace eos::wasm::seam
