// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <array>

#include "common/attestation/appraise/policy_members.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/x509/pem.h"

namespace eos::attestation::appraise {
namespace {

constexpr json::Limits kLimits{.size_bytes = kMaxPolicyBytes, .depth = 8};
constexpr std::size_t kMaxValueBytes = 4096;
constexpr std::size_t kMaxPemBytes = 8 * 1024;
constexpr std::uint64_t kMaxAge_s = 366 * 86400;

constexpr std::array<std::string_view, 5> kBindings{kBindingV1Deterministic, kBindingV1Challenge,
                                                    kBindingV2Challenge, kBindingCaCsr,
                                                    kBindingReportData};
constexpr std::array<std::string_view, 3> kAssurances{"production", "debug", "process"};

Result<MrSignerPin> parse_signer_pin(json::Object& object) {
    MrSignerPin out;
    out.mr_signer = EOS_TRY(hex_member<32>(object, "mr_signer"));
    out.isv_prod_id = static_cast<std::uint16_t>(EOS_TRY(object.number("isv_prod_id", 0xffff)));
    out.min_isv_svn = static_cast<std::uint16_t>(EOS_TRY(object.number("min_isv_svn", 0xffff)));
    return out;
}

Result<IdentityPin> parse_pin(const json::Value& value, std::string path) {
    json::Object object = EOS_TRY(json::Object::of(value, path));
    IdentityPin pin;
    if (object.find("mr_enclave") != nullptr) {
        pin.identity = MrEnclavePin{EOS_TRY(hex_member<32>(object, "mr_enclave"))};
    } else if (object.find("mr_td") != nullptr) {
        pin.identity = EOS_TRY(parse_td_pin(object));
    } else if (is_snp_pin(object)) {
        pin.identity = EOS_TRY(parse_snp_pin(object));
    } else {
        pin.identity = EOS_TRY(parse_signer_pin(object));
    }
    if (object.find("bindings") != nullptr) {
        pin.bindings = EOS_TRY(word_set(object, "bindings", kBindings));
    }
    EOS_TRY(object.finish());
    return pin;
}

std::string_view tee_of(const IdentityPin& pin) {
    if (std::holds_alternative<TdPin>(pin.identity)) return kTeeTdx;
    return std::holds_alternative<SnpPin>(pin.identity) ? kTeeSnp : kTeeSgx;
}

/// A TEE whose vendor no root stands for can never be genuine.
Result<void> check_tees_have_roots(const Policy& policy) {
    if (policy.roots.kind() == verify::RootKind::test) return {};
    for (const std::string& tee : policy.tees) {
        verify::Vendor vendor = tee == kTeeSnp ? verify::Vendor::amd : verify::Vendor::intel;
        if (policy.roots.vendors().contains(vendor)) continue;
        return fail(bad_policy, "roots.vendor: tees names " + tee + ", which needs \"" +
                                    std::string(vendor_name(vendor)) + "\" here");
    }
    return {};
}

/// A pin that no accepted TEE can match was meant otherwise.
Result<void> check_pins_fit_tees(const Policy& policy) {
    for (std::size_t i = 0; i < policy.identity.size(); ++i) {
        std::string_view tee = tee_of(policy.identity[i]);
        if (policy.tees.contains(std::string(tee))) continue;
        return fail(bad_policy, json::element_path("identity", i) + ": a pin for " +
                                    std::string(tee) + ", which tees does not name");
    }
    return {};
}

Result<void> parse_identity(json::Object& root, Policy& out) {
    const json::Value* list = EOS_TRY(root.array("identity", kMaxPolicyEntries));
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
        out.identity.push_back(
            EOS_TRY(parse_pin((*list)[i], json::element_path(root.path("identity"), i))));
    }
    if (root.find("allow_any_identity") != nullptr) {
        std::string word = EOS_TRY(root.text("allow_any_identity", kMaxNameBytes));
        if (word != kAnyIdentityWord) {
            return fail(bad_policy,
                        "allow_any_identity: the only value is " + std::string(kAnyIdentityWord));
        }
        out.allow_any_identity = true;
    }
    if (out.allow_any_identity && !out.identity.empty()) {
        return fail(bad_policy, "allow_any_identity makes the pins under identity meaningless");
    }
    if (!out.allow_any_identity && out.identity.empty()) {
        return fail(bad_policy,
                    "identity: at least one pin is needed: mr_enclave, mr_signer with "
                    "isv_prod_id and min_isv_svn, mr_td with rtmr1 and rtmr2, or measurement");
    }
    return check_pins_fit_tees(out);
}

Result<verify::TestRoot> parse_test_root(const json::Value& value, std::string path) {
    json::Object object = EOS_TRY(json::Object::of(value, std::move(path)));
    std::string name = EOS_TRY(object.text("name", kMaxNameBytes));
    ByteArray<32> sha256 = EOS_TRY((hex_member<32>(object, "sha256")));
    std::string pem = EOS_TRY(object.text("certificate_pem", kMaxPemBytes));
    EOS_TRY(object.finish());
    Result<std::vector<x509::Certificate>> all = x509::parse_pem_chain(as_bytes(pem));
    if (!all.has_value()) {
        return fail(std::move(all).error().within(object.path("certificate_pem")));
    }
    if (all->size() != 1) {
        return fail(bad_policy, object.path("certificate_pem") + ": expected one certificate");
    }
    if (crypto::sha256(all->front().der()) != sha256) {
        return fail(bad_policy, object.path("sha256") + ": not that of the certificate");
    }
    return verify::TestRoot{std::move(name), all->front()};
}

Result<verify::Roots> parse_roots(json::Object& root) {
    const json::Value* value = EOS_TRY(root.require("roots"));
    json::Object object = EOS_TRY(json::Object::of(*value, root.path("roots")));
    bool has_vendor = object.find("vendor") != nullptr;
    const json::Value* test = EOS_TRY(object.array("test", kMaxPolicyEntries));
    EOS_TRY(object.finish());
    if (has_vendor == (test != nullptr)) {
        return fail(bad_policy,
                    "roots: exactly one of vendor and test is needed; a policy for real "
                    "hardware never takes emulated evidence");
    }
    if (has_vendor) {
        constexpr std::array<std::string_view, 2> kVendors{"intel", "amd"};
        std::set<verify::Vendor> vendors;
        for (const std::string& name : EOS_TRY(word_set(object, "vendor", kVendors)))
            vendors.insert(name == "amd" ? verify::Vendor::amd : verify::Vendor::intel);
        return verify::Roots::of(std::move(vendors));
    }
    std::vector<verify::TestRoot> roots;
    for (std::size_t i = 0; i < test->size(); ++i) {
        roots.push_back(
            EOS_TRY(parse_test_root((*test)[i], json::element_path(object.path("test"), i))));
    }
    return verify::Roots::test(std::move(roots));
}

constexpr std::uint32_t kMaxGraceDays = 366;

/// A status by its name that a policy may accept.
Result<endorsements::TcbStatus> parse_status(const std::string& name, const std::string& path) {
    const std::optional<endorsements::TcbStatus> status = endorsements::tcb_status_from(name);
    if (status.has_value() && *status != endorsements::TcbStatus::revoked) return *status;
    return fail(bad_policy, path + ": not a status to accept: \"" +
                                printable(as_bytes(name), kMaxNameBytes) + "\"");
}

Result<void> parse_grace(json::Object& tcb, TcbRule& rule) {
    const json::Value* value = tcb.find("grace_days");
    if (value == nullptr) return {};
    EOS_TRY(json::Object::of(*value, tcb.path("grace_days")));
    for (const auto& [name, days] : value->items()) {
        const std::string path = tcb.path("grace_days." + printable(as_bytes(name), kMaxNameBytes));
        const endorsements::TcbStatus status = EOS_TRY(parse_status(name, path));
        if (rule.statuses.contains(status))
            return fail(bad_policy, path + ": a status that is accepted needs no grace");
        rule.grace_days[status] =
            static_cast<std::uint32_t>(EOS_TRY(json::as_number(days, path, kMaxGraceDays)));
    }
    return {};
}

Result<TcbRule> parse_tcb(json::Object& root) {
    TcbRule rule;
    const json::Value* value = root.find("tcb");
    if (value == nullptr) return rule;
    json::Object object = EOS_TRY(json::Object::of(*value, root.path("tcb")));
    if (object.find("statuses") != nullptr) {
        rule.statuses.clear();
        for (const std::string& name : EOS_TRY(text_set(object, "statuses"))) {
            rule.statuses.insert(EOS_TRY(parse_status(name, object.path("statuses"))));
        }
    }
    rule.advisories = EOS_TRY(text_set(object, "advisories"));
    if (object.find("min_evaluation_data_number") != nullptr) {
        rule.min_evaluation_data_number = static_cast<std::uint32_t>(
            EOS_TRY(object.number("min_evaluation_data_number", 0xffffffff)));
    }
    EOS_TRY(parse_grace(object, rule));
    EOS_TRY(object.finish());
    return rule;
}

/// An identifier by its name in the registry, or dotted.
Result<oid::Oid> parse_oid(const std::string& text) {
    if (const oid::Row* row = oid::find(std::string_view(text))) return row->oid;
    Result<oid::Oid> oid = oid::Oid::parse(text);
    if (!oid.has_value()) {
        return fail(
            std::move(oid).error().within("required." + printable(as_bytes(text), kMaxNameBytes)));
    }
    return oid;
}

Result<Bytes> parse_required_value(const json::Value& value, std::string path) {
    json::Object object = EOS_TRY(json::Object::of(value, std::move(path)));
    bool is_hex = object.find("hex") != nullptr;
    bool is_utf8 = object.find("utf8") != nullptr;
    EOS_TRY(object.finish());
    if (is_hex == is_utf8) return fail(bad_policy, object.path("hex") + ": either hex or utf8");
    if (is_utf8) return to_bytes(EOS_TRY(object.text("utf8", kMaxValueBytes)));
    std::string text = EOS_TRY(object.text("hex", 2 * kMaxValueBytes));
    Result<Bytes> bytes = from_hex(text);
    if (!bytes.has_value()) return fail(std::move(bytes).error().within(object.path("hex")));
    return bytes;
}

Result<std::map<oid::Oid, Bytes>> parse_required(json::Object& root) {
    std::map<oid::Oid, Bytes> out;
    const json::Value* value = root.find("required");
    if (value == nullptr) return out;
    if (!value->is_object()) return fail(json::wrong_type, "required: expected an object");
    if (value->size() > kMaxPolicyEntries) return fail(json::out_of_range, "required");
    for (const auto& [name, item] : value->items()) {
        oid::Oid oid = EOS_TRY(parse_oid(name));
        Bytes bytes = EOS_TRY(parse_required_value(item, "required." + oid.dotted()));
        if (!out.emplace(oid, std::move(bytes)).second) {
            return fail(bad_policy, "required: " + oid::describe(oid) + " is given twice");
        }
    }
    return out;
}

Result<std::optional<InstanceRule>> parse_instance(json::Object& root) {
    const json::Value* value = root.find("instance");
    if (value == nullptr) return std::optional<InstanceRule>{};
    json::Object object = EOS_TRY(json::Object::of(*value, root.path("instance")));
    InstanceRule rule;
    rule.id = EOS_TRY(hex_member<16>(object, "id"));
    if (object.find("min_generation") != nullptr) {
        rule.min_generation = EOS_TRY(object.number("min_generation", ~std::uint64_t{0}));
    }
    EOS_TRY(object.finish());
    return std::optional(rule);
}

/// Why nothing is left of a verdict without this check, for whoever tried to waive it.
std::string_view why_decisive(std::string_view id) {
    if (id == "qe.identity") {
        return "on real hardware whoever runs the machine could run a quoting enclave of his own; "
               "give the vendor's QE identity as collateral";
    }
    for (std::string_view prefix : {"quote.", "pck.", "qe.", "policy.roots"}) {
        if (id.starts_with(prefix)) return "without it anybody can forge the evidence";
    }
    for (std::string_view prefix : {"report_data", "binding.", "certificate."}) {
        if (id.starts_with(prefix)) return "without it the evidence may be that of another peer";
    }
    if (id == "leaf_binding") return "require_leaf_binding is the member that says so";
    return "docs/formats/policy.md lists the checks that may";
}

Result<void> parse_waivers(json::Object& root, Policy& out) {
    out.waivers = EOS_TRY(text_set(root, "waivers"));
    for (const std::string& id : out.waivers) {
        std::span<const std::string_view> waivable = waivable_checks(out.roots.kind());
        if (std::ranges::find(waivable, id) != waivable.end()) continue;
        return fail(bad_policy, "waivers: \"" + printable(as_bytes(id), kMaxNameBytes) +
                                    "\" may not be waived: " + std::string(why_decisive(id)));
    }
    return {};
}

Result<void> parse_debug(json::Object& root, Policy& out) {
    if (root.find("debug") == nullptr) return {};
    std::string word = EOS_TRY(root.text("debug", kMaxNameBytes));
    if (word == kEmulatedDebugWord) {
        if (out.roots.kind() == verify::RootKind::vendor) {
            return fail(bad_policy,
                        "debug: a debug enclave of real hardware is open to its host; "
                        "only emulation may be in debug mode");
        }
        out.debug = DebugRule::allow_emulated;
        return {};
    }
    if (word != "forbid") {
        return fail(bad_policy, "debug: either forbid or " + std::string(kEmulatedDebugWord));
    }
    return {};
}

Result<void> parse_leaf_rules(json::Object& root, Policy& out) {
    if (root.find("bindings") != nullptr) {
        out.bindings = EOS_TRY(word_set(root, "bindings", kBindings));
    }
    if (root.find("assurance") != nullptr) {
        out.assurance = EOS_TRY(word_set(root, "assurance", kAssurances));
    }
    if (root.find("max_evidence_age_s") != nullptr) {
        out.max_evidence_age_s =
            static_cast<std::uint32_t>(EOS_TRY(root.number("max_evidence_age_s", kMaxAge_s)));
    }
    if (const json::Value* value = root.find("require_leaf_binding")) {
        const auto* required = value->get_ptr<const bool*>();
        if (required == nullptr) return fail(json::wrong_type, "require_leaf_binding");
        out.leaf_binding = *required ? LeafBindingRule::required : LeafBindingRule::optional;
    }
    return {};
}

}  // namespace

std::span<const std::string_view> waivable_checks(verify::RootKind roots) {
    // leaf_binding is not among them: require_leaf_binding is the one way to say that.
    static constexpr std::array<std::string_view, 7> kIds{
        "assurance",           "crl.ark",    "crl.pck", "crl.root", "tcb.level",
        "tdx_module.identity", "qe.identity"};
    std::span<const std::string_view> all = kIds;
    return roots == verify::RootKind::test ? all : all.first(all.size() - 1);
}

Result<Policy> parse_policy(ByteView in) {
    json::Value value = EOS_TRY(json::parse(in, kLimits));
    json::Object root = EOS_TRY(json::Object::of(value, ""));
    std::uint64_t version = EOS_TRY(root.number("version", 0xffffffff));
    if (version != 1) return fail(bad_policy, "version: this program reads version 1");
    Policy out;
    out.name = EOS_TRY(root.text("name", kMaxNameBytes));
    out.roots = EOS_TRY(parse_roots(root));
    if (root.find("tees") != nullptr) {
        constexpr std::array<std::string_view, 3> kTees{kTeeSgx, kTeeTdx, kTeeSnp};
        out.tees = EOS_TRY(word_set(root, "tees", kTees));
    }
    EOS_TRY(check_tees_have_roots(out));
    EOS_TRY(parse_identity(root, out));
    EOS_TRY(parse_tdx(root, out));
    EOS_TRY(parse_snp(root, out));
    EOS_TRY(parse_debug(root, out));
    EOS_TRY(parse_leaf_rules(root, out));
    out.tcb = EOS_TRY(parse_tcb(root));
    if (root.find("max_collateral_age_s") != nullptr) {
        out.max_collateral_age_s =
            static_cast<std::uint32_t>(EOS_TRY(root.number("max_collateral_age_s", kMaxAge_s)));
    }
    out.platforms = EOS_TRY((hex_set<16>(root, "platforms")));
    out.ca = EOS_TRY((hex_set<32>(root, "ca")));
    out.required = EOS_TRY(parse_required(root));
    out.instance = EOS_TRY(parse_instance(root));
    EOS_TRY(parse_waivers(root, out));
    EOS_TRY(root.finish());
    return out;
}

}  // namespace eos::attestation::appraise
