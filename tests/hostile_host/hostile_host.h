// SPDX-License-Identifier: AGPL-3.0-only
// A daemon that a test makes lie. It starts the real enclave program over the real boundary, serves
// it honestly, and gives a test every place where a host could do otherwise: the answers to
// requests, the messages about connections, the time, and the raw words of the shared block.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "boundary/exit_codes.h"
#include "boundary/log_codes.h"
#include "boundary/time_page.h"
#include "emulation/quoting/quoting_enclave.h"
#include "untrusted/daemon/runner_process.h"
#include "untrusted/daemon/shared_block.h"
#include "untrusted/daemon/testing.h"
#include "untrusted/daemon/worker_link.h"

namespace eos::hostile {

/// What the host stores for the enclave. Outlives the runs of the enclave, as a disk does.
using Blobs = std::map<std::string, Bytes>;

/// An emulated machine: CPU, quoting enclave, a folder for their files and the tests'.
class Machine {
  public:
    Machine();
    std::string identity_file() const { return folder_.path() / "cpu.identity"; }
    std::filesystem::path folder() const { return folder_.path(); }
    const emulation::quoting::QuotingEnclave& quoting() const { return *quoting_; }

  private:
    daemon::testing::TemporaryDirectory folder_;
    std::optional<emulation::quoting::QuotingEnclave> quoting_;
};

/// One run of the enclave program. threads: one, the test's.
class HostileHost : private boundary::HostSignals {
  public:
    /// Both outlive this. The enclave is running when the constructor returns.
    HostileHost(const Machine& machine, Blobs& blobs, unsigned worker_count = 1);
    ~HostileHost() override;

    // --- where to lie -----------------------------------------------------------------------

    /// Computes, and does, what an honest host would.
    using Honest = std::function<boundary::Reply()>;
    /// Decides what is answered to a request of worker 0 and up; nothing: no answer (now).
    using Answer =
        std::function<std::vector<boundary::Reply>(const boundary::RpcToHost&, const Honest&)>;
    /// From the next request on; an empty function is honesty.
    void answer_with(Answer answer) { answer_ = std::move(answer); }

    /// What the time page says at each turn; nothing: it is left alone.
    using Time = std::function<std::optional<boundary::HostTime>()>;
    void tell_time(Time time) { time_ = std::move(time); }
    /// The machine's own clocks, moved on by what skip() has added.
    boundary::HostTime real_time() const;
    void skip(std::chrono::seconds time) { skipped_ += time; }

    /// Sends a message, or what would come if the daemon had sent it. Well-formed, true or not.
    void send(const boundary::DataToTrusted& message, unsigned worker = 0);
    void send(const boundary::RpcToTrusted& message, unsigned worker = 0);

    /// The raw words. After a write to them call ring_bell().
    const boundary::Layout& layout() const { return block_->layout(); }
    /// Puts words where the host's next frame goes, and moves the published position by so much.
    /// The last thing to do with that ring.
    void push_raw(boundary::RingId ring, const std::vector<std::uint64_t>& words,
                  std::uint64_t published_bytes);
    void ring_bell(unsigned worker = 0);
    /// From now on rings in every turn, whether the enclave says that it sleeps or not.
    void ring_every_turn() { rings_every_turn_ = true; }

    // --- connections ------------------------------------------------------------------------

    /// The host's view of one connection.
    struct Wire {
        unsigned worker = 0;
        std::size_t window = boundary::kConnWindowBytes;  ///< bytes the host may still send
        Bytes received;
        bool is_closed = false;
    };
    /// Tells the enclave of a new connection, honestly; its id.
    std::uint64_t open(unsigned worker = 0);
    Wire& wire(std::uint64_t conn_id) { return wires_.at(conn_id); }
    /// An id that open() has not used yet.
    std::uint64_t next_id() const { return last_id_ + 1; }
    /// Forgets that credit is owed: none is sent from now on for what the enclave sends.
    void withhold_credit() { gives_credit_ = false; }
    /// Stops or goes on taking messages from the rings.
    void take_messages(bool takes) { takes_messages_ = takes; }

    // --- what happens -----------------------------------------------------------------------

    /// Serves until `done`; false if the enclave ended, or the deadline passed, before.
    bool serve_until(const std::function<bool()>& done);
    /// Serves until the enclave has taken everything that was sent before this call.
    bool settle();

    bool has_logged(boundary::LogCode code) const { return count_of(code) > 0; }
    std::size_t count_of(boundary::LogCode code) const;
    bool serve_until_logged(boundary::LogCode code, std::size_t count = 1);
    /// The numbers of the last line with this code, which has been logged (asserted).
    boundary::Numbers numbers_of(boundary::LogCode code) const;

    /// Serves until the enclave has ended; how it did, in the daemon's words, or "it goes on".
    std::string wait_for_end();
    bool has_ended() const { return end_.has_value(); }
    std::optional<boundary::Exit::Why> exit_reason() const { return exit_reason_; }
    pid_t pid() const { return process_->pid(); }

    /// Asks the enclave to stop, and waits for it.
    std::string stop();

    /// What the enclave did that an honest one never does; empty in every test.
    const std::string& violation() const { return violation_; }

  private:
    void wake(unsigned worker) override;
    void expect(const Result<void>& outcome);
    void turn();
    template <typename Receive>
    void take_all(unsigned worker, Receive receive);
    void take(unsigned worker, const boundary::DataToHost& message);
    void take(unsigned worker, const boundary::RpcToHost& message);
    boundary::Reply serve_honestly(const boundary::RpcToHost& request);
    void sleep();

    const Machine& machine_;
    Blobs& blobs_;
    std::unique_ptr<daemon::SharedBlock> block_;
    daemon::UniqueFd notify_;
    daemon::UniqueFd output_;
    std::vector<std::unique_ptr<daemon::WorkerLink>> links_;
    std::unique_ptr<daemon::RunnerProcess> process_;
    boundary::TimePageWriter time_page_;
    Answer answer_;
    Time time_;
    std::chrono::seconds skipped_{0};
    bool rings_every_turn_ = false;
    std::map<std::uint64_t, Wire> wires_;
    std::uint64_t last_id_ = 0;
    bool gives_credit_ = true;
    bool takes_messages_ = true;
    std::vector<boundary::Log> log_;
    std::optional<boundary::Exit::Why> exit_reason_;
    std::optional<daemon::ProcessEnd> end_;
    std::string violation_;
};

/// The request id of a request that is answered; 0 for a notice.
std::uint64_t request_id_of(const boundary::RpcToHost& request);

/// How an enclave ends that has seen the host break a rule.
std::string ended_by_violation();
/// How an enclave ends that refuses its state.
std::string ended_by_refused_state();

}  // namespace eos::hostile
