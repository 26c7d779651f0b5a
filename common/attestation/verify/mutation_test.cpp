// SPDX-License-Identifier: AGPL-3.0-only
// The corpus's list of mutations, as far as it concerns SGX quotes of version 3, applied to a real
// quote with real collateral: each must fail at the node named here. Numbers are those of the list.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/corpus_test.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using endorsements::Endorsements;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Row;
using ::testing::UnorderedElementsAreArray;

using Ids = std::vector<std::string>;

constexpr std::size_t kAuth = 436;
constexpr std::size_t kQeReport = kAuth + 128;
constexpr std::size_t kQeAuthSize = kQeReport + 384 + 64;
constexpr std::size_t kCertificationType = kQeAuthSize + 2 + 32;
constexpr std::size_t kCertificationSize = kCertificationType + 2;
constexpr std::size_t kChain = kCertificationSize + 4;

class Mutations : public testing::Corpus {
  protected:
    const Row& base() const { return row("sgx-dcapqvl-sample"); }

    static Ids failures(const Bytes& quote, const Endorsements& endorsements, UnixTime time) {
        Verification verification = verify_quote(quote, endorsements, Roots::intel(), time);
        Ids failed = summarise(verification.tree()).failed;
        EXPECT_EQ(verification.evidence() == nullptr, !failed.empty());
        return failed;
    }
    Ids quote_failures(const Bytes& quote) const { return failures(quote, {}, base().time); }
    Ids collateral_failures(const Endorsements& endorsements) const {
        return failures(base().quote, endorsements, base().time);
    }
};

void put(Bytes& quote, std::size_t at, ByteView bytes) {
    std::ranges::copy(bytes, quote.begin() + static_cast<std::ptrdiff_t>(at));
}

void put_u32(Bytes& quote, std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) quote[at + i] = static_cast<std::byte>(value >> (8 * i));
}

TEST_F(Mutations, M01ToM19EveryRegionFailsAtItsNode) {
    struct Region {
        const char* name;
        std::size_t begin;
        std::size_t end;
        Ids expected;
    };
    const Region regions[] = {
        {"M01 version", 0, 2, {"quote.syntax"}},
        {"M02 key type", 2, 4, {"quote.syntax"}},
        {"M03 tee type", 4, 8, {"quote.syntax"}},
        {"M04 qe_svn, pce_svn", 8, 12, {"quote.signature"}},
        {"M05 vendor", 12, 28, {"quote.syntax"}},
        {"M06 user data", 28, 48, {"quote.signature"}},
        {"M08 body", 48, 432, {"quote.signature"}},
        {"M09 auth size", 432, 436, {"quote.syntax"}},
        {"M10 signature", kAuth, kAuth + 64, {"quote.signature"}},
        {"M11 attestation key", kAuth + 64, kAuth + 128, {"qe.binding", "quote.signature"}},
        {"M14 QE report", kQeReport, kQeReport + 320, {"qe.report_signature"}},
        {"M14 QE report data",
         kQeReport + 320,
         kQeReport + 384,
         {"qe.report_signature", "qe.binding"}},
        {"M15 QE report signature", kQeReport + 384, kQeAuthSize, {"qe.report_signature"}},
        {"M16 QE auth size", kQeAuthSize, kQeAuthSize + 2, {"quote.syntax"}},
        {"M17 QE auth data", kQeAuthSize + 2, kCertificationType, {"qe.binding"}},
        {"M18 certification type", kCertificationType, kCertificationSize, {"quote.syntax"}},
        {"M19 certification size", kCertificationSize, kChain, {"quote.syntax"}},
    };
    ASSERT_THAT(quote_failures(base().quote), IsEmpty());
    Bytes quote = base().quote;
    for (const Region& region : regions) {
        bool small = region.end - region.begin <= 4;
        for (std::size_t at = region.begin; at < region.end; at += small ? 1 : 7) {
            for (unsigned bit = 0; bit < 8; bit += small ? 1 : 5) {
                quote[at] ^= static_cast<std::byte>(1u << bit);
                EXPECT_THAT(quote_failures(quote), UnorderedElementsAreArray(region.expected))
                    << region.name << ", byte " << at << ", bit " << bit;
                quote[at] ^= static_cast<std::byte>(1u << bit);
            }
        }
    }
}

TEST_F(Mutations, M20FlipsInTheChainFailInTheChain) {
    Bytes quote = base().quote;
    for (std::size_t at = kChain; at<quote.size(); at += at + 40> quote.size() ? 1 : 11) {
        for (std::size_t bit = at % 3; bit < 8; bit += 3) {
            quote[at] ^= static_cast<std::byte>(1u << bit);
            Ids failed = quote_failures(quote);
            ASSERT_FALSE(failed.empty()) << at;
            EXPECT_TRUE(failed[0].starts_with("pck.")) << failed[0] << ", byte " << at;
            quote[at] ^= static_cast<std::byte>(1u << bit);
        }
    }
}

/// The order of the group less s, which signs the same: known, allowed, and the reason why evidence
/// bytes are never an identifier.
TEST_F(Mutations, M21TheOtherSignatureOfThePairVerifiesToo) {
    const Bytes order =
        from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").value();
    Bytes quote = base().quote;
    for (std::size_t s : {kAuth + 32, kQeReport + 384 + 32}) {
        int borrow = 0;
        for (std::size_t i = 32; i-- > 0;) {
            int digit =
                std::to_integer<int>(order[i]) - std::to_integer<int>(quote[s + i]) - borrow;
            borrow = digit < 0 ? 1 : 0;
            quote[s + i] = static_cast<std::byte>(digit & 0xff);
        }
    }
    EXPECT_NE(quote, base().quote);
    EXPECT_THAT(quote_failures(quote), IsEmpty());
}

TEST_F(Mutations, T01ToT06Structure) {
    const Bytes& whole = base().quote;
    for (std::size_t size = 0; size < whole.size(); size += size < 1100 ? 1 : 37) {
        Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        ASSERT_THAT(quote_failures(cut), ElementsAre("quote.syntax")) << size;
    }
    for (std::size_t extra : {1u, 2u, 70u, 3400u}) {
        Bytes padded = whole;
        padded.resize(padded.size() + extra);
        EXPECT_THAT(quote_failures(padded), ElementsAre("quote.syntax")) << extra;
    }
    for (std::size_t at : {std::size_t{432}, kCertificationSize}) {
        for (std::uint32_t size : {0xffffffffu, 0x80000000u, 5000u, 0u}) {
            Bytes quote = whole;
            put_u32(quote, at, size);
            EXPECT_THAT(quote_failures(quote), ElementsAre("quote.syntax"));
        }
    }
    for (unsigned type : {1u, 2u, 3u, 4u, 6u, 7u}) {
        Bytes quote = whole;
        quote[kCertificationType] = static_cast<std::byte>(type);
        EXPECT_THAT(quote_failures(quote), ElementsAre("quote.syntax")) << type;
    }
    Bytes tdx = whole;
    tdx[4] = std::byte{0x81};
    EXPECT_THAT(quote_failures(tdx), ElementsAre("quote.syntax"));
}

TEST_F(Mutations, C07C08MixingTwoQuotes) {
    const Row& other = row("sgx-automata-a067-debug");
    Bytes chain_of_other(base().quote.begin(), base().quote.begin() + kChain);
    append(chain_of_other, ByteView(other.quote).subspan(kChain));
    put_u32(chain_of_other, kCertificationSize,
            static_cast<std::uint32_t>(other.quote.size() - kChain));
    put_u32(chain_of_other, 432, static_cast<std::uint32_t>(chain_of_other.size() - kAuth));
    EXPECT_THAT(quote_failures(chain_of_other), ElementsAre("qe.report_signature"));

    Bytes key_of_other = base().quote;
    put(key_of_other, 0, ByteView(other.quote).first(432));
    put(key_of_other, kAuth, ByteView(other.quote).subspan(kAuth, 128));
    EXPECT_THAT(quote_failures(key_of_other), ElementsAre("qe.binding"));
}

TEST_F(Mutations, C11TimeOutsideOfACertificate) {
    const Bytes& quote = base().quote;
    for (const char* time : {"2018-05-21T10:45:09Z", "2034-01-01T00:00:00Z"}) {
        EXPECT_THAT(failures(quote, {}, parse_rfc3339(time).value()), ElementsAre("pck.validity"))
            << time;
    }
}

TEST_F(Mutations, K01OneBitInAnyPieceOfCollateral) {
    ASSERT_THAT(collateral_failures(base().endorsements), IsEmpty());
    auto expect = [&](auto alter, const char* id) {
        Endorsements altered = base().endorsements;
        alter(altered);
        Ids failed = collateral_failures(altered);
        EXPECT_THAT(failed, ::testing::Contains(id));
    };
    auto flip = [](std::byte& byte) { byte ^= std::byte{1}; };
    expect([&](Endorsements& e) { flip(e.tcb_info->body[700]); }, "tcb_info.signature");
    expect([&](Endorsements& e) { flip(e.tcb_info->signature[5]); }, "tcb_info.signature");
    expect([&](Endorsements& e) { e.tcb_info->issuer_chain_pem[400] ^= 1; }, "tcb_info.chain");
    expect([&](Endorsements& e) { flip(e.qe_identity->body[400]); }, "qe_identity.signature");
    expect([&](Endorsements& e) { flip(e.qe_identity->signature[63]); }, "qe_identity.signature");
    expect([&](Endorsements& e) { e.qe_identity->issuer_chain_pem[500] ^= 1; },
           "qe_identity.chain");
    for (std::size_t at : {60u, 120u, 250u}) {
        expect([&](Endorsements& e) { flip((*e.root_ca_crl)[at]); }, "crl.root");
        expect([&](Endorsements& e) { flip((*e.pck_crl)[at]); }, "crl.pck");
    }
}

TEST_F(Mutations, K02TheExactBytesAreSigned) {
    Endorsements altered = base().endorsements;
    json::Value value = json::parse(altered.tcb_info->body, {}).value();
    altered.tcb_info->body = to_bytes(json::compact(value));  // members in another order
    EXPECT_THAT(collateral_failures(altered), ElementsAre("tcb_info.signature"));
}

TEST_F(Mutations, K03K04StaleOrSwappedCollateral) {
    const Endorsements& good = base().endorsements;
    UnixTime late = parse_rfc3339("2025-07-20T00:00:00Z").value();
    EXPECT_THAT(failures(base().quote, good, late),
                UnorderedElementsAreArray(Ids{"tcb_info.dates", "qe_identity.dates", "crl.pck"}));
    UnixTime early = parse_rfc3339("2025-06-01T00:00:00Z").value();
    EXPECT_THAT(failures(base().quote, good, early),
                UnorderedElementsAreArray(Ids{"tcb_info.dates", "qe_identity.dates", "crl.pck"}));
    Endorsements swapped = good;
    std::swap(swapped.root_ca_crl, swapped.pck_crl);
    EXPECT_THAT(collateral_failures(swapped),
                UnorderedElementsAreArray(Ids{"crl.root", "crl.pck"}));
    Endorsements of_other_ca = good;
    of_other_ca.pck_crl = row("sgx-automata-evalnum17").endorsements.pck_crl;
    EXPECT_THAT(collateral_failures(of_other_ca), ElementsAre("crl.pck"));
}

TEST_F(Mutations, K06K07StatementsOfOthers) {
    Endorsements mixed = base().endorsements;
    mixed.tcb_info = row("sgx-automata-evalnum17").endorsements.tcb_info;
    EXPECT_THAT(collateral_failures(mixed), ElementsAre("tcb_info.platform", "tcb.level"));
    std::swap(mixed.tcb_info, mixed.qe_identity);
    EXPECT_THAT(collateral_failures(mixed),
                UnorderedElementsAreArray(Ids{"tcb_info.syntax", "qe_identity.syntax"}));
}

}  // namespace
}  // namespace eos::attestation::verify
