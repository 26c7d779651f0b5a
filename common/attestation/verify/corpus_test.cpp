// SPDX-License-Identifier: AGPL-3.0-only
// Real evidence, verified at the time the corpus names, has the verdict that the corpus states.
#include "common/attestation/verify/corpus_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/attestation/endorsements/tdx_tcb.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using endorsements::TcbStatus;
using testing::Corpus;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using testing::Row;
using ::testing::UnorderedElementsAreArray;

Verification run(const Row& row) {
    return verify_quote(row.quote, row.endorsements, Roots::intel(), row.time);
}

/// "platform X; module TDX_01:X; QE Y; current(svn2) Z", as the corpus writes it less the date,
/// which is the platform level's there and the earliest one here.
std::string components(const VerifiedEvidence& evidence) {
    const TcbResult& tcb = evidence.tcb().value();
    auto name = [](TcbStatus status) { return std::string(tcb_status_name(status)); };
    std::string out = "platform " + name(tcb.platform);
    const auto* td = std::get_if<TdxClaims>(&evidence.claims());
    if (tcb.tdx_module.has_value()) {
        auto major = std::to_integer<std::uint8_t>(td->report.tee_tcb_svn[1]);
        out += "; module " + endorsements::tdx_module_id(major) + ":" + name(*tcb.tdx_module);
    }
    out += "; QE " + name(tcb.quoting_enclave.value());
    if (tcb.current.has_value()) out += "; current(svn2) " + name(*tcb.current);
    return out;
}

std::string without_date(std::string components) {
    std::size_t from = components.find(" (");
    return components.erase(from, components.find(')') + 1 - from);
}

const endorsements::PckExtension& platform_of(const VerifiedEvidence& evidence) {
    const TeeClaims& claims = evidence.claims();
    if (const auto* sgx = std::get_if<SgxClaims>(&claims)) return sgx->platform;
    return std::get<TdxClaims>(claims).platform;
}

/// The corpus lists those of platform and quoting enclave; a TDX module's are joined here.
std::set<std::string> advisories_of(const Row& row, const VerifiedEvidence& evidence) {
    std::set<std::string> out = row.data["advisories"];
    const auto* td = std::get_if<TdxClaims>(&evidence.claims());
    if (td == nullptr) return out;
    json::Value info =
        json::parse(row.endorsements.tcb_info->body, {.size_bytes = 1 << 20}).value();
    auto byte = [&](std::size_t i) { return std::to_integer<int>(td->report.tee_tcb_svn[i]); };
    for (const json::Value& identity : info.value("tdxModuleIdentities", json::Value::array())) {
        if (identity["id"] != "TDX_0" + std::to_string(byte(1))) continue;
        for (const json::Value& level : identity["tcbLevels"]) {
            if (byte(0) < level["tcb"]["isvsvn"].get<int>()) continue;
            for (const json::Value& id : level.value("advisoryIDs", json::Value::array()))
                out.insert(id.get<std::string>());
            break;
        }
    }
    return out;
}

void expect_positive(const Row& row) {
    Verification verification = run(row);
    Summary summary = summarise(verification.tree());
    EXPECT_THAT(summary.failed, IsEmpty()) << render_text(verification.tree());
    std::vector<std::string> missing;
    if (!row.endorsements.root_ca_crl) missing.emplace_back("crl.root");
    if (!row.endorsements.pck_crl) missing.emplace_back("crl.pck");
    EXPECT_THAT(summary.not_evaluated, UnorderedElementsAreArray(missing));
    ASSERT_NE(verification.evidence(), nullptr);
    EXPECT_EQ(verification.evidence()->root().kind, RootKind::vendor);
    const TcbResult& tcb = verification.evidence()->tcb().value();
    EXPECT_EQ(tcb_status_name(tcb.status), row.text("verdict"));
    EXPECT_THAT(tcb.advisories,
                UnorderedElementsAreArray(advisories_of(row, *verification.evidence())));
    EXPECT_EQ(components(*verification.evidence()), without_date(row.text("components")));
    std::string fmspc = "FMSPC " + hex(platform_of(*verification.evidence()).fmspc);
    EXPECT_NE(row.text("fields").find(fmspc), std::string::npos) << fmspc;
    EXPECT_EQ(row.text("kind").starts_with("TDX"),
              std::holds_alternative<TdxClaims>(verification.evidence()->claims()));
}

/// The nodes that fail: the first one decides.
std::vector<std::string> failing_nodes(const Row& row) {
    std::string verdict = row.text("verdict");
    bool is_tdx = row.text("kind").starts_with("TDX");
    if (verdict == "REJECT: quote signature") return {"quote.signature"};
    if (verdict == "REJECT: no PCK chain (cert data type 3)") return {"quote.syntax"};
    // The SGX row is of another CA altogether, the TDX row of Intel's pre-production.
    if (verdict == "REJECT: PCK chain: untrusted root") {
        return {is_tdx ? "pck.root" : "pck.chain"};
    }
    EXPECT_EQ(verdict, "REJECT: no matching TCB level (TCB_NOT_SUPPORTED)");
    if (row.text("kind").starts_with("TDX quote v5")) return {"tcb.level", "tcb.current_level"};
    return {"tcb.level"};
}

TEST_F(Corpus, EveryRowHasItsVerdict) {
    for (const Row& row : rows_) {
        SCOPED_TRACE(row.text("id"));
        std::string verdict = row.text("verdict");
        if (!verdict.starts_with("REJECT")) {
            expect_positive(row);
            continue;
        }
        Verification verification = run(row);
        EXPECT_EQ(verification.evidence(), nullptr);
        EXPECT_THAT(summarise(verification.tree()).failed, ElementsAreArray(failing_nodes(row)))
            << render_text(verification.tree());
    }
}

}  // namespace
}  // namespace eos::attestation::verify
