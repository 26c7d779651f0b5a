// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/snp/synthetic_amd.h"

#include "common/oid/registry.h"
#include "common/x509/crl.h"

namespace eos::emulation::snp {
namespace {

using attestation::endorsements::VekExtension;
using attestation::evidence::SnpTableKind;
using snp_arch::Product;
using snp_arch::SigningKey;
using x509::Certificate;
using x509::Critical;
using x509::DerWriter;

constexpr std::size_t kTurinHwidBytes = 8;

x509::DistinguishedName name(const std::string& cn) {
    return x509::DistinguishedName::common_name(cn).value();
}

Certificate issue(const CertificateRecipe& recipe, ByteView spki, const CertificateRecipe& issuer,
                  const crypto::RsaPrivateKey& key) {
    x509::DistinguishedName issuer_name = name(issuer.cn);
    x509::DistinguishedName subject = name(recipe.cn);
    x509::CertificateDraft draft({.serial = recipe.serial,
                                  .issuer = issuer_name.der(),
                                  .validity = recipe.validity,
                                  .subject = subject.der(),
                                  .spki = spki});
    for (const x509::Extension& extension : recipe.extensions) draft.add(extension);
    return Certificate::parse(draft.sign(key)).value();
}

std::vector<x509::Extension> ca_extensions(std::uint32_t path_length) {
    return {x509::make_key_usage(x509::kKeyCertSign | x509::kCrlSign),
            x509::make_basic_constraints({.is_ca = true, .path_length = path_length})};
}

Bytes crl(const CertificateRecipe& issuer, const crypto::RsaPrivateKey& key,
          const x509::Validity& validity, const std::vector<x509::Serial>& serials) {
    std::vector<x509::RevokedCertificate> revoked;
    for (const x509::Serial& serial : serials) revoked.push_back({serial, validity.not_before, {}});
    x509::DistinguishedName issuer_name = name(issuer.cn);
    return x509::make_crl({.issuer = issuer_name.der(),
                           .this_update = validity.not_before,
                           .next_update = validity.not_after,
                           .revoked = revoked,
                           .authority_key_identifier = {}},
                          key);
}

snp_arch::Cpuid cpu_of(Product product) {
    switch (product) {
        case Product::milan:
            return {25, 1, 1};
        case Product::genoa:
            return {25, 17, 1};
        case Product::turin:
            return {26, 2, 1};
    }
    __builtin_unreachable();
}

}  // namespace

AuthorityKeys AuthorityKeys::generate(std::size_t bits) {
    return {crypto::RsaPrivateKey::generate(bits), crypto::RsaPrivateKey::generate(bits),
            crypto::RsaPrivateKey::generate(bits)};
}

SyntheticAmd::SyntheticAmd(const AuthorityKeys& keys, Product product, UnixTime now)
    : crl_validity{now - kSecondsPerDay, now + 29 * kSecondsPerDay}, keys_(&keys) {
    const x509::Validity validity{now - 400 * kSecondsPerDay, now + 400 * kSecondsPerDay};
    for (CertificateRecipe* recipe : {&ark_recipe, &ask_recipe, &asvk_recipe, &vek_recipe})
        recipe->validity = validity;
    const std::string product_text(product_name(product));
    ark_recipe.cn = "EMULATED ARK-" + product_text;
    ark_recipe.extensions = ca_extensions(1);
    ark_recipe.extensions.push_back(
        {oid::kEmulationRootMarker, Critical::kYes, to_bytes("emulated")});
    ask_recipe.cn = "EMULATED SEV-" + product_text;
    ask_recipe.extensions = ca_extensions(0);
    asvk_recipe.cn = "EMULATED SEV-VLEK-" + product_text;
    asvk_recipe.extensions = ca_extensions(0);
    // As AMD's own have it, against RFC 5280.
    vek_recipe.serial = x509::Serial();

    vek.product = product;
    vek.product_name = product_text;
    report.version = product == Product::turin ? 5 : 3;
    report.cpuid = cpu_of(product);
    if (report.version >= 5) report.mitigations = snp_arch::MitigationVectors{3, 7};
    report.policy.raw = snp_arch::kPolicyMustBeOne | 1 << 16 | 51;  // ABI 0.51, SMT allowed
    report.platform_info.raw = 0x25;                                // SMT, ECC, alias check
    report.current_firmware = report.committed_firmware = {29, 55, 1};
    report.measurement.fill(std::byte{0x4d});
    report.report_data.fill(std::byte{0x52});
    set_kind(SigningKey::vcek);
    set_tcb({static_cast<std::uint8_t>(product == Product::turin ? 1 : 0), 4, 0, 24, 219});
}

void SyntheticAmd::set_tcb(const snp_arch::Tcb& tcb) {
    vek.tcb = tcb;
    report.reported_tcb = report.committed_tcb = report.current_tcb = report.launch_tcb =
        join_tcb(tcb, vek.product);
}

void SyntheticAmd::set_kind(SigningKey kind) {
    vek.kind = report.signing_key = kind;
    vek_recipe.cn = kind == SigningKey::vcek ? "EMULATED SEV-VCEK" : "EMULATED SEV-VLEK";
    report.chip_id = {};
    vek.chip_id.reset();
    vek.csp_id.clear();
    if (kind == SigningKey::vlek) {
        vek.csp_id = "CN=cc-lab.example";
        return;
    }
    const std::size_t size =
        vek.product == Product::turin ? kTurinHwidBytes : report.chip_id.size();
    for (std::size_t i = 0; i < size; ++i) report.chip_id[i] = static_cast<std::byte>(0xc0 + i);
    vek.chip_id = report.chip_id;
}

const Certificate& SyntheticAmd::ark() const {
    if (!ark_) {
        ark_ = issue(ark_recipe, x509::encode_rsa_spki(keys_->ark.public_key()), ark_recipe,
                     keys_->ark);
    }
    return *ark_;
}

Certificate SyntheticAmd::ask() const {
    return issue(ask_recipe, x509::encode_rsa_spki(keys_->ask.public_key()), ark_recipe,
                 keys_->ark);
}

Certificate SyntheticAmd::asvk() const {
    return issue(asvk_recipe, x509::encode_rsa_spki(keys_->asvk.public_key()), ark_recipe,
                 keys_->ark);
}

const CertificateRecipe& SyntheticAmd::issuer_recipe() const {
    if (issuer == Issuer::ark) return ark_recipe;
    if (issuer == Issuer::ask) return ask_recipe;
    if (issuer == Issuer::asvk) return asvk_recipe;
    return vek.kind == SigningKey::vcek ? ask_recipe : asvk_recipe;
}

const crypto::RsaPrivateKey& SyntheticAmd::issuer_key() const {
    if (&issuer_recipe() == &ark_recipe) return keys_->ark;
    return &issuer_recipe() == &ask_recipe ? keys_->ask : keys_->asvk;
}

Certificate SyntheticAmd::vek_certificate() const {
    CertificateRecipe recipe = vek_recipe;
    for (x509::Extension& extension : vek_extensions(vek))
        recipe.extensions.push_back(std::move(extension));
    return issue(recipe, vek_key.public_key().spki(), issuer_recipe(), issuer_key());
}

Bytes SyntheticAmd::signed_report() const {
    snp_arch::Report out = report;
    ByteArray<snp_arch::kReportBytes> unsigned_bytes = encode(out);
    out.signature = vek_key.sign_raw(ByteView(unsigned_bytes).first(snp_arch::kSignedBytes));
    return to_bytes(encode(out));
}

Bytes SyntheticAmd::evidence() const {
    const bool is_vlek = vek.kind == SigningKey::vlek;
    auto der = [](const Certificate& certificate) { return to_bytes(certificate.der()); };
    Bytes table = attestation::evidence::encode_snp_table(
        {{SnpTableKind::ark, der(ark())},
         {SnpTableKind::ask, der(is_vlek ? asvk() : ask())},
         {is_vlek ? SnpTableKind::vlek : SnpTableKind::vcek, der(vek_certificate())}});
    return concat({signed_report(), table});
}

Bytes SyntheticAmd::ark_crl() const {
    return crl(ark_recipe, keys_->ark, crl_validity, ark_revoked);
}

Bytes SyntheticAmd::ask_crl() const {
    return crl(issuer_recipe(), issuer_key(), crl_validity, ask_revoked);
}

std::vector<x509::Extension> vek_extensions(const VekExtension& vek) {
    std::vector<x509::Extension> out;
    auto add = [&out](const oid::Oid& oid, DerWriter& value) {
        out.push_back({oid, Critical::kNo, to_bytes(value.view())});
    };
    auto number = [&](const oid::Oid& oid, std::uint64_t value) {
        DerWriter der;
        add(oid, der.integer(value));
    };
    auto text = [&](const oid::Oid& oid, const std::string& value) {
        DerWriter der;
        add(oid, der.text(x509::Tag::kIa5String, value));
    };
    const bool is_turin = vek.product == Product::turin;
    number(oid::kVekStructVersion, is_turin ? 1 : 0);
    text(oid::kVekProductName, vek.product_name);
    number(oid::kVekSplBootLoader, vek.tcb.boot_loader);
    number(oid::kVekSplTee, vek.tcb.tee);
    number(oid::kVekSplSnp, vek.tcb.snp);
    number(oid::kVekSplMicrocode, vek.tcb.microcode);
    if (is_turin) number(oid::kVekSplFmc, vek.tcb.fmc);
    if (vek.chip_id.has_value()) {
        ByteView hwid = *vek.chip_id;
        out.push_back({oid::kVekHwid, Critical::kNo,
                       to_bytes(is_turin ? hwid.first(kTurinHwidBytes) : hwid)});
    }
    if (!vek.csp_id.empty()) text(oid::kVekCspId, vek.csp_id);
    return out;
}

}  // namespace eos::emulation::snp
