// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/trusted_process.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "boundary/host_futex.h"
#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "untrusted/daemon/system_error.h"

namespace eos::daemon {
namespace {

constexpr unsigned kMessagesPerTurn = 256;         // of one worker and kind: others wait no longer
constexpr std::size_t kMaxRequestsUnderWay = 256;  // of one worker
constexpr Milliseconds kNoRest{0};
constexpr Milliseconds kIdleAfter{1'000};
constexpr Milliseconds kShortRest{1};
constexpr double kLogLinesPerSecond = 50;
constexpr double kLogBurst = 500;

std::uint64_t clock_ns(clockid_t clock) {
    timespec time{};
    EOS_ASSERT(::clock_gettime(clock, &time) == 0);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec);
}

std::string hexadecimal(std::uint64_t number) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
    return text;
}

// "{}" is a number in decimal, "{x}" one as 16 hexadecimal digits.
std::string fill_in(std::string_view text, const boundary::Numbers& numbers) {
    std::string out;
    unsigned used = 0;
    while (!text.empty()) {
        const bool decimal = text.starts_with("{}");
        if (!decimal && !text.starts_with("{x}")) {
            out += text.front();
            text.remove_prefix(1);
            continue;
        }
        const bool known = used < numbers.count;
        const std::uint64_t number = known ? numbers.values[used++] : 0;
        out += !known ? "?" : decimal ? std::to_string(number) : hexadecimal(number);
        text.remove_prefix(decimal ? 2 : 3);
    }
    return out;
}

}  // namespace

Result<std::unique_ptr<TrustedProcess>> TrustedProcess::start(
    const Parts& parts, const RunnerCommand& command, const boundary::LayoutOptions& layout) {
    auto block = EOS_TRY(SharedBlock::create(layout));
    UniqueFd notify(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!notify) return fail(runner_not_started, system_error_text("eventfd"));
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail(runner_not_started, system_error_text("pipe"));
    }
    UniqueFd output_in(ends[0]);
    const UniqueFd output_out(ends[1]);
    ::fcntl(output_in.get(), F_SETFL, O_NONBLOCK);  // our end only
    const RunnerDescriptors descriptors{
        .block_fd = block->fd(), .notify_fd = notify.get(), .output_fd = output_out.get()};
    std::unique_ptr<TrustedProcess> out(
        new TrustedProcess(parts, std::move(block), std::move(notify)));
    out->output_.emplace(parts.loop, std::move(output_in),
                         [self = out.get()](std::string_view line) { self->print_output(line); });
    out->write_time();  // the first thing the trusted side may look at
    out->process_ = EOS_TRY(RunnerProcess::start(command, descriptors));
    parts.loop.add(out->process_->pid_fd(), EPOLLIN, out->end_watch_);
    parts.health.workers.assign(layout.worker_count, boundary::Status{});
    return out;
}

TrustedProcess::TrustedProcess(const Parts& parts, std::unique_ptr<SharedBlock> block,
                               UniqueFd notify)
    : p_(parts),
      block_(std::move(block)),
      notify_(std::move(notify)),
      time_page_(block_->layout().time()),
      end_watch_(*this),
      log_tokens_(kLogBurst),
      self_(std::make_shared<TrustedProcess*>(this)) {
    HostSignals& signals = *this;
    for (unsigned worker = 0; worker < block_->layout().worker_count(); ++worker) {
        links_.emplace_back(block_->layout(), worker, signals);
    }
    traffic_ = std::make_unique<Traffic>(p_.loop, links_, p_.ids, p_.counters);
    p_.loop.add(notify_.get(), EPOLLIN, *this);
}

TrustedProcess::~TrustedProcess() {
    p_.loop.remove(notify_.get(), *this);
    if (process_ && !end_) p_.loop.remove(process_->pid_fd(), end_watch_);
    p_.health.workers.clear();
    p_.health.worker_trouble.clear();
}

void TrustedProcess::EndWatch::on_events(std::uint32_t /*events*/) {
    owner_.output_->read();  // its last words come before the news of its end
    owner_.end_ = owner_.process_->reap();
    if (owner_.end_) owner_.p_.loop.remove(owner_.process_->pid_fd(), *this);
}

void TrustedProcess::on_events(std::uint32_t /*events*/) {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(notify_.get(), &count, sizeof(count));
}

void TrustedProcess::wake(unsigned worker) {
    boundary::futex_wake(block_->layout().trusted_bell(worker).sequence);
}

void TrustedProcess::write_time() {
    time_page_.write(
        {.wall_ns = clock_ns(CLOCK_REALTIME), .monotonic_ns = clock_ns(CLOCK_MONOTONIC)});
}

Result<void> TrustedProcess::turn(MonotonicTime now) {
    write_time();
    if (failure_) return fail(*std::exchange(failure_, std::nullopt));
    const double seconds = std::chrono::duration<double>(now - log_refilled_).count();
    log_tokens_ = std::min(kLogBurst, log_tokens_ + seconds * kLogLinesPerSecond);
    log_refilled_ = now;

    more_to_receive_ = false;
    now_ = now;
    for (WorkerLink& link : links_) {
        EOS_TRY(link.send_waiting());
        EOS_TRY(receive(link));
    }
    if (!end_) watch_for_stuck_workers();
    return traffic_->finish_turn(now);
}

// Said, not mended: whether to end a process that may have state to write is the operator's choice.
void TrustedProcess::watch_for_stuck_workers() {
    std::string trouble;
    for (WorkerLink& link : links_) {
        if (!link.is_stuck(now_) || !trouble.empty()) continue;
        trouble = "worker " + std::to_string(link.endpoint().worker()) +
                  " of the trusted process (pid " + std::to_string(pid()) +
                  ") has left its messages where they are for more than " +
                  std::to_string(WorkerLink::kStuckAfter.count() / 1000) +
                  " s; if it is not stopped by a debugger, end it, and the next one is started";
    }
    if (trouble == p_.health.worker_trouble) return;
    if (trouble.empty()) {
        p_.log.info("worker_stuck", "it takes messages again");
    } else {
        p_.log.warning("worker_stuck", trouble);
    }
    p_.health.worker_trouble = std::move(trouble);
}

Result<void> TrustedProcess::last_turn(MonotonicTime now) {
    do {  // bounded: nobody fills the rings any more
        EOS_TRY(turn(now));
    } while (more_to_receive_);
    return {};
}

Result<void> TrustedProcess::receive(WorkerLink& link) {
    boundary::HostWorkerEndpoint& end = link.endpoint();
    for (unsigned i = 0;; ++i) {
        if (i == kMessagesPerTurn) {
            more_to_receive_ = true;
            break;
        }
        auto message = EOS_TRY(end.receive_data());
        if (!message) break;
        last_message_ = now_;
        EOS_TRY(traffic_->handle(end.worker(), *message));
    }
    for (unsigned i = 0; link.takes_requests(); ++i) {
        if (i == kMessagesPerTurn) {
            more_to_receive_ = true;
            break;
        }
        auto message = EOS_TRY(end.receive_rpc());
        if (!message) break;
        last_message_ = now_;
        EOS_TRY(on_request(link, *std::move(message)));
    }
    return {};
}

Result<void> TrustedProcess::on_request(WorkerLink& link, boundary::RpcToHost request) {
    const unsigned worker = link.endpoint().worker();
    if (const auto* line = std::get_if<boundary::Log>(&request)) {
        print(*line);
        return {};
    }
    if (const auto* status = std::get_if<boundary::Status>(&request)) {
        p_.health.workers[worker] = *status;
        return {};
    }
    if (const auto* exit = std::get_if<boundary::Exit>(&request)) {
        // Each worker says it; one that ends for a reason of its own outweighs those that obey.
        if (!exit_reason_ || exit->why != boundary::Exit::Why::kRequested) exit_reason_ = exit->why;
        return {};
    }
    return std::visit(
        [&](auto&& asked) -> Result<void> {
            if constexpr (requires { asked.head; }) {
                if (link.requests_under_way >= kMaxRequestsUnderWay) {
                    ++p_.counters.overloaded_replies;
                    return link.send(
                        boundary::Reply{asked.head.request_id,
                                        boundary::Failed{boundary::Failed::Why::kOverloaded}});
                }
                ++link.requests_under_way;
                p_.services.serve(std::forward<decltype(asked)>(asked), answer_to(worker));
            }
            return {};
        },
        std::move(request));
}

HostServices::Answer TrustedProcess::answer_to(unsigned worker) {
    return [asker = std::weak_ptr(self_), worker](boundary::Reply reply) {
        auto alive = asker.lock();
        if (!alive) return;
        TrustedProcess& self = **alive;
        --self.links_[worker].requests_under_way;
        auto sent = self.links_[worker].send(reply);
        if (!sent && !self.failure_) self.failure_ = std::move(sent).error();
    };
}

bool TrustedProcess::may_print() {
    if (log_tokens_ < 1) {
        ++p_.counters.log_lines_suppressed;
        return false;
    }
    log_tokens_ -= 1;
    return true;
}

void TrustedProcess::print_output(std::string_view line) {
    if (may_print()) p_.log.info("runner", printable(as_bytes(line), LineReader::kMaxLineBytes));
}

std::string TrustedProcess::describe_end() const {
    EOS_ASSERT(end_.has_value());
    using Why = boundary::Exit::Why;
    std::string out = end_->describe();
    if (exit_reason_ == Why::kRequested) out += ", as asked";
    if (exit_reason_ == Why::kBoundaryViolated) out += ", saying that this daemon broke a rule";
    if (exit_reason_ == Why::kStateRefused) out += ", refusing the sealed state";
    if (exit_reason_ == Why::kInternal) out += ", for an internal reason";
    return out;
}

void TrustedProcess::print(const boundary::Log& line) {
    if (!may_print()) return;
    const boundary::LogLine* known = boundary::find_log_line(line.code);
    if (known == nullptr) {
        p_.log.warning("enclave", "log code " + std::to_string(line.code) + " (not in this build)");
        return;
    }
    p_.log.write(known->severity, "enclave", fill_in(known->text, line.numbers));
}

bool TrustedProcess::has_work() const {
    return std::ranges::any_of(links_, [](const auto& l) { return l.endpoint().has_work(); });
}

bool TrustedProcess::spin() {
    bool sent = false;
    for (WorkerLink& link : links_) sent = link.take_sent() || sent;
    if (sent) last_message_ = now_;
    if (!sent || end_) return has_work();  // nothing is under way: no answer to spin for
    if (has_work()) return true;
    const std::uint32_t turns = spin_.turns();
    for (std::uint32_t i = 0; i < turns; ++i) {
        boundary::spin_hint();
        if (!has_work()) continue;
        spin_.learn(boundary::AdaptiveSpin::Outcome::kRewarded);
        return true;
    }
    if (turns != 0) spin_.learn(boundary::AdaptiveSpin::Outcome::kFruitless);
    return false;
}

Milliseconds TrustedProcess::rest() {
    for (WorkerLink& link : links_) link.endpoint().flush();
    if (more_to_receive_) return kNoRest;
    // A worker that asks but does not take its answers: wait for it, but not in a busy loop.
    const bool blocked =
        !std::ranges::all_of(links_, [](const auto& link) { return link.takes_requests(); });
    if (blocked) return kShortRest;
    if (spin()) return kNoRest;
    bool quiet = true;
    for (WorkerLink& link : links_) quiet = link.endpoint().prepare_sleep() && quiet;
    if (!quiet) return kNoRest;
    const bool idle = now_ - last_message_ > kIdleAfter;
    return Milliseconds(idle ? boundary::kTimePageIdleMaxAgeMs : boundary::kTimePageMaxAgeMs);
}

void TrustedProcess::awake() {
    for (WorkerLink& link : links_) link.endpoint().awake();
}

Result<void> TrustedProcess::ask_to_stop(Milliseconds time) {
    const boundary::Shutdown message{.deadline_ms = static_cast<std::uint32_t>(time.count())};
    for (WorkerLink& link : links_) EOS_TRY(link.send(message));
    return {};
}

}  // namespace eos::daemon
