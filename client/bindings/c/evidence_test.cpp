// SPDX-License-Identifier: AGPL-3.0-only
// The C interface as a C program uses it, without a network: verdicts, and calls that are wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <limits>

#include "client/bindings/c/scene_test.h"
#include "common/base/encoding.h"
#include "common/ratls/foreign_constellation_test.h"

namespace eos::client::bindings::c {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class EvidenceTest : public ::testing::Test {
  protected:
    int verify(ByteView evidence, const eos_binding* binding, std::int64_t time = kTime) {
        verdict_.reset();
        eos_verdict* made = nullptr;
        int status = eos_verify_evidence(verifier_.get(), evidence.data(), evidence.size(), binding,
                                         time, &made, error_.out());
        verdict_.reset(made);
        return status;
    }
    int verify_chain(std::string_view chain, const eos_handshake* handshake = nullptr,
                     const char* name = nullptr) {
        eos_verdict* made = nullptr;
        int status = eos_verify_certificate(verifier_.get(), chain.data(), chain.size(), name,
                                            handshake, kTime, &made, error_.out());
        verdict_.reset(made);
        return status;
    }
    int verify_foreign(ByteView leaf, ByteView nonce, const char* name = nullptr) {
        eos_verdict* made = nullptr;
        int status =
            eos_verify_foreign_certificate(verifier_.get(), leaf.data(), leaf.size(), name,
                                           nonce.data(), nonce.size(), kTime, &made, error_.out());
        verdict_.reset(made);
        return status;
    }
    static eos_binding stated(const Bytes& bytes) {
        eos_binding out{};
        out.struct_size = sizeof out;
        out.form = EOS_BINDING_REPORT_DATA;
        out.report_data = bytes.data();
        out.report_data_size = bytes.size();
        return out;
    }
    Bytes report_data() const { return to_bytes(scene_.intel.report.report_data); }
    void use(const attestation::appraise::Policy& policy) { verifier_ = scene_.verifier(policy); }

    Scene scene_;
    VerifierHandle verifier_ = scene_.verifier(scene_.evidence_policy());
    VerdictHandle verdict_;
    ErrorOut error_;
};

TEST_F(EvidenceTest, IsAcceptedWithItsReportDataAndSaysEmulated) {
    Bytes expected = report_data();
    eos_binding binding = stated(expected);
    ASSERT_EQ(verify(scene_.intel.quote(), &binding), EOS_ACCEPTED_EMULATED) << error_.message();
    EXPECT_EQ(eos_verdict_status(verdict_.get()), EOS_ACCEPTED_EMULATED);
    EXPECT_STREQ(eos_verdict_summary(verdict_.get()), "accepted, EMULATED: protects nothing");
    EXPECT_THAT(eos_verdict_text(verdict_.get()), StartsWith("accepted, EMULATED"));
    json::Value tree =
        json::parse(as_bytes(eos_verdict_json(verdict_.get())), {.size_bytes = 1 << 20}).value();
    EXPECT_EQ(tree["outcome"], "accepted_emulated");
    EXPECT_EQ(tree["exit_code"], 10);
}

TEST_F(EvidenceTest, OtherReportDataIsNotBound) {
    Bytes expected = report_data();
    expected.front() ^= std::byte{1};
    eos_binding binding = stated(expected);
    EXPECT_EQ(verify(scene_.intel.quote(), &binding), EOS_NOT_BOUND);
    EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("report_data"));
}

TEST_F(EvidenceTest, ZeroReportDataBindsNothing) {
    scene_.intel.report.report_data = {};
    Bytes expected = report_data();
    eos_binding binding = stated(expected);
    EXPECT_EQ(verify(scene_.intel.quote(), &binding), EOS_NOT_BOUND);
    EXPECT_THAT(eos_verdict_text(verdict_.get()), HasSubstr("bound to nothing"));
}

TEST_F(EvidenceTest, WithoutBindingNothingIsAccepted) {
    EXPECT_EQ(verify(scene_.intel.quote(), nullptr), EOS_INCOMPLETE);
    EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("not evaluated: report_data"));
}

TEST_F(EvidenceTest, StatedReportDataNeedsAPolicyThatTakesIt) {
    auto policy = scene_.evidence_policy();
    policy.bindings = {std::string(attestation::appraise::kBindingV1Challenge)};
    use(policy);
    Bytes expected = report_data();
    eos_binding binding = stated(expected);
    EXPECT_EQ(verify(scene_.intel.quote(), &binding), EOS_NOT_BOUND);
    EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("binding.format"));
}

TEST_F(EvidenceTest, OurFormsAreWorkedOutHere) {
    crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    Bytes nonce(32, std::byte{5});
    Bytes binder(32, std::byte{6});
    scene_.intel.report.report_data =
        ratls::ReportData::v1_challenge(key.public_key(), nonce, to_array<32>(binder))
            .value()
            .bytes();
    eos_binding binding{};
    binding.struct_size = sizeof binding;
    binding.form = EOS_BINDING_V1_CHALLENGE;
    binding.spki = key.public_key().spki().data();
    binding.spki_size = key.public_key().spki().size();
    binding.nonce = nonce.data();
    binding.nonce_size = nonce.size();
    binding.binder = binder.data();
    binding.binder_size = binder.size();
    EXPECT_EQ(verify(scene_.intel.quote(), &binding), EOS_ACCEPTED_EMULATED) << error_.message();
    binder.back() ^= std::byte{1};
    EXPECT_EQ(verify(scene_.intel.quote(), &binding), EOS_NOT_BOUND);
    binding.form = EOS_BINDING_V2_CHALLENGE;
    EXPECT_EQ(verify(scene_.intel.quote(), &binding), EOS_NOT_BOUND);
    scene_.intel.report.report_data =
        ratls::ReportData::v2_challenge(key.public_key(),
                                        {to_array<32>(nonce), to_array<32>(binder)})
            .bytes();
    EXPECT_EQ(verify(scene_.intel.quote(), &binding), EOS_ACCEPTED_EMULATED) << error_.message();
    binding.nonce_size = 31;
    EXPECT_EQ(verify(scene_.intel.quote(), &binding), EOS_E_ARGUMENT);

    scene_.intel.report.report_data =
        ratls::ReportData::v1_deterministic(key.public_key(), {kTime - 60}).bytes();
    eos_binding minute{};
    minute.struct_size = sizeof minute;
    minute.form = EOS_BINDING_V1_DETERMINISTIC;
    minute.spki = binding.spki;
    minute.spki_size = binding.spki_size;
    minute.not_before = kTime - 60;
    EXPECT_EQ(verify(scene_.intel.quote(), &minute), EOS_ACCEPTED_EMULATED) << error_.message();
    minute.not_before = kTime - 3 * 86400;
    EXPECT_EQ(verify(scene_.intel.quote(), &minute), EOS_NOT_BOUND);
}

TEST_F(EvidenceTest, HostileEvidenceIsRejectedAndExplained) {
    Bytes quote = scene_.intel.quote();
    Bytes expected = report_data();
    eos_binding binding = stated(expected);
    for (std::size_t size : {std::size_t{1}, std::size_t{48}, std::size_t{431}, quote.size() - 1}) {
        EXPECT_EQ(verify(ByteView(quote).first(size), &binding), EOS_NOT_GENUINE) << size;
        EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("quote.syntax")) << size;
    }
    EXPECT_EQ(verify(Bytes(1 << 20, std::byte{0xff}), &binding), EOS_NOT_GENUINE);
    for (std::size_t at = 0; at < quote.size(); at += 97) {
        Bytes flipped = quote;
        flipped[at] ^= std::byte{0x40};
        int status = verify(flipped, &binding);
        EXPECT_GE(status, EOS_NOT_GENUINE) << at;
    }
}

TEST_F(EvidenceTest, ACertificateIsJudgedByItsOwnBindingOrTheHandshakes) {
    use(scene_.leaf_policy());
    Leaf stored = scene_.deterministic_leaf();
    EXPECT_EQ(verify_chain(stored.pem), EOS_ACCEPTED_EMULATED) << eos_verdict_text(verdict_.get());
    EXPECT_EQ(verify_chain(as_chars(stored.der)), EOS_ACCEPTED_EMULATED);

    Bytes nonce(32, std::byte{9});
    Bytes binder(32, std::byte{8});
    eos_handshake handshake{sizeof(eos_handshake), nonce.data(), nonce.size(), binder.data(),
                            binder.size()};
    Leaf bound = scene_.bound_leaf(nonce, to_array<32>(binder));
    EXPECT_EQ(verify_chain(bound.pem, &handshake), EOS_ACCEPTED_EMULATED) << error_.message();
    // Neither passes for the other.
    EXPECT_EQ(verify_chain(bound.pem), EOS_NOT_BOUND);
    EXPECT_EQ(verify_chain(stored.pem, &handshake), EOS_NOT_BOUND);
    binder.front() ^= std::byte{1};
    EXPECT_EQ(verify_chain(bound.pem, &handshake), EOS_NOT_BOUND);
}

TEST_F(EvidenceTest, AnchorsDecideAboutTheChain) {
    use(scene_.leaf_policy());
    std::string root = attestation::testing::pem(scene_.intel.root());
    ASSERT_EQ(eos_verifier_set_anchors(verifier_.get(), root.data(), root.size(), nullptr), EOS_OK);
    EXPECT_EQ(verify_chain(scene_.deterministic_leaf().pem), EOS_NOT_BOUND);
    EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("certificate.chain"));
}

TEST_F(EvidenceTest, ACertificateOfAnotherProjectIsHeldAgainstItsKey) {
    const auto leaf = [&] {
        return ratls::testing::certificate(
            {{oid::kGramineLegacy, x509::Critical::kNo, scene_.intel.quote()}});
    };
    EXPECT_EQ(verify_chain(as_chars(leaf().der())), EOS_NOT_BOUND);
    scene_.intel.report.report_data = ratls::testing::report_data(ratls::testing::key_hash());
    EXPECT_EQ(verify_chain(as_chars(leaf().der())), EOS_ACCEPTED_EMULATED)
        << eos_verdict_text(verdict_.get());
    EXPECT_THAT(eos_verdict_text(verdict_.get()), HasSubstr("neither that a peer holds that key"));
    const Bytes nonce(32), binder(32);
    const eos_handshake handshake{sizeof handshake, nonce.data(), 32, binder.data(), 32};
    EXPECT_GE(verify_chain(as_chars(leaf().der()), &handshake), EOS_NOT_GENUINE);
    use(scene_.leaf_policy());
    EXPECT_EQ(verify_chain(as_chars(leaf().der())), EOS_NOT_BOUND);
    const auto refused =
        ratls::testing::certificate({{oid::kGramineLegacy, x509::Critical::kNo, {}},
                                     {oid::kConstellationGcpEs, x509::Critical::kNo, {}}});
    EXPECT_EQ(verify_chain(as_chars(refused.der())), EOS_E_INPUT);
    EXPECT_THAT(error_.code(), HasSubstr("bad_foreign_leaf"));
}

/// The JSON collateral object of a synthetic Intel.
std::string collateral_json(const attestation::testing::SyntheticIntel& intel) {
    const auto all = intel.endorsements();
    return json::compact({{"root_ca_crl", hex(*all.root_ca_crl)},
                          {"pck_crl", hex(*all.pck_crl)},
                          {"tcb_info", to_string(all.tcb_info->body)},
                          {"tcb_info_signature", hex(all.tcb_info->signature)},
                          {"tcb_info_issuer_chain", all.tcb_info->issuer_chain_pem},
                          {"qe_identity", to_string(all.qe_identity->body)},
                          {"qe_identity_signature", hex(all.qe_identity->signature)},
                          {"qe_identity_issuer_chain", all.qe_identity->issuer_chain_pem}});
}

TEST_F(EvidenceTest, ConstellationsCertificateIsHeldAgainstItsKeyAndNonce) {
    auto policy = scene_.evidence_policy();
    policy.tees = {"tdx"};
    policy.identity.clear();
    policy.allow_any_identity = true;
    use(policy);
    scene_.intel.make_tdx(attestation::evidence::TdReportKind::tdx10);
    scene_.intel.td->report_data = ratls::testing::report_data(ratls::testing::bound());
    const std::string collateral = collateral_json(scene_.intel);
    ASSERT_EQ(eos_verifier_set_collateral(verifier_.get(), collateral.data(), collateral.size(),
                                          error_.out()),
              EOS_OK);
    const json::Value document{{"RawQuote", base64(scene_.intel.quote())},
                               {"UserData", base64(ratls::testing::key_hash())}};
    const auto leaf = ratls::testing::certificate(
        {{oid::kConstellationQemuTdx, x509::Critical::kNo, to_bytes(json::compact(document))}});
    const Bytes nonce = to_bytes(ratls::testing::the_nonce());
    EXPECT_EQ(verify_foreign(leaf.der(), nonce), EOS_ACCEPTED_EMULATED)
        << eos_verdict_text(verdict_.get()) << error_.message();
    EXPECT_EQ(verify_foreign(leaf.der(), Bytes(32)), EOS_NOT_BOUND);
    EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("report_data"));
    EXPECT_EQ(verify_foreign(leaf.der(), nonce, "other.example.test"), EOS_NOT_BOUND);
    EXPECT_EQ(verify_foreign(leaf.der(), {}), EOS_NOT_BOUND);
    EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("rejected: nonce"));
    EXPECT_EQ(verify_chain(as_chars(leaf.der())), EOS_NOT_BOUND);
    for (std::size_t size : {1, 31, 33, 64}) {
        EXPECT_EQ(verify_foreign(leaf.der(), Bytes(size)), EOS_E_ARGUMENT) << size;
        EXPECT_THAT(error_.message(), HasSubstr("nonce: 32 bytes"));
    }
    // As long as the nonce is not looked at, there is no verdict.
    scene_.intel.report.report_data = ratls::testing::report_data(ratls::testing::key_hash());
    const auto gramine = ratls::testing::certificate(
        {{oid::kGramineLegacy, x509::Critical::kNo, scene_.intel.quote()}});
    EXPECT_EQ(verify_foreign(gramine.der(), nonce), EOS_E_INPUT);
    EXPECT_THAT(error_.code(), HasSubstr("bad_nonce"));
    EXPECT_EQ(verify_foreign(scene_.deterministic_leaf().der, nonce), EOS_E_INPUT);
    EXPECT_THAT(error_.message(), HasSubstr("eos_verify_certificate()"));
}

TEST_F(EvidenceTest, ACertificateOfAnotherProjectNeedsNoNonceButConstellations) {
    scene_.intel.report.report_data = ratls::testing::report_data(ratls::testing::key_hash());
    const auto leaf = ratls::testing::certificate(
        {{oid::kGramineLegacy, x509::Critical::kNo, scene_.intel.quote()}});
    EXPECT_EQ(verify_foreign(leaf.der(), {}), EOS_ACCEPTED_EMULATED) << error_.message();
    EXPECT_EQ(verify_foreign({}, {}), EOS_E_ARGUMENT);
    eos_verdict* verdict = nullptr;
    const ByteView der = leaf.der();
    EXPECT_EQ(eos_verify_foreign_certificate(nullptr, der.data(), der.size(), nullptr, nullptr, 0,
                                             kTime, &verdict, nullptr),
              EOS_E_ARGUMENT);
    EXPECT_EQ(eos_verify_foreign_certificate(verifier_.get(), der.data(), der.size(), nullptr,
                                             nullptr, 32, kTime, &verdict, nullptr),
              EOS_E_ARGUMENT);
    EXPECT_EQ(eos_verify_foreign_certificate(verifier_.get(), der.data(), der.size(), nullptr,
                                             nullptr, 0, 0, &verdict, nullptr),
              EOS_E_ARGUMENT);
    EXPECT_EQ(eos_verify_foreign_certificate(verifier_.get(), der.data(), der.size(), nullptr,
                                             nullptr, 0, kTime, nullptr, nullptr),
              EOS_E_ARGUMENT);
}

TEST_F(EvidenceTest, WhatCannotBeReadIsNamed) {
    EXPECT_EQ(verify_chain("no certificate"), EOS_E_INPUT);
    EXPECT_THAT(error_.code(), HasSubstr("common/x509/"));
    EXPECT_EQ(eos_verifier_set_collateral(verifier_.get(), "{\"x\":1}", 7, error_.out()),
              EOS_E_INPUT);
    EXPECT_THAT(error_.message(), HasSubstr("x"));
    EXPECT_EQ(eos_verifier_set_anchors(verifier_.get(), "0", 1, error_.out()), EOS_E_INPUT);
    std::string chain = scene_.deterministic_leaf().pem;
    EXPECT_EQ(eos_verifier_set_client(verifier_.get(), chain.data(), chain.size(), "key", 3,
                                      error_.out()),
              EOS_E_INPUT);
    eos_verifier* made = verifier_.get();
    EXPECT_EQ(eos_verifier_create("{\"version\":2}", 13, &made, error_.out()), EOS_E_INPUT);
    EXPECT_EQ(made, nullptr) << "an out parameter never keeps what it had";
    EXPECT_THAT(error_.message(), HasSubstr("version"));
}

TEST_F(EvidenceTest, WrongCallsAreRefused) {
    Bytes quote = scene_.intel.quote();
    for (std::int64_t time : {std::int64_t{0}, std::int64_t{-1}, kMaxTime + 1,
                              std::numeric_limits<std::int64_t>::max()}) {
        EXPECT_EQ(verify(quote, nullptr, time), EOS_E_ARGUMENT) << time;
    }
    EXPECT_EQ(verify({}, nullptr), EOS_E_ARGUMENT);
    eos_verdict* verdict = nullptr;
    EXPECT_EQ(eos_verify_evidence(verifier_.get(), quote.data(), SIZE_MAX, nullptr, kTime, &verdict,
                                  error_.out()),
              EOS_E_ARGUMENT);
    EXPECT_EQ(
        eos_verify_evidence(nullptr, quote.data(), quote.size(), nullptr, kTime, &verdict, nullptr),
        EOS_E_ARGUMENT);
    EXPECT_EQ(eos_verify_evidence(verifier_.get(), quote.data(), quote.size(), nullptr, kTime,
                                  nullptr, error_.out()),
              EOS_E_ARGUMENT);
    EXPECT_EQ(eos_verifier_create("{}", 2, nullptr, error_.out()), EOS_E_ARGUMENT);
    EXPECT_EQ(eos_verifier_set_collateral(nullptr, "{}", 2, error_.out()), EOS_E_ARGUMENT);
    EXPECT_THAT(error_.message(), HasSubstr("enclaveos_verify.h"));
}

TEST_F(EvidenceTest, AMemberThatAFormDoesNotLookAtIsRefused) {
    Bytes quote = scene_.intel.quote();
    Bytes expected = report_data();
    Bytes nonce(32, std::byte{1});
    const eos_binding good = stated(expected);
    eos_binding bad = good;
    bad.nonce = nonce.data();
    bad.nonce_size = nonce.size();
    EXPECT_EQ(verify(quote, &bad), EOS_E_ARGUMENT);
    EXPECT_THAT(error_.message(), HasSubstr("nonce is not part of this form"));
    bad = good;
    bad.not_before = kTime;
    EXPECT_EQ(verify(quote, &bad), EOS_E_ARGUMENT);
    bad = good;
    bad.report_data_size = 63;
    EXPECT_EQ(verify(quote, &bad), EOS_E_ARGUMENT);
    bad = good;
    bad.report_data = nullptr;
    EXPECT_EQ(verify(quote, &bad), EOS_E_ARGUMENT);
    bad = good;
    bad.form = 5;
    EXPECT_EQ(verify(quote, &bad), EOS_E_ARGUMENT);
    bad = good;
    bad.struct_size += 8;
    EXPECT_EQ(verify(quote, &bad), EOS_E_ARGUMENT);
}

TEST_F(EvidenceTest, AMemoryFindsOlderCollateralOut) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("eos-c-memory-" + std::to_string(::getpid()));
    std::filesystem::create_directory(folder);
    const Bytes data = report_data();
    const eos_binding binding = stated(data);
    auto verify_at = [&](int number) {
        scene_.intel.tcb_info["tcbEvaluationDataNumber"] = number;
        scene_.intel.qe_identity["tcbEvaluationDataNumber"] = number;
        const std::string text = collateral_json(scene_.intel);
        EXPECT_EQ(
            eos_verifier_set_collateral(verifier_.get(), text.data(), text.size(), error_.out()),
            EOS_OK);
        return verify(scene_.intel.quote(), &binding);
    };
    ASSERT_EQ(eos_verifier_set_memory(verifier_.get(), folder.c_str(), error_.out()), EOS_OK);
    EXPECT_EQ(verify_at(17), EOS_ACCEPTED_EMULATED) << eos_verdict_text(verdict_.get());
    EXPECT_EQ(verify_at(16), EOS_NOT_GENUINE);
    EXPECT_THAT(eos_verdict_summary(verdict_.get()), HasSubstr("tcb_info.rollback"));
    EXPECT_EQ(verify_at(18), EOS_ACCEPTED_EMULATED);
    // Another verifier with the same folder goes on where this one was.
    VerifierHandle first = std::move(verifier_);
    verifier_ = scene_.verifier(scene_.evidence_policy());
    EXPECT_EQ(verify_at(17), EOS_ACCEPTED_EMULATED) << "it has no memory";
    ASSERT_EQ(eos_verifier_set_memory(verifier_.get(), folder.c_str(), error_.out()), EOS_OK);
    EXPECT_EQ(verify_at(17), EOS_NOT_GENUINE);
    std::filesystem::resize_file(folder / "collateral-seen.json", 1);
    EXPECT_EQ(verify_at(18), EOS_E_INPUT);
    EXPECT_THAT(error_.message(), HasSubstr("collateral-seen.json"));
    ASSERT_EQ(eos_verifier_set_memory(verifier_.get(), nullptr, error_.out()), EOS_OK);
    EXPECT_EQ(verify_at(17), EOS_ACCEPTED_EMULATED);
    const std::string nowhere = folder / "nowhere";
    EXPECT_EQ(eos_verifier_set_memory(verifier_.get(), nowhere.c_str(), error_.out()),
              EOS_E_ARGUMENT);
    std::filesystem::remove_all(folder);
}

TEST(NullHandles, AreHarmlessAndNeverAccepted) {
    eos_error_destroy(nullptr);
    eos_verdict_destroy(nullptr);
    eos_verifier_destroy(nullptr);
    eos_connection_close(nullptr);
    EXPECT_EQ(eos_verdict_status(nullptr), EOS_E_ARGUMENT);
    EXPECT_STREQ(eos_verdict_summary(nullptr), "");
    EXPECT_EQ(eos_error_status(nullptr), EOS_E_ARGUMENT);
    EXPECT_STREQ(eos_error_message(nullptr), "");
    EXPECT_EQ(eos_verify_abi_version(), EOS_VERIFY_ABI_VERSION);
}

}  // namespace
}  // namespace eos::client::bindings::c
