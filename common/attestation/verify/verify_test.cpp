// SPDX-License-Identifier: AGPL-3.0-only
// Verification of synthetic evidence under a test PKI: every check has a twin that makes exactly it
// fail.
#include "common/attestation/verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <concepts>

#include "common/attestation/verify/pck_chain.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/x509/builder.h"
#include "common/x509/pem.h"

namespace eos::attestation::verify {
namespace {

using endorsements::TcbStatus;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kNow;
using testing::pem;
using testing::SyntheticIntel;
using ::testing::UnorderedElementsAre;

static_assert(!std::default_initializable<VerifiedEvidence>);
static_assert(!std::default_initializable<Verification>);
static_assert(
    !std::constructible_from<VerifiedEvidence, TeeClaims, RootIdentity, std::optional<TcbResult>>);

Verification run(const SyntheticIntel& intel) {
    return verify_quote(intel.quote(), intel.endorsements(), intel.roots(), kNow);
}

std::vector<std::string> failures(const Verification& verification) {
    EXPECT_EQ(verification.evidence() == nullptr, !summarise(verification.tree()).failed.empty());
    return summarise(verification.tree()).failed;
}

std::vector<std::string> failures(const SyntheticIntel& intel) {
    return failures(run(intel));
}

TEST(Verify, AnOlderStatementThanSeenIsARollback) {
    SyntheticIntel intel;
    endorsements::Endorsements with = intel.endorsements();
    auto number = intel.tcb_info["tcbEvaluationDataNumber"].get<std::uint32_t>();
    with.seen_evaluation_data_number = number;
    EXPECT_THAT(failures(verify_quote(intel.quote(), with, intel.roots(), kNow)), IsEmpty());
    with.seen_evaluation_data_number = number + 1;
    EXPECT_THAT(failures(verify_quote(intel.quote(), with, intel.roots(), kNow)),
                UnorderedElementsAre("tcb_info.rollback", "qe_identity.rollback"));
    // The same from a bundle.
    endorsements::Endorsements bundle;
    bundle.pieces = endorsements::to_pieces(intel.endorsements(), kNow, "test").value();
    bundle.seen_evaluation_data_number = number + 1;
    EXPECT_THAT(failures(verify_quote(intel.quote(), bundle, intel.roots(), kNow)),
                UnorderedElementsAre("tcb_info.rollback", "qe_identity.rollback"));
}

TEST(Verify, CompleteEvidencePasses) {
    SyntheticIntel intel;
    Verification verification = run(intel);
    Summary summary = summarise(verification.tree());
    EXPECT_EQ(summary.verdict, Verdict::pass) << render_text(verification.tree());
    ASSERT_NE(verification.evidence(), nullptr);
    const VerifiedEvidence& evidence = *verification.evidence();
    EXPECT_EQ(evidence.root().kind, RootKind::test);
    EXPECT_EQ(evidence.root().name, "synthetic");
    const auto& claims = std::get<SgxClaims>(evidence.claims());
    EXPECT_EQ(claims.report, intel.report);
    EXPECT_EQ(claims.platform.ppid, intel.platform.ppid);
    ASSERT_TRUE(evidence.tcb().has_value());
    EXPECT_EQ(evidence.tcb()->status, TcbStatus::up_to_date);
    EXPECT_EQ(evidence.tcb()->shortfall, "");
}

TEST(Verify, WithoutEndorsementsEachMissingCheckIsNamed) {
    SyntheticIntel intel;
    Verification verification = verify_quote(intel.quote(), {}, intel.roots(), kNow);
    Summary summary = summarise(verification.tree());
    EXPECT_EQ(summary.verdict, Verdict::not_evaluated);
    EXPECT_THAT(summary.failed, IsEmpty());
    EXPECT_THAT(summary.not_evaluated,
                UnorderedElementsAre("crl.root", "crl.pck", "tcb.level", "qe.identity"));
    ASSERT_NE(verification.evidence(), nullptr);
    EXPECT_FALSE(verification.evidence()->tcb().has_value());
}

TEST(Verify, TestRootIsNotAVendorRoot) {
    SyntheticIntel intel;
    Verification verification = verify_quote(intel.quote(), {}, Roots::intel(), kNow);
    EXPECT_THAT(failures(verification), UnorderedElementsAre("pck.root", "pck.chain"));
    SyntheticIntel other;
    EXPECT_THAT(failures(verify_quote(intel.quote(), {}, other.roots(), kNow)),
                ElementsAre("pck.root"));
}

TEST(Verify, SyntaxFailureIsATree) {
    SyntheticIntel intel;
    intel.alter_quote = [](Bytes& quote) { quote.pop_back(); };
    Verification verification = run(intel);
    EXPECT_THAT(failures(verification), ElementsAre("quote.syntax"));
    EXPECT_THAT(render_text(verification.tree()), HasSubstr("the quote ends too early"));
}

// --- the quote ---

struct Flip {
    const char* what;
    std::size_t offset;
    std::vector<std::string> expected;
};

TEST(Verify, OneFlippedBitFailsExactlyTheCheckThatCoversIt) {
    constexpr std::size_t kAuth = 436;
    const Flip flips[] = {
        {"version", 0, {"quote.syntax"}},
        {"attestation key type", 2, {"quote.syntax"}},
        {"tee type", 4, {"quote.syntax"}},
        {"qe svn", 8, {"quote.signature"}},
        {"pce svn", 10, {"quote.signature"}},
        {"vendor id", 12, {"quote.syntax"}},
        {"user data", 28, {"quote.signature"}},
        {"cpusvn", 48, {"quote.signature"}},
        {"attributes", 96, {"quote.signature"}},
        {"mr_enclave", 112, {"quote.signature"}},
        {"mr_signer", 176, {"quote.signature"}},
        {"reserved", 208, {"quote.signature"}},
        {"report data", 368, {"quote.signature"}},
        {"auth size", 432, {"quote.syntax"}},
        {"signature r", kAuth, {"quote.signature"}},
        {"signature s", kAuth + 63, {"quote.signature"}},
        {"attestation key", kAuth + 64, {"qe.binding", "quote.signature"}},
        {"QE report, reserved", kAuth + 128 + 24, {"qe.report_signature"}},
        {"QE report, data", kAuth + 128 + 320, {"qe.report_signature", "qe.binding"}},
        {"QE report signature", kAuth + 512, {"qe.report_signature"}},
        {"QE auth data", kAuth + 578, {"qe.binding"}},
        {"certification type", kAuth + 610, {"quote.syntax"}},
        {"certification size", kAuth + 612, {"quote.syntax"}},
    };
    for (const Flip& flip : flips) {
        SyntheticIntel intel;
        intel.alter_quote = [&](Bytes& quote) { quote[flip.offset] ^= std::byte{1}; };
        EXPECT_THAT(failures(intel), ::testing::UnorderedElementsAreArray(flip.expected))
            << flip.what;
    }
}

void put(Bytes& quote, std::size_t at, ByteView bytes) {
    std::ranges::copy(bytes, quote.begin() + static_cast<std::ptrdiff_t>(at));
}

TEST(Verify, DegenerateNumbersAreFailuresNotCrashes) {
    const Bytes order =
        from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").value();
    const Bytes zero(32, std::byte{0});
    const Bytes all(32, std::byte{0xff});
    for (const Bytes& number : {order, zero, all}) {
        for (std::size_t at : {436u, 436u + 32u}) {
            SyntheticIntel intel;
            intel.alter_quote = [&](Bytes& quote) { put(quote, at, number); };
            EXPECT_THAT(failures(intel), ElementsAre("quote.signature"));
        }
        SyntheticIntel intel;
        intel.alter_quote = [&](Bytes& quote) {
            put(quote, 436 + 64, number);
            put(quote, 436 + 96, number);
        };
        EXPECT_THAT(failures(intel), ElementsAre("qe.binding", "quote.signature"));
    }
}

TEST(Verify, MixingTwoQuotesFails) {
    SyntheticIntel a;
    SyntheticIntel b;
    Bytes other = b.quote();
    a.alter_quote = [&](Bytes& quote) {  // attestation key and signature of B
        put(quote, 0, ByteView(other).first(432));
        put(quote, 436, ByteView(other).subspan(436, 128));
    };
    EXPECT_THAT(failures(a), ElementsAre("qe.binding"));
    SyntheticIntel c;  // the PCK chain of B
    c.chain_pem = [&](const SyntheticIntel&) { return b.chain_pem(b); };
    EXPECT_THAT(failures(verify_quote(c.quote(), {}, b.roots(), kNow)),
                ElementsAre("qe.report_signature"));
}

// --- the PCK chain ---

TEST(Verify, OldOrderOfTheChainIsTaken) {
    SyntheticIntel intel;
    intel.chain_pem = [](const SyntheticIntel& i) {
        return pem(i.pck()) + pem(i.root()) + pem(i.ca());
    };
    EXPECT_THAT(failures(intel), IsEmpty());
}

TEST(Verify, BlocksJoinedWithoutLineEndAreTaken) {
    SyntheticIntel intel;
    intel.chain_pem = [](const SyntheticIntel& i) {
        std::string leaf = pem(i.pck());
        std::string ca = pem(i.ca());
        leaf.pop_back();
        ca.pop_back();
        return leaf + ca + pem(i.root());
    };
    EXPECT_THAT(failures(intel), IsEmpty());
}

TEST(Verify, ChainsOfAnotherShapeFail) {
    using Make = std::string (*)(const SyntheticIntel&);
    const Make makes[] = {
        [](const SyntheticIntel&) { return std::string(); },
        [](const SyntheticIntel& i) { return pem(i.pck()); },
        [](const SyntheticIntel& i) { return pem(i.pck()) + pem(i.ca()); },
        [](const SyntheticIntel& i) { return pem(i.pck()) + pem(i.pck()) + pem(i.root()); },
        [](const SyntheticIntel& i) {
            return pem(i.pck()) + pem(i.ca()) + pem(i.root()) + pem(i.root());
        },
        [](const SyntheticIntel& i) { return pem(i.pck()) + pem(i.root()) + pem(i.root()); },
        [](const SyntheticIntel& i) { return to_string(i.pck().der()); },
        [](const SyntheticIntel& i) {
            return "text\n" + pem(i.pck()) + pem(i.ca()) + pem(i.root());
        },
    };
    for (Make make : makes) {
        SyntheticIntel intel;
        intel.chain_pem = make;
        std::vector<std::string> failed =
            failures(verify_quote(intel.quote(), {}, intel.roots(), kNow));
        ASSERT_FALSE(failed.empty());
        EXPECT_TRUE(failed[0] == "pck.certificates" || failed[0] == "pck.chain") << failed[0];
    }
}

TEST(Verify, ChainTwinsFail) {
    using Alter = void (*)(SyntheticIntel&);
    struct Twin {
        const char* what;
        Alter alter;
    };
    const Twin twins[] = {
        {"CA without basicConstraints",
         [](SyntheticIntel& i) { i.ca_recipe.extensions.pop_back(); }},
        {"CA without keyCertSign",
         [](SyntheticIntel& i) {
             i.ca_recipe.extensions[0] = x509::make_key_usage(x509::kCrlSign);
         }},
        {"path length of the root exceeded",
         [](SyntheticIntel& i) {
             i.root_recipe.extensions[1] =
                 x509::make_basic_constraints({.is_ca = true, .path_length = 0});
         }},
        {"leaf that is a CA",
         [](SyntheticIntel& i) { i.pck_recipe.extensions = i.ca_recipe.extensions; }},
        {"leaf that may not sign",
         [](SyntheticIntel& i) {
             i.pck_recipe.extensions[0] = x509::make_key_usage(x509::kKeyAgreement);
         }},
        {"unknown critical extension",
         [](SyntheticIntel& i) {
             i.pck_recipe.extensions.push_back(
                 {oid::kLeafBinding, x509::Critical::kYes, to_bytes("x")});
         }},
        {"CA of another key",
         [](SyntheticIntel& i) {
             i.chain_pem = [](const SyntheticIntel& intel) {
                 SyntheticIntel other;
                 return pem(intel.pck()) + pem(other.ca()) + pem(intel.root());
             };
         }},
    };
    for (const Twin& twin : twins) {
        SyntheticIntel intel;
        twin.alter(intel);
        EXPECT_THAT(failures(verify_quote(intel.quote(), {}, intel.roots(), kNow)),
                    ElementsAre("pck.chain"))
            << twin.what;
    }
}

TEST(Verify, EveryCertificateMustBeValidAtTheTime) {
    for (int which = 0; which < 3; ++which) {
        SyntheticIntel intel;
        x509::Validity& validity = which == 0   ? intel.root_recipe.validity
                                   : which == 1 ? intel.ca_recipe.validity
                                                : intel.pck_recipe.validity;
        validity = {kNow - 10, kNow + 10};
        Bytes quote = intel.quote();
        Roots roots = intel.roots();
        for (std::int64_t inside : {-10, 0, 10})
            EXPECT_THAT(failures(verify_quote(quote, {}, roots, kNow + inside)), IsEmpty());
        for (std::int64_t outside : {-11, 11}) {
            EXPECT_THAT(failures(verify_quote(quote, {}, roots, kNow + outside)),
                        ElementsAre("pck.validity"));
        }
    }
}

TEST(Roots, OnlyMarkedRootsAreTestRoots) {
    SyntheticIntel unmarked;
    unmarked.root_recipe.extensions.pop_back();
    EXPECT_EQ(Roots::test({{"x", unmarked.root()}}).error().code(), bad_test_root);
    SyntheticIntel not_critical;
    not_critical.root_recipe.extensions.back().critical = x509::Critical::kNo;
    EXPECT_EQ(Roots::test({{"x", not_critical.root()}}).error().code(), bad_test_root);
    SyntheticIntel intel;
    EXPECT_EQ(Roots::test({}).error().code(), bad_test_root);
    EXPECT_EQ(Roots::test({{"", intel.root()}}).error().code(), bad_test_root);
    EXPECT_EQ(Roots::test({{"x", intel.ca()}}).error().code(), bad_test_root);
    EXPECT_TRUE(Roots::test({{"x", intel.root()}}).has_value());
}

// --- revocation ---

TEST(Verify, RevokedCertificatesAreRefused) {
    SyntheticIntel pck;
    pck.pck_revoked = {x509::Serial::random(), pck.pck_recipe.serial};
    EXPECT_THAT(failures(pck), ElementsAre("crl.pck"));
    SyntheticIntel ca;
    ca.root_revoked = {ca.ca_recipe.serial};
    EXPECT_THAT(failures(ca), ElementsAre("crl.root"));
    SyntheticIntel signer;
    signer.root_revoked = {signer.signer_recipe.serial};
    EXPECT_THAT(failures(signer), ElementsAre("crl.root"));
    SyntheticIntel others;
    others.pck_revoked = {x509::Serial::random()};
    others.root_revoked = {x509::Serial::random()};
    EXPECT_THAT(failures(others), IsEmpty());
}

TEST(Verify, ListsOfOthersOrOfOtherTimesAreRefused) {
    SyntheticIntel intel;
    endorsements::Endorsements swapped = intel.endorsements();
    std::swap(swapped.root_ca_crl, swapped.pck_crl);
    EXPECT_THAT(failures(verify_quote(intel.quote(), swapped, intel.roots(), kNow)),
                UnorderedElementsAre("crl.root", "crl.pck"));

    endorsements::Endorsements altered = intel.endorsements();
    altered.pck_crl->back() ^= std::byte{1};
    EXPECT_THAT(failures(verify_quote(intel.quote(), altered, intel.roots(), kNow)),
                ElementsAre("crl.pck"));

    SyntheticIntel other;
    altered = intel.endorsements();
    altered.pck_crl = other.pck_crl();
    EXPECT_THAT(failures(verify_quote(intel.quote(), altered, intel.roots(), kNow)),
                ElementsAre("crl.pck"));

    SyntheticIntel stale;
    stale.crl_validity = {kNow - 100, kNow - 1};
    EXPECT_THAT(failures(stale), UnorderedElementsAre("crl.root", "crl.pck"));
    SyntheticIntel early;
    early.crl_validity = {kNow + 1, kNow + 100};
    EXPECT_THAT(failures(early), UnorderedElementsAre("crl.root", "crl.pck"));
}

// --- TCB info and QE identity ---

using AlterJson = void (*)(SyntheticIntel&);

/// The same TCB info in the older form.
void as_version_2(json::Value& tcb_info) {
    tcb_info["version"] = 2;
    tcb_info.erase("id");
    for (json::Value& level : tcb_info["tcbLevels"]) {
        json::Value& tcb = level["tcb"];
        for (int i = 1; i <= 16; ++i) {
            const std::string number = (i < 10 ? "0" : "") + std::to_string(i);
            tcb["sgxtcbcomp" + number + "svn"] = tcb["sgxtcbcomponents"][i - 1]["svn"];
        }
        tcb.erase("sgxtcbcomponents");
    }
}

struct JsonTwin {
    const char* what;
    AlterJson alter;
    std::vector<std::string> expected;
};

TEST(Verify, StatementTwinsFail) {
    const JsonTwin twins[] = {
        {"another FMSPC",
         [](SyntheticIntel& i) { i.tcb_info["fmspc"] = "00906ed50001"; },
         {"tcb_info.platform"}},
        {"another PCE id",
         [](SyntheticIntel& i) { i.tcb_info["pceId"] = "0001"; },
         {"tcb_info.platform"}},
        {"version 2", [](SyntheticIntel& i) { as_version_2(i.tcb_info); }, {}},
        {"version 2 without a PCE id",
         [](SyntheticIntel& i) {
             as_version_2(i.tcb_info);
             i.tcb_info.erase("pceId");
         },
         {"tcb_info.platform"}},
        {"for TDX", [](SyntheticIntel& i) { i.tcb_info["id"] = "TDX"; }, {"tcb_info.syntax"}},
        {"stale TCB info",
         [](SyntheticIntel& i) { i.tcb_info["nextUpdate"] = "2026-05-28T20:26:39Z"; },
         {"tcb_info.dates"}},
        {"TCB info of the future",
         [](SyntheticIntel& i) { i.tcb_info["issueDate"] = "2026-05-28T20:26:41Z"; },
         {"tcb_info.dates"}},
        {"no level reached",
         [](SyntheticIntel& i) { i.platform.tcb.components[15] = std::byte{2}; },
         {"tcb.level"}},
        {"revoked level",
         [](SyntheticIntel& i) { i.tcb_info["tcbLevels"][0]["tcbStatus"] = "Revoked"; },
         {"tcb.level"}},
        {"TD_QE", [](SyntheticIntel& i) { i.qe_identity["id"] = "TD_QE"; }, {"qe_identity.id"}},
        {"QVE", [](SyntheticIntel& i) { i.qe_identity["id"] = "QVE"; }, {"qe_identity.syntax"}},
        {"stale QE identity",
         [](SyntheticIntel& i) { i.qe_identity["nextUpdate"] = "2026-05-28T20:26:39Z"; },
         {"qe_identity.dates"}},
        {"another QE signer",
         [](SyntheticIntel& i) { i.qe_report.mr_signer[31] ^= std::byte{1}; },
         {"qe.identity"}},
        {"another QE product",
         [](SyntheticIntel& i) { i.qe_report.isv_prod_id = 2; },
         {"qe.identity"}},
        {"QE in debug mode",
         [](SyntheticIntel& i) { i.qe_report.attributes.flags |= sgx_arch::kAttributeDebug; },
         {"qe.identity"}},
        {"QE with EXINFO", [](SyntheticIntel& i) { i.qe_report.misc_select = 1; }, {"qe.identity"}},
        {"QE below every level", [](SyntheticIntel& i) { i.qe_report.isv_svn = 4; }, {"qe.level"}},
        {"QE level revoked",
         [](SyntheticIntel& i) { i.qe_identity["tcbLevels"][0]["tcbStatus"] = "Revoked"; },
         {"qe.level"}},
    };
    for (const JsonTwin& twin : twins) {
        SyntheticIntel intel;
        twin.alter(intel);
        EXPECT_THAT(failures(intel), ::testing::UnorderedElementsAreArray(twin.expected))
            << twin.what;
    }
}

TEST(Verify, MaskedAttributesOfTheQuotingEnclaveDoNotMatter) {
    SyntheticIntel intel;
    intel.qe_report.attributes.flags ^= sgx_arch::kAttributeMode64;
    intel.qe_report.attributes.xfrm = 0xe7;
    EXPECT_THAT(failures(intel), IsEmpty());
}

TEST(Verify, OneByteOfASignedStatementBreaksItsSignature) {
    SyntheticIntel intel;
    Bytes quote = intel.quote();
    endorsements::Endorsements altered = intel.endorsements();
    altered.tcb_info->body.push_back(std::byte{' '});  // the same JSON value
    EXPECT_THAT(failures(verify_quote(quote, altered, intel.roots(), kNow)),
                ElementsAre("tcb_info.signature"));
    altered = intel.endorsements();
    altered.qe_identity->signature[40] ^= std::byte{1};
    EXPECT_THAT(failures(verify_quote(quote, altered, intel.roots(), kNow)),
                ElementsAre("qe_identity.signature"));
}

TEST(Verify, OnlyTheTcbSignerSignsStatements) {
    SyntheticIntel intel;
    Bytes quote = intel.quote();
    auto with_signer = [&](const x509::Certificate& signer, const crypto::P256PrivateKey& key) {
        endorsements::Endorsements out = intel.endorsements();
        out.tcb_info->signature = key.sign_raw(out.tcb_info->body);
        out.tcb_info->issuer_chain_pem = pem(signer) + pem(intel.root());
        return failures(verify_quote(quote, out, intel.roots(), kNow));
    };
    EXPECT_THAT(with_signer(intel.ca(), intel.ca_key), ElementsAre("tcb_info.chain"));
    EXPECT_THAT(with_signer(intel.pck(), intel.pck_key), ElementsAre("tcb_info.chain"));
    EXPECT_THAT(with_signer(intel.root(), intel.root_key), ElementsAre("tcb_info.chain"));

    // A PCK certificate directly under the root.
    SyntheticIntel confused;
    confused.signer_recipe.extensions.push_back(
        {oid::kPckExtension, x509::Critical::kNo,
         SyntheticIntel::encode_pck_extension(confused.platform)});
    EXPECT_THAT(failures(confused), UnorderedElementsAre("tcb_info.chain", "qe_identity.chain"));

    // The TCB signer as PCK certificate.
    SyntheticIntel reverse;
    reverse.chain_pem = [](const SyntheticIntel& i) {
        return pem(i.signer()) + pem(i.ca()) + pem(i.root());
    };
    EXPECT_THAT(failures(verify_quote(reverse.quote(), {}, reverse.roots(), kNow)),
                ElementsAre("pck.chain", "pck.extension", "qe.report_signature"));
}

TEST(Verify, StatementsUnderAnotherTestRootAreRefused) {
    SyntheticIntel a;
    SyntheticIntel b;
    Roots both = Roots::test({{"a", a.root()}, {"b", b.root()}}).value();
    endorsements::Endorsements mixed = a.endorsements();
    mixed.tcb_info = b.sign(a.tcb_info);
    EXPECT_THAT(failures(verify_quote(a.quote(), mixed, both, kNow)), ElementsAre("tcb_info.root"));
}

TEST(Verify, StatusesAreMergedAndExplained) {
    SyntheticIntel intel;
    intel.platform.tcb.components[6] = std::byte{4};
    intel.platform.tcb.pce_svn = 12;
    intel.tcb_info["tcbLevels"][1]["advisoryIDs"] = {"INTEL-SA-2", "INTEL-SA-1"};
    intel.qe_identity["tcbLevels"][0]["advisoryIDs"] = {"INTEL-SA-2", "INTEL-SA-3"};
    intel.qe_identity["tcbEvaluationDataNumber"] = 19;
    Verification verification = run(intel);
    ASSERT_NE(verification.evidence(), nullptr) << render_text(verification.tree());
    const TcbResult& tcb = verification.evidence()->tcb().value();
    EXPECT_EQ(tcb.status, TcbStatus::out_of_date);
    EXPECT_EQ(rfc3339(tcb.date), "2025-11-12T00:00:00Z");
    EXPECT_EQ(tcb.evaluation_data_number, 19u);
    EXPECT_THAT(tcb.advisories, ElementsAre("INTEL-SA-1", "INTEL-SA-2", "INTEL-SA-3"));
    EXPECT_EQ(tcb.shortfall,
              "SGX component 7 has SVN 4, the newest level needs 5; "
              "the PCE has SVN 12, the newest level needs 13");

    SyntheticIntel old_qe;
    old_qe.qe_report.isv_svn = 5;
    old_qe.tcb_info["tcbLevels"][0]["tcbStatus"] = "ConfigurationNeeded";
    EXPECT_EQ(run(old_qe).evidence()->tcb()->status, TcbStatus::out_of_date_configuration_needed);
}

/// Every byte of a quote is covered by a signature or by strict parsing: there is no exception.
TEST(Verify, NoSingleBitFlipIsAccepted) {
    SyntheticIntel intel;
    Bytes quote = intel.quote();
    Roots roots = intel.roots();
    ASSERT_NE(verify_quote(quote, {}, roots, kNow).evidence(), nullptr);
    for (std::size_t at = 0; at < quote.size(); ++at) {
        if (at % 3 != 0 && at + 40 < quote.size()) continue;
        const auto bit = static_cast<std::byte>(1u << (at * 5 % 8));
        quote[at] ^= bit;
        EXPECT_EQ(verify_quote(quote, {}, roots, kNow).evidence(), nullptr) << "byte " << at;
        quote[at] ^= bit;
    }
}

TEST(Verify, NothingButALineEndMayFollowTheChain) {
    for (const char* tail : {" ", "\t", "\n ", "x"}) {
        SyntheticIntel intel;
        intel.chain_pem = [&](const SyntheticIntel& i) {
            std::string all = pem(i.pck()) + pem(i.ca()) + pem(i.root());
            return all + tail;
        };
        EXPECT_THAT(failures(verify_quote(intel.quote(), {}, intel.roots(), kNow)),
                    ElementsAre("pck.certificates"));
    }
    using namespace std::string_literals;
    for (const std::string& tail : {""s, "\0"s, "\n"s, "\n\0"s}) {  // as real quotes end
        SyntheticIntel intel;
        intel.chain_pem = [&](const SyntheticIntel& i) {
            std::string all = pem(i.pck()) + pem(i.ca()) + pem(i.root());
            all.pop_back();
            return all + tail;
        };
        EXPECT_THAT(failures(intel), IsEmpty());
    }
}

TEST(Verify, TheTreeIsDeterministic) {
    SyntheticIntel intel;
    Bytes quote = intel.quote();
    endorsements::Endorsements endorsements = intel.endorsements();
    Verification a = verify_quote(quote, endorsements, intel.roots(), kNow);
    Verification b = verify_quote(quote, endorsements, intel.roots(), kNow);
    EXPECT_EQ(render_text(a.tree()), render_text(b.tree()));
    EXPECT_EQ(json::compact(render_json(a.tree())), json::compact(render_json(b.tree())));
}

// Intel's PCKs have P-256 keys: one of another curve, rightly certified, signs nothing for us.
TEST(Verify, APckWithAKeyOfP384IsRefused) {
    SyntheticIntel intel;
    const auto key = crypto::P384PrivateKey::generate();
    intel.chain_pem = [&key](const SyntheticIntel& of) {
        const x509::Certificate pck = of.pck();
        const Bytes spki = to_bytes(key.public_key().spki());
        x509::CertificateDraft draft({.serial = pck.serial(),
                                      .issuer = pck.issuer().der(),
                                      .validity = pck.validity(),
                                      .subject = pck.subject().der(),
                                      .spki = spki});
        for (const x509::ExtensionView& one : pck.extensions())
            draft.add({one.oid, one.critical, to_bytes(one.value)});
        const Bytes der = draft.sign(of.ca_key);
        return x509::encode_pem("CERTIFICATE", der) + pem(of.ca()) + pem(of.root());
    };
    const Verification twin =
        verify_quote(intel.quote(), intel.endorsements(), intel.roots(), kNow);
    EXPECT_EQ(twin.evidence(), nullptr);
    EXPECT_THAT(summarise(twin.tree()).failed, ::testing::Contains("qe.report_signature"))
        << render_text(twin.tree());
}

// Each joint of it used to cost a move of everything behind it.
TEST(PckChain, IsNotLookedAtIfItIsTooLong) {
    std::string joints;
    while (joints.size() <= 32 * 1024)
        joints += "-----END CERTIFICATE----------BEGIN CERTIFICATE-----";
    const auto chain = parse_pck_chain(joints);
    EXPECT_EQ(chain.error().code(), bad_chain);
    EXPECT_EQ(chain.error().detail(), "more than 32 KiB");
}

}  // namespace
}  // namespace eos::attestation::verify
