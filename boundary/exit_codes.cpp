// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/exit_codes.h"

namespace eos::boundary {

std::string_view describe_exit_code(int code) {
    switch (code) {
        case exit_code(Exit::Why::kRequested):
            return "it was asked to end";
        case kExitUsage:
            return "its command line was wrong";
        case kExitSetup:
            return "it could not be set up: its own message says why";
        case exit_code(AbortReason::kBadSharedBlock):
            return "it did not understand the shared block";
        case exit_code(AbortReason::kBoundaryViolated):
        case exit_code(Exit::Why::kBoundaryViolated):
            return "a rule of the boundary was broken on the host's side";
        case exit_code(AbortReason::kNoEntropy):
            return "there were no random numbers";
        case exit_code(AbortReason::kInternal):
        case exit_code(Exit::Why::kInternal):
            return "an internal error";
        case exit_code(Exit::Why::kStateRefused):
            return "the sealed state was refused: see the log";
        default:
            return {};
    }
}

}  // namespace eos::boundary
