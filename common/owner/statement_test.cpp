// SPDX-License-Identifier: AGPL-3.0-only
#include "common/owner/statement.h"

#include <gtest/gtest.h>

#include <array>

#include "common/base/encoding.h"
#include "common/jose/jws.h"

namespace eos::owner {
namespace {

const crypto::P256PrivateKey kOwner = crypto::P256PrivateKey::generate();
const Audience kHere{Purpose::kRotateCa, {std::byte{1}}, {std::byte{2}}};
const json::Value kRequest = {{"step", "complete"}, {"ca_chain", "pem"}};

std::string_view code_of(const std::string& statement, const Audience& audience) {
    const Result<json::Value> request = verify(statement, audience, kOwner.public_key());
    return request ? "" : request.error().code().name;
}

TEST(OwnerStatement, SaysWhatTheOwnerSigned) {
    const auto request = verify(sign(kHere, kRequest, kOwner), kHere, kOwner.public_key());
    ASSERT_TRUE(request.has_value()) << request.error().message();
    EXPECT_EQ(*request, kRequest);
}

TEST(OwnerStatement, IsForOnePurposeOneInstanceAndOneChallenge) {
    const std::string statement = sign(kHere, kRequest, kOwner);
    for (const Purpose purpose : {Purpose::kProvision, Purpose::kConfirmTime}) {
        Audience other = kHere;
        other.purpose = purpose;
        EXPECT_EQ(code_of(statement, other), "wrong_statement");
    }
    Audience other = kHere;
    other.instance_id[15] = std::byte{1};
    EXPECT_EQ(code_of(statement, other), "wrong_statement");
    other = kHere;
    other.challenge[31] = std::byte{1};
    EXPECT_EQ(code_of(statement, other), "stale_statement");
}

TEST(OwnerStatement, NobodyElseSignsOrChangesOne) {
    EXPECT_EQ(code_of(sign(kHere, kRequest, crypto::P256PrivateKey::generate()), kHere),
              "wrong_statement");
    const std::string statement = sign(kHere, kRequest, kOwner);
    for (std::size_t at = 0; at < statement.size(); at += 7) {
        std::string changed = statement;
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        EXPECT_EQ(code_of(changed, kHere), "wrong_statement") << at;
    }
    EXPECT_EQ(code_of("", kHere), "wrong_statement");
    EXPECT_EQ(code_of(std::string(kMaxStatementBytes + 1, 'A'), kHere), "wrong_statement");
}

TEST(OwnerStatement, HasItsMembersAndNoOthers) {
    const json::Value whole = {
        {"aud", hex(kHere.instance_id)}, {"nonce", base64(kHere.challenge)}, {"request", kRequest}};
    const auto code = [](const json::Value& claims) {
        return code_of(jose::sign_es256(claims, "enclave-os-rotate-ca+jwt", kOwner), kHere);
    };
    EXPECT_EQ(code(whole), "");
    for (const char* member : {"aud", "nonce", "request"}) {
        json::Value without = whole;
        without.erase(member);
        EXPECT_EQ(code(without), "wrong_statement") << member;
    }
    json::Value more = whole;
    more["exp"] = 1;
    EXPECT_EQ(code(more), "wrong_statement");
}

TEST(OwnerStatement, ATokensProofIsOfOneTokenInstanceAndKey) {
    const ByteArray<16> token{std::byte{3}};
    const crypto::Digest32 key = kOwner.public_key().spki_hash();
    const std::array proofs = {token_proof(token, kHere.instance_id, key),
                               token_proof(ByteArray<16>{}, kHere.instance_id, key),
                               token_proof(token, ByteArray<16>{}, key),
                               token_proof(token, kHere.instance_id, {})};
    for (std::size_t i = 1; i < proofs.size(); ++i) EXPECT_NE(proofs[i], proofs[0]);
    // HMAC-SHA256 of the domain, 16 and 32 zero bytes under a key of 16 zero bytes, by OpenSSL.
    EXPECT_EQ(hex(token_proof(ByteArray<16>{}, ByteArray<16>{}, {})),
              "e039023c90cfc515f832785e8348c9f2ddeb8ff0d846964efc3c3e516f5fd4b3");
}

}  // namespace
}  // namespace eos::owner
