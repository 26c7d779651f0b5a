// SPDX-License-Identifier: AGPL-3.0-only
// Kills a process hundreds of times while it commits, and looks at what is found after each: what
// was acknowledged, whole, or the change that was under way, whole.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <sstream>
#include <thread>

#include "tests/crash/story.h"
#include "untrusted/daemon/testing.h"
#include "untrusted/daemon/unique_fd.h"

namespace eos::crash {
namespace {

using Clock = std::chrono::steady_clock;

#ifdef EOS_SANITIZED
constexpr int kWantedKills = 60;
#else
constexpr int kWantedKills = 260;
#endif
constexpr int kKillsAtStart = 40;

/// A running crash-writer and what it says.
class Child {
  public:
    explicit Child(const std::filesystem::path& directory) {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        out_.reset(::fdopen(ends[0], "r"));
        daemon::UniqueFd in(ends[1]);
        const std::string program = std::string(EOS_BINARY_DIR) + "/bin/crash-writer";
        const std::string argument = directory.string();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::dup2(in.get(), STDOUT_FILENO);
            ::execl(program.c_str(), program.c_str(), argument.c_str(), nullptr);
            ::_exit(127);
        }
    }
    ~Child() { kill(); }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    /// The next line; nothing once the process is gone and has no more to say.
    std::optional<std::string> line() {
        char buffer[512];
        if (std::fgets(buffer, sizeof(buffer), out_.get()) == nullptr) return std::nullopt;
        std::string text = buffer;
        if (!text.ends_with('\n')) return std::nullopt;
        text.pop_back();
        return text;
    }

    void kill() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(std::exchange(pid_, -1), nullptr, 0);
    }

  private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, Close> out_;
    pid_t pid_ = -1;
};

/// What must be true of a state directory, by what was said about it so far.
class Ledger {
  public:
    /// One line of a writer. Failures are the test's.
    void hear(const std::string& line) {
        std::istringstream words(line);
        std::string what, rest;
        std::uint64_t generation = 0;
        words >> what >> generation >> rest;
        if (what == "found") {
            found(generation, rest);
        } else if (what == "try") {
            EXPECT_EQ(generation, acknowledged_ + 1) << line;
            tried_ = generation;
        } else if (what == "ack") {
            EXPECT_EQ(generation, tried_) << line;
            advance();
        } else {
            ADD_FAILURE() << line;
        }
    }
    bool is_in_mid_write() const { return tried_ != acknowledged_; }
    std::uint64_t acknowledged() const { return acknowledged_; }
    int undecided_kept =
        0;  ///< changes that no one had been told of, and that were there after all

  private:
    void found(std::uint64_t generation, const std::string& content) {
        if (generation == tried_ && is_in_mid_write()) {
            ++undecided_kept;
            advance();
        }
        tried_ = acknowledged_;
        EXPECT_EQ(generation, acknowledged_) << "what was acknowledged is there, and nothing later";
        EXPECT_EQ(content, fingerprint(state_)) << "a mixture at generation " << generation;
    }
    void advance() { state_ = after(std::move(state_), ++acknowledged_); }

    State state_;
    std::uint64_t acknowledged_ = 0;
    std::uint64_t tried_ = 0;
};

class Crash : public testing::Test {
  protected:
    // Lets a writer go on until it begins its `commits`th change, and kills it some time later.
    void kill_in_a_commit(int commits, std::chrono::microseconds later) {
        Child child(folder_.path());
        while (auto line = child.line()) {
            ledger_.hear(*line);
            if (line->starts_with("try ") && --commits <= 0) break;
        }
        std::this_thread::sleep_for(later);
        child.kill();
        while (auto line = child.line()) ledger_.hear(*line);
    }
    void kill_after_start(std::chrono::microseconds later) {
        Child child(folder_.path());
        std::this_thread::sleep_for(later);
        child.kill();
        while (auto line = child.line()) ledger_.hear(*line);
    }
    void check_the_last_state() {
        Child child(folder_.path());
        auto line = child.line();
        ASSERT_TRUE(line && line->starts_with("found ")) << line.value_or("nothing");
        ledger_.hear(*line);
    }
    // How long a commit takes here, so that kills fall into it.
    std::chrono::microseconds commit_time() {
        Child child(folder_.path());
        for (int i = 0; i < 3; ++i) ledger_.hear(child.line().value_or("nothing"));
        const auto begun = Clock::now();
        for (int i = 0; i < 40; ++i) ledger_.hear(child.line().value_or("nothing"));
        const auto took = Clock::now() - begun;
        child.kill();
        while (auto line = child.line()) ledger_.hear(*line);
        return std::chrono::duration_cast<std::chrono::microseconds>(took) / 20;
    }

    daemon::testing::TemporaryDirectory folder_;
    Ledger ledger_;
};

TEST_F(Crash, InMidWriteHundredsOfTimesLosesNothingAndMixesNothing) {
    std::mt19937 random(1);
    const std::chrono::microseconds commit = commit_time();
    int kills = 0, in_mid_write = 0;
    while (in_mid_write < kWantedKills && !HasFailure()) {
        ASSERT_LT(++kills, 10 * kWantedKills) << "too few kills fall into a commit";
        // Many early ones: most of a commit's time goes into the last write's sync.
        const auto latest = static_cast<unsigned>(commit.count() >> random() % 10);
        kill_in_a_commit(static_cast<int>(1 + random() % 3),
                         std::chrono::microseconds(random() % (latest + 1)));
        in_mid_write += ledger_.is_in_mid_write();
    }
    for (int i = 0; i < kKillsAtStart && !HasFailure(); ++i)
        kill_after_start(std::chrono::microseconds(random() % 60'000));
    check_the_last_state();
    std::printf("%d kills, %d of them in a commit, after %llu changes; %d of those were kept\n",
                kills + kKillsAtStart, in_mid_write,
                static_cast<unsigned long long>(ledger_.acknowledged()), ledger_.undecided_kept);
}

}  // namespace
}  // namespace eos::crash
