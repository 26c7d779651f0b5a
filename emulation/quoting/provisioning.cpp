// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/provisioning.h"

#include <string_view>
#include <utility>

#include "common/crypto/random.h"
#include "common/oid/registry.h"
#include "common/x509/builder.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"
#include "emulation/quoting/collateral.h"
#include "emulation/quoting/pck_extension.h"
#include "emulation/quoting/td_quoting_enclave.h"

namespace eos::emulation::quoting {

namespace {

using crypto::P256PrivateKey;
using x509::Certificate;

/// A CA.
struct Authority {
    P256PrivateKey key;
    Certificate certificate;
};

Result<x509::DistinguishedName> name(std::string_view common_name) {
    return x509::DistinguishedName::of({{oid::kCommonName, std::string(common_name)},
                                        {oid::kOrganizationName, "Enclave OS emulation"}});
}

x509::Validity validity(const Window& window) {
    return {.not_before = window.from, .not_after = window.to};
}

Result<Authority> make_root(const Window& window) {
    P256PrivateKey key = P256PrivateKey::generate();
    x509::CaOptions options{.subject = EOS_TRY(name("EMULATED SGX Root CA (protects nothing)")),
                            .validity = validity(window),
                            .path_length = 1,
                            .more_extensions = {{oid::kEmulationRootMarker, x509::Critical::kYes,
                                                 to_bytes("EMULATED: protects nothing")}}};
    Certificate certificate = EOS_TRY(x509::make_root_ca(options, key));
    return Authority{std::move(key), std::move(certificate)};
}

Result<Authority> make_platform_ca(const Authority& root, const Window& window) {
    P256PrivateKey key = P256PrivateKey::generate();
    const x509::CaOptions options{.subject = EOS_TRY(name("EMULATED SGX PCK Platform CA")),
                                  .validity = validity(window),
                                  .path_length = 0};
    Certificate certificate =
        EOS_TRY(x509::make_intermediate_ca(options, key.public_key(), root.certificate, root.key));
    return Authority{std::move(key), std::move(certificate)};
}

/// An end entity's certificate; `extension`, if any, is put after the standard ones.
Result<Certificate> issue(std::string_view common_name, const crypto::P256PublicKey& key,
                          const Authority& issuer, const Window& window,
                          const x509::Extension* extension) {
    const x509::DistinguishedName subject = EOS_TRY(name(common_name));
    x509::CertificateDraft draft({.serial = x509::Serial::random(),
                                  .issuer = issuer.certificate.subject_tlv(),
                                  .validity = validity(window),
                                  .subject = subject.der(),
                                  .spki = key.spki()});
    draft.add(x509::make_authority_key_identifier(issuer.certificate.subject_key_identifier()));
    draft.add(x509::make_subject_key_identifier(key));
    draft.add(x509::make_key_usage(x509::kDigitalSignature | x509::kContentCommitment));
    draft.add(x509::make_basic_constraints({.is_ca = false, .path_length = std::nullopt}));
    if (extension != nullptr) draft.add(*extension);
    return Certificate::parse(draft.sign(issuer.key));
}

/// The attestation key, and the QE report that the PCK signs to vouch for it.
Result<QuotingKeys> certify_attestation_key(const sgx_cpu::Cpu& cpu,
                                            const sgx_cpu::EnclaveIdentity& qe,
                                            const P256PrivateKey& pck) {
    QuotingKeys out{.attestation_key = P256PrivateKey::generate()};
    out.auth_data = crypto::random_array<kQeAuthDataBytes>();
    const sgx_arch::Report report = EOS_TRY(
        cpu.report(qe, target_of(qe),
                   attestation_key_binding(out.attestation_key.public_key(), out.auth_data)));
    out.qe_report = encode(report.body);
    out.qe_report_signature = pck.sign_raw(out.qe_report);
    return out;
}

/// An empty list.
Bytes empty_crl(const Authority& issuer, const Window& window) {
    return x509::make_crl({.issuer = issuer.certificate.subject_tlv(),
                           .this_update = window.from,
                           .next_update = window.to,
                           .authority_key_identifier = issuer.certificate.subject_key_identifier()},
                          issuer.key);
}

std::string pem_chain(std::initializer_list<Certificate> chain) {
    std::string out;
    for (const Certificate& certificate : chain)
        out += x509::encode_pem("CERTIFICATE", certificate.der());
    return out;
}

}  // namespace

Result<Provisioned> provision(const sgx_cpu::Cpu& cpu, UnixTime now) {
    // A day back, for verifiers whose clock is behind.
    const Window window{.from = now - kSecondsPerDay, .to = now + kValiditySeconds};
    Authority root = EOS_TRY(make_root(window));
    Authority platform_ca = EOS_TRY(make_platform_ca(root, window));

    const P256PrivateKey pck = P256PrivateKey::generate();
    const x509::Extension sgx{oid::kPckExtension, x509::Critical::kNo,
                              pck_extension(cpu.identity())};
    const Certificate pck_certificate =
        EOS_TRY(issue("EMULATED SGX PCK Certificate", pck.public_key(), platform_ca, window, &sgx));

    P256PrivateKey tcb_signing = P256PrivateKey::generate();
    const Certificate tcb_certificate =
        EOS_TRY(issue("EMULATED SGX TCB Signing", tcb_signing.public_key(), root, window, nullptr));

    const CollateralParts parts{
        .root_ca_crl = empty_crl(root, window),
        .pck_crl = empty_crl(platform_ca, window),
        .pck_crl_issuer_chain_pem = pem_chain({platform_ca.certificate, root.certificate}),
        .tcb_signing_chain_pem = pem_chain({tcb_certificate, root.certificate})};
    return Provisioned{
        .keys = EOS_TRY(certify_attestation_key(cpu, quoting_enclave_identity(), pck)),
        .td_keys = EOS_TRY(certify_attestation_key(cpu, td_quoting_enclave_identity(), pck)),
        .pck_chain_pem = pem_chain({pck_certificate, platform_ca.certificate, root.certificate}),
        .root_pem = pem_chain({root.certificate}),
        .collateral_json = collateral_json(
            {tcb_info_json(cpu.identity(), window), qe_identity_json(window)}, parts, tcb_signing),
        .tdx_collateral_json = collateral_json(
            {tdx_tcb_info_json(cpu.identity(), window), td_qe_identity_json(window)}, parts,
            tcb_signing),
        .issuing = {std::move(root.key), std::move(platform_ca.key), std::move(tcb_signing)}};
}

}  // namespace eos::emulation::quoting
