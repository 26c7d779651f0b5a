// SPDX-License-Identifier: AGPL-3.0-only
#include "common/sgx_arch/report.h"

#include "common/base/codec.h"
#include "common/sgx_arch/reserved.h"

namespace eos::sgx_arch {

namespace {

Result<Attributes> read_attributes(Reader& in) {
    Attributes out;
    out.flags = EOS_TRY(in.u64le());
    out.xfrm = EOS_TRY(in.u64le());
    return out;
}

Result<ReportBody> read_body(Reader& in) {
    ReportBody out;
    out.cpu_svn = EOS_TRY(in.array<16>());          // 0
    out.misc_select = EOS_TRY(in.u32le());          // 16
    out.cet_attributes = EOS_TRY(in.u8());          // 20
    EOS_TRY(in.bytes(11));                          // 21
    out.isv_ext_prod_id = EOS_TRY(in.array<16>());  // 32
    out.attributes = EOS_TRY(read_attributes(in));  // 48
    out.mr_enclave = EOS_TRY(in.array<32>());       // 64
    EOS_TRY(in.bytes(32));                          // 96
    out.mr_signer = EOS_TRY(in.array<32>());        // 128
    EOS_TRY(in.bytes(32));                          // 160
    out.config_id = EOS_TRY(in.array<64>());        // 192
    out.isv_prod_id = EOS_TRY(in.u16le());          // 256
    out.isv_svn = EOS_TRY(in.u16le());              // 258
    out.config_svn = EOS_TRY(in.u16le());           // 260
    EOS_TRY(in.bytes(42));                          // 262
    out.isv_family_id = EOS_TRY(in.array<16>());    // 304
    out.report_data = EOS_TRY(in.array<64>());      // 320
    return out;
}

void write_body(Writer& out, const ReportBody& body) {
    out.bytes(body.cpu_svn).u32le(body.misc_select).u8(body.cet_attributes).zeros(11);
    out.bytes(body.isv_ext_prod_id).u64le(body.attributes.flags).u64le(body.attributes.xfrm);
    out.bytes(body.mr_enclave).zeros(32).bytes(body.mr_signer).zeros(32).bytes(body.config_id);
    out.u16le(body.isv_prod_id).u16le(body.isv_svn).u16le(body.config_svn).zeros(42);
    out.bytes(body.isv_family_id).bytes(body.report_data);
}

}  // namespace

Result<ReportBody> parse_report_body(ByteView in) {
    EOS_TRY(detail::expect_size(in, {"REPORT body", kReportBodyBytes}));
    Reader reader(in);
    return read_body(reader);
}

ByteArray<kReportBodyBytes> encode(const ReportBody& body) {
    Writer out;
    write_body(out, body);
    return to_array<kReportBodyBytes>(out.view());
}

Result<Report> parse_report(ByteView in) {
    EOS_TRY(detail::expect_size(in, {"REPORT", kReportBytes}));
    Reader reader(in);
    Report out;
    out.body = EOS_TRY(read_body(reader));
    out.key_id = EOS_TRY(reader.array<32>());  // 384
    out.mac = EOS_TRY(reader.array<16>());     // 416
    return out;
}

ByteArray<kReportBytes> encode(const Report& report) {
    Writer out;
    write_body(out, report.body);
    out.bytes(report.key_id).bytes(report.mac);
    return to_array<kReportBytes>(out.view());
}

Result<TargetInfo> parse_target_info(ByteView in) {
    EOS_TRY(detail::expect_size(in, {"TARGETINFO", kTargetInfoBytes}));
    Reader reader(in);
    TargetInfo out;
    out.mr_enclave = EOS_TRY(reader.array<32>());       // 0
    out.attributes = EOS_TRY(read_attributes(reader));  // 32
    out.cet_attributes = EOS_TRY(reader.u8());          // 48
    EOS_TRY(detail::expect_zeros(reader, {"TARGETINFO byte 49", 1}));
    out.config_svn = EOS_TRY(reader.u16le());   // 50
    out.misc_select = EOS_TRY(reader.u32le());  // 52
    EOS_TRY(detail::expect_zeros(reader, {"TARGETINFO bytes 56 to 63", 8}));
    out.config_id = EOS_TRY(reader.array<64>());  // 64
    EOS_TRY(detail::expect_zeros(reader, {"TARGETINFO bytes 128 to 511", 384}));
    return out;
}

ByteArray<kTargetInfoBytes> encode(const TargetInfo& target) {
    Writer out;
    out.bytes(target.mr_enclave).u64le(target.attributes.flags).u64le(target.attributes.xfrm);
    out.u8(target.cet_attributes).zeros(1).u16le(target.config_svn).u32le(target.misc_select);
    out.zeros(8).bytes(target.config_id).zeros(384);
    return to_array<kTargetInfoBytes>(out.view());
}

TargetInfo target_of(const ReportBody& body) {
    TargetInfo out;
    out.mr_enclave = body.mr_enclave;
    out.attributes = body.attributes;
    out.cet_attributes = body.cet_attributes;
    out.config_svn = body.config_svn;
    out.misc_select = body.misc_select;
    out.config_id = body.config_id;
    return out;
}

}  // namespace eos::sgx_arch
