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
