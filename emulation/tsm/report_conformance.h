// SPDX-License-Identifier: AGPL-3.0-only
// Whether a directory behaves as Linux's configfs-tsm does.
#pragma once

#include <cstdint>
#include <string>

namespace eos::emulation::tsm {

/// Whether a wait is interrupted, too, which takes a machine whose reports take half a second.
enum class InterruptCheck : std::uint8_t { kNo, kYes };

/// Checks an entry that it makes in the directory and removes again.
/// returns: 0, or 1 if something is not as it must be, or nothing could be checked.
int check_reports(const std::string& directory, InterruptCheck interrupt);

}  // namespace eos::emulation::tsm
