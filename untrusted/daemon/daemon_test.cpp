// SPDX-License-Identifier: AGPL-3.0-only
// The daemon as a whole, with a real child and real sockets; the trusted side is
// test_runner_main.cpp.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>

#include "boundary/messages.h"
#include "untrusted/daemon/daemon_under_test.h"
#include "untrusted/daemon/fake_quote_source.h"
#include "untrusted/daemon/testing.h"

namespace eos::daemon {
namespace {

using testing::ChildProgram;
using testing::FakeQuoteSource;
using testing::TestClient;

const std::string kBin = EOS_BINARY_DIR "/bin/";

/// Asks again until `holds` or patience ends: for outcomes that no line announces.
template <typename Holds>
bool eventually(Holds holds) {
    const auto limit = std::chrono::steady_clock::now() + testing::kPatience;
    while (std::chrono::steady_clock::now() < limit) {
        if (holds()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
}

class DaemonTest : public ::testing::Test {
  protected:
    std::vector<std::string> arguments(std::vector<std::string> more = {}) const {
        std::vector<std::string> out{kBin + "enclave-os-mini",
                                     "--listen=127.0.0.1:0",
                                     "--ops-listen=127.0.0.1:0",
                                     "--workers=2",
                                     "--state-dir=" + (dir_.path() / "state").string(),
                                     "--quote-socket=" + (dir_.path() / "aesm").string(),
                                     "--runner=" + kBin + "daemon-test-runner"};
        out.insert(out.end(), more.begin(), more.end());
        return out;
    }

    void TearDown() override {
        if (!daemon_) return;
        const std::string lines = daemon_->all_lines();
        EXPECT_EQ(lines.find("Sanitizer"), lines.npos) << lines;
    }

    void start(std::vector<std::string> more = {}, rlim_t max_descriptors = 0) {
        daemon_.reset();
        daemon_ = std::make_unique<ChildProgram>(
            ChildProgram::Options{arguments(std::move(more)), max_descriptors});
        port_ = port_in(daemon_->wait_for_line(" listening: "));
        ops_port_ = port_in(daemon_->wait_for_line("ops_listening: "));
        ASSERT_FALSE(daemon_->wait_for_line("runner_started: ").empty()) << daemon_->all_lines();
    }

    static int port_in(const std::string& line) {
        const std::size_t colon = line.rfind(':');
        return colon == line.npos ? 0 : std::atoi(line.c_str() + colon + 1);
    }

    std::string ops(const std::string& path) const {
        TestClient client(ops_port_);
        client.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
        return client.receive_all();
    }

    std::uint64_t metric(const std::string& name) const {
        const std::string text = ops("/metrics");
        const std::string key = "\nenclave_os_daemon_" + name + " ";
        const std::size_t at = text.find(key);
        return at == text.npos ? ~0ull : std::strtoull(text.c_str() + at + key.size(), nullptr, 10);
    }

    std::string ask(const std::string& command) const {
        TestClient client(port_);
        client.send(command + "\n");
        return client.receive_line();
    }

    testing::TemporaryDirectory dir_;
    std::unique_ptr<ChildProgram> daemon_;
    int port_ = 0;
    int ops_port_ = 0;
};

std::string pattern(std::size_t size) {
    std::string out(size, '\0');
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('A' + i * 7 % 53);
    return out;
}

TEST_F(DaemonTest, BytesComeBackInOrderAndTheEndOfTheStreamToo) {
    start();
    const std::string sent = pattern(3'000'000);
    TestClient client(port_);
    std::thread writer([&] {
        EXPECT_TRUE(client.send(sent));
        client.end_sending();
    });
    const std::string received = client.receive_all();
    writer.join();
    EXPECT_TRUE(received == sent) << received.size();
    EXPECT_EQ(client.last_error(), 0);  // an orderly end, no reset
}

TEST_F(DaemonTest, ManyConnectionsAtOnceOverBothWorkers) {
    start();
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 40; ++i) {
        threads.emplace_back([&, i] {
            const std::string sent = pattern(50'000 + static_cast<std::size_t>(i));
            TestClient client(port_);
            client.send(sent);
            if (client.receive(sent.size()) == sent) ++right;
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right, 40);
    EXPECT_EQ(metric("connections_accepted_total"), 40U);
    EXPECT_TRUE(eventually([&] { return metric("connections") == 0; }));
}

TEST_F(DaemonTest, AReaderThatDoesNotReadCostsItsWindowAndNobodyElse) {
    start();
    TestClient slow(port_);
    constexpr std::size_t kMuch = 64 << 20;
    const std::size_t taken = slow.send_until_stuck(kMuch, std::chrono::milliseconds(300));
    EXPECT_LT(taken, kMuch);
    EXPECT_EQ(ask("hello"), "hello");
    slow.end_sending();
    EXPECT_EQ(slow.receive_all().size(), taken);
}

TEST_F(DaemonTest, NoMoreIsReadFromAClientThanTheTrustedSideGrants) {
    start();
    TestClient client(port_);
    client.send("!mute\n");  // the trusted side grants nothing from here on
    const std::size_t taken = client.send_until_stuck(64 << 20, std::chrono::milliseconds(300));
    EXPECT_GT(taken, boundary::kConnWindowBytes);
    // Two readings: what the daemon takes is all that it ever takes.
    for (int i = 0; i < 2; ++i) {
        EXPECT_TRUE(eventually(
            [&] { return metric("client_bytes_received_total") == boundary::kConnWindowBytes; }));
    }
    EXPECT_EQ(ask("hello"), "hello");
}

TEST_F(DaemonTest, AResetOfTheClientReachesTheTrustedSideAndFreesTheConnection) {
    start();
    TestClient client(port_);
    client.send("x");
    ASSERT_EQ(client.receive(1), "x");
    client.reset();
    EXPECT_TRUE(eventually([&] { return metric("connections") == 0; }));
    EXPECT_EQ(metric("connections_reset_total"), 1U);
}

TEST_F(DaemonTest, TheTrustedSideCanCloseInOrderOrAtOnce) {
    start();
    TestClient polite(port_);
    polite.send("!close\n");
    EXPECT_EQ(polite.receive_all(), "");
    EXPECT_EQ(polite.last_error(), 0);
    TestClient harsh(port_);
    harsh.send("!abort\n");
    EXPECT_EQ(harsh.receive_all(), "");
    EXPECT_EQ(harsh.last_error(), ECONNRESET);
}

TEST_F(DaemonTest, WhatWasSentBeforeACloseArrivesThoughTheClientKeepsSending) {
    start();
    TestClient client(port_);
    client.send("!time\n");
    ASSERT_FALSE(client.receive_line().empty());
    client.send(pattern(30'000));
    client.receive(30'000);
    client.send("!close\n");
    client.send(pattern(20'000));  // unread bytes at the other end must not turn this into a reset
    EXPECT_EQ(client.receive_all(), "");
    EXPECT_EQ(client.last_error(), 0);
}

TEST_F(DaemonTest, WhatWasSentBeforeACloseArrivesThoughTheClientPauses) {
    start();
    TestClient client(port_);
    constexpr std::size_t kMoreThanItsSystemTakes = 300'000;
    client.send(pattern(kMoreThanItsSystemTakes));
    ASSERT_TRUE(
        eventually([&] { return metric("client_bytes_sent_total") == kMoreThanItsSystemTakes; }));
    client.send("!close\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(3'000));
    EXPECT_EQ(client.receive_all().size(), kMoreThanItsSystemTakes);
    EXPECT_EQ(client.last_error(), 0);
}

TEST_F(DaemonTest, ADyingTrustedProcessIsNamedAndReplaced) {
    start();
    TestClient other(port_);
    other.send("x");
    ASSERT_EQ(other.receive(1), "x");
    EXPECT_EQ(ask("!die"), "");
    EXPECT_EQ(other.receive_all(), "");  // its connections are closed
    const std::string line = daemon_->wait_for_line("runner_ended: ");
    EXPECT_NE(line.find("killed by signal 6 (ABRT)"), line.npos) << line;
    EXPECT_NE(line.find("attempt 2 follows in 100 ms"), line.npos) << line;
    EXPECT_EQ(ask("hello"), "hello");
    EXPECT_EQ(metric("runner_starts_total"), 2U);

    EXPECT_EQ(ask("!exit 5"), "");
    EXPECT_FALSE(daemon_->wait_for_line("exited with code 5").empty()) << daemon_->all_lines();
    EXPECT_FALSE(daemon_->wait_for_line("attempt 3 follows in 200 ms").empty());
    EXPECT_EQ(ask("hello"), "hello");
}

TEST_F(DaemonTest, PausesBetweenStartsGrow) {
    daemon_ = std::make_unique<ChildProgram>(
        ChildProgram::Options{arguments({"--runner-arg=--exit-at-once"})});
    for (const char* pause : {" 100 ms", " 200 ms", " 400 ms", " 800 ms"}) {
        EXPECT_FALSE(daemon_->wait_for_line(std::string("follows in") + pause).empty()) << pause;
    }
    EXPECT_FALSE(daemon_->wait_for_line("exited with code 7").empty());
    EXPECT_FALSE(daemon_->wait_for_line("runner: test runner: as you wish \\x1b").empty());
    ops_port_ = port_in(daemon_->wait_for_line("ops_listening: "));
    EXPECT_TRUE(eventually([&] {  // but for the moments in which the next attempt starts
        const std::string ready = ops("/readyz");
        return ready.find("503") != ready.npos && ready.find("exited with code 7") != ready.npos;
    }));
}

TEST_F(DaemonTest, PausesGrowAlsoWhenNothingCanBeStarted) {
    const std::filesystem::path script = dir_.path() / "no-interpreter";
    std::ofstream(script) << "#!/nowhere/interpreter\n";
    std::filesystem::permissions(script, std::filesystem::perms::owner_all);
    std::vector<std::string> line = arguments();
    line.back() = "--runner=" + script.string();
    daemon_ = std::make_unique<ChildProgram>(ChildProgram::Options{line});
    for (const char* pause : {" 100 ms", " 200 ms", " 400 ms"}) {
        EXPECT_FALSE(daemon_->wait_for_line(std::string("follows in") + pause).empty()) << pause;
    }
}

class Misbehaviour : public DaemonTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(Misbehaviour, OfTheTrustedSideEndsItAndNotTheDaemon) {
    start();
    EXPECT_EQ(ask(GetParam()), "");
    const std::string line = daemon_->wait_for_line("broke the boundary's rules");
    EXPECT_FALSE(line.empty()) << daemon_->all_lines();
    EXPECT_EQ(ask("hello"), "hello");
    EXPECT_EQ(metric("boundary_violations_total"), 1U);
}

INSTANTIATE_TEST_SUITE_P(Daemon, Misbehaviour,
                         ::testing::Values("!forge-id", "!overrun", "!after-close", "!bad-frame",
                                           "!bad-ring", "!overcredit", "!other-worker"),
                         [](const auto& test) {
                             std::string name = test.param + 1;
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

TEST_F(DaemonTest, ARefusedStateEndsTheDaemonWithItsOwnExitCode) {
    start();
    EXPECT_EQ(ask("!refuse-state"), "");
    EXPECT_EQ(daemon_->wait_for_exit(), 3);
    EXPECT_FALSE(daemon_->wait_for_line("state_refused").empty());
}

TEST_F(DaemonTest, BlobsOutliveBothProcesses) {
    start();
    EXPECT_EQ(ask("!get k"), "no value");
    EXPECT_EQ(ask("!put k first"), "done");
    EXPECT_EQ(ask("!die"), "");
    EXPECT_EQ(ask("!get k"), "value first");
    daemon_->signal(SIGKILL);
    EXPECT_EQ(daemon_->wait_for_exit(), -SIGKILL);
    start();
    EXPECT_EQ(ask("!get k"), "value first");
    EXPECT_EQ(ask("!list k"), "keys 1");
    EXPECT_EQ(ask("!list other"), "keys 0");
}

TEST_F(DaemonTest, AMissingQuoteSourceIsSaidByReadyzUntilItIsThere) {
    start();
    EXPECT_EQ(ask("!quote"), "failed 1");
    const std::string before = ops("/readyz");
    EXPECT_NE(before.find("503"), before.npos);
    EXPECT_NE(before.find((dir_.path() / "aesm").string() + ": connect: No such file"), before.npos)
        << before;
    FakeQuoteSource source(dir_.path() / "aesm", FakeQuoteSource::honest);
    EXPECT_EQ(ask("!target"), "target info");
    EXPECT_EQ(ask("!quote"), "quote 1000");
    EXPECT_TRUE(ops("/readyz").starts_with("HTTP/1.1 200 OK"));
    EXPECT_EQ(metric("quote_failures_total"), 1U);
}

TEST_F(DaemonTest, TheEnclavesLogLinesArePrintedByCode) {
    start();
    TestClient client(port_);
    client.send("!log\n");
    EXPECT_FALSE(daemon_->wait_for_line("enclave: enclave started with 42 workers").empty());
}

TEST_F(DaemonTest, ALeafThatIsNotRenewedIsWarnedOf) {
    start();
    TestClient client(port_);
    client.send("!expire\n");
    EXPECT_FALSE(daemon_->wait_for_line("expiry_near: the leaf certificate").empty());
}

TEST_F(DaemonTest, TheTimePageIsCurrent) {
    start();
    // Not time(): that one may still say the second before, for as long as a tick of the kernel's.
    const auto now_s = [] {
        return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    };
    const std::int64_t before = now_s();
    const std::int64_t told = std::stoll(ask("!time"));
    EXPECT_GE(told, before);
    EXPECT_LE(told, now_s());
}

TEST_F(DaemonTest, SigtermLetsConnectionsEndAndStops) {
    start();
    TestClient client(port_);
    // A client that does not read: what the trusted side has of it is all that it will hear of.
    client.send_until_stuck(64 << 20, std::chrono::milliseconds(300));
    const std::uint64_t heard = metric("client_bytes_received_total");
    ASSERT_GT(heard, metric("client_bytes_sent_total"));  // some of the echo waits in both programs
    daemon_->signal(SIGTERM);
    const std::string echo = client.receive_all();  // what was under way, then an orderly end
    EXPECT_EQ(client.last_error(), 0);
    EXPECT_EQ(echo.size(), heard);
    EXPECT_FALSE(TestClient(port_).connected());
    client.reset();
    EXPECT_EQ(daemon_->wait_for_exit(), 0) << daemon_->all_lines();
    EXPECT_FALSE(daemon_->wait_for_line("stopped: in good order").empty());
}

TEST_F(DaemonTest, ATrustedSideThatDoesNotStopIsEndedAfterTheDrainTime) {
    start({"--drain-timeout=1"});
    TestClient client(port_);
    client.send("!ignore-shutdown\n");
    client.send("x");
    client.receive(1);
    daemon_->signal(SIGTERM);
    EXPECT_EQ(daemon_->wait_for_exit(), 0);
    EXPECT_FALSE(daemon_->wait_for_line("drain_timeout").empty()) << daemon_->all_lines();
    EXPECT_FALSE(daemon_->wait_for_line("stopped: not in good order").empty());
}

TEST_F(DaemonTest, ASecondSignalStopsAtOnce) {
    start({"--drain-timeout=3600"});
    TestClient client(port_);
    client.send("!ignore-shutdown\n");
    client.send("x");
    client.receive(1);
    daemon_->signal(SIGTERM);
    EXPECT_FALSE(daemon_->wait_for_line("draining").empty());
    daemon_->signal(SIGINT);
    EXPECT_EQ(daemon_->wait_for_exit(), 0);
}

TEST_F(DaemonTest, TheTrustedProcessDoesNotOutliveTheDaemon) {
    start();
    const std::string line = daemon_->wait_for_line("runner_started: ");
    const pid_t runner = std::atoi(line.c_str() + line.find("pid ") + 4);
    ASSERT_EQ(::kill(runner, 0), 0);
    daemon_->signal(SIGKILL);
    EXPECT_TRUE(eventually([&] { return ::kill(runner, 0) != 0; }));
}

TEST_F(DaemonTest, ConnectionsBeyondTheLimitWaitForTheirTurn) {
    start({"--max-connections=2"});
    TestClient first(port_);
    TestClient second(port_);
    for (TestClient* client : {&first, &second}) {
        client->send("x");
        ASSERT_EQ(client->receive(1), "x");
    }
    TestClient third(port_);
    third.send("waited");
    EXPECT_EQ(metric("connections"), 2U);
    first.reset();
    EXPECT_EQ(third.receive(6), "waited");
}

TEST_F(DaemonTest, RunningOutOfDescriptorsPausesAcceptingAndEnds) {
    start({}, 60);
    std::vector<std::unique_ptr<TestClient>> clients;
    for (int i = 0; i < 60; ++i) clients.push_back(std::make_unique<TestClient>(port_));
    EXPECT_FALSE(daemon_->wait_for_line("accept_paused").empty()) << daemon_->all_lines();
    clients.clear();
    EXPECT_EQ(ask("hello"), "hello");
}

TEST_F(DaemonTest, ASecondDaemonOnTheSameDirectoryIsRefused) {
    start();
    ChildProgram second({arguments()});
    EXPECT_EQ(second.wait_for_exit(), 1);
    EXPECT_FALSE(second.wait_for_line("another process has the database open").empty());
    EXPECT_EQ(ask("hello"), "hello");
}

TEST_F(DaemonTest, WhatCannotWorkIsRefusedAtTheStartWithAReason) {
    const std::pair<std::vector<std::string>, std::string> cases[] = {
        {{"--runner=/nonexistent"}, "/nonexistent: No such file or directory"},
        {{"--listen=localhost:1"}, "not an address of the form"},
        {{"--ops-listen=0.0.0.0:0"}, "not a loopback address"},
        {{"--state-dir=/nonexistent/x"}, "the state directory cannot be used"},
    };
    for (const auto& [more, text] : cases) {
        // The last word counts, so the wrong option replaces the right one.
        auto words = arguments();
        std::erase_if(words, [&](const std::string& word) {
            return word.substr(0, word.find('=')) == more[0].substr(0, more[0].find('='));
        });
        words.insert(words.end(), more.begin(), more.end());
        ChildProgram program({words});
        EXPECT_EQ(program.wait_for_exit(), 1) << text;
        EXPECT_FALSE(program.wait_for_line(text).empty()) << program.all_lines();
    }
    ChildProgram unknown({arguments({"--no-such-option"})});
    EXPECT_EQ(unknown.wait_for_exit(), 2);
}

TEST_F(DaemonTest, EveryLineOfAJsonLogIsAnObject) {
    daemon_ =
        std::make_unique<ChildProgram>(ChildProgram::Options{arguments({"--log-format=json"})});
    port_ = port_in(daemon_->wait_for_line(R"("event":"listening")"));
    EXPECT_EQ(ask("!quote"), "failed 1");
    daemon_->signal(SIGTERM);
    EXPECT_EQ(daemon_->wait_for_exit(), 0);
    std::istringstream lines(daemon_->all_lines());
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        const auto object = nlohmann::json::parse(line, nullptr, false);
        ASSERT_TRUE(object.is_object()) << line;
        for (const char* key : {"time", "level", "event", "text"}) {
            EXPECT_TRUE(object.contains(key)) << line;
        }
    }
    EXPECT_GE(count, 5);
}

TEST_F(DaemonTest, OperationsEndpointAnswersItsThreePathsAndNothingElse) {
    start();
    EXPECT_NE(ops("/healthz").find("HTTP/1.1 200 OK\r\n"), std::string::npos);
    EXPECT_TRUE(eventually([&] { return ops("/readyz?verbose").starts_with("HTTP/1.1 200 OK"); }));
    EXPECT_NE(ops("/metrics").find("# TYPE enclave_os_daemon_connections gauge\n"),
              std::string::npos);
    EXPECT_NE(ops("/").find("HTTP/1.1 404 "), std::string::npos);
    for (const std::string bad :
         {"POST /healthz HTTP/1.1\r\n\r\n", "\r\n\r\n", "GET /\r\n\r\n", "GET HTTP/1.1\r\n\r\n"}) {
        TestClient client(ops_port_);
        client.send(bad);
        EXPECT_NE(client.receive_all().find("HTTP/1.1 400 "), std::string::npos) << bad;
    }
    TestClient endless(ops_port_);
    endless.send("GET /" + std::string(8000, 'a'));
    EXPECT_NE(endless.receive_all().find("HTTP/1.1 400 "), std::string::npos);
}

TEST_F(DaemonTest, DoctorSaysWhatIsWrongAndHowToMendIt) {
    auto words = arguments({"doctor"});
    {
        ChildProgram doctor({words});
        EXPECT_EQ(doctor.wait_for_exit(), 1);  // no quote source
        EXPECT_FALSE(doctor.wait_for_line("fail  quote source: ").empty()) << doctor.all_lines();
        EXPECT_FALSE(doctor.wait_for_line("-> start aesmd").empty());
        EXPECT_FALSE(doctor.wait_for_line("ok    state directory: ").empty());
        EXPECT_FALSE(doctor.wait_for_line("ok    runner: ").empty());
    }
    EXPECT_FALSE(std::filesystem::exists(dir_.path() / "state"));  // it changes nothing
    FakeQuoteSource source(dir_.path() / "aesm", FakeQuoteSource::honest);
    start();
    {
        ChildProgram doctor({words});
        EXPECT_EQ(doctor.wait_for_exit(), 0) << doctor.all_lines();
        EXPECT_FALSE(doctor.wait_for_line("ok    quote source: ").empty());
        const std::string holder = "in use by process " + std::to_string(daemon_->pid());
        EXPECT_FALSE(doctor.wait_for_line(holder).empty()) << doctor.all_lines();
    }
    std::filesystem::permissions(dir_.path() / "state", std::filesystem::perms::others_read,
                                 std::filesystem::perm_options::add);
    ChildProgram doctor({words});
    EXPECT_EQ(doctor.wait_for_exit(), 1);
    EXPECT_FALSE(doctor.wait_for_line("chmod 700").empty()) << doctor.all_lines();
}

}  // namespace
}  // namespace eos::daemon
