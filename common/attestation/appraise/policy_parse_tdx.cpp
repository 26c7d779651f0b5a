// SPDX-License-Identifier: AGPL-3.0-only
// What a policy says about trust domains.
#include <array>

#include "common/attestation/appraise/policy_members.h"
#include "common/base/codec.h"

namespace eos::attestation::appraise {
namespace {

constexpr std::array<std::pair<TdFreedom, std::string_view>, 6> kFreedomNames{{
    {TdFreedom::pks, "pks"},
    {TdFreedom::key_locker, "key_locker"},
    {TdFreedom::perfmon, "perfmon"},
    {TdFreedom::migratable, "migratable"},
    {TdFreedom::sept_ve_enabled, "sept_ve_enabled"},
    {TdFreedom::inner_vm, "inner_vm"},
}};

Result<std::optional<ByteArray<48>>> optional_measurement(json::Object& object,
                                                          std::string_view name) {
    if (object.find(name) == nullptr) return std::optional<ByteArray<48>>{};
    return std::optional(EOS_TRY(hex_member<48>(object, name)));
}

Result<std::set<TdFreedom>> parse_freedoms(json::Object& object) {
    std::set<TdFreedom> out;
    for (const std::string& name : EOS_TRY(text_set(object, "allow"))) {
        std::optional<TdFreedom> freedom = td_freedom_from(name);
        if (!freedom.has_value()) {
            return fail(bad_policy, object.path("allow") + ": unknown word \"" +
                                        printable(as_bytes(name), kMaxNameBytes) + "\"");
        }
        out.insert(*freedom);
    }
    return out;
}

/// A list that replaces its default, which an empty one would make impossible to meet.
Result<void> replace_measurements(json::Object& object, std::string_view name,
                                  std::set<ByteArray<48>>& out) {
    if (object.find(name) == nullptr) return {};
    out = EOS_TRY((hex_set<48>(object, name)));
    if (out.empty()) return fail(bad_policy, object.path(name) + ": empty");
    return {};
}

Result<EventPin> parse_event(const json::Value& value, std::string path) {
    json::Object object = EOS_TRY(json::Object::of(value, std::move(path)));
    EventPin out;
    out.rtmr = static_cast<std::uint8_t>(EOS_TRY(object.number("rtmr", 3)));
    out.digest = EOS_TRY((hex_member<48>(object, "digest")));
    EOS_TRY(object.finish());
    return out;
}

Result<MeasuredRoot> parse_measured_root(json::Object& object) {
    if (object.find("policy_root") == nullptr) return MeasuredRoot::if_logged;
    std::string text = EOS_TRY(object.text("policy_root", kMaxNameBytes));
    std::optional<MeasuredRoot> rule = measured_root_from(text);
    if (!rule) return fail(bad_policy, object.path("policy_root") + ": if_logged or required");
    return *rule;
}

Result<std::optional<EventLogRule>> parse_event_log(json::Object& tdx) {
    const json::Value* value = tdx.find("event_log");
    if (value == nullptr) return std::optional<EventLogRule>();
    json::Object object = EOS_TRY(json::Object::of(*value, tdx.path("event_log")));
    EventLogRule out;
    const json::Value* events = EOS_TRY(object.array("required_events", kMaxPolicyEntries));
    for (std::size_t i = 0; events != nullptr && i < events->size(); ++i) {
        std::string place = json::element_path(object.path("required_events"), i);
        EventPin event = EOS_TRY(parse_event((*events)[i], place));
        if (!out.events.insert(event).second) return fail(bad_policy, place + ": repeated");
    }
    out.policy_root = EOS_TRY(parse_measured_root(object));
    EOS_TRY(object.finish());
    return std::optional(std::move(out));
}

}  // namespace

std::string_view measured_root_name(MeasuredRoot rule) {
    return rule == MeasuredRoot::required ? "required" : "if_logged";
}

std::optional<MeasuredRoot> measured_root_from(std::string_view name) {
    for (MeasuredRoot rule : {MeasuredRoot::if_logged, MeasuredRoot::required})
        if (measured_root_name(rule) == name) return rule;
    return {};
}

std::string_view td_freedom_name(TdFreedom freedom) {
    for (const auto& [value, name] : kFreedomNames)
        if (value == freedom) return name;
    __builtin_unreachable();
}

std::optional<TdFreedom> td_freedom_from(std::string_view name) {
    for (const auto& [value, text] : kFreedomNames)
        if (text == name) return value;
    return {};
}

Result<TdPin> parse_td_pin(json::Object& object) {
    TdPin out;
    out.mr_td = EOS_TRY(hex_member<48>(object, "mr_td"));
    for (std::size_t i = 0; i < out.rtmr.size(); ++i)
        out.rtmr[i] = EOS_TRY(optional_measurement(object, "rtmr" + std::to_string(i)));
    out.mr_config_id = EOS_TRY(optional_measurement(object, "mr_config_id"));
    out.mr_owner = EOS_TRY(optional_measurement(object, "mr_owner"));
    out.mr_owner_config = EOS_TRY(optional_measurement(object, "mr_owner_config"));
    bool names_kernel = out.rtmr[1].has_value() && out.rtmr[2].has_value();
    if (object.find("any_kernel") == nullptr) {
        if (names_kernel) return out;
        return fail(bad_policy, object.path("mr_td") +
                                    ": names the firmware only; rtmr1 and rtmr2 name the kernel");
    }
    std::string word = EOS_TRY(object.text("any_kernel", kMaxNameBytes));
    if (word != kAnySystemWord) {
        return fail(bad_policy, object.path("any_kernel") + ": the only value is " +
                                    std::string(kAnySystemWord));
    }
    if (names_kernel) {
        return fail(bad_policy, object.path("any_kernel") + ": rtmr1 and rtmr2 name the kernel");
    }
    out.scope = TdScope::firmware_only;
    return out;
}

Result<void> parse_tdx(json::Object& root, Policy& out) {
    const json::Value* value = root.find("tdx");
    if (value == nullptr) return {};
    json::Object object = EOS_TRY(json::Object::of(*value, root.path("tdx")));
    if (!out.tees.contains(std::string(kTeeTdx))) {
        return fail(bad_policy, "tdx: rules for a TEE that tees does not name");
    }
    out.tdx.mr_seam = EOS_TRY((hex_set<48>(object, "mr_seam")));
    EOS_TRY(replace_measurements(object, "mr_signer_seam", out.tdx.mr_signer_seam));
    EOS_TRY(replace_measurements(object, "mr_service_td", out.tdx.mr_service_td));
    out.tdx.allow = EOS_TRY(parse_freedoms(object));
    if (object.find("xfam") != nullptr) {
        ByteArray<8> mask = EOS_TRY((hex_member<8>(object, "xfam")));
        out.tdx.xfam = EOS_TRY(Reader(mask).u64le());
    }
    out.tdx.event_log = EOS_TRY(parse_event_log(object));
    return object.finish();
}

}  // namespace eos::attestation::appraise
