// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/evidence/tee_evidence.h"

#include <thread>
#include <variant>

#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"
#include "common/oid/registry.h"

namespace eos::cvm {

namespace {

namespace evidence = attestation::evidence;

/// Where a TDX quote's signature data begins, by its header; nothing for other versions.
Result<std::size_t> signed_size(ByteView quote) {
    constexpr std::size_t kHeaderBytes = 48;
    Reader reader(quote);
    const std::uint16_t version = EOS_TRY(reader.u16le());
    if (version == 4) return kHeaderBytes + evidence::kTd10ReportBytes;
    if (version != 5) return fail(evidence::unsupported_version);
    EOS_TRY(reader.bytes(kHeaderBytes - sizeof(version)));
    EOS_TRY(reader.u16le());
    const std::uint32_t body_bytes = EOS_TRY(reader.u32le());
    return kHeaderBytes + sizeof(std::uint16_t) + sizeof(body_bytes) + std::size_t{body_bytes};
}

Result<std::size_t> quote_size(ByteView quote) {
    const std::size_t head = EOS_TRY(signed_size(quote));
    Reader reader(quote);
    EOS_TRY(reader.bytes(head));
    const std::uint32_t signature_bytes = EOS_TRY(reader.u32le());
    EOS_TRY(reader.bytes(signature_bytes));
    return quote.size() - reader.remaining();
}

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

ByteView without_padding(ByteView quote) {
    const Result<std::size_t> size = quote_size(quote);
    if (!size || !all_zero(quote.subspan(*size))) return quote;
    return quote.first(*size);
}

Result<FreshEvidence> check_answer(TeeKind kind, ByteView answer,
                                   const ratls::ReportData& report_data) {
    if (kind == TeeKind::kTdx) answer = without_padding(answer);
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
