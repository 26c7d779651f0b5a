// SPDX-License-Identifier: AGPL-3.0-only
// The WebAssembly engine: modules, instances and resumable calls. Which interpreter or compiler
// stands behind it is not visible here.
//
// It is no sandbox against a hostile author while libwabt is the engine (docs/security): one
// owner's modules only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "trusted/wasm/guest_memory.h"
#include "trusted/wasm/module_scan.h"
#include "trusted/wasm/value.h"

namespace eos::wasm {

inline constexpr Code invalid_module{"trusted/wasm", "invalid_module",
                                     "the module does not validate"};
inline constexpr Code unknown_import{"trusted/wasm", "unknown_import",
                                     "the module imports something this platform does not offer"};
inline constexpr Code import_mismatch{"trusted/wasm", "import_mismatch",
                                      "an import has another type than what is offered"};
inline constexpr Code over_limit{"trusted/wasm", "over_limit",
                                 "the module asks for more than the app's limits allow"};
inline constexpr Code bad_segment{"trusted/wasm", "bad_segment",
                                  "a data or element segment does not fit where it belongs"};
inline constexpr Code no_fuel_to_start{
    "trusted/wasm", "no_fuel_to_start",
    "the app's fuel does not pay for what its module has at start"};
inline constexpr Code no_such_export{"trusted/wasm", "no_such_export",
                                     "the module exports no such function"};
inline constexpr Code not_callable{"trusted/wasm", "not_callable",
                                   "the export cannot be called from outside"};
inline constexpr Code argument_mismatch{"trusted/wasm", "argument_mismatch",
                                        "the arguments do not fit the function's parameters"};
inline constexpr Code instance_spent{
    "trusted/wasm", "instance_spent",
    "an earlier call is unfinished, or the start function trapped"};

inline constexpr std::uint32_t kPageBytes = 65'536;
/// What a worker gives a call between two turns of its event loop: about 1 ms.
inline constexpr std::uint64_t kFuelSlice = 100'000;

/// What one instance may have. A module's own declarations can only be stricter.
struct Limits {
    std::uint32_t memory_pages = 1'024;     ///< of 64 KiB; exact
    std::uint32_t table_elements = 65'536;  ///< all tables together
    std::uint32_t call_depth = 4'096;       ///< functions active at once, at most 65,536
};
inline constexpr std::uint32_t kMaxCallDepth = 65'536;
inline constexpr std::uint32_t kMaxTableElements = 1'000'000;

/// Fuel is counted in instructions; bulk instructions, host functions and what a module has at
/// start (memory, segments, tables, functions) cost by length.
struct Budget {
    std::uint64_t fuel = 10'000'000;  ///< for the whole life of the instance
};

/// Why a call ended early.
enum class TrapCode : std::uint8_t {
    kUnreachable,
    kOutOfBoundsMemory,
    kOutOfBoundsTable,
    kIntegerDivideByZero,
    kIntegerOverflow,
    kInvalidConversion,
    kUndefinedElement,          ///< an indirect call to no function
    kIndirectCallTypeMismatch,  ///< an indirect call to a function of another type
    kStackExhausted,            ///< too many functions active, or too many locals in them
    kFuelExhausted,
    kMemoryLimit,  ///< memory.grow beyond Limits::memory_pages
    kTableLimit,   ///< table.grow beyond Limits::table_elements
    kOutputLimit,  ///< the app wrote more than it may
    kExit,         ///< the app called proc_exit; not a fault if the code is 0
    kEngine,       ///< something the engine has no name for
};

/// "out_of_bounds_memory": stable, for answers and metrics.
std::string_view trap_name(TrapCode code);

/// A call that ended early.
struct Trap {
    TrapCode code = TrapCode::kEngine;
    std::uint32_t exit_code = 0;  ///< of kExit

    friend bool operator==(const Trap&, const Trap&) = default;
};

/// What a call waits for; run() again at or after that time (the clock of wasi.h).
struct HostRequest {
    std::uint64_t wake_at_ns = 0;

    friend bool operator==(const HostRequest&, const HostRequest&) = default;
};

/// A function that the platform offers to modules. At most one result.
struct HostFunction {
    std::string_view module;
    std::string_view name;
    FunctionType type;
};

/// What a host function is given: the caller's memory, and where to write down its own cost.
struct HostContext {
    GuestMemory memory;
    std::uint64_t work_bytes = 0;  ///< bytes it moved or made; charged as fuel
};

/// The host function is done.
struct HostReturn {
    std::optional<Value> value;  ///< present exactly if the type has a result
};
using HostOutcome = std::variant<HostReturn, Trap, HostRequest>;

/// The platform, as one instance sees it.
class Host {
  public:
    virtual ~Host() = default;
    /// Calls the offered function with that index; `args` have its parameters' types. After a
    /// HostRequest the same call is made again by a later run(), until it returns or traps.
    virtual HostOutcome call(std::uint32_t function, std::span<const Value> args,
                             HostContext& context) = 0;
};

/// A validated module, immutable. Copies share it.
/// threads: instances on several threads may share one module.
class Module {
  public:
    /// Checks the module and prepares it for instances.
    /// in:      the whole file, not retained; `offered` is what imports may name.
    /// errors:  malformed_module, module_limit, unsupported_feature, invalid_module (with the
    ///          validator's message and position), unknown_import, import_mismatch, over_limit.
    /// bound:   linear in the module's instructions: about 0.4 s for the worst that the limits of
    ///          module_scan.h let through (2,000,000 calls); not resumable.
    [[nodiscard]] static Result<Module> load(ByteView wasm, const Limits& limits,
                                             std::span<const HostFunction> offered);

    const std::vector<ModuleExport>& exports() const;
    /// The export of that name if it is a function, else nothing.
    const ModuleExport* find_function(std::string_view name) const;
    bool has_memory() const;
    /// The most memory that one instance takes, whatever it does: linear memory up to its limit,
    /// stacks and tables up to theirs, and what the engine keeps of functions and segments.
    std::uint64_t max_instance_bytes() const;
    /// Content of the custom section "eos.functions".
    std::string_view functions_text() const;

  private:
    friend class Instance;
    struct State;
    explicit Module(std::shared_ptr<const State> state) : state_(std::move(state)) {}
    std::shared_ptr<const State> state_;
};

/// The call is done; the function's results.
struct Finished {
    Values values;
};
/// The slice is used up: run() goes on.
struct OutOfSlice {};
using Outcome = std::variant<Finished, Trap, OutOfSlice, HostRequest>;

/// One run of a module: fresh memory, wiped when the instance dies; its own fuel. Neither copied
/// nor moved; one call at a time.
/// A trap ends the call, not the instance: memory stays as it is and further calls are possible.
class Instance {
  public:
    /// in:      `host` must outlive the instance.
    /// errors:  bad_segment, no_fuel_to_start (nothing was made then).
    /// bound:   linear in what the module has at start, and charged for it; not resumable.
    [[nodiscard]] static Result<std::unique_ptr<Instance>> create(const Module& module, Host& host,
                                                                  const Budget& budget);
    ~Instance();
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    /// Prepares a call; nothing runs yet. The module's start function is run in front of the first.
    /// errors:  no_such_export, not_callable, argument_mismatch, instance_spent.
    [[nodiscard]] Result<void> begin(std::string_view function, std::span<const Value> arguments);

    /// Runs the prepared call for about `slice` fuel. However it is sliced, the outcome and the
    /// fuel used are the same. Only after begin(), and not again after Finished or Trap (asserted).
    Outcome run(std::uint64_t slice);

    /// The linear memory as it is now; empty without one. Invalid after the next run().
    GuestMemory memory();
    std::uint64_t fuel_left() const;

  private:
    struct State;
    explicit Instance(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace eos::wasm
