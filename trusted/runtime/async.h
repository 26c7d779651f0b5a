// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <functional>

#include "trusted/runtime/interfaces.h"

namespace eos::runtime {

/// A step's answer.
enum class Progress { kMore, kFinished };

/// One asynchronous step of many: answers whether there is more to do.
using Step = std::move_only_function<void(Done<Progress>)>;

/// Runs `step` again and again, each time after the one before has answered, until one answers
/// kFinished or an error. Answers that come before the step returns cost no stack, so the number of
/// steps is not bounded by it. A step that drops its Done unanswered ends the whole thing silently.
/// errors:  the step's.
void repeat(Step step, Done<void> done);

}  // namespace eos::runtime
