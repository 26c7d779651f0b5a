// SPDX-License-Identifier: AGPL-3.0-only
// Real evidence, verified at the time the corpus names, has the verdict that the corpus states.
#include "common/attestation/verify/corpus_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using testing::Corpus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Row;
using ::testing::UnorderedElementsAreArray;

Verification run(const Row& row) {
    return verify_quote(row.quote, row.endorsements, Roots::intel(), row.time);
}

/// "platform X (2024-03-13); QE Y".
std::string components(const TcbResult& tcb) {
    return "platform " + std::string(tcb_status_name(tcb.platform)) + " (" +
           rfc3339(tcb.date).substr(0, 10) + "); QE " +
           std::string(tcb_status_name(tcb.quoting_enclave.value()));
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
    std::vector<std::string> advisories = row.data["advisories"];
    EXPECT_THAT(tcb.advisories, UnorderedElementsAreArray(advisories));
    // The corpus names the platform level's date; ours is the earlier of both levels.
    std::string expected = row.text("components");
    EXPECT_EQ(components(tcb).substr(0, expected.find('(')),
              expected.substr(0, expected.find('(')));
    EXPECT_EQ(components(tcb).substr(components(tcb).find(';')),
              expected.substr(expected.find(';')));
    const auto& claims = std::get<SgxClaims>(verification.evidence()->claims());
    std::string fmspc = "FMSPC " + hex(claims.platform.fmspc);
    EXPECT_NE(row.text("fields").find(fmspc), std::string::npos) << fmspc;
}

TEST_F(Corpus, EveryRowHasItsVerdict) {
    std::map<std::string, std::string> rejections{
        {"REJECT: quote signature", "quote.signature"},
        {"REJECT: no PCK chain (cert data type 3)", "quote.syntax"},
        {"REJECT: PCK chain: untrusted root", "pck.chain"}};
    for (const Row& row : rows_) {
        SCOPED_TRACE(row.text("id"));
        std::string verdict = row.text("verdict");
        if (!verdict.starts_with("REJECT")) {
            expect_positive(row);
            continue;
        }
        Verification verification = run(row);
        EXPECT_EQ(verification.evidence(), nullptr);
        EXPECT_THAT(summarise(verification.tree()).failed, ElementsAre(rejections.at(verdict)))
            << render_text(verification.tree());
    }
}

}  // namespace
}  // namespace eos::attestation::verify
