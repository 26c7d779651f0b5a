// SPDX-License-Identifier: AGPL-3.0-only
// The daemon's own client against the emulator: both ends of aesmd's protocol, as they run
// together.
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "common/attestation/evidence/quote.h"
#include "emulation/quoting/provisioning.h"
#include "emulation/quoting/unix_server.h"
#include "untrusted/daemon/quote_client.h"

namespace eos::emulation::quoting {
namespace {

namespace fs = std::filesystem;

class DaemonAndEmulator : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "eos-daemon-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        sgx_cpu::Cpu cpu(sgx_cpu::generate_identity());
        Provisioned made = provision(cpu, UnixTime{::time(nullptr)}).value();
        enclave_ = std::make_unique<QuotingEnclave>(
            QuotingEnclave::create(std::move(cpu), std::move(made.keys),
                                   std::move(made.pck_chain_pem))
                .value());
        stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
    }
    void TearDown() override {
        stop();
        ::close(stop_fd_);
        fs::remove_all(folder_);
    }

    void start(Faults faults) {
        service_ = std::make_unique<AesmService>(*enclave_, faults, [](const std::string&) {});
        server_ = std::make_unique<UnixServer>(
            UnixServer::listen(*service_,
                               {.socket = folder_ / "aesm", .log = [](const std::string&) {}})
                .value());
        thread_ = std::thread([this] { EXPECT_TRUE(server_->run(stop_fd_).has_value()); });
    }
    void stop() {
        if (!thread_.joinable()) return;
        std::uint64_t count = 1;
        ASSERT_EQ(::write(stop_fd_, &count, sizeof(count)), static_cast<ssize_t>(sizeof(count)));
        thread_.join();
        ASSERT_EQ(::read(stop_fd_, &count, sizeof(count)), static_cast<ssize_t>(sizeof(count)));
        server_.reset();
    }

    static daemon::Deadline soon() {
        return std::chrono::steady_clock::now() + std::chrono::seconds(20);
    }
    /// A REPORT for whatever target the emulator names, as the trusted process makes it.
    sgx_arch::Report report_for(daemon::QuoteClient& client) const {
        const auto target = client.target_info(soon()).value();
        return enclave_->cpu().report({}, sgx_arch::parse_target_info(target).value(), {}).value();
    }
    static sgx_arch::ReportBody quoted(const Result<Bytes>& quote) {
        return std::get<attestation::evidence::SgxQuote>(
                   attestation::evidence::parse_quote(quote.value()).value().quote())
            .report;
    }

    fs::path folder_;
    std::unique_ptr<QuotingEnclave> enclave_;
    std::unique_ptr<AesmService> service_;
    std::unique_ptr<UnixServer> server_;
    std::thread thread_;
    int stop_fd_ = -1;
};

TEST_F(DaemonAndEmulator, ReportBecomesQuoteAlsoAfterARestart) {
    daemon::QuoteClient client((folder_ / "aesm").string());
    start({});
    const sgx_arch::Report report = report_for(client);
    EXPECT_EQ(quoted(client.quote(encode(report), soon())), report.body);
    stop();
    start({});  // the attestation key has to be initialised again
    EXPECT_EQ(quoted(client.quote(encode(report), soon())), report.body);
}

TEST_F(DaemonAndEmulator, AlteredReportIsRefused) {
    daemon::QuoteClient client((folder_ / "aesm").string());
    start({});
    auto report = encode(report_for(client));
    report[64] ^= std::byte{1};
    EXPECT_EQ(client.quote(report, soon()).error().code(), daemon::quote_refused);
}

TEST_F(DaemonAndEmulator, WrongReportReachesTheEnclaveWhichMustCompare) {
    daemon::QuoteClient client((folder_ / "aesm").string());
    start({.report = Faults::Report::kAnother});
    const sgx_arch::Report report = report_for(client);
    EXPECT_NE(quoted(client.quote(encode(report), soon())), report.body);
}

}  // namespace
}  // namespace eos::emulation::quoting
