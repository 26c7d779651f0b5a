// SPDX-License-Identifier: AGPL-3.0-only
// A platform state with something in every field, for tests.
#pragma once

#include "trusted/runtime/platform_state.h"

namespace eos::runtime::testing {

inline const BuildFacts kFacts{"an engine", "flag-a flag-b"};

inline Bytes sample_module(std::string_view seed = "module") {
    return to_bytes("\0asm of " + std::string(seed));
}

inline AppVariable salted_variable(std::string name, std::string_view value) {
    return {std::move(name), SecretBytes(to_bytes(value)), Visibility::kSalted,
            ByteArray<32>{std::byte{0x5a}}};
}

inline App sample_app(std::string hostname = "hello.example.test") {
    Bytes module = sample_module();
    App app;
    app.hostname = std::move(hostname);
    app.code_digest = crypto::sha256(module);
    app.module_bytes = static_cast<std::uint32_t>(module.size());
    app.app_id = {std::byte{0xA1}};
    app.limits = {1 << 20, 12345};
    app.arguments = {"hello", "--color"};
    app.environment.push_back(salted_variable("API_KEY", "hunter2"));
    app.environment.push_back(
        {"GREETING", SecretBytes(to_bytes("hi")), Visibility::kPublic, ByteArray<32>{}});
    app.permissions = {"clock", "random"};
    app.profile = ratls::Profile::kV1;
    app.loaded_at = UnixTime{1'788'516'930};
    return app;
}

inline PlatformState owned_state() {
    PlatformState state;
    state.ownership = Ownership{crypto::Digest32{std::byte{0x11}},
                                "mini.example.test",
                                {{to_bytes("intermediate"), to_bytes("root")},
                                 SecretBytes(to_bytes("private key")),
                                 CaKeyOrigin::kBornInside},
                                UnixTime{1'788'000'000}};
    return state;
}

inline PlatformState state_with_app() {
    PlatformState state = owned_state();
    state.apps.emplace("hello", sample_app());
    return state;
}

}  // namespace eos::runtime::testing
