// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/owner_api.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace eos::runtime {
namespace {

const std::string kNonce = base64(ByteArray<32>{std::byte{7}});

Result<CaStep> parse(json::Value value, CaChange change, KeyImport import = KeyImport::kTaken) {
    return parse_ca_step(value, change, import);
}

std::string_view code_of(const Result<CaStep>& outcome) {
    return outcome ? "" : outcome.error().code().name;
}

TEST(CaStep, EachStepHasItsOwnMembers) {
    const json::Value request = {
        {"step", "request-csr"}, {"token", "t"}, {"platform_name", "p"}, {"nonce", kNonce}};
    Result<CaStep> first = parse(request, CaChange::kProvision);
    ASSERT_TRUE(first.has_value()) << first.error().message();
    EXPECT_EQ(first->kind, CaStep::Kind::kRequest);
    EXPECT_EQ(first->platform_name, "p");
    EXPECT_EQ(first->nonce[0], std::byte{7});
    EXPECT_EQ(code_of(parse(request, CaChange::kRotate)), "unknown_member");
    for (const char* member : {"step", "token", "platform_name", "nonce"}) {
        json::Value without = request;
        without.erase(member);
        EXPECT_EQ(code_of(parse(without, CaChange::kProvision)), "missing_member") << member;
    }
    json::Value short_nonce = request;
    short_nonce["nonce"] = base64(ByteArray<16>{});
    EXPECT_EQ(code_of(parse(short_nonce, CaChange::kProvision)), "bad_encoding");

    const json::Value complete = {{"step", "complete"}, {"ca_chain", "pem"}};
    Result<CaStep> second = parse(complete, CaChange::kRotate);
    ASSERT_TRUE(second.has_value());
    EXPECT_EQ(second->ca_chain, "pem");
    EXPECT_EQ(code_of(parse(complete, CaChange::kProvision)), "missing_member");
    EXPECT_EQ(code_of(parse({{"step", "both"}}, CaChange::kRotate)), "unknown_step");
}

TEST(CaStep, AKeyMadeOutsideIsTakenWhereThatIsSaidAndOnce) {
    const json::Value import = {{"step", "import"},
                                {"token", "t"},
                                {"platform_name", "p"},
                                {"ca_chain", "c"},
                                {"ca_key", base64(ByteArray<3>{})},
                                {"accept_imported_key", true}};
    Result<CaStep> taken = parse(import, CaChange::kProvision);
    ASSERT_TRUE(taken.has_value()) << taken.error().message();
    EXPECT_TRUE(taken->accept_imported_key);
    EXPECT_EQ(taken->ca_key.size(), 3u);
    json::Value not_said = import;
    not_said["accept_imported_key"] = "yes";
    EXPECT_FALSE(parse(not_said, CaChange::kProvision)->accept_imported_key);
    EXPECT_EQ(code_of(parse(import, CaChange::kProvision, KeyImport::kRefused)), "unknown_step");
    EXPECT_EQ(code_of(parse(import, CaChange::kRotate)), "unknown_step");
}

TEST(OwnerApi, TheOwnerIsWhoeverHoldsTheOwnersKey) {
    const crypto::Digest32 owner{std::byte{1}}, other{std::byte{2}};
    auto decide = [&](std::optional<crypto::Digest32> key, const crypto::Digest32* owned_by) {
        ConnectionInfo connection;
        connection.client_key_hash = key;
        return decide_for_owner(Access::kOwner, connection, owned_by);
    };
    EXPECT_EQ(decide(owner, &owner), Permission::kGranted);
    EXPECT_EQ(decide(other, &owner), Permission::kRefused);
    EXPECT_EQ(decide(owner, nullptr), Permission::kRefused);
    EXPECT_EQ(decide({}, &owner), Permission::kUnknownCaller);
    EXPECT_EQ(decide_for_owner(Access::kAnyone, {}, nullptr), Permission::kGranted);
}

TEST(OwnerApi, TheTimeIsOneInstant) {
    EXPECT_EQ(parse_time_confirmation({{"time", "2026-09-04T10:15:30Z"}}).value(),
              parse_rfc3339("2026-09-04T10:15:30Z").value());
    EXPECT_FALSE(parse_time_confirmation({{"time", "now"}}).has_value());
    EXPECT_FALSE(parse_time_confirmation({{"time", 5}}).has_value());
    EXPECT_FALSE(parse_time_confirmation(json::Value::array()).has_value());
    EXPECT_FALSE(
        parse_time_confirmation({{"time", "2026-09-04T10:15:30Z"}, {"zone", "Z"}}).has_value());
}

}  // namespace
}  // namespace eos::runtime
