// SPDX-License-Identifier: AGPL-3.0-only
// Test modules: testdata/*.wat, assembled by the build, and what a test writes byte by byte.
#pragma once

#include <fstream>
#include <initializer_list>
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

/// An unsigned LEB128 number.
inline Bytes leb(std::uint32_t value) {
    Bytes out;
    do {
        std::uint32_t byte = value & 0x7f;
        value >>= 7;
        if (value != 0) byte |= 0x80;
        out.push_back(static_cast<std::byte>(byte));
    } while (value != 0);
    return out;
}

inline Bytes raw(std::initializer_list<unsigned> values) {
    Bytes out;
    for (unsigned value : values) out.push_back(static_cast<std::byte>(value));
    return out;
}

/// A section with its size.
inline Bytes section(unsigned id, const Bytes& content) {
    return concat({raw({id}), leb(static_cast<std::uint32_t>(content.size())), content});
}

/// A module of these sections.
inline Bytes module_of(std::initializer_list<Bytes> sections) {
    Bytes out = raw({0, 'a', 's', 'm', 1, 0, 0, 0});
    for (const Bytes& part : sections) append(out, part);
    return out;
}

}  // namespace eos::wasm::testing
