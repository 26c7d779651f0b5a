// SPDX-License-Identifier: AGPL-3.0-only
// MRTD and RTMRs against a second implementation. No published firmware with its MRTD is at hand.
#include "client/measure/tdx.h"

#include <algorithm>

#include "client/measure/reference_test.h"
#include "common/attestation/event_log/replay.h"

namespace eos::client::measure {
namespace {

using namespace testing;
namespace event_log = attestation::event_log;

std::string mrtd_of(const Bytes& image, PageOrder order) {
    Result<Digest48> digest = mrtd(image, order);
    return digest ? hex(*digest) : digest.error().message();
}

TEST(TdxMeasurement, TheSecondImplementationAgreesOnMrtd) {
    const Folder folder;
    const Bytes image = usual_image();
    const std::string file = folder.write("image", image);
    const std::string by_page = mrtd_of(image, PageOrder::page_by_page);
    const std::string by_section = mrtd_of(image, PageOrder::section_by_section);
    EXPECT_EQ(std::vector{by_page}, reference("tdx " + file + " page"));
    EXPECT_EQ(std::vector{by_section}, reference("tdx " + file + " section"));
    EXPECT_NE(by_page, by_section);
}

TEST(TdxMeasurement, OnlyMeasuredBytesCount) {
    const Bytes image = usual_image();
    const std::string right = mrtd_of(image, PageOrder::page_by_page);
    Bytes other = image;
    other[0x1000] ^= std::byte{1};  // the first byte of the measured volume
    EXPECT_NE(mrtd_of(other, PageOrder::page_by_page), right);
    other = image;
    other[0xfff] ^= std::byte{1};  // the variables' page is added, but not measured
    EXPECT_EQ(mrtd_of(other, PageOrder::page_by_page), right);
}

TEST(TdxMeasurement, FirmwareThatCannotBeMeasured) {
    const Bytes no_tdvf = make_image({.sev_metadata = usual_sev_metadata()});
    EXPECT_EQ(mrtd(no_tdvf, PageOrder::page_by_page).error().code(), bad_firmware);
    const Bytes larger =
        make_image({.tdvf_metadata = tdvf_metadata({{0, 0x1000, 0, 0x2000, 0, 1}})});
    EXPECT_EQ(mrtd(larger, PageOrder::page_by_page).error().code(), bad_firmware);
}

TEST(TdxMeasurement, TheSecondImplementationAgreesOnADirectBoot) {
    const Folder folder;
    const Bytes initrd = to_bytes("an initrd");
    const std::string no_initrd = folder.write("none", {});
    const std::string initrd_file = folder.write("initrd", initrd);
    for (std::size_t certificate_bytes : {std::size_t{0}, std::size_t{0x88}}) {
        const Bytes kernel = make_program(certificate_bytes);
        const std::string file = folder.write("kernel", kernel);
        for (bool with_initrd : {true, false}) {
            const BootFiles files{kernel, with_initrd ? ByteView(initrd) : ByteView(), "quiet"};
            Result<event_log::EventLog> log = direct_boot_log(files);
            ASSERT_TRUE(log.has_value()) << log.error().message();
            const event_log::Rtmrs rtmrs = event_log::replay(*log);
            const std::string second = with_initrd ? initrd_file : no_initrd;
            EXPECT_EQ((std::vector{hex(rtmrs[1]), hex(rtmrs[2])}),
                      reference("boot " + file + " " + second + " quiet"));
            EXPECT_TRUE(all_zero(rtmrs[0]) && all_zero(rtmrs[3]));
        }
    }
}

/// The actions and the separator are the same in every log; these are of tdx4-gcp-cos113 and of
/// dstack's log in the corpus.
TEST(TdxMeasurement, TheKnownEventsHaveTheKnownDigests) {
    const Bytes kernel = make_program(0);
    const event_log::EventLog log = direct_boot_log({kernel, {}, "quiet"}).value();
    std::vector<std::string> starts;
    for (const event_log::Event& event : log.events) {
        if (event.rtmr == 1) starts.push_back(hex(event.digest).substr(0, 16));
    }
    starts.erase(starts.begin());
    EXPECT_EQ(starts, (std::vector<std::string>{"77a0dab2312b4e1e", "394341b7182cd227",
                                                "214b0bef13797560", "0a2e01c85deae718"}));
}

TEST(TdxMeasurement, ChecksumAndCertificatesDoNotCount) {
    const Bytes plain = make_program(0x88);
    const std::string right = hex(authenticode_sha384(plain).value());
    Bytes other = plain;
    other[0x80 + 24 + 64] ^= std::byte{1};
    EXPECT_EQ(hex(authenticode_sha384(other).value()), right);
    other = plain;
    other.back() ^= std::byte{1};
    EXPECT_EQ(hex(authenticode_sha384(other).value()), right);
    for (std::size_t at : {std::size_t{1}, std::size_t{0x3ff}, std::size_t{0x400},
                           std::size_t{0x9ff}, std::size_t{0xa1f}}) {
        other = plain;
        other[at] ^= std::byte{1};
        EXPECT_NE(hex(authenticode_sha384(other).value()), right) << at;
    }
}

TEST(TdxMeasurement, ProgramsThatAreNone) {
    const Bytes program = make_program(0x88);
    auto code = [](const Bytes& bytes) { return authenticode_sha384(bytes).error().code(); };
    for (std::size_t size = 0; size < program.size(); size += 8)
        EXPECT_EQ(code(to_bytes(ByteView(program).first(size))), bad_kernel) << size;
    Bytes other = program;
    other.push_back(std::byte{0});
    EXPECT_EQ(code(other), bad_kernel);  // no multiple of 8
    for (std::size_t at : {0x80u, 0x98u, 0x3fu, 0x98u + 61u, 0x98u + 240 + 19, 0x98u + 240 + 23}) {
        other = program;
        other[at] ^= std::byte{0x7f};
        EXPECT_EQ(code(other), bad_kernel) << at;
    }
    EXPECT_EQ(direct_boot_log({program, {}, "a\nb"}).error().code(), bad_launch);
    EXPECT_EQ(direct_boot_log({{}, {}, "quiet"}).error().code(), bad_kernel);
}

/// Where the two sections of make_program() say what they have, each 40 bytes of the table.
constexpr std::size_t kProgramSections = 0x80 + 24 + 240;

/// Overlapping sections cost their sum, not the file's size, and no firmware starts such a program.
TEST(TdxMeasurement, SectionsOfAProgramDoNotOverlap) {
    const Bytes program = make_program(0x88);
    auto refusal = [](const Bytes& bytes) {
        Result<Digest48> digest = authenticode_sha384(bytes);
        if (digest) return std::string("accepted");
        EXPECT_EQ(digest.error().code(), bad_kernel);
        return digest.error().detail();
    };
    Bytes equal_ones = program;
    put(equal_ones, kProgramSections,
        ByteView(program).subspan(kProgramSections + 40, 40));  // both of 0x200 at 0x400
    EXPECT_EQ(refusal(equal_ones), "a section begins at 1024, before the end of what precedes it");
    Bytes touching = program;
    put(touching, kProgramSections + 20, Writer().u32le(0x5ff).view());
    EXPECT_EQ(refusal(touching), "a section begins at 1535, before the end of what precedes it");
    Bytes in_headers = program;
    put(in_headers, kProgramSections + 40 + 20, Writer().u32le(0x3f8).view());
    EXPECT_EQ(refusal(in_headers), "a section begins at 1016, before the end of what precedes it");
    Bytes in_certificates = program;
    put(in_certificates, kProgramSections + 16, Writer().u32le(0x428).view());
    EXPECT_EQ(refusal(in_certificates), "its sections reach into its certificates");
}

/// edk2 leaves LoadOptionsSize 0, and Linux' stub then measures nothing.
TEST(TdxMeasurement, NoCommandLineAndNoInitrdLeaveRtmr2Zero) {
    const Folder folder;
    const Bytes kernel = make_program(0);
    const event_log::Rtmrs rtmrs = event_log::replay(direct_boot_log({kernel, {}, ""}).value());
    EXPECT_TRUE(all_zero(rtmrs[2]));
    EXPECT_FALSE(all_zero(rtmrs[1]));
    const std::string none = folder.write("none", {});
    EXPECT_EQ((std::vector{hex(rtmrs[1]), hex(rtmrs[2])}),
              reference("boot " + folder.write("kernel", kernel) + " " + none + " ''"));
    // With an initrd there are options: what OVMF appends.
    const Bytes initrd = to_bytes("an initrd");
    const event_log::EventLog log = direct_boot_log({kernel, initrd, ""}).value();
    EXPECT_EQ(std::ranges::count(log.events, std::size_t{2}, &event_log::Event::rtmr), 2);
}

}  // namespace
}  // namespace eos::client::measure
