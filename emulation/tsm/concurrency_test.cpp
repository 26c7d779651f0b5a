// SPDX-License-Identifier: AGPL-3.0-only
// What programs in an emulated guest see of each other: who waits for whom, and in which order
// things take effect. Run by tsm-emulator (CMakeLists.txt).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>
#include <vector>

#include "emulation/tsm/conformance.h"

namespace eos::emulation::tsm {
namespace {

using namespace std::chrono_literals;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::ElementsAre;

const std::string kReports = "/sys/kernel/config/tsm/report";

/// An entry with 64 bytes in it, for the time of the object.
class Entry {
  public:
    explicit Entry(const std::string& name) : path_(kReports + "/" + name) {
        EXPECT_EQ(outcome(::mkdir(path_.c_str(), 0755)), 0);
        write_inblob();
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { ::rmdir(path_.c_str()); }

    std::string file(const std::string& name) const { return path_ + "/" + name; }
    long remove() const { return outcome(::rmdir(path_.c_str())); }
    void write_inblob() const {
        File in(file("inblob"), O_WRONLY);
        EXPECT_EQ(in.write(std::string(64, 'x')), 64);
    }
    std::string generation() const {
        File in(file("generation"), O_RDONLY);
        in.read(64);
        return in.content();
    }
    /// The generation that is read by the first system call after a close of inblob.
    std::string generation_after_write() const {
        File generation(file("generation"), O_RDONLY);
        write_inblob();
        generation.read(64);
        return generation.content();
    }

  private:
    std::string path_;
};

/// A thread that reads an outblob once.
class Reader {
  public:
    explicit Reader(std::string path) : thread_([this, path = std::move(path)] { read(path); }) {}
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() { thread_.join(); }

    /// Whether it is in read(2).
    bool is_reading() const {
        std::ifstream in("/proc/self/task/" + std::to_string(id_) + "/syscall");
        long number = -1;
        return id_ != 0 && in >> number && number == SYS_read;
    }
    bool is_done() const { return done_; }
    void interrupt() { ::pthread_kill(thread_.native_handle(), SIGUSR1); }
    /// What read(2) gave.
    long result() const { return result_; }

  private:
    void read(const std::string& path) {
        File out(path, O_RDONLY);
        id_ = ::gettid();
        result_ = out.read(kLarge);
        done_ = true;
    }

    std::atomic<pid_t> id_ = 0;
    std::atomic<bool> done_ = false;
    std::atomic<long> result_ = 0;
    std::thread thread_;
};

/// A host that does not answer for as long as a test takes.
class SlowHost : public ::testing::Test {
  protected:
    SlowHost() {
        struct sigaction action{};
        action.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &action, nullptr);
    }
    ~SlowHost() override { interrupt_readers(); }

    void start_readers(const Entry& entry, int count) {
        for (int i = 0; i < count; ++i)
            readers_.push_back(std::make_unique<Reader>(entry.file("outblob")));
        const auto deadline = std::chrono::steady_clock::now() + 20s;
        for (const auto& reader : readers_) {
            while (!reader->is_reading() && std::chrono::steady_clock::now() < deadline)
                std::this_thread::sleep_for(5ms);
            EXPECT_TRUE(reader->is_reading());
        }
    }
    /// Sends signals until all are back: only one of them waits for the host, the others for it.
    std::vector<long> interrupt_readers() {
        std::vector<long> results;
        for (const auto& reader : readers_) {
            while (!reader->is_done()) {
                for (const auto& other : readers_) other->interrupt();
                std::this_thread::sleep_for(5ms);
            }
            results.push_back(reader->result());
        }
        return results;
    }

  private:
    std::vector<std::unique_ptr<Reader>> readers_;
};

TEST_F(SlowHost, a_signal_ends_the_wait_and_the_request_stays_with_the_host) {
    const Entry entry("interrupted");
    start_readers(entry, 1);
    EXPECT_THAT(interrupt_readers(), ElementsAre(-EINTR));
    EXPECT_EQ(File(entry.file("outblob"), O_RDONLY).read(kLarge), -EBUSY);
    EXPECT_EQ(entry.generation(), "1\n") << "nothing else waits any more";
}

TEST_F(SlowHost, names_and_what_was_read_do_not_wait_for_readers) {
    const Entry slow("slow"), idle("idle");
    File generation(slow.file("generation"), O_RDONLY);
    EXPECT_EQ(generation.read(1), 1);
    start_readers(slow, 24);  // libfuse's own loop has ten threads
    auto looks = std::async(std::launch::async, [&] {
        const std::filesystem::directory_iterator entries(kReports), files(kReports + "/slow");
        EXPECT_EQ(std::distance(begin(entries), end(entries)), 2);
        EXPECT_EQ(std::distance(begin(files), end(files)), 4);
        EXPECT_TRUE(std::filesystem::exists(slow.file("outblob")));
        EXPECT_EQ(generation.read(64), 1) << "the line feed";
        EXPECT_EQ(idle.remove(), 0);
    });
    const bool in_time = looks.wait_for(20s) == std::future_status::ready;
    EXPECT_TRUE(in_time);
    // They did wait: nobody has a report.
    EXPECT_THAT(interrupt_readers(), Each(AnyOf(-EINTR, -EBUSY, -ETIMEDOUT)));
}

TEST(Order, what_was_closed_shows_in_what_is_read_next) {
    constexpr int kThreads = 8;
    constexpr int kRounds = 400;
    std::vector<std::thread> threads;
    for (int n = 0; n < kThreads; ++n) {
        threads.emplace_back([n] {
            const Entry entry("order-" + std::to_string(n));
            for (int round = 2; round < kRounds; ++round) {
                ASSERT_EQ(entry.generation_after_write(), std::to_string(round) + "\n");
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace eos::emulation::tsm
