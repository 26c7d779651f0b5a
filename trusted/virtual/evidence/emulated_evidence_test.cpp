// SPDX-License-Identifier: AGPL-3.0-only
// The evidence that the fakes of fake_tsm_test.h give: made by the emulated platforms.
#include "emulation/quoting/provisioning.h"
#include "emulation/quoting/td_quoting_enclave.h"
#include "emulation/snp/synthetic_amd.h"
#include "trusted/virtual/evidence/fake_tsm_test.h"

namespace eos::cvm::testing {

namespace quoting = emulation::quoting;

namespace {

quoting::TdQuotingEnclave make_enclave() {
    const emulation::sgx_cpu::Cpu cpu(emulation::sgx_cpu::generate_identity());
    quoting::Provisioned made = quoting::provision(cpu, kNow).value();
    return quoting::TdQuotingEnclave::create(std::move(made.td_keys), made.pck_chain_pem).value();
}

}  // namespace

Bytes td_quote(ByteView inblob, QuoteVersion version) {
    using attestation::evidence::TdReportKind;
    static const quoting::TdQuotingEnclave enclave = make_enclave();
    const TdReportKind kind =
        version == QuoteVersion::k4 ? TdReportKind::tdx10 : TdReportKind::tdx15;
    auto report = quoting::emulated_td_report(kind);
    report.report_data = to_array<64>(inblob);
    return enclave.quote(report).value();
}

emulation::snp::SyntheticAmd& amd() {
    static const auto keys = emulation::snp::AuthorityKeys::generate(2048);
    static emulation::snp::SyntheticAmd amd(keys, snp_arch::Product::genoa, kNow);
    return amd;
}

Bytes snp_report(ByteView inblob) {
    amd().report.report_data = to_array<64>(inblob);
    return amd().signed_report();
}

Bytes snp_table() {
    return to_bytes(ByteView(amd().evidence()).subspan(snp_arch::kReportBytes));
}

}  // namespace eos::cvm::testing
