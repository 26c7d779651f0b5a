// SPDX-License-Identifier: AGPL-3.0-only
// Round trip of a 64-byte message through a worker's rings, as a ratio to the bare primitives in
// the same run: shared-memory ping-pong with both ends spinning on two cores, futex ping-pong with
// both ends on one. And what a worker costs that has nothing to do.
#include <linux/futex.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "boundary/endpoint.h"
#include "boundary/host_futex.h"
#include "boundary/test_block.h"
#include "common/base/assert.h"

namespace eos::boundary {
namespace {

// Ends that spin lose a whole time slice whenever a third program wants their core: every part is
// bounded by time as well as by count.
constexpr int kMaxRounds = 21, kMinRounds = 3;
constexpr double kMaxRoundNs = 100e6, kMaxPairNs = 6e9;
constexpr std::size_t kMessageBytes = 64;
constexpr int kWarmUp = 2 * kMinRingBytes / kMessageBytes;

double now_ns() {
    auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::nano>(since).count();
}

void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    EOS_ASSERT(sched_setaffinity(0, sizeof(set), &set) == 0);
}

// The other end: a process of its own, as in the programs; killed when the measurement is over.
class Peer {
  public:
    Peer(int core, const std::function<void()>& body) : pid_(fork()) {
        EOS_ASSERT(pid_ >= 0);
        if (pid_ != 0) return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);  // a spinning orphan would take a core for ever
        pin(core);
        body();
        _exit(0);
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;
    ~Peer() { stop(); }

    rusage stop() {
        rusage usage{};
        if (pid_ <= 0) return usage;
        kill(pid_, SIGKILL);
        wait4(pid_, nullptr, 0, &usage);
        pid_ = -1;
        return usage;
    }

  private:
    pid_t pid_;
};

double ns_each(int count, const std::function<void()>& round_trip) {
    constexpr int kBetweenLooks = 16;  // the clock is not free beside a ring
    const double begin = now_ns();
    // Long enough, if all is quiet, that both processes have touched every page of a ring.
    for (int i = 0; i < kWarmUp && now_ns() < begin + kMaxRoundNs; ++i) round_trip();
    const double start = now_ns();
    int done = 0;
    while (done < count) {
        for (int i = 0; i < kBetweenLooks; ++i) round_trip();
        done += kBetweenLooks;
        if (now_ns() > start + kMaxRoundNs) break;
    }
    return (now_ns() - start) / done;
}

// ---- the bare primitives

struct alignas(128) Mail {
    std::atomic<std::uint32_t> sequence = 0;
    std::uint64_t words[kMessageBytes / 8] = {};
};
struct Mails {
    Mail there, back;
};

Mails* shared_mails() {
    void* at =
        mmap(nullptr, sizeof(Mails), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EOS_ASSERT(at != MAP_FAILED);
    return new (at) Mails();
}

void post(Mail& mail, std::uint32_t sequence) {
    for (std::uint64_t& word : mail.words) word = sequence;
    mail.sequence.store(sequence, std::memory_order_release);
}

void spin_until(Mail& mail, std::uint32_t sequence) {
    while (mail.sequence.load(std::memory_order_acquire) != sequence) spin_hint();
    for (std::uint64_t word : mail.words) EOS_ASSERT(word == sequence);
}

void sleep_until(Mail& mail, std::uint32_t sequence) {
    auto* word = reinterpret_cast<std::uint32_t*>(&mail.sequence);
    while (mail.sequence.load(std::memory_order_acquire) != sequence)
        futex_wait(word, sequence - 1, kNoTimeout);
}

double bare_spinning(int host_core, int peer_core, int count) {
    Mails* mails = shared_mails();
    Peer peer(peer_core, [&] {
        for (std::uint32_t i = 1;; ++i) {
            spin_until(mails->there, i);
            post(mails->back, i);
        }
    });
    pin(host_core);
    std::uint32_t sequence = 0;
    return ns_each(count, [&] {
        post(mails->there, ++sequence);
        spin_until(mails->back, sequence);
    });
}

double bare_futex(int host_core, int peer_core, int count) {
    Mails* mails = shared_mails();
    auto wake = [](Mail& mail) { futex_wake(reinterpret_cast<std::uint32_t*>(&mail.sequence)); };
    Peer peer(peer_core, [&] {
        for (std::uint32_t i = 1;; ++i) {
            sleep_until(mails->there, i);
            post(mails->back, i);
            wake(mails->back);
        }
    });
    pin(host_core);
    std::uint32_t sequence = 0;
    return ns_each(count, [&] {
        post(mails->there, ++sequence);
        wake(mails->there);
        sleep_until(mails->back, sequence);
    });
}

// ---- the rings

class Signals : public TrustedSignals, public HostSignals {
  public:
    explicit Signals(const Layout& layout) : layout_(layout) {
        event_ = eventfd(0, EFD_NONBLOCK);
        epoll_ = epoll_create1(0);
        // Edge-triggered: the counter never has to be read.
        epoll_event event{.events = EPOLLIN | EPOLLET, .data = {}};
        EOS_ASSERT(epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &event) == 0);
    }
    ~Signals() override {
        close(event_);
        close(epoll_);
    }
    void wait(unsigned worker, std::uint32_t expected, std::uint32_t timeout_ms) override {
        futex_wait(layout_.trusted_bell(worker).sequence, expected, timeout_ms);
    }
    void notify(unsigned) override {
        std::uint64_t one = 1;
        EOS_ASSERT(write(event_, &one, sizeof(one)) == sizeof(one));
    }
    void wake(unsigned worker) override { futex_wake(layout_.trusted_bell(worker).sequence); }
    void host_sleep() {
        epoll_event event;
        epoll_wait(epoll_, &event, 1, -1);
    }

  private:
    const Layout& layout_;
    int event_ = -1, epoll_ = -1;
};

void echo(const Layout& layout, Signals& signals) {
    TrustedWorkerEndpoint end(layout, 0, signals);
    for (;;) {
        auto message = end.receive_data();
        EOS_ASSERT(message.has_value());
        if (!*message) {
            end.wait(kNoTimeout, [] { return false; });
            continue;
        }
        ConnData data = std::move(std::get<FromHost<ConnData>>(**message))
                            .take_unverifiable("an echo believes everything");
        EOS_ASSERT(end.send(DataToHost(data)).has_value());
    }
}

// The host's turn of its event loop, as the daemon does it.
void host_wait(HostWorkerEndpoint& end, AdaptiveSpin& spin, Signals& signals) {
    end.flush();
    const std::uint32_t turns = spin.turns();
    for (std::uint32_t i = 0; i < turns; ++i) {
        spin_hint();
        if (!end.has_work()) continue;
        spin.learn(AdaptiveSpin::Outcome::kRewarded);
        return;
    }
    if (turns != 0) spin.learn(AdaptiveSpin::Outcome::kFruitless);
    if (!end.prepare_sleep()) return;
    signals.host_sleep();
    end.awake();
}

double rings(int host_core, int peer_core, int count) {
    TestBlock block({.data_ring_bytes = kMinRingBytes});
    Signals signals(block.layout());
    Peer peer(peer_core, [&] { echo(block.layout(), signals); });
    pin(host_core);
    HostWorkerEndpoint end(block.layout(), 0, signals);
    AdaptiveSpin spin;
    Bytes payload(kMessageBytes - 8, std::byte{1});
    return ns_each(count, [&] {
        EOS_ASSERT(*end.send(DataToTrusted(ConnData{.conn_id = 1, .bytes = payload})) ==
                   Push::kDone);
        for (;;) {
            auto answer = end.receive_data();
            EOS_ASSERT(answer.has_value());
            if (*answer) return;
            host_wait(end, spin, signals);
        }
    });
}

// The rings alone, both ends spinning: without messages, bells and adaptation.
double bare_rings(int host_core, int peer_core, int count) {
    TestBlock block({.data_ring_bytes = kMinRingBytes});
    RingMemory there = block.layout().ring(0, RingId::kDataIn);
    RingMemory back = block.layout().ring(0, RingId::kDataOut);
    auto receive = [](RingConsumer& ring) {
        while (!ring.has_input()) spin_hint();
        auto frame = ring.receive();
        EOS_ASSERT(frame.has_value() && frame->has_value());
        ring.release();
        return (*frame)->payload;
    };
    auto send = [](RingProducer& ring, ByteView payload) {
        EOS_ASSERT(*ring.push(1, {payload}) == Push::kDone);
        ring.publish();
    };
    Peer peer(peer_core, [&] {
        RingConsumer in(there);
        RingProducer out(back);
        for (;;) send(out, receive(in));
    });
    pin(host_core);
    RingProducer out(there);
    RingConsumer in(back);
    Bytes payload(kMessageBytes, std::byte{1});
    return ns_each(count, [&] {
        send(out, payload);
        receive(in);
    });
}

// Share of a core that a worker takes in a second with nothing to do, right after it was busy.
double idle_share() {
    TestBlock block({.data_ring_bytes = kMinRingBytes});
    Signals signals(block.layout());
    Peer peer(1, [&] { echo(block.layout(), signals); });
    sleep(1);
    rusage usage = peer.stop();
    auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// ---- report

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

double least(const std::vector<double>& values) {
    return *std::ranges::min_element(values);
}

struct Pair {
    const char* what;
    const char* peer;
    double limit;
    std::function<double()> ours, theirs;
};

// Ours and the peer take turns, so that a noisy minute meets both.
void compare(const Pair& pair) {
    std::vector<double> ours, theirs, ratios;
    const double start = now_ns();
    for (int round = 0; round < kMaxRounds; ++round) {
        if (round >= kMinRounds && now_ns() > start + kMaxPairNs) break;
        theirs.push_back(pair.theirs());
        ours.push_back(pair.ours());
        ratios.push_back(ours.back() / theirs.back());
    }
    std::printf(
        "%-21s %7.0f ns (%6.0f)  %-27s %7.0f ns (%6.0f)  ratio %5.2f (%5.2f), target %.1f\n",
        pair.what, median(ours), least(ours), pair.peer, median(theirs), least(theirs),
        median(ratios), least(ours) / least(theirs), pair.limit);
}

}  // namespace
}  // namespace eos::boundary

int main() {
    using namespace eos::boundary;
    std::printf("64-byte round trips: median of up to %d short rounds (quietest round)\n",
                kMaxRounds);
    if (sysconf(_SC_NPROCESSORS_ONLN) >= 2) {
        compare({.what = "bare rings, two cores",
                 .peer = "shared-memory ping-pong",
                 .limit = 1.5,
                 .ours = [] { return bare_rings(0, 1, 4000); },
                 .theirs = [] { return bare_spinning(0, 1, 4000); }});
        compare({.what = "rings, two cores",
                 .peer = "shared-memory ping-pong",
                 .limit = 1.5,
                 .ours = [] { return rings(0, 1, 4000); },
                 .theirs = [] { return bare_spinning(0, 1, 4000); }});
        compare({.what = "rings, two cores",
                 .peer = "futex ping-pong, two cores",
                 .limit = 1.0,
                 .ours = [] { return rings(0, 1, 4000); },
                 .theirs = [] { return bare_futex(0, 1, 200); }});
    }
    compare({.what = "rings, one core",
             .peer = "futex ping-pong, one core",
             .limit = 3.0,
             .ours = [] { return rings(0, 0, 2000); },
             .theirs = [] { return bare_futex(0, 0, 2000); }});
    double idle = idle_share();
    std::printf("%-30s %.3f %% of a core, target 0.5 %%\n", "a worker with nothing to do",
                100 * idle);
    return 0;
}
