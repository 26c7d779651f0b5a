// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/evidence/tee_evidence.h"

#include <thread>
#include <variant>

#include "common/attestation/evidence/quote.h"
#include "common/oid/registry.h"

namespace eos::cvm {

namespace {

namespace evidence = attestation::evidence;

bool belongs_to_chain(const evidence::SnpTableEntry& entry) {
    switch (entry.kind) {
        case evidence::SnpTableKind::ark:
        case evidence::SnpTableKind::ask:
        case evidence::SnpTableKind::vcek:
        case evidence::SnpTableKind::vlek:
            return true;
        case evidence::SnpTableKind::crl:
        case evidence::SnpTableKind::other:
            return false;
    }
    return false;
}

Result<void> check_report_data(ByteView found, const ratls::ReportData& wanted) {
    if (equal(found, wanted.bytes())) return {};
    return fail(wrong_report);
}

Result<FreshEvidence> checked(const evidence::TdxQuote& quote, ByteView answer,
                              const ratls::ReportData& report_data) {
    EOS_TRY(check_report_data(quote.report.report_data, report_data));
    // Every bit of TUD opens the domain to its host, not DEBUG alone.
    const bool open = (quote.report.td_attributes & evidence::kTdUntrusted) != 0;
    return FreshEvidence{.kind = TeeKind::kTdx,
                         .bytes = to_bytes(answer),
                         .assurance = open ? Assurance::kDebug : Assurance::kProduction};
}

Result<FreshEvidence> checked(const evidence::SnpEvidence& snp,
                              const ratls::ReportData& report_data) {
    EOS_TRY(check_report_data(snp.report.report_data, report_data));
    std::vector<evidence::SnpTableEntry> chain;
    for (const evidence::SnpTableEntry& entry : snp.table)
        if (belongs_to_chain(entry)) chain.push_back(entry);
    Bytes bytes = to_bytes(snp.report_bytes);
    if (!chain.empty()) append(bytes, evidence::encode_snp_table(chain));
    const bool debug = snp.report.policy.debug_allowed();
    return FreshEvidence{.kind = TeeKind::kSevSnp,
                         .bytes = std::move(bytes),
                         .assurance = debug ? Assurance::kDebug : Assurance::kProduction};
}

}  // namespace

std::string_view tee_name(TeeKind kind) {
    return kind == TeeKind::kTdx ? "Intel TDX" : "AMD SEV-SNP";
}

const oid::Oid& evidence_oid(TeeKind kind) {
    return kind == TeeKind::kTdx ? oid::kTdxQuote : oid::kSnpReport;
}

std::string_view assurance_name(Assurance assurance) {
    return assurance == Assurance::kDebug ? "debug" : "production";
}

Waiting Waiting::real() {
    return {.now = [] { return std::chrono::steady_clock::now(); },
            .sleep = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }};
}

Result<FreshEvidence> check_answer(TeeKind kind, ByteView answer,
                                   const ratls::ReportData& report_data) {
    if (kind == TeeKind::kTdx) answer = evidence::without_padding(answer);
    const evidence::Evidence parsed = EOS_TRY(evidence::parse_evidence(answer));
    if (kind == TeeKind::kTdx) {
        if (const auto* quote = std::get_if<evidence::TdxQuote>(&parsed.quote()))
            return checked(*quote, answer, report_data);
    } else if (const auto* snp = std::get_if<evidence::SnpEvidence>(&parsed.quote())) {
        return checked(*snp, report_data);
    }
    return fail(wrong_report, "not evidence of " + std::string(tee_name(kind)));
}

}  // namespace eos::cvm
