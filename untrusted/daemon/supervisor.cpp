// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/supervisor.h"

#include <algorithm>

namespace eos::daemon {
namespace {

constexpr Milliseconds kRestWithoutProcess{20};  // a restart is at most so much later than planned

std::string in_seconds(std::chrono::steady_clock::duration time) {
    const auto tenths = std::chrono::duration_cast<Milliseconds>(time).count() / 100;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

Supervisor::Supervisor(const TrustedProcess::Parts& parts, Options options)
    : p_(parts), options_(std::move(options)) {}

void Supervisor::turn(MonotonicTime now) {
    if (process_) {
        auto outcome = process_->end() ? process_->last_turn(now) : process_->turn(now);
        if (!outcome) return on_misbehaviour(now, outcome.error());
        if (process_->end() && !last_flush_) return on_end(now);
    }
    if (state_ == State::kStopping) return on_stopping(now);
    if (state_ == State::kRunning && !process_ && now >= next_start_) start(now);
}

Milliseconds Supervisor::rest() {
    return process_ ? process_->rest() : kRestWithoutProcess;
}

void Supervisor::awake() {
    if (process_) process_->awake();
}

TrustedProcess* Supervisor::accepting() {
    return state_ == State::kRunning ? process_.get() : nullptr;
}

std::size_t Supervisor::connection_count() const {
    return process_ ? process_->traffic().count() : 0;
}

void Supervisor::start(MonotonicTime now) {
    ++attempt_;
    started_ = now;
    auto process = TrustedProcess::start(p_, options_.command, options_.layout);
    if (!process) return plan_next_start(now, process.error().message());
    process_ = *std::move(process);
    ++p_.counters.runner_starts;
    p_.health.runner_trouble.clear();
    p_.log.info("runner_started", options_.command.path + ", pid " +
                                      std::to_string(process_->pid()) + ", attempt " +
                                      std::to_string(attempt_));
}

void Supervisor::on_misbehaviour(MonotonicTime now, const Error& error) {
    ++p_.counters.boundary_violations;
    process_->kill();
    const std::string text =
        "the trusted process (pid " + std::to_string(process_->pid()) +
        ") was ended because it broke the boundary's rules: " + error.message();
    process_.reset();
    if (state_ != State::kStopping) return plan_next_start(now, text);
    p_.log.error("runner_misbehaved", text);
    in_good_order_ = false;
    state_ = State::kStopped;
}

void Supervisor::on_end(MonotonicTime now) {
    const std::string text = "the trusted process (pid " + std::to_string(process_->pid()) + ") " +
                             process_->describe_end() + " after " + in_seconds(now - started_);
    const auto reason = process_->exit_reason();
    if (state_ == State::kStopping) {
        in_good_order_ = reason == boundary::Exit::Why::kRequested;
        p_.log.write(in_good_order_ ? Severity::kInfo : Severity::kWarning, "runner_ended", text);
        process_->traffic().close_all_after_flush();
        last_flush_ = true;
        stop_by_ = std::max(stop_by_, now + kFlushTime);
        return;
    }
    if (reason == boundary::Exit::Why::kStateRefused) {
        p_.log.error("state_refused",
                     text +
                         "; starting it again cannot help: the lines above say why, the operator "
                         "guide what to do");
        p_.health.runner_trouble = "the trusted side refuses the sealed state";
        process_.reset();
        state_ = State::kStateRefused;
        return;
    }
    const std::size_t cut = process_->traffic().count();
    process_.reset();
    plan_next_start(now, text + "; " + std::to_string(cut) + " connections were cut");
}

void Supervisor::plan_next_start(MonotonicTime now, const std::string& what_happened) {
    if (now - started_ >= kGoodRun) attempt_ = 0;
    const auto doublings = std::min(attempt_ == 0 ? 0U : attempt_ - 1, 16U);
    const Milliseconds pause = std::min(kFirstPause * (1 << doublings), kLongestPause);
    next_start_ = now + pause;
    p_.health.runner_trouble = what_happened;
    p_.log.error("runner_ended", what_happened + "; attempt " + std::to_string(attempt_ + 1) +
                                     " follows in " + std::to_string(pause.count()) + " ms");
}

void Supervisor::stop(MonotonicTime now, Milliseconds drain_time) {
    if (state_ == State::kStateRefused) return;
    if (state_ != State::kRunning) {  // asked a second time: whoever asks is out of patience
        stop_by_ = now;
        return;
    }
    state_ = State::kStopping;
    stop_by_ = now + drain_time + (drain_time > Milliseconds{0} ? kStopGrace : Milliseconds{0});
    p_.health.draining = true;
    if (!process_) return;
    p_.log.info("draining", std::to_string(process_->traffic().count()) + " connections, at most " +
                                in_seconds(drain_time));
    auto asked = process_->ask_to_stop(drain_time);
    if (!asked) on_misbehaviour(now, asked.error());
}

void Supervisor::on_stopping(MonotonicTime now) {
    if (process_ && now < stop_by_ && !(last_flush_ && process_->traffic().count() == 0)) return;
    if (process_ && !last_flush_) {
        p_.log.warning("drain_timeout", "the trusted process is ended by force with " +
                                            std::to_string(process_->traffic().count()) +
                                            " connections open");
        in_good_order_ = false;
    }
    process_.reset();
    state_ = State::kStopped;
}

}  // namespace eos::daemon
