// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/collateral_containers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/endorsements/amd_certificates.h"
#include "common/attestation/verify/bundle_checks.h"
#include "common/attestation/verify/corpus_test.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/p256.h"
#include "common/x509/pem.h"

namespace eos::attestation::endorsements {
namespace {

using testing::Row;
using testing::SyntheticIntel;

std::string answer(std::string_view member, const SignedObject& object) {
    return "{\"" + std::string(member) + "\":" + to_string(object.body) + ",\"signature\":\"" +
           hex(object.signature) + "\"}";
}

/// The texts of a complete set, as a container has them.
struct Texts {
    std::string root_crl, pck_crl, pck_chain, tcb_info, tcb_chain, qe_identity, qe_chain;
};

Texts texts_of(const Endorsements& all) {
    return {.root_crl = hex(*all.root_ca_crl),
            .pck_crl = x509::encode_pem("X509 CRL", *all.pck_crl),
            .pck_chain = "PCK CA, root",
            .tcb_info = answer("tcbInfo", *all.tcb_info),
            .tcb_chain = all.tcb_info->issuer_chain_pem,
            .qe_identity = answer("enclaveIdentity", *all.qe_identity),
            .qe_chain = all.qe_identity->issuer_chain_pem};
}

Bytes quote_library(const Texts& t) {
    Writer head, data;
    head.u32le(4).u32le(0x81);
    for (const std::string* text : {&t.pck_chain, &t.root_crl, &t.pck_crl, &t.tcb_chain,
                                    &t.tcb_info, &t.qe_chain, &t.qe_identity}) {
        head.u64le(0x7fff12345678).u32le(static_cast<std::uint32_t>(text->size() + 1)).zeros(4);
        data.text(*text).zeros(1);
    }
    return concat({head.view(), data.view()});
}

Bytes oe_endorsements(const Texts& t) {
    const std::string version("\1\0\0\0", 4);
    const std::string fetched = "2026-05-28T00:00:00Z";
    Writer offsets, data;
    for (const std::string* text : {&version, &t.tcb_info, &t.tcb_chain, &t.pck_crl, &t.root_crl,
                                    &t.pck_chain, &t.qe_identity, &t.qe_chain, &fetched}) {
        offsets.u32le(static_cast<std::uint32_t>(data.size()));
        data.text(*text).zeros(text == &version ? 0 : 1);
    }
    Writer out;
    out.u32le(1).u32le(2).u32le(static_cast<std::uint32_t>(offsets.size() + data.size())).u32le(9);
    out.bytes(offsets.view()).bytes(data.view());
    return std::move(out).take();
}

void expect_same(const Endorsements& found, const Endorsements& expected) {
    EXPECT_EQ(found.root_ca_crl, expected.root_ca_crl);
    EXPECT_EQ(found.pck_crl, expected.pck_crl);
    EXPECT_EQ(found.pck_crl_issuer_chain_pem, "PCK CA, root");
    EXPECT_EQ(found.tcb_info->body, expected.tcb_info->body);
    EXPECT_EQ(found.tcb_info->signature, expected.tcb_info->signature);
    EXPECT_EQ(found.tcb_info->issuer_chain_pem, expected.tcb_info->issuer_chain_pem);
    EXPECT_EQ(found.qe_identity->body, expected.qe_identity->body);
    EXPECT_EQ(found.qe_identity->issuer_chain_pem, expected.qe_identity->issuer_chain_pem);
}

TEST(Containers, BothShapesGiveTheSamePieces) {
    const Endorsements all = SyntheticIntel().endorsements();
    for (const Bytes& bytes : {quote_library(texts_of(all)), oe_endorsements(texts_of(all))}) {
        Result<Endorsements> found = parse_endorsements(bytes);
        ASSERT_TRUE(found.has_value()) << found.error().message();
        expect_same(*found, all);
    }
}

TEST(Containers, EveryTruncationAndExtensionFails) {
    const Endorsements all = SyntheticIntel().endorsements();
    const Bytes library = quote_library(texts_of(all));
    const Bytes oe = oe_endorsements(texts_of(all));
    for (std::size_t size = 0; size < library.size(); size += size < 130 ? 1 : 41) {
        EXPECT_FALSE(parse_quote_library_collateral(ByteView(library).first(size)).has_value());
    }
    for (std::size_t size = 0; size < oe.size(); size += size < 60 ? 1 : 41)
        EXPECT_FALSE(parse_oe_endorsements(ByteView(oe).first(size)).has_value());
    for (Bytes bytes : {library, oe}) {
        bytes.push_back(std::byte{0});
        EXPECT_FALSE(parse_endorsements(bytes).has_value());
    }
}

TEST(Containers, OffsetsAndSizesOutOfRangeFail) {
    const Endorsements all = SyntheticIntel().endorsements();
    auto with = [](Bytes bytes, std::size_t at, std::uint32_t value) {
        for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<std::byte>(value >> 8 * i);
        return bytes;
    };
    const Bytes oe = oe_endorsements(texts_of(all));
    for (std::uint32_t value : {0xffffffffu, 0x80000000u, 7u}) {
        for (std::size_t at : {8u, 12u, 16u, 20u, 24u, 48u}) {
            EXPECT_FALSE(parse_oe_endorsements(with(oe, at, value)).has_value()) << at;
        }
    }
    const Bytes library = quote_library(texts_of(all));
    for (std::uint32_t value : {0xffffffffu, 0x80000000u, 0u}) {
        for (std::size_t i = 0; i < 7; ++i) {
            Bytes altered = with(library, 8 + 16 * i + 8, value);
            EXPECT_FALSE(parse_quote_library_collateral(altered).has_value()) << i;
        }
    }
    EXPECT_EQ(parse_quote_library_collateral(with(library, 0, 2)).error().code(), bad_container);
}

TEST(SignedAnswer, TheExactBytesAreKept) {
    const std::string signature(128, 'a');
    const std::string inner = "{ \"a\" : \"}{\\\"\", \"b\":[1 ,{}]}";
    for (const std::string& text :
         {"{\"tcbInfo\":" + inner + ",\"signature\":\"" + signature + "\"}",
          "{\"signature\" : \"" + signature + "\",\n \"enclaveIdentity\" :  " + inner + " }"}) {
        Result<SignedObject> object = parse_signed_answer(as_bytes(text), "chain");
        ASSERT_TRUE(object.has_value()) << object.error().message();
        EXPECT_EQ(to_string(object->body), inner);
        EXPECT_EQ(object->issuer_chain_pem, "chain");
    }
}

TEST(SignedAnswer, TwinsFail) {
    const std::string signature = "\"signature\":\"" + std::string(128, 'a') + "\"";
    for (const std::string& text : {
             "{" + signature + "}",
             "{\"tcbInfo\":{},\"enclaveIdentity\":{}," + signature + "}",
             "{\"tcbInfo\":{},\"tcbInfo\":{}," + signature + "}",
             "{\"tcbInfo\":{},\"more\":1," + signature + "}",
             "{\"tcbInfo\":[]," + signature + "}",
             "{\"tcbInfo\":\"{}\"," + signature + "}",
             std::string("{\"tcbInfo\":{},\"signature\":\"aa\"}"),
             std::string("{\"tcbInfo\":{}}"),
             "{\"tcbInfo\":{}," + signature + "} x",
         }) {
        EXPECT_FALSE(parse_signed_answer(as_bytes(text), {}).has_value()) << text;
    }
}

TEST(CrlText, EveryForm) {
    const Bytes der = SyntheticIntel().root_crl();
    const std::string digits = hex(der);
    const std::string armour = x509::encode_pem("X509 CRL", der);
    Bytes with_nul = der;
    with_nul.push_back(std::byte{0});
    EXPECT_EQ(parse_crl_text(der).value(), der);
    EXPECT_EQ(parse_crl_text(with_nul).value(), der);
    EXPECT_EQ(parse_crl_text(as_bytes(digits)).value(), der);
    EXPECT_EQ(parse_crl_text(as_bytes(digits + '\0')).value(), der);
    EXPECT_EQ(parse_crl_text(as_bytes(digits + "\n")).value(), der);
    EXPECT_EQ(parse_crl_text(as_bytes(armour)).value(), der);
    EXPECT_EQ(parse_crl_text(as_bytes("0x" + digits)).value(), der);
    EXPECT_EQ(parse_crl_text(as_bytes(base64(der) + "\r\n")).value(), der);
    EXPECT_EQ(parse_crl_text(as_bytes(hex(as_bytes(armour)))).value(), der);
    EXPECT_EQ(parse_crl_text(as_bytes(hex(as_bytes(digits)))).value(), der);
    EXPECT_EQ(parse_crl_text(as_bytes(hex(with_nul))).value(), der);
    EXPECT_FALSE(parse_crl_text(as_bytes(hex(as_bytes(hex(as_bytes(digits)))))).value() == der);
    for (std::string_view bad :
         {"", "x", "308", "0x", "0x308", "0x0x3000", "MIIB=", "-----BEGIN X509 CRL-----\n"})
        EXPECT_FALSE(parse_crl_text(as_bytes(bad)).has_value()) << bad;
}

std::string percent_encoded(std::string_view text) {
    std::string out;
    for (char c : text) {
        const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-';
        out += is_plain ? std::string(1, c) : "%" + hex(as_bytes(std::string_view(&c, 1)));
    }
    return out;
}

TEST(ChainText, ComesAsPemOrAsAHeader) {
    const std::string chain = SyntheticIntel().endorsements().tcb_info->issuer_chain_pem;
    EXPECT_EQ(parse_chain_text(chain).value(), chain);
    EXPECT_EQ(parse_chain_text(percent_encoded(chain)).value(), chain);
    for (std::string_view bad : {"-----BEGIN%20%", "-----BEGIN%20%4", "-----BEGIN%20%xy"})
        EXPECT_EQ(parse_chain_text(std::string(bad)).error().code(), bad_encoding) << bad;
}

json::Value statement_file(const char* member, const SignedObject& object) {
    json::Value signature = json::Value::array();
    for (std::byte b : crypto::raw_signature_to_der(object.signature))
        signature.push_back(std::to_integer<int>(b));
    auto chain = x509::parse_pem_certificates(object.issuer_chain_pem).value();
    return {{member, to_string(object.body)},
            {"signature", signature},
            {"ca_chain", {testing::pem(chain[0]), testing::pem(chain[1])}}};
}

Result<Endorsements> parse(const json::Value& value) {
    return parse_endorsements(as_bytes(json::compact(value)));
}

Code code_of(const json::Value& value) {
    Result<Endorsements> out = parse(value);
    return out.has_value() ? Code{} : out.error().code();
}

TEST(SavedAnswers, GiveWhatTheyHold) {
    const Endorsements all = SyntheticIntel().endorsements();
    const std::string chain = all.tcb_info->issuer_chain_pem;
    const std::string tcb_info = answer("tcbInfo", *all.tcb_info);
    const json::Value saved{{"tcb_info_json", tcb_info}, {"issuer_chain", percent_encoded(chain)}};
    Endorsements found = parse(saved).value();
    EXPECT_EQ(found.tcb_info->body, all.tcb_info->body);
    EXPECT_EQ(found.tcb_info->signature, all.tcb_info->signature);
    EXPECT_EQ(found.tcb_info->issuer_chain_pem, chain);
    EXPECT_FALSE(found.qe_identity.has_value());
    found = parse({{"enclave_identity_json", answer("enclaveIdentity", *all.qe_identity)},
                   {"issuer_chain", chain}})
                .value();
    EXPECT_EQ(found.qe_identity->body, all.qe_identity->body);
    EXPECT_FALSE(found.tcb_info.has_value());
    for (const json::Value& list :
         {json::Value{{"crl_data", x509::encode_pem("X509 CRL", *all.pck_crl)},
                      {"issuer_chain", "PEM"}},
          json::Value{{"crl_data_base64", base64(*all.pck_crl)}, {"issuer_chain", "PEM"}}}) {
        found = parse(list).value();
        EXPECT_EQ(found.pck_crl, all.pck_crl);
        EXPECT_EQ(found.pck_crl_issuer_chain_pem, "PEM");
    }

    json::Value bad = saved;
    bad.erase("issuer_chain");
    EXPECT_EQ(code_of(bad), json::missing_member);
    bad = saved;
    bad["crl_data"] = "3000";  // two answers
    EXPECT_EQ(code_of(bad), json::unknown_member);
    bad = saved;
    bad["tcb_info_json"] = to_string(all.tcb_info->body);  // without its signature
    EXPECT_EQ(code_of(bad), bad_container);
    bad = saved;
    bad["tcb_info_json"] = json::Value::object();
    EXPECT_EQ(code_of(bad), json::wrong_type);
}

TEST(SavedAnswers, WithoutTheChainTheHeaderIsNamed) {
    const Endorsements all = SyntheticIntel().endorsements();
    Result<Endorsements> out = parse_endorsements(as_bytes(answer("tcbInfo", *all.tcb_info)));
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code(), bad_container);
    EXPECT_THAT(out.error().message(), ::testing::HasSubstr("header TCB-Info-Issuer-Chain"));
    out = parse_endorsements(as_bytes(answer("enclaveIdentity", *all.qe_identity)));
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code(), bad_container);
    EXPECT_THAT(out.error().message(),
                ::testing::HasSubstr("header SGX-Enclave-Identity-Issuer-Chain"));
}

TEST(StatementFiles, GiveTheStatementThatTheyHold) {
    SyntheticIntel intel;
    const Endorsements all = intel.endorsements();
    Result<Endorsements> info = parse(statement_file("raw_tcb_info", *all.tcb_info));
    ASSERT_TRUE(info.has_value()) << info.error().message();
    EXPECT_EQ(info->tcb_info->body, all.tcb_info->body);
    EXPECT_EQ(info->tcb_info->signature, all.tcb_info->signature);
    EXPECT_FALSE(info->qe_identity.has_value());
    Result<Endorsements> identity = parse(statement_file("raw_enclave_identity", *all.qe_identity));
    ASSERT_TRUE(identity.has_value()) << identity.error().message();
    Endorsements both = all;
    both.tcb_info = info->tcb_info;
    both.qe_identity = identity->qe_identity;
    auto verification = verify::verify_quote(intel.quote(), both, intel.roots(), testing::kNow);
    EXPECT_NE(verification.evidence(), nullptr) << render_text(verification.tree());
}

TEST(StatementFiles, AreReadStrictly) {
    SyntheticIntel intel;
    const json::Value good = statement_file("raw_tcb_info", *intel.endorsements().tcb_info);
    ASSERT_TRUE(parse(good).has_value());
    auto refused = [&](auto alter) {
        json::Value bad = good;
        alter(bad);
        return !parse(bad).has_value();
    };
    EXPECT_TRUE(refused([](json::Value& v) { v["raw_enclave_identity"] = "{}"; }));
    EXPECT_TRUE(refused([](json::Value& v) { v["more"] = 1; }));
    EXPECT_TRUE(refused([](json::Value& v) { v.erase("signature"); }));
    EXPECT_TRUE(refused([](json::Value& v) { v["signature"] = json::Value::array(); }));
    EXPECT_TRUE(refused([](json::Value& v) { v["signature"][0] = 256; }));
    EXPECT_TRUE(refused([](json::Value& v) { v["signature"][0] = -48; }));
    EXPECT_TRUE(refused([](json::Value& v) { v["signature"][1] = 1; }));
    EXPECT_TRUE(refused([](json::Value& v) { v["signature"].push_back(0); }));
    EXPECT_TRUE(refused([](json::Value& v) { v["signature"] = "3046"; }));
    EXPECT_TRUE(refused([](json::Value& v) { v.erase("ca_chain"); }));
    EXPECT_TRUE(refused([](json::Value& v) { v["ca_chain"] = json::Value::array(); }));
    EXPECT_TRUE(refused([](json::Value& v) { v["ca_chain"][1] = 7; }));
    EXPECT_TRUE(refused([](json::Value& v) { v["raw_tcb_info"] = json::Value::object(); }));
}

// --- real containers ---

using RealContainers = testing::Corpus;

TEST_F(RealContainers, TheQuoteLibrarysStructureGivesTheRowsVerdict) {
    const Row& row = this->row("tdx5-oe-outofdate");
    const Bytes bytes = testing::read_file(testing::corpus() /
                                           "openenclave/orig/tdx_quote_v5_endorsement_eval21.bin");
    Result<Endorsements> found = parse_endorsements(bytes);
    ASSERT_TRUE(found.has_value()) << found.error().message();
    auto verdict = [&](const Endorsements& given) {
        return render_text(
            verify::verify_quote(row.quote, given, verify::Roots::intel(), row.time).tree());
    };
    EXPECT_EQ(verdict(*found), verdict(row.endorsements));
}

// Each is Intel's, at a time within its dates; files without signature are refused.
TEST_F(RealContainers, StatementFilesLeadToIntelsRoot) {
    const auto folder = testing::corpus() / "rust-sgx/collateral-only";
    std::size_t genuine = 0;
    for (const char* name : {"00606a000000-17.tcb", "00606a000000-18.tcb", "00606a000000-19.tcb",
                             "qe3_identity-17.id", "qe3_identity-18.id", "qe3_identity-19.id"}) {
        Result<Endorsements> found = parse_endorsements(testing::read_file(folder / name));
        ASSERT_TRUE(found.has_value()) << name << ": " << found.error().message();
        Result<std::vector<Piece>> made = to_pieces(*found, UnixTime{}, name);
        ASSERT_TRUE(made.has_value()) << name << ": " << made.error().message();
        const std::vector<Piece>& pieces = *made;
        ASSERT_EQ(pieces.size(), 1u);
        const UnixTime time = dates_of(pieces[0])->issued + 1;
        const verify::Check tree = verify::check_pieces(pieces, verify::Roots::intel(), {time});
        EXPECT_EQ(tree.verdict, verify::Verdict::pass) << name << "\n" << render_text(tree);
        ++genuine;
    }
    EXPECT_EQ(genuine, 6u);
    for (const char* name : {"00606a000000-8.tcb", "tcb_evaluation_data_numbers.numbers"})
        EXPECT_FALSE(parse_endorsements(testing::read_file(folder / name)).has_value()) << name;
}

TEST_F(RealContainers, OpenEnclavesEndorsementsGiveTheRowsVerdict) {
    const Row& row = this->row("sgx-oe-evidence-debug");
    const Bytes file = testing::read_file(testing::corpus() / "openenclave/orig/endorsements");
    EXPECT_FALSE(parse_endorsements(file).has_value());  // the file begins with two comment lines
    const std::size_t second_line = to_string(file).find('\n') + 1;
    const std::size_t begin = to_string(file).find('\n', second_line) + 1;
    Result<Endorsements> found = parse_endorsements(ByteView(file).subspan(begin));
    ASSERT_TRUE(found.has_value()) << found.error().message();
    verify::Verification verification =
        verify::verify_quote(row.quote, *found, verify::Roots::intel(), row.time);
    ASSERT_NE(verification.evidence(), nullptr) << render_text(verification.tree());
    EXPECT_EQ(tcb_status_name(verification.evidence()->tcb()->status), row.text("verdict"));
}

TEST(AmdCertificates, AreTakenAsTheServiceGivesThem) {
    const x509::Certificate& ca = amd_issuers().front().certificate;
    const std::string pem = x509::encode_pem("CERTIFICATE", ca.der());
    for (const Bytes& file : {to_bytes(ca.der()), to_bytes(pem)}) {
        const Result<Endorsements> found = parse_endorsements(file);
        ASSERT_TRUE(found.has_value()) << found.error().message();
        EXPECT_THAT(found->amd.certificates, ::testing::ElementsAre(file));
        EXPECT_EQ(to_pieces(*found, UnixTime{}, "test")->size(), 1u);
    }
}

TEST(AmdCertificates, NothingElseIsTakenForOne) {
    const Bytes ca = to_bytes(amd_issuers().front().certificate.der());
    EXPECT_FALSE(parse_endorsements(ByteView(ca).first(ca.size() - 1)).has_value());
    Bytes longer = ca;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(parse_endorsements(longer).has_value());
    const SyntheticIntel intel;
    EXPECT_FALSE(parse_endorsements(intel.pck().der()).has_value());
    EXPECT_FALSE(parse_endorsements(intel.ca().der()).has_value());
}

}  // namespace
}  // namespace eos::attestation::endorsements
