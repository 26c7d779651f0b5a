// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/checks.h"
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

json::Value extensions_to_json(const LeafClaims& leaf) {
    json::Value out = json::Value::object();
    for (const auto& [oid, value] : leaf.extensions) {
        // Evidence is shown as what it says, not as bytes.
        if (oid == oid::kSgxQuote) continue;
        const oid::Row* row = oid::find(oid);
        out[row != nullptr ? std::string(row->name) : oid.dotted()] = hex(value);
    }
    return out;
}

}  // namespace

json::Value claims_to_json(const verify::VerifiedEvidence& evidence, const LeafClaims& leaf) {
    const auto& claims = std::get<verify::SgxClaims>(evidence.claims());
    const sgx_arch::ReportBody& report = claims.report;
    bool is_emulated = evidence.root().kind == verify::RootKind::test;
    json::Value out = {{"tee", "sgx"},
                       {"emulated", is_emulated},
                       {"root", evidence.root().name},
                       {"mr_enclave", hex(report.mr_enclave)},
                       {"mr_signer", hex(report.mr_signer)},
                       {"isv_prod_id", report.isv_prod_id},
                       {"isv_svn", report.isv_svn},
                       {"debug", report.attributes.debug()},
                       {"report_data", hex(report.report_data)},
                       {"platform", platform_to_json(claims.platform)},
                       {"certificate", extensions_to_json(leaf)}};
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
