// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/sgx.h"

#include "client/measure/reference_test.h"

namespace eos::client::measure {
namespace {

using namespace testing;
using Content = EnclaveMeasurement::Content;

struct Page {
    std::uint64_t offset;
    std::uint64_t flags;
    std::uint8_t fill;
    Content content;
};

constexpr Page kPages[] = {{0x0000, 0x205, 0x90, Content::measured},
                           {0x1000, 0x203, 0x00, Content::measured},
                           {0x3000, 0x203, 0x55, Content::unmeasured},
                           {0x4000, 0x100, 0x01, Content::measured}};

Bytes filled(std::uint8_t fill) {
    return Bytes(kPageBytes, std::byte{fill});
}

crypto::Digest32 measured(std::span<const Page> pages) {
    EnclaveMeasurement enclave = EnclaveMeasurement::create({2, 0x8000}).value();
    for (const Page& page : pages) {
        EXPECT_TRUE(enclave.add_page(page.offset, {page.flags}, filled(page.fill), page.content)
                        .has_value());
    }
    return enclave.finish();
}

/// The records of the same enclave as an SGXS stream.
Bytes stream() {
    Writer out;
    auto name = [&out](std::string_view text) { out.text(text).zeros(8 - text.size()); };
    name("ECREATE");
    out.u32le(2).u64le(0x8000).zeros(44);
    for (const Page& page : kPages) {
        name("EADD");
        out.u64le(page.offset).u64le(page.flags).zeros(40);
        for (std::uint64_t at = 0; at < kPageBytes; at += 256) {
            name(page.content == Content::measured ? "EEXTEND" : "UNMEASRD");
            out.u64le(page.offset + at).zeros(48).bytes(ByteView(filled(page.fill)).first(256));
        }
    }
    return std::move(out).take();
}

TEST(SgxMeasurement, TheSecondImplementationAgrees) {
    EXPECT_EQ(std::vector{hex(measured(kPages))},
              reference("sgx 0x8000 2 0:0x205:0x90:measured 0x1000:0x203:0:measured "
                        "0x3000:0x203:0x55:unmeasured 0x4000:0x100:1:measured"));
}

TEST(SgxMeasurement, AStreamOfRecordsGivesTheSame) {
    Result<crypto::Digest32> digest = measure_sgxs(stream());
    ASSERT_TRUE(digest.has_value()) << digest.error().message();
    EXPECT_EQ(hex(*digest), hex(measured(kPages)));
}

TEST(SgxMeasurement, EveryCutAndStrayRecordIsRefused) {
    const Bytes whole = stream();
    std::vector<std::size_t> ends{64};
    for (std::size_t i = 0; i < std::size(kPages); ++i) ends.push_back(ends.back() + 64 + 16 * 320);
    for (std::size_t size = 0; size < whole.size(); size += 32) {
        if (std::ranges::find(ends, size) != ends.end()) continue;
        Result<crypto::Digest32> digest = measure_sgxs(ByteView(whole).first(size));
        ASSERT_FALSE(digest.has_value()) << size;
        EXPECT_EQ(digest.error().code(), bad_enclave_page) << size;
    }
    for (std::size_t at : {0u, 8u, 20u, 63u, 64u, 100u, 128u, 136u, 150u}) {
        Bytes damaged = whole;
        damaged[at] ^= std::byte{0x11};
        Result<crypto::Digest32> digest = measure_sgxs(damaged);
        EXPECT_TRUE(!digest || *digest != measured(kPages)) << at;
    }
}

TEST(SgxMeasurement, PagesThatNoEnclaveHas) {
    for (std::uint64_t size : {0u, 0x1000u, 0x3000u})
        EXPECT_EQ(EnclaveMeasurement::create({1, size}).error().code(), bad_enclave_page);
    EXPECT_EQ(EnclaveMeasurement::create({0, 0x8000}).error().code(), bad_enclave_page);
    EnclaveMeasurement enclave = EnclaveMeasurement::create({1, 0x8000}).value();
    auto code = [&enclave](std::uint64_t offset, const Bytes& page) {
        return enclave.add_page(offset, {0x203}, page, Content::measured).error().code();
    };
    EXPECT_EQ(code(0x8000, filled(0)), bad_enclave_page);
    EXPECT_EQ(code(0x10, filled(0)), bad_enclave_page);
    EXPECT_EQ(code(0, Bytes(100)), bad_enclave_page);
}

TEST(SgxMeasurement, TheOrderOfPagesCounts) {
    const Page swapped[] = {kPages[1], kPages[0], kPages[2], kPages[3]};
    EXPECT_NE(measured(swapped), measured(kPages));
}

/// A SIGSTRUCT by the table of the SDM; each field has a value of its own.
Bytes sigstruct() {
    Writer out;
    out.bytes(from_hex("06000000e10000000000010000000000").value());
    out.u32le(0x8086).u32le(0x20260102);
    out.bytes(from_hex("01010000600000006000000001000000").value());
    out.u32le(0).zeros(84).bytes(Bytes(384, std::byte{0xab}));  // SWDEFINED, reserved, MODULUS
    out.u32le(3).bytes(Bytes(384, std::byte{0x51}));            // EXPONENT, SIGNATURE
    out.u32le(0).u32le(0xffffffff).u32le(0).zeros(16);          // MISCSELECT to ISVFAMILYID
    out.bytes(from_hex("04000000000000000300000000000000").value());
    out.bytes(from_hex("fdffffffffffffff0000000000000000").value());
    out.bytes(measured(kPages)).zeros(16).zeros(16);  // ENCLAVEHASH, reserved, ISVEXTPRODID
    out.u16le(0x1234).u16le(7).zeros(12).bytes(Bytes(768, std::byte{0x92}));  // to Q2
    return std::move(out).take();
}

TEST(SgxMeasurement, ASigstructNamesItsSigner) {
    const Sigstruct parsed = parse_sigstruct(sigstruct()).value();
    EXPECT_EQ(parsed.mr_signer, crypto::sha256(Bytes(384, std::byte{0xab})));
    EXPECT_EQ(parsed.mr_enclave, measured(kPages));
    EXPECT_EQ(parsed.isv_prod_id, 0x1234);
    EXPECT_EQ(parsed.isv_svn, 7);
    EXPECT_EQ(hex(parsed.attributes), "04000000000000000300000000000000");
    EXPECT_EQ(hex(parsed.attributes_mask), "fdffffffffffffff0000000000000000");
}

TEST(SgxMeasurement, OtherFilesAreNoSigstruct) {
    const Bytes right = sigstruct();
    auto refusal = [](const Bytes& bytes) {
        Result<Sigstruct> parsed = parse_sigstruct(bytes);
        if (parsed) return std::string("accepted");
        EXPECT_EQ(parsed.error().code(), bad_sigstruct);
        return parsed.error().detail();
    };
    EXPECT_EQ(refusal({}), "it has 0 bytes, a SIGSTRUCT has 1808");
    Bytes longer = right;
    longer.push_back(std::byte{0});
    EXPECT_EQ(refusal(longer), "it has 1809 bytes, a SIGSTRUCT has 1808");
    const std::pair<std::size_t, std::string> places[] = {
        {0, "its HEADER is another one"},
        {15, "its HEADER is another one"},
        {16, "its VENDOR is unknown"},
        {24, "its HEADER2 is another one"},
        {39, "its HEADER2 is another one"},
        {44, "its reserved bytes are not zero"},
        {127, "its reserved bytes are not zero"},
        {512, "its EXPONENT is not 3"},
        {910, "its reserved bytes are not zero"},
        {992, "its reserved bytes are not zero"},
        {1039, "its reserved bytes are not zero"}};
    for (const auto& [at, detail] : places) {
        Bytes damaged = right;
        damaged[at] ^= std::byte{0x10};
        EXPECT_EQ(refusal(damaged), detail) << at;
    }
}

TEST(SgxMeasurement, ProcessIdentityIsThatOfTheProgramFile) {
    const Bytes elf = to_bytes("not really a program");
    const Bytes expected =
        concat({as_bytes("enclave-os process back end, no protection"), crypto::sha256(elf)});
    EXPECT_EQ(process_identity(elf).mr_enclave, crypto::sha256(expected));
    Bytes rebuilt = elf;
    rebuilt.push_back(std::byte{0});
    EXPECT_NE(process_identity(rebuilt).mr_enclave, process_identity(elf).mr_enclave);
    EXPECT_EQ(process_identity(rebuilt).mr_signer, process_identity(elf).mr_signer);
}

}  // namespace
}  // namespace eos::client::measure
