// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/ear/ear.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"
#include "common/jose/jws.h"
#include "common/oid/registry.h"

namespace eos::attestation::ear {
namespace {

using appraise::AttestationResult;
using appraise::Policy;
using ::testing::HasSubstr;
using testing::kNow;

appraise::LeafClaims leaf() {
    appraise::LeafClaims out;
    out.extensions[oid::kAssurance] = to_bytes("production");
    out.binding =
        appraise::BindingClaim{.format = std::string(appraise::kBindingV1Challenge),
                               .report_data = verify::passed({"report_data", "test"}),
                               .level = verify::passed({"binding.level", "test"}, "level 2")};
    out.leaf_binding = verify::passed({"leaf_binding", "test"});
    return out;
}

TokenOptions options(UnixTime now = kNow) {
    return {.issuer = "https://attest.example",
            .audience = "https://vault.example",
            .nonce = "c2l4dGVlbiBieXRlcw",
            .now = now};
}

json::Value submod_of(const Token& token) {
    return *token.claims["submods"].begin();
}

/// An emulated platform, its result and a token of it.
class EarTest : public ::testing::Test {
  protected:
    EarTest() {
        policy.name = "lab";
        policy.roots = intel.roots();
        policy.identity = {{appraise::MrEnclavePin{intel.report.mr_enclave}, {}}};
    }
    AttestationResult result() const {
        return appraise::appraise(
            verify::verify_quote(intel.quote(), intel.endorsements(), policy.roots, kNow), leaf(),
            policy);
    }
    Expected expected() const {
        TokenOptions o = options();
        return {o.issuer, o.audience, o.nonce, appraise::policy_hash(policy), kNow + 10};
    }
    Result<Token> round_trip(const TokenOptions& with, const Expected& by) const {
        std::string token = EOS_TRY(sign(result(), policy, with, key));
        return ear::verify(token, by, key.public_key());
    }
    void expect_refused(const Expected& by, const char* claim) const {
        Result<Token> token = round_trip(options(), by);
        ASSERT_FALSE(token.has_value());
        EXPECT_EQ(token.error().code(), bad_ear);
        EXPECT_THAT(token.error().message(), HasSubstr(claim));
    }
    /// A token with a valid signature and other claims.
    Result<Token> altered(const std::function<void(json::Value&)>& alter) const {
        std::string token = EOS_TRY(sign(result(), policy, options(), key));
        json::Value claims = EOS_TRY(jose::verify_es256(token, kTokenType, key.public_key()));
        alter(claims);
        return ear::verify(jose::sign_es256(claims, kTokenType, key), expected(), key.public_key());
    }

    testing::SyntheticIntel intel;
    Policy policy;
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
};

TEST_F(EarTest, EmulatedEvidenceIsNeverAffirmed) {
    ASSERT_EQ(result().outcome(), appraise::Outcome::accepted_emulated) << result().text();
    Result<Token> token = round_trip(options(), expected());
    ASSERT_TRUE(token.has_value()) << token.error().message();
    EXPECT_EQ(token->status, Status::contraindicated);
    json::Value submod = submod_of(*token);
    EXPECT_EQ(submod["ear.status"], "contraindicated");
    EXPECT_EQ(submod["ear.trustworthiness-vector"]["hardware"], 97);
    EXPECT_EQ(submod["ear.trustworthiness-vector"]["runtime-opaque"], 96);
    EXPECT_EQ(submod["ear.trustworthiness-vector"]["executables"], 3);
    EXPECT_EQ(submod["enclave_os.verdict"]["outcome"], "accepted_emulated");
}

TEST_F(EarTest, SaysWhoseWordItIsForWhomAndUntilWhen) {
    Token token = round_trip(options(), expected()).value();
    EXPECT_EQ(token.claims["eat_profile"], kProfile);
    EXPECT_EQ(token.claims["iss"], "https://attest.example");
    EXPECT_EQ(token.claims["aud"], "https://vault.example");
    EXPECT_EQ(token.claims["eat_nonce"], "c2l4dGVlbiBieXRlcw");
    EXPECT_EQ(token.claims["iat"], kNow.seconds);
    EXPECT_EQ(token.claims["exp"], kNow.seconds + 300);
    EXPECT_TRUE(token.claims["ear.verifier-id"].contains("build"));
    json::Value submod = token.claims["submods"]["sgx"];
    EXPECT_EQ(submod["ear.appraisal-policy-id"], "sha-256:" + hex(appraise::policy_hash(policy)));
    EXPECT_EQ(submod["enclave_os.policy"]["decided_by"], "service");
    EXPECT_EQ(submod["enclave_os.verdict"]["tree"]["id"], "attestation");
}

TEST_F(EarTest, ARejectionIsContraindicatedAndKeepsItsReasons) {
    policy.identity = {{appraise::MrEnclavePin{}, {}}};
    Token token = round_trip(options(), expected()).value();
    EXPECT_EQ(token.status, Status::contraindicated);
    EXPECT_EQ(submod_of(token)["ear.trustworthiness-vector"]["executables"], 96);
    EXPECT_EQ(submod_of(token)["enclave_os.verdict"]["summary"], "rejected: identity.enclave");
}

TEST_F(EarTest, WhatIsNotGenuineIsSaidToBe) {
    intel.alter_quote = [](Bytes& quote) { quote[100] ^= std::byte{1}; };
    Token token = round_trip(options(), expected()).value();
    EXPECT_EQ(token.status, Status::contraindicated);
    EXPECT_EQ(token.claims["submods"]["evidence"]["ear.trustworthiness-vector"]["hardware"], 99);
}

TEST_F(EarTest, NothingIsSignedForACallersPolicyOrWithoutItsLimits) {
    auto refused = [&](const std::function<void(TokenOptions&)>& alter, const char* why) {
        TokenOptions with = options();
        alter(with);
        Result<std::string> token = sign(result(), policy, with, key);
        ASSERT_FALSE(token.has_value()) << why;
        EXPECT_EQ(token.error().code(), not_signed);
        EXPECT_THAT(token.error().message(), HasSubstr(why));
    };
    refused([](TokenOptions& o) { o.policy_owner = PolicyOwner::caller; }, "caller's policy");
    refused([](TokenOptions& o) { o.issuer.clear(); }, "issuer");
    refused([](TokenOptions& o) { o.audience.clear(); }, "audience");
    refused([](TokenOptions& o) { o.nonce = "short12"; }, "nonce");
    refused([](TokenOptions& o) { o.nonce = std::string(89, 'n'); }, "nonce");
    refused([](TokenOptions& o) { o.life_s = 301; }, "300");
    refused([](TokenOptions& o) { o.life_s = 0; }, "300");
    refused([](TokenOptions& o) { o.now = kNow + 61; }, "as of");
    refused([](TokenOptions& o) { o.now = kNow - 61; }, "as of");
}

TEST_F(EarTest, ATokenForSomebodyElseIsRefused) {
    Expected by = expected();
    by.audience = "https://other.example";
    expect_refused(by, "aud");
    by = expected();
    by.issuer = "https://other.example";
    expect_refused(by, "iss");
    by = expected();
    by.nonce = "another nonce";
    expect_refused(by, "eat_nonce");
    by.nonce.clear();
    expect_refused(by, "eat_nonce");
    by = expected();
    by.policy_hash[0] ^= std::byte{1};
    expect_refused(by, "another policy");
}

TEST_F(EarTest, ATokenLivesFiveMinutes) {
    Expected by = expected();
    by.now = kNow + 299;
    EXPECT_TRUE(round_trip(options(), by).has_value());
    by.now = kNow + 300;
    expect_refused(by, "exp");
    by.now = kNow - 61;
    expect_refused(by, "future");
}

TEST_F(EarTest, ClaimsOfTheWrongFormAreRefused) {
    ASSERT_TRUE(altered([](json::Value&) {}).has_value());
    const std::vector<std::function<void(json::Value&)>> alterations = {
        [](json::Value& c) { c["eat_profile"] = "tag:github.com,2023:veraison/ear"; },
        [](json::Value& c) { c["exp"] = kNow.seconds + 301; },
        [](json::Value& c) { c["exp"] = 1e300; },
        [](json::Value& c) { c["iat"] = "now"; },
        [](json::Value& c) { c["iat"] = -1; },
        [](json::Value& c) { c.erase("exp"); },
        [](json::Value& c) { c["aud"] = {"https://vault.example", "https://other.example"}; },
        [](json::Value& c) { c["submods"] = json::Value::object(); },
        [](json::Value& c) { c["submods"]["tdx"] = c["submods"]["sgx"]; },
        [](json::Value& c) { c["submods"]["sgx"] = 1; },
        [](json::Value& c) { c["submods"]["sgx"]["ear.status"] = "fine"; },
        [](json::Value& c) { c["submods"]["sgx"].erase("ear.status"); }};
    for (std::size_t i = 0; i < alterations.size(); ++i) {
        Result<Token> token = altered(alterations[i]);
        ASSERT_FALSE(token.has_value()) << i;
        EXPECT_EQ(token.error().code(), bad_ear) << i;
    }
}

TEST_F(EarTest, AnotherVerifiersKeyIsRefused) {
    std::string token = sign(result(), policy, options(), key).value();
    Result<Token> read =
        ear::verify(token, expected(), crypto::P256PrivateKey::generate().public_key());
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().code(), jose::bad_token_signature);
}

/// Real platforms: the only ones that can be affirmed.
class RealEar : public testing::Corpus {
  protected:
    /// A policy that names exactly this enclave or trust domain.
    static Policy pinned(const verify::TeeClaims& claims) {
        Policy policy;
        policy.tees = {std::string(appraise::kTeeSgx), std::string(appraise::kTeeTdx)};
        if (const auto* sgx = std::get_if<verify::SgxClaims>(&claims)) {
            policy.identity = {{appraise::MrEnclavePin{sgx->report.mr_enclave}, {}}};
        } else if (const auto* tdx = std::get_if<verify::TdxClaims>(&claims)) {
            appraise::TdPin pin;
            pin.mr_td = tdx->report.mr_td;
            pin.rtmr[1] = tdx->report.rtmr[1];
            pin.rtmr[2] = tdx->report.rtmr[2];
            policy.identity = {{pin, {}}};
        }
        return policy;
    }
};

TEST_F(RealEar, StatusFollowsThePlatformsAndWhatThePolicyLeavesOpen) {
    int affirmed = 0;
    int warned = 0;
    for (const testing::Row& row : rows_) {
        verify::Verification verification =
            verify::verify_quote(row.quote, row.endorsements, verify::Roots::intel(), row.time);
        const verify::VerifiedEvidence* evidence = verification.evidence();
        if (evidence == nullptr || !evidence->tcb()) continue;
        Policy policy = pinned(evidence->claims());
        policy.name = row.text("id");
        policy.tcb.statuses.insert(evidence->tcb()->status);
        policy.tcb.advisories.insert(evidence->tcb()->advisories.begin(),
                                     evidence->tcb()->advisories.end());
        AttestationResult result = appraise::appraise(verification, leaf(), policy);
        if (result.outcome() != appraise::Outcome::accepted) continue;
        bool current = evidence->tcb()->status == endorsements::TcbStatus::up_to_date;
        EXPECT_EQ(status_of(result, policy), current ? Status::affirming : Status::warning)
            << policy.name;
        (current ? affirmed : warned) += 1;

        appraise::LeafClaims silent = leaf();
        silent.extensions.clear();
        policy.waivers.insert("assurance");
        AttestationResult waived = appraise::appraise(verification, silent, policy);
        ASSERT_EQ(waived.outcome(), appraise::Outcome::accepted) << waived.text();
        EXPECT_EQ(status_of(waived, policy), Status::warning) << policy.name;
    }
    EXPECT_GE(affirmed, 1);
    EXPECT_GE(warned, 1);
}

/// Real chips of AMD's, whose TCB has the status that the policy's minimum gives it.
TEST(RealSnpEar, HardwareIsAffirmedByTheMinimumOfThePolicyAlone) {
    if (!std::filesystem::exists(testing::corpus() / "index.json"))
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    const Bytes report =
        testing::read_file(testing::corpus() / "services/snp/snp3-genoa-veraison.report.bin");
    endorsements::Endorsements given;
    given.amd.certificates = {
        testing::read_file(testing::corpus() / "services/snp/snp3-genoa-veraison.vcek.der")};
    const UnixTime time{1'750'000'000};
    const auto verification = verify::verify_quote(report, given, verify::Roots::amd(), time);
    ASSERT_NE(verification.evidence(), nullptr) << render_text(verification.tree());
    const auto& claims = std::get<verify::SnpClaims>(verification.evidence()->claims());
    Policy policy;
    policy.name = "a real chip";
    policy.roots = verify::Roots::amd();
    policy.tees = {std::string(appraise::kTeeSnp)};
    policy.allow_any_identity = true;
    policy.waivers = {"crl.ark"};
    const auto key = crypto::P256PrivateKey::generate();
    auto hardware = [&] {
        AttestationResult result = appraise::appraise(verification, leaf(), policy);
        std::string token = sign(result, policy, options(time), key).value();
        json::Value read = jose::verify_es256(token, kTokenType, key.public_key()).value();
        return read["submods"]["snp"]["ear.trustworthiness-vector"]["hardware"].get<int>();
    };
    EXPECT_EQ(hardware(), 32) << "no minimum: whether there are holes is not known";
    policy.snp.min_tcb[claims.product] = {};
    EXPECT_EQ(hardware(), 32) << "zeros are none";
    const AttestationResult zero = appraise::appraise(verification, leaf(), policy);
    const verify::Check* tcb = verify::find_check(zero.tree(), "snp.tcb");
    EXPECT_EQ(tcb->verdict, verify::Verdict::not_evaluated);
    EXPECT_NE(tcb->notes.at(0).find("is zero"), std::string::npos);
    policy.snp.min_tcb[claims.product] = claims.reported;
    EXPECT_EQ(hardware(), 2);
    policy.snp.min_tcb[claims.product].microcode += 1;
    EXPECT_EQ(hardware(), 96);
}

}  // namespace
}  // namespace eos::attestation::ear
