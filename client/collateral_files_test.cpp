// SPDX-License-Identifier: AGPL-3.0-only
// One synthetic Intel's collateral in every shape: what is read must be the same to the last byte.
#include "client/collateral_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/endorsements/collateral_containers.h"
#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/base/encoding.h"
#include "common/crypto/p256.h"
#include "common/json/json.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

using attestation::endorsements::Endorsements;
using attestation::endorsements::PieceKind;
using attestation::endorsements::SignedObject;
using attestation::testing::SyntheticIntel;
using ::testing::HasSubstr;

json::Value numbers(ByteView bytes) {
    json::Value out = json::Value::array();
    for (std::byte one : bytes) out.push_back(std::to_integer<unsigned>(one));
    return out;
}

class CollateralShapes : public ::testing::Test {
  protected:
    CollateralShapes() {
        // Whoever signs anew signs otherwise.
        all_.tcb_info->issuer_chain_pem = all_.qe_identity->issuer_chain_pem = signer_ + root_;
    }
    /// The object in use among verifiers.
    json::Value whole() const {
        json::Value out{{"root_ca_crl", hex(*all_.root_ca_crl)},
                        {"pck_crl", hex(*all_.pck_crl)},
                        {"pck_crl_issuer_chain", ca_ + root_}};
        add("tcb_info", *all_.tcb_info, out);
        add("qe_identity", *all_.qe_identity, out);
        return out;
    }
    static void add(const std::string& name, const SignedObject& statement, json::Value& out) {
        out[name] = to_string(statement.body);
        out[name + "_signature"] = hex(statement.signature);
        out[name + "_issuer_chain"] = statement.issuer_chain_pem;
    }
    std::string answer(std::string_view signature) const {
        return R"({"tcbInfo":)" + to_string(all_.tcb_info->body) + R"(,"signature":)" +
               std::string(signature) + "}";
    }
    void expect_same(const SignedObject& found, const SignedObject& wanted) const {
        EXPECT_EQ(to_string(found.body), to_string(wanted.body));
        EXPECT_EQ(found.signature, wanted.signature);
        EXPECT_EQ(found.issuer_chain_pem, wanted.issuer_chain_pem);
    }
    void expect_text(const std::string& text) const {
        const Result<Endorsements> found = read_collateral(as_bytes(text));
        ASSERT_TRUE(found.has_value()) << found.error().message() << text.substr(0, 200);
        EXPECT_EQ(found->root_ca_crl, all_.root_ca_crl);
        EXPECT_EQ(found->pck_crl, all_.pck_crl);
        EXPECT_EQ(found->pck_crl_issuer_chain_pem, ca_ + root_);
        expect_same(found->tcb_info.value(), *all_.tcb_info);
        expect_same(found->qe_identity.value(), *all_.qe_identity);
    }
    void expect_whole(const json::Value& object) const { expect_text(json::compact(object)); }
    Code refusal(const json::Value& object) const {
        return read_collateral(as_bytes(json::compact(object))).error().code();
    }

    SyntheticIntel intel_;
    std::string ca_ = attestation::testing::pem(intel_.ca());
    std::string root_ = attestation::testing::pem(intel_.root());
    std::string signer_ = attestation::testing::pem(intel_.signer());
    Endorsements all_ = intel_.endorsements();
};

TEST_F(CollateralShapes, BytesMayBeNumbersAndSignaturesBase64OrDer) {
    expect_whole(whole());
    const Bytes der = crypto::raw_signature_to_der(all_.tcb_info->signature);
    for (const json::Value& signature :
         {json::Value(base64(all_.tcb_info->signature)), json::Value(base64(der)),
          json::Value(base64url(all_.tcb_info->signature)), json::Value("0x" + hex(der)),
          numbers(all_.tcb_info->signature), numbers(der)}) {
        json::Value object = whole();
        object["tcb_info_signature"] = signature;
        expect_whole(object);
    }
    json::Value object = whole();
    object["root_ca_crl"] = numbers(*all_.root_ca_crl);
    object["qe_identity"] = numbers(all_.qe_identity->body);
    object["version"] = 3;
    object["fmspc"] = "00906ed50000";
    expect_whole(object);
    object["root_ca_crl"] = json::Value::array({48, 256});
    EXPECT_EQ(refusal(object), json::out_of_range);
    object = whole();
    object["tcb_info_signature"] = numbers(Bytes(63));
    EXPECT_EQ(refusal(object), crypto::bad_signature);
    object = whole();
    object["other"] = 1;
    EXPECT_EQ(refusal(object), json::unknown_member);
}

TEST_F(CollateralShapes, AStatementAsAnObjectKeepsItsBytes) {
    json::Value object = whole();
    object.erase("tcb_info");
    std::string text = json::compact(object);
    text.back() = ',';
    // What looks like it stands in a text, and in an object below.
    text +=
        R"("amd_certificates":null,"timestamp":["\"tcb_info\":{}",{"tcb_info":{}}], "tcb_info" : )";
    expect_text(text + to_string(all_.tcb_info->body) + "}");
    object.erase("tcb_info_signature");
    text = json::compact(object);
    text.back() = ',';
    expect_text(text + R"("tcb_info":)" + answer("\"" + hex(all_.tcb_info->signature) + "\"") +
                "}");
    json::Value in_text = object;
    in_text["tcb_info"] = answer("\"" + base64(all_.tcb_info->signature) + "\"");
    expect_whole(in_text);
    expect_whole(json::Value{{"quote", "00"}, {"collateral", whole()}});
    // Nobody signed it as another program writes it.
    object = whole();
    object["tcb_info"] = json::parse(all_.tcb_info->body, {}).value();
    object["tcb_info"]["version"] = 2;
    const auto found = read_collateral(as_bytes(json::compact(object)));
    EXPECT_NE(found.value().tcb_info->body, all_.tcb_info->body);
    object = whole();
    object["tcb_info"] = json::parse(all_.tcb_info->body, {}).value();
    object.erase("tcb_info_signature");
    EXPECT_EQ(refusal(object), json::missing_member);
}

TEST_F(CollateralShapes, ChainsMayBeListsAndTheRootMayStandFirst) {
    json::Value object = whole();
    object["tcb_info_issuer_chain"] = root_ + signer_;
    object["pck_crl_issuer_chain"] = root_ + ca_;
    expect_whole(object);
    object["qe_identity_issuer_chain"] = json::Value::array({signer_, root_});
    expect_whole(object);
    object["qe_identity_issuer_chain"] = json::Value::array({root_, signer_});
    expect_whole(object);
    EXPECT_EQ(leaf_first(root_), root_);
    EXPECT_EQ(leaf_first(signer_ + ca_), signer_ + ca_);
    EXPECT_EQ(leaf_first(root_ + root_), root_ + root_);
    EXPECT_EQ(leaf_first("no chain"), "no chain");
}

TEST_F(CollateralShapes, ARevocationListIsEnough) {
    const auto place = [](ByteView file) {
        const Result<Endorsements> found = read_collateral(file);
        return found && found->pck_crl && !found->root_ca_crl && !found->tcb_info;
    };
    const Bytes& list = *all_.pck_crl;
    const std::string pem = x509::encode_pem("X509 CRL", list);
    for (const Bytes& file : {list, to_bytes(hex(list)), to_bytes(base64(list)), to_bytes(pem)}) {
        EXPECT_TRUE(place(file));
        EXPECT_EQ(read_collateral(file).value().pck_crl, all_.pck_crl);
    }
    const json::Value object{{"crl", pem}, {"ca_chain", {root_, ca_}}, {"fmspc", "00"}};
    const Endorsements found = read_collateral(as_bytes(json::compact(object))).value();
    EXPECT_EQ(found.pck_crl, all_.pck_crl);
    EXPECT_EQ(found.pck_crl_issuer_chain_pem, ca_ + root_);
    EXPECT_FALSE(read_collateral(intel_.ca().der()).has_value());
    intel_.root_recipe.cn = "A Root CA";
    EXPECT_TRUE(read_collateral(intel_.root_crl()).value().root_ca_crl.has_value());
}

TEST_F(CollateralShapes, AStatementMayCarryItsPlatform) {
    json::Value object{{"raw_tcb_info", to_string(all_.tcb_info->body)},
                       {"signature", base64(all_.tcb_info->signature)},
                       {"ca_chain", {root_, signer_}},
                       {"fmspc", "00906ed50000"}};
    const auto read = [&] { return read_collateral(as_bytes(json::compact(object))); };
    ASSERT_TRUE(read().has_value()) << read().error().message();
    expect_same(read()->tcb_info.value(), *all_.tcb_info);
    object["signature"] = numbers(all_.tcb_info->signature);
    expect_same(read()->tcb_info.value(), *all_.tcb_info);
    object.erase("ca_chain");
    EXPECT_EQ(read().error().code(), json::missing_member);
}

TEST_F(CollateralShapes, PckCertificatesBecomePieces) {
    const std::string pck = attestation::testing::pem(intel_.pck());
    json::Value object{{"pck_data", {{{"cert", pck}, {"tcbm", "00"}}, {{"cert", "Not available"}}}},
                       {"ca_chain", {ca_, root_}},
                       {"fmspc", "00"}};
    const auto read = [&] { return read_collateral(as_bytes(json::compact(object))); };
    ASSERT_TRUE(read().has_value()) << read().error().message();
    ASSERT_EQ(read()->pieces.size(), 1u);
    const auto piece = read()->pieces.front();
    EXPECT_EQ(piece.kind, PieceKind::intel_pck);
    EXPECT_EQ(x509::encode_pem("CERTIFICATE", piece.content), pck);
    EXPECT_EQ(piece.issuer_chain_pem, ca_ + root_);
    object["pck_data"] = {{{"tcbm", "00"}}};
    EXPECT_EQ(read().error().code(), json::missing_member);
    object = {{"cert", pck}, {"ca_chain", {root_, ca_}}};
    EXPECT_EQ(read()->pieces.front().issuer_chain_pem, ca_ + root_);
}

TEST_F(CollateralShapes, SeveralFilesAreOneCollateral) {
    CollateralSet set;
    const auto add = [&](const std::string& file) {
        const Result<void> added = set.add(as_bytes(file));
        EXPECT_TRUE(added.has_value()) << added.error().message();
    };
    add(answer(json::compact(numbers(all_.tcb_info->signature))));
    add(root_ + signer_);
    add(x509::encode_pem("X509 CRL", *all_.pck_crl));
    json::Value more = whole();
    for (const char* name : {"tcb_info", "pck_crl"}) more.erase(name);
    add(json::compact(more));
    const Endorsements found = set.finish().value();
    expect_same(found.tcb_info.value(), *all_.tcb_info);
    expect_same(found.qe_identity.value(), *all_.qe_identity);
    EXPECT_EQ(found.pck_crl, all_.pck_crl);
    EXPECT_EQ(found.root_ca_crl, all_.root_ca_crl);
    CollateralSet bare;
    EXPECT_TRUE(
        bare.add(as_bytes(answer("\"" + hex(all_.tcb_info->signature) + "\""))).has_value());
    EXPECT_THAT(bare.finish().error().message(), HasSubstr("TCB-Info-Issuer-Chain"));
    EXPECT_FALSE(bare.add(as_bytes(std::string("{\"x\":1}"))).has_value());
}

}  // namespace
}  // namespace eos::client
