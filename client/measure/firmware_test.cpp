// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/firmware.h"

#include "client/measure/reference_test.h"

namespace eos::client::measure {
namespace {

using namespace testing;

std::string refusal(const ImageParts& parts) {
    Result<Firmware> firmware = parse_firmware(make_image(parts));
    if (firmware) return "accepted";
    EXPECT_EQ(firmware.error().code(), bad_firmware);
    return firmware.error().detail();
}

TEST(Firmware, SaysWhatBothKindsOfGuestNeed) {
    Result<Firmware> firmware = parse_firmware(usual_image());
    ASSERT_TRUE(firmware.has_value()) << firmware.error().message();
    EXPECT_EQ(firmware->address, 0x100000000 - 4 * kPageBytes);
    ASSERT_TRUE(firmware->sev.has_value());
    EXPECT_EQ(firmware->sev->sections.size(), 6u);
    EXPECT_EQ(firmware->sev->sections[4].kind, SevSectionKind::kernel_hashes);
    EXPECT_EQ(firmware->sev->reset_address, 0x80b004u);
    EXPECT_EQ(firmware->sev->kernel_hashes_address, 0x810c00u);
    ASSERT_TRUE(firmware->tdvf.has_value());
    EXPECT_EQ(firmware->tdvf->size(), 4u);
    EXPECT_EQ((*firmware->tdvf)[0].data_offset, 0x1000u);
}

TEST(Firmware, FirmwareWithoutMetadataIsFirmware) {
    Result<Firmware> firmware = parse_firmware(make_image({}));
    ASSERT_TRUE(firmware.has_value()) << firmware.error().message();
    EXPECT_FALSE(firmware->sev.has_value());
    EXPECT_FALSE(firmware->tdvf.has_value());
}

TEST(Firmware, OtherFilesAreRefused) {
    EXPECT_EQ(parse_firmware({}).error().code(), bad_firmware);
    EXPECT_EQ(parse_firmware(Bytes(100)).error().code(), bad_firmware);
    EXPECT_EQ(parse_firmware(Bytes(kPageBytes)).error().detail(), "it has no GUID table");
    EXPECT_EQ(parse_firmware(Bytes(kMaxFirmwareBytes + kPageBytes)).error().code(), bad_firmware);
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

TEST(Firmware, EveryDamageOfTheFooterIsRefused) {
    const Bytes image = usual_image();
    for (std::size_t i = image.size() - 32 - 18; i < image.size() - 32; ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Bytes damaged = image;
            damaged[i] ^= static_cast<std::byte>(1u << bit);
            Result<Firmware> firmware = parse_firmware(damaged);
            ASSERT_FALSE(firmware.has_value()) << i << " " << bit;
            EXPECT_EQ(firmware.error().code(), bad_firmware);
        }
    }
}

}  // namespace
}  // namespace eos::client::measure
