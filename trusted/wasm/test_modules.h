// SPDX-License-Identifier: AGPL-3.0-only
// Test modules: testdata/*.wat, assembled by the build.
#pragma once

#include <fstream>
#include <iterator>
#include <string>

#include "common/base/bytes.h"

namespace eos::wasm::testing {

/// The bytes of a file; empty if there is none, which no module is.
inline Bytes read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    return to_bytes(text);
}

/// testdata/NAME.wat as a module.
inline Bytes test_module(const std::string& name) {
    return read_file(std::string(EOS_WASM_TEST_MODULES) + "/" + name + ".wasm");
}

/// An example app of apps/.
inline Bytes example_app(const std::string& name) {
    return read_file(EOS_BINARY_DIR "/apps/" + name + ".wasm");
}

}  // namespace eos::wasm::testing
