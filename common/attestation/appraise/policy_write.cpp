// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/policy_members.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/x509/pem.h"

namespace eos::attestation::appraise {
namespace {

void td_pin_to_json(const TdPin& pin, json::Value& out) {
    auto set = [&out](const std::string& name, const std::optional<TdPin::Measurement>& value) {
        if (value.has_value()) out[name] = hex(*value);
    };
    out["mr_td"] = hex(pin.mr_td);
    for (std::size_t i = 0; i < pin.rtmr.size(); ++i) set("rtmr" + std::to_string(i), pin.rtmr[i]);
    set("mr_config_id", pin.mr_config_id);
    set("mr_owner", pin.mr_owner);
    set("mr_owner_config", pin.mr_owner_config);
    if (pin.scope == TdScope::firmware_only) out["any_kernel"] = kAnySystemWord;
}

json::Value pin_to_json(const IdentityPin& pin) {
    json::Value out = json::Value::object();
    if (const auto* enclave = std::get_if<MrEnclavePin>(&pin.identity)) {
        out["mr_enclave"] = hex(enclave->mr_enclave);
    } else if (const auto* signer = std::get_if<MrSignerPin>(&pin.identity)) {
        out["mr_signer"] = hex(signer->mr_signer);
        out["isv_prod_id"] = signer->isv_prod_id;
        out["min_isv_svn"] = signer->min_isv_svn;
    }
    if (const auto* td = std::get_if<TdPin>(&pin.identity)) td_pin_to_json(*td, out);
    if (const auto* snp = std::get_if<SnpPin>(&pin.identity)) snp_pin_to_json(*snp, out);
    if (!pin.bindings.empty()) out["bindings"] = pin.bindings;
    return out;
}

json::Value roots_to_json(const verify::Roots& roots) {
    if (roots.kind() == verify::RootKind::vendor) {
        std::set<std::string_view> names;
        for (verify::Vendor vendor : roots.vendors()) names.insert(vendor_name(vendor));
        return {{"vendor", names}};
    }
    json::Value list = json::Value::array();
    for (const verify::TestRoot& root : roots.test_roots()) {
        list.push_back(
            {{"name", root.name},
             {"sha256", hex(crypto::sha256(root.certificate.der()))},
             {"certificate_pem", x509::encode_pem("CERTIFICATE", root.certificate.der())}});
    }
    return {{"test", list}};
}

json::Value tcb_to_json(const TcbRule& rule) {
    json::Value statuses = json::Value::array();
    for (endorsements::TcbStatus status : rule.statuses)
        statuses.push_back(endorsements::tcb_status_name(status));
    json::Value out{{"statuses", statuses},
                    {"advisories", rule.advisories},
                    {"min_evaluation_data_number", rule.min_evaluation_data_number}};
    for (const auto& [status, days] : rule.grace_days)
        out["grace_days"][endorsements::tcb_status_name(status)] = days;
    return out;
}

template <typename Container>
json::Value hex_list(const Container& values) {
    json::Value out = json::Value::array();
    for (const auto& value : values) out.push_back(hex(value));
    return out;
}

json::Value tdx_to_json(const TdxRule& rule) {
    std::set<std::string_view> allow;
    for (TdFreedom freedom : rule.allow) allow.insert(td_freedom_name(freedom));
    Writer xfam;
    xfam.u64le(rule.xfam);
    json::Value out = {{"mr_seam", hex_list(rule.mr_seam)},
                       {"mr_signer_seam", hex_list(rule.mr_signer_seam)},
                       {"mr_service_td", hex_list(rule.mr_service_td)},
                       {"allow", allow},
                       {"xfam", hex(xfam.view())}};
    if (!rule.event_log) return out;
    json::Value events = json::Value::array();
    for (const EventPin& event : rule.event_log->events)
        events.push_back({{"rtmr", event.rtmr}, {"digest", hex(event.digest)}});
    out["event_log"] = {{"required_events", events},
                        {"policy_root", measured_root_name(rule.event_log->policy_root)}};
    return out;
}

/// "Any of" has no order, and saying a thing twice does not change it.
void sort_set(json::Value& list) {
    std::vector<json::Value> items(list.begin(), list.end());
    std::ranges::sort(items);
    items.erase(std::unique(items.begin(), items.end()), items.end());
    list = items;
}

json::Value canonical_json(const Policy& policy) {
    json::Value value = policy_to_json(policy);
    sort_set(value["identity"]);
    if (value["roots"].contains("test")) sort_set(value["roots"]["test"]);
    return value;
}

void collect_differences(const json::Value& before, const json::Value& after,
                         std::vector<PolicyDifference>& out) {
    json::Value a = before.flatten();
    json::Value b = after.flatten();
    std::set<std::string> paths;
    for (const auto& [path, value] : a.items()) paths.insert(path);
    for (const auto& [path, value] : b.items()) paths.insert(path);
    auto text = [](const json::Value& flat, const std::string& path) {
        auto it = flat.find(path);
        // flatten() writes an empty list as null.
        return it == flat.end() || it->is_null() ? std::string() : json::compact(*it);
    };
    for (const std::string& path : paths) {
        std::string old_text = text(a, path);
        std::string new_text = text(b, path);
        if (old_text != new_text) out.push_back({path, old_text, new_text});
    }
}

}  // namespace

json::Value policy_to_json(const Policy& policy) {
    json::Value out = {{"version", 1},
                       {"name", policy.name},
                       {"tees", policy.tees},
                       {"roots", roots_to_json(policy.roots)},
                       {"bindings", policy.bindings},
                       {"max_evidence_age_s", policy.max_evidence_age_s},
                       {"assurance", policy.assurance},
                       {"tcb", tcb_to_json(policy.tcb)},
                       {"platforms", hex_list(policy.platforms)},
                       {"ca", hex_list(policy.ca)},
                       {"waivers", policy.waivers}};
    out["identity"] = json::Value::array();
    for (const IdentityPin& pin : policy.identity) out["identity"].push_back(pin_to_json(pin));
    if (policy.tees.contains(std::string(kTeeTdx))) out["tdx"] = tdx_to_json(policy.tdx);
    if (policy.tees.contains(std::string(kTeeSnp))) out["snp"] = snp_to_json(policy.snp);
    if (policy.allow_any_identity) out["allow_any_identity"] = kAnyIdentityWord;
    out["debug"] = policy.debug == DebugRule::forbid ? "forbid" : kEmulatedDebugWord;
    out["require_leaf_binding"] = policy.leaf_binding == LeafBindingRule::required;
    out["required"] = json::Value::object();
    for (const auto& [oid, value] : policy.required)
        out["required"][oid.dotted()] = {{"hex", hex(value)}};
    if (policy.max_collateral_age_s.has_value())
        out["max_collateral_age_s"] = *policy.max_collateral_age_s;
    if (policy.instance.has_value()) {
        out["instance"] = {{"id", hex(policy.instance->id)},
                           {"min_generation", policy.instance->min_generation}};
    }
    return out;
}

std::string canonical_policy(const Policy& policy) {
    return json::compact(canonical_json(policy));
}

crypto::Digest32 policy_hash(const Policy& policy) {
    std::string canonical = canonical_policy(policy);
    return crypto::sha256(as_bytes(canonical));
}

std::vector<PolicyDifference> diff_policies(const Policy& before, const Policy& after) {
    std::vector<PolicyDifference> out;
    collect_differences(canonical_json(before), canonical_json(after), out);
    return out;
}

}  // namespace eos::attestation::appraise
