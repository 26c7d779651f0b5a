// SPDX-License-Identifier: AGPL-3.0-only
// The program as its user sees it.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr int kDeadlineMs = 20'000;

/// The program, running; its standard output and errors come through one pipe.
class Program {
  public:
    explicit Program(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), EOS_BINARY_DIR "/bin/sgx-quoting-emulator");
        int ends[2];
        EXPECT_EQ(::pipe(ends), 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(ends[1], STDOUT_FILENO);
            ::dup2(ends[1], STDERR_FILENO);
            ::close(ends[0]);
            ::close(ends[1]);
            std::vector<char*> argv;
            for (std::string& argument : arguments) argv.push_back(argument.data());
            argv.push_back(nullptr);
            ::execv(argv[0], argv.data());
            ::_exit(127);
        }
        ::close(ends[1]);
        output_ = ends[0];
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program() {
        ::close(output_);
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }

    /// Output up to and including `text`, or all there is.
    std::string read_until(const std::string& text) {
        char buffer[512];
        pollfd set{.fd = output_, .events = POLLIN, .revents = 0};
        while (said_.find(text) == std::string::npos && ::poll(&set, 1, kDeadlineMs) == 1) {
            const ssize_t got = ::read(output_, buffer, sizeof(buffer));
            if (got <= 0) break;
            said_.append(buffer, static_cast<std::size_t>(got));
        }
        return said_;
    }
    std::string read_all() { return read_until("\x01 never said"); }
    void terminate(int signal) const { ::kill(pid_, signal); }
    int exit_code() {
        read_all();
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

  private:
    pid_t pid_ = -1;
    int output_ = -1;
    std::string said_;
};

class QuotingEmulator : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "eos-emulator-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        directory_ = folder_ / "platform";
        socket_ = folder_ / "aesm.socket";
    }
    void TearDown() override { fs::remove_all(folder_); }

    fs::path folder_;
    std::string directory_;
    std::string socket_;
};

TEST_F(QuotingEmulator, InitNamesTheRootAndNeverOverwritesUnasked) {
    Program first({"init", "--dir", directory_});
    EXPECT_EQ(first.exit_code(), 0);
    EXPECT_NE(first.read_all().find(directory_ + "/root.pem"), std::string::npos);

    Program second({"init", "--dir", directory_});
    EXPECT_EQ(second.exit_code(), 1);
    EXPECT_NE(second.read_all().find("holds an emulated platform already"), std::string::npos);

    EXPECT_EQ(Program({"init", "--dir", directory_, "--force"}).exit_code(), 0);
}

TEST_F(QuotingEmulator, ShowSaysWhichPlatform) {
    EXPECT_EQ(Program({"show", "--dir", directory_}).exit_code(), 1);
    ASSERT_EQ(Program({"init", "--dir", directory_}).exit_code(), 0);
    Program show({"show", "--dir", directory_});
    EXPECT_EQ(show.exit_code(), 0);
    for (const char* word : {"FMSPC", "PPID", "QE MRENCLAVE", "test root SHA-256"})
        EXPECT_NE(show.read_all().find(word), std::string::npos) << word;
}

TEST_F(QuotingEmulator, ServesWithABannerUntilTold) {
    ASSERT_EQ(Program({"init", "--dir", directory_}).exit_code(), 0);
    for (int signal : {SIGTERM, SIGINT}) {
        Program serve({"serve", "--dir", directory_, "--socket", socket_});
        const std::string said = serve.read_until("listening on " + socket_);
        EXPECT_NE(said.find("protects nothing"), std::string::npos) << said;
        EXPECT_EQ(said.find("FAULTS"), std::string::npos);
        EXPECT_TRUE(fs::is_socket(socket_));
        serve.terminate(signal);
        EXPECT_EQ(serve.exit_code(), 0);
        EXPECT_FALSE(fs::exists(socket_));
    }
}

TEST_F(QuotingEmulator, FaultsAreAnnounced) {
    ASSERT_EQ(Program({"init", "--dir", directory_}).exit_code(), 0);
    Program serve({"serve", "--dir", directory_, "--socket", socket_, "--wrong-report"});
    EXPECT_NE(serve.read_until("listening on").find("FAULTS ARE SWITCHED ON"), std::string::npos);
}

TEST_F(QuotingEmulator, UnusableArgumentsEndWithAnError) {
    EXPECT_NE(Program({}).exit_code(), 0);
    EXPECT_EQ(Program({"serve", "--dir", directory_, "--socket", socket_}).exit_code(), 1);
    ASSERT_EQ(Program({"init", "--dir", directory_}).exit_code(), 0);
    EXPECT_EQ(Program({"serve", "--dir", directory_, "--socket", folder_ / "no" / "s"}).exit_code(),
              1);
    EXPECT_EQ(Program({"serve", "--dir", directory_, "--socket", socket_, "--group",
                       "no-such-group-here"})
                  .exit_code(),
              1);
}

}  // namespace
