// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/firmware.h"

#include "client/measure/reference_test.h"

namespace eos::client::measure {
namespace {

using namespace testing;

/// Both readers' words about an image, of which at least one must refuse.
std::string refusal(const ImageParts& parts) {
    const Bytes image = make_image(parts);
    Result<SevMetadata> sev = parse_sev_metadata(image);
    Result<std::vector<TdvfSection>> tdvf = parse_tdvf_metadata(image);
    EXPECT_TRUE(!sev || !tdvf);
    if (!parts.sev_metadata.empty() && !sev) {
        EXPECT_EQ(sev.error().code(), bad_firmware);
        return sev.error().detail();
    }
    return tdvf ? "accepted" : tdvf.error().detail();
}

TEST(Firmware, SaysWhatBothKindsOfGuestNeed) {
    const Bytes image = usual_image();
    EXPECT_EQ(firmware_address(image), 0x100000000 - 4 * kPageBytes);
    Result<SevMetadata> sev = parse_sev_metadata(image);
    ASSERT_TRUE(sev.has_value()) << sev.error().message();
    EXPECT_EQ(sev->sections.size(), 6u);
    EXPECT_EQ(sev->sections[4].kind, SevSectionKind::kernel_hashes);
    EXPECT_EQ(sev->reset_address, 0x80b004u);
    EXPECT_EQ(sev->kernel_hashes_address, 0x810c00u);
    Result<std::vector<TdvfSection>> tdvf = parse_tdvf_metadata(image);
    ASSERT_TRUE(tdvf.has_value()) << tdvf.error().message();
    EXPECT_EQ(tdvf->size(), 4u);
    EXPECT_EQ((*tdvf)[0].data_offset, 0x1000u);
}

TEST(Firmware, FirmwareForOtherGuestsIsNamed) {
    EXPECT_EQ(parse_sev_metadata(make_image({})).error().detail(),
              "it has no SEV metadata: it is not for SEV-SNP");
    EXPECT_EQ(parse_tdvf_metadata(make_image({})).error().detail(),
              "it has no TDVF metadata: it is not for TDX");
}

TEST(Firmware, OtherFilesAreRefused) {
    EXPECT_EQ(parse_sev_metadata({}).error().code(), bad_firmware);
    EXPECT_EQ(parse_sev_metadata(Bytes(100)).error().code(), bad_firmware);
    EXPECT_EQ(parse_tdvf_metadata(Bytes(kPageBytes)).error().detail(), "it has no GUID table");
    EXPECT_EQ(parse_tdvf_metadata(Bytes(kMaxFirmwareBytes + kPageBytes)).error().code(),
              bad_firmware);
}

TEST(Firmware, MetadataThatDoesNotFitIsNamed) {
    EXPECT_EQ(refusal({.sev_metadata = usual_sev_metadata(), .has_reset = false}),
              "it has SEV metadata, but no SEV-ES reset address");
    Bytes other = usual_sev_metadata();
    other[0] = std::byte{'X'};
    EXPECT_EQ(refusal({.sev_metadata = other}), "SEV metadata of another kind");
    Bytes more = usual_sev_metadata();
    more[12] = std::byte{7};
    EXPECT_EQ(refusal({.sev_metadata = more}), "SEV metadata of 7 sections in 88 bytes");
    more[12] = more[13] = more[14] = more[15] = std::byte{0xff};
    EXPECT_EQ(refusal({.sev_metadata = more}), "SEV metadata of 4294967295 sections in 88 bytes");
    EXPECT_EQ(refusal({.sev_metadata = sev_metadata({{0x800000, 0x1000, 5}})}),
              "SEV metadata has a section of kind 5");
    EXPECT_EQ(refusal({.sev_metadata = sev_metadata({{0x800010, 0x1000, 1}})}),
              "a section at 8388624 has 4096 bytes");
    EXPECT_EQ(refusal({.sev_metadata = sev_metadata({{0x800000, 0x1001, 1}})}),
              "a section at 8388608 has 4097 bytes");
    EXPECT_EQ(refusal({.sev_metadata = sev_metadata({{0x800000, 0xfffff000, 1}})}),
              "a section at 8388608 has 4294963200 bytes");
    EXPECT_EQ(refusal({.tdvf_metadata = tdvf_metadata({{0x2000, 0x3000, 0, 0x3000, 0, 1}})}),
              "TDVF section 0 reaches beyond the image");
    EXPECT_EQ(refusal({.tdvf_metadata = tdvf_metadata({{0, 0x2000, 0, 0x1000, 0, 1}})}),
              "TDVF section 0 reaches beyond the image");
}

/// Each section costs a hash a page in each launch and variant: together they are bounded.
TEST(Firmware, SevSectionsNeitherOverlapNorExceedTheirSum) {
    EXPECT_EQ(
        refusal({.sev_metadata = sev_metadata({{0x800000, 0x2000, 1}, {0x800000, 0x2000, 1}})}),
        "two SEV sections overlap at 8388608");
    EXPECT_EQ(
        refusal({.sev_metadata = sev_metadata({{0x801000, 0x1000, 2}, {0x800000, 0x2000, 1}})}),
        "two SEV sections overlap at 8392704");
    constexpr std::uint32_t kHalf = kMaxSevMemoryBytes / 2;
    const std::vector<std::array<std::uint32_t, 3>> most{{0x10000000, kHalf, 1},
                                                         {0x20000000, kHalf, 1}};
    EXPECT_TRUE(parse_sev_metadata(make_image({.sev_metadata = sev_metadata(most)})).has_value());
    auto more = most;
    more.push_back({0x30000000, 0x1000, 1});
    EXPECT_EQ(refusal({.sev_metadata = sev_metadata(more)}),
              "the SEV sections have 67112960 bytes together, at most 67108864 are measured");
}

TEST(Firmware, SecretsAndCpuidAreOnePageEach) {
    EXPECT_EQ(refusal({.sev_metadata = sev_metadata({{0x80d000, 0x2000, 2}})}),
              "the section of kind 2 at 8441856 has 8192 bytes, not one page");
    EXPECT_EQ(refusal({.sev_metadata = sev_metadata({{0x80e000, 0x2000, 3}})}),
              "the section of kind 3 at 8445952 has 8192 bytes, not one page");
}

/// An SVSM is launched in front of the firmware and brings pages and a VMSA of its own.
TEST(Firmware, AnSvsmIsRefused) {
    EXPECT_EQ(refusal({.sev_metadata = usual_sev_metadata(), .has_svsm = true}),
              "an SVSM: not measured");
}

TEST(Firmware, EveryDamageOfTheFooterIsRefused) {
    const Bytes image = usual_image();
    for (std::size_t i = image.size() - 32 - 18; i < image.size() - 32; ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Bytes damaged = image;
            damaged[i] ^= static_cast<std::byte>(1u << bit);
            Result<SevMetadata> firmware = parse_sev_metadata(damaged);
            ASSERT_FALSE(firmware.has_value()) << i << " " << bit;
            EXPECT_EQ(firmware.error().code(), bad_firmware);
        }
    }
}

}  // namespace
}  // namespace eos::client::measure
