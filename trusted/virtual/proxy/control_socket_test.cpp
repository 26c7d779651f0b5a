// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <future>

#include "trusted/os/local_socket.h"
#include "trusted/os/system_clock.h"
#include "trusted/virtual/config/config.h"

namespace eos::cvm::proxy {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class ControlSocketTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = fs::temp_directory_path() / "control-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder = pattern;
        const Result<void> listens = control.listen(path());
        ASSERT_TRUE(listens) << listens.error().message();
    }
    void TearDown() override { fs::remove_all(folder); }

    std::string path() const { return folder / "control.sock"; }
    void until(const std::function<bool()>& done) {
        const auto end = std::chrono::steady_clock::now() + 10s;
        while (!done() && std::chrono::steady_clock::now() < end) {
            loop.turn(5);
            control.turn();
        }
        ASSERT_TRUE(done());
    }
    Result<std::uint64_t> ask() {
        auto asking = std::async(std::launch::async, [this] { return ask_reload(path()); });
        until([&] { return asking.wait_for(0s) == std::future_status::ready; });
        return asking.get();
    }
    /// What comes back for `question`, until the end.
    std::string say(std::string_view question) {
        const os::UniqueFd fd = os::connect_local(path()).value();
        EXPECT_EQ(::send(fd.get(), question.data(), question.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(question.size()));
        std::string out;
        until([&] {
            char buffer[256];
            const ssize_t count = ::recv(fd.get(), buffer, sizeof buffer, 0);
            if (count > 0) out.append(buffer, static_cast<std::size_t>(count));
            return count == 0 || (count < 0 && errno != EAGAIN);
        });
        return out;
    }

    fs::path folder;
    os::EventLoop loop;
    os::SystemClock clock;
    int reloads = 0;
    std::vector<runtime::Done<std::uint64_t>> waiting;
    std::function<Result<std::uint64_t>()> outcome = [] { return 7; };
    bool answers_later = false;
    ControlSocket control{loop, clock, [this](runtime::Done<std::uint64_t> done) {
                              ++reloads;
                              if (answers_later) return waiting.push_back(std::move(done));
                              done(outcome());
                          }};
};

TEST_F(ControlSocketTest, SaysWhichGenerationIsServed) {
    EXPECT_EQ(fs::status(path()).permissions(), fs::perms(0600));
    const auto answer = ask();
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(*answer, 7u);
    EXPECT_EQ(reloads, 1);
}

TEST_F(ControlSocketTest, SaysWhyNot) {
    outcome = [] { return fail(bad_config, "routes[0].\x01 is no name"); };
    const auto answer = ask();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), control_refused);
    EXPECT_NE(answer.error().detail().find("is no name"), std::string::npos);
    EXPECT_EQ(answer.error().detail().find('\x01'), std::string::npos);
}

TEST_F(ControlSocketTest, OnlyThatQuestionIsAnswered) {
    for (const std::string_view other : {"reboot\n", "reload!", "\n", "RELOAD\n", "reload\nx"})
        EXPECT_EQ(say(other), "") << other;
    EXPECT_EQ(reloads, 0);
    EXPECT_EQ(say("reload\n"), "{\"generation\":7}\n");
}

TEST_F(ControlSocketTest, WhoLeavesBeforeTheAnswerHarmsNobody) {
    answers_later = true;
    {
        const os::UniqueFd gone = os::connect_local(path()).value();
        ASSERT_EQ(::send(gone.get(), "reload\n", 7, MSG_NOSIGNAL), 7);
        until([&] { return waiting.size() == 1; });
    }
    loop.turn(5);
    control.turn();
    waiting[0](std::uint64_t{8});
    answers_later = false;
    EXPECT_EQ(*ask(), 7u);
}

TEST_F(ControlSocketTest, AFewAtATime) {
    answers_later = true;
    std::vector<os::UniqueFd> all;
    for (std::size_t i = 0; i < ControlSocket::kMaxConnections; ++i) {
        all.push_back(os::connect_local(path()).value());
        ASSERT_EQ(::send(all.back().get(), "reload\n", 7, MSG_NOSIGNAL), 7);
        until([&] { return waiting.size() == i + 1; });
    }
    EXPECT_EQ(say(""), "") << "closed at once";
    for (auto& done : waiting) done(std::uint64_t{9});
    answers_later = false;
    control.turn();
    EXPECT_EQ(*ask(), 7u);
}

TEST(AskReload, WithoutAProxyItSaysSo) {
    EXPECT_EQ(ask_reload("/nonexistent/control.sock").error().code(), os::nobody_listens);
}

}  // namespace
}  // namespace eos::cvm::proxy
