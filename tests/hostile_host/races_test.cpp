// SPDX-License-Identifier: AGPL-3.0-only
// A thread of the host writes into the shared block while the enclave works on it, so that values
// change between check and use. The enclave either goes on or ends itself by name; it never
// crashes, whatever is written.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/hostile_host/client.h"

namespace eos::hostile {
namespace {

using namespace boundary;
using Words = std::vector<std::uint64_t*>;

/// Writes one of a few kinds of nonsense to random words until it goes.
class Scribbler {
  public:
    /// What is put into a word: its own value changed a little, or anything.
    enum class Style { kNear, kWild };
    Scribbler(Words words, Style style, unsigned seed)
        : thread_([this, words = std::move(words), style, seed] { run(words, style, seed); }) {}
    ~Scribbler() {
        stop_ = true;
        thread_.join();
    }
    Scribbler(const Scribbler&) = delete;
    Scribbler& operator=(const Scribbler&) = delete;

  private:
    void run(const Words& words, Style style, unsigned seed) {
        std::mt19937_64 random(seed);
        while (!stop_) {
            std::atomic_ref word(*words[random() % words.size()]);
            const std::uint64_t honest = word.load();
            if (style == Style::kWild) {
                word.store(random());
            } else {
                // There and back: whoever looks twice sees two things.
                word.store(honest ^ std::uint64_t{1} << random() % 64);
                word.store(honest);
            }
            if (random() % 64 == 0) std::this_thread::yield();
        }
    }
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

/// A part of the shared block that belongs to the host, or that a host can reach anyway.
struct Target {
    const char* name;
    Words (*words)(const Layout&);
};

Words words_of(std::span<std::uint64_t> span) {
    Words out;
    for (std::uint64_t& word : span) out.push_back(&word);
    return out;
}
Words positions(const Layout& layout, std::initializer_list<RingId> rings) {
    Words out;
    for (RingId id : rings) {
        out.push_back(layout.ring(0, id).produced);
        out.push_back(layout.ring(0, id).consumed);
    }
    return out;
}
Words bells(const Layout& layout) {
    // Two 32-bit words each, on cache lines of their own.
    return {reinterpret_cast<std::uint64_t*>(layout.trusted_bell(0).sequence),
            reinterpret_cast<std::uint64_t*>(layout.host_bell(0).sequence)};
}
Words time_page(const Layout& layout) {
    return {layout.time().sequence, layout.time().wall_ns, layout.time().monotonic_ns};
}

const Target kFatal[] = {
    {"DataFrames", [](const Layout& l) { return words_of(l.ring(0, RingId::kDataIn).words); }},
    {"AnswerFrames", [](const Layout& l) { return words_of(l.ring(0, RingId::kRpcIn).words); }},
    {"PositionsOfTheHost",
     [](const Layout& l) { return positions(l, {RingId::kDataIn, RingId::kRpcIn}); }},
    {"PositionsOfTheEnclave",
     [](const Layout& l) { return positions(l, {RingId::kDataOut, RingId::kRpcOut}); }},
    {"Everything",
     [](const Layout& l) {
         // From the header to the end of the first worker's rings: one stretch of memory.
         std::uint64_t* first = l.time().sequence;
         std::span last = l.ring(0, RingId::kRpcOut).words;
         return words_of({first, last.data() + last.size()});
     }},
};

#ifdef EOS_SANITIZED
constexpr unsigned kSeeds = 1;  // each starts the enclave program anew, which takes a second there
#else
constexpr unsigned kSeeds = 4;
#endif

class Races : public testing::TestWithParam<std::tuple<Target, Scribbler::Style>> {};

std::string name_of(const testing::TestParamInfo<Races::ParamType>& info) {
    const bool wild = std::get<1>(info.param) == Scribbler::Style::kWild;
    return std::string(std::get<0>(info.param).name) + (wild ? "Wild" : "Near");
}

TEST_P(Races, EndInServiceOrByName) {
    const auto [target, style] = GetParam();
    Machine machine;
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
        Blobs blobs;
        HostileHost host(machine, blobs);
        ASSERT_TRUE(host.serve_until_logged(LogCode::kUnowned));
        {
            Scribbler scribbler(target.words(host.layout()), style, seed);
            // Traffic, for as long as it lasts: what comes of it is not this test's question.
            const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(150);
            std::vector<std::unique_ptr<Client>> clients;
            host.serve_until([&] {
                if (clients.size() < 64) clients.push_back(std::make_unique<Client>(host));
                for (auto& client : clients) client->carry();
                return std::chrono::steady_clock::now() > end;
            });
        }
        if (host.has_ended()) {
            EXPECT_EQ(host.wait_for_end(), ended_by_violation()) << "seed " << seed;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Scribbling, Races,
                         testing::Combine(testing::ValuesIn(kFatal),
                                          testing::Values(Scribbler::Style::kNear,
                                                          Scribbler::Style::kWild)),
                         name_of);

// Bells and time are hints: whatever is in them, it costs time and nothing else. A host that writes
// into the word by which the enclave says that it sleeps loses wake-ups until it rings again.
TEST(Hints, AScribbledBellLosesNothing) {
    Machine machine;
    Blobs blobs;
    HostileHost host(machine, blobs);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kUnowned));
    {
        Scribbler scribbler(bells(host.layout()), Scribbler::Style::kWild, 1);
        host.ring_every_turn();
        for (int i = 0; i < 10; ++i) EXPECT_EQ(visit(host), "served");
    }
    EXPECT_EQ(visit(host), "served");
}

TEST(Hints, AScribbledTimePageOnlyDelays) {
    Machine machine;
    Blobs blobs;
    HostileHost host(machine, blobs);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kUnowned));
    {
        Scribbler scribbler(time_page(host.layout()), Scribbler::Style::kNear, 1);
        for (int i = 0; i < 10; ++i) static_cast<void>(visit(host));
    }
    EXPECT_FALSE(host.has_ended());
    EXPECT_EQ(host.stop(), "exited with code 0: it was asked to end");
}

}  // namespace
}  // namespace eos::hostile
