// SPDX-License-Identifier: AGPL-3.0-only
#include "tests/hostile_host/hostile_host.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <fstream>

#include "boundary/host_futex.h"
#include "common/base/assert.h"
#include "emulation/quoting/provisioning.h"

namespace eos::hostile {
namespace {

using namespace boundary;
using Clock = std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds(60);  // what does not come by then is a bug
const std::string kProgram = std::string(EOS_BINARY_DIR) + "/bin/enclave-os-runner-process";

std::uint64_t nanoseconds_of(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(now.tv_nsec);
}

/// The enclave's own standard output and error: kept for whoever looks at a failed test.
daemon::UniqueFd open_output(const std::filesystem::path& folder) {
    return daemon::UniqueFd(
        ::open((folder / "runner.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
}

}  // namespace

Machine::Machine() {
    emulation::sgx_cpu::CpuIdentity identity = emulation::sgx_cpu::generate_identity();
    SecretBytes file = emulation::sgx_cpu::encode_identity(identity);
    std::ofstream(identity_file(), std::ios::binary) << to_string(file.view());
    std::filesystem::permissions(
        identity_file(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    emulation::sgx_cpu::Cpu cpu(std::move(identity));
    auto made = emulation::quoting::provision(cpu, UnixTime{::time(nullptr)}).value();
    quoting_ = emulation::quoting::QuotingEnclave::create(std::move(cpu), std::move(made.keys),
                                                          made.pck_chain_pem)
                   .value();
}

HostileHost::HostileHost(const Machine& machine, Blobs& blobs, unsigned worker_count)
    : machine_(machine),
      blobs_(blobs),
      block_(daemon::SharedBlock::create({.worker_count = worker_count}).value()),
      notify_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      output_(open_output(machine.folder())),
      time_page_(block_->layout().time()),
      time_([this] { return real_time(); }) {
    boundary::HostSignals& signals = *this;
    for (unsigned i = 0; i < worker_count; ++i)
        links_.push_back(std::make_unique<daemon::WorkerLink>(block_->layout(), i, signals));
    time_page_.write(real_time());
    process_ =
        daemon::RunnerProcess::start(
            {.path = kProgram, .arguments = {"--identity", machine.identity_file()}},
            {.block_fd = block_->fd(), .notify_fd = notify_.get(), .output_fd = output_.get()})
            .value();
}

HostileHost::~HostileHost() = default;

HostTime HostileHost::real_time() const {
    auto more = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(skipped_).count());
    return {.wall_ns = nanoseconds_of(CLOCK_REALTIME) + more,
            .monotonic_ns = nanoseconds_of(CLOCK_MONOTONIC) + more};
}

void HostileHost::wake(unsigned worker) {
    futex_wake(layout().trusted_bell(worker).sequence);
}

void HostileHost::ring_bell(unsigned worker) {
    std::uint32_t* word = layout().trusted_bell(worker).sequence;
    std::atomic_ref(*word).fetch_add(1);
    futex_wake(word);
}

void HostileHost::send(const DataToTrusted& message, unsigned worker) {
    expect(links_[worker]->send(message));
}

void HostileHost::send(const RpcToTrusted& message, unsigned worker) {
    expect(links_[worker]->send(message));
}

void HostileHost::expect(const Result<void>& outcome) {
    if (!outcome) violation_ = outcome.error().message();
}

void HostileHost::push_raw(RingId ring, const std::vector<std::uint64_t>& words,
                           std::uint64_t published_bytes) {
    links_[0]->endpoint().flush();
    const RingMemory memory = layout().ring(0, ring);
    const std::uint64_t position = std::atomic_ref(*memory.produced).load();
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::uint64_t& word = memory.words[(position / 8 + i) % memory.words.size()];
        std::atomic_ref(word).store(words[i]);
    }
    std::atomic_ref(*memory.produced).store(position + published_bytes);
    ring_bell();
}

std::uint64_t HostileHost::open(unsigned worker) {
    const std::uint64_t id = ++last_id_;
    wires_[id].worker = worker;
    ConnOpened message{.conn_id = id, .peer_port = 40'000};
    // A place of its own: challenges are limited by address.
    message.peer_address[0] = std::byte{0x20};
    message.peer_address[14] = static_cast<std::byte>(id >> 8 & 0xff);
    message.peer_address[15] = static_cast<std::byte>(id & 0xff);
    send(message, worker);
    return id;
}

// --- one turn of an honest daemon ----------------------------------------------------------------

void HostileHost::turn() {
    if (std::optional<HostTime> now = time_()) time_page_.write(*now);
    for (unsigned worker = 0; worker < links_.size() && takes_messages_; ++worker) {
        HostWorkerEndpoint& endpoint = links_[worker]->endpoint();
        take_all(worker, [&] { return endpoint.receive_data(); });
        take_all(worker, [&] { return endpoint.receive_rpc(); });
    }
    for (auto& link : links_) {
        expect(link->send_waiting());
        link->endpoint().flush();
    }
    // An enclave sleeps by a clock of its own: it would look at a skipped page too late.
    const bool rings = rings_every_turn_ || skipped_.count() != 0;
    for (unsigned worker = 0; worker < links_.size() && rings; ++worker) ring_bell(worker);
    if (!end_) end_ = process_->reap();
}

template <typename Receive>
void HostileHost::take_all(unsigned worker, Receive receive) {
    while (true) {
        auto message = receive();
        if (!message) violation_ = message.error().message();
        if (!message || !*message) return;
        take(worker, **message);
    }
}

void HostileHost::take(unsigned worker, const DataToHost& message) {
    const std::uint64_t id = std::visit([](const auto& m) { return m.conn_id; }, message);
    auto found = wires_.find(id);
    // A test may have opened it by its own message; then it is that test's business.
    if (found == wires_.end()) return;
    Wire& wire = found->second;
    if (wire.worker != worker) violation_ = "a worker spoke of another's connection";
    if (wire.is_closed) violation_ = "a message after ConnClose";
    if (const auto* data = std::get_if<ConnData>(&message)) {
        append(wire.received, data->bytes);
        auto size = static_cast<std::uint32_t>(data->bytes.size());
        if (gives_credit_) send(ConnCredit{.conn_id = id, .bytes = size}, worker);
    } else if (const auto* credit = std::get_if<ConnCredit>(&message)) {
        wire.window += credit->bytes;
        if (wire.window > kConnWindowBytes) violation_ = "credit for what was never sent";
    } else {
        wire.is_closed = true;
    }
}

void HostileHost::take(unsigned worker, const RpcToHost& message) {
    if (const auto* line = std::get_if<Log>(&message)) return log_.push_back(*line);
    if (const auto* exit = std::get_if<Exit>(&message)) {
        exit_reason_ = exit->why;
        return;
    }
    if (std::holds_alternative<Status>(message)) return;
    const Honest honest = [&] { return serve_honestly(message); };
    if (!answer_) return send(honest(), worker);
    for (const Reply& reply : answer_(message, honest)) send(reply, worker);
}

std::uint64_t request_id_of(const RpcToHost& request) {
    return std::visit(
        [](const auto& r) -> std::uint64_t {
            if constexpr (requires { r.head; }) return r.head.request_id;
            return 0;
        },
        request);
}

Reply HostileHost::serve_honestly(const RpcToHost& request) {
    Reply out{.request_id = request_id_of(request), .body = Failed{Failed::Why::kRefused}};
    if (const auto* get = std::get_if<BlobGet>(&request)) {
        auto found = blobs_.find(get->key);
        out.body = BlobValue{found == blobs_.end() ? std::nullopt : std::optional(found->second)};
    } else if (const auto* list = std::get_if<BlobList>(&request)) {
        BlobKeys keys;
        auto it = list->after.empty() ? blobs_.lower_bound(list->prefix)
                                      : blobs_.upper_bound(list->after);
        for (; it != blobs_.end() && it->first.starts_with(list->prefix); ++it) {
            if (keys.keys.size() < kMaxKeysPerPage) keys.keys.push_back(it->first);
        }
        out.body = std::move(keys);
    } else if (const auto* batch = std::get_if<BlobWriteBatch>(&request)) {
        for (const BlobWriteBatch::Write& write : batch->writes) {
            if (write.value) {
                blobs_[write.key] = *write.value;
            } else {
                blobs_.erase(write.key);
            }
        }
        out.body = Done{};
    } else if (std::holds_alternative<TargetInfoRequest>(request)) {
        out.body = TargetInfoReply{sgx_arch::encode(machine_.quoting().target_info())};
    } else if (const auto* quote = std::get_if<QuoteRequest>(&request)) {
        Result<Bytes> made = machine_.quoting().quote(quote->report);
        out.body = Failed{Failed::Why::kQuoting};
        if (made) out.body = QuoteReply{*std::move(made)};
    }
    return out;
}

void HostileHost::sleep() {
    bool has_work = false;
    for (auto& link : links_) has_work = !link->endpoint().prepare_sleep() || has_work;
    if (!has_work) {
        pollfd events[] = {{.fd = notify_.get(), .events = POLLIN},
                           {.fd = process_->pid_fd(), .events = POLLIN}};
        ::poll(events, 2, 5);  // and the time page goes on
    }
    std::uint64_t count = 0;
    [[maybe_unused]] ssize_t got = ::read(notify_.get(), &count, sizeof(count));
    for (auto& link : links_) link->endpoint().awake();
}

// --- what happens --------------------------------------------------------------------------------

bool HostileHost::serve_until(const std::function<bool()>& done) {
    const auto deadline = Clock::now() + kPatience;
    while (true) {
        const bool had_ended = end_.has_value();
        turn();
        if (done()) return true;
        if (had_ended || Clock::now() > deadline) return false;  // and what it left was taken
        if (!end_) sleep();
    }
}

bool HostileHost::settle() {
    auto is_taken = [this](unsigned worker, RingId ring) {
        const RingMemory memory = layout().ring(worker, ring);
        return std::atomic_ref(*memory.consumed).load() == std::atomic_ref(*memory.produced).load();
    };
    return serve_until([&] {
        for (unsigned i = 0; i < links_.size(); ++i) {
            if (!is_taken(i, RingId::kDataIn) || !is_taken(i, RingId::kRpcIn)) return false;
        }
        return true;
    });
}

std::size_t HostileHost::count_of(LogCode code) const {
    return static_cast<std::size_t>(
        std::ranges::count(log_, static_cast<std::uint16_t>(code), &Log::code));
}

bool HostileHost::serve_until_logged(LogCode code, std::size_t count) {
    return serve_until([=, this] { return count_of(code) >= count; });
}

Numbers HostileHost::numbers_of(LogCode code) const {
    auto found = std::find_if(log_.rbegin(), log_.rend(), [code](const Log& line) {
        return line.code == static_cast<std::uint16_t>(code);
    });
    EOS_ASSERT(found != log_.rend());
    return found->numbers;
}

std::string HostileHost::wait_for_end() {
    serve_until([] { return false; });
    return end_ ? end_->describe() : "it goes on";
}

std::string HostileHost::stop() {
    for (unsigned i = 0; i < links_.size(); ++i) send(Shutdown{.deadline_ms = 2000}, i);
    return wait_for_end();
}

std::string ended_by_violation() {
    return daemon::ProcessEnd{daemon::ProcessEnd::Kind::kExited,
                              exit_code(AbortReason::kBoundaryViolated)}
        .describe();
}

std::string ended_by_refused_state() {
    return daemon::ProcessEnd{daemon::ProcessEnd::Kind::kExited,
                              exit_code(Exit::Why::kStateRefused)}
        .describe();
}

}  // namespace eos::hostile
