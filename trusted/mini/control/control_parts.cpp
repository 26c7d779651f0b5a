// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/control/control_parts.h"

#include <algorithm>
#include <array>

namespace eos::mini {

bool is_storage_trouble(const Code& code) {
    return code == runtime::storage_unavailable || code == runtime::commit_failed ||
           code == runtime::commit_outcome_unknown;
}

boundary::LogCode state_refusal(const Code& code) {
    using enum boundary::LogCode;
    struct Row {
        Code code;
        boundary::LogCode line;
    };
    static constexpr std::array kRows = {
        Row{runtime::record_altered, kStateRecordAltered},
        Row{runtime::record_swapped, kStateRecordSwapped},
        Row{runtime::record_missing, kStateRecordMissing},
        Row{runtime::stale_record, kStateRecordStale},
        Row{runtime::root_altered, kStateRootAltered},
        Row{runtime::root_missing_but_state_present, kStateRootMissing},
        Row{runtime::wrong_enclave_or_machine, kStateForeign},
        Row{runtime::unsupported_format, kStateFormat},
        Row{runtime::storage_misbehaved, kStateStorage},
        Row{runtime::unknown_record, kStateUnknownRecord},
        Row{runtime::malformed_record, kStateMalformed},
        Row{runtime::inconsistent_state, kStateInconsistent}};
    auto found = std::ranges::find(kRows, code, &Row::code);
    return found == kRows.end() ? kStateRefused : found->line;
}

void forget_known_modules(runtime::Modules& modules, const runtime::PlatformState& state) {
    std::erase_if(modules, [&](const auto& module) {
        auto app = state.apps.find(module.first);
        return app != state.apps.end() && app->second.code_digest == module.second.digest();
    });
}

void forget_unused_modules(std::map<crypto::Digest32, std::shared_ptr<const SecretBytes>>& modules,
                           const runtime::PlatformState& state) {
    std::erase_if(modules, [&](const auto& module) {
        return std::ranges::none_of(
            state.apps, [&](const auto& app) { return app.second.code_digest == module.first; });
    });
}

}  // namespace eos::mini
