// SPDX-License-Identifier: AGPL-3.0-only
// For apps in C whose functions are called with JSON (docs/apps-json.md). Nothing to link.
#pragma once

#include <stdint.h>
#include <stdlib.h>

/// Exports the function that follows under its own name.
#define EOS_EXPORT(name) __attribute__((export_name(#name)))

/// Describes an exported function, once per function, at file level:
///
///     EOS_DESCRIBE("reverse(text: string) -> string");
///
/// It ends up in the module's custom section "eos.functions"; at run time it is not there. (The
/// section attribute would make it data of the program, hence the assembler.)
#define EOS_DESCRIBE(signature)                           \
    __asm__(                                              \
        ".section .custom_section.eos.functions,\"\",@\n" \
        ".ascii \"" signature                             \
        "\\n\"\n"                                         \
        ".text\n")

/// A string or bytes as a result: where it is and how long, in one number.
typedef uint64_t eos_slice;

static inline eos_slice eos_slice_of(const void* data, size_t size) {
    return (uint64_t)(uintptr_t)data << 32 | (uint32_t)size;
}

/// What the platform calls to make room for string and bytes arguments. The instance is dropped
/// after the call, so nothing needs to be freed.
EOS_EXPORT(eos_alloc) __attribute__((weak)) void* eos_alloc(size_t size) {
    return malloc(size);
}
