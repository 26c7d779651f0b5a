// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include <future>

#include "common/base/codec.h"
#include "untrusted/daemon/fake_quote_source.h"
#include "untrusted/daemon/quote_client.h"
#include "untrusted/daemon/quote_service.h"
#include "untrusted/daemon/testing.h"

namespace eos::daemon {
namespace {

using std::chrono::milliseconds;
using testing::FakeQuoteSource;

Deadline in(milliseconds time) {
    return std::chrono::steady_clock::now() + time;
}
constexpr milliseconds kLong{20'000};

class Quoting : public ::testing::Test {
  protected:
    std::filesystem::path socket() const { return dir_.path() / "aesm.socket"; }

    ByteArray<aesm::kReportBytes> report() const {
        ByteArray<aesm::kReportBytes> out;
        out.fill(std::byte{0x5a});
        return out;
    }

    testing::TemporaryDirectory dir_;
    QuoteClient client_{socket().string()};
};

TEST_F(Quoting, AnHonestSourceGivesTargetInfoAndQuotes) {
    FakeQuoteSource source(socket(), FakeQuoteSource::honest);
    auto info = client_.target_info(in(kLong));
    ASSERT_TRUE(info.has_value()) << info.error().message();
    EXPECT_EQ(info->front(), std::byte{0x11});
    for (int i = 0; i < 3; ++i) {
        auto quote = client_.quote(report(), in(kLong));
        ASSERT_TRUE(quote.has_value()) << quote.error().message();
        EXPECT_TRUE(equal(ByteView(*quote).last(aesm::kReportBytes), report()));
    }
    EXPECT_EQ(source.requests(), 1 + 1 + 3);  // the size is asked for once
}

TEST_F(Quoting, AMissingSourceIsNamedWithItsPath) {
    auto info = client_.target_info(in(kLong));
    ASSERT_FALSE(info.has_value());
    EXPECT_EQ(info.error().code(), quote_source_unreachable);
    EXPECT_NE(info.error().message().find(socket().string()), std::string::npos);
}

TEST_F(Quoting, ASourceThatComesBackIsFound) {
    {
        FakeQuoteSource source(socket(), FakeQuoteSource::honest);
    }
    EXPECT_EQ(client_.quote(report(), in(kLong)).error().code(), quote_source_unreachable);
    FakeQuoteSource source(socket(), FakeQuoteSource::honest);
    EXPECT_TRUE(client_.quote(report(), in(kLong)).has_value());
}

TEST_F(Quoting, ASilentSourceCostsTheDeadlineAndNoMore) {
    FakeQuoteSource source(socket(), [](const auto&) { return std::nullopt; });
    EXPECT_EQ(client_.target_info(in(milliseconds(30))).error().code(), quote_timed_out);
}

TEST_F(Quoting, ARestartedSourceIsInitialisedAgain) {
    bool initialised = false;
    FakeQuoteSource source(socket(), [&](const aesm::Request& request) -> std::optional<Bytes> {
        if (std::holds_alternative<aesm::InitQuoteRequest>(request)) initialised = true;
        if (initialised) return FakeQuoteSource::honest(request);
        return aesm::encode(aesm::QuoteSizeResponse{aesm::Status::kAttKeyNotInitialised, 0});
    });
    EXPECT_TRUE(client_.quote(report(), in(kLong)).has_value());
}

struct BadAnswer {
    const char* name;
    std::function<Bytes()> frame;
    Code code;
};

class QuotingBad : public Quoting, public ::testing::WithParamInterface<BadAnswer> {};

TEST_P(QuotingBad, IsRefusedWithItsCode) {
    FakeQuoteSource source(socket(), [&](const aesm::Request& request) -> std::optional<Bytes> {
        if (std::holds_alternative<aesm::QuoteRequest>(request)) return GetParam().frame();
        return FakeQuoteSource::honest(request);
    });
    auto quote = client_.quote(report(), in(kLong));
    ASSERT_FALSE(quote.has_value());
    EXPECT_EQ(quote.error().code(), GetParam().code) << quote.error().message();
}

Bytes quote_frame(std::size_t size) {
    return aesm::encode(aesm::QuoteResponse{aesm::Status::kSuccess, Bytes(size), {}});
}

INSTANTIATE_TEST_SUITE_P(
    Answers, QuotingBad,
    ::testing::Values(
        BadAnswer{"refusal",
                  [] {
                      return aesm::encode(
                          aesm::QuoteResponse{aesm::Status::kServiceUnavailable, {}, {}});
                  },
                  quote_refused},
        BadAnswer{"empty quote", [] { return quote_frame(0); }, quote_source_protocol},
        BadAnswer{"huge quote", [] { return quote_frame(QuoteClient::kMaxQuoteBytes + 1); },
                  quote_source_protocol},
        BadAnswer{"cut short",
                  [] {
                      Bytes frame = quote_frame(100);
                      frame.resize(50);
                      return frame;
                  },
                  quote_source_protocol},
        BadAnswer{"length of 4 GiB", [] { return std::move(Writer().u32le(0xffffffff)).take(); },
                  quote_source_protocol},
        BadAnswer{"no protobuf", [] { return std::move(Writer().u32le(2).u16le(0xffff)).take(); },
                  quote_source_protocol},
        BadAnswer{"answer to another request",
                  [] { return aesm::encode(aesm::QuoteSizeResponse{aesm::Status::kSuccess, 1}); },
                  quote_source_protocol},
        BadAnswer{"nothing", [] { return Bytes{}; }, quote_source_protocol}),
    [](const auto& test) {
        std::string name = test.param.name;
        std::ranges::replace(name, ' ', '_');
        return name;
    });

TEST_F(Quoting, TheServiceAnswersFromItsOwnThreadAndExpiresWhatWaitedTooLong) {
    std::promise<Result<Bytes>> quote;
    std::promise<Result<ByteArray<512>>> late;
    FakeQuoteSource source(socket(), FakeQuoteSource::honest);
    QuoteService service(socket().string());
    service.submit(QuoteJob{report(), in(kLong), [&](auto r) { quote.set_value(std::move(r)); }});
    service.submit(
        TargetInfoJob{in(milliseconds(0)), [&](auto r) { late.set_value(std::move(r)); }});
    EXPECT_TRUE(quote.get_future().get().has_value());
    EXPECT_EQ(late.get_future().get().error().code(), quote_timed_out);
    EXPECT_EQ(source.requests(), 2);  // size and quote: nothing for the expired one
}

TEST_F(Quoting, EndingTheServiceDoesNotWaitForASilentSource) {
    std::promise<void> asked;
    FakeQuoteSource source(socket(), [&](const auto&) {
        asked.set_value();
        return std::nullopt;
    });
    std::promise<Result<Bytes>> outcomes[2];
    auto service = std::make_unique<QuoteService>(socket().string());
    for (auto& outcome : outcomes) {
        service->submit(QuoteJob{report(), in(std::chrono::hours(1)),
                                 [&](auto r) { outcome.set_value(std::move(r)); }});
    }
    asked.get_future().wait();
    service.reset();
    for (auto& outcome : outcomes) {
        EXPECT_EQ(outcome.get_future().get().error().code(), quote_cancelled);
    }
}

TEST_F(Quoting, TheServicesQueueIsBounded) {
    FakeQuoteSource source(socket(), [](const auto&) { return std::nullopt; });
    std::atomic<std::size_t> refused = 0;
    QuoteService service(socket().string());
    for (std::size_t i = 0; i < QuoteService::kMaxQueuedJobs + 3; ++i) {
        service.submit(TargetInfoJob{in(kLong), [&](auto r) {
                                         if (!r && r.error().code() == service_busy) ++refused;
                                     }});
    }
    EXPECT_GE(refused, 2U);  // one may be under way
    EXPECT_LE(refused, 3U);
}

TEST(QuotingPath, TooLongASocketPathIsAnError) {
    QuoteClient client(std::string(200, 'x'));
    EXPECT_EQ(client.target_info(in(kLong)).error().code(), quote_source_unreachable);
}

}  // namespace
}  // namespace eos::daemon
