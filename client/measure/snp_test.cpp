// SPDX-License-Identifier: AGPL-3.0-only
// Launch digests against published ones, a report that hardware signed, and a second
// implementation.
#include "client/measure/snp.h"

#include <map>

#include "client/measure/reference_test.h"

namespace eos::client::measure {
namespace {

using namespace testing;

crypto::Digest32 digest32(std::string_view text) {
    return array_from_hex<32>(text).value();
}

SevSection section(std::uint64_t address, std::uint64_t size, SevSectionKind kind) {
    return {address, size, kind};
}

std::string measured(const SnpLaunch& launch) {
    Result<Digest48> digest = launch_digest(launch);
    return digest ? hex(*digest) : digest.error().message();
}

/// ovmf_AmdSev_suffix.bin of virtee/sev-snp-measure (tests/fixtures, Apache-2.0): its metadata, and
/// the digest of its pages that tests/test_guest.py states.
SnpLaunch virtee_launch() {
    using enum SevSectionKind;
    SnpLaunch launch;
    launch.firmware_pages = array_from_hex<48>(
                                "086e2e9149ebf45abdc3445fba5b2da8270bdbb04094d7a2"
                                "c37faaa4b24af3aa16aff8c374c2a55c467a50da6d466b74")
                                .value();
    launch.metadata.sections = {
        section(0x800000, 0x9000, memory),   section(0x80a000, 0x3000, memory),
        section(0x80d000, 0x1000, secrets),  section(0x80e000, 0x1000, cpuid),
        section(0x80f000, 0x1000, svsm_caa), section(0x810000, 0x1000, kernel_hashes),
        section(0x811000, 0xf000, memory)};
    launch.metadata.reset_address = 0x80b004;
    launch.metadata.kernel_hashes_address = 0x810c00;
    launch.vcpu_signature = *vcpu_signature("EPYC-v4");
    launch.kernel = hash_boot_files({});
    return launch;
}

TEST(SnpMeasurement, PublishedDigestsOfQemu) {
    SnpLaunch launch = virtee_launch();
    EXPECT_EQ(measured(launch),
              "ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3"
              "ac99fc4bfa04ba6e9fc98646d4a07a9079397fa3852819b5");
    launch.guest_features = 0x21;
    EXPECT_EQ(measured(launch),
              "329c8ce0972ae52343b64d34a434a86f245dfd74f5ed7aae"
              "15d22efc78fb9683632b9b50e4e1d7fa41179ef98a7ef198");
    launch.vcpus = 4;
    EXPECT_EQ(measured(launch),
              "4953b1fb416fa874980e8442b3706d345926d5f38879134e"
              "00813c5d7abcbe78eafe7b422907be0b4698e2414a631942");
    launch.vcpus = 1;
    launch.kernel = hash_boot_files({.command_line = "console=ttyS0 loglevel=7"});
    EXPECT_EQ(measured(launch),
              "803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb2"
              "8c653360fe4b3aba7e534442e7e1e17895dfe778d0228977");
    launch.kernel.reset();
    EXPECT_EQ(measured(launch),
              "e1e1ca029dd7973ab9513295be68198472dcd4fc834bd9af"
              "9b63f6e8a1674dbf281a9278a4a2ebe0eed9f22adbcd0e2b");
}

TEST(SnpMeasurement, PublishedDigestsOfQemuWithoutDebugSwap) {
    SnpLaunch launch = virtee_launch();
    launch.vcpus = 4;
    EXPECT_EQ(measured(launch),
              "5061fffb019493a903613d56d54b94912a1a2f9e4502385f"
              "5c194616753720a92441310ba6c4933de877c36e23046ad5");
    launch.vcpus = 1;
    launch.kernel = hash_boot_files({.command_line = "console=ttyS0 loglevel=7"});
    EXPECT_EQ(measured(launch),
              "6d287813eb5222d770f75005c664e34c204f385ce832cc2c"
              "e7d0d6f354454362f390ef83a92046c042e706363b4b08fa");
    launch.kernel.reset();
    EXPECT_EQ(measured(launch),
              "19358ba9a7615534a9a1e2f0dfc29384dcd4dcb7062ff9c6"
              "013b26869a5fc6ecabe033c48dd6f6db5d6d76e7c5df632d");
}

/// ovmf_OvmfX64_suffix.bin of the same project: firmware without a place for kernel hashes.
TEST(SnpMeasurement, PublishedDigestsOfFirmwareWithoutKernelHashes) {
    using enum SevSectionKind;
    SnpLaunch launch = virtee_launch();
    launch.kernel.reset();
    launch.firmware_pages = array_from_hex<48>(
                                "b91e6fec73d2bcc57ad5fd400a426ce02731c22ea92bc894"
                                "ce675e7c9921a822977d6cf025b85f8ef4f264bff8839d20")
                                .value();
    launch.metadata.sections = {
        section(0x800000, 0x9000, memory),   section(0x80a000, 0x3000, memory),
        section(0x80d000, 0x1000, secrets),  section(0x80e000, 0x1000, cpuid),
        section(0x80f000, 0x1000, svsm_caa), section(0x810000, 0x10000, memory)};
    launch.metadata.kernel_hashes_address = 0;
    EXPECT_EQ(measured(launch),
              "da0296de8193586a5512078dcd719eccecbd87e2b825ad41"
              "48c44f665dc87df21e5b49e21523a9ad993afdb6a30b4005");
    launch.guest_features = 0x21;
    EXPECT_EQ(measured(launch),
              "28797ae0afaba4005a81e629acebfb59e6687949d6be4400"
              "7cd5506823b0dd66f146aaae26ff291eed7b493d8a64c385");
    launch.kernel = hash_boot_files({});
    EXPECT_EQ(launch_digest(launch).error().code(), bad_launch);
}

TEST(SnpMeasurement, PublishedDigestsOfOtherMonitors) {
    SnpLaunch launch = virtee_launch();
    launch.vmm = SnpVmm::ec2;
    EXPECT_EQ(measured(launch),
              "0883bd0eeb716e65b7b977a321c278d1e51b33b5c655fab9"
              "85443bbcc65c086b9c15e8a0bd8811050dec7e24964e5056");
    launch.guest_features = 0x21;
    EXPECT_EQ(measured(launch),
              "0ce9ccc06bab55eebe8abc234f3df6514883977a68a591b7"
              "1052498ab52b2f1aa415db338033946ef93aa8278c0d67fb");
    launch.guest_features = 1;
    launch.vmm = SnpVmm::gce;
    EXPECT_EQ(measured(launch),
              "5da7106cf14cf46b1725ebab123eb9e53bd46a1e9f400cd0"
              "c08e7827b04b688ea8b4e403c8404efed4397ea5d5d0722e");
    launch.vcpus = 4;
    EXPECT_EQ(measured(launch),
              "5c5debf100fc339f90276e761ee1f1658d08922c3b20e2a2"
              "e6c7a6c3370b2452a15a00eae11886a93d6fd1e7ab81e29d");
}

/// The launch behind snp3-milan-dstack of the corpus (Dstack-TEE/dstack, verifier/fixtures,
/// Apache-2.0): what its sev_snp_measurement states; the digest is in the report that the chip
/// signed.
SnpLaunch dstack_launch() {
    using enum SevSectionKind;
    SnpLaunch launch;
    launch.firmware_pages = array_from_hex<48>(
                                "ffb57e393469a497c0e3b07bd1c97d8611e555f464d1449183766589"
                                "3ac642b263a71f9507ff100a847897fe0c3f8c6f")
                                .value();
    launch.metadata.sections = {
        section(0x800000, 0x9000, memory),       section(0x80a000, 0x3000, memory),
        section(0x80d000, 0x1000, secrets),      section(0x80e000, 0x1000, cpuid),
        section(0x80f000, 0x1000, svsm_caa),     section(0x811000, 0xf000, memory),
        section(0x810000, 0x1000, kernel_hashes)};
    launch.metadata.reset_address = 0x80b004;
    launch.metadata.kernel_hashes_address = 0x810c00;
    KernelHashes kernel = hash_boot_files(
        {.command_line =
             "console=ttyS0 init=/init panic=1 net.ifnames=0 biosdevname=0 mce=off oops=panic "
             "pci=noearly pci=nommconf random.trust_cpu=y random.trust_bootloader=n tsc=reliable "
             "no-kvmclock "
             "dstack.rootfs_hash=ca5adaef0ac3a36108035925763b48a5818f634e700fbaab561d419fd30d7121 "
             "dstack.rootfs_size=490713088"});
    kernel.kernel = digest32("dd9ea274ce9a07090b22e8284b0c841b65c021c2d15ca57d0f16731089dd226c");
    kernel.initrd = digest32("5f844c4a2ca5a3d0711b3db38293b21ba929bb8e0b3c5bc1a779a57f69221c19");
    launch.kernel = kernel;
    launch.vcpus = 2;
    launch.vcpu_signature = *vcpu_signature("EPYC-v4");
    return launch;
}

TEST(SnpMeasurement, TheDigestThatAChipSigned) {
    EXPECT_EQ(measured(dstack_launch()),
              "7f51e17f72a04d5422cb2c00998166536019a217376f3aa4"
              "5a630e59c805a599847ff250dbffcd07e1ba639771d6f05d");
}

TEST(SnpMeasurement, EveryInputCounts) {
    const std::string right = measured(dstack_launch());
    for (const SnpVariant& variant : usual_variants(dstack_launch()))
        EXPECT_NE(hex(variant.measurement), right) << variant.change;
    SnpLaunch other = dstack_launch();
    other.firmware_pages[0] ^= std::byte{1};
    EXPECT_NE(measured(other), right);
    other = dstack_launch();
    other.kernel->kernel[31] ^= std::byte{1};
    EXPECT_NE(measured(other), right);
    other = dstack_launch();
    other.kernel->initrd[0] ^= std::byte{1};
    EXPECT_NE(measured(other), right);
    other = dstack_launch();
    std::swap(other.metadata.sections[5], other.metadata.sections[6]);
    EXPECT_NE(measured(other), right);
    other = dstack_launch();
    other.metadata.reset_address += 4;
    EXPECT_NE(measured(other), right);
}

TEST(SnpMeasurement, VariantsFindTheOneThingThatDiffers) {
    SnpLaunch expected = dstack_launch();
    expected.vcpus = 8;
    const Digest48 quoted = launch_digest(dstack_launch()).value();
    std::string found;
    for (const SnpVariant& variant : usual_variants(expected)) {
        if (variant.measurement == quoted) found += variant.change;
    }
    EXPECT_EQ(found, "2 vCPUs");
}

TEST(SnpMeasurement, VariantsAreWhatALaunchOfTheirOwnGives) {
    SnpLaunch launch = dstack_launch();
    std::map<std::string, std::string> found;
    for (const SnpVariant& variant : usual_variants(launch))
        found[variant.change] = hex(variant.measurement);
    EXPECT_EQ(found.size(), 63u + 4u + 1u + 2u);
    SnpLaunch other = launch;
    other.vcpus = 1;
    EXPECT_EQ(found["1 vCPUs"], measured(other));
    other.vcpus = 64;
    EXPECT_EQ(found["64 vCPUs"], measured(other));
    other = launch;
    other.vcpu_signature = *vcpu_signature("EPYC-Genoa");
    EXPECT_EQ(found["vCPU EPYC-Genoa"], measured(other));
    other = launch;
    other.guest_features = 0x21;
    EXPECT_EQ(found["guest features 0x21"], measured(other));
    other = launch;
    other.kernel.reset();
    EXPECT_EQ(found["no kernel hashes: kernel, initrd and command line are not measured"],
              measured(other));
    launch.vcpus = 0;
    EXPECT_TRUE(usual_variants(launch).empty());  // of a launch that cannot be
}

TEST(SnpMeasurement, LaunchesThatCannotBe) {
    SnpLaunch launch = virtee_launch();
    launch.vcpus = 0;
    EXPECT_EQ(launch_digest(launch).error().code(), bad_launch);
    launch.vcpus = kMaxVcpus + 1;
    EXPECT_EQ(launch_digest(launch).error().code(), bad_launch);
    launch = virtee_launch();
    launch.metadata.sections.erase(launch.metadata.sections.begin() + 5);
    EXPECT_EQ(launch_digest(launch).error().code(), bad_launch);
    for (std::uint64_t address : {0x80fc00u, 0x811000u, 0x810fc0u, 0u}) {
        launch = virtee_launch();
        launch.metadata.kernel_hashes_address = address;
        EXPECT_EQ(launch_digest(launch).error().code(), bad_launch) << address;
    }
}

TEST(SnpMeasurement, TheSecondImplementationAgrees) {
    const Folder folder;
    const Bytes image = usual_image();
    const Bytes kernel = to_bytes("a kernel");
    const Bytes initrd = to_bytes("an initrd");
    const std::string files = folder.write("kernel", kernel) + " " +
                              folder.write("initrd", initrd) + " 'quiet root=/dev/vda'";
    const std::string file = folder.write("image", image);
    const std::pair<SnpVmm, std::string> vmms[] = {
        {SnpVmm::qemu, "qemu"}, {SnpVmm::ec2, "ec2"}, {SnpVmm::gce, "gce"}};
    for (const auto& [vmm, name] : vmms) {
        for (unsigned vcpus : {1u, 3u}) {
            SnpLaunch launch;
            launch.firmware_pages = firmware_pages_digest(image);
            launch.metadata = parse_sev_metadata(image).value();
            launch.vcpus = vcpus;
            launch.vcpu_signature = 0xa10f11;
            launch.guest_features = 0x21;
            launch.vmm = vmm;
            const std::string arguments =
                "snp " + file + " " + name + " " + std::to_string(vcpus) + " 0xa10f11 0x21";
            EXPECT_EQ(std::vector{measured(launch)}, reference(arguments));
            launch.kernel = hash_boot_files({kernel, initrd, "quiet root=/dev/vda"});
            EXPECT_EQ(std::vector{measured(launch)}, reference(arguments + " " + files));
        }
    }
}

TEST(SnpMeasurement, SignaturesOfModels) {
    EXPECT_EQ(vcpu_signature("EPYC-v4"), 0x800f12u);
    EXPECT_EQ(vcpu_signature("EPYC-Rome"), 0x830f10u);
    EXPECT_EQ(vcpu_signature("EPYC-Milan"), 0xa00f11u);
    EXPECT_EQ(vcpu_signature("EPYC-Genoa"), 0xa10f10u);
    EXPECT_EQ(vcpu_signature("EPYC-Turin"), 0xb00f00u);
    EXPECT_FALSE(vcpu_signature("EPYC-Vienna").has_value());
    for (std::string_view name : vcpu_models()) EXPECT_TRUE(vcpu_signature(name).has_value());
    for (std::string_view name : vcpu_names()) EXPECT_TRUE(vcpu_signature(name).has_value());
}

}  // namespace
}  // namespace eos::client::measure
