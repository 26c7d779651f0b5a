// SPDX-License-Identifier: AGPL-3.0-only
// The scan that every module passes before the engine's library sees it. The target stops there on
// purpose: libwabt has known crashes, which is why the scan exists.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "trusted/wasm/module_scan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto info = eos::wasm::scan_module(std::as_bytes(std::span(data, size)));
    if (!info) return 0;
    for (const auto& range : info->custom_sections) {
        if (range.begin > size || range.size > size - range.begin) std::abort();
    }
    for (const auto& item : info->exports) {
        const bool function = item.kind == eos::wasm::ExternKind::kFunction;
        if (!function && !(item.type == eos::wasm::FunctionType{})) std::abort();
    }
    return 0;
}
