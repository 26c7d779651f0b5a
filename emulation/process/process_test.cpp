// SPDX-License-Identifier: AGPL-3.0-only
// Starts the echo enclave as the daemon would, and plays the host.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "boundary/endpoint.h"
#include "boundary/exit_codes.h"
#include "boundary/host_futex.h"
#include "boundary/time_page.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/sgx_arch/report.h"
#include "emulation/sgx_cpu/cpu.h"

namespace eos::emulation::process {
namespace {

using namespace eos::boundary;
using Clock = std::chrono::steady_clock;
constexpr auto kDeadline = std::chrono::seconds(60);
constexpr std::uint64_t kWallSeconds = 1'900'000'000;

#ifdef EOS_SANITIZED
constexpr bool kSandboxed = false;
#else
constexpr bool kSandboxed = true;
#endif

const std::string kProgram = std::string(EOS_BINARY_DIR) + "/bin/echo-enclave-process";

// A folder of this test alone, with the identity of one emulated CPU in it.
class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "eos-process-XXXXXX").string();
        path_ = mkdtemp(name.data());
        SecretBytes file = sgx_cpu::encode_identity(sgx_cpu::generate_identity());
        int fd = open(identity().c_str(), O_CREAT | O_WRONLY, 0600);
        EXPECT_EQ(write(fd, file.view().data(), file.size()), static_cast<ssize_t>(file.size()));
        close(fd);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string identity() const { return path_ / "cpu-identity"; }
    std::filesystem::path path() const { return path_; }

  private:
    std::filesystem::path path_;
};

class Enclave : public HostSignals {
  public:
    struct Options {
        LayoutOptions layout = {};
        int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
        std::string program = kProgram;
        std::optional<std::uint64_t> header_word = {};  // overwrites the magic before the start
    };

    Enclave(const Folder& folder, const Options& options) {
        std::size_t size = *Layout::block_bytes(options.layout);
        int block_fd = memfd_create("block", MFD_ALLOW_SEALING | MFD_CLOEXEC);
        EXPECT_EQ(ftruncate(block_fd, static_cast<off_t>(size)), 0);
        EXPECT_EQ(fcntl(block_fd, F_ADD_SEALS, options.seals), 0);
        void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, block_fd, 0);
        block_ = {static_cast<std::byte*>(base), size};
        layout_.emplace(*Layout::create(block_, options.layout));
        if (options.header_word) std::memcpy(base, &*options.header_word, 8);
        TimePageWriter(layout_->time())
            .write({.wall_ns = kWallSeconds * 1'000'000'000, .monotonic_ns = 5'000'000'000});
        event_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        EXPECT_EQ(pipe2(stderr_, O_CLOEXEC), 0);
        child_ = fork();
        if (child_ == 0) exec(block_fd, folder.identity(), options.program);
        close(block_fd);
        close(stderr_[1]);
        for (unsigned i = 0; i < options.layout.worker_count; ++i)
            ends_.emplace_back(std::make_unique<HostWorkerEndpoint>(*layout_, i, *this));
    }

    ~Enclave() override {
        if (testing::Test::HasFailure()) std::fputs(printed_so_far().c_str(), stderr);
        if (!status_) {
            kill(child_, SIGKILL);
            exit_status();
        }
        munmap(block_.data(), block_.size());
        close(event_fd_);
        close(stderr_[0]);
    }

    void wake(unsigned worker) override { futex_wake(layout_->trusted_bell(worker).sequence); }

    HostWorkerEndpoint& end(unsigned worker = 0) { return *ends_[worker]; }
    pid_t pid() const { return child_; }
    const Layout& layout() const { return *layout_; }

    // What the enclave answers, or nothing if it dies instead.
    std::optional<Bytes> ask(ByteView question, unsigned worker = 0) {
        ConnData data{.conn_id = ++last_id_, .bytes = question};
        EXPECT_EQ(*end(worker).send(DataToTrusted(data)), Push::kDone);
        end(worker).flush();
        return receive(worker);
    }
    std::optional<std::string> ask(std::string_view question, unsigned worker = 0) {
        auto answer = ask(as_bytes(question), worker);
        if (!answer) return std::nullopt;
        return to_string(*answer);
    }

    void shut_down() {
        for (auto& end : ends_) {
            EXPECT_EQ(*end->send(RpcToTrusted(Shutdown{.deadline_ms = 1000})), Push::kDone);
            end->flush();
        }
    }

    // As wait(2) tells it, once the process has ended.
    int exit_status() {
        if (status_) return *status_;
        auto until = Clock::now() + kDeadline;
        int status = 0;
        while (waitpid(child_, &status, WNOHANG) == 0) {
            if (Clock::now() > until) {
                ADD_FAILURE() << "the enclave does not end";
                kill(child_, SIGKILL);
            }
            usleep(1000);
        }
        status_ = status;
        return status;
    }

    // Everything the process printed until it closed its standard error.
    std::string printed() {
        std::string all;
        char buffer[4096];
        for (ssize_t size; (size = read(stderr_[0], buffer, sizeof(buffer))) > 0;)
            all.append(buffer, static_cast<std::size_t>(size));
        return all;
    }

  private:
    std::string printed_so_far() {
        fcntl(stderr_[0], F_SETFL, O_NONBLOCK);
        return printed();
    }

    [[noreturn]] void exec(int block_fd, const std::string& identity, const std::string& program) {
        // Out of the way first: a descriptor to be copied may itself be 3 or 4.
        int block = fcntl(block_fd, F_DUPFD, 10);
        int event = fcntl(event_fd_, F_DUPFD, 10);
        int error = fcntl(stderr_[1], F_DUPFD, 10);
        dup2(error, 2);
        dup2(block, 3);
        dup2(event, 4);
        execl(program.c_str(), program.c_str(), "--identity", identity.c_str(), nullptr);
        _exit(127);
    }

    bool has_ended() {
        int status = 0;
        if (!status_ && waitpid(child_, &status, WNOHANG) == child_) status_ = status;
        return status_.has_value();
    }

    std::optional<Bytes> receive(unsigned worker) {
        auto until = Clock::now() + kDeadline;
        for (;;) {
            auto message = end(worker).receive_data();
            if (message.has_value() && message->has_value())
                return to_bytes(std::get<ConnData>(**message).bytes);
            if (!message.has_value() || has_ended()) return std::nullopt;
            if (Clock::now() > until) {
                ADD_FAILURE() << "no answer";
                return std::nullopt;
            }
            if (!end(worker).prepare_sleep()) continue;
            pollfd event{.fd = event_fd_, .events = POLLIN};
            poll(&event, 1, 100);  // the death of the process rings no bell
            std::uint64_t count;
            [[maybe_unused]] ssize_t size = read(event_fd_, &count, sizeof(count));
            end(worker).awake();
        }
    }

    MutableByteView block_;
    std::optional<Layout> layout_;
    std::vector<std::unique_ptr<HostWorkerEndpoint>> ends_;
    int event_fd_ = -1;
    int stderr_[2] = {-1, -1};
    pid_t child_ = -1;
    std::optional<int> status_;
    std::uint64_t last_id_ = 0;
};

class Process : public testing::Test {
  protected:
    Folder folder_;

    void expect_death_by(std::string_view command, int signal) {
        Enclave enclave(folder_, {});
        ASSERT_EQ(enclave.ask("hello"), "hello");
        EXPECT_EQ(enclave.ask(command), std::nullopt);
        int status = enclave.exit_status();
        EXPECT_TRUE(WIFSIGNALED(status));
        EXPECT_EQ(WTERMSIG(status), signal);
    }

    void expect_refused_start(const Enclave::Options& options, int exit_code) {
        Enclave enclave(folder_, options);
        int status = enclave.exit_status();
        ASSERT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), exit_code) << enclave.printed();
    }
};

TEST_F(Process, EchoesOnEveryWorkerAndStopsWhenAsked) {
    Enclave enclave(folder_, {.layout = {.worker_count = 4}});
    for (unsigned worker = 0; worker < 4; ++worker) {
        Bytes large(kMaxConnDataBytes, static_cast<std::byte>(worker));
        EXPECT_EQ(enclave.ask("hello", worker), "hello");
        EXPECT_EQ(enclave.ask(large, worker), large);
    }
    EXPECT_EQ(enclave.ask("refused"), "0 0");
    enclave.shut_down();
    int status = enclave.exit_status();
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    auto last = enclave.end(3).receive_rpc();
    ASSERT_TRUE(last.has_value() && last->has_value());
    EXPECT_EQ(std::get<Exit>(**last).why, Exit::Why::kRequested);
}

TEST_F(Process, PrintsTheBannerAtEveryStart) {
    Enclave enclave(folder_, {});
    EXPECT_EQ(enclave.ask("hello"), "hello");
    enclave.shut_down();
    enclave.exit_status();
    std::string printed = enclave.printed();
    EXPECT_NE(printed.find("protects nothing"), printed.npos);
    EXPECT_EQ(printed.find("sanitizer build") != printed.npos, !kSandboxed);
}

TEST_F(Process, IdentityIsTheProgramFile) {
    Enclave enclave(folder_, {});
    auto report = sgx_arch::parse_report(enclave.ask(as_bytes("report")).value_or(Bytes()));
    ASSERT_TRUE(report.has_value());
    std::ifstream file(kProgram, std::ios::binary);
    std::string elf(std::istreambuf_iterator<char>(file), {});
    auto expected = crypto::sha256(
        {as_bytes("enclave-os process back end, no protection"), crypto::sha256(as_bytes(elf))});
    EXPECT_EQ(report->body.mr_enclave, expected);
    EXPECT_TRUE(report->body.attributes.debug());
    EXPECT_EQ(report->body.report_data[0], std::byte{7});
}

TEST_F(Process, LyingTargetIsRefusedAndHarmless) {
    Enclave enclave(folder_, {});
    EXPECT_EQ(enclave.ask("report_to_a_lie"), "target_refused");
    EXPECT_EQ(enclave.ask("hello"), "hello");
}

TEST_F(Process, KeysAreStableAndOfThisProgram) {
    Bytes key;
    {
        Enclave first(folder_, {});
        key = first.ask(as_bytes("seal_key")).value_or(Bytes());
        EXPECT_EQ(key.size(), 16u);
    }
    Enclave second(folder_, {});
    EXPECT_EQ(second.ask(as_bytes("seal_key")), key);

    // One more byte at the end of the file is another enclave.
    std::string rebuilt = folder_.path() / "rebuilt";
    std::filesystem::copy_file(kProgram, rebuilt);
    std::ofstream(rebuilt, std::ios::app) << '\n';
    Enclave other(folder_, {.program = rebuilt});
    EXPECT_NE(other.ask(as_bytes("seal_key")).value_or(key), key);

    Folder other_cpu;
    Enclave elsewhere(other_cpu, {});
    EXPECT_NE(elsewhere.ask(as_bytes("seal_key")).value_or(key), key);
}

TEST_F(Process, LibrariesNeedNothingFromOutside) {
    Enclave enclave(folder_, {});
    std::string answer = enclave.ask("use_libraries").value_or("");
    EXPECT_NE(answer.find("time " + std::to_string(kWallSeconds)), answer.npos) << answer;
    EXPECT_NE(answer.find("sha256"), answer.npos) << answer;
    if (kSandboxed) {
        EXPECT_NE(answer.find("pid 1 env no"), answer.npos) << answer;
    }
    EXPECT_EQ(enclave.ask("refused"), "0 0");
}

TEST_F(Process, FileOpensAreRefusedAndCounted) {
    if (!kSandboxed) GTEST_SKIP() << "sanitizer build";
    Enclave enclave(folder_, {});
    EXPECT_EQ(enclave.ask("open_a_file"), "No such file or directory, refused 1 0");
    EXPECT_EQ(enclave.ask("still alive"), "still alive");
}

TEST_F(Process, NetworkThroughLibcIsRefused) {
    if (!kSandboxed) GTEST_SKIP() << "sanitizer build";
    Enclave enclave(folder_, {});
    EXPECT_EQ(enclave.ask("network_through_libc"), "Address family not supported by protocol");
    EXPECT_EQ(enclave.ask("refused"), "0 1");
}

TEST_F(Process, UnlistedCallsKill) {
    if (!kSandboxed) GTEST_SKIP() << "sanitizer build";
    for (const char* command :
         {"raw_socket", "raw_exec", "raw_ptrace", "raw_fork", "executable_memory",
          "make_executable", "map_the_block_again", "write_elsewhere", "write_more",
          "replace_the_handler", "kill_another"}) {
        SCOPED_TRACE(command);
        expect_death_by(command, SIGSYS);
    }
}

TEST_F(Process, AssertionEndsByItsOwnName) {
    expect_death_by("abort_by_assertion", SIGABRT);
}

TEST_F(Process, AbortNamesItsReason) {
    Enclave enclave(folder_, {});
    EXPECT_EQ(enclave.ask("abort_by_platform"), std::nullopt);
    int status = enclave.exit_status();
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), exit_code(AbortReason::kInternal));
}

// They reach the whole process group, and the daemon wants to end connections in order.
TEST_F(Process, TerminalSignalsAreTheDaemonsBusiness) {
    Enclave enclave(folder_, {});
    ASSERT_EQ(enclave.ask("hello"), "hello");
    for (int number : {SIGINT, SIGTERM, SIGHUP}) kill(enclave.pid(), number);
    EXPECT_EQ(enclave.ask("still here"), "still here");
}

TEST_F(Process, ViolatedRingEndsTheEnclave) {
    Enclave enclave(folder_, {});
    ASSERT_EQ(enclave.ask("hello"), "hello");
    *enclave.layout().ring(0, RingId::kDataIn).produced = 12345;
    futex_wake(enclave.layout().trusted_bell(0).sequence);
    std::atomic_ref(*enclave.layout().trusted_bell(0).sequence).fetch_add(1);
    futex_wake(enclave.layout().trusted_bell(0).sequence);
    int status = enclave.exit_status();
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), exit_code(Exit::Why::kBoundaryViolated));
}

TEST_F(Process, StartIsRefusedWithAReason) {
    expect_refused_start({.seals = F_SEAL_GROW}, kExitSetup);
    expect_refused_start({.header_word = 1}, kExitSetup);
    std::filesystem::permissions(folder_.identity(), std::filesystem::perms::group_read,
                                 std::filesystem::perm_options::add);
    expect_refused_start({}, kExitSetup);
}

}  // namespace
}  // namespace eos::emulation::process
