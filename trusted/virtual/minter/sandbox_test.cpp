// SPDX-License-Identifier: AGPL-3.0-only
// What the closed minter may still do, each tried by a process of its own.
#include "trusted/virtual/minter/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "trusted/virtual/evidence/guest_device.h"

namespace eos::cvm {
namespace {

constexpr int kDidIt = 7;

/// Ends with kDidIt if the filter lets `act` pass.
template <typename Act>
[[noreturn]] void do_closed(Act act) {
    const Result<SandboxKind> closed = close_sandbox();
    if (!closed) ::_exit(1);
    act();
    ::_exit(kDidIt);
}

class Sandbox : public ::testing::Test {
  protected:
    void SetUp() override {
        ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
#ifdef EOS_SANITIZED
        GTEST_SKIP() << "builds with sanitizers have no filter";
#endif
    }
};

// The driver is not there, and /dev/null says ENOTTY; what matters is that the call comes as far as
// one, and back.
TEST_F(Sandbox, TheGuestDeviceIsAskedForEvidenceThroughTheFilter) {
    auto ask = [] {
        SevGuestDevice device(open_device("/dev/null").value(), Waiting::real());
        const auto key = crypto::P256PrivateKey::generate();
        do_closed([&] {
            const auto report_data =
                ratls::ReportData::v1_deterministic(key.public_key(), UnixTime{60});
            const auto evidence = device.evidence(report_data, std::chrono::steady_clock::now());
            const bool was_refused = !evidence && evidence.error().code() == firmware_key_gone;
            ::_exit(was_refused ? kDidIt : 2);
        });
    };
    EXPECT_EXIT(ask(), ::testing::ExitedWithCode(kDidIt), "");
}

TEST_F(Sandbox, NoOtherCallOfADeviceIs) {
    for (const unsigned long request :
         {kSnpGetReport, kTdxGetReport0, kSnpGetExtendedReport | (1UL << 32), 0x5412UL}) {
        auto ask = [request] {
            const int device = ::open("/dev/null", O_RDWR);
            std::byte argument[4096] = {};
            do_closed([&] { ::ioctl(device, request, argument); });
        };
        EXPECT_EXIT(ask(), ::testing::KilledBySignal(SIGSYS), "") << request;
    }
}

TEST_F(Sandbox, NoSocketNoProgramNoCodeIsMade) {
    EXPECT_EXIT(do_closed([] { ::socket(AF_INET, SOCK_STREAM, 0); }),
                ::testing::KilledBySignal(SIGSYS), "");
    EXPECT_EXIT(do_closed([] { ::execl("/bin/true", "true", nullptr); }),
                ::testing::KilledBySignal(SIGSYS), "");
    EXPECT_EXIT(do_closed([] {
                    ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                           0);
                }),
                ::testing::KilledBySignal(SIGSYS), "");
    EXPECT_EXIT(do_closed([] {
                    std::byte out[16];
                    static_cast<void>(::getrandom(out, sizeof out, 0));
                }),
                ::testing::ExitedWithCode(kDidIt), "")
        << "what minting takes";
}

}  // namespace
}  // namespace eos::cvm
