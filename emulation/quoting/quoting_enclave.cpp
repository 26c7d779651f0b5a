// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/quoting_enclave.h"

#include <string_view>

#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"
#include "common/x509/certificate.h"
#include "common/x509/pem.h"

namespace eos::emulation::quoting {

namespace {

constexpr std::string_view kMrEnclaveText = "enclave-os emulated quoting enclave, protects nothing";
constexpr std::string_view kMrSignerText = "enclave-os emulated quoting enclave's signer";

constexpr std::uint16_t kQuoteVersion = 3;
constexpr std::uint16_t kEcdsaP256 = 2;
constexpr std::uint32_t kTeeSgx = 0;
constexpr std::uint16_t kPckCertificateChain = 5;
constexpr std::size_t kAuthDataFixedBytes = 64 + 64 + 384 + 64 + 2 + 2 + 4;

}  // namespace

sgx_cpu::EnclaveIdentity quoting_enclave_identity() {
    sgx_cpu::EnclaveIdentity out;
    out.mr_enclave = crypto::sha256(as_bytes(kMrEnclaveText));
    out.mr_signer = crypto::sha256(as_bytes(kMrSignerText));
    out.attributes.flags |= sgx_arch::kAttributeProvisionKey;
    out.isv_prod_id = kQeIsvProdId;
    out.isv_svn = kQeIsvSvn;
    return out;
}

sgx_arch::ReportData attestation_key_binding(const crypto::P256PublicKey& attestation_key,
                                             ByteView auth_data) {
    sgx_arch::ReportData out{};
    std::ranges::copy(crypto::sha256({attestation_key.point(), auth_data}), out.begin());
    return out;
}

Result<void> check_consistent(const QuotingKeys& keys, std::string_view pck_chain_pem) {
    const sgx_arch::ReportBody report = EOS_TRY(sgx_arch::parse_report_body(keys.qe_report));
    const sgx_arch::ReportData binding =
        attestation_key_binding(keys.attestation_key.public_key(), keys.auth_data);
    if (report.report_data != binding)
        return fail(inconsistent_keys, "the QE report is of another attestation key");
    const std::vector<x509::Certificate> chain =
        EOS_TRY(x509::parse_pem_chain(as_bytes(pck_chain_pem)));
    const crypto::P256PublicKey pck = EOS_TRY(chain.front().p256_key());
    if (!pck.verify_raw(keys.qe_report, keys.qe_report_signature))
        return fail(inconsistent_keys, "the QE report is not signed by this PCK");
    return {};
}

Result<QuotingEnclave> QuotingEnclave::create(sgx_cpu::Cpu cpu, QuotingKeys keys,
                                              std::string pck_chain_pem) {
    EOS_TRY(check_consistent(keys, pck_chain_pem));
    return QuotingEnclave(std::move(cpu), std::move(keys), std::move(pck_chain_pem));
}

sgx_arch::TargetInfo QuotingEnclave::target_info() const {
    return sgx_cpu::target_of(quoting_enclave_identity());
}

crypto::Digest32 QuotingEnclave::public_key_id() const {
    return crypto::sha256(keys_.attestation_key.public_key().point());
}

std::size_t QuotingEnclave::quote_size_bytes() const {
    return 48 + sgx_arch::kReportBodyBytes + 4 + kAuthDataFixedBytes + keys_.auth_data.size() +
           pck_chain_pem_.size() + 1;
}

Bytes QuotingEnclave::signed_part(ByteView report_body) const {
    const crypto::Digest32 platform = crypto::sha256(cpu_.identity().ppid);
    Writer out;
    out.u16le(kQuoteVersion).u16le(kEcdsaP256).u32le(kTeeSgx);
    out.u16le(kQeIsvSvn).u16le(cpu_.identity().pce_svn);
    out.bytes(attestation::evidence::kIntelQeVendorId);
    out.bytes(ByteView(platform).first(16)).zeros(4);  // user data: the platform's pseudonym
    out.bytes(report_body);
    return std::move(out).take();
}

Bytes QuotingEnclave::auth_data(ByteView signed_part) const {
    Writer out;
    out.bytes(keys_.attestation_key.sign_raw(signed_part));
    out.bytes(keys_.attestation_key.public_key().point());
    out.bytes(keys_.qe_report).bytes(keys_.qe_report_signature);
    out.u16le(static_cast<std::uint16_t>(keys_.auth_data.size())).bytes(keys_.auth_data);
    // As Intel's library, which counts the NUL in.
    out.u16le(kPckCertificateChain).u32le(static_cast<std::uint32_t>(pck_chain_pem_.size() + 1));
    out.text(pck_chain_pem_).zeros(1);
    return std::move(out).take();
}

Result<Bytes> QuotingEnclave::quote(ByteView report) const {
    EOS_TRY(sgx_cpu::verify_report(cpu_, quoting_enclave_identity(), report));
    const Bytes head = signed_part(report.first(sgx_arch::kReportBodyBytes));
    const Bytes auth = auth_data(head);
    Writer out;
    out.bytes(head).u32le(static_cast<std::uint32_t>(auth.size())).bytes(auth);
    return std::move(out).take();
}

}  // namespace eos::emulation::quoting
