// SPDX-License-Identifier: AGPL-3.0-only
// What a Collateral knows saves work and changes no verdict.
#include "common/attestation/verify/collateral.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "common/attestation/verify/known.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/attestation/verify/verify.h"

namespace eos::attestation::verify {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using testing::kNow;
using testing::SyntheticIntel;
using ::testing::UnorderedElementsAre;

/// Knows nothing and keeps what it hears.
class HearingMemo final : public SignatureMemo {
  public:
    SignatureSet begin(const crypto::Digest32&) override { return {}; }
    void end(const crypto::Digest32&, SignatureSet good) override {
        for (std::size_t i = 0; i < kSignatureKinds; ++i)
            if (good.contains(static_cast<SignatureOf>(i))) heard.push_back(SignatureOf(i));
    }
    std::vector<SignatureOf> heard;
};

struct Case {
    SyntheticIntel intel;
    Roots roots = intel.roots();
    Collateral collateral = intel.endorsements();

    /// With what is known; must say the same as without.
    Verification verify(ByteView quote, UnixTime time = kNow, SignatureMemo* memo = nullptr) const {
        Verification out = verify_quote(quote, collateral, roots, time, memo);
        Verification fresh = verify_quote(quote, collateral.endorsements(), roots, time);
        EXPECT_EQ(render_json(out.tree()), render_json(fresh.tree()));
        EXPECT_EQ(out.evidence() != nullptr, fresh.evidence() != nullptr);
        EXPECT_EQ(out.time(), time);
        return out;
    }
    std::vector<std::string> failures(ByteView quote, UnixTime time = kNow) const {
        return summarise(verify(quote, time).tree()).failed;
    }
};

Bytes quote_with_ca(SyntheticIntel& intel, const x509::Certificate& ca) {
    intel.chain_pem = [&](const SyntheticIntel& of) {
        return testing::pem(of.pck()) + testing::pem(ca) + testing::pem(of.root());
    };
    return intel.quote();
}

TEST(Collateral, KnowsStatementsAndListsAfterTheFirstQuoteOfAPlatform) {
    for (bool tdx : {false, true}) {
        Case one;
        if (tdx) one.intel.make_tdx(evidence::TdReportKind::tdx15);
        one.collateral = one.intel.endorsements();
        const x509::Certificate ca = one.intel.ca();
        HearingMemo first;
        ASSERT_NE(one.verify(quote_with_ca(one.intel, ca), kNow, &first).evidence(), nullptr);
        EXPECT_THAT(first.heard, Contains(SignatureOf::tcb_info));
        HearingMemo second;
        ASSERT_NE(one.verify(quote_with_ca(one.intel, ca), kNow, &second).evidence(), nullptr);
        EXPECT_THAT(second.heard, UnorderedElementsAre(SignatureOf::pck_chain,
                                                       SignatureOf::qe_report, SignatureOf::quote));
    }
}

TEST(Collateral, KnowsGenuineEvidenceUntilADateIsPassed) {
    Case one;
    one.intel.crl_validity = {kNow - 1000, kNow + 1000};
    one.collateral = one.intel.endorsements();
    const Bytes quote = one.intel.quote();
    const Check* tree = &one.verify(quote).tree();
    EXPECT_EQ(&one.verify(quote, kNow + 1).tree(), tree);
    const UnixTime end = one.intel.crl_validity.not_after;
    const UnixTime begin = one.intel.crl_validity.not_before;
    EXPECT_THAT(one.failures(quote, end), IsEmpty());
    EXPECT_THAT(one.failures(quote, end + 1), UnorderedElementsAre("crl.root", "crl.pck"));
    EXPECT_THAT(one.failures(quote, begin), IsEmpty());
    EXPECT_THAT(one.failures(quote, begin - 1), Contains("crl.pck"));
    EXPECT_THAT(one.failures(quote, one.intel.pck_recipe.validity.not_after + 1),
                Contains("pck.validity"));
    EXPECT_EQ(&one.verify(quote).tree(), tree);
}

// After a good quote of the same platform every damage is still found.
TEST(Collateral, WhatIsKnownHidesNoFault) {
    Case one;
    SyntheticIntel& intel = one.intel;
    const x509::Certificate known_ca = intel.ca();
    const Bytes good = quote_with_ca(intel, known_ca);
    ASSERT_THAT(one.failures(good), IsEmpty());
    Bytes flipped = good;
    flipped.at(436) ^= std::byte{1};
    EXPECT_THAT(one.failures(flipped), UnorderedElementsAre("quote.signature"));
    EXPECT_THAT(one.failures(flipped), UnorderedElementsAre("quote.signature"));
    EXPECT_THAT(one.failures(good), IsEmpty());

    // A PCK CA with the name and key of the known one that the root did not sign.
    auto root_key = std::exchange(intel.root_key, crypto::P256PrivateKey::generate());
    EXPECT_THAT(one.failures(quote_with_ca(intel, intel.ca())), Contains("pck.chain"));
    intel.root_key = std::move(root_key);
    // A PCK certificate that the known PCK CA did not sign.
    auto ca_key = std::exchange(intel.ca_key, crypto::P256PrivateKey::generate());
    EXPECT_THAT(one.failures(quote_with_ca(intel, known_ca)), UnorderedElementsAre("pck.chain"));
    intel.ca_key = std::move(ca_key);
    intel.qe_report.mr_signer[0] ^= std::byte{1};
    EXPECT_THAT(one.failures(quote_with_ca(intel, known_ca)), UnorderedElementsAre("qe.identity"));
    EXPECT_THAT(one.failures(good), IsEmpty());
}

TEST(Collateral, RevocationIsLookedAtForEveryQuote) {
    Case one;
    one.intel.pck_revoked.push_back(one.intel.pck_recipe.serial);
    one.collateral = one.intel.endorsements();
    const x509::Serial revoked = one.intel.pck_recipe.serial;
    const x509::Certificate ca = one.intel.ca();
    one.intel.pck_recipe.serial = x509::Serial::random();
    ASSERT_THAT(one.failures(quote_with_ca(one.intel, ca)), IsEmpty());
    one.intel.pck_recipe.serial = revoked;
    EXPECT_THAT(one.failures(quote_with_ca(one.intel, ca)), UnorderedElementsAre("crl.pck"));
}

TEST(Collateral, AnotherPlatformOfABundleHasItsOwnSet) {
    Case one;
    endorsements::Endorsements both;
    auto add_pieces = [&] {
        std::vector<endorsements::Piece> more =
            to_pieces(one.intel.endorsements(), kNow, "test").value();
        std::ranges::move(more, std::back_inserter(both.pieces));
    };
    add_pieces();
    const Bytes sgx = one.intel.quote();
    one.intel.platform.fmspc[0] ^= std::byte{1};
    const Bytes stranger = one.intel.quote();
    one.intel.platform.fmspc[0] ^= std::byte{1};
    one.intel.make_tdx(evidence::TdReportKind::tdx15);
    add_pieces();
    const Bytes tdx = one.intel.quote();
    one.collateral = both;
    for (int i = 0; i < 2; ++i) {
        EXPECT_THAT(one.failures(sgx), IsEmpty());
        EXPECT_THAT(one.failures(tdx), IsEmpty());
    }
    const Verification other = one.verify(stranger);
    ASSERT_NE(other.evidence(), nullptr);
    EXPECT_FALSE(other.evidence()->tcb().has_value());
}

TEST(Collateral, WhatIsKnownIsOfTheseRootsOnly) {
    Case one;
    const Bytes quote = one.intel.quote();
    ASSERT_THAT(one.failures(quote), IsEmpty());
    one.roots = Roots::intel();
    EXPECT_THAT(one.failures(quote), Contains("pck.root"));
    one.roots = SyntheticIntel().roots();
    EXPECT_THAT(one.failures(quote), Contains("pck.root"));
}

TEST(Collateral, ANumberThatWasSeenSinceCounts) {
    Case one;
    const Bytes quote = one.intel.quote();
    ASSERT_THAT(one.failures(quote), IsEmpty());
    const Collateral newer = one.collateral.having_seen(1000000);
    Verification out = verify_quote(quote, newer, one.roots, kNow);
    EXPECT_THAT(summarise(out.tree()).failed,
                UnorderedElementsAre("tcb_info.rollback", "qe_identity.rollback"));
    EXPECT_THAT(one.failures(quote), IsEmpty());
}

TEST(Collateral, AMemoIsAskedWithTheSameKeyWhateverIsKnown) {
    class KeyMemo final : public SignatureMemo {
      public:
        SignatureSet begin(const crypto::Digest32& inputs) override {
            asked.push_back(inputs);
            return {};
        }
        void end(const crypto::Digest32&, SignatureSet) override {}
        std::vector<crypto::Digest32> asked;
    };
    Case one;
    const x509::Certificate ca = one.intel.ca();
    const Bytes first = quote_with_ca(one.intel, ca);
    const Bytes second = quote_with_ca(one.intel, ca);
    const Bytes third = quote_with_ca(one.intel, ca);
    KeyMemo memo;
    ASSERT_NE(verify_quote(first, one.collateral, one.roots, kNow).evidence(), nullptr);
    (void)verify_quote(second, one.collateral, one.roots, kNow, &memo);
    (void)verify_quote(third, one.collateral, one.roots, kNow, &memo);
    (void)verify_quote(second, one.collateral.endorsements(), one.roots, kNow, &memo);
    (void)verify_quote(third, one.collateral.endorsements(), one.roots, kNow, &memo);
    ASSERT_EQ(memo.asked.size(), 4U);
    EXPECT_EQ(memo.asked[0], memo.asked[2]);
    EXPECT_EQ(memo.asked[1], memo.asked[3]);
}

TEST(Recent, ForgetsTheLeastRecentlyUsed) {
    Recent<int, 2> recent;
    auto has = [&](int n) { return recent.find([n](int one) { return one == n; }) != nullptr; };
    recent.add(1);
    recent.add(2);
    EXPECT_TRUE(has(1));
    recent.add(3);
    EXPECT_FALSE(has(2));
    EXPECT_TRUE(has(1) && has(3));
}

TEST(Instant, AnswersAsFarAsItWasAsked) {
    Instant at(UnixTime{100});
    EXPECT_TRUE(at.answers_for(UnixTime{0}) && at.answers_for(UnixTime{1'000'000}));
    EXPECT_TRUE(at.is_within(UnixTime{100}, UnixTime{200}));
    EXPECT_FALSE(at.is_within(UnixTime{150}, UnixTime{180}));
    EXPECT_FALSE(at.is_within(UnixTime{10}, UnixTime{99}));
    EXPECT_FALSE(at.answers_for(UnixTime{99}));
    EXPECT_TRUE(at.answers_for(UnixTime{100}) && at.answers_for(UnixTime{149}));
    EXPECT_FALSE(at.answers_for(UnixTime{150}));
}

}  // namespace
}  // namespace eos::attestation::verify
