// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/checks.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::appraise {
namespace {

json::Value tcb_to_json(const verify::TcbResult& tcb) {
    json::Value out = {{"status", tcb_status_name(tcb.status)},
                       {"platform_status", tcb_status_name(tcb.platform)},
                       {"date", rfc3339(tcb.date)},
                       {"advisories", tcb.advisories},
                       {"evaluation_data_number", tcb.evaluation_data_number}};
    if (tcb.quoting_enclave.has_value()) {
        out["quoting_enclave_status"] = tcb_status_name(*tcb.quoting_enclave);
    }
    if (tcb.tdx_module.has_value()) out["tdx_module_status"] = tcb_status_name(*tcb.tdx_module);
    if (tcb.current.has_value()) out["current_status"] = tcb_status_name(*tcb.current);
    return out;
}

json::Value platform_to_json(const endorsements::PckExtension& platform) {
    json::Value out = {
        {"fmspc", hex(platform.fmspc)},    {"pce_id", hex(platform.pce_id)},
        {"pce_svn", platform.tcb.pce_svn}, {"tcb_components", hex(platform.tcb.components)},
        {"ppid", hex(platform.ppid)},      {"sgx_type", static_cast<int>(platform.sgx_type)}};
    if (platform.platform_instance_id.has_value()) {
        out["platform_instance_id"] = hex(*platform.platform_instance_id);
    }
    if (!platform.configuration.has_value()) return out;
    auto set = [&out](const char* name, const std::optional<bool>& value) {
        if (value.has_value()) out[name] = *value;
    };
    set("dynamic_platform", platform.configuration->dynamic_platform);
    set("cached_keys", platform.configuration->cached_keys);
    set("smt_enabled", platform.configuration->smt_enabled);
    return out;
}

json::Value tee_to_json(const verify::SgxClaims& claims) {
    const sgx_arch::ReportBody& report = claims.report;
    return {
        {"mr_enclave", hex(report.mr_enclave)},   {"mr_signer", hex(report.mr_signer)},
        {"isv_prod_id", report.isv_prod_id},      {"isv_svn", report.isv_svn},
        {"report_data", hex(report.report_data)}, {"platform", platform_to_json(claims.platform)}};
}

/// 64 bits as they stand in the report.
std::string report_hex(std::uint64_t value) {
    Writer out;
    out.u64le(value);
    return hex(out.view());
}

json::Value tee_to_json(const verify::TdxClaims& claims) {
    const evidence::TdReport& td = claims.report;
    json::Value out = {{"report_kind", td_report_kind_name(td.kind())},
                       {"tee_tcb_svn", hex(td.tee_tcb_svn)},
                       {"mr_seam", hex(td.mr_seam)},
                       {"mr_signer_seam", hex(td.mr_signer_seam)},
                       {"td_attributes", report_hex(td.td_attributes)},
                       {"xfam", report_hex(td.xfam)},
                       {"mr_td", hex(td.mr_td)},
                       {"mr_config_id", hex(td.mr_config_id)},
                       {"mr_owner", hex(td.mr_owner)},
                       {"mr_owner_config", hex(td.mr_owner_config)},
                       {"report_data", hex(td.report_data)},
                       {"platform", platform_to_json(claims.platform)}};
    for (std::size_t i = 0; i < td.rtmr.size(); ++i)
        out["rtmr" + std::to_string(i)] = hex(td.rtmr[i]);
    if (td.td15.has_value()) {
        out["tee_tcb_svn_2"] = hex(td.td15->tee_tcb_svn_2);
        out["mr_service_td"] = hex(td.td15->mr_service_td);
    }
    if (td.extended.has_value()) {
        out["vm_id"] = td.extended->vm_id;
        out["td_id"] = hex(td.extended->td_id);
    }
    return out;
}

json::Value tcb_to_json(const snp_arch::Tcb& tcb, snp_arch::Product product) {
    json::Value out = {{"boot_loader", tcb.boot_loader},
                       {"tee", tcb.tee},
                       {"snp", tcb.snp},
                       {"microcode", tcb.microcode}};
    if (product == snp_arch::Product::turin) out["fmc"] = tcb.fmc;
    return out;
}

json::Value tee_to_json(const verify::SnpClaims& claims) {
    const snp_arch::Report& report = claims.report;
    const snp_arch::Product product = claims.product;
    json::Value out = {{"report_version", report.version},
                       {"product", product_name(product)},
                       {"guest_svn", report.guest_svn},
                       {"policy", report_hex(report.policy.raw)},
                       {"platform_info", report_hex(report.platform_info.raw)},
                       {"vmpl", report.vmpl},
                       {"family_id", hex(report.family_id)},
                       {"image_id", hex(report.image_id)},
                       {"measurement", hex(report.measurement)},
                       {"host_data", hex(report.host_data)},
                       {"id_key_digest", hex(report.id_key_digest)},
                       {"author_key_digest", hex(report.author_key_digest)},
                       {"report_data", hex(report.report_data)},
                       {"chip_id", hex(report.chip_id)},
                       {"signing_key", claims.csp_id.empty() ? "VCEK" : "VLEK"},
                       {"reported_tcb", tcb_to_json(claims.reported, product)},
                       {"committed_tcb", tcb_to_json(claims.committed, product)},
                       {"current_tcb", tcb_to_json(claims.current, product)},
                       {"launch_tcb", tcb_to_json(claims.launch, product)}};
    if (!claims.csp_id.empty()) out["csp_id"] = claims.csp_id;
    if (report.mitigations.has_value()) {
        out["launch_mit_vector"] = report_hex(report.mitigations->launch);
        out["current_mit_vector"] = report_hex(report.mitigations->current);
    }
    return out;
}

json::Value extensions_to_json(const LeafClaims& leaf) {
    json::Value out = json::Value::object();
    for (const auto& [oid, value] : leaf.extensions) {
        // Evidence is shown as what it says, not as bytes.
        if (oid == oid::kSgxQuote || oid == oid::kTdxQuote || oid == oid::kSnpReport) continue;
        const oid::Row* row = oid::find(oid);
        out[row != nullptr ? std::string(row->name) : oid.dotted()] = hex(value);
    }
    return out;
}

}  // namespace

json::Value claims_to_json(const verify::VerifiedEvidence& evidence, const LeafClaims& leaf) {
    json::Value out =
        std::visit([](const auto& claims) { return tee_to_json(claims); }, evidence.claims());
    out["tee"] = tee_name(evidence.claims());
    out["emulated"] = evidence.root().kind == verify::RootKind::test;
    out["root"] = evidence.root().name;
    out["debug"] = is_debug(evidence.claims());
    out["certificate"] = extensions_to_json(leaf);
    if (evidence.tcb().has_value()) out["tcb"] = tcb_to_json(*evidence.tcb());
    if (!leaf.server_name.empty()) out["server_name"] = printable(as_bytes(leaf.server_name));
    if (leaf.binding.has_value()) out["binding"] = leaf.binding->format;
    if (std::optional<InstanceClaim> instance = instance_claim(leaf)) {
        out["instance"] = {{"id", hex(instance->id)},
                           {"boot_id", hex(instance->boot_id)},
                           {"generation", instance->generation}};
    }
    return out;
}

}  // namespace eos::attestation::appraise
