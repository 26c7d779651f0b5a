// SPDX-License-Identifier: AGPL-3.0-only
// A host whose quotes are errors, garbage, or of something else. Without a right one nothing is
// shown; what was shown before stays.
#include <gtest/gtest.h>

#include "common/crypto/random.h"
#include "tests/hostile_host/client.h"

namespace eos::hostile {
namespace {

using namespace boundary;

/// What the host makes of an honest quote.
struct Lie {
    const char* name;
    decltype(Reply::body) (*tell)(const QuoteReply& honest);
};
void PrintTo(const Lie& lie, std::ostream* out) {
    *out << lie.name;
}

QuoteReply altered(QuoteReply quote, std::size_t at) {
    quote.quote[at] ^= std::byte{1};
    return quote;
}

// Offsets in a version 3 quote: 48 bytes of header, then the report body.
constexpr std::size_t kMrEnclaveAt = 48 + 64;
constexpr std::size_t kReportDataAt = 48 + 320;

const Lie kLies[] = {
    {"Refused",
     [](const QuoteReply&) { return decltype(Reply::body){Failed{Failed::Why::kQuoting}}; }},
    {"Unavailable",
     [](const QuoteReply&) { return decltype(Reply::body){Failed{Failed::Why::kUnavailable}}; }},
    {"OneByte", [](const QuoteReply&) { return decltype(Reply::body){QuoteReply{Bytes(1)}}; }},
    {"Garbage",
     [](const QuoteReply& honest) {
         QuoteReply out{Bytes(honest.quote.size())};
         crypto::fill_random(out.quote);
         return decltype(Reply::body){std::move(out)};
     }},
    {"CutShort",
     [](const QuoteReply& honest) {
         QuoteReply out = honest;
         out.quote.pop_back();
         return decltype(Reply::body){std::move(out)};
     }},
    {"TooLong",
     [](const QuoteReply& honest) {
         QuoteReply out = honest;
         out.quote.resize(kMaxQuoteBytes);
         return decltype(Reply::body){std::move(out)};
     }},
    {"OfAnotherEnclave",
     [](const QuoteReply& honest) { return decltype(Reply::body){altered(honest, kMrEnclaveAt)}; }},
    {"OfAnotherKey",
     [](const QuoteReply& honest) {
         return decltype(Reply::body){altered(honest, kReportDataAt)};
     }},
    {"ABlobInstead",
     [](const QuoteReply& honest) { return decltype(Reply::body){BlobValue{honest.quote}}; }},
};

class Quotes : public testing::TestWithParam<Lie> {
  protected:
    // Tells the lie for every quote from now on.
    void lie(HostileHost& host) {
        host.answer_with([](const RpcToHost& request, const HostileHost::Honest& honest) {
            Reply reply = honest();
            if (std::holds_alternative<QuoteRequest>(request))
                reply.body = GetParam().tell(std::get<QuoteReply>(reply.body));
            return std::vector{std::move(reply)};
        });
    }
    Machine machine_;
    Blobs blobs_;
};

TEST_P(Quotes, AtStartNothingIsShownUntilThereIsARightOne) {
    HostileHost host(machine_, blobs_);
    lie(host);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kEvidenceFailed));
    Client early(host);
    EXPECT_FALSE(early.shake_hands());
    EXPECT_FALSE(host.has_logged(LogCode::kEvidenceReady));
    // The enclave tries again by itself, and again.
    host.skip(std::chrono::seconds(6));
    ASSERT_TRUE(host.serve_until_logged(LogCode::kEvidenceFailed, 2));
    host.answer_with({});
    host.skip(std::chrono::seconds(6));
    ASSERT_TRUE(host.serve_until_logged(LogCode::kEvidenceReady));
    EXPECT_EQ(visit(host), "served");
    EXPECT_EQ(host.stop(), "exited with code 0: it was asked to end");
}

TEST_P(Quotes, LaterOnlyThoseWhoAskForAFreshOneSuffer) {
    HostileHost host(machine_, blobs_);
    ASSERT_TRUE(host.serve_until_logged(LogCode::kUnowned));
    lie(host);
    EXPECT_EQ(visit(host), "served");
    Client challenger(host, {.challenges = true});
    EXPECT_FALSE(challenger.shake_hands());
    EXPECT_EQ(visit(host), "served");
    host.answer_with({});
    EXPECT_EQ(visit(host, {.challenges = true}), "served");
}

INSTANTIATE_TEST_SUITE_P(Lies, Quotes, testing::ValuesIn(kLies),
                         [](const auto& lie) { return lie.param.name; });

// A target that is no enclave: the report cannot be made, or nobody can check it.
TEST(Targets, ALieAboutTheQuotingEnclaveOnlyDelaysTheEvidence) {
    Machine machine;
    for (std::byte filling : {std::byte{0}, std::byte{0xff}}) {
        Blobs blobs;
        HostileHost host(machine, blobs);
        host.answer_with([filling](const RpcToHost& request, const HostileHost::Honest& honest) {
            Reply reply = honest();
            if (auto* info = std::get_if<TargetInfoReply>(&reply.body))
                info->target_info.fill(filling);
            static_cast<void>(request);
            return std::vector{std::move(reply)};
        });
        ASSERT_TRUE(host.serve_until_logged(LogCode::kEvidenceFailed));
        host.answer_with({});
        host.skip(std::chrono::seconds(6));
        ASSERT_TRUE(host.serve_until_logged(LogCode::kEvidenceReady));
        EXPECT_EQ(visit(host), "served");
    }
}

// Yesterday's quote, for yesterday's report, answered to every request of today.
TEST(RepeatedQuotes, AreOfAnotherReport) {
    Machine machine;
    Blobs blobs;
    HostileHost host(machine, blobs);
    auto first = std::make_shared<std::optional<QuoteReply>>();
    host.answer_with([first](const RpcToHost&, const HostileHost::Honest& honest) {
        Reply reply = honest();
        if (auto* quote = std::get_if<QuoteReply>(&reply.body)) {
            if (!*first) *first = *quote;
            *quote = **first;
        }
        return std::vector{std::move(reply)};
    });
    ASSERT_TRUE(host.serve_until_logged(LogCode::kUnowned));
    EXPECT_EQ(visit(host), "served");
    Client challenger(host, {.challenges = true});
    EXPECT_FALSE(challenger.shake_hands());
    host.answer_with({});
    EXPECT_EQ(visit(host, {.challenges = true}), "served");
}

}  // namespace
}  // namespace eos::hostile
