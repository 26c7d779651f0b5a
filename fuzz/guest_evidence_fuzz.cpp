// SPDX-License-Identifier: AGPL-3.0-only
// What kernel, firmware and host hand to the minter. The first byte says what the rest is. What is
// accepted is about the report data that was asked for, and the verifier's parser takes it.
#include <algorithm>
#include <cstdint>

#include "common/attestation/evidence/quote.h"
#include "common/base/assert.h"
#include "trusted/virtual/evidence/guest_device.h"
#include "trusted/virtual/evidence/tsm_report.h"

namespace {

using eos::Bytes;
using eos::ByteView;
namespace cvm = eos::cvm;
namespace evidence = eos::attestation::evidence;

const eos::ratls::ReportData& asked() {
    static const auto data = eos::ratls::ReportData::ca_csr({});
    return data;
}

/// Puts the report data that is asked for where a report of that kind has it; else nothing would
/// ever be accepted.
Bytes answering(ByteView in, std::size_t offset) {
    Bytes out = eos::to_bytes(in);
    if (out.size() >= offset + eos::ratls::kReportDataBytes)
        std::ranges::copy(asked().bytes(), out.begin() + static_cast<std::ptrdiff_t>(offset));
    return out;
}

void check_td(ByteView in, std::size_t offset) {
    const Bytes answer = answering(in, offset);
    const auto accepted = cvm::check_answer(cvm::TeeKind::kTdx, answer, asked());
    if (!accepted) return;
    const std::size_t size = accepted->bytes.size();
    EOS_ASSERT(eos::equal(accepted->bytes, ByteView(answer).first(size)));
    EOS_ASSERT(eos::all_zero(ByteView(answer).subspan(size)));
    const auto quote = evidence::parse_quote(accepted->bytes);
    EOS_ASSERT(quote.has_value());
    const auto& td = std::get<evidence::TdxQuote>(quote->quote()).report;
    EOS_ASSERT(eos::equal(td.report_data, asked().bytes()));
    EOS_ASSERT(!td.debug() || accepted->assurance == cvm::Assurance::kDebug);
}

void check_snp(ByteView in) {
    constexpr std::size_t kReportDataAt = 0x50;
    const auto accepted =
        cvm::check_answer(cvm::TeeKind::kSevSnp, answering(in, kReportDataAt), asked());
    if (!accepted) return;
    const auto snp = evidence::parse_snp_evidence(accepted->bytes);
    EOS_ASSERT(snp.has_value());
    EOS_ASSERT(eos::equal(snp->report.report_data, asked().bytes()));
    for (const evidence::SnpTableEntry& entry : snp->table)
        EOS_ASSERT(entry.kind != evidence::SnpTableKind::other);
}

void check_generation(ByteView in) {
    const auto number = cvm::parse_generation(in);
    if (!number) return;
    EOS_ASSERT(std::stoull(eos::to_string(in)) == *number);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const ByteView in = std::as_bytes(std::span(data, size).subspan(1));
    constexpr std::size_t kV4ReportDataAt = 48 + 520;
    constexpr std::size_t kV5ReportDataAt = kV4ReportDataAt + 6;
    switch (data[0]) {
        case '4':
            check_td(in, kV4ReportDataAt);
            break;
        case '5':
            check_td(in, kV5ReportDataAt);
            break;
        case 's':
            check_snp(in);
            break;
        case 'g':
            check_generation(in);
            break;
        case 'p':
            static_cast<void>(cvm::parse_provider(in));
            break;
        case 'r':
            if (const auto report = cvm::report_of_snp_response(in))
                EOS_ASSERT(report->size() == eos::snp_arch::kReportBytes);
            break;
        case 't':
            static_cast<void>(cvm::rtmr3_of_td_report(in));
            break;
        default:
            break;
    }
    return 0;
}
