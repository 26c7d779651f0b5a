// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string>
#include <vector>

#include "untrusted/daemon/daemon.h"

namespace eos::daemon {

/// One thing that was looked at, and what to do about it.
struct Finding {
    enum class Verdict { kOk, kWarn, kFail };
    Verdict verdict = Verdict::kOk;
    std::string subject;
    std::string text;
    std::string remedy;  ///< empty for kOk
};

/// Looks at everything the daemon needs of this machine, with the options it would run with.
/// Changes nothing.
std::vector<Finding> examine(const DaemonOptions& options);

/// "ok    clock: …", one line a finding, the remedy indented below.
std::string render(const std::vector<Finding>& findings);

/// Whether the daemon cannot run like this.
bool has_failure(const std::vector<Finding>& findings);

}  // namespace eos::daemon
