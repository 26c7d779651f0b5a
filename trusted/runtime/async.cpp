// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/async.h"

#include <memory>

namespace eos::runtime {
namespace {

class Repetition : public std::enable_shared_from_this<Repetition> {
  public:
    Repetition(Step step, Done<void> done) : step_(std::move(step)), done_(std::move(done)) {}

    // Called for the first step and by every answer. An answer that comes while a step is on the
    // stack only leaves a note for the loop below it.
    void run() {
        due_ = true;
        if (running_) return;
        auto keep = shared_from_this();  // an answer may drop the last other reference
        running_ = true;
        while (due_) {
            due_ = false;
            step_([self = shared_from_this()](Result<Progress> progress) {
                self->answered(std::move(progress));
            });
        }
        running_ = false;
    }

  private:
    void answered(Result<Progress> progress) {
        if (progress && *progress == Progress::kMore) return run();
        if (progress) return done_({});
        done_(fail(std::move(progress).error()));
    }

    Step step_;
    Done<void> done_;
    bool running_ = false;
    bool due_ = false;
};

}  // namespace

void repeat(Step step, Done<void> done) {
    std::make_shared<Repetition>(std::move(step), std::move(done))->run();
}

}  // namespace eos::runtime
