// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/synthetic_intel_test.h"

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/x509/crl.h"
#include "common/x509/pem.h"

namespace eos::attestation::testing {
namespace {

using x509::DerWriter;

DerWriter& field(DerWriter& out, const oid::Oid& oid, const std::function<void()>& value) {
    return out.sequence([&] {
        out.oid(oid);
        value();
    });
}

x509::DistinguishedName name(const std::string& cn) {
    return x509::DistinguishedName::common_name(cn).value();
}

json::Value level(int component_svn, int pce_svn, std::string_view status) {
    json::Value components = json::Value::array();
    for (int i = 0; i < 16; ++i) components.push_back({{"svn", component_svn}});
    return {{"tcb", {{"sgxtcbcomponents", components}, {"pcesvn", pce_svn}}},
            {"tcbDate", "2026-01-14T00:00:00Z"},
            {"tcbStatus", status}};
}

json::Value make_tcb_info() {
    return {{"id", "SGX"},
            {"version", 3},
            {"issueDate", "2026-05-20T00:00:00Z"},
            {"nextUpdate", "2026-06-19T00:00:00Z"},
            {"fmspc", "00906ed50000"},
            {"pceId", "0000"},
            {"tcbType", 0},
            {"tcbEvaluationDataNumber", 20},
            {"tcbLevels", {level(5, 13, "UpToDate"), level(3, 11, "OutOfDate")}}};
}

json::Value make_qe_identity(const ByteArray<32>& signer) {
    json::Value levels = json::Value::array();
    for (const auto& [svn, status] : {std::pair{8, "UpToDate"}, std::pair{5, "OutOfDate"}}) {
        levels.push_back({{"tcb", {{"isvsvn", svn}}},
                          {"tcbDate", "2025-11-12T00:00:00Z"},
                          {"tcbStatus", status}});
    }
    return {{"id", "QE"},
            {"version", 2},
            {"issueDate", "2026-05-20T00:00:00Z"},
            {"nextUpdate", "2026-06-19T00:00:00Z"},
            {"tcbEvaluationDataNumber", 20},
            {"miscselect", "00000000"},
            {"miscselectMask", "FFFFFFFF"},
            {"attributes", "11000000000000000000000000000000"},
            {"attributesMask", "FBFFFFFFFFFFFFFF0000000000000000"},
            {"mrsigner", hex(signer)},
            {"isvprodid", 1},
            {"tcbLevels", levels}};
}

/// A module of the generation "TDX_01" or "TDX_03".
json::Value make_module_identity(std::string_view id) {
    json::Value levels = json::Value::array();
    for (const auto& [svn, status] : {std::pair{11, "UpToDate"}, std::pair{6, "OutOfDate"}}) {
        levels.push_back({{"tcb", {{"isvsvn", svn}}},
                          {"tcbDate", "2025-12-10T00:00:00Z"},
                          {"tcbStatus", status}});
    }
    return {{"id", id},
            {"mrsigner", std::string(96, '0')},
            {"attributes", std::string(16, '0')},
            {"attributesMask", std::string(16, 'F')},
            {"tcbLevels", levels}};
}

json::Value make_tdx_tcb_info() {
    json::Value out = make_tcb_info();
    out["id"] = "TDX";
    out["tdxModule"] = {{"mrsigner", std::string(96, '0')},
                        {"attributes", std::string(16, '0')},
                        {"attributesMask", std::string(16, 'F')}};
    out["tdxModuleIdentities"] = {make_module_identity("TDX_03"), make_module_identity("TDX_01")};
    for (json::Value& level : out["tcbLevels"]) {
        level["tcb"]["tdxtcbcomponents"] = level["tcb"]["sgxtcbcomponents"];
        // As in Intel's statements: they are about the module, which has levels of its own.
        for (int i : {0, 1}) level["tcb"]["tdxtcbcomponents"][i]["svn"] = 0;
    }
    return out;
}

evidence::TdReport make_td(evidence::TdReportKind kind) {
    evidence::TdReport out;
    out.tee_tcb_svn.fill(std::byte{5});
    out.tee_tcb_svn[0] = std::byte{11};
    out.tee_tcb_svn[1] = std::byte{1};
    out.mr_seam.fill(std::byte{0xa0});
    out.td_attributes = evidence::kTdSeptVeDisable;
    out.xfam = 0x000602e7;
    out.mr_td.fill(std::byte{0xa1});
    out.mr_config_id.fill(std::byte{0xa2});
    for (std::size_t i = 0; i < out.rtmr.size(); ++i)
        out.rtmr[i].fill(static_cast<std::byte>(0xb0 + i));
    out.report_data.fill(std::byte{0xc0});
    if (kind != evidence::TdReportKind::tdx10) out.td15 = {.tee_tcb_svn_2 = out.tee_tcb_svn};
    if (kind == evidence::TdReportKind::tdx15_extended) out.extended.emplace();
    return out;
}

sgx_arch::ReportBody make_report(int seed) {
    sgx_arch::ReportBody out;
    out.attributes.flags = sgx_arch::kAttributeInit | sgx_arch::kAttributeMode64;
    out.attributes.xfrm = 7;
    out.mr_enclave.fill(static_cast<std::byte>(seed));
    out.mr_signer.fill(static_cast<std::byte>(seed + 1));
    out.isv_prod_id = 1;
    out.isv_svn = 8;
    out.report_data.fill(static_cast<std::byte>(seed + 2));
    return out;
}

std::string default_chain(const SyntheticIntel& intel) {
    return pem(intel.pck()) + pem(intel.ca()) + pem(intel.root());
}

}  // namespace

SyntheticIntel::SyntheticIntel() {
    const std::uint16_t signs_certificates = x509::kKeyCertSign | x509::kCrlSign;
    root_recipe.cn = "EMULATED SGX Root CA";
    root_recipe.extensions = {
        x509::make_key_usage(signs_certificates),
        x509::make_basic_constraints({.is_ca = true, .path_length = 1}),
        {oid::kEmulationRootMarker, x509::Critical::kYes, to_bytes("emulated")}};
    ca_recipe.cn = "EMULATED SGX PCK Platform CA";
    ca_recipe.extensions = {x509::make_key_usage(signs_certificates),
                            x509::make_basic_constraints({.is_ca = true, .path_length = 0})};
    pck_recipe.cn = "EMULATED SGX PCK Certificate";
    pck_recipe.extensions = {x509::make_key_usage(x509::kDigitalSignature)};
    signer_recipe.cn = "EMULATED SGX TCB Signing";
    signer_recipe.extensions = pck_recipe.extensions;

    platform.ppid.fill(std::byte{0x11});
    platform.tcb.components.fill(std::byte{5});
    platform.tcb.pce_svn = 13;
    platform.fmspc = array_from_hex<6>("00906ed50000").value();
    report = make_report(0x60);
    qe_report = make_report(0x80);
    qe_report.attributes.flags |= sgx_arch::kAttributeProvisionKey;
    tcb_info = make_tcb_info();
    qe_identity = make_qe_identity(qe_report.mr_signer);
    chain_pem = default_chain;
}

Bytes SyntheticIntel::encode_pck_extension(const endorsements::PckExtension& extension) {
    DerWriter out;
    out.sequence([&] {
        field(out, oid::kPckPpid, [&] { out.octet_string(extension.ppid); });
        field(out, oid::kPckTcb, [&] {
            out.sequence([&] {
                for (std::uint32_t i = 0; i < 16; ++i) {
                    field(out, oid::kPckTcb.child(i + 1), [&] {
                        out.integer(std::to_integer<unsigned>(extension.tcb.components[i]));
                    });
                }
                field(out, oid::kPckTcbPceSvn, [&] { out.integer(extension.tcb.pce_svn); });
                field(out, oid::kPckTcbCpuSvn, [&] { out.octet_string(extension.cpu_svn); });
            });
        });
        field(out, oid::kPckPceId, [&] { out.octet_string(extension.pce_id); });
        field(out, oid::kPckFmspc, [&] { out.octet_string(extension.fmspc); });
        const std::byte type{static_cast<std::uint8_t>(extension.sgx_type)};
        field(out, oid::kPckSgxType,
              [&] { out.primitive(x509::Tag::kEnumerated, ByteView(&type, 1)); });
        if (extension.platform_instance_id.has_value()) {
            field(out, oid::kPckPlatformInstanceId,
                  [&] { out.octet_string(*extension.platform_instance_id); });
        }
    });
    return std::move(out).take();
}

x509::Certificate SyntheticIntel::issue(const CertificateRecipe& recipe,
                                        const crypto::P256PublicKey& key,
                                        const CertificateRecipe& issuer,
                                        const crypto::P256PrivateKey& issuer_key) const {
    x509::DistinguishedName issuer_name = name(issuer.cn);
    x509::DistinguishedName subject_name = name(recipe.cn);
    x509::CertificateDraft draft({.serial = recipe.serial,
                                  .issuer = issuer_name.der(),
                                  .validity = recipe.validity,
                                  .subject = subject_name.der(),
                                  .spki = key.spki()});
    for (const x509::Extension& extension : recipe.extensions) draft.add(extension);
    return x509::Certificate::parse(draft.sign(issuer_key)).value();
}

const x509::Certificate& SyntheticIntel::root() const {
    if (!root_) root_ = issue(root_recipe, root_key.public_key(), root_recipe, root_key);
    return *root_;
}

x509::Certificate SyntheticIntel::ca() const {
    return issue(ca_recipe, ca_key.public_key(), root_recipe, root_key);
}

x509::Certificate SyntheticIntel::pck() const {
    CertificateRecipe recipe = pck_recipe;
    recipe.extensions.push_back(
        {oid::kPckExtension, x509::Critical::kNo, encode_pck_extension(platform)});
    return issue(recipe, pck_key.public_key(), ca_recipe, ca_key);
}

x509::Certificate SyntheticIntel::signer() const {
    return issue(signer_recipe, signer_key.public_key(), root_recipe, root_key);
}

void SyntheticIntel::make_tdx(evidence::TdReportKind kind) {
    td = make_td(kind);
    quote_version = kind == evidence::TdReportKind::tdx10 ? 4 : 5;
    tcb_info = make_tdx_tcb_info();
    qe_report.isv_prod_id = 2;
    qe_identity["id"] = "TD_QE";
    qe_identity["isvprodid"] = 2;
}

Bytes SyntheticIntel::signed_part() const {
    const Bytes body = td.has_value() ? evidence::encode(*td) : to_bytes(encode(report));
    Writer out;
    out.u16le(quote_version).u16le(2).u32le(td.has_value() ? 0x81 : 0);
    if (quote_version == 3) {
        out.u16le(8).u16le(13);
    } else {
        out.zeros(4);
    }
    out.bytes(from_hex("939a7233f79c4ca9940a0db3957f0607").value()).zeros(20);
    if (quote_version == 5) {
        out.u16le(td.has_value() ? static_cast<std::uint16_t>(td->kind()) : 1);
        out.u32le(static_cast<std::uint32_t>(body.size()));
    }
    out.bytes(body);
    return std::move(out).take();
}

Bytes SyntheticIntel::auth_data(ByteView signed_part) const {
    sgx_arch::ReportBody qe = qe_report;
    qe.report_data = {};
    crypto::Digest32 binding = crypto::sha256({attestation_key.public_key().point(), qe_auth_data});
    std::ranges::copy(binding, qe.report_data.begin());
    ByteArray<384> qe_bytes = encode(qe);

    std::string pem = chain_pem(*this);
    Writer inner;
    inner.bytes(qe_bytes).bytes(pck_key.sign_raw(qe_bytes));
    inner.u16le(static_cast<std::uint16_t>(qe_auth_data.size())).bytes(qe_auth_data);
    inner.u16le(5).u32le(static_cast<std::uint32_t>(pem.size())).text(pem);
    Writer out;
    out.bytes(attestation_key.sign_raw(signed_part)).bytes(attestation_key.public_key().point());
    if (quote_version > 3) out.u16le(6).u32le(static_cast<std::uint32_t>(inner.size()));
    out.bytes(inner.view());
    return std::move(out).take();
}

Bytes SyntheticIntel::quote() const {
    Bytes bytes = signed_part();
    const Bytes auth = auth_data(bytes);
    Writer size;
    size.u32le(static_cast<std::uint32_t>(auth.size()));
    append(bytes, size.view());
    append(bytes, auth);
    alter_quote(bytes);
    return bytes;
}

endorsements::SignedObject SyntheticIntel::sign(const json::Value& statement) const {
    endorsements::SignedObject out;
    out.body = to_bytes(json::compact(statement));
    out.signature = signer_key.sign_raw(out.body);
    out.issuer_chain_pem = pem(signer()) + pem(root());
    return out;
}

endorsements::Endorsements SyntheticIntel::endorsements() const {
    endorsements::Endorsements out;
    out.root_ca_crl = root_crl();
    out.pck_crl = pck_crl();
    out.tcb_info = sign(tcb_info);
    out.qe_identity = sign(qe_identity);
    return out;
}

verify::Roots SyntheticIntel::roots() const {
    return verify::Roots::test({{"synthetic", root()}}).value();
}

Bytes SyntheticIntel::crl(const CertificateRecipe& issuer, const crypto::P256PrivateKey& key,
                          const std::vector<x509::Serial>& revoked) const {
    std::vector<x509::RevokedCertificate> entries;
    for (const x509::Serial& serial : revoked)
        entries.push_back({serial, crl_validity.not_before, {}});
    x509::DistinguishedName issuer_name = name(issuer.cn);
    ByteArray<20> key_id = x509::key_identifier(key.public_key());
    return x509::make_crl({.issuer = issuer_name.der(),
                           .this_update = crl_validity.not_before,
                           .next_update = crl_validity.not_after,
                           .revoked = entries,
                           .authority_key_identifier = key_id},
                          key);
}

std::string pem(const x509::Certificate& certificate) {
    return x509::encode_pem("CERTIFICATE", certificate.der());
}

}  // namespace eos::attestation::testing
