// SPDX-License-Identifier: AGPL-3.0-only
// The corpus's list of mutations on real TDX quotes of versions 4 and 5 with real collateral: each
// must fail at the node named here. Numbers are those of the list; what it shares with SGX quotes
// of version 3 is in mutation_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/corpus_test.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using endorsements::Endorsements;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Row;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

using Ids = std::vector<std::string>;

/// Where things are in a quote of version 4 (TDX 1.0) or 5 (TDX 1.5).
struct Layout {
    explicit Layout(const Row& row)
        : body(row.quote[0] == std::byte{4} ? 48 : 54),
          auth_size(body + (body == 48 ? evidence::kTd10ReportBytes : evidence::kTd15ReportBytes)) {
    }
    std::size_t body;
    std::size_t auth_size;
    std::size_t auth = auth_size + 4;
    std::size_t outer = auth + 128;
    std::size_t qe_report = outer + 6;
    std::size_t qe_auth_size = qe_report + 384 + 64;
    std::size_t inner = qe_auth_size + 2 + 32;
    std::size_t chain = inner + 6;
};

class TdxMutations : public testing::Corpus {
  protected:
    std::vector<const Row*> bases() const {
        return {&row("tdx4-dcapqvl-sample"), &row("tdx5-automata-alibaba")};
    }
    const Row& base() const { return row("tdx5-automata-alibaba"); }

    static Ids failures(const Bytes& quote, const Endorsements& endorsements, UnixTime time) {
        Verification verification = verify_quote(quote, endorsements, Roots::intel(), time);
        Ids failed = summarise(verification.tree()).failed;
        EXPECT_EQ(verification.evidence() == nullptr, !failed.empty());
        return failed;
    }
    Ids collateral_failures(const Endorsements& endorsements) const {
        return failures(base().quote, endorsements, base().time);
    }
};

void put(Bytes& quote, std::size_t at, ByteView bytes) {
    std::ranges::copy(bytes, quote.begin() + static_cast<std::ptrdiff_t>(at));
}

void put_u32(Bytes& quote, std::size_t at, std::uint32_t value) {
    Writer out;
    out.u32le(value);
    put(quote, at, out.view());
}

struct Region {
    const char* name;
    std::size_t begin;
    std::size_t end;
    Ids expected;
};

std::vector<Region> regions(const Layout& at) {
    std::vector<Region> out{
        {"M01 version", 0, 2, {"quote.syntax"}},
        {"M02 key type", 2, 4, {"quote.syntax"}},
        {"M03 tee type", 4, 8, {"quote.syntax"}},
        {"M04 reserved", 8, 12, {"quote.signature"}},
        {"M05 vendor", 12, 28, {"quote.syntax"}},
        {"M06 user data", 28, 48, {"quote.signature"}},
        {"M08 body", at.body, at.auth_size, {"quote.signature"}},
        {"M09 auth size", at.auth_size, at.auth, {"quote.syntax"}},
        {"M10 signature", at.auth, at.auth + 64, {"quote.signature"}},
        {"M11 attestation key", at.auth + 64, at.outer, {"qe.binding", "quote.signature"}},
        {"M12 outer type", at.outer, at.outer + 2, {"quote.syntax"}},
        {"M13 outer size", at.outer + 2, at.qe_report, {"quote.syntax"}},
        {"M14 QE report", at.qe_report, at.qe_report + 320, {"qe.report_signature"}},
        {"M14 QE report data",
         at.qe_report + 320,
         at.qe_report + 384,
         {"qe.report_signature", "qe.binding"}},
        {"M15 QE report signature", at.qe_report + 384, at.qe_auth_size, {"qe.report_signature"}},
        {"M16 QE auth size", at.qe_auth_size, at.qe_auth_size + 2, {"quote.syntax"}},
        {"M17 QE auth data", at.qe_auth_size + 2, at.inner, {"qe.binding"}},
        {"M18 inner type", at.inner, at.inner + 2, {"quote.syntax"}},
        {"M19 inner size", at.inner + 2, at.chain, {"quote.syntax"}},
    };
    if (at.body == 54) out.push_back({"M07 body type and size", 48, 54, {"quote.syntax"}});
    return out;
}

TEST_F(TdxMutations, M01ToM19EveryRegionFailsAtItsNode) {
    for (const Row* row : bases()) {
        ASSERT_THAT(failures(row->quote, row->endorsements, row->time), IsEmpty());
        Bytes quote = row->quote;
        for (const Region& region : regions(Layout(*row))) {
            bool small = region.end - region.begin <= 6;
            for (std::size_t at = region.begin; at < region.end; at += small ? 1 : 11) {
                for (std::size_t bit = at % 3; bit < 8; bit += small ? 1 : 5) {
                    quote[at] ^= static_cast<std::byte>(1u << bit);
                    EXPECT_THAT(failures(quote, {}, row->time),
                                UnorderedElementsAreArray(region.expected))
                        << region.name << ", byte " << at << ", bit " << bit;
                    quote[at] ^= static_cast<std::byte>(1u << bit);
                }
            }
        }
    }
}

TEST_F(TdxMutations, M20FlipsInTheChainFailInTheChain) {
    Bytes quote = base().quote;
    for (std::size_t at = Layout(base()).chain; at < quote.size(); at += 17) {
        quote[at] ^= std::byte{4};
        Ids failed = failures(quote, {}, base().time);
        ASSERT_FALSE(failed.empty()) << at;
        EXPECT_TRUE(failed[0].starts_with("pck.")) << failed[0] << ", byte " << at;
        quote[at] ^= std::byte{4};
    }
}

TEST_F(TdxMutations, T01ToT06Structure) {
    for (const Row* row : bases()) {
        const Layout at(*row);
        for (std::size_t size = 0; size < row->quote.size(); size += 13) {
            Bytes cut = to_bytes(ByteView(row->quote).first(size));
            ASSERT_THAT(failures(cut, {}, row->time), ElementsAre("quote.syntax")) << size;
        }
        for (std::size_t whole :
             {row->quote.size() + 1, row->quote.size() + 70, std::size_t{8000}}) {
            Bytes padded = row->quote;
            padded.resize(whole);
            EXPECT_THAT(failures(padded, {}, row->time), ElementsAre("quote.syntax"));
        }
        for (std::size_t where : {at.auth_size, at.outer + 2, at.inner + 2}) {
            for (std::uint32_t size : {0xffffffffu, 0x80000000u, 5001u, 0u}) {
                Bytes quote = row->quote;
                put_u32(quote, where, size);
                EXPECT_THAT(failures(quote, {}, row->time), ElementsAre("quote.syntax"));
            }
        }
        for (unsigned type : {1u, 2u, 3u, 4u, 6u, 7u}) {  // 6: nested in 6
            Bytes quote = row->quote;
            quote[at.inner] = static_cast<std::byte>(type);
            EXPECT_THAT(failures(quote, {}, row->time), ElementsAre("quote.syntax")) << type;
        }
        Bytes sgx = row->quote;
        sgx[4] = std::byte{0};
        EXPECT_THAT(failures(sgx, {}, row->time), ElementsAre("quote.syntax"));
    }
}

TEST_F(TdxMutations, OriginalFilesWithTrailingBytesAreRefused) {
    for (const char* id : {"tdx4-oasis-trailing", "tdx4-gcp-cos113", "tdx4-dcaprs"}) {
        const Row& row = this->row(id);
        std::string original;
        for (const json::Value& file : row.data["files"]) {
            std::string name = file;
            if (name.find("/orig/") != std::string::npos) original = name;
        }
        ASSERT_FALSE(original.empty());
        Bytes bytes = testing::read_file(testing::corpus() / original);
        EXPECT_GT(bytes.size(), row.quote.size());
        EXPECT_THAT(failures(bytes, {}, row.time), ElementsAre("quote.syntax")) << id;
    }
}

TEST_F(TdxMutations, C07C08MixingTwoQuotes) {
    const Row& other = row("tdx5-dcapqvl-outdated");
    const Layout at(base());
    Bytes key_of_other = base().quote;
    put(key_of_other, 0, ByteView(other.quote).first(at.auth_size));
    put(key_of_other, at.auth, ByteView(other.quote).subspan(at.auth, 128));
    EXPECT_THAT(failures(key_of_other, {}, base().time), ElementsAre("qe.binding"));

    Bytes chain_of_other = to_bytes(ByteView(base().quote).first(at.chain));
    append(chain_of_other, ByteView(other.quote).subspan(Layout(other).chain));
    const auto size = static_cast<std::uint32_t>(chain_of_other.size());
    put_u32(chain_of_other, at.auth_size, size - static_cast<std::uint32_t>(at.auth));
    put_u32(chain_of_other, at.outer + 2, size - static_cast<std::uint32_t>(at.qe_report));
    put_u32(chain_of_other, at.inner + 2, size - static_cast<std::uint32_t>(at.chain));
    EXPECT_THAT(failures(chain_of_other, {}, other.time), ElementsAre("qe.report_signature"));
}

TEST_F(TdxMutations, C11TimeOutsideOfACertificate) {
    for (const char* time : {"2018-05-21T10:45:09Z", "2034-01-01T00:00:00Z"}) {
        EXPECT_THAT(failures(base().quote, {}, parse_rfc3339(time).value()),
                    ElementsAre("pck.validity"));
    }
}

TEST_F(TdxMutations, K01K02OneBitInAnyPieceOfCollateral) {
    auto expect = [&](auto alter, const char* id) {
        Endorsements altered = base().endorsements;
        alter(altered);
        EXPECT_THAT(collateral_failures(altered), Contains(id));
    };
    auto flip = [](std::byte& byte) { byte ^= std::byte{1}; };
    expect([&](Endorsements& e) { flip(e.tcb_info->body[900]); }, "tcb_info.signature");
    expect([&](Endorsements& e) { flip(e.tcb_info->signature[33]); }, "tcb_info.signature");
    expect([&](Endorsements& e) { flip(e.qe_identity->body[300]); }, "qe_identity.signature");
    expect([&](Endorsements& e) { flip((*e.pck_crl)[150]); }, "crl.pck");
    expect([&](Endorsements& e) { flip((*e.root_ca_crl)[80]); }, "crl.root");
    expect(
        [&](Endorsements& e) {
            e.tcb_info->body = to_bytes(json::compact(json::parse(e.tcb_info->body, {}).value()));
        },
        "tcb_info.signature");
}

TEST_F(TdxMutations, K03ToK07StaleSwappedAndOfOthers) {
    const Endorsements& good = base().endorsements;
    EXPECT_THAT(failures(base().quote, good, parse_rfc3339("2025-08-15T00:00:00Z").value()),
                UnorderedElementsAre("tcb_info.dates", "qe_identity.dates", "crl.pck"));
    // A second before the TCB info was issued.
    EXPECT_THAT(failures(base().quote, good, parse_rfc3339("2025-06-05T03:43:44Z").value()),
                Contains("tcb_info.dates"));
    Endorsements swapped = good;
    std::swap(swapped.root_ca_crl, swapped.pck_crl);
    EXPECT_THAT(collateral_failures(swapped), UnorderedElementsAre("crl.root", "crl.pck"));

    // Statements for SGX; the FMSPC differs as well.
    const Row& sgx = row("sgx-automata-evalnum17");
    Endorsements mixed = good;
    mixed.tcb_info = sgx.endorsements.tcb_info;
    EXPECT_THAT(collateral_failures(mixed), ElementsAre("tcb_info.platform"));
    mixed = good;
    mixed.qe_identity = sgx.endorsements.qe_identity;
    EXPECT_THAT(collateral_failures(mixed), UnorderedElementsAre("qe_identity.id", "qe.identity"));
    // And the reverse.
    mixed = sgx.endorsements;
    mixed.tcb_info = good.tcb_info;
    mixed.qe_identity = good.qe_identity;
    EXPECT_THAT(failures(sgx.quote, mixed, sgx.time),
                UnorderedElementsAre("tcb_info.platform", "qe_identity.id", "qe.identity"));
    // Of another platform model.
    mixed = good;
    mixed.tcb_info = row("tdx4-dcapqvl-sample").endorsements.tcb_info;
    EXPECT_THAT(collateral_failures(mixed), Contains("tcb_info.platform"));
}

/// K12: statements from before there were module identities, for a module of a later generation.
TEST_F(TdxMutations, K12ModuleIdentitiesAreMissing) {
    const Row& later = row("tdx4-teepot-tdx1");
    Endorsements mixed = later.endorsements;
    mixed.tcb_info = row("tdx4-goqpl").endorsements.tcb_info;
    EXPECT_THAT(failures(later.quote, mixed, later.time),
                UnorderedElementsAre("tcb_info.dates", "tdx_module.identity", "tdx_module.level"));
}

}  // namespace
}  // namespace eos::attestation::verify
