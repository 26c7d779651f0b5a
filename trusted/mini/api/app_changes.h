// SPDX-License-Identifier: AGPL-3.0-only
// Changes of apps on their way: each is checked, then all are made as one. A single load or unload
// is a batch of one.
#pragma once

#include <vector>

#include "trusted/mini/api/app_manifest.h"
#include "trusted/mini/api/context.h"

namespace eos::mini {

inline constexpr Code no_such_app{"trusted/mini", "no_such_app", "there is no such app"};
inline constexpr Code module_too_large{"trusted/mini", "module_too_large",
                                       "the module exceeds the setting max_module_bytes"};

/// What the answer is about.
enum class AnswerForm {
    kSingle,  ///< the one change
    kBatch,   ///< the list of changes
};

/// Who waits for the outcome.
struct ChangeReply {
    runtime::Exchange exchange;
    AnswerForm form;
    ByteArray<16> instance_id;         ///< of the snapshot by which the caller was let in
    runtime::MemoryBudget::Loan loan;  ///< what the modules' memory is counted under
};

/// Checks the changes, makes all of them or none, and answers. Between two modules the worker does
/// its other work.
void change_apps(const ApiContext& context, std::vector<AppChange> changes, ChangeReply reply);

}  // namespace eos::mini
