// SPDX-License-Identifier: AGPL-3.0-only
// What may be remembered of a verification, and what never is.
#include "common/attestation/verify/signature_memo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/attestation/verify/signatures.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/attestation/verify/verify.h"

namespace eos::attestation::verify {
namespace {

using ::testing::IsEmpty;
using testing::kNow;
using testing::SyntheticIntel;
using ::testing::UnorderedElementsAre;

/// Says of every input what it is told to say, and keeps what it hears.
class ToldMemo final : public SignatureMemo {
  public:
    SignatureSet begin(const crypto::Digest32& inputs) override {
        asked.push_back(inputs);
        return known;
    }
    void end(const crypto::Digest32& inputs, SignatureSet good) override {
        EXPECT_EQ(inputs, asked.back());
        heard = good;
    }

    SignatureSet known;
    SignatureSet heard;
    std::vector<crypto::Digest32> asked;
};

std::vector<SignatureOf> all_kinds() {
    std::vector<SignatureOf> out;
    for (std::size_t i = 0; i < kSignatureKinds; ++i) out.push_back(static_cast<SignatureOf>(i));
    return out;
}

std::vector<SignatureOf> members(SignatureSet set) {
    std::vector<SignatureOf> out;
    for (SignatureOf one : all_kinds())
        if (set.contains(one)) out.push_back(one);
    return out;
}

struct Given {
    Bytes quote;
    endorsements::Endorsements endorsements;
    Roots roots;
};

Given given(const SyntheticIntel& intel) {
    return {intel.quote(), intel.endorsements(), intel.roots()};
}

std::vector<std::string> failures(const Given& in, SignatureMemo* memo, UnixTime time = kNow) {
    return summarise(verify_quote(in.quote, in.endorsements, in.roots, time, memo).tree()).failed;
}

TEST(SignatureMemo, HearsOfEverySignatureOfGoodEvidence) {
    ToldMemo memo;
    EXPECT_THAT(failures(given(SyntheticIntel()), &memo), IsEmpty());
    EXPECT_THAT(
        members(memo.heard),
        UnorderedElementsAre(SignatureOf::pck_chain, SignatureOf::qe_report, SignatureOf::quote,
                             SignatureOf::tcb_info_chain, SignatureOf::tcb_info,
                             SignatureOf::qe_identity_chain, SignatureOf::qe_identity,
                             SignatureOf::root_crl, SignatureOf::pck_crl));
}

// A flipped signature is the one thing that a memo decides: so each is looked at exactly when its
// own bit is absent, and a bad one is never reported as good.
TEST(SignatureMemo, EachSignatureIsVerifiedUnlessItIsKnown) {
    SyntheticIntel intel;
    struct Case {
        SignatureOf one;
        std::string check;
        std::function<void(Given&)> damage;
    };
    auto flip = [](std::byte& byte) { byte ^= std::byte{1}; };
    const std::vector<Case> cases{
        {SignatureOf::quote, "quote.signature", [&](Given& g) { flip(g.quote.at(436)); }},
        {SignatureOf::tcb_info, "tcb_info.signature",
         [&](Given& g) { flip(g.endorsements.tcb_info->signature[40]); }},
        {SignatureOf::qe_identity, "qe_identity.signature",
         [&](Given& g) { flip(g.endorsements.qe_identity->signature[40]); }},
        {SignatureOf::root_crl, "crl.root",
         [&](Given& g) { flip(g.endorsements.root_ca_crl->back()); }},
        {SignatureOf::pck_crl, "crl.pck", [&](Given& g) { flip(g.endorsements.pck_crl->back()); }},
    };
    for (const Case& one : cases) {
        Given bad = given(intel);
        one.damage(bad);
        ToldMemo memo;
        EXPECT_THAT(failures(bad, &memo), UnorderedElementsAre(one.check));
        EXPECT_FALSE(memo.heard.contains(one.one)) << one.check;
        for (SignatureOf other : all_kinds())
            if (other != one.one) memo.known.add(other);
        EXPECT_THAT(failures(bad, &memo), UnorderedElementsAre(one.check));
        memo.known.add(one.one);
        EXPECT_THAT(failures(bad, &memo), IsEmpty()) << one.check;
    }
}

TEST(SignatureMemo, ASecondCallWithTheSameInputsGivesTheSameTree) {
    BoundedSignatureMemo memo(4);
    for (bool tdx : {false, true}) {
        SyntheticIntel intel;
        if (tdx) intel.make_tdx(evidence::TdReportKind::tdx15);
        Given in = given(intel);
        const Roots& roots = in.roots;
        Verification without = verify_quote(in.quote, in.endorsements, roots, kNow);
        for (int i = 0; i < 2; ++i) {
            Verification with = verify_quote(in.quote, in.endorsements, roots, kNow, &memo);
            EXPECT_EQ(render_json(with.tree()), render_json(without.tree()));
            EXPECT_NE(with.evidence(), nullptr);
        }
    }
    EXPECT_EQ(memo.size(), 2U);
}

TEST(SignatureMemo, TimeAndRevocationAreLookedAtEveryTime) {
    SyntheticIntel intel;
    Given in = given(intel);
    BoundedSignatureMemo memo(4);
    ASSERT_THAT(failures(in, &memo), IsEmpty());
    UnixTime later = intel.crl_validity.not_after + 1;
    EXPECT_EQ(failures(in, &memo, later), failures(in, nullptr, later));
    EXPECT_THAT(failures(in, &memo, later), ::testing::Contains("crl.pck"));
    UnixTime much_later = intel.pck_recipe.validity.not_after + 1;
    EXPECT_THAT(failures(in, &memo, much_later), ::testing::Contains("pck.validity"));

    intel.pck_revoked.push_back(intel.pck_recipe.serial);
    in.endorsements.pck_crl = intel.pck_crl();
    EXPECT_THAT(failures(in, &memo), UnorderedElementsAre("crl.pck"));
    EXPECT_THAT(failures(in, &memo), UnorderedElementsAre("crl.pck"));
}

crypto::Digest32 key_of(const Given& in) {
    return digest_of_inputs(in.quote, digest_of_endorsements(in.endorsements, in.roots));
}

// Every input changes the key; pieces of a bundle that are not used do not.
TEST(SignatureMemo, TheKeyCoversEveryInput) {
    SyntheticIntel intel;
    const Given base = given(intel);
    const crypto::Digest32 key = key_of(base);
    std::set<crypto::Digest32> keys{key};
    auto expect_new = [&](const std::function<void(Given&)>& change) {
        Given in = base;
        change(in);
        EXPECT_TRUE(keys.insert(key_of(in)).second);
    };
    expect_new([](Given& g) { g.quote.back() ^= std::byte{1}; });
    expect_new([](Given& g) { g.endorsements.root_ca_crl->back() ^= std::byte{1}; });
    expect_new([](Given& g) { g.endorsements.root_ca_crl.reset(); });
    expect_new([](Given& g) { g.endorsements.root_ca_crl->clear(); });
    expect_new([](Given& g) { g.endorsements.pck_crl.reset(); });
    expect_new([](Given& g) { std::swap(g.endorsements.pck_crl, g.endorsements.root_ca_crl); });
    expect_new([](Given& g) { g.endorsements.tcb_info.reset(); });
    expect_new([](Given& g) { g.endorsements.tcb_info->body.back() ^= std::byte{1}; });
    expect_new([](Given& g) { g.endorsements.tcb_info->signature[0] ^= std::byte{1}; });
    expect_new([](Given& g) { g.endorsements.tcb_info->issuer_chain_pem += '\n'; });
    expect_new([](Given& g) { g.endorsements.qe_identity->body.back() ^= std::byte{1}; });
    expect_new([](Given& g) { std::swap(g.endorsements.tcb_info, g.endorsements.qe_identity); });
    expect_new([](Given& g) { g.endorsements.amd.certificates.push_back({}); });
    expect_new([](Given& g) { g.endorsements.amd.ark_crl = Bytes(); });
    expect_new([](Given& g) { g.endorsements.amd.ask_crl = Bytes(); });
    expect_new([](Given& g) { g.roots = Roots::intel(); });
    expect_new([](Given& g) { g.roots = Roots::amd(); });
    expect_new([](Given& g) { g.roots = Roots::of({Vendor::intel, Vendor::amd}); });
    expect_new([](Given& g) { g.roots = SyntheticIntel().roots(); });
    EXPECT_EQ(key_of(base), key);
}

TEST(SignatureMemo, EvidenceThatDoesNotParseIsNotRemembered) {
    ToldMemo memo;
    Given in = given(SyntheticIntel());
    in.quote.resize(100);
    EXPECT_THAT(failures(in, &memo), UnorderedElementsAre("quote.syntax"));
    EXPECT_THAT(memo.asked, IsEmpty());
}

TEST(BoundedSignatureMemo, ForgetsTheLeastRecentlyUsed) {
    auto digest = [](std::uint8_t n) { return crypto::Digest32{std::byte{n}}; };
    SignatureSet some;
    some.add(SignatureOf::quote);
    BoundedSignatureMemo memo(2);
    memo.end(digest(1), some);
    memo.end(digest(2), some);
    EXPECT_EQ(memo.begin(digest(1)), some);
    memo.end(digest(3), some);
    EXPECT_EQ(memo.size(), 2U);
    EXPECT_TRUE(memo.begin(digest(2)).is_empty());
    EXPECT_EQ(memo.begin(digest(1)), some);
    EXPECT_EQ(memo.begin(digest(3)), some);
    SignatureSet more;
    more.add(SignatureOf::pck_chain);
    memo.end(digest(3), more);
    EXPECT_THAT(members(memo.begin(digest(3))),
                UnorderedElementsAre(SignatureOf::quote, SignatureOf::pck_chain));
    memo.end(digest(4), {});
    EXPECT_TRUE(memo.begin(digest(4)).is_empty());
    EXPECT_EQ(memo.size(), 2U);
}

}  // namespace
}  // namespace eos::attestation::verify
