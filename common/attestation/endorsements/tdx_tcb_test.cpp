// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/tdx_tcb.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::attestation::endorsements {
namespace {

json::Value components(int svn) {
    json::Value out = json::Value::array();
    for (int i = 0; i < 16; ++i) out.push_back({{"svn", svn}});
    return out;
}

json::Value level(int svn, std::string_view status) {
    return {{"tcb",
             {{"sgxtcbcomponents", components(svn)},
              {"tdxtcbcomponents", components(svn)},
              {"pcesvn", svn}}},
            {"tcbDate", "2024-03-13T00:00:00Z"},
            {"tcbStatus", status}};
}

json::Value module_identity(std::string_view id) {
    json::Value levels = json::Value::array();
    for (const auto& [svn, status] : {std::pair{11, "UpToDate"}, std::pair{6, "OutOfDate"}}) {
        levels.push_back({{"tcb", {{"isvsvn", svn}}},
                          {"tcbDate", "2024-03-13T00:00:00Z"},
                          {"tcbStatus", status}});
    }
    return {{"id", id},
            {"mrsigner", std::string(96, '0')},
            {"attributes", std::string(16, '0')},
            {"attributesMask", std::string(16, 'F')},
            {"tcbLevels", levels}};
}

json::Value tcb_info() {
    json::Value module = module_identity("");
    module.erase("id");
    module.erase("tcbLevels");
    return {{"id", "TDX"},
            {"version", 3},
            {"issueDate", "2026-01-01T00:00:00Z"},
            {"nextUpdate", "2026-01-31T00:00:00Z"},
            {"fmspc", "50806F000000"},
            {"pceId", "0000"},
            {"tcbType", 0},
            {"tcbEvaluationDataNumber", 17},
            {"tdxModule", module},
            {"tdxModuleIdentities", {module_identity("TDX_01"), module_identity("tdx_0A")}},
            {"tcbLevels", {level(5, "UpToDate"), level(3, "OutOfDate")}}};
}

Result<TcbInfo> parse(const json::Value& value) {
    return parse_tcb_info(as_bytes(json::compact(value)));
}

TEST(TdxTcbInfo, ModulesAndComponents) {
    Result<TcbInfo> info = parse(tcb_info());
    ASSERT_TRUE(info.has_value()) << info.error().message();
    EXPECT_EQ(info->tee, IntelTee::tdx);
    EXPECT_EQ(hex(info->tdx_module.attributes_mask), "ffffffffffffffff");
    EXPECT_EQ(info->levels[1].tdx_components[15], std::byte{3});
    ASSERT_EQ(info->tdx_module_identities.size(), 2u);
    EXPECT_EQ(find_tdx_module(*info, 1), &info->tdx_module_identities[0]);
    EXPECT_EQ(find_tdx_module(*info, 10), &info->tdx_module_identities[1]);  // in lower case too
    EXPECT_EQ(find_tdx_module(*info, 3), nullptr);
    EXPECT_EQ(tdx_module_id(10), "TDX_0a");
}

TEST(TdxTcbInfo, StatementsFromBeforeModuleIdentitiesAreRead) {
    json::Value value = tcb_info();
    value.erase("tdxModuleIdentities");
    EXPECT_TRUE(parse(value).value().tdx_module_identities.empty());
}

TEST(TdxTcbInfo, TwinsFail) {
    struct Twin {
        std::string_view pointer;
        json::Value value;  ///< null removes the member
        Code code;
    };
    json::Value many = json::Value::array();
    for (std::size_t i = 0; i <= kMaxTdxModuleIdentities; ++i)
        many.push_back(module_identity("TDX_01"));
    json::Value fifteen = components(1);
    fifteen.erase(15);
    const Twin twins[] = {
        {"/id", "SGX2", bad_tcb_info},
        {"/version", 2, json::missing_member},  // knows SGX only
        {"/tdxModule", {}, json::missing_member},
        {"/tdxModule", "x", json::wrong_type},
        {"/tdxModule/mrsigner", std::string(64, '0'), bad_encoding},
        {"/tdxModule/attributes", {}, json::missing_member},
        {"/tdxModuleIdentities/1/id", "TDX_01", bad_tcb_info},  // twice
        {"/tdxModuleIdentities/0/id", "TDX_1", bad_tcb_info},
        {"/tdxModuleIdentities/0/id", "TDX_001", bad_tcb_info},
        {"/tdxModuleIdentities/0/id", "XTD_01", bad_tcb_info},
        {"/tdxModuleIdentities/0/id", 1, json::wrong_type},
        {"/tdxModuleIdentities/0/attributesMask", "00", bad_encoding},
        {"/tdxModuleIdentities/0/tcbLevels", json::Value::array(), bad_tcb_info},
        {"/tdxModuleIdentities/0/tcbLevels/0/tcb/isvsvn", 65536, json::out_of_range},
        {"/tdxModuleIdentities/0/tcbLevels/0/tcbStatus", "Good", bad_tcb_info},
        {"/tdxModuleIdentities", many, json::out_of_range},
        {"/tdxModuleIdentities", "TDX_01", json::wrong_type},
        {"/tcbLevels/0/tcb/tdxtcbcomponents", {}, bad_tcb_info},
        {"/tcbLevels/0/tcb/tdxtcbcomponents", fifteen, bad_tcb_info},
        {"/tcbLevels/1/tcb/tdxtcbcomponents/2/svn", 65473, json::out_of_range},
        {"/tcbLevels/1/tcb/tdxtcbcomponents/2/svn", -1, json::out_of_range},
        // No level has these: they come from comparing two evaluations.
        {"/tcbLevels/0/tcbStatus", "TDRelaunchAdvised", bad_tcb_info},
        {"/tcbLevels/0/tcbStatus", "TDRelaunchAdvisedConfigurationNeeded", bad_tcb_info},
    };
    for (const Twin& twin : twins) {
        SCOPED_TRACE(twin.pointer);
        json::Value whole = tcb_info();
        json::Value::json_pointer pointer{std::string(twin.pointer)};
        if (twin.value.is_null()) {
            whole[pointer.parent_pointer()].erase(pointer.back());
        } else {
            whole[pointer] = twin.value;
        }
        Result<TcbInfo> info = parse(whole);
        ASSERT_FALSE(info.has_value());
        EXPECT_EQ(info.error().code(), twin.code) << info.error().message();
    }
}

TdxPlatformTcb platform(std::uint8_t major) {
    TdxPlatformTcb out;
    out.platform.components.fill(std::byte{5});
    out.platform.pce_svn = 5;
    out.tee_tcb_svn.fill(std::byte{5});
    out.tee_tcb_svn[1] = std::byte{major};
    return out;
}

/// L01: the first two components count exactly when the module is of the first generation.
TEST(TdxTcbMatch, EveryComponentThatCountsDecides) {
    const TcbInfo info = parse(tcb_info()).value();
    const TcbLevel* best = &info.levels[0];
    const TcbLevel* second = &info.levels[1];
    EXPECT_EQ(match(info, platform(1)), best);
    EXPECT_EQ(match(info, platform(0)), nullptr);  // 0 is lower than every level's component 1
    for (std::size_t i = 0; i < kTcbComponents; ++i) {
        TdxPlatformTcb lower = platform(1);
        lower.platform.components[i] = std::byte{4};
        EXPECT_EQ(match(info, lower), second) << i;
        lower = platform(1);
        if (i == 1) continue;  // the generation itself
        lower.tee_tcb_svn[i] = std::byte{4};
        EXPECT_EQ(match(info, lower), i < 2 ? best : second) << i;
        lower.tee_tcb_svn[i] = std::byte{2};
        EXPECT_EQ(match(info, lower), i < 2 ? best : nullptr) << i;
    }
    TdxPlatformTcb lower = platform(1);
    lower.platform.pce_svn = 4;
    EXPECT_EQ(match(info, lower), second);

    json::Value first_generation = tcb_info();
    for (json::Value& value : first_generation["tcbLevels"])
        value["tcb"]["tdxtcbcomponents"][1]["svn"] = 0;
    const TcbInfo old = parse(first_generation).value();
    EXPECT_EQ(match(old, platform(0)), &old.levels[0]);
    for (std::size_t i : {0u, 2u, 15u}) {
        lower = platform(0);
        lower.tee_tcb_svn[i] = std::byte{4};
        EXPECT_EQ(match(old, lower), &old.levels[1]) << i;
    }
}

TEST(TdxTcbMatch, StatementsOfTheOtherTeeHaveNoLevel) {
    TcbInfo info = parse(tcb_info()).value();
    EXPECT_EQ(match(info, platform(1).platform), nullptr);
    info.tee = IntelTee::sgx;
    EXPECT_EQ(match(info, platform(1)), nullptr);
    EXPECT_NE(match(info, platform(1).platform), nullptr);
}

TEST(TdxTcbMatch, ModuleLevels) {
    const TcbInfo info = parse(tcb_info()).value();
    const TdxModuleIdentity& identity = *find_tdx_module(info, 1);
    EXPECT_EQ(match(identity, std::uint8_t{255}), &identity.levels[0]);
    EXPECT_EQ(match(identity, std::uint8_t{11}), &identity.levels[0]);
    EXPECT_EQ(match(identity, std::uint8_t{10}), &identity.levels[1]);
    EXPECT_EQ(match(identity, std::uint8_t{6}), &identity.levels[1]);
    EXPECT_EQ(match(identity, std::uint8_t{5}), nullptr);
}

/// L04.
TEST(TdxRelaunch, WholeTable) {
    using enum TcbStatus;
    const TcbStatus good[] = {up_to_date, sw_hardening_needed};
    const TcbStatus to_configure[] = {configuration_needed, configuration_and_sw_hardening_needed};
    const TcbStatus bad[] = {out_of_date, out_of_date_configuration_needed, revoked};
    for (TcbStatus current : good) {
        EXPECT_EQ(after_relaunch_rule({out_of_date, current}), td_relaunch_advised);
        EXPECT_EQ(after_relaunch_rule({out_of_date_configuration_needed, current}),
                  td_relaunch_advised_configuration_needed);
    }
    for (TcbStatus current : to_configure) {
        for (TcbStatus launch : {out_of_date, out_of_date_configuration_needed}) {
            EXPECT_EQ(after_relaunch_rule({launch, current}),
                      td_relaunch_advised_configuration_needed);
        }
    }
    for (TcbStatus current : bad) {
        EXPECT_EQ(after_relaunch_rule({out_of_date, current}), out_of_date);
        EXPECT_EQ(after_relaunch_rule({out_of_date_configuration_needed, current}),
                  out_of_date_configuration_needed);
    }
    for (TcbStatus launch : {up_to_date, sw_hardening_needed, configuration_needed,
                             configuration_and_sw_hardening_needed, revoked}) {
        for (TcbStatus current : {up_to_date, configuration_needed, out_of_date})
            EXPECT_EQ(after_relaunch_rule({launch, current}), launch);
    }
    for (TcbStatus status : {td_relaunch_advised, td_relaunch_advised_configuration_needed})
        EXPECT_EQ(tcb_status_from(tcb_status_name(status)), status);
}

}  // namespace
}  // namespace eos::attestation::endorsements
