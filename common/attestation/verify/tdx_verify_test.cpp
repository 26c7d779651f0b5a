// SPDX-License-Identifier: AGPL-3.0-only
// Verification of synthetic TDX evidence under a test PKI: every check that is TDX's own has a twin
// that makes exactly it fail, and every status that the corpus of real evidence lacks occurs here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/attestation/verify/verify.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using endorsements::TcbStatus;
using evidence::TdReportKind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kNow;
using testing::pem;
using testing::SyntheticIntel;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

using Ids = std::vector<std::string>;
using Alter = void (*)(SyntheticIntel&);

constexpr std::array kKinds{TdReportKind::tdx10, TdReportKind::tdx15, TdReportKind::tdx15_extended};

Verification run(const SyntheticIntel& intel) {
    return verify_quote(intel.quote(), intel.endorsements(), intel.roots(), kNow);
}

Ids failures(const Verification& verification) {
    EXPECT_EQ(verification.evidence() == nullptr, !summarise(verification.tree()).failed.empty());
    return summarise(verification.tree()).failed;
}

/// A TDX platform of this kind after `alter`.
Ids failures(TdReportKind kind, const std::function<void(SyntheticIntel&)>& alter) {
    SyntheticIntel intel;
    intel.make_tdx(kind);
    alter(intel);
    return failures(run(intel));
}

TEST(TdxVerify, CompleteEvidencePasses) {
    for (TdReportKind kind : kKinds) {
        SyntheticIntel intel;
        intel.make_tdx(kind);
        Verification verification = run(intel);
        EXPECT_EQ(summarise(verification.tree()).verdict, Verdict::pass)
            << render_text(verification.tree());
        ASSERT_NE(verification.evidence(), nullptr);
        const auto& claims = std::get<TdxClaims>(verification.evidence()->claims());
        EXPECT_EQ(claims.report, *intel.td);
        EXPECT_EQ(claims.platform.ppid, intel.platform.ppid);
        const TcbResult& tcb = verification.evidence()->tcb().value();
        EXPECT_EQ(tcb.status, TcbStatus::up_to_date);
        EXPECT_EQ(tcb.tdx_module, TcbStatus::up_to_date);
        EXPECT_EQ(tcb.current.has_value(), kind != TdReportKind::tdx10);
        EXPECT_EQ(rfc3339(tcb.date), "2025-11-12T00:00:00Z");  // of the quoting enclave
    }
}

TEST(TdxVerify, Tdx10BodiesInVersion5AndSgxBodiesInLaterVersions) {
    EXPECT_THAT(failures(TdReportKind::tdx10, [](SyntheticIntel& i) { i.quote_version = 5; }),
                IsEmpty());
    for (std::uint16_t version : std::to_array<std::uint16_t>({4, 5})) {
        SyntheticIntel intel;
        intel.quote_version = version;
        Verification verification = run(intel);
        EXPECT_EQ(summarise(verification.tree()).verdict, Verdict::pass)
            << render_text(verification.tree());
        const auto& claims = std::get<SgxClaims>(verification.evidence()->claims());
        EXPECT_EQ(claims.report, intel.report);
    }
}

TEST(TdxVerify, WithoutEndorsementsEachMissingCheckIsNamed) {
    SyntheticIntel intel;
    intel.make_tdx(TdReportKind::tdx15);
    Verification verification = verify_quote(intel.quote(), {}, intel.roots(), kNow);
    EXPECT_THAT(summarise(verification.tree()).not_evaluated,
                UnorderedElementsAre("crl.root", "crl.pck", "tcb.level", "qe.identity",
                                     "tdx_module.identity"));
    EXPECT_NE(verification.evidence(), nullptr);
}

/// Twins of one TDX platform, each with the nodes that must fail.
struct Twin {
    const char* what;
    TdReportKind kind;
    Alter alter;
    Ids expected;
};

void expect_all(std::span<const Twin> twins) {
    for (const Twin& twin : twins) {
        EXPECT_THAT(failures(twin.kind, twin.alter), UnorderedElementsAreArray(twin.expected))
            << twin.what;
    }
}

constexpr auto k10 = TdReportKind::tdx10;
constexpr auto k15 = TdReportKind::tdx15;

TEST(TdxVerify, StatementsOfTheOtherTeeFail) {
    const SyntheticIntel sgx;
    EXPECT_THAT(failures(k10, [&](SyntheticIntel& i) { i.tcb_info = sgx.tcb_info; }),
                ElementsAre("tcb_info.platform"));
    EXPECT_THAT(failures(k10, [&](SyntheticIntel& i) { i.qe_identity = sgx.qe_identity; }),
                UnorderedElementsAre("qe_identity.id", "qe.identity"));
    SyntheticIntel tdx;
    tdx.make_tdx(k10);
    SyntheticIntel swapped;
    swapped.tcb_info = tdx.tcb_info;
    EXPECT_THAT(failures(run(swapped)), ElementsAre("tcb_info.platform"));
    SyntheticIntel other_qe;
    other_qe.qe_identity = tdx.qe_identity;
    EXPECT_THAT(failures(run(other_qe)), UnorderedElementsAre("qe_identity.id", "qe.identity"));
    const Twin twins[] = {
        {"QVE",
         k10,
         [](SyntheticIntel& i) { i.qe_identity["id"] = "QVE"; },
         {"qe_identity.syntax"}},
        {"the SGX quoting enclave's report",
         k10,
         [](SyntheticIntel& i) { i.qe_report.isv_prod_id = 1; },
         {"qe.identity"}},
        {"TD quoting enclave in debug mode",
         k10,
         [](SyntheticIntel& i) { i.qe_report.attributes.flags |= sgx_arch::kAttributeDebug; },
         {"qe.identity"}},
        {"TD quoting enclave below every level",
         k10,
         [](SyntheticIntel& i) { i.qe_report.isv_svn = 4; },
         {"qe.level"}},
    };
    expect_all(twins);
}

TEST(TdxVerify, TheModuleBeneathTheTdIsChecked) {
    const Twin twins[] = {
        {"no identity for this generation",
         k10,
         [](SyntheticIntel& i) { i.td->tee_tcb_svn[1] = std::byte{2}; },
         {"tdx_module.identity", "tdx_module.level"}},
        {"old TCB info without identities",
         k10,
         [](SyntheticIntel& i) { i.tcb_info.erase("tdxModuleIdentities"); },
         {"tdx_module.identity", "tdx_module.level"}},
        {"another signer",
         k10,
         [](SyntheticIntel& i) { i.td->mr_signer_seam[47] = std::byte{1}; },
         {"tdx_module.identity"}},
        {"the signer of TCB info is another",
         k10,
         [](SyntheticIntel& i) {
             i.tcb_info["tdxModuleIdentities"][1]["mrsigner"] = std::string(96, '1');
         },
         {"tdx_module.identity"}},
        {"attributes",
         k10,
         [](SyntheticIntel& i) { i.td->seam_attributes[7] = std::byte{0x80}; },
         {"tdx_module.identity"}},
        {"attributes that the mask leaves open",
         k10,
         [](SyntheticIntel& i) {
             i.td->seam_attributes[0] = std::byte{1};
             i.tcb_info["tdxModuleIdentities"][1]["attributesMask"] = std::string(16, '0');
         },
         {"tdx_module.identity"}},
        {"below every level",
         k10,
         [](SyntheticIntel& i) { i.td->tee_tcb_svn[0] = std::byte{5}; },
         {"tdx_module.level"}},
        {"revoked level",
         k10,
         [](SyntheticIntel& i) {
             i.tcb_info["tdxModuleIdentities"][1]["tcbLevels"][0]["tcbStatus"] = "Revoked";
         },
         {"tdx_module.level"}},
        {"current module of an unknown generation",
         k15,
         [](SyntheticIntel& i) { i.td->td15->tee_tcb_svn_2[1] = std::byte{2}; },
         {"tdx_module.current_level"}},
        {"current module below every level",
         k15,
         [](SyntheticIntel& i) { i.td->td15->tee_tcb_svn_2[0] = std::byte{5}; },
         {"tdx_module.current_level"}},
        {"current platform below every level",
         k15,
         [](SyntheticIntel& i) { i.td->td15->tee_tcb_svn_2[2] = std::byte{2}; },
         {"tcb.current_level"}},
        {"platform below every level",
         k10,
         [](SyntheticIntel& i) { i.td->tee_tcb_svn[15] = std::byte{2}; },
         {"tcb.level"}},
        {"SGX component below every level",
         k15,
         [](SyntheticIntel& i) { i.platform.tcb.components[0] = std::byte{2}; },
         {"tcb.level", "tcb.current_level"}},
        {"revoked platform level",
         k10,
         [](SyntheticIntel& i) { i.tcb_info["tcbLevels"][0]["tcbStatus"] = "Revoked"; },
         {"tcb.level"}},
    };
    expect_all(twins);
}

TEST(TdxVerify, TheFirstGenerationHasNoIdentity) {
    auto first_generation = [](SyntheticIntel& i) {
        i.td->tee_tcb_svn[1] = std::byte{0};
        i.tcb_info.erase("tdxModuleIdentities");
    };
    EXPECT_THAT(failures(k10, first_generation), IsEmpty());
    EXPECT_THAT(failures(k10,
                         [&](SyntheticIntel& i) {
                             first_generation(i);
                             i.td->mr_signer_seam[0] = std::byte{1};
                         }),
                ElementsAre("tdx_module.identity"));
    // Its minor version is a component like the others.
    EXPECT_THAT(failures(k10,
                         [&](SyntheticIntel& i) {
                             first_generation(i);
                             for (json::Value& level : i.tcb_info["tcbLevels"])
                                 level["tcb"]["tdxtcbcomponents"][0]["svn"] = 12;
                         }),
                ElementsAre("tcb.level"));
}

TEST(TdxVerify, RevokedCertificatesAreRefused) {
    const Twin twins[] = {
        {"PCK", k10, [](SyntheticIntel& i) { i.pck_revoked = {i.pck_recipe.serial}; }, {"crl.pck"}},
        {"PCK CA",
         k10,
         [](SyntheticIntel& i) { i.root_revoked = {i.ca_recipe.serial}; },
         {"crl.root"}},
        {"TCB signer",
         k10,
         [](SyntheticIntel& i) { i.root_revoked = {i.signer_recipe.serial}; },
         {"crl.root"}},
        {"lists out of their window",
         k10,
         [](SyntheticIntel& i) { i.crl_validity = {kNow - 100, kNow - 1}; },
         {"crl.root", "crl.pck"}},
    };
    expect_all(twins);
}

TEST(TdxVerify, OneFlippedBitFailsExactlyTheCheckThatCoversIt) {
    struct Flip {
        const char* what;
        std::size_t offset;
        Ids expected;
    };
    for (TdReportKind kind : kKinds) {
        const std::size_t body = kind == k10 ? 48 : 54;
        const std::size_t auth_size = body + td_report_size_bytes(kind);
        const std::size_t auth = auth_size + 4;
        const std::size_t qe_report = auth + 128 + 6;
        const Flip flips[] = {
            {"version", 0, {"quote.syntax"}},
            {"attestation key type", 2, {"quote.syntax"}},
            {"tee type", 4, {"quote.syntax"}},
            {"reserved", 8, {"quote.signature"}},
            {"vendor id", 12, {"quote.syntax"}},
            {"user data", 28, {"quote.signature"}},
            {"mr_seam", body + 16, {"quote.signature"}},
            {"td attributes", body + 120, {"quote.signature"}},
            {"mr_td", body + 136, {"quote.signature"}},
            {"rtmr3", body + 328 + 3 * 48, {"quote.signature"}},
            {"last byte of the body", auth_size - 1, {"quote.signature"}},
            {"auth size", auth_size, {"quote.syntax"}},
            {"signature", auth + 5, {"quote.signature"}},
            {"attestation key", auth + 64, {"qe.binding", "quote.signature"}},
            {"outer certification type", auth + 128, {"quote.syntax"}},
            {"outer certification size", auth + 130, {"quote.syntax"}},
            {"QE report", qe_report + 24, {"qe.report_signature"}},
            {"QE report, data", qe_report + 320, {"qe.report_signature", "qe.binding"}},
            {"QE report signature", qe_report + 384, {"qe.report_signature"}},
            {"QE auth data", qe_report + 384 + 64 + 2, {"qe.binding"}},
            {"inner certification type", qe_report + 384 + 64 + 34, {"quote.syntax"}},
            {"inner certification size", qe_report + 384 + 64 + 36, {"quote.syntax"}},
        };
        for (const Flip& flip : flips) {
            SyntheticIntel intel;
            intel.make_tdx(kind);
            intel.alter_quote = [&](Bytes& quote) { quote[flip.offset] ^= std::byte{1}; };
            EXPECT_THAT(failures(verify_quote(intel.quote(), {}, intel.roots(), kNow)),
                        UnorderedElementsAreArray(flip.expected))
                << flip.what << " of " << td_report_kind_name(kind);
        }
    }
}

TEST(TdxVerify, NoSingleBitFlipIsAccepted) {
    SyntheticIntel intel;
    intel.make_tdx(TdReportKind::tdx15_extended);
    Bytes quote = intel.quote();
    Roots roots = intel.roots();
    ASSERT_NE(verify_quote(quote, {}, roots, kNow).evidence(), nullptr);
    for (std::size_t at = 0; at < quote.size(); ++at) {
        if (at % 5 != 0 && at + 40 < quote.size()) continue;
        const auto bit = static_cast<std::byte>(1u << (at * 5 % 8));
        quote[at] ^= bit;
        EXPECT_EQ(verify_quote(quote, {}, roots, kNow).evidence(), nullptr) << "byte " << at;
        quote[at] ^= bit;
    }
}

TEST(TdxVerify, P384QuotesAreRefused) {
    EXPECT_THAT(failures(k10,
                         [](SyntheticIntel& i) {
                             i.alter_quote = [](Bytes& quote) { quote[2] = std::byte{3}; };
                         }),
                ElementsAre("quote.syntax"));
}

// --- statuses ---

/// The status after `alter` on a TDX 1.5 platform.
TcbResult result(const std::function<void(SyntheticIntel&)>& alter) {
    SyntheticIntel intel;
    intel.make_tdx(k15);
    alter(intel);
    Verification verification = run(intel);
    EXPECT_NE(verification.evidence(), nullptr) << render_text(verification.tree());
    if (verification.evidence() == nullptr) return {};
    return verification.evidence()->tcb().value();
}

void set_platform_status(SyntheticIntel& intel, std::string_view status) {
    intel.tcb_info["tcbLevels"][0]["tcbStatus"] = status;
}

/// A module that was old when the TD was launched, and maybe still is.
void make_module_old(SyntheticIntel& intel) {
    intel.td->tee_tcb_svn[0] = std::byte{6};
}
void make_current_module_old(SyntheticIntel& intel) {
    intel.td->td15->tee_tcb_svn_2[0] = std::byte{6};
}

/// L03: platform × module × quoting enclave.
TEST(TdxStatus, MergeTable) {
    constexpr std::array<std::pair<std::string_view, TcbStatus>, 6> kTable{{
        {"UpToDate", TcbStatus::out_of_date},
        {"SWHardeningNeeded", TcbStatus::out_of_date},
        {"ConfigurationNeeded", TcbStatus::out_of_date_configuration_needed},
        {"ConfigurationAndSWHardeningNeeded", TcbStatus::out_of_date_configuration_needed},
        {"OutOfDate", TcbStatus::out_of_date},
        {"OutOfDateConfigurationNeeded", TcbStatus::out_of_date_configuration_needed},
    }};
    for (const auto& [name, when_something_is_old] : kTable) {
        const TcbStatus own = endorsements::tcb_status_from(name).value();
        for (bool old_module : {false, true}) {
            for (bool old_qe : {false, true}) {
                TcbResult tcb = result([&](SyntheticIntel& intel) {
                    set_platform_status(intel, name);
                    if (old_module) make_module_old(intel);
                    if (old_module) make_current_module_old(intel);
                    if (old_qe) intel.qe_report.isv_svn = 5;
                });
                EXPECT_EQ(tcb.status, old_module || old_qe ? when_something_is_old : own) << name;
                EXPECT_EQ(tcb.platform, own);
                EXPECT_EQ(tcb.tdx_module,
                          old_module ? TcbStatus::out_of_date : TcbStatus::up_to_date);
                EXPECT_EQ(tcb.quoting_enclave,
                          old_qe ? TcbStatus::out_of_date : TcbStatus::up_to_date);
            }
        }
    }
}

/// L04.
TEST(TdxStatus, RelaunchIsAdvisedWhenTheModuleWasUpdatedSince) {
    TcbResult tcb = result(make_module_old);
    EXPECT_EQ(tcb.status, TcbStatus::td_relaunch_advised);
    EXPECT_EQ(tcb.current, TcbStatus::up_to_date);
    EXPECT_EQ(tcb.tdx_module_shortfall, "TDX module SVN 6, level needs 11");

    tcb = result([](SyntheticIntel& intel) {
        make_module_old(intel);
        set_platform_status(intel, "ConfigurationNeeded");
    });
    EXPECT_EQ(tcb.status, TcbStatus::td_relaunch_advised_configuration_needed);

    tcb = result([](SyntheticIntel& intel) {
        make_module_old(intel);
        make_current_module_old(intel);
    });
    EXPECT_EQ(tcb.status, TcbStatus::out_of_date);
    EXPECT_EQ(tcb.current, TcbStatus::out_of_date);

    // The module of a later generation runs now.
    tcb = result([](SyntheticIntel& intel) {
        make_module_old(intel);
        intel.td->td15->tee_tcb_svn_2[1] = std::byte{3};
    });
    EXPECT_EQ(tcb.status, TcbStatus::td_relaunch_advised);

    // An old quoting enclave is old at launch and now.
    tcb = result([](SyntheticIntel& intel) {
        make_module_old(intel);
        intel.qe_report.isv_svn = 5;
    });
    EXPECT_EQ(tcb.status, TcbStatus::out_of_date);
    EXPECT_EQ(tcb.quoting_enclave_shortfall, "quoting enclave SVN 5, level needs 8");
}

TEST(TdxStatus, ShortfallsAndAdvisoriesAreJoined) {
    TcbResult tcb = result([](SyntheticIntel& intel) {
        intel.platform.tcb.components[6] = std::byte{4};
        for (auto* svn : {&intel.td->tee_tcb_svn, &intel.td->td15->tee_tcb_svn_2})
            (*svn)[2] = std::byte{4};
        make_module_old(intel);
        make_current_module_old(intel);
        intel.tcb_info["tcbLevels"][1]["advisoryIDs"] = {"INTEL-SA-2", "INTEL-SA-1"};
        intel.tcb_info["tdxModuleIdentities"][1]["tcbLevels"][1]["advisoryIDs"] = {"INTEL-SA-3"};
        intel.qe_identity["tcbLevels"][0]["advisoryIDs"] = {"INTEL-SA-2", "INTEL-SA-4"};
    });
    EXPECT_EQ(tcb.status, TcbStatus::out_of_date);
    EXPECT_EQ(tcb.shortfall,
              "SGX component 7 has SVN 4, the newest level needs 5; "
              "TDX component 3 has SVN 4, the newest level needs 5");
    EXPECT_EQ(tcb.tdx_module_shortfall, "TDX module SVN 6, level needs 11");
    EXPECT_THAT(tcb.advisories,
                ElementsAre("INTEL-SA-1", "INTEL-SA-2", "INTEL-SA-3", "INTEL-SA-4"));
}

/// L01: which TDX components count depends on the module's generation.
TEST(TdxStatus, TheModulesOwnComponentsDoNotCountFromTheSecondGenerationOn) {
    auto with_demand_on = [](std::size_t index) {
        return result([&](SyntheticIntel& intel) {
            intel.tcb_info["tcbLevels"][0]["tcb"]["tdxtcbcomponents"][index]["svn"] = 200;
        });
    };
    for (std::size_t index : {0u, 1u})
        EXPECT_EQ(with_demand_on(index).status, TcbStatus::up_to_date) << index;
    for (std::size_t index : {2u, 9u, 15u})
        EXPECT_EQ(with_demand_on(index).status, TcbStatus::out_of_date) << index;
}

}  // namespace
}  // namespace eos::attestation::verify
