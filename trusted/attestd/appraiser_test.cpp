// SPDX-License-Identifier: AGPL-3.0-only
// Answers for emulated evidence, of which every part can be altered, and for real evidence.
#include "trusted/attestd/appraiser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/ear/ear.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/jose/jwt.h"
#include "trusted/attestd/status.h"
#include "trusted/attestd/testing.h"

namespace eos::attestd {
namespace {

namespace appraise = attestation::appraise;
namespace endorsements = attestation::endorsements;
namespace verify = attestation::verify;
using attestation::testing::kNow;
using attestation::testing::SyntheticIntel;
using testing::body_for;
using testing::collateral_file;
using ::testing::HasSubstr;
using testing::parse;

Standing standing_of(const SyntheticIntel& intel) {
    return {default_policy(intel.roots()), {}, std::nullopt};
}

/// A request that brings all of its collateral.
json::Value whole_body(const SyntheticIntel& intel) {
    json::Value body = body_for(intel.quote());
    body["collateral"] = base64(as_bytes(collateral_file(intel.endorsements())));
    return body;
}

json::Value ask(const json::Value& body, const Standing& standing, UnixTime time = kNow,
                verify::SignatureMemo* memo = nullptr) {
    Result<VerifyRequest> request = parse(body);
    EXPECT_TRUE(request.has_value()) << request.error().message();
    if (!request) return {};
    Result<Answer> out = answer(*request, standing, time, memo);
    EXPECT_TRUE(out.has_value()) << out.error().message();
    if (!out) return {};
    EXPECT_EQ(out->body["status"], out->status);
    EXPECT_EQ(out->body["success"], out->status == "OK");
    return out->body;
}

json::Value policy_json(const SyntheticIntel& intel, const char* name) {
    appraise::Policy policy = default_policy(intel.roots());
    policy.name = name;
    return policy_to_json(policy);
}

TEST(Appraiser, EmulatedEvidenceIsNeverOk) {
    SyntheticIntel intel;
    json::Value out = ask(whole_body(intel), standing_of(intel));
    EXPECT_EQ(out["status"], "EMULATED");
    EXPECT_EQ(out["success"], false);
    EXPECT_EQ(out["teeType"], "sgx");
    EXPECT_EQ(out["mrenclave"], hex(intel.report.mr_enclave));
    EXPECT_EQ(out["mrsigner"], hex(intel.report.mr_signer));
    EXPECT_EQ(out["reportData"], hex(intel.report.report_data));
    EXPECT_EQ(out["tcbStatus"], "UpToDate");
    EXPECT_EQ(out["platform"]["ppid"], hex(intel.platform.ppid));
    EXPECT_EQ(out["platform"]["fmspc"], hex(intel.platform.fmspc));
    EXPECT_EQ(out["pckRevocationChecked"], true);
    EXPECT_EQ(out["policy"]["decidedBy"], "service");
    EXPECT_EQ(out["verdict"]["tree"]["id"], "attestation");
    EXPECT_FALSE(out.contains("token"));
}

TEST(Appraiser, RootsOfTheOtherKindAreRefusedWhoeverNamesThem) {
    SyntheticIntel intel;
    Standing production{default_policy(verify::Roots::intel()), {}, std::nullopt};
    EXPECT_EQ(ask(whole_body(intel), production)["status"], "VERIFICATION_FAILED");
    json::Value body = whole_body(intel);
    body["policy"] = policy_json(intel, "mine");
    VerifyRequest request = parse(body).value();
    EXPECT_EQ(answer(request, production, kNow, nullptr).error().code(), wrong_roots);
    EXPECT_EQ(ask(body, standing_of(intel))["policy"]["decidedBy"], "caller");
    request.policy = default_policy(verify::Roots::intel());
    EXPECT_EQ(answer(request, standing_of(intel), kNow, nullptr).error().code(), wrong_roots);
}

TEST(Appraiser, WhatDoesNotParseIsAVerdict) {
    SyntheticIntel intel;
    json::Value out = ask(body_for(Bytes(100, std::byte{7})), standing_of(intel));
    EXPECT_EQ(out["status"], "VERIFICATION_FAILED");
    EXPECT_THAT(out["error"].get<std::string>(), HasSubstr("quote.syntax"));
    EXPECT_FALSE(out.contains("mrenclave"));
}

TEST(Appraiser, ZerosBehindAQuoteAreCutAndCounted) {
    SyntheticIntel intel;
    json::Value body = whole_body(intel);
    EXPECT_FALSE(ask(body, standing_of(intel)).contains("quotePaddingBytes"));
    Bytes quote = intel.quote();
    quote.resize(quote.size() + 70);
    body["quote"] = base64(quote);
    json::Value out = ask(body, standing_of(intel));
    EXPECT_EQ(out["quotePaddingBytes"], 70);
    EXPECT_TRUE(out["verdict"]["claims"].is_object()) << out.dump();
    quote.back() = std::byte{1};
    body["quote"] = base64(quote);
    out = ask(body, standing_of(intel));
    EXPECT_FALSE(out.contains("quotePaddingBytes"));
    EXPECT_THAT(out["error"].get<std::string>(), HasSubstr("quote.syntax"));
}

TEST(Appraiser, EventsAreListedForGenuineEvidenceOnly) {
    SyntheticIntel intel;
    json::Value event = {{"imr", 3},
                         {"event_type", 1},
                         {"digest", std::string(96, '0')},
                         {"event", "e"},
                         {"event_payload", ""}};
    const std::string log = json::compact(json::Value::array({event}));
    for (json::Value body : {whole_body(intel), body_for(Bytes(100, std::byte{7}))}) {
        const bool is_genuine = body.contains("collateral");
        body["eventLog"] = base64(as_bytes(log));
        body["includeEventLog"] = true;
        json::Value out = ask(body, standing_of(intel));
        EXPECT_EQ(out.contains("mrenclave"), is_genuine);
        EXPECT_EQ(out.contains("eventLog"), is_genuine);
        EXPECT_EQ(out["eventLogVerified"], false);
    }
}

TEST(Appraiser, TheServicesCollateralCountsBeforeTheCallers) {
    SyntheticIntel intel;
    Standing standing = standing_of(intel);
    // What the service knows is newer.
    json::Value newer = intel.tcb_info;
    json::Value older = newer;
    older["tcbEvaluationDataNumber"] = 1;
    endorsements::Endorsements own = intel.endorsements();
    own.tcb_info = intel.sign(newer);
    endorsements::Endorsements services;
    services.pieces = endorsements::to_pieces(own, kNow, "test").value();
    standing.collateral = services;
    endorsements::Endorsements callers = intel.endorsements();
    callers.tcb_info = intel.sign(older);
    json::Value body = body_for(intel.quote());
    body["collateral"] = base64(as_bytes(collateral_file(callers)));
    json::Value out = ask(body, standing);
    EXPECT_EQ(out["verdict"]["claims"]["tcb"]["evaluation_data_number"],
              std::min(newer["tcbEvaluationDataNumber"].get<int>(),
                       intel.qe_identity["tcbEvaluationDataNumber"].get<int>()));
    // What it does not have is taken from the caller.
    std::erase_if(services.pieces, [](const endorsements::Piece& piece) {
        return piece.kind == endorsements::PieceKind::sgx_tcb_info;
    });
    standing.collateral = services;
    out = ask(body, standing);
    EXPECT_EQ(out["verdict"]["claims"]["tcb"]["evaluation_data_number"], 1);
    // Without the caller's there is none.
    EXPECT_FALSE(ask(body_for(intel.quote()), standing).contains("tcbStatus"));
}

TEST(Appraiser, WhatTheRequestAsksForIsPartOfTheTree) {
    SyntheticIntel intel;
    auto summary = [&](const char* name, const json::Value& value) {
        json::Value body = whole_body(intel);
        body[name] = value;
        return ask(body, standing_of(intel))["message"].get<std::string>();
    };
    Bytes other(64, std::byte{1});
    EXPECT_THAT(summary("reportData", base64(other)), HasSubstr("report_data"));
    EXPECT_EQ(summary("reportData", base64(intel.report.report_data)),
              "accepted, EMULATED: protects nothing");
    EXPECT_THAT(summary("type", "tdx"), HasSubstr("request.type"));
    EXPECT_THAT(summary("allowedPlatformIds", {"00ff"}), HasSubstr("request.platform"));
    EXPECT_THAT(summary("allowedPlatformIds", {hex(intel.platform.ppid)}),
                ::testing::Not(HasSubstr("request.platform")));
    EXPECT_THAT(summary("eventLog", base64(as_bytes("[]"))), HasSubstr("event_log"));
}

TEST(Appraiser, ATokenIsForItsAudienceAndSaysWhosePolicyDecided) {
    SyntheticIntel intel;
    json::Value body = whole_body(intel);
    body["reportData"] = base64(intel.report.report_data);
    body["token"] = {{"audience", "them"}, {"nonce", "nonce678"}};
    Standing standing = standing_of(intel);
    EXPECT_EQ(answer(parse(body).value(), standing, kNow, nullptr).error().code(), no_tokens);
    standing.signer = TokenSigner{"https://attest.example", crypto::P256PrivateKey::generate()};
    json::Value out = ask(body, standing);
    attestation::ear::Expected expected{"https://attest.example", "them", "nonce678",
                                        policy_hash(standing.policy), kNow + 10};
    const crypto::P256PublicKey& key = standing.signer->key.public_key();
    Result<attestation::ear::Token> token =
        attestation::ear::verify(out["token"].get<std::string>(), expected, key);
    ASSERT_TRUE(token.has_value()) << token.error().message();
    EXPECT_EQ(token->status, attestation::ear::Status::contraindicated);
    EXPECT_EQ(token->claims["submods"]["sgx"]["enclave_os.policy"]["decided_by"], "service");
    EXPECT_LE(token->claims["exp"].get<std::int64_t>() - kNow.seconds, 300);
    for (auto change : {+[](attestation::ear::Expected& e) { e.audience = "others"; },
                        +[](attestation::ear::Expected& e) { e.nonce = "nonce679"; },
                        +[](attestation::ear::Expected& e) { e.now = e.now + 300; }}) {
        attestation::ear::Expected other = expected;
        change(other);
        EXPECT_FALSE(
            attestation::ear::verify(out["token"].get<std::string>(), other, key).has_value());
    }
}

TEST(Appraiser, AMemoChangesNothingButTheWork) {
    SyntheticIntel intel;
    Standing standing = standing_of(intel);
    verify::BoundedSignatureMemo memo(4);
    json::Value first = ask(whole_body(intel), standing, kNow, &memo);
    json::Value body = whole_body(intel);
    json::Value again = ask(body, standing, kNow, &memo);
    EXPECT_EQ(again["status"], first["status"]);
    // Collateral that has expired since is refused from memory, too.
    json::Value later = ask(body, standing, kNow + 60 * kSecondsPerDay, &memo);
    EXPECT_EQ(later["status"], "VERIFICATION_FAILED");
    EXPECT_THAT(later["error"].get<std::string>(), HasSubstr("tcb_info.dates"));
}

class RealAnswers : public attestation::testing::Corpus {};

// What is not accepted under the policy that decides is not OK, unless what is missing was left to
// the caller.
TEST_F(RealAnswers, SayTheSameAsTheVerdictWhereReportDataIsStated) {
    const attestation::testing::Row& of = row("tdx4-dcapqvl-sample");
    const Standing standing{default_policy(verify::Roots::intel()), {}, std::nullopt};
    VerifyRequest request;
    request.quote = of.quote;
    request.collateral = of.endorsements;
    auto ask = [&] { return answer(request, standing, of.time, nullptr).value().body; };
    const auto stated = to_array<64>(ByteView(of.quote).subspan(568, 64));
    auto expect = [&](std::string_view with, std::string_view without) {
        request.report_data = stated;
        json::Value out = ask();
        EXPECT_EQ(out["status"], with) << out["message"];
        EXPECT_EQ(out["verdict"]["outcome"] == "accepted", with == "OK");
        request.report_data.reset();
        out = ask();
        EXPECT_EQ(out["status"], without) << out["message"];
    };
    expect("OK", "OK");
    request.policy = standing.policy;
    request.policy->leaf_binding = appraise::LeafBindingRule::required;
    expect("INCOMPLETE", "INCOMPLETE");
    request.policy = standing.policy;
    request.policy->waivers.clear();
    expect("INCOMPLETE", "OK");
    request.policy = standing.policy;
    request.policy->waivers.insert("crl.pck");
    expect("OK", "OK");
}

// Over all of the corpus: "OK" exactly for what is stated to be up to date and is not in debug
// mode.
TEST_F(RealAnswers, AreOkExactlyForWhatIsUpToDate) {
    Standing standing{default_policy(verify::Roots::intel()), {}, std::nullopt};
    std::size_t ok = 0;
    for (const attestation::testing::Row& row : rows_) {
        VerifyRequest request;
        request.quote = row.quote;
        request.collateral = row.endorsements;
        json::Value out = answer(request, standing, row.time, nullptr).value().body;
        const std::string stated = row.text("verdict");
        const std::string id = row.text("id");
        SCOPED_TRACE(id + ": " + out["message"].get<std::string>());
        bool is_debug = out.value("debug", false);
        if (is_debug) {
            EXPECT_EQ(out["status"], "DEBUG");
        } else if (out["status"] == "OK") {
            EXPECT_EQ(stated, "UpToDate");
            ++ok;
        } else if (stated == "UpToDate") {
            EXPECT_THAT(out["status"].get<std::string>(),
                        ::testing::AnyOf("POLICY_REJECTED", "INCOMPLETE"));
        }
        if (auto status = endorsements::tcb_status_from(stated);
            status && *status != endorsements::TcbStatus::up_to_date && !is_debug) {
            EXPECT_EQ(out["status"], tcb_word(*status));
        }
        if (stated.starts_with("REJECT")) {
            EXPECT_EQ(out["status"], "VERIFICATION_FAILED");
        }
        // The same without collateral is never OK.
        request.collateral.reset();
        EXPECT_NE(answer(request, standing, row.time, nullptr).value().status, "OK");
    }
    EXPECT_GE(ok, 5U);
}

}  // namespace
}  // namespace eos::attestd
