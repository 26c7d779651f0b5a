// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/engine.h"

#include <gtest/gtest.h>

#include <thread>

#include "trusted/wasm/test_heap.h"
#include "trusted/wasm/test_modules.h"

namespace eos::wasm {
namespace {

using testing::allocated_bytes;
using testing::leb;
using testing::module_of;
using testing::raw;
using testing::section;
using testing::test_module;

class NoHost : public Host {
  public:
    HostOutcome call(std::uint32_t, std::span<const Value>, HostContext&) override {
        ADD_FAILURE() << "a module without imports called its host";
        return Trap{TrapCode::kEngine, 0};
    }
};

struct Running {
    Outcome outcome;
    std::uint64_t fuel_used = 0;
    int slices = 0;
};

Running run_to_end(Instance& instance, std::uint64_t slice) {
    const std::uint64_t before = instance.fuel_left();
    Running out;
    do {
        out.outcome = instance.run(slice);
        ++out.slices;
    } while (std::holds_alternative<OutOfSlice>(out.outcome));
    out.fuel_used = before - instance.fuel_left();
    return out;
}

class EngineTest : public ::testing::Test {
  protected:
    Module load(const std::string& name) {
        Bytes bytes = test_module(name);
        auto module = Module::load(bytes, limits_, offered_);
        if (!module) {
            ADD_FAILURE() << name << ": " << module.error().message();
            std::abort();
        }
        return *std::move(module);
    }
    Running call(const std::string& module, std::string_view function, const Values& arguments,
                 std::uint64_t slice = kFuelSlice) {
        auto instance = Instance::create(load(module), host_, budget_);
        EXPECT_TRUE(instance.has_value());
        const auto begun = (*instance)->begin(function, arguments);
        EXPECT_TRUE(begun.has_value()) << function;
        Running got = run_to_end(**instance, slice);
        got.fuel_used = budget_.fuel - (*instance)->fuel_left();  // with what it cost to start
        return got;
    }
    void expect_trap(const std::string& module, std::string_view function, const Values& arguments,
                     TrapCode code) {
        const Running got = call(module, function, arguments);
        ASSERT_TRUE(std::holds_alternative<Trap>(got.outcome)) << function;
        EXPECT_EQ(trap_name(std::get<Trap>(got.outcome).code), trap_name(code)) << function;
    }
    void expect_values(const std::string& module, std::string_view function,
                       const Values& arguments, const Values& expected) {
        const Running got = call(module, function, arguments);
        ASSERT_TRUE(std::holds_alternative<Finished>(got.outcome)) << function;
        EXPECT_EQ(std::get<Finished>(got.outcome).values, expected) << function;
    }

    Limits limits_;
    Budget budget_;
    NoHost host_;
    std::vector<HostFunction> offered_;
};

TEST_F(EngineTest, CallsExports) {
    expect_values("basics", "add", {Value::i32(40), Value::i32(2)}, {Value::i32(42)});
    expect_values("basics", "swap", {Value::i64(1), Value::f64(2.5)},
                  {Value::f64(2.5), Value::i64(1)});
    expect_values("basics", "recurse", {Value::i32(1000)}, {Value::i32(1000)});
}

TEST_F(EngineTest, KeepsTheBitsOfNaNs) {
    const Value nan{ValueType::kF32, 0x7fa0'0001};
    expect_values("basics", "echo_f32", {nan}, {nan});
}

TEST_F(EngineTest, RunsTheStartFunctionBeforeTheFirstCall) {
    expect_values("basics", "started", {}, {Value::i32(42)});
}

TEST_F(EngineTest, NamesItsTraps) {
    expect_trap("basics", "unreachable", {}, TrapCode::kUnreachable);
    expect_trap("basics", "load", {Value::i32(65'533)}, TrapCode::kOutOfBoundsMemory);
    expect_trap("basics", "load", {Value::i32(0xffff'ffff)}, TrapCode::kOutOfBoundsMemory);
    expect_trap("basics", "divide", {Value::i32(1), Value::i32(0)}, TrapCode::kIntegerDivideByZero);
    expect_trap("basics", "divide", {Value::i32(0x8000'0000), Value::i32(0xffff'ffff)},
                TrapCode::kIntegerOverflow);
    expect_trap("basics", "truncate", {Value::f64(0.0 / 0.0)}, TrapCode::kInvalidConversion);
    expect_trap("basics", "truncate", {Value::f64(1e20)}, TrapCode::kIntegerOverflow);
    expect_trap("basics", "indirect", {Value::i32(1)}, TrapCode::kIndirectCallTypeMismatch);
    expect_trap("basics", "indirect", {Value::i32(2)}, TrapCode::kUndefinedElement);
    expect_trap("basics", "indirect", {Value::i32(99)}, TrapCode::kUndefinedElement);
    expect_trap("basics", "table_get", {Value::i32(4)}, TrapCode::kOutOfBoundsTable);
    expect_trap("basics", "recurse", {Value::i32(100'000)}, TrapCode::kStackExhausted);
}

TEST_F(EngineTest, RefusesWrongCalls) {
    auto instance = *Instance::create(load("basics"), host_, budget_);
    EXPECT_EQ(instance->begin("absent", {}).error().code(), no_such_export);
    EXPECT_EQ(instance->begin("memory", {}).error().code(), no_such_export);
    EXPECT_EQ(instance->begin("simd", {}).error().code(), not_callable);
    const Values one{Value::i32(1)};
    EXPECT_EQ(instance->begin("add", one).error().code(), argument_mismatch);
    const Values other{Value::i32(1), Value::i64(1)};
    EXPECT_EQ(instance->begin("add", other).error().code(), argument_mismatch);
}

TEST_F(EngineTest, AnUnfinishedInstanceTakesNoOtherCall) {
    auto instance = *Instance::create(load("basics"), host_, budget_);
    ASSERT_TRUE(instance->begin("spin", Values{Value::i32(1000)}).has_value());
    EXPECT_EQ(instance->begin("started", {}).error().code(), instance_spent);
    EXPECT_TRUE(std::holds_alternative<OutOfSlice>(instance->run(10)));
    EXPECT_EQ(instance->begin("started", {}).error().code(), instance_spent);
    run_to_end(*instance, kFuelSlice);
    ASSERT_TRUE(instance->begin("unreachable", {}).has_value());
    EXPECT_TRUE(std::holds_alternative<Trap>(instance->run(kFuelSlice)));
    // A trap ends the call, not the instance.
    ASSERT_TRUE(instance->begin("started", {}).has_value());
    EXPECT_EQ(std::get<Finished>(instance->run(kFuelSlice)).values, Values{Value::i32(42)});
}

TEST_F(EngineTest, AnInstanceWhoseStartTrappedIsSpent) {
    budget_.fuel = 1000;
    auto instance = *Instance::create(load("start_spins"), host_, budget_);
    ASSERT_TRUE(instance->begin("run", {}).has_value());
    EXPECT_TRUE(std::holds_alternative<Trap>(instance->run(kFuelSlice)));
    EXPECT_EQ(instance->begin("run", {}).error().code(), instance_spent);
}

TEST_F(EngineTest, SlicingChangesNeitherResultNorFuel) {
    const Values arguments{Value::i32(5000)};
    const Running whole = call("basics", "spin", arguments, 10'000'000);
    EXPECT_EQ(whole.slices, 1);
    for (std::uint64_t slice : {1u, 7u, 1000u}) {
        const Running sliced = call("basics", "spin", arguments, slice);
        EXPECT_GT(sliced.slices, 30);
        EXPECT_EQ(std::get<Finished>(sliced.outcome).values,
                  std::get<Finished>(whole.outcome).values);
        EXPECT_EQ(sliced.fuel_used, whole.fuel_used);
    }
}

TEST_F(EngineTest, FuelIsExact) {
    const Values arguments{Value::i32(5000)};
    const std::uint64_t need = call("basics", "spin", arguments).fuel_used;
    budget_.fuel = need;
    EXPECT_TRUE(std::holds_alternative<Finished>(call("basics", "spin", arguments, 333).outcome));
    budget_.fuel = need - 1;
    expect_trap("basics", "spin", arguments, TrapCode::kFuelExhausted);
}

TEST_F(EngineTest, TheStartFunctionRunsInSlicesOnTheAppsFuel) {
    budget_.fuel = 1'000'000;
    const Running got = call("start_spins", "run", {});
    EXPECT_EQ(std::get<Trap>(got.outcome).code, TrapCode::kFuelExhausted);
    EXPECT_GE(got.slices, 10);
}

TEST_F(EngineTest, TheMemoryLimitIsExactAndHasAName) {
    limits_.memory_pages = 16;
    expect_values("basics", "grow", {Value::i32(15)}, {Value::i32(1)});
    expect_trap("basics", "grow", {Value::i32(16)}, TrapCode::kMemoryLimit);
    // Beyond what the module itself declares (100 pages) it is the module's own failure.
    expect_values("basics", "grow", {Value::i32(100)}, {Value::i32(0xffff'ffff)});
    expect_values("basics", "grow", {Value::i32(0xffff'ffff)}, {Value::i32(0xffff'ffff)});
}

TEST_F(EngineTest, RefusesAModuleThatStartsAboveItsLimits) {
    limits_.memory_pages = 0;
    const auto memory = Module::load(test_module("basics"), limits_, {});
    ASSERT_FALSE(memory.has_value());
    EXPECT_EQ(memory.error().code(), over_limit);
    limits_ = Limits{};
    limits_.table_elements = 3;
    const auto table = Module::load(test_module("basics"), limits_, {});
    ASSERT_FALSE(table.has_value());
    EXPECT_EQ(table.error().code(), over_limit);
}

TEST_F(EngineTest, HostileModulesMeetTheirLimits) {
    expect_trap("hostile", "infinite_loop", {}, TrapCode::kFuelExhausted);
    expect_trap("hostile", "memory_bomb", {}, TrapCode::kMemoryLimit);
    expect_trap("hostile", "table_bomb", {}, TrapCode::kTableLimit);
    expect_trap("hostile", "infinite_recursion", {}, TrapCode::kStackExhausted);
    // The interpreter reports this one as success and goes on with a wrong stack.
    expect_trap("hostile", "indirect_recursion", {Value::i32(1)}, TrapCode::kStackExhausted);
    expect_trap("hostile", "many_locals", {}, TrapCode::kStackExhausted);
    expect_trap("hostile", "bulk_loop", {}, TrapCode::kFuelExhausted);
}

TEST_F(EngineTest, BulkInstructionsCostByLength) {
    const Running got = call("basics", "fill", {Value::i32(1), Value::i32(65'536)}, 1'000'000);
    EXPECT_GE(got.fuel_used, 65'536u / 64);
    // 65,536 bytes a turn: with the cost of one instruction each this would be 10,000,000 fills.
    const Running loop = call("hostile", "bulk_loop", {});
    EXPECT_EQ(loop.fuel_used, budget_.fuel);
    EXPECT_GE(loop.slices, 90);
}

// 64 MiB of memory, tables, and a segment of data.
TEST_F(EngineTest, WhatAModuleHasAtStartIsPaidFor) {
    const Module module = load("large_start");
    const auto refused = Instance::create(module, host_, {.fuel = 1'000'000});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), no_fuel_to_start);
    const auto instance = Instance::create(module, host_, {.fuel = 2'000'000});
    ASSERT_TRUE(instance.has_value());
    EXPECT_LT((*instance)->fuel_left(), 2'000'000u - 1024 * 65'536 / 64 - 65'000 / 8);
    EXPECT_EQ((*instance)->memory().load<std::uint8_t>(67'108'863), 0x2a);
}

// A second copy of the memory would be counted nowhere. It moves once, while it is small.
TEST_F(EngineTest, MemoryGrowsWhereItIs) {
    auto instance = *Instance::create(load("basics"), host_, budget_);
    const auto place_after = [&](std::uint32_t delta) {
        EXPECT_TRUE(instance->begin("grow", Values{Value::i32(delta)}).has_value());
        run_to_end(*instance, kFuelSlice);
        return instance->memory().at(0, 1)->data();
    };
    const std::byte* small = place_after(0);
    EXPECT_EQ(place_after(31), small);
    const std::byte* large = place_after(1);
    EXPECT_EQ(place_after(67), large);
    EXPECT_EQ(instance->memory().size_bytes(), 100 * kPageBytes);
}

TEST_F(EngineTest, MemoryLeavesNothingWhereItWas) {
    constexpr std::size_t kSmall = 32 * kPageBytes;
    std::free(std::malloc(2 * kSmall));  // from now on the allocator keeps such sizes
    auto instance = *Instance::create(load("basics"), host_, budget_);
    ASSERT_TRUE(instance->begin("grow", Values{Value::i32(31)}).has_value());
    run_to_end(*instance, kFuelSlice);
    ASSERT_TRUE(instance->begin("fill", Values{Value::i32(0x5a), Value::i32(kSmall)}).has_value());
    run_to_end(*instance, kFuelSlice);
    ASSERT_TRUE(instance->begin("grow", Values{Value::i32(1)}).has_value());
    run_to_end(*instance, kFuelSlice);
    EXPECT_EQ(instance->memory().load<std::uint8_t>(kSmall - 1), 0x5a);
    EXPECT_FALSE(testing::freed_memory_holds(std::byte{0x5a}, kSmall));
}

TEST_F(EngineTest, MemoryIsWipedWhenTheInstanceDies) {
    limits_.memory_pages = 1;  // small enough that the allocator keeps it
    auto instance = *Instance::create(load("basics"), host_, budget_);
    ASSERT_TRUE(instance->begin("fill", Values{Value::i32(0x5a), Value::i32(65'536)}).has_value());
    run_to_end(*instance, kFuelSlice);
    instance.reset();
    EXPECT_FALSE(testing::freed_memory_holds(std::byte{0x5a}, kPageBytes));
}

// Functions, globals and segments by the thousand.
Bytes module_of_many_parts() {
    const auto times = [](std::uint32_t count, const Bytes& part) {
        Bytes out = leb(count);
        for (std::uint32_t i = 0; i < count; ++i) append(out, part);
        return out;
    };
    return module_of({section(1, raw({1, 0x60, 3, 0x7e, 0x7e, 0x7e, 1, 0x7e})),
                      section(3, times(20'000, raw({0}))), section(4, raw({1, 0x70, 0, 1})),
                      section(5, raw({1, 0, 1})),
                      section(6, times(5'000, raw({0x7f, 1, 0x41, 0, 0x0b}))),
                      section(7, raw({1, 1, 'f', 0, 0})),
                      section(9, times(5'000, raw({0, 0x41, 0, 0x0b, 1, 0}))),
                      section(10, times(20'000, raw({4, 0, 0x42, 0, 0x0b}))),
                      section(11, times(5'000, raw({0, 0x41, 0, 0x0b, 1, 7})))});
}

// Depth of calls, tables, functions, globals and segments: all of it is in the promise.
TEST_F(EngineTest, AnInstanceTakesNoMoreThanItsModuleSays) {
    limits_.memory_pages = 1;
    budget_.fuel = 100'000'000;
    for (const Bytes& wasm :
         {test_module("basics"), test_module("hostile"), module_of_many_parts()}) {
        const Module module = *Module::load(wasm, limits_, {});
        for (const ModuleExport& item : module.exports()) {
            const std::size_t before = allocated_bytes();
            auto instance = *Instance::create(module, host_, budget_);
            std::size_t most = allocated_bytes();
            Values arguments;
            for (ValueType type : item.type.params) arguments.push_back({type, 4'000});
            if (!instance->begin(item.name, arguments).has_value()) continue;
            Outcome outcome = OutOfSlice{};
            for (int i = 0; i < 500 && std::holds_alternative<OutOfSlice>(outcome); ++i) {
                outcome = instance->run(kFuelSlice / 100);
                most = std::max(most, allocated_bytes());
            }
            EXPECT_LE(most - before, module.max_instance_bytes()) << item.name;
        }
    }
}

TEST_F(EngineTest, ASegmentOutsideItsMemoryIsAnErrorOfInstantiation) {
    const auto instance = Instance::create(load("bad_segment"), host_, budget_);
    ASSERT_FALSE(instance.has_value());
    EXPECT_EQ(instance.error().code(), bad_segment);
    EXPECT_NE(instance.error().detail().find("out_of_bounds_memory"), std::string::npos);
}

// Answers after it was asked `patience` times more.
class TestHost : public Host {
  public:
    HostOutcome call(std::uint32_t function, std::span<const Value> args,
                     HostContext& context) override {
        ++calls;
        EXPECT_EQ(context.memory.size_bytes(), kPageBytes);
        if (function == 0) return HostReturn{Value::i32(args[0].as_u32() + 1)};
        if (function == 2) return Trap{TrapCode::kExit, 3};
        if (patience-- > 0) return HostRequest{77};
        return HostReturn{Value::i32(args[0].as_u32() * 2)};
    }
    int calls = 0;
    int patience = 0;
};

class HostTest : public ::testing::Test {
  protected:
    const FunctionType unary_{{ValueType::kI32}, {ValueType::kI32}};
    const std::vector<HostFunction> offered_{
        {"test", "add_one", unary_}, {"test", "wait", unary_}, {"test", "fail", {}}};
    TestHost host_;

    std::unique_ptr<Instance> begin(std::string_view function, const Values& arguments) {
        auto module = Module::load(test_module("host"), Limits{}, offered_);
        EXPECT_TRUE(module.has_value());
        auto instance = Instance::create(*module, host_, Budget{});
        EXPECT_TRUE((*instance)->begin(function, arguments).has_value());
        return *std::move(instance);
    }
};

TEST_F(HostTest, DirectAndIndirectCallsReachTheHost) {
    auto direct = begin("direct", Values{Value::i32(5)});
    EXPECT_EQ(std::get<Finished>(direct->run(kFuelSlice)).values, Values{Value::i32(7)});
    auto indirect = begin("indirect", Values{Value::i32(5)});
    EXPECT_EQ(std::get<Finished>(indirect->run(kFuelSlice)).values, Values{Value::i32(60)});
}

TEST_F(HostTest, HostCallsCostMoreThanAnInstruction) {
    auto instance = begin("direct", Values{Value::i32(5)});
    const Running got = run_to_end(*instance, kFuelSlice);
    EXPECT_GT(got.fuel_used, 100u);
    EXPECT_LT(got.fuel_used, 120u);
}

TEST_F(HostTest, AWaitingCallGoesOnWhereItStopped) {
    for (const char* function : {"wait", "wait_indirect"}) {
        auto at_once = begin(function, Values{Value::i32(21)});
        run_to_end(*at_once, kFuelSlice);
        host_.patience = 3;
        host_.calls = 0;
        auto instance = begin(function, Values{Value::i32(21)});
        for (int i = 0; i < 3; ++i) {
            EXPECT_EQ(std::get<HostRequest>(instance->run(kFuelSlice)), HostRequest{77});
        }
        EXPECT_EQ(std::get<Finished>(instance->run(kFuelSlice)).values, Values{Value::i32(1042)});
        EXPECT_EQ(host_.calls, 4);
        EXPECT_EQ(instance->fuel_left(), at_once->fuel_left());
    }
}

TEST_F(HostTest, WaitingLeavesNothingBehind) {
    auto instance = begin("direct", Values{Value::i32(5)});
    run_to_end(*instance, kFuelSlice);
    const auto wait = [&] {
        host_.patience = 1;
        ASSERT_TRUE(instance->begin("wait", Values{Value::i32(21)}).has_value());
        EXPECT_TRUE(std::holds_alternative<HostRequest>(instance->run(kFuelSlice)));
        EXPECT_TRUE(std::holds_alternative<Finished>(instance->run(kFuelSlice)));
    };
    wait();
    const std::size_t before = allocated_bytes();
    for (int i = 0; i < 1000; ++i) wait();
    EXPECT_LT(allocated_bytes(), before + 10'000) << "less than ten bytes each";
}

TEST_F(HostTest, TheHostsTrapComesThroughWithItsCode) {
    auto instance = begin("fail", {});
    EXPECT_EQ(std::get<Trap>(instance->run(kFuelSlice)), (Trap{TrapCode::kExit, 3}));
}

TEST_F(HostTest, AnImportCannotBeCalledThroughItsExport) {
    auto module = *Module::load(test_module("host"), Limits{}, offered_);
    auto instance = *Instance::create(module, host_, Budget{});
    const Values one{Value::i32(1)};
    EXPECT_EQ(instance->begin("reexported", one).error().code(), not_callable);
}

TEST_F(HostTest, RefusesUnknownAndMistypedImports) {
    const auto none = Module::load(test_module("host"), Limits{}, {});
    ASSERT_FALSE(none.has_value());
    EXPECT_EQ(none.error().code(), unknown_import);
    EXPECT_EQ(none.error().detail(), "test.add_one");
    auto offered = offered_;
    offered[1].type = {};
    const auto other = Module::load(test_module("host"), Limits{}, offered);
    ASSERT_FALSE(other.has_value());
    EXPECT_EQ(other.error().code(), import_mismatch);
}

std::size_t resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
    }
    return 0;
}

// AddressSanitizer holds back what is freed, up to 256 MiB (quarantine_size_mb).
// GCC names it with a macro, clang with a feature.
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define EOS_ADDRESS_SANITIZER
#endif
#endif
#if defined(EOS_ADDRESS_SANITIZER) || defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kHeldBackKib = 256 * 1024;
#else
constexpr std::size_t kHeldBackKib = 0;
#endif

TEST_F(EngineTest, ReferencesAreNotHoarded) {
    budget_.fuel = 40'000'000;
    auto instance = *Instance::create(load("hostile"), host_, budget_);
    ASSERT_TRUE(instance->begin("reference_loop", Values{Value::i32(4'000'000)}).has_value());
    const std::size_t before = resident_kib();
    EXPECT_TRUE(std::holds_alternative<Finished>(run_to_end(*instance, kFuelSlice).outcome));
    // Four bytes for each would be 16 MiB.
    EXPECT_LT(resident_kib(), before + 4 * 1024);
}

TEST_F(EngineTest, DroppedInstancesGiveTheirMemoryBack) {
    const Module module = load("basics");
    const auto cycle = [&] {
        auto instance = *Instance::create(module, host_, budget_);
        ASSERT_TRUE(instance->begin("grow", Values{Value::i32(30)}).has_value());
        run_to_end(*instance, kFuelSlice);
    };
    for (int i = 0; i < 20; ++i) cycle();
    const std::size_t before = resident_kib();
    for (int i = 0; i < 1000; ++i) cycle();
    // 1,000 instances of 2 MiB each: had they stayed, two million KiB.
    EXPECT_LT(resident_kib(), before + kHeldBackKib + 8 * 1024);
}

TEST_F(EngineTest, InstancesShareNothing) {
    const Module module = load("basics");
    auto one = *Instance::create(module, host_, budget_);
    auto two = *Instance::create(module, host_, budget_);
    ASSERT_TRUE(one->begin("fill", Values{Value::i32(0xff), Value::i32(100)}).has_value());
    run_to_end(*one, kFuelSlice);
    EXPECT_EQ(one->memory().load<std::uint32_t>(0), 0xffff'ffff);
    EXPECT_EQ(two->memory().load<std::uint32_t>(0), 0u);
}

TEST_F(EngineTest, OneModuleServesTwoThreads) {
    const Module module = load("basics");
    const auto work = [&module, this] {
        for (int i = 0; i < 50; ++i) {
            NoHost host;
            auto instance = *Instance::create(module, host, budget_);
            ASSERT_TRUE(instance->begin("recurse", Values{Value::i32(500)}).has_value());
            const Running got = run_to_end(*instance, 100);
            EXPECT_EQ(std::get<Finished>(got.outcome).values, Values{Value::i32(500)});
        }
    };
    std::thread other(work);
    work();
    other.join();
}

TEST_F(EngineTest, AModuleOutlivesItsHandle) {
    std::unique_ptr<Instance> instance;
    {
        const Module module = load("basics");
        instance = *Instance::create(module, host_, budget_);
    }
    ASSERT_TRUE(instance->begin("add", Values{Value::i32(1), Value::i32(2)}).has_value());
    EXPECT_EQ(std::get<Finished>(instance->run(kFuelSlice)).values, Values{Value::i32(3)});
}

}  // namespace
}  // namespace eos::wasm
