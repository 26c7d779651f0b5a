// SPDX-License-Identifier: AGPL-3.0-only
#include "common/snp_arch/report.h"

#include <gtest/gtest.h>

#include <functional>

#include "common/base/encoding.h"

namespace eos::snp_arch {
namespace {

/// A report with a value in every field of its version.
Report example(std::uint32_t version) {
    Report out;
    out.version = version;
    out.guest_svn = 7;
    out.policy.raw = kPolicyMustBeOne | 0x1f | 1 << 16;
    out.family_id.fill(std::byte{1});
    out.image_id.fill(std::byte{2});
    out.vmpl = 3;
    out.platform_info.raw = 0x67;
    out.author_key_enabled = true;
    out.mask_chip_key = true;
    out.signing_key = SigningKey::vlek;
    out.report_data.fill(std::byte{3});
    out.measurement.fill(std::byte{4});
    out.host_data.fill(std::byte{5});
    out.id_key_digest.fill(std::byte{6});
    out.author_key_digest.fill(std::byte{7});
    out.report_id.fill(std::byte{8});
    out.report_id_ma.fill(std::byte{9});
    out.chip_id.fill(std::byte{10});
    out.current_firmware = {4, 5, 6};
    out.committed_firmware = {1, 2, 3};
    out.current_tcb = out.reported_tcb = out.committed_tcb = out.launch_tcb =
        join_tcb({0, 3, 0, 8, 115}, Product::milan);
    if (version >= 3) out.cpuid = Cpuid{25, 1, 1};
    if (version >= 5) out.mitigations = MitigationVectors{0x11, 0x13};
    for (std::size_t i = 0; i < 96; ++i) out.signature[i] = static_cast<std::byte>(i + 1);
    return out;
}

TEST(SnpReport, EveryFieldSurvives) {
    for (std::uint32_t version : {2u, 3u, 4u, 5u}) {
        ByteArray<kReportBytes> bytes = encode(example(version));
        Result<Report> parsed = parse_report(bytes);
        ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
        EXPECT_EQ(*parsed, example(version)) << version;
    }
    // Both numbers of the signature are little-endian in the report.
    ByteArray<kReportBytes> bytes = encode(example(2));
    EXPECT_EQ(bytes[0x2a0], std::byte{48});
    EXPECT_EQ(bytes[0x2a0 + 47], std::byte{1});
    EXPECT_EQ(bytes[0x2a0 + 72], std::byte{96});
}

TEST(SnpReport, AnyOtherSizeIsRefused) {
    ByteArray<kReportBytes> bytes = encode(example(3));
    for (std::size_t size = 0; size < kReportBytes; ++size) {
        EXPECT_EQ(parse_report(ByteView(bytes).first(size)).error().code(), report_size);
    }
    Bytes longer = to_bytes(bytes);
    longer.resize(1185);
    EXPECT_EQ(parse_report(longer).error().code(), report_size);
    EXPECT_EQ(parse_report(Bytes(4000)).error().code(), report_size);
}

/// What one changed byte leads to.
struct Mutation {
    std::size_t at;
    std::uint8_t value;
    const Code& code;
};

TEST(SnpReport, StrictAboutWhatIsFixed) {
    const Mutation mutations[] = {{0x00, 0, unsupported_report_version},
                                  {0x00, 1, unsupported_report_version},
                                  {0x00, 6, unsupported_report_version},
                                  {0x01, 1, unsupported_report_version},
                                  {0x0a, 0x01, reserved_not_zero},  // policy bit 17 clear
                                  {0x0b, 0x04, reserved_not_zero},  // policy bit 26
                                  {0x0f, 0x80, reserved_not_zero},
                                  {0x30, 4, unsupported_vmpl},
                                  {0x33, 0xff, unsupported_vmpl},
                                  {0x34, 2, unsupported_algorithm},
                                  {0x48, 2 << 2, unsupported_signing_key},
                                  {0x48, 7 << 2, unsupported_signing_key},
                                  {0x48, 1 << 5, reserved_not_zero},
                                  {0x4c, 1, reserved_not_zero},
                                  {0x188, 24, unknown_cpu},
                                  {0x189, 0x20, unknown_cpu},
                                  {0x18b, 1, reserved_not_zero},
                                  {0x19f, 1, reserved_not_zero},
                                  {0x1eb, 1, reserved_not_zero},
                                  {0x1ef, 1, reserved_not_zero},
                                  {0x1f8, 1, reserved_not_zero},
                                  {0x29f, 1, reserved_not_zero}};
    for (const Mutation& mutation : mutations) {
        ByteArray<kReportBytes> bytes = encode(example(3));
        bytes[mutation.at] = std::byte{mutation.value};
        Result<Report> parsed = parse_report(bytes);
        ASSERT_FALSE(parsed.has_value()) << std::hex << mutation.at;
        EXPECT_EQ(parsed.error().code(), mutation.code) << std::hex << mutation.at;
    }
}

// NEGATIVE-MUTATIONS, 7: bytes of the signature field that a lenient verifier ignores.
TEST(SnpReport, NoByteOfTheSignatureFieldIsFree) {
    for (std::size_t at = kSignedBytes; at < kReportBytes; ++at) {
        std::size_t inside = at - kSignedBytes;
        bool is_number = inside < 144 && inside % 72 < 48;
        ByteArray<kReportBytes> bytes = encode(example(5));
        bytes[at] ^= std::byte{1};
        Result<Report> parsed = parse_report(bytes);
        ASSERT_EQ(parsed.has_value(), is_number) << at;
        if (is_number) continue;
        EXPECT_EQ(parsed.error().code(), reserved_not_zero);
    }
}

TEST(SnpReport, VersionTwoHasNoCpu) {
    ByteArray<kReportBytes> bytes = encode(example(3));
    bytes[0] = std::byte{2};
    EXPECT_EQ(parse_report(bytes).error().code(), reserved_not_zero);
    bytes = encode(example(5));
    bytes[0] = std::byte{4};  // mitigation vectors came with version 5
    EXPECT_EQ(parse_report(bytes).error().code(), reserved_not_zero);
}

TEST(SnpTcb, LayoutsDifferByProduct) {
    RawTcb milan = array_from_hex<8>("0300000000000873").value();
    EXPECT_EQ(split_tcb(milan, Product::milan).value(), (Tcb{0, 3, 0, 8, 0x73}));
    EXPECT_EQ(split_tcb(milan, Product::turin).error().code(), bad_tcb);
    RawTcb turin = array_from_hex<8>("0001000200000047").value();
    EXPECT_EQ(split_tcb(turin, Product::turin).value(), (Tcb{0, 1, 0, 2, 0x47}));
    EXPECT_EQ(split_tcb(turin, Product::genoa).error().code(), bad_tcb);
    for (Product product : {Product::milan, Product::genoa, Product::turin}) {
        Tcb tcb{static_cast<std::uint8_t>(product == Product::turin ? 9 : 0), 1, 2, 3, 4};
        EXPECT_EQ(split_tcb(join_tcb(tcb, product), product).value(), tcb);
    }
}

TEST(SnpTcb, IsComparedPartByPart) {
    Tcb base{1, 2, 3, 4, 5};
    EXPECT_TRUE(base.covers(base));
    for (std::uint8_t Tcb::* part :
         {&Tcb::fmc, &Tcb::boot_loader, &Tcb::tee, &Tcb::snp, &Tcb::microcode}) {
        Tcb lower = base;
        lower.*part = static_cast<std::uint8_t>(lower.*part - 1);
        // A higher microcode makes up for nothing.
        if (part != &Tcb::microcode) lower.microcode = 200;
        EXPECT_FALSE(lower.covers(base));
        EXPECT_FALSE(shortfall(lower, base).empty());
    }
    EXPECT_EQ(shortfall({0, 3, 0, 8, 115}, {0, 3, 0, 22, 209}),
              "SNP 8, needed 22, microcode 115, needed 209");
    EXPECT_EQ(describe({0, 3, 0, 8, 115}, Product::milan),
              "boot loader 3, TEE 0, SNP 8, microcode 115");
}

TEST(SnpProduct, ByCpuAndByName) {
    EXPECT_EQ(product_of({25, 1, 1}), Product::milan);
    EXPECT_EQ(product_of({25, 17, 1}), Product::genoa);
    EXPECT_EQ(product_of({25, 0xa0, 2}), Product::genoa);
    EXPECT_EQ(product_of({26, 2, 1}), Product::turin);
    EXPECT_EQ(product_of({25, 0x20, 0}), std::nullopt);
    EXPECT_EQ(product_of({23, 49, 0}), std::nullopt);
    EXPECT_EQ(product_from_name("Milan-B0"), Product::milan);
    EXPECT_EQ(product_from_name("Turin"), Product::turin);
    EXPECT_EQ(product_from_name("Milano"), std::nullopt);
    EXPECT_EQ(product_from_name(""), std::nullopt);
}

}  // namespace
}  // namespace eos::snp_arch
