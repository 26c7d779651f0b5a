// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/evidence/tdx_report.h"

#include <string>

#include "common/base/assert.h"
#include "common/base/codec.h"

namespace eos::attestation::evidence {
namespace {

Result<Td15Fields> parse_td15(Reader& in) {
    Td15Fields out;
    out.tee_tcb_svn_2 = EOS_TRY(in.array<16>());
    out.mr_service_td = EOS_TRY(in.array<48>());
    return out;
}

Result<Td15ExtendedFields> parse_extended(Reader& in) {
    Td15ExtendedFields out;
    out.vm_id = EOS_TRY(in.u8());
    out.td_id = EOS_TRY(in.array<32>());
    out.device_info = EOS_TRY(in.array<48>());
    out.initial_service_td_hash = EOS_TRY(in.array<48>());
    out.initial_service_td_attributes = EOS_TRY(in.array<8>());
    out.initial_cpu_svn = EOS_TRY(in.array<16>());
    out.initial_tee_tcb_svn = EOS_TRY(in.array<16>());
    out.initial_fmspc = EOS_TRY(in.array<12>());
    out.current_service_td_hash = EOS_TRY(in.array<48>());
    out.current_service_td_attributes = EOS_TRY(in.array<8>());
    return out;
}

void write_extended(Writer& out, const Td15ExtendedFields& fields) {
    out.u8(fields.vm_id).bytes(fields.td_id).bytes(fields.device_info);
    out.bytes(fields.initial_service_td_hash).bytes(fields.initial_service_td_attributes);
    out.bytes(fields.initial_cpu_svn).bytes(fields.initial_tee_tcb_svn);
    out.bytes(fields.initial_fmspc);
    out.bytes(fields.current_service_td_hash).bytes(fields.current_service_td_attributes);
}

}  // namespace

std::string_view td_report_kind_name(TdReportKind kind) {
    switch (kind) {
        case TdReportKind::tdx10:
            return "TDX 1.0";
        case TdReportKind::tdx15:
            return "TDX 1.5";
        case TdReportKind::tdx15_extended:
            return "TDX 1.5 extended";
    }
    __builtin_unreachable();
}

std::size_t td_report_size_bytes(TdReportKind kind) {
    switch (kind) {
        case TdReportKind::tdx10:
            return kTd10ReportBytes;
        case TdReportKind::tdx15:
            return kTd15ReportBytes;
        case TdReportKind::tdx15_extended:
            return kTd15ExtendedReportBytes;
    }
    __builtin_unreachable();
}

Result<TdReport> parse_td_report(ByteView bytes, TdReportKind kind) {
    if (bytes.size() != td_report_size_bytes(kind)) {
        return fail(wrong_td_report_size, std::to_string(bytes.size()) + " bytes, " +
                                              std::string(td_report_kind_name(kind)) + " has " +
                                              std::to_string(td_report_size_bytes(kind)));
    }
    Reader in(bytes);
    TdReport out;
    out.tee_tcb_svn = EOS_TRY(in.array<16>());
    out.mr_seam = EOS_TRY(in.array<48>());
    out.mr_signer_seam = EOS_TRY(in.array<48>());
    out.seam_attributes = EOS_TRY(in.array<8>());
    out.td_attributes = EOS_TRY(in.u64le());
    out.xfam = EOS_TRY(in.u64le());
    out.mr_td = EOS_TRY(in.array<48>());
    out.mr_config_id = EOS_TRY(in.array<48>());
    out.mr_owner = EOS_TRY(in.array<48>());
    out.mr_owner_config = EOS_TRY(in.array<48>());
    for (TdMeasurement& rtmr : out.rtmr) rtmr = EOS_TRY(in.array<48>());
    out.report_data = EOS_TRY(in.array<64>());
    if (kind != TdReportKind::tdx10) out.td15 = EOS_TRY(parse_td15(in));
    if (kind == TdReportKind::tdx15_extended) out.extended = EOS_TRY(parse_extended(in));
    EOS_TRY(in.expect_end());
    return out;
}

Bytes encode(const TdReport& report) {
    EOS_ASSERT(report.td15.has_value() || !report.extended.has_value());
    Writer out;
    out.bytes(report.tee_tcb_svn).bytes(report.mr_seam).bytes(report.mr_signer_seam);
    out.bytes(report.seam_attributes).u64le(report.td_attributes).u64le(report.xfam);
    out.bytes(report.mr_td).bytes(report.mr_config_id).bytes(report.mr_owner);
    out.bytes(report.mr_owner_config);
    for (const TdMeasurement& rtmr : report.rtmr) out.bytes(rtmr);
    out.bytes(report.report_data);
    if (report.td15.has_value())
        out.bytes(report.td15->tee_tcb_svn_2).bytes(report.td15->mr_service_td);
    if (report.extended.has_value()) write_extended(out, *report.extended);
    return std::move(out).take();
}

}  // namespace eos::attestation::evidence
