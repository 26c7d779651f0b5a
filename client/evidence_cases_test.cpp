// SPDX-License-Identifier: AGPL-3.0-only
// The corpus through the same door as `enclavectl evidence check`.
#include "client/evidence_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "client/case_outcomes.h"
#include "client/files.h"
#include "common/attestation/event_log/replay.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/ratls/foreign_constellation_test.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

using attestation::testing::corpus;
namespace event_log = attestation::event_log;

/// A folder of its own for each test.
class Cases : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = std::filesystem::path(::testing::TempDir()) /
                  ::testing::UnitTest::GetInstance()->current_test_info()->name();
        std::filesystem::remove_all(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void write(const char* name, std::string_view text) const {
        ASSERT_TRUE(write_file(folder_ / name, as_bytes(text), {}).has_value());
    }

    std::filesystem::path folder_;
};

TEST(EvidenceCorpus, EveryCaseThatIsRunAgrees) {
    if (!std::filesystem::exists(corpus() / "index.json")) {
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    }
    Result<std::vector<EvidenceCase>> cases = read_cases(corpus());
    ASSERT_TRUE(cases.has_value()) << cases.error().message();
    const std::map<std::string, std::string> nodes{
        {"sgx-automata-evalnum18", "tcb.level"},
        {"sgx-fortanix-corrupted", "quote.signature"},
        {"sgx-fortanix-ppid3", "quote.syntax"},
        {"snp2-milan-cmc-baddata", "report.signature"},
        {"snp2-genoa-oak-wrongtcb", "report.signature"},
        {"snp2-trustee-vcek-forged-legacy", "vek.chain"},
        {"snp2-lit-truncated", "quote.syntax"},
        {"snp5-turin-oak", "report.signature"},
        {"snp-vcek-turin-virtee", "vek.chain"},
        {"aztpm-snp-v1", "tpm.signature"},
        {"coll-oasis-badcerts", "bundle.sgx-qe-identity.chain"},
        {"coll-teepot-pcs", "bundle"},
        {"dstack-snp-container", "report.signature"}};
    std::size_t agree = 0;
    for (const EvidenceCase& one : *cases) {
        CaseResult result = run_case(corpus(), one);
        EXPECT_NE(result.agreement, Agreement::differ)
            << one.id << ": stated " << result.stated << ", found " << result.found << " by "
            << result.deciding_node << ": " << result.detail;
        if (result.agreement == Agreement::agree) ++agree;
        auto node = nodes.find(one.id);
        if (node == nodes.end()) continue;
        EXPECT_EQ(result.deciding_node, node->second) << one.id;
    }
    EXPECT_GE(agree, 87u);
}

TEST(EvidenceCorpus, AWrongStatementDiffers) {
    if (!std::filesystem::exists(corpus() / "index.json")) {
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    }
    std::vector<EvidenceCase> cases = read_cases(corpus()).value();
    std::size_t changed = 0;
    for (EvidenceCase one : cases) {
        if (!one.kind.starts_with("SNP ") || one.verdict.starts_with("parse")) continue;
        const bool is_rejected = one.verdict.starts_with("REJECT");
        one.verdict = is_rejected ? "VALID" : "REJECT: report signature";
        EXPECT_EQ(run_case(corpus(), one).agreement, Agreement::differ) << one.id;
        // A rejection for another reason is another verdict.
        one.verdict = "REJECT: quote signature";
        EXPECT_EQ(run_case(corpus(), one).agreement, Agreement::differ) << one.id;
        ++changed;
    }
    EXPECT_GT(changed, 10u);
    EvidenceCase sgx = cases.front();
    sgx.verdict = "UpToDate";
    EXPECT_EQ(run_case(corpus(), sgx).agreement, Agreement::differ);
}

TEST_F(Cases, AnIndexIsReadStrictly) {
    EXPECT_EQ(read_cases(folder_).error().code(), file_unreadable);
    write("index.json", "{}");
    EXPECT_EQ(read_cases(folder_).error().code(), json::wrong_type);
    write("index.json", R"([{"id":"a","kind":"SNP report","files":[]}])");
    EXPECT_EQ(read_cases(folder_).error().code(), json::missing_member);
    for (const char* file : {"../secret", "/etc/passwd", "a/../../b", ""}) {
        write("index.json", std::string(R"([{"id":"a","kind":"k","verdict":"v","files":[")") +
                                file + R"("],"time":"-"}])");
        EXPECT_EQ(read_cases(folder_).error().code(), bad_case) << file;
    }
    write("index.json", R"([{"id":"a","kind":"k","verdict":"v","files":["f"],"time":"noon"}])");
    EXPECT_EQ(read_cases(folder_).error().code(), bad_time);
}

TEST_F(Cases, JsonInPlaceOfAQuoteIsSaidToBe) {
    write("q.json", "{\"hello\": \"world\"}");
    EvidenceCase one;
    one.id = "json";
    one.kind = "TDX quote v4";
    one.verdict = "UpToDate";
    one.files = {"q.json"};
    EXPECT_THAT(run_case(folder_, one).detail, ::testing::HasSubstr("this is JSON text"));
    one.verdict = "REJECT: does not parse";
    EXPECT_EQ(run_case(folder_, one).agreement, Agreement::agree);
}

TEST_F(Cases, WhatCannotBeReadDiffers) {
    write("index.json",
          R"([{"id":"gone","kind":"SNP attestation report v3","verdict":"VALID","files":["x"],
               "time":"2025-01-01T00:00:00Z","notes":"ignored"},
              {"id":"other","kind":"poem","verdict":"VALID","files":["x"],"time":"-"},
              {"id":"bare","kind":"SNP attestation report v3","verdict":"VALID","files":[],
               "time":"-"}])");
    std::vector<EvidenceCase> cases = read_cases(folder_).value();
    ASSERT_EQ(cases.size(), 3u);
    EXPECT_EQ(run_case(folder_, cases[0]).agreement, Agreement::differ);
    EXPECT_EQ(run_case(folder_, cases[1]).agreement, Agreement::not_run);
    EXPECT_EQ(run_case(folder_, cases[2]).agreement, Agreement::differ);
}

TEST_F(Cases, TheKindIsHeldAgainstTheFile) {
    attestation::testing::SyntheticIntel intel;
    write("sgx3.bin", as_chars(intel.quote()));
    const auto run = [&](const char* kind, const char* verdict) {
        return run_case(folder_, {.id = "case",
                                  .kind = kind,
                                  .verdict = verdict,
                                  .files = {"sgx3.bin"},
                                  .time = attestation::testing::kNow});
    };
    for (const char* verdict : {"REJECT: untrusted root", "parse only"}) {
        EXPECT_EQ(run("SGX quote v3", verdict).agreement, Agreement::agree);
        EXPECT_EQ(run("SGX quote v3 (ECDSA)", verdict).agreement, Agreement::agree);
        EXPECT_EQ(run("SGX quote version unknown", verdict).agreement, Agreement::agree);
        for (const char* kind : {"TDX quote v4", "SGX quote v4", "SGX quote v31", "TDX quote v3",
                                 "SNP attestation report v3"}) {
            const CaseResult result = run(kind, verdict);
            EXPECT_EQ(result.agreement, Agreement::differ) << kind;
            EXPECT_THAT(result.detail, ::testing::HasSubstr("the file holds: SGX quote v3"));
        }
    }
    Bytes altered = intel.quote();
    altered[100] ^= std::byte{1};
    write("sgx3.bin", as_chars(altered));
    EXPECT_EQ(run("SGX quote v4", "REJECT: quote signature").agreement, Agreement::agree);
}

TEST_F(Cases, ATimeMayBeWrittenWithNoOffset) {
    write("index.json", R"([{"id":"a","kind":"k","verdict":"v","files":["f"],
                             "time":"2025-06-19T10:56:11+00:00"}])");
    const Result<std::vector<EvidenceCase>> cases = read_cases(folder_);
    ASSERT_TRUE(cases.has_value()) << cases.error().message();
    EXPECT_EQ(cases->front().time, parse_rfc3339("2025-06-19T10:56:11Z").value());
    write("index.json", R"([{"id":"a","kind":"k","verdict":"v","files":["f"],
                             "time":"2025-06-19T10:56:11+02:00"}])");
    EXPECT_EQ(read_cases(folder_).error().code(), bad_time);
}

/// A case of a Constellation certificate over a real report that was made for something else.
CaseResult run_constellation(const std::filesystem::path& folder, const oid::Oid& variant,
                             std::string verdict) {
    const std::filesystem::path real = corpus() / "cvm-reverse-proxy/snp";
    const auto file = [&](const char* name) {
        return attestation::testing::read_file(real / name);
    };
    const json::Value info = {
        {"ReportSigner",
         base64(as_bytes(x509::encode_pem("CERTIFICATE", file("snp2-milan-cvmproxy.vcek.der"))))},
        {"AttestationReport", base64(file("snp2-milan-cvmproxy.report.bin"))}};
    const json::Value document = ratls::testing::fake_tpm().document(info);
    const x509::Certificate leaf = ratls::testing::certificate(
        {{variant, x509::Critical::kNo, to_bytes(json::compact(document))}});
    EXPECT_TRUE(write_file(folder / "leaf.der", leaf.der(), {}).has_value());
    return run_case(folder, {.id = "leaf",
                             .kind = "X.509 certificate, Constellation",
                             .verdict = std::move(verdict),
                             .files = {"leaf.der"},
                             .time = parse_rfc3339("2023-11-28T12:15:24Z").value()});
}

TEST_F(Cases, AConstellationCertificateIsCheckedWithTheStatedNonce) {
    if (!std::filesystem::exists(corpus() / "index.json")) {
        GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    }
    const std::string nonce = base64(ratls::testing::the_nonce());
    const auto run = [&](const oid::Oid& variant, const std::string& verdict) {
        return run_constellation(folder_, variant, verdict);
    };
    const oid::Oid gcp = oid::kConstellationGcpSnp;
    CaseResult result = run(gcp, "REJECT (nonce \"" + nonce + "\")");
    EXPECT_EQ(result.agreement, Agreement::agree) << result.detail;
    EXPECT_EQ(result.deciding_node, "report_data");
    result = run(gcp, "REJECT: report data (nonce \"" + nonce + "\")");
    EXPECT_EQ(result.agreement, Agreement::agree) << result.detail;
    result = run(gcp, "REJECT: report signature (nonce \"" + nonce + "\")");
    EXPECT_EQ(result.agreement, Agreement::differ);
    EXPECT_EQ(run(gcp, "REJECT: nonce").agreement, Agreement::agree);
    result = run(gcp, "VALID (nonce \"" + nonce + "\")");
    EXPECT_EQ(result.agreement, Agreement::differ);
    result = run(gcp, "VALID");
    EXPECT_EQ(result.deciding_node, "nonce");
    EXPECT_EQ(result.agreement, Agreement::differ);
    EXPECT_THAT(result.detail, ::testing::HasSubstr("connect anew"));
    EXPECT_EQ(run(gcp, "REJECT (nonce \"short\")").found, "unreadable");
    result = run(oid::kConstellationGcpEs, "VALID");
    EXPECT_EQ(result.deciding_node, "quote.syntax");
    EXPECT_THAT(result.detail, ::testing::HasSubstr("only Google"));
}

TEST_F(Cases, AnAnswerWithoutItsIssuersIsVerifiedUnderTheTrustAnchors) {
    const std::filesystem::path real = corpus() / "CCF/collateral/sgx-ccf-ledger.json";
    if (!std::filesystem::exists(real)) GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    const json::Value all =
        *json::parse(attestation::testing::read_file(real), {.size_bytes = 1024 * 1024});
    const auto answer = [&](const std::string& body) {
        return R"({"tcbInfo":)" + body + R"(,"signature":")" +
               all["tcb_info_signature"].get<std::string>() + "\"}";
    };
    const auto run = [&](const char* verdict) {
        return run_case(folder_, {.id = "case",
                                  .kind = "Intel collateral",
                                  .verdict = verdict,
                                  .files = {"answer.json"},
                                  .time = {}});
    };
    const auto body = all["tcb_info"].get<std::string>();
    write("answer.json", answer(body));
    EXPECT_EQ(run("REJECT").agreement, Agreement::agree) << "there are no trust anchors";
    std::filesystem::copy(corpus() / "trust-anchors", folder_ / "trust-anchors");
    EXPECT_EQ(run("VALID signatures").agreement, Agreement::agree);
    std::string altered = body;
    altered[altered.find("fmspc") + 8] ^= 1;
    write("answer.json", answer(altered));
    const CaseResult result = run("REJECT: signature");
    EXPECT_EQ(result.agreement, Agreement::agree) << result.detail;
    EXPECT_TRUE(result.deciding_node.ends_with(".signature")) << result.deciding_node;
}

TEST_F(Cases, CertificatesAreReadByEveryUsualName) {
    const std::filesystem::path real = corpus() / "cvm-reverse-proxy/snp";
    if (!std::filesystem::exists(real)) GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    const auto copy = [&](const char* from, const char* to) {
        const Bytes bytes = attestation::testing::read_file(real / from);
        write(to, as_chars(bytes));
    };
    copy("snp2-milan-cvmproxy.report.bin", "report.bin");
    const auto run = [&](const char* kind, std::vector<std::string> files) {
        return run_case(folder_, {.id = "case",
                                  .kind = kind,
                                  .verdict = "VALID",
                                  .files = std::move(files),
                                  .time = parse_rfc3339("2023-11-28T12:15:24Z").value()});
    };
    for (const char* name :
         {"vcek.der", "vcek.crt", "vcek.cer", "vcek.pem", "vcek.DER", "vcek.bin"}) {
        copy("snp2-milan-cvmproxy.vcek.der", name);
        const CaseResult result = run("SNP attestation report v2", {"report.bin", name});
        EXPECT_EQ(result.agreement, Agreement::agree) << name << ": " << result.detail;
    }
    const Bytes der = attestation::testing::read_file(real / "snp2-milan-cvmproxy.vcek.der");
    write("vcek.txt", x509::encode_pem("CERTIFICATE", der));
    EXPECT_EQ(run("SNP attestation report v2", {"report.bin", "vcek.txt"}).agreement,
              Agreement::agree);
    write("vcek.txt", json::compact({{"vcek", x509::encode_pem("CERTIFICATE", der)}}));
    EXPECT_EQ(run("SNP attestation report v2", {"report.bin", "vcek.txt"}).deciding_node,
              "vek.certificates");
    EXPECT_EQ(run("SNP attestation report v2", {"report.bin", "gone"}).found, "unreadable");
    for (const char* kind : {"SNP attestation report v2 and VCEK", "SEV-SNP report v2",
                             "SEV-SNP attestation report and its VCEK", "SNP report"}) {
        EXPECT_EQ(run(kind, {"report.bin", "vcek.crt"}).agreement, Agreement::agree) << kind;
    }
    EXPECT_EQ(run("VCEK certificate", {"vcek.crt"}).agreement, Agreement::agree);
    const CaseResult vlek = run("VLEK certificate", {"vcek.crt"});
    EXPECT_EQ(vlek.agreement, Agreement::differ);
    EXPECT_THAT(vlek.deciding_node, ::testing::StartsWith("vek."));
}

TEST(EvidenceCases, ARevokedLevelIsARejectionWithItsName) {
    using attestation::testing::kNow;
    attestation::testing::SyntheticIntel intel;
    const auto found = [&](std::string_view stated) {
        const auto verification = attestation::verify::verify_quote(
            intel.quote(), intel.endorsements(), intel.roots(), kNow);
        CaseResult out;
        describe_outcome(verification, out);
        out.agreement = agrees(stated, out) ? Agreement::agree : Agreement::differ;
        return out;
    };
    EXPECT_EQ(found("Revoked").agreement, Agreement::differ);
    for (json::Value& level : intel.tcb_info["tcbLevels"]) level["tcbStatus"] = "Revoked";
    EXPECT_EQ(found("Revoked").found, "Revoked");
    EXPECT_EQ(found("Revoked").deciding_node, "tcb.level");
    for (const char* stated : {"Revoked", "Revoked (2 advisories)", "REJECT", "REJECT: Revoked"}) {
        EXPECT_EQ(found(stated).agreement, Agreement::agree) << stated;
    }
    for (const char* stated : {"UpToDate", "VALID", "REJECT: quote signature"}) {
        EXPECT_EQ(found(stated).agreement, Agreement::differ) << stated;
    }
    // Whatever else fails is not Intel's word about the level.
    intel.pck_revoked.push_back(intel.pck_recipe.serial);
    EXPECT_EQ(found("Revoked").found, "REJECT");
    EXPECT_EQ(found("Revoked").agreement, Agreement::differ);
}

/// Cases of a trust domain of the tests' own, whose registers an event log explains.
class LogCases : public Cases {
  protected:
    void SetUp() override {
        Cases::SetUp();
        for (std::size_t rtmr = 0; rtmr < 4; ++rtmr) {
            event_log::Event event{.rtmr = rtmr, .type = kIpl, .name = "n"};
            event.digest.fill(static_cast<std::byte>(rtmr + 1));
            log_.events.push_back(event);
        }
        intel_.make_tdx(attestation::evidence::TdReportKind::tdx10);
        intel_.td->rtmr = event_log::replay(log_);
        quote_ = intel_.quote();
        write("log.json", event_log::encode_runtime_log(log_));
        log_.events[3].digest.fill(std::byte{9});
        write("other.json", event_log::encode_runtime_log(log_));
        Bytes padded = quote_;
        padded.resize(8000);
        write("quote.bin", as_chars(padded));
    }

    void write_answer(const char* log) const {
        const Bytes text = read_file(folder_ / log).value();
        Bytes padded = quote_;
        padded.resize(padded.size() + 70);
        write("answer.json", json::compact({{"quote", hex(padded)},
                                            {"event_log", std::string(as_chars(text))},
                                            {"vm_config", "{}"}}));
    }
    void expect(const EvidenceCase& one, Agreement agreement, const char* node) const {
        const CaseResult result = run_case(folder_, one);
        EXPECT_EQ(result.agreement, agreement) << one.verdict << ": " << result.detail;
        EXPECT_EQ(result.deciding_node, node) << one.verdict << ": " << result.detail;
    }
    static EvidenceCase log_case(std::vector<std::string> files, std::string verdict) {
        return {.id = "log",
                .kind = "dstack quote + JSON event log",
                .verdict = std::move(verdict),
                .files = std::move(files),
                .time = {}};
    }

    static constexpr std::uint32_t kIpl = 0xd;  // its digest need not be that of what is beside it
    event_log::EventLog log_;
    attestation::testing::SyntheticIntel intel_;
    Bytes quote_;
};

TEST_F(LogCases, TheRegistersThatAreNamedMustReplay) {
    for (const std::vector<std::string>& files :
         {std::vector<std::string>{"answer.json"}, {"log.json", "quote.bin"}}) {
        write_answer("log.json");
        for (const char* stated : {"replays", "RTMR3 replay matches (checked here)",
                                   "replays exactly to RTMR0..2 of that quote"}) {
            expect(log_case(files, stated), Agreement::agree, "event_log");
        }
        for (const char* stated : {"REJECT", "does not replay", "VALID", "parse only"}) {
            expect(log_case(files, stated), Agreement::differ, "event_log");
        }
    }
    write_answer("other.json");
    for (const std::vector<std::string>& files :
         {std::vector<std::string>{"answer.json"}, {"other.json", "quote.bin"}}) {
        expect(log_case(files, "RTMR3 replay matches"), Agreement::differ, "event_log.rtmr3");
        expect(log_case(files, "replays"), Agreement::differ, "event_log.rtmr3");
        expect(log_case(files, "REJECT: RTMR3"), Agreement::agree, "event_log.rtmr3");
        expect(log_case(files, "does not replay"), Agreement::agree, "event_log.rtmr3");
        expect(log_case(files, "replays to RTMR0..2"), Agreement::agree, "event_log");
    }
}

TEST_F(LogCases, ATextThatWasNotMeasuredIsRefusedAndNamed) {
    constexpr std::uint32_t kEfiAction = 0x80000007;  // the digest is that of the text beside it
    const Bytes text = to_bytes("Exit Boot Services");
    log_.events[3] = {.rtmr = 3, .type = kEfiAction, .data = text};
    log_.events[3].digest = to_array<48>(crypto::hash(crypto::HashKind::kSha384, text));
    intel_.td->rtmr = event_log::replay(log_);
    quote_ = intel_.quote();
    write("quote.bin", as_chars(quote_));
    write("log.json", event_log::encode_runtime_log(log_));
    expect(log_case({"log.json", "quote.bin"}, "replays"), Agreement::agree, "event_log");
    expect(log_case({"log.json", "quote.bin"}, "REJECT"), Agreement::differ, "event_log");
    log_.events[3].data = to_bytes("Exit Boot Servants");
    write("log.json", event_log::encode_runtime_log(log_));
    for (const char* stated :
         {"replays", "RTMR3 replay matches", "REJECT: RTMR3", "does not replay"}) {
        expect(log_case({"log.json", "quote.bin"}, stated), Agreement::differ, "event_log.content");
    }
    for (const char* stated : {"REJECT", "REJECT: event log content"}) {
        expect(log_case({"log.json", "quote.bin"}, stated), Agreement::agree, "event_log.content");
    }
    const CaseResult result = run_case(folder_, log_case({"log.json", "quote.bin"}, "replays"));
    EXPECT_EQ(result.found, "REJECT");
    EXPECT_THAT(result.detail, ::testing::HasSubstr("event 3"));
}

TEST_F(LogCases, WithoutAQuoteALogIsParsedOnly) {
    expect(log_case({"log.json", "other.json"}, "parse only"), Agreement::agree,
           "event_log.syntax");
    expect(log_case({"log.json"}, "replays"), Agreement::differ, "event_log.syntax");
    write("bad.json", "[{}]");
    expect(log_case({"log.json", "bad.json"}, "parse only"), Agreement::differ, "quote.syntax");
    EXPECT_EQ(run_case(folder_, log_case({"gone"}, "parse only")).found, "unreadable");
}

TEST_F(LogCases, AnotherCaseIsReferredToByItsName) {
    write("frame.bin", "# a licence\n# of two lines\n" + std::string("\1\0\0\0\2\0\0\0", 8) +
                           std::string(as_chars(Writer().u64le(quote_.size()).view())) +
                           std::string(as_chars(quote_)));
    const auto with_verdict = [&](const char* verdict) {
        write("index.json", json::compact(json::Value::array({{{"id", "td"},
                                                               {"kind", "TDX quote v4"},
                                                               {"files", {"quote.bin"}},
                                                               {"time", "2026-05-28T20:26:40Z"},
                                                               {"verdict", verdict}}})));
    };
    with_verdict("REJECT: untrusted root");
    EvidenceCase one = log_case({"log.json"}, "replays");
    one.kind = "CCEL event log for td";
    expect(one, Agreement::agree, "event_log");
    one.kind = "CCEL event log for nothing";
    EXPECT_EQ(run_case(folder_, one).found, "unreadable");

    EvidenceCase frame = log_case({"frame.bin"}, "as that case");
    frame.kind = "original OE containers for td";
    CaseResult result = run_case(folder_, frame);
    EXPECT_EQ(result.agreement, Agreement::agree) << result.deciding_node << result.detail;
    EXPECT_EQ(result.taken_off, "Open Enclave's header");
    with_verdict("SIGNATURES_OK");
    EXPECT_EQ(run_case(folder_, frame).agreement, Agreement::differ);
    frame.verdict = "VALID";
    EXPECT_EQ(run_case(folder_, frame).found, "unreadable");
}

/// dstack's published attestations, altered here, as containers of the cases that have their
/// quotes.
class DstackCases : public Cases {
  protected:
    void SetUp() override {
        Cases::SetUp();
        if (!std::filesystem::exists(corpus() / "index.json")) {
            GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        }
        std::filesystem::create_directories(folder_);
        for (const char* name : {"index.json", "dstack"}) {
            std::filesystem::copy(corpus() / name, folder_ / name,
                                  std::filesystem::copy_options::recursive);
        }
    }

    static Bytes original(const char* name) {
        return attestation::testing::read_file(corpus() / "dstack/orig" / name);
    }
    static void flip(Bytes& bytes, std::size_t at) { bytes[at] ^= std::byte{1}; }

    CaseResult run(const char* other, std::vector<std::string> files) const {
        return run_case(folder_, {.id = "container",
                                  .kind = std::string("original containers for ") + other,
                                  .verdict = "as that case",
                                  .files = std::move(files),
                                  .time = {}});
    }
    CaseResult run_tdx(const Bytes& attestation) const {
        write("a.bin", as_chars(attestation));
        return run("tdx4-dstack-attestation", {"a.bin"});
    }
    CaseResult run_snp(const Bytes& attestation) const {
        write("a.bin", as_chars(attestation));
        return run("snp3-milan-dstack", {"dstack/orig/sev_snp_vcek.pem", "a.bin"});
    }
    void expect(const CaseResult& result, Agreement agreement, const char* node) const {
        EXPECT_EQ(result.agreement, agreement) << result.detail;
        EXPECT_EQ(result.deciding_node, node) << result.detail;
    }
};

TEST_F(DstackCases, AnAttestationHasTheVerdictOfItsQuote) {
    expect(run_tdx(original("attestation.bin")), Agreement::agree, "tcb.level");
    expect(run_snp(original("sev_snp_attestation.bin")), Agreement::agree, "report.signature");
    // The one as JSON brings its certificates along.
    expect(run("snp3-milan-dstack", {"dstack/orig/sev-snp-attestation.json"}), Agreement::agree,
           "report.signature");
    expect(run("snp3-milan-dstack", {"dstack/orig/sev_snp_attestation.bin"}), Agreement::differ,
           "vek.certificates");
    EXPECT_EQ(run("snp3-milan-dstack", {"dstack/orig/sev_snp_vcek.pem"}).found, "unreadable");
    EXPECT_EQ(run("nothing", {"dstack/orig/sev_snp_attestation.bin"}).found, "unreadable");
}

TEST_F(DstackCases, AlteredOnesAreRefusedByTheNodeThatKnows) {
    Bytes tdx = original("attestation.bin");
    flip(tdx, 700);  // within the quote's signature
    expect(run_tdx(tdx), Agreement::differ, "quote.signature");
    tdx = original("attestation.bin");
    const std::size_t last = as_chars(tdx).rfind("app-id");
    flip(tdx, last);
    CaseResult result = run_tdx(tdx);
    expect(result, Agreement::differ, "event_log.rtmr3");
    EXPECT_EQ(result.found, "REJECT");
    EXPECT_FALSE(result.detail.empty());
    tdx = original("attestation.bin");
    tdx.push_back({});
    expect(run_tdx(tdx), Agreement::differ, "quote.syntax");

    Bytes snp = original("sev_snp_attestation.bin");
    flip(snp, 4 + 0x90);  // the measurement
    expect(run_snp(snp), Agreement::differ, "report.signature");
    snp = original("sev_snp_attestation.bin");
    flip(snp, as_chars(snp).rfind("attest-test-fixture"));  // beside the report
    expect(run_snp(snp), Agreement::differ, "quote.syntax");
    const std::string json = json::compact({{"attestation", hex(snp)}, {"more", 1}});
    write("a.json", json);
    expect(run("snp3-milan-dstack", {"a.json"}), Agreement::differ, "quote.syntax");
}

TEST_F(DstackCases, ACertificateBringsAllButItsKeyAlong) {
    const auto run_leaf = [&](ByteView attestation, std::vector<std::string> files,
                              const char* time, const char* verdict = "REJECT") {
        x509::DerWriter inner;
        inner.octet_string(attestation);
        const x509::Certificate leaf = ratls::testing::certificate(
            {{oid::kDstackAttestation, x509::Critical::kNo, to_bytes(inner.view())}});
        write("leaf.der", as_chars(leaf.der()));
        files.insert(files.begin(), "leaf.der");
        return run_case(folder_, {.id = "leaf",
                                  .kind = "X.509 certificate, dstack",
                                  .verdict = verdict,
                                  .files = std::move(files),
                                  .time = parse_rfc3339(time).value()});
    };
    // The certificates beside the report are enough; the report was made for something else.
    const Bytes text = original("sev-snp-attestation.json");
    const json::Value root = json::parse(text, {.size_bytes = kMaxIndexBytes}).value();
    const Bytes snp = from_hex(root["attestation"].get<std::string>()).value();
    expect(run_leaf(snp, {}, "2026-09-15T01:05:04Z"), Agreement::agree, "report_data");
    expect(run_leaf(snp, {}, "2026-09-15T01:05:04Z", "REJECT: report data"), Agreement::agree,
           "report_data");
    expect(run_leaf(snp, {}, "2026-09-15T01:05:04Z", "REJECT: report signature"), Agreement::differ,
           "report_data");
    expect(run_leaf(original("sev_snp_attestation.bin"), {}, "2026-09-15T01:05:04Z"),
           Agreement::agree, "vek.certificates");
    const std::vector<std::string> collateral{"dstack/collateral/tdx4-dstack-attestation.json"};
    Bytes tdx = original("attestation.bin");
    expect(run_leaf(tdx, collateral, "2026-04-07T22:20:18Z"), Agreement::agree, "report_data");
    flip(tdx, as_chars(tdx).rfind("app-id"));
    expect(run_leaf(tdx, collateral, "2026-04-07T22:20:18Z"), Agreement::agree, "event_log.rtmr3");
    tdx[0] = std::byte{0x83};
    const CaseResult result = run_leaf(tdx, collateral, "2026-04-07T22:20:18Z");
    EXPECT_EQ(result.deciding_node, "quote.syntax");
    EXPECT_THAT(result.detail, ::testing::HasSubstr("MessagePack"));
}

TEST_F(Cases, AReportOfConfigfsTsmIsReadAsCborAsWell) {
    const std::filesystem::path original = corpus() / "services/orig";
    if (!std::filesystem::exists(original)) GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
    std::filesystem::create_directories(folder_);
    for (const char* name : {"index.json", "services"}) {
        std::filesystem::copy(corpus() / name, folder_ / name,
                              std::filesystem::copy_options::recursive);
    }
    const Bytes cbor = attestation::testing::read_file(original / "sevsnp-tsm-report.cbor");
    const auto run = [&](const Bytes& file) {
        write("tsm.cbor", as_chars(file));
        return run_case(folder_, {.id = "tsm",
                                  .kind = "configfs-tsm style evidence for snp3-genoa-veraison",
                                  .verdict = "as snp3-genoa-veraison",
                                  .files = {"services/orig/sevsnp-tsm-report.json", "tsm.cbor"},
                                  .time = {}});
    };
    EXPECT_EQ(run(cbor).agreement, Agreement::agree) << run(cbor).detail;
    Bytes altered = cbor;
    altered[as_chars(cbor).find("outblob") + 10 + 0x90] ^= std::byte{1};  // the measurement
    EXPECT_EQ(run(altered).agreement, Agreement::differ);
    EXPECT_EQ(run(altered).deciding_node, "report.signature");
    altered = cbor;
    altered.pop_back();
    EXPECT_EQ(run(altered).agreement, Agreement::differ);
    EXPECT_EQ(run(altered).deciding_node, "quote.syntax");
    EXPECT_THAT(run(altered).detail, ::testing::HasSubstr("tsm.cbor"));
    altered = cbor;
    altered[0] = std::byte{0xa2};  // two members, and something behind them
    EXPECT_EQ(run(altered).deciding_node, "quote.syntax");
    altered[0] = std::byte{0xa3};
    altered[as_chars(cbor).find("auxblob")] = std::byte{'b'};
    EXPECT_EQ(run(altered).deciding_node, "quote.syntax");
}

/// A case over files that the test made from real Azure evidence, whose nonce is "challenge".
class AzureCases : public Cases {
  protected:
    void SetUp() override {
        Cases::SetUp();
        if (!std::filesystem::exists(corpus() / "index.json")) {
            GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        }
        whole_ = json::parse(original("trustee/vtpm/az-tdx-vtpm__evidence-v1.json"),
                             {.size_bytes = kMaxIndexBytes})
                     .value();
        write("tpm.json", json::compact(whole_["tpm_quote"]));
        write("hcl.bin", as_chars(bytes_of("hcl_report")));
        write("td.bin", as_chars(bytes_of("td_quote")));
        write("whole.json", json::compact(whole_));
        write("collateral/td.json", as_chars(original("trustee/collateral/tdx4-trustee-az.json")));
    }

    static Bytes original(const char* name) {
        return attestation::testing::read_file(corpus() / name);
    }
    Bytes bytes_of(const char* member) const {
        std::string text = whole_[member].get<std::string>();
        while (text.ends_with('=')) text.pop_back();
        return from_base64url(text).value();
    }
    CaseResult run(std::vector<std::string> files, std::string verdict) const {
        return run_case(folder_, {.id = "azure",
                                  .kind = "Azure vTPM evidence",
                                  .verdict = std::move(verdict),
                                  .files = std::move(files),
                                  .time = parse_rfc3339("2025-06-19T09:35:34Z").value()});
    }
    void expect(const std::vector<std::string>& files, const char* verdict, Agreement agreement,
                const char* node) const {
        const CaseResult result = run(files, verdict);
        EXPECT_EQ(result.agreement, agreement) << verdict << ", found " << result.found;
        EXPECT_EQ(result.deciding_node, node) << verdict << ": " << result.detail;
    }

    json::Value whole_;
};

TEST_F(AzureCases, PiecesAreToldApartByTheirContent) {
    std::vector<std::string> names{"hcl.bin", "td.bin", "tpm.json"};
    do {
        expect(names, "VALID (nonce \"challenge\")", Agreement::agree, "tpm.signature");
    } while (std::ranges::next_permutation(names).found);
    expect(names, "REJECT", Agreement::differ, "tpm.signature");
    expect(names, "REJECT: nonce (nonce \"wrong\")", Agreement::agree, "tpm.nonce");
    // The real quote is in a buffer with zeros behind it; nothing else may be.
    Bytes quote = bytes_of("td_quote");
    ASSERT_EQ(quote.back(), std::byte{0});
    quote.back() = std::byte{1};
    write("td.bin", as_chars(quote));
    EXPECT_EQ(run(names, "VALID").found, "REJECT");
    quote = bytes_of("td_quote");
    quote[200] ^= std::byte{1};
    write("td.bin", as_chars(quote));
    expect(names, "REJECT", Agreement::agree, "quote.signature");
    expect({"hcl.bin", "tpm.json"}, "VALID", Agreement::differ, "quote.syntax");
    expect({"tpm.json", "td.bin"}, "VALID", Agreement::differ, "quote.syntax");
}

TEST_F(AzureCases, ARejectionForAnotherReasonDiffers) {
    const std::vector<std::string> names{"hcl.bin", "td.bin", "tpm.json"};
    expect(names, "REJECT: PCR digest (nonce \"wrong\")", Agreement::differ, "tpm.nonce");
    json::Value quote = whole_["tpm_quote"];
    std::string signature = quote["signature"].get<std::string>();
    signature.front() = signature.front() == '0' ? '1' : '0';
    quote["signature"] = signature;
    write("tpm.json", json::compact(quote));
    for (const char* stated : {"REJECT", "REJECT: TPM quote signature", "REJECT: AK signature"}) {
        expect(names, stated, Agreement::agree, "tpm.signature");
    }
    for (const char* stated : {"REJECT: nonce", "REJECT: report signature", "REJECT: CRL"}) {
        expect(names, stated, Agreement::differ, "tpm.signature");
    }
    Bytes hcl = bytes_of("hcl_report");
    hcl[as_chars(hcl).find("HCLEkPub")] = std::byte{'h'};
    write("hcl.bin", as_chars(hcl));
    expect({"hcl.bin", "td.bin"}, "REJECT: runtime data", Agreement::agree, "hcl.report_data");
    expect({"hcl.bin", "td.bin"}, "REJECT: quote signature", Agreement::differ, "hcl.report_data");
}

TEST_F(AzureCases, TheHardwareAloneBindsTheRuntimeData) {
    expect({"hcl.bin", "td.bin"}, "VALID", Agreement::agree, "hcl.report_data");
    expect({"hcl.bin"}, "VALID", Agreement::differ, "quote.syntax");
    // A row that is about a TPM's quote does not agree where there is none.
    EXPECT_EQ(run({"hcl.bin", "td.bin"}, "VALID (nonce \"challenge\")").found, "unreadable");
    Bytes hcl = bytes_of("hcl_report");
    const std::string_view text = as_chars(hcl);
    hcl[text.find("HCLEkPub")] = std::byte{'h'};  // a name in the runtime data
    write("hcl.bin", as_chars(hcl));
    expect({"hcl.bin", "td.bin"}, "REJECT", Agreement::agree, "hcl.report_data");
}

TEST_F(AzureCases, CollateralGivesTheStatusOfTheHardware) {
    const std::vector<std::string> files{"whole.json", "hcl.bin", "collateral/td.json"};
    expect(files, "VALID", Agreement::agree, "tpm.signature");
    EXPECT_THAT(run(files, "VALID").detail, ::testing::HasSubstr("OutOfDate"));
    expect(files, "OutOfDate", Agreement::agree, "tcb.level");
    expect(files, "UpToDate", Agreement::differ, "tcb.level");
    expect(files, "OutOfDateConfigurationNeeded", Agreement::differ, "tcb.level");
    expect(files, "VALID binding; TD quote verdict OutOfDate", Agreement::agree, "tpm.signature");
    expect(files, "VALID binding; TD quote verdict UpToDate", Agreement::differ, "tpm.signature");
    expect(files, "REJECT; TD quote verdict OutOfDate", Agreement::differ, "tpm.signature");
}

TEST_F(AzureCases, BytesAsNumbersAreReadAsWell) {
    const auto numbers = [](const Bytes& bytes) {
        json::Value out = json::Value::array();
        for (std::byte byte : bytes) out.push_back(std::to_integer<unsigned>(byte));
        return out;
    };
    json::Value quote = whole_["tpm_quote"];
    for (const char* name : {"message", "signature"}) {
        quote[name] = numbers(from_hex(quote[name].get<std::string>()).value());
    }
    for (json::Value& pcr : quote["pcrs"]) {
        pcr = numbers(from_hex(pcr.get<std::string>()).value());
    }
    json::Value old = {{"hcl_report", numbers(bytes_of("hcl_report"))},
                       {"td_quote", numbers(bytes_of("td_quote"))},
                       {"tpm_quote", quote}};
    write("old.json", json::compact(old));
    expect({"old.json"}, "VALID (nonce \"challenge\")", Agreement::agree, "tpm.signature");
    write("tpm.json", json::compact(quote));
    expect({"hcl.bin", "tpm.json", "td.bin"}, "VALID", Agreement::agree, "tpm.signature");
    old["tpm_quote"]["signature"][0] = old["tpm_quote"]["signature"][0].get<unsigned>() ^ 1U;
    write("old.json", json::compact(old));
    expect({"old.json"}, "REJECT", Agreement::agree, "tpm.signature");
}

TEST_F(AzureCases, APaddedQuoteOrItsTextIsReadAndSaidSo) {
    const Bytes td = bytes_of("td_quote");
    const auto run_quote = [&](const std::string& content) {
        write("q.bin", content);
        return run_case(folder_, {.id = "td",
                                  .kind = "TDX quote v4",
                                  .verdict = "OutOfDate",
                                  .files = {"q.bin", "collateral/td.json"},
                                  .time = parse_rfc3339("2025-06-19T09:35:34Z").value()});
    };
    CaseResult result = run_quote(std::string(as_chars(td)));
    EXPECT_EQ(result.agreement, Agreement::agree) << result.detail;
    EXPECT_THAT(result.taken_off, ::testing::HasSubstr("bytes of zero padding"));
    result = run_quote(hex(td) + "\n");
    EXPECT_EQ(result.agreement, Agreement::agree) << result.detail;
    EXPECT_THAT(result.taken_off, ::testing::StartsWith("hexadecimal text, "));
    result = run_quote(std::string(as_chars(td)) + "x");
    EXPECT_EQ(result.found, "REJECT");
    EXPECT_EQ(result.taken_off, "");
}

}  // namespace
}  // namespace eos::client
