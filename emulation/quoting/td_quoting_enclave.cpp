// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/td_quoting_enclave.h"

#include <algorithm>
#include <string_view>

#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"

namespace eos::emulation::quoting {

namespace {

using attestation::evidence::TdReport;
using attestation::evidence::TdReportKind;
using attestation::evidence::TeeTcbSvn;

constexpr std::string_view kMrEnclaveText =
    "enclave-os emulated TD quoting enclave, protects nothing";
constexpr std::string_view kMrSignerText = "enclave-os emulated TD quoting enclave's signer";
constexpr std::string_view kMrSeamText = "enclave-os emulated TDX module, protects nothing";

constexpr std::uint16_t kEcdsaP256 = 2;
constexpr std::uint32_t kTeeTdx = 0x81;
constexpr std::uint16_t kPckCertificateChain = 5;
constexpr std::uint16_t kQeReportCertificationData = 6;
constexpr std::uint64_t kXfam = 0x000602e7;  // what Linux guests have: x87 to AVX-512, PKRU, AMX

std::uint32_t size32(ByteView bytes) {
    return static_cast<std::uint32_t>(bytes.size());
}

Bytes signed_part(const TdReport& report) {
    const Bytes body = encode(report);
    const bool is_v4 = report.kind() == TdReportKind::tdx10;
    Writer out;
    out.u16le(is_v4 ? 4 : 5).u16le(kEcdsaP256).u32le(kTeeTdx).zeros(4);
    out.bytes(attestation::evidence::kIntelQeVendorId).zeros(20);
    if (!is_v4) out.u16le(static_cast<std::uint16_t>(report.kind())).u32le(size32(body));
    out.bytes(body);
    return std::move(out).take();
}

/// The platform's part of a report; the rest is the TD's.
Result<void> check_platform(const TdReport& report) {
    const TdReport expected = emulated_td_report(report.kind());
    if (!report.debug()) return fail(not_an_emulated_td, "DEBUG is 0");
    if (report.mr_seam != expected.mr_seam || report.mr_signer_seam != expected.mr_signer_seam ||
        report.seam_attributes != expected.seam_attributes) {
        return fail(not_an_emulated_td, "another TDX module");
    }
    if (report.tee_tcb_svn != expected.tee_tcb_svn ||
        (report.td15.has_value() && report.td15->tee_tcb_svn_2 != expected.td15->tee_tcb_svn_2)) {
        return fail(not_an_emulated_td, "another security version");
    }
    return {};
}

}  // namespace

sgx_cpu::EnclaveIdentity td_quoting_enclave_identity() {
    sgx_cpu::EnclaveIdentity out;
    out.mr_enclave = crypto::sha256(as_bytes(kMrEnclaveText));
    out.mr_signer = crypto::sha256(as_bytes(kMrSignerText));
    out.attributes.flags |= sgx_arch::kAttributeProvisionKey;
    out.isv_prod_id = kTdQeIsvProdId;
    out.isv_svn = kTdQeIsvSvn;
    return out;
}

TeeTcbSvn emulated_tee_tcb_svn() {
    TeeTcbSvn out{};
    out[0] = std::byte{kTdxModuleMinor};
    out[1] = std::byte{kTdxModuleMajor};
    out[2] = std::byte{3};  // the loader's, the one component beside the module that is in use
    return out;
}

TdReport emulated_td_report(TdReportKind kind) {
    TdReport out;
    out.tee_tcb_svn = emulated_tee_tcb_svn();
    std::ranges::copy(crypto::hash(crypto::HashKind::kSha384, as_bytes(kMrSeamText)),
                      out.mr_seam.begin());
    out.td_attributes = attestation::evidence::kTdDebug | attestation::evidence::kTdSeptVeDisable;
    out.xfam = kXfam;
    if (kind != TdReportKind::tdx10) out.td15 = {.tee_tcb_svn_2 = out.tee_tcb_svn};
    if (kind == TdReportKind::tdx15_extended) out.extended.emplace();
    return out;
}

Result<TdQuotingEnclave> TdQuotingEnclave::create(QuotingKeys keys, std::string pck_chain_pem) {
    EOS_TRY(check_consistent(keys, pck_chain_pem));
    return TdQuotingEnclave(std::move(keys), std::move(pck_chain_pem));
}

Bytes TdQuotingEnclave::auth_data(ByteView signed_bytes) const {
    Writer inner;
    inner.bytes(keys_.qe_report).bytes(keys_.qe_report_signature);
    inner.u16le(static_cast<std::uint16_t>(keys_.auth_data.size())).bytes(keys_.auth_data);
    // As Intel's library, which counts the NUL in.
    inner.u16le(kPckCertificateChain).u32le(size32(as_bytes(pck_chain_pem_)) + 1);
    inner.text(pck_chain_pem_).zeros(1);
    Writer out;
    out.bytes(keys_.attestation_key.sign_raw(signed_bytes));
    out.bytes(keys_.attestation_key.public_key().point());
    out.u16le(kQeReportCertificationData).u32le(size32(inner.view())).bytes(inner.view());
    return std::move(out).take();
}

Result<Bytes> TdQuotingEnclave::quote(const TdReport& report) const {
    EOS_TRY(check_platform(report));
    const Bytes head = signed_part(report);
    const Bytes auth = auth_data(head);
    Writer out;
    out.bytes(head).u32le(size32(auth)).bytes(auth);
    return std::move(out).take();
}

}  // namespace eos::emulation::quoting
