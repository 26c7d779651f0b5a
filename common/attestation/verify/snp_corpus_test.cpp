// SPDX-License-Identifier: AGPL-3.0-only
// Real reports of SEV-SNP, verified at the time the corpus names, have the verdict that it states.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/attestation/endorsements/amd_certificates.h"
#include "common/attestation/verify/bundle_checks.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using testing::corpus;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using testing::read_file;

/// A row of a report: the report itself, then perhaps the certificate of the key that signed it.
struct SnpRow {
    std::string id;
    std::string verdict;
    std::string fields;
    Bytes report;
    endorsements::Endorsements endorsements;
    UnixTime time{1'750'000'000};  ///< for rows that name none
};

class SnpCorpus : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!std::filesystem::exists(corpus() / "index.json")) {
            GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        }
        Bytes index = read_file(corpus() / "index.json");
        json::Value rows = json::parse(index, {.size_bytes = 1 << 24}).value();
        for (const json::Value& row : rows) {
            std::string kind = row["kind"];
            if (kind.starts_with("SNP ")) rows_.push_back(load(row));
        }
        ASSERT_GE(rows_.size(), 17u);
    }

    static SnpRow load(const json::Value& data) {
        SnpRow row;
        row.id = data["id"];
        row.verdict = data["verdict"];
        row.fields = data["fields"];
        row.report = read_file(corpus() / data["files"][0].get<std::string>());
        for (std::size_t i = 1; i < data["files"].size(); ++i) {
            row.endorsements.amd.certificates.push_back(
                read_file(corpus() / data["files"][i].get<std::string>()));
        }
        if (data["time"] != "-") row.time = parse_rfc3339(data["time"].get<std::string>()).value();
        return row;
    }

    const SnpRow& row(std::string_view id) const {
        for (const SnpRow& row : rows_) {
            if (row.id == id) return row;
        }
        ADD_FAILURE() << "the corpus has no row " << id;
        return rows_.front();
    }

    static Verification run(const SnpRow& row) {
        return verify_quote(row.report, row.endorsements, Roots::amd(), row.time);
    }

    static std::vector<std::string> failures(const SnpRow& row) {
        return summarise(run(row).tree()).failed;
    }

    std::vector<SnpRow> rows_;
};

TEST_F(SnpCorpus, EveryRowHasItsVerdict) {
    const std::map<std::string, std::vector<std::string>> rejections{
        {"snp2-milan-cmc-baddata", {"report.signature"}},
        {"snp2-genoa-oak-wrongtcb", {"report.signature", "report.tcb"}},
        {"snp2-trustee-vcek-forged-legacy",
         {"vek.chain", "report.signature", "report.tcb", "report.chip_id"}},
        {"snp2-lit-nochain", {"vek.certificates"}},
        {"snp2-lit-truncated", {"quote.syntax"}}};
    std::size_t valid = 0;
    for (const SnpRow& row : rows_) {
        SCOPED_TRACE(row.id);
        Verification verification = run(row);
        Summary summary = summarise(verification.tree());
        auto rejection = rejections.find(row.id);
        if (rejection != rejections.end()) {
            EXPECT_EQ(verification.evidence(), nullptr);
            EXPECT_THAT(summary.failed, ElementsAreArray(rejection->second))
                << render_text(verification.tree());
            continue;
        }
        ++valid;
        ASSERT_TRUE(row.verdict.starts_with("VALID")) << row.verdict;
        EXPECT_THAT(summary.failed, IsEmpty()) << render_text(verification.tree());
        EXPECT_THAT(summary.not_evaluated, ElementsAre("crl.ark"));
        ASSERT_NE(verification.evidence(), nullptr);
        EXPECT_EQ(verification.evidence()->root().kind, RootKind::vendor);
        const auto& claims = std::get<SnpClaims>(verification.evidence()->claims());
        std::string product(product_name(claims.product));
        EXPECT_NE(row.verdict.find("ARK-" + product), std::string::npos) << product;
        EXPECT_NE(row.fields.find(hex(claims.report.measurement).substr(0, 16)), std::string::npos);
        EXPECT_EQ(row.verdict.find("DEBUG") != std::string::npos,
                  claims.report.policy.debug_allowed());
    }
    EXPECT_GE(valid, 12u);
}

// Chips' and providers' certificates as pieces of a bundle, under the roots compiled in.
TEST_F(SnpCorpus, TheCertificatesAreGenuinePiecesOfABundle) {
    std::size_t checked = 0;
    for (const SnpRow& row : rows_) {
        if (!row.verdict.starts_with("VALID")) continue;
        SCOPED_TRACE(row.id);
        auto pieces = endorsements::to_pieces(row.endorsements, row.time, "corpus").value();
        if (pieces.empty()) continue;
        Check tree = check_pieces(pieces, Roots::amd(), {row.time});
        EXPECT_EQ(summarise(tree).verdict, Verdict::pass) << render_text(tree);
        pieces[0].content.back() ^= std::byte{1};
        EXPECT_THAT(summarise(check_pieces(pieces, Roots::amd(), {row.time})).failed,
                    ElementsAre("bundle." + std::string(piece_kind_name(pieces[0].kind)) + "." +
                                pieces[0].key + ".chain"));
        ++checked;
    }
    EXPECT_GE(checked, 8u);
}

// The CAs that AMD publishes, as its key service hands them on.
TEST(SnpBundleAnchors, AmdsOwnCasAreGenuinePieces) {
    for (const endorsements::AmdCertificate& one : endorsements::amd_issuers()) {
        endorsements::Endorsements single;
        single.amd.certificates = {to_bytes(one.certificate.der())};
        auto pieces = endorsements::to_pieces(single, UnixTime{1'780'000'000}, "AMD").value();
        ASSERT_EQ(pieces.size(), 1u);
        Check tree = check_pieces(pieces, Roots::amd(), {UnixTime{1'780'000'000}});
        EXPECT_EQ(summarise(tree).verdict, Verdict::pass) << render_text(tree);
        pieces[0].key = pieces[0].key == "milan" ? "genoa" : "milan";
        EXPECT_EQ(summarise(check_pieces(pieces, Roots::amd(), {UnixTime{1'780'000'000}})).verdict,
                  Verdict::fail);
    }
}

TEST_F(SnpCorpus, TheTurinCertificateAloneLeadsToItsRoot) {
    // It belongs to no report of the corpus: what is about the certificate passes.
    SnpRow mixed = row("snp5-turin-oak");
    mixed.endorsements.amd.certificates = {read_file(corpus() / "sev/snp/vcek_turin.der")};
    mixed.time = parse_rfc3339("2025-06-01T00:00:00Z").value();
    Verification verification = run(mixed);
    EXPECT_EQ(find_check(verification.tree(), "vek")->verdict, Verdict::pass)
        << render_text(verification.tree());
    EXPECT_THAT(summarise(verification.tree()).failed,
                ::testing::IsSupersetOf({"report.signature", "report.chip_id"}));
}

TEST_F(SnpCorpus, EvidenceNeedsTheRootsOfItsVendor) {
    const SnpRow& good = row("snp3-milan-ccf");
    Verification verification =
        verify_quote(good.report, good.endorsements, Roots::intel(), good.time);
    EXPECT_THAT(summarise(verification.tree()).failed, ElementsAre("vek.root"));
    Roots both = Roots::of({Vendor::intel, Vendor::amd});
    EXPECT_NE(verify_quote(good.report, good.endorsements, both, good.time).evidence(), nullptr);
}

// T08, M: every byte of a report is covered by the signature or by the syntax.
TEST_F(SnpCorpus, NoByteOfAReportCanChange) {
    for (const char* id : {"snp5-turin-oak", "snp2-milan-virtee"}) {
        const SnpRow& good = row(id);
        for (std::size_t at = 0; at < good.report.size(); at += 3) {
            SnpRow altered = good;
            altered.report[at] ^= std::byte{1};
            Verification verification = run(altered);
            ASSERT_EQ(verification.evidence(), nullptr) << id << " byte " << at;
            std::vector<std::string> failed = summarise(verification.tree()).failed;
            EXPECT_TRUE(failed.front() == "quote.syntax" || failed.front() == "report.signature" ||
                        failed.front() == "vek.kind" || failed.front() == "vek.certificates")
                << id << " byte " << at << ": " << failed.front();
        }
    }
}

TEST_F(SnpCorpus, ReportsOfOtherSizesAreRefused) {
    SnpRow altered = row("snp3-milan-dstack");
    Bytes good = altered.report;
    for (std::size_t size : {0u, 3u, 4u, 793u, 1183u, 1185u, 4000u}) {
        altered.report = good;
        altered.report.resize(size);
        if (size == 4000) altered.report = concat({Bytes(32), good, Bytes(4000 - 32 - 1184)});
        EXPECT_THAT(failures(altered), ElementsAre("quote.syntax")) << size;
    }
}

// C12: chains of another product, the older ASK of Genoa, certificates of other chips.
TEST_F(SnpCorpus, CertificatesOfOthersAreRefused) {
    auto anchor = [](const char* file) { return read_file(corpus() / "trust-anchors" / file); };
    auto with = [&](const char* id, std::vector<Bytes> more) {
        SnpRow out = row(id);
        for (Bytes& one : more) out.endorsements.amd.certificates.push_back(std::move(one));
        return out;
    };
    // A whole chain given beside the evidence is as good as AMD's own.
    EXPECT_THAT(failures(with("snp3-milan-ccf",
                              {anchor("amd-milan-ask.der"), anchor("amd-milan-ark.der")})),
                IsEmpty());
    EXPECT_THAT(failures(with("snp3-genoa-veraison", {anchor("amd-genoa-ask-2022-10-31.der"),
                                                      anchor("amd-genoa-ask-2022-01-26.der")})),
                IsEmpty());
    EXPECT_THAT(failures(with("snp3-milan-ccf", {anchor("amd-genoa-ask-2022-10-31.der"),
                                                 anchor("amd-genoa-ark.der")})),
                ElementsAre("vek.chain"));
    EXPECT_THAT(failures(with("snp3-genoa-veraison", {anchor("amd-genoa-ask-2022-01-26.der")})),
                ElementsAre("vek.chain"));
    EXPECT_THAT(failures(with("snp3-milan-ccf", {anchor("amd-turin-ark.der")})),
                ElementsAre("vek.chain"));
    // An ASVK beside a VCEK is of another role and is not used.
    EXPECT_THAT(failures(with("snp3-milan-ccf", {anchor("amd-milan-asvk.der")})), IsEmpty());
    // The VCEK of another chip, of the same product.
    SnpRow other = row("snp3-milan-ccf");
    other.endorsements = row("snp3-milan-dstack").endorsements;
    other.time = row("snp3-milan-dstack").time;
    EXPECT_THAT(failures(other), ElementsAre("report.signature", "report.tcb", "report.chip_id"));
    // A VLEK where a VCEK signed, and the reverse.
    other.endorsements = row("snp2-vlek-cvmproxy").endorsements;
    other.time = row("snp2-vlek-cvmproxy").time;
    EXPECT_THAT(failures(other), ElementsAre("vek.kind", "report.signature", "report.tcb"));
    other = row("snp2-vlek-cvmproxy");
    other.endorsements = row("snp2-milan-virtee").endorsements;
    EXPECT_THAT(failures(other), ::testing::IsSupersetOf({"vek.kind", "report.signature"}));
    // Beside that of another chip the right one is found; of two others none is meant.
    other = row("snp3-milan-ccf");
    other.endorsements.amd.certificates.push_back(
        row("snp2-milan-virtee").endorsements.amd.certificates.front());
    EXPECT_THAT(failures(other), IsEmpty());
    other.endorsements.amd.certificates = row("snp3-milan-dstack").endorsements.amd.certificates;
    other.endorsements.amd.certificates.push_back(
        row("snp2-milan-virtee").endorsements.amd.certificates.front());
    EXPECT_THAT(failures(other), ElementsAre("vek.certificates"));
}

// C11: before and after the validity of each certificate.
TEST_F(SnpCorpus, CertificatesMustBeValidAtTheTime) {
    SnpRow early = row("snp2-vlek-cvmproxy");
    early.time = parse_rfc3339("2024-05-05T21:45:25Z").value();
    EXPECT_THAT(failures(early), ElementsAre("vek.validity"));
    early.time = early.time + 1;
    EXPECT_THAT(failures(early), IsEmpty());
    SnpRow late = early;
    late.time = parse_rfc3339("2025-05-05T21:45:27Z").value();
    EXPECT_THAT(failures(late), ElementsAre("vek.validity"));
    late = row("snp2-milan-virtee");
    late.time = parse_rfc3339("2050-01-01T00:00:00Z").value();
    EXPECT_THAT(failures(late), ElementsAre("vek.validity"));
}

// M21: the second form of a signature is as genuine, so that bytes identify nothing.
TEST_F(SnpCorpus, SignaturesAreMalleable) {
    SnpRow other = row("snp3-milan-ccf");
    const Bytes order = from_hex(
                            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0d"
                            "b248b0a77aecec196accc52973")
                            .value();
    // s → n - s, both little-endian in the report.
    int borrow = 0;
    for (std::size_t i = 0; i < 48; ++i) {
        std::byte& digit = other.report[0x2e8 + i];
        int value = std::to_integer<int>(order[47 - i]) - std::to_integer<int>(digit) - borrow;
        borrow = value < 0 ? 1 : 0;
        digit = static_cast<std::byte>(value + 256 * borrow);
    }
    EXPECT_NE(other.report, row("snp3-milan-ccf").report);
    EXPECT_THAT(failures(other), IsEmpty());
}

// The table of an extended guest request: report and certificates in one piece.
TEST_F(SnpCorpus, CertificateTablesAreUsed) {
    Bytes container = read_file(corpus() / "services/orig/sevsnp-tsm-report.cbor");
    // CBOR map: "auxblob" and its byte string of 0x19b1 bytes.
    const std::string head = "auxblob\x59\x19\xb1";
    auto at = as_chars(container).find(head);
    ASSERT_NE(at, std::string_view::npos);
    ByteView table = ByteView(container).subspan(at + head.size(), 0x19b1);
    SnpRow with_table = row("snp3-genoa-veraison");
    append(with_table.report, table);
    with_table.endorsements.amd.certificates.clear();
    EXPECT_THAT(failures(with_table), IsEmpty());
    with_table.report.back() ^= std::byte{1};
    EXPECT_FALSE(failures(with_table).empty());
}

TEST(AmdCertificates, AreThoseOfTheDesign) {
    std::vector<std::string> roots;
    for (const auto& root : endorsements::amd_roots())
        roots.push_back(hex(crypto::sha256(root.certificate.der())));
    EXPECT_THAT(roots,
                ElementsAre("69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
                            "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
                            "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"));
    for (const auto& issuer : endorsements::amd_issuers()) {
        bool is_certified = false;
        for (const auto& root : endorsements::amd_roots()) {
            if (root.certificate.subject() != issuer.certificate.issuer()) continue;
            is_certified =
                issuer.certificate.verify_signed_by(root.certificate.rsa_key().value()).has_value();
        }
        EXPECT_TRUE(is_certified) << issuer.name;
    }
    EXPECT_EQ(endorsements::amd_issuers().size(), 7u);
}

}  // namespace
}  // namespace eos::attestation::verify
