// SPDX-License-Identifier: AGPL-3.0-only
// What the control plane does about the host's time: never before the sealed floor, no new leaf
// dated by a jump that the owner has not confirmed.
#include "trusted/mini/control/control_parts.h"

namespace eos::mini {

using boundary::LogCode;
using runtime::TimeTrust;

void Control::raise_clock() {
    std::int64_t behind_s = state_->time_floor - parts_.clock.now();
    if (behind_s > 0) parts_.log(LogCode::kTimeBehind, {static_cast<std::uint64_t>(behind_s)});
    parts_.raise_clock(state_->time_floor);
}

// Without an owner there is nobody to ask, and nothing yet that a wrong time could harm.
void Control::watch_time() {
    if (snapshot_->stage != Stage::kOwned) return time_.restart();
    if (!time_.look()) return;
    parts_.log(LogCode::kTimeJumped, {static_cast<std::uint64_t>(time_.jump_seconds())});
    publish_time_trust([] {});
}

bool Control::is_time_good() {
    watch_time();
    return time_.trust() != TimeTrust::kJumped;
}

// Nothing else changes, so no connection is drained.
void Control::publish_time_trust(std::move_only_function<void()> done) {
    auto next = std::make_shared<Snapshot>(*snapshot_);
    next->time_trust = time_.trust();
    snapshot_ = std::move(next);
    parts_.publish(snapshot_, std::move(done));
}

void Control::confirm_time(UnixTime owners_time, runtime::Done<SnapshotPtr> done) {
    Result<void> confirmed = expect_stage(Stage::kOwned);
    if (confirmed) confirmed = time_.confirm(owners_time);
    if (!confirmed) return done(fail(std::move(confirmed).error()));
    parts_.log(LogCode::kTimeConfirmed, {});
    publish_time_trust([this, done = std::move(done)]() mutable { done(snapshot_); });
}

}  // namespace eos::mini
