// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "common/sgx_arch/key_request.h"
#include "common/sgx_arch/report.h"

namespace eos::sgx_arch {
namespace {

template <std::size_t N>
ByteArray<N> filled(int value) {
    ByteArray<N> out;
    out.fill(static_cast<std::byte>(value));
    return out;
}

/// A field, where the SDM puts it, and how to set it to bytes that are all 0xa5.
template <typename T>
struct Layout {
    std::string name;
    std::size_t offset;
    std::size_t size_bytes;
    std::function<void(T&)> set;
};

/// Setting the field changes exactly the bytes [offset, offset + size).
template <typename T>
void expect_layout(const std::vector<Layout<T>>& fields) {
    for (const Layout<T>& field : fields) {
        SCOPED_TRACE(field.name);
        T value{};
        field.set(value);
        const auto bytes = encode(value);
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            bool inside = i >= field.offset && i < field.offset + field.size_bytes;
            EXPECT_EQ(bytes[i], inside ? std::byte{0xa5} : std::byte{0}) << "offset " << i;
        }
    }
}

constexpr std::uint64_t k64 = 0xa5a5a5a5a5a5a5a5;
constexpr std::uint32_t k32 = 0xa5a5a5a5;
constexpr std::uint16_t k16 = 0xa5a5;

ReportBody full_body() {
    ReportBody body;
    body.cpu_svn = filled<16>(1);
    body.misc_select = 0x02030405;
    body.cet_attributes = 0x0e;
    body.isv_ext_prod_id = filled<16>(2);
    body.attributes = {.flags = 0x1122334455667788, .xfrm = 0x99aabbccddeeff00};
    body.mr_enclave = filled<32>(3);
    body.mr_signer = filled<32>(4);
    body.config_id = filled<64>(5);
    body.isv_prod_id = 0x0607;
    body.isv_svn = 0x0809;
    body.config_svn = 0x0a0b;
    body.isv_family_id = filled<16>(12);
    body.report_data = filled<64>(13);
    return body;
}

TEST(Report, FieldsAreWhereTheSdmPutsThem) {
    expect_layout<Report>({
        {"CPUSVN", 0, 16, [](Report& r) { r.body.cpu_svn = filled<16>(0xa5); }},
        {"MISCSELECT", 16, 4, [](Report& r) { r.body.misc_select = k32; }},
        {"CET_ATTRIBUTES", 20, 1, [](Report& r) { r.body.cet_attributes = 0xa5; }},
        {"ISVEXTPRODID", 32, 16, [](Report& r) { r.body.isv_ext_prod_id = filled<16>(0xa5); }},
        {"ATTRIBUTES.FLAGS", 48, 8, [](Report& r) { r.body.attributes.flags = k64; }},
        {"ATTRIBUTES.XFRM", 56, 8, [](Report& r) { r.body.attributes.xfrm = k64; }},
        {"MRENCLAVE", 64, 32, [](Report& r) { r.body.mr_enclave = filled<32>(0xa5); }},
        {"MRSIGNER", 128, 32, [](Report& r) { r.body.mr_signer = filled<32>(0xa5); }},
        {"CONFIGID", 192, 64, [](Report& r) { r.body.config_id = filled<64>(0xa5); }},
        {"ISVPRODID", 256, 2, [](Report& r) { r.body.isv_prod_id = k16; }},
        {"ISVSVN", 258, 2, [](Report& r) { r.body.isv_svn = k16; }},
        {"CONFIGSVN", 260, 2, [](Report& r) { r.body.config_svn = k16; }},
        {"ISVFAMILYID", 304, 16, [](Report& r) { r.body.isv_family_id = filled<16>(0xa5); }},
        {"REPORTDATA", 320, 64, [](Report& r) { r.body.report_data = filled<64>(0xa5); }},
        {"KEYID", 384, 32, [](Report& r) { r.key_id = filled<32>(0xa5); }},
        {"MAC", 416, 16, [](Report& r) { r.mac = filled<16>(0xa5); }},
    });
}

TEST(TargetInfo, FieldsAreWhereTheSdmPutsThem) {
    expect_layout<TargetInfo>({
        {"MRENCLAVE", 0, 32, [](TargetInfo& t) { t.mr_enclave = filled<32>(0xa5); }},
        {"ATTRIBUTES.FLAGS", 32, 8, [](TargetInfo& t) { t.attributes.flags = k64; }},
        {"ATTRIBUTES.XFRM", 40, 8, [](TargetInfo& t) { t.attributes.xfrm = k64; }},
        {"CET_ATTRIBUTES", 48, 1, [](TargetInfo& t) { t.cet_attributes = 0xa5; }},
        {"CONFIGSVN", 50, 2, [](TargetInfo& t) { t.config_svn = k16; }},
        {"MISCSELECT", 52, 4, [](TargetInfo& t) { t.misc_select = k32; }},
        {"CONFIGID", 64, 64, [](TargetInfo& t) { t.config_id = filled<64>(0xa5); }},
    });
}

TEST(KeyRequest, FieldsAreWhereTheSdmPutsThem) {
    expect_layout<KeyRequest>({
        {"KEYNAME", 0, 2, [](KeyRequest& k) { k.key_name = k16; }},
        {"KEYPOLICY", 2, 2, [](KeyRequest& k) { k.key_policy = k16; }},
        {"ISVSVN", 4, 2, [](KeyRequest& k) { k.isv_svn = k16; }},
        {"CETATTRIBUTESMASK", 6, 1, [](KeyRequest& k) { k.cet_attributes_mask = 0xa5; }},
        {"CPUSVN", 8, 16, [](KeyRequest& k) { k.cpu_svn = filled<16>(0xa5); }},
        {"ATTRIBUTEMASK.FLAGS", 24, 8, [](KeyRequest& k) { k.attribute_mask.flags = k64; }},
        {"ATTRIBUTEMASK.XFRM", 32, 8, [](KeyRequest& k) { k.attribute_mask.xfrm = k64; }},
        {"KEYID", 40, 32, [](KeyRequest& k) { k.key_id = filled<32>(0xa5); }},
        {"MISCMASK", 72, 4, [](KeyRequest& k) { k.misc_mask = k32; }},
        {"CONFIGSVN", 76, 2, [](KeyRequest& k) { k.config_svn = k16; }},
    });
}

TEST(Report, IntegersAreLittleEndian) {
    const auto bytes = encode(full_body());
    EXPECT_EQ(bytes[16], std::byte{0x05});
    EXPECT_EQ(bytes[19], std::byte{0x02});
    EXPECT_EQ(bytes[48], std::byte{0x88});
    EXPECT_EQ(bytes[256], std::byte{0x07});
}

TEST(Report, BodyAndReportRoundTrip) {
    const ReportBody body = full_body();
    EXPECT_EQ(parse_report_body(encode(body)).value(), body);

    const Report report{.body = body, .key_id = filled<32>(14), .mac = filled<16>(15)};
    EXPECT_EQ(parse_report(encode(report)).value(), report);
    EXPECT_TRUE(equal(ByteView(encode(report)).first(kReportBodyBytes), encode(body)));
}

TEST(Report, ReservedBytesAreNotInterpreted) {
    auto bytes = encode(full_body());
    for (std::size_t i : {21u, 31u, 96u, 127u, 160u, 191u, 262u, 303u}) bytes[i] = std::byte{0xff};
    EXPECT_EQ(parse_report_body(bytes).value(), full_body());
}

TEST(Report, DebugIsBitOneOfTheFlags) {
    EXPECT_TRUE((Attributes{.flags = 2, .xfrm = 0}.debug()));
    EXPECT_FALSE((Attributes{.flags = ~std::uint64_t{2}, .xfrm = ~std::uint64_t{0}}.debug()));
}

TEST(TargetInfo, RoundTripsAndNamesTheReportedEnclave) {
    const TargetInfo target = target_of(full_body());
    EXPECT_EQ(parse_target_info(encode(target)).value(), target);
    EXPECT_EQ(target.mr_enclave, full_body().mr_enclave);
    EXPECT_EQ(target.attributes, full_body().attributes);
    EXPECT_EQ(target.config_id, full_body().config_id);
    EXPECT_EQ(target.config_svn, full_body().config_svn);
    EXPECT_EQ(target.misc_select, full_body().misc_select);
    EXPECT_EQ(target.cet_attributes, full_body().cet_attributes);
}

TEST(TargetInfo, ReservedBytesMustBeZero) {
    for (std::size_t i : {49u, 56u, 63u, 128u, 511u}) {
        auto bytes = encode(target_of(full_body()));
        bytes[i] = std::byte{1};
        EXPECT_EQ(parse_target_info(bytes).error().code(), reserved_not_zero) << i;
    }
}

TEST(KeyRequest, RoundTripsAndReservedBytesMustBeZero) {
    KeyRequest request;
    request.key_name = kKeyNameSeal;
    request.key_policy = kKeyPolicyMrSigner;
    request.isv_svn = 7;
    request.cet_attributes_mask = 8;
    request.cpu_svn = filled<16>(9);
    request.attribute_mask = {.flags = 3, .xfrm = 0xf0f1};
    request.key_id = filled<32>(10);
    request.misc_mask = 11;
    request.config_svn = 12;
    EXPECT_EQ(parse_key_request(encode(request)).value(), request);
    for (std::size_t i : {7u, 78u, 300u, 511u}) {
        auto bytes = encode(request);
        bytes[i] = std::byte{0x80};
        EXPECT_EQ(parse_key_request(bytes).error().code(), reserved_not_zero) << i;
    }
}

TEST(Sizes, EveryOtherSizeIsRefused) {
    const Bytes bytes(600);
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        const ByteView view = ByteView(bytes).first(size);
        EXPECT_EQ(parse_report_body(view).has_value(), size == 384) << size;
        EXPECT_EQ(parse_report(view).has_value(), size == 432) << size;
        EXPECT_EQ(parse_target_info(view).has_value(), size == 512) << size;
        EXPECT_EQ(parse_key_request(view).has_value(), size == 512) << size;
    }
    EXPECT_EQ(parse_report(ByteView(bytes).first(431)).error().code(), wrong_size);
}

}  // namespace
}  // namespace eos::sgx_arch
