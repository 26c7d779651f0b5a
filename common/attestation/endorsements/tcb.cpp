// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/tcb.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::attestation::endorsements {
namespace {

constexpr std::array<std::pair<TcbStatus, std::string_view>, 9> kStatusNames{{
    {TcbStatus::up_to_date, "UpToDate"},
    {TcbStatus::sw_hardening_needed, "SWHardeningNeeded"},
    {TcbStatus::configuration_needed, "ConfigurationNeeded"},
    {TcbStatus::configuration_and_sw_hardening_needed, "ConfigurationAndSWHardeningNeeded"},
    {TcbStatus::out_of_date, "OutOfDate"},
    {TcbStatus::out_of_date_configuration_needed, "OutOfDateConfigurationNeeded"},
    {TcbStatus::revoked, "Revoked"},
    {TcbStatus::td_relaunch_advised, "TDRelaunchAdvised"},
    {TcbStatus::td_relaunch_advised_configuration_needed, "TDRelaunchAdvisedConfigurationNeeded"},
}};

bool is_of_a_level(TcbStatus status) {
    return status != TcbStatus::td_relaunch_advised &&
           status != TcbStatus::td_relaunch_advised_configuration_needed;
}

constexpr json::Limits kLimits{.size_bytes = kMaxCollateralBytes, .depth = 8};
constexpr std::size_t kMaxTextBytes = 64;

template <std::size_t N>
Result<ByteArray<N>> hex_member(json::Object& object, std::string_view name) {
    std::string text = EOS_TRY(object.text(name, 2 * N));
    Result<ByteArray<N>> value = array_from_hex<N>(text);
    if (!value.has_value()) return fail(std::move(value).error().within(object.path(name)));
    return value;
}

Result<UnixTime> time_member(json::Object& object, std::string_view name) {
    std::string text = EOS_TRY(object.text(name, kMaxTextBytes));
    Result<UnixTime> value = parse_rfc3339(text);
    if (!value.has_value()) return fail(std::move(value).error().within(object.path(name)));
    return value;
}

Result<std::uint16_t> u16_member(json::Object& object, std::string_view name) {
    return static_cast<std::uint16_t>(EOS_TRY(object.number(name, 0xffff)));
}

Result<TcbStatus> status_member(json::Object& object, const Code& code) {
    std::string text = EOS_TRY(object.text("tcbStatus", kMaxTextBytes));
    std::optional<TcbStatus> status = tcb_status_from(text);
    if (!status.has_value() || !is_of_a_level(*status)) {
        return fail(code, object.path("tcbStatus") + ": unknown status " +
                              printable(as_bytes(text), kMaxTextBytes));
    }
    return *status;
}

Result<std::vector<std::string>> advisories_member(json::Object& object) {
    std::vector<std::string> out;
    const json::Value* list = EOS_TRY(object.array("advisoryIDs", kMaxAdvisories));
    if (list == nullptr) return out;
    for (const json::Value& item : *list) {
        out.push_back(EOS_TRY(json::as_text(item, object.path("advisoryIDs"), kMaxTextBytes)));
    }
    return out;
}

Result<std::uint64_t> component_svn(const json::Value& value) {
    // There are hundreds of these in a statement: words are only made for one that has no svn.
    const auto svn = value.find("svn");
    if (svn == value.end()) return EOS_TRY(json::Object::of(value, {})).number("svn", 0xff);
    return json::as_number(*svn, "svn", 0xff);
}

/// Version 3: sixteen objects with a member svn.
Result<TcbComponents> component_list(json::Object& tcb, std::string_view name) {
    TcbComponents out{};
    const json::Value* list = EOS_TRY(tcb.array(name, kTcbComponents));
    if (list == nullptr || list->size() != kTcbComponents) {
        return fail(bad_tcb_info, tcb.path(name) + ": expected 16 components");
    }
    for (std::size_t i = 0; i < kTcbComponents; ++i) {
        Result<std::uint64_t> svn = component_svn((*list)[i]);
        // There are hundreds of these in a statement: their place is put into words if need be.
        if (!svn) return fail(std::move(svn).error().within(json::element_path(tcb.path(name), i)));
        out[i] = static_cast<std::byte>(*svn);
    }
    return out;
}

/// Version 2: sgxtcbcomp01svn to sgxtcbcomp16svn.
Result<TcbComponents> numbered_components(json::Object& tcb) {
    TcbComponents out{};
    for (std::size_t i = 0; i < kTcbComponents; ++i) {
        std::string number = std::to_string(i + 1);
        if (number.size() == 1) number = "0" + number;
        out[i] = static_cast<std::byte>(EOS_TRY(tcb.number("sgxtcbcomp" + number + "svn", 0xff)));
    }
    return out;
}

Result<TcbLevel> parse_level(const json::Value& value, std::string path, const TcbInfo& info) {
    json::Object level = EOS_TRY(json::Object::of(value, std::move(path)));
    const json::Value* tcb_value = EOS_TRY(level.require("tcb"));
    json::Object tcb = EOS_TRY(json::Object::of(*tcb_value, level.path("tcb")));
    TcbLevel out;
    out.sgx_components = info.version == 2 ? EOS_TRY(numbered_components(tcb))
                                           : EOS_TRY(component_list(tcb, "sgxtcbcomponents"));
    if (info.tee == IntelTee::tdx) {
        out.tdx_components = EOS_TRY(component_list(tcb, "tdxtcbcomponents"));
    }
    out.pce_svn = EOS_TRY(u16_member(tcb, "pcesvn"));
    out.date = EOS_TRY(time_member(level, "tcbDate"));
    out.status = EOS_TRY(status_member(level, bad_tcb_info));
    out.advisories = EOS_TRY(advisories_member(level));
    return out;
}

Result<EnclaveLevel> parse_enclave_level(const json::Value& value, std::string path,
                                         const Code& code) {
    json::Object level = EOS_TRY(json::Object::of(value, std::move(path)));
    const json::Value* tcb_value = EOS_TRY(level.require("tcb"));
    json::Object tcb = EOS_TRY(json::Object::of(*tcb_value, level.path("tcb")));
    EnclaveLevel out;
    out.isv_svn = EOS_TRY(u16_member(tcb, "isvsvn"));
    out.date = EOS_TRY(time_member(level, "tcbDate"));
    out.status = EOS_TRY(status_member(level, code));
    out.advisories = EOS_TRY(advisories_member(level));
    return out;
}

/// The members that both kinds of statement have.
template <typename Statement>
Result<void> parse_frame(json::Object& object, const Code& code, Statement& out) {
    out.issue_date = EOS_TRY(time_member(object, "issueDate"));
    out.next_update = EOS_TRY(time_member(object, "nextUpdate"));
    if (out.next_update <= out.issue_date) return fail(code, "nextUpdate is before issueDate");
    out.evaluation_data_number =
        static_cast<std::uint32_t>(EOS_TRY(object.number("tcbEvaluationDataNumber", 0xffffffff)));
    return {};
}

Result<const json::Value*> levels_member(json::Object& object, const Code& code) {
    const json::Value* levels = EOS_TRY(object.array("tcbLevels", kMaxTcbLevels));
    if (levels == nullptr || levels->empty()) return fail(code, "tcbLevels: no levels");
    return levels;
}

Result<std::vector<EnclaveLevel>> enclave_levels(json::Object& object, const Code& code) {
    std::vector<EnclaveLevel> out;
    const json::Value* levels = EOS_TRY(levels_member(object, code));
    for (std::size_t i = 0; i < levels->size(); ++i) {
        std::string path = json::element_path(object.path("tcbLevels"), i);
        out.push_back(EOS_TRY(parse_enclave_level((*levels)[i], std::move(path), code)));
    }
    return out;
}

Result<TdxModule> parse_module(json::Object& object) {
    TdxModule out;
    out.mr_signer = EOS_TRY(hex_member<48>(object, "mrsigner"));
    out.attributes = EOS_TRY(hex_member<8>(object, "attributes"));
    out.attributes_mask = EOS_TRY(hex_member<8>(object, "attributesMask"));
    return out;
}

/// "TDX_03" → 3; in either case, as met.
Result<std::uint8_t> module_major(json::Object& object) {
    constexpr std::string_view kPrefix = "TDX_";
    std::string id = EOS_TRY(object.text("id", kMaxTextBytes));
    std::string upper = id;
    for (char& c : upper)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (upper.starts_with(kPrefix)) {
        Result<ByteArray<1>> number = array_from_hex<1>(upper.substr(kPrefix.size()));
        if (number.has_value()) return std::to_integer<std::uint8_t>((*number)[0]);
    }
    return fail(bad_tcb_info, object.path("id") + ": " + printable(as_bytes(id), kMaxTextBytes));
}

Result<TdxModuleIdentity> parse_module_identity(const json::Value& value, std::string path) {
    json::Object object = EOS_TRY(json::Object::of(value, std::move(path)));
    TdxModuleIdentity out;
    out.major_svn = EOS_TRY(module_major(object));
    out.module = EOS_TRY(parse_module(object));
    out.levels = EOS_TRY(enclave_levels(object, bad_tcb_info));
    return out;
}

/// What only TCB info for TDX has.
Result<void> parse_tdx_part(json::Object& object, TcbInfo& out) {
    const json::Value* module = EOS_TRY(object.require("tdxModule"));
    json::Object members = EOS_TRY(json::Object::of(*module, object.path("tdxModule")));
    out.tdx_module = EOS_TRY(parse_module(members));
    const json::Value* list = EOS_TRY(object.array("tdxModuleIdentities", kMaxTdxModuleIdentities));
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
        std::string path = json::element_path("tdxModuleIdentities", i);
        TdxModuleIdentity identity = EOS_TRY(parse_module_identity((*list)[i], path));
        for (const TdxModuleIdentity& other : out.tdx_module_identities) {
            if (other.major_svn == identity.major_svn) return fail(bad_tcb_info, path + ": twice");
        }
        out.tdx_module_identities.push_back(std::move(identity));
    }
    return {};
}

Result<IntelTee> tcb_info_tee(json::Object& object, std::uint32_t version) {
    if (version == 2) return IntelTee::sgx;  // it knows SGX only and has no id
    std::string id = EOS_TRY(object.text("id", kMaxTextBytes));
    for (IntelTee tee : {IntelTee::sgx, IntelTee::tdx})
        if (id == intel_tee_name(tee)) return tee;
    return fail(bad_tcb_info, "id " + printable(as_bytes(id), kMaxTextBytes));
}

}  // namespace

std::string_view intel_tee_name(IntelTee tee) {
    return tee == IntelTee::sgx ? "SGX" : "TDX";
}

std::string_view tcb_status_name(TcbStatus status) {
    for (const auto& [value, name] : kStatusNames) {
        if (value == status) return name;
    }
    __builtin_unreachable();
}

std::optional<TcbStatus> tcb_status_from(std::string_view name) {
    for (const auto& [value, text] : kStatusNames) {
        if (text == name) return value;
    }
    return {};
}

Result<TcbInfo> parse_tcb_info(ByteView in) {
    json::Value root = EOS_TRY(json::parse(in, kLimits));
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    TcbInfo out;
    out.version = static_cast<std::uint32_t>(EOS_TRY(object.number("version", 0xffff)));
    if (out.version != 2 && out.version != 3) {
        return fail(bad_tcb_info, "version " + std::to_string(out.version));
    }
    out.tee = EOS_TRY(tcb_info_tee(object, out.version));
    EOS_TRY(parse_frame(object, bad_tcb_info, out));
    out.fmspc = EOS_TRY(hex_member<6>(object, "fmspc"));
    if (out.version > 2 || object.find("pceId") != nullptr) {
        out.pce_id = EOS_TRY(hex_member<2>(object, "pceId"));
    }
    // Type 0 is the only one whose components are compared as match() does.
    EOS_TRY(object.number("tcbType", 0));
    const json::Value* levels = EOS_TRY(levels_member(object, bad_tcb_info));
    for (std::size_t i = 0; i < levels->size(); ++i) {
        out.levels.push_back(
            EOS_TRY(parse_level((*levels)[i], json::element_path("tcbLevels", i), out)));
    }
    if (out.tee == IntelTee::tdx) EOS_TRY(parse_tdx_part(object, out));
    return out;
}

Result<QeIdentity> parse_qe_identity(ByteView in) {
    json::Value root = EOS_TRY(json::parse(in, kLimits));
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    std::uint64_t version = EOS_TRY(object.number("version", 0xffff));
    std::string id = EOS_TRY(object.text("id", kMaxTextBytes));
    if (version != 2 || (id != "QE" && id != "TD_QE")) {
        return fail(bad_identity, "version " + std::to_string(version) + ", id " +
                                      printable(as_bytes(id), kMaxTextBytes));
    }
    QeIdentity out;
    out.tee = id == "QE" ? IntelTee::sgx : IntelTee::tdx;
    EOS_TRY(parse_frame(object, bad_identity, out));
    out.misc_select = EOS_TRY(hex_member<4>(object, "miscselect"));
    out.misc_select_mask = EOS_TRY(hex_member<4>(object, "miscselectMask"));
    out.attributes = EOS_TRY(hex_member<16>(object, "attributes"));
    out.attributes_mask = EOS_TRY(hex_member<16>(object, "attributesMask"));
    out.mr_signer = EOS_TRY(hex_member<32>(object, "mrsigner"));
    out.isv_prod_id = EOS_TRY(u16_member(object, "isvprodid"));
    out.levels = EOS_TRY(enclave_levels(object, bad_identity));
    return out;
}

const TcbLevel* match(const TcbInfo& info, const PlatformTcb& platform) {
    if (info.tee != IntelTee::sgx) return nullptr;
    for (const TcbLevel& level : info.levels) {
        bool reached = platform.pce_svn >= level.pce_svn;
        for (std::size_t i = 0; i < kTcbComponents; ++i)
            reached = reached && platform.components[i] >= level.sgx_components[i];
        if (reached) return &level;
    }
    return nullptr;
}

const EnclaveLevel* match(const QeIdentity& identity, std::uint16_t isv_svn) {
    for (const EnclaveLevel& level : identity.levels) {
        if (isv_svn >= level.isv_svn) return &level;
    }
    return nullptr;
}

TcbStatus merge(const PlatformAndEnclave& statuses) {
    const auto [platform, enclave] = statuses;
    if (platform == TcbStatus::revoked) return TcbStatus::revoked;
    if (enclave == TcbStatus::up_to_date) return platform;
    if (enclave != TcbStatus::out_of_date) return TcbStatus::revoked;
    switch (platform) {
        case TcbStatus::up_to_date:
        case TcbStatus::sw_hardening_needed:
            return TcbStatus::out_of_date;
        case TcbStatus::configuration_needed:
        case TcbStatus::configuration_and_sw_hardening_needed:
            return TcbStatus::out_of_date_configuration_needed;
        case TcbStatus::out_of_date:
        case TcbStatus::out_of_date_configuration_needed:
        case TcbStatus::revoked:
            return platform;
        case TcbStatus::td_relaunch_advised:
            return TcbStatus::out_of_date;
        case TcbStatus::td_relaunch_advised_configuration_needed:
            return TcbStatus::out_of_date_configuration_needed;
    }
    __builtin_unreachable();
}

}  // namespace eos::attestation::endorsements
