// SPDX-License-Identifier: AGPL-3.0-only
// The seam between the engine (C++23) and the one file that sees libwabt (C++17, all its headers
// compile as with g++ 12). Plain structs and functions only. Private to trusted/wasm.
#pragma once

#include <cstddef>
#include <cstdint>

namespace eos::wasm::seam {

struct Module;    ///< immutable once loaded: instances on several threads may share it
struct Instance;  ///< used by one thread at a time

/// What the app's owner allows; a module's own declarations can only be stricter.
struct Limits {
    std::uint32_t memory_pages;
    std::uint32_t table_elements;  ///< all tables of one instance together
    std::uint32_t call_depth;
};

/// Why a module was refused.
struct LoadError {
    std::size_t position;  ///< byte offset, 0 if unknown
    char message[256];     ///< NUL-terminated; may quote names of the module
};

/// Why a run stopped. Everything but the first four ends the call.
enum class Stop : std::uint8_t {
    kFinished,
    kOutOfSlice,
    kWaiting,
    kHostTrap,  ///< the host function said so
    kUnreachable,
    kOutOfBoundsMemory,
    kOutOfBoundsTable,
    kDivideByZero,
    kIntegerOverflow,
    kInvalidConversion,
    kUndefinedElement,
    kTypeMismatch,
    kStackExhausted,
    kFuelExhausted,
    kMemoryLimit,
    kTableLimit,
    kOther,
};

/// How a host function ended.
enum class HostAnswer : std::uint8_t { kReturned, kTrapped, kWaiting };

/// One host function is called: `import` counts the module's imports. Arguments and the result are
/// bit patterns; there is at most one result. `cost` is fuel to take off for the work done.
struct HostCall {
    std::uint32_t import;
    const std::uint64_t* arguments;
    std::uint64_t result;
    std::uint64_t cost;
};

/// Where host functions are found.
struct Host {
    void* context;
    HostAnswer (*call)(void* context, HostCall* call);
};

/// Validates (ReadBinaryIr and ValidateModule, default features) and compiles to the interpreter's
/// form. The bytes have passed scan_module. Null and `error` if refused.
Module* load(const std::uint8_t* bytes, std::size_t size, const Limits& limits, LoadError* error);
void unload(Module* module);

/// What making an instance costs, in fuel: by the length of all that is in it at start.
std::uint64_t start_cost(const Module* module);

/// The most memory that one instance takes, whatever it does; linear memory is the limit, if the
/// module does not declare less.
std::uint64_t instance_bytes(const Module* module, const Limits& limits);

/// A fresh instance: memory zeroed, segments copied, start function pending. Null, and `stop` says
/// why, if a segment is out of bounds. `module` must outlive the instance.
Instance* instantiate(const Module* module, const Limits& limits, const Host& host, Stop* stop);
void drop(Instance* instance);

/// The linear memory as it is now; size 0 if there is none. Invalid after the next run().
struct MemorySpan {
    std::uint8_t* data;
    std::size_t size;
};
MemorySpan memory(Instance* instance);

/// Prepares a call of the export with that number, which must be a function with these parameters
/// and numeric types only. What was prepared before is dropped. The start function, if it has not
/// run yet, goes first.
void begin(Instance* instance, std::uint32_t export_index, const std::uint64_t* arguments);

/// Runs until the end, a trap, a wait, or until `slice` fuel is used up. `fuel` is what the
/// instance has left in all, and is lowered by what was used.
Stop run(Instance* instance, std::uint64_t slice, std::uint64_t* fuel);

/// Whether there is no start function, or it has returned.
bool started(const Instance* instance);

/// After kFinished: the results' bit patterns, as many as the function's type has.
void results(Instance* instance, std::uint64_t* out);

}  // namespace eos::wasm::seam
