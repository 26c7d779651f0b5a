// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/tcb.h"

#include <gtest/gtest.h>

#include "common/attestation/endorsements/endorsements.h"
#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::attestation::endorsements {
namespace {

json::Value level(int svn, int pce_svn, std::string_view status) {
    json::Value components = json::Value::array();
    for (int i = 0; i < 16; ++i) components.push_back({{"svn", svn}});
    return {{"tcb", {{"sgxtcbcomponents", components}, {"pcesvn", pce_svn}}},
            {"tcbDate", "2024-03-13T00:00:00Z"},
            {"tcbStatus", status},
            {"advisoryIDs", {"INTEL-SA-00001"}}};
}

json::Value tcb_info() {
    return {{"id", "SGX"},
            {"version", 3},
            {"issueDate", "2026-01-01T00:00:00Z"},
            {"nextUpdate", "2026-01-31T00:00:00Z"},
            {"fmspc", "00906ED50000"},
            {"pceId", "0000"},
            {"tcbType", 0},
            {"tcbEvaluationDataNumber", 17},
            {"tcbLevels", {level(5, 10, "UpToDate"), level(3, 9, "OutOfDate")}}};
}

json::Value qe_identity() {
    return {{"id", "QE"},
            {"version", 2},
            {"issueDate", "2026-01-01T00:00:00Z"},
            {"nextUpdate", "2026-01-31T00:00:00Z"},
            {"tcbEvaluationDataNumber", 17},
            {"miscselect", "00000000"},
            {"miscselectMask", "FFFFFFFF"},
            {"attributes", "11000000000000000000000000000000"},
            {"attributesMask", "FBFFFFFFFFFFFFFF0000000000000000"},
            {"mrsigner", std::string(64, 'a')},
            {"isvprodid", 1},
            {"tcbLevels",
             {{{"tcb", {{"isvsvn", 8}}},
               {"tcbDate", "2024-03-13T00:00:00Z"},
               {"tcbStatus", "UpToDate"}}}}};
}

Result<TcbInfo> parse(const json::Value& value) {
    return parse_tcb_info(as_bytes(json::compact(value)));
}

TEST(TcbInfo, Version3) {
    Result<TcbInfo> info = parse(tcb_info());
    ASSERT_TRUE(info.has_value()) << info.error().message();
    EXPECT_EQ(hex(info->fmspc), "00906ed50000");
    EXPECT_EQ(info->evaluation_data_number, 17u);
    ASSERT_EQ(info->levels.size(), 2u);
    EXPECT_EQ(info->levels[1].sgx_components[15], std::byte{3});
    EXPECT_EQ(info->levels[0].advisories.size(), 1u);
}

TEST(TcbInfo, Version2) {
    json::Value value = tcb_info();
    value["version"] = 2;
    value.erase("id");
    json::Value tcb = {{"pcesvn", 7}};
    for (int i = 1; i <= 16; ++i) {
        std::string number = (i < 10 ? "0" : "") + std::to_string(i);
        tcb["sgxtcbcomp" + number + "svn"] = i;
    }
    value["tcbLevels"] = {
        {{"tcb", tcb}, {"tcbDate", "2024-03-13T00:00:00Z"}, {"tcbStatus", "SWHardeningNeeded"}}};
    Result<TcbInfo> info = parse(value);
    ASSERT_TRUE(info.has_value()) << info.error().message();
    EXPECT_EQ(info->levels[0].sgx_components[0], std::byte{1});
    EXPECT_EQ(info->levels[0].sgx_components[15], std::byte{16});
    EXPECT_EQ(info->levels[0].status, TcbStatus::sw_hardening_needed);
}

enum class Kind { kTcbInfo, kIdentity };

struct Twin {
    std::string_view pointer;
    json::Value value;  ///< null removes the member
    Code code;
};

void expect_twin_fails(json::Value whole, const Twin& twin, Kind kind) {
    SCOPED_TRACE(twin.pointer);
    json::Value::json_pointer pointer{std::string(twin.pointer)};
    if (twin.value.is_null()) {
        whole[pointer.parent_pointer()].erase(pointer.back());
    } else {
        whole[pointer] = twin.value;
    }
    std::string text = json::compact(whole);
    Code code = kind == Kind::kIdentity ? parse_qe_identity(as_bytes(text)).error().code()
                                        : parse_tcb_info(as_bytes(text)).error().code();
    EXPECT_EQ(code, twin.code) << code.name;
}

TEST(TcbInfo, TwinsFail) {
    json::Value fifteen = json::Value::array();
    for (int i = 0; i < 15; ++i) fifteen.push_back({{"svn", 1}});
    json::Value seventeen = fifteen;
    seventeen.push_back({{"svn", 1}});
    seventeen.push_back({{"svn", 1}});
    const Twin twins[] = {
        {"/version", 4, bad_tcb_info},
        {"/version", -3, json::out_of_range},
        {"/version", 18446744073709551615u, json::out_of_range},
        {"/version", {}, json::missing_member},
        {"/version", "3", json::wrong_type},
        {"/id", "TDX", bad_tcb_info},
        {"/id", {}, json::missing_member},
        {"/tcbType", 1, json::out_of_range},
        {"/issueDate", "2026-16-01T00:00:00Z", bad_time},
        {"/issueDate", {}, json::missing_member},
        {"/nextUpdate", "2025-12-31T00:00:00Z", bad_tcb_info},
        {"/fmspc", "00906ED5", bad_encoding},
        {"/fmspc", "00906ED500000", json::out_of_range},
        {"/pceId", "zz00", bad_encoding},
        {"/pceId", {}, json::missing_member},
        {"/tcbEvaluationDataNumber", 4294967296, json::out_of_range},
        {"/tcbLevels", json::Value::array(), bad_tcb_info},
        {"/tcbLevels", {}, bad_tcb_info},
        {"/tcbLevels", json::Value::object(), json::wrong_type},
        {"/tcbLevels/0/tcbStatus", "Fine", bad_tcb_info},
        {"/tcbLevels/0/tcbStatus", "uptodate", bad_tcb_info},
        {"/tcbLevels/0/tcbDate", {}, json::missing_member},
        {"/tcbLevels/0/tcb", {}, json::missing_member},
        {"/tcbLevels/0/tcb/pcesvn", 65536, json::out_of_range},
        {"/tcbLevels/0/tcb/sgxtcbcomponents", fifteen, bad_tcb_info},
        {"/tcbLevels/0/tcb/sgxtcbcomponents", seventeen, json::out_of_range},
        {"/tcbLevels/1/tcb/sgxtcbcomponents/3/svn", 256, json::out_of_range},
        {"/tcbLevels/1/tcb/sgxtcbcomponents/3/svn", 65473, json::out_of_range},
        {"/tcbLevels/1/tcb/sgxtcbcomponents/3/svn", 1.0, json::out_of_range},
        {"/tcbLevels/1/advisoryIDs", "INTEL-SA-00001", json::wrong_type},
    };
    for (const Twin& twin : twins) expect_twin_fails(tcb_info(), twin, Kind::kTcbInfo);
    std::string doubled = json::compact(tcb_info());
    doubled.insert(1, "\"version\":3,");
    EXPECT_EQ(parse_tcb_info(as_bytes(doubled)).error().code(), json::repeated_member);
}

TEST(QeIdentity, FieldsAndTwins) {
    std::string text = json::compact(qe_identity());
    Result<QeIdentity> identity = parse_qe_identity(as_bytes(text));
    ASSERT_TRUE(identity.has_value()) << identity.error().message();
    EXPECT_EQ(hex(identity->attributes_mask), "fbffffffffffffff0000000000000000");
    EXPECT_EQ(identity->levels[0].isv_svn, 8);
    const Twin twins[] = {
        {"/version", 1, bad_identity},
        {"/id", "TD_QVE", bad_identity},
        {"/id", "QVE", bad_identity},
        {"/id", "QAE", bad_identity},
        {"/id", {}, json::missing_member},
        {"/mrsigner", std::string(62, 'a'), bad_encoding},
        {"/attributes", {}, json::missing_member},
        {"/isvprodid", 65536, json::out_of_range},
        {"/tcbLevels/0/tcb/isvsvn", -1, json::out_of_range},
        {"/tcbLevels/0/tcbStatus", "Unknown", bad_identity},
        {"/tcbLevels", json::Value::array(), bad_identity},
    };
    for (const Twin& twin : twins) expect_twin_fails(qe_identity(), twin, Kind::kIdentity);
}

PlatformTcb platform(int svn, int pce_svn) {
    PlatformTcb out;
    out.components.fill(static_cast<std::byte>(svn));
    out.pce_svn = static_cast<std::uint16_t>(pce_svn);
    return out;
}

TEST(TcbMatch, EveryComponentAndPceSvnDecides) {
    TcbInfo info = parse(tcb_info()).value();
    EXPECT_EQ(match(info, platform(5, 10)), &info.levels[0]);
    EXPECT_EQ(match(info, platform(255, 65535)), &info.levels[0]);
    for (std::size_t i = 0; i < kTcbComponents; ++i) {
        PlatformTcb lower = platform(5, 10);
        lower.components[i] = std::byte{4};
        EXPECT_EQ(match(info, lower), &info.levels[1]) << i;
        lower.components[i] = std::byte{2};
        EXPECT_EQ(match(info, lower), nullptr) << i;
    }
    EXPECT_EQ(match(info, platform(5, 9)), &info.levels[1]);
    EXPECT_EQ(match(info, platform(5, 8)), nullptr);
}

TEST(TcbMatch, TheGivenOrderDecides) {
    json::Value value = tcb_info();
    std::swap(value["tcbLevels"][0], value["tcbLevels"][1]);
    TcbInfo info = parse(value).value();
    EXPECT_EQ(match(info, platform(5, 10))->status, TcbStatus::out_of_date);
}

TEST(TcbMerge, WholeTable) {
    using enum TcbStatus;
    const TcbStatus all[] = {up_to_date,
                             sw_hardening_needed,
                             configuration_needed,
                             configuration_and_sw_hardening_needed,
                             out_of_date,
                             out_of_date_configuration_needed,
                             revoked};
    const TcbStatus with_old_enclave[] = {out_of_date,
                                          out_of_date,
                                          out_of_date_configuration_needed,
                                          out_of_date_configuration_needed,
                                          out_of_date,
                                          out_of_date_configuration_needed,
                                          revoked};
    for (std::size_t i = 0; i < std::size(all); ++i) {
        EXPECT_EQ(merge({all[i], up_to_date}), all[i]);
        EXPECT_EQ(merge({all[i], out_of_date}), with_old_enclave[i]);
        EXPECT_EQ(merge({all[i], revoked}), revoked);
        EXPECT_EQ(tcb_status_from(tcb_status_name(all[i])), all[i]);
    }
    EXPECT_EQ(tcb_status_from("Up"), std::nullopt);
}

TEST(Endorsements, MissingPiecesAndTwins) {
    json::Value value = {{"root_ca_crl", "3000"},
                         {"pck_crl", nullptr},
                         {"pck_crl_issuer_chain", nullptr},
                         {"tcb_info", "{}"},
                         {"tcb_info_signature", std::string(128, '0')},
                         {"tcb_info_issuer_chain", "PEM"}};
    auto parse_value = [](const json::Value& v) {
        return parse_endorsements(as_bytes(json::compact(v)));
    };
    Result<Endorsements> out = parse_value(value);
    ASSERT_TRUE(out.has_value()) << out.error().message();
    EXPECT_EQ(hex(out->root_ca_crl.value()), "3000");
    EXPECT_FALSE(out->pck_crl.has_value());
    EXPECT_EQ(to_string(out->tcb_info.value().body), "{}");
    EXPECT_FALSE(out->qe_identity.has_value());

    json::Value other = value;  // in other dress
    other["root_ca_crl"] = "0x3000";
    other["pck_crl"] = "";
    other["qe_identity"] = "";
    other["tcb_info_signature"] = "0x" + std::string(128, '0');
    other["pck_certificate_chain"] = "not used";
    other["version"] = 3;
    other["tee_type"] = 129;
    out = parse_value(other);
    ASSERT_TRUE(out.has_value()) << out.error().message();
    EXPECT_EQ(hex(out->root_ca_crl.value()), "3000");
    EXPECT_FALSE(out->pck_crl.has_value());
    EXPECT_FALSE(out->qe_identity.has_value());
    EXPECT_EQ(to_string(out->tcb_info.value().body), "{}");

    json::Value bad = value;
    bad["pck_certificate_chain"] = 1;
    EXPECT_EQ(parse_value(bad).error().code(), json::wrong_type);
    bad = value;
    bad["root_ca_crl"] = "300";
    EXPECT_EQ(parse_value(bad).error().code(), bad_encoding);
    bad = value;
    bad["tcb_info_signature"] = std::string(126, '0');
    EXPECT_EQ(parse_value(bad).error().code(), bad_encoding);
    bad = value;
    bad.erase("tcb_info_issuer_chain");
    EXPECT_EQ(parse_value(bad).error().code(), json::missing_member);
    bad = value;
    bad["tcbinfo"] = "{}";
    EXPECT_EQ(parse_value(bad).error().code(), json::unknown_member);
    bad = value;
    bad["tcb_info"] = json::Value::object();
    EXPECT_EQ(parse_value(bad).error().code(), json::wrong_type);
}

}  // namespace
}  // namespace eos::attestation::endorsements
