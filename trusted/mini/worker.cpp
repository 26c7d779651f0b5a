// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/worker.h"

#include <algorithm>

namespace eos::mini {
namespace {

// Frames taken from each ring in one turn, so that a busy ring does not keep the others waiting.
constexpr int kFramesPerTurn = 64;
constexpr std::uint32_t kLongestSleepMs = 60'000;

runtime::LogLevel level_of(boundary::Severity severity) {
    switch (severity) {
        case boundary::Severity::kError:
            return runtime::LogLevel::kError;
        case boundary::Severity::kWarning:
            return runtime::LogLevel::kWarning;
        case boundary::Severity::kInfo:
            return runtime::LogLevel::kInfo;
    }
    return runtime::LogLevel::kError;
}

}  // namespace

Worker::Worker(Parts parts)
    : parts_(std::move(parts)),
      endpoint_(parts_.layout, parts_.index, parts_.platform),
      clock_(parts_.clock),
      calls_(endpoint_),
      blobs_(calls_),
      evidence_(calls_, parts_.platform),
      minter_(evidence_, clock_, parts_.hub.pending_mints()),
      ingress_(std::make_unique<Ingress>(endpoint_, parts_.tls,
                                         static_cast<runtime::ConnectionServices&>(*this))) {}

Worker::~Worker() = default;

void Worker::run() {
    while (!parts_.hub.is_stopping()) {
        calls_.turn(clock_.monotonic_ms());
        parts_.hub.mailbox(parts_.index).run_all();
        Result<bool> received = receive();
        if (!received || calls_.is_broken() || ingress_->is_broken()) give_up();
        bool hurry = background_.turn();
        ingress_->turn();
        finish_draining();
        endpoint_.wait(hurry || *received ? 0 : sleep_ms(),
                       [this] { return parts_.hub.mailbox(parts_.index).has_work(); });
    }
    if (parts_.index == 0) calls_.tell(boundary::Exit{parts_.hub.why()});
    endpoint_.flush();
}

// Takes frames from both rings. Returns whether there may be more.
Result<bool> Worker::receive() {
    int data_frames = 0;
    for (; data_frames < kFramesPerTurn; ++data_frames) {
        std::optional<boundary::FromHostData> message = EOS_TRY(endpoint_.receive_data());
        if (!message) break;
        EOS_TRY(ingress_->handle(std::move(*message)));
    }
    int rpc_frames = 0;
    for (; rpc_frames < kFramesPerTurn; ++rpc_frames) {
        std::optional<boundary::FromHostRpc> message = EOS_TRY(endpoint_.receive_rpc());
        if (!message) break;
        if (auto* reply = std::get_if<boundary::FromHost<boundary::Reply>>(&*message)) {
            calls_.answered(std::move(*reply));
        } else {
            obey(std::get<boundary::FromHost<boundary::Shutdown>>(std::move(*message))
                     .take_unverifiable("a host can end the program anyway"));
        }
    }
    return data_frames == kFramesPerTurn || rpc_frames == kFramesPerTurn;
}

void Worker::obey(const boundary::Shutdown& shutdown) {
    if (stop_at_ms_ != 0) return;
    stop_at_ms_ = clock_.monotonic_ms() + shutdown.deadline_ms;
    ingress_->drain_all(shutdown.deadline_ms);
}

void Worker::finish_draining() {
    if (stop_at_ms_ == 0 || drained_) return;
    drained_ = ingress_->is_idle() || clock_.monotonic_ms() >= stop_at_ms_;
    if (drained_) parts_.hub.worker_drained();
}

std::uint32_t Worker::sleep_ms() const {
    std::uint64_t now_ms = clock_.monotonic_ms();
    std::uint64_t wake_ms = now_ms + kLongestSleepMs;
    if (auto due = calls_.next_deadline_ms()) wake_ms = std::min(wake_ms, *due);
    if (auto due = ingress_->next_deadline_ms()) wake_ms = std::min(wake_ms, *due);
    if (auto due = background_.next_deadline_ms()) wake_ms = std::min(wake_ms, *due);
    if (stop_at_ms_ != 0 && !drained_) wake_ms = std::min(wake_ms, stop_at_ms_);
    return static_cast<std::uint32_t>(wake_ms > now_ms ? wake_ms - now_ms : 0);
}

void Worker::give_up() {
    log(boundary::LogCode::kBoundaryViolated, {parts_.index});
    endpoint_.flush();
    parts_.platform.abort(platform::AbortReason::kBoundaryViolated);
}

void Worker::adopt(std::shared_ptr<const runtime::Served> served, std::uint64_t drain_ms) {
    served_ = std::move(served);
    leaves_.retain(*served_);
    ingress_->served_changed(*served_, drain_ms);
}

void Worker::leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
                  const ByteArray<16>& peer_address, runtime::Done<runtime::CredentialPtr> done) {
    if (offer.nonce) return minter_.mint(std::move(served), offer, peer_address, std::move(done));
    done(leaves_.get(*served, *served->find(offer.server_name), offer.scheme, clock_.now()));
}

std::unique_ptr<runtime::ConnectionProtocol> Worker::start_protocol(
    const runtime::ConnectionInfo& info, runtime::PlaintextSink& sink) {
    return start_protocol_(info, sink);
}

void Worker::log(boundary::LogCode code, std::initializer_list<std::uint64_t> numbers) {
    const boundary::LogLine* known = boundary::find_log_line(static_cast<std::uint16_t>(code));
    if (known == nullptr || level_of(known->severity) > log_level_) return;
    boundary::Log line;
    line.code = static_cast<std::uint16_t>(code);
    for (std::uint64_t number : numbers) line.numbers.values[line.numbers.count++] = number;
    calls_.tell(line);
}

}  // namespace eos::mini
