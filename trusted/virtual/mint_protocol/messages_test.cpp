// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/mint_protocol/messages.h"

#include <gtest/gtest.h>

#include "common/base/codec.h"
#include "common/oid/registry.h"
#include "trusted/runtime/provisioning.h"

namespace eos::cvm {
namespace {

template <std::size_t N>
ByteArray<N> filled(int value) {
    ByteArray<N> out;
    out.fill(static_cast<std::byte>(value));
    return out;
}

std::vector<MintRequest> requests() {
    DraftLeaf plain{"a.test", 3, ratls::LeafScheme::kV2, filled<91>(1), std::nullopt};
    DraftLeaf challenged = plain;
    challenged.scheme = ratls::LeafScheme::kV1;
    challenged.challenge = Challenge{Bytes(32, std::byte{7}), filled<32>(8), filled<16>(9)};
    return {Hello{},
            AskChallenge{},
            OwnerRequest{owner::Purpose::kRotateCa, filled<91>(3), "a.b.c"},
            Reload{},
            Attest{filled<91>(4)},
            plain,
            challenged,
            SignLeaf{77, Bytes(70, std::byte{1})},
            AttestChannel{filled<91>(5), {filled<32>(6), filled<32>(7)}, filled<16>(8)},
            ReadTree{config_tree::Scope::Kind::kWorkload, "shop"}};
}

State state() {
    State out;
    out.is_owned = true;
    out.instance = {filled<16>(1), filled<16>(2), 9};
    out.policy_root = filled<32>(3);
    out.owner_key_hash = filled<32>(4);
    out.ca_not_after = 1'800'000'000;
    out.assurance = "debug";
    out.tee = "tdx";
    out.time_trust = "unconfirmed";
    out.version = "v";
    out.config = "{}";
    out.policy_log = "[]";
    out.chain = {Bytes(10, std::byte{5})};
    runtime::ServedName name;
    name.name = "shop.test";
    name.kind = runtime::NameKind::kApp;
    name.app = "shop";
    name.values = {{oid::kWorkloadConfigRoot, Bytes(32, std::byte{6})}};
    out.names = {name};
    return out;
}

std::vector<MintReply> replies() {
    return {state(),
            Done{},
            CaRequest{Bytes(10, std::byte{1}), Bytes(20, std::byte{2})},
            OpenChallenge{filled<32>(9)},
            Evidence{60, Bytes(30, std::byte{3})},
            Draft{5, Bytes(40, std::byte{4})},
            SignedLeaf{true, Bytes(50, std::byte{5})},
            TreeText{"{}"},
            Failed{"l", "n", "d"}};
}

ByteView without_length(const Bytes& frame) {
    return ByteView(frame).subspan(4);
}

TEST(MintMessages, EveryRequestIsReadBackAsItWas) {
    for (const MintRequest& request : requests()) {
        const Bytes frame = encode(Numbered<MintRequest>{9, request});
        auto back = decode_request(without_length(frame));
        ASSERT_TRUE(back) << request.index() << " " << back.error().message();
        EXPECT_EQ(back->id, 9u);
        EXPECT_EQ(back->message, request) << request.index();
    }
}

TEST(MintMessages, EveryReplyIsReadBackAsItWas) {
    for (const MintReply& reply : replies()) {
        const Bytes frame = encode(Numbered<MintReply>{0, reply});
        auto back = decode_reply(without_length(frame));
        ASSERT_TRUE(back) << reply.index() << " " << back.error().message();
        EXPECT_EQ(encode(*back), frame);
    }
    auto back = decode_reply(without_length(encode(Numbered<MintReply>{0, state()})));
    EXPECT_EQ(std::get<State>(back->message).names[0].values, state().names[0].values);
    EXPECT_EQ(std::get<State>(back->message).instance, state().instance);
}

TEST(MintMessages, ATruncatedOrLongerOneIsRefused) {
    for (const MintRequest& request : requests()) {
        Bytes frame = encode(Numbered<MintRequest>{9, request});
        for (std::size_t size = 0; size + 4 < frame.size(); ++size)
            EXPECT_FALSE(decode_request(without_length(frame).first(size))) << request.index();
        frame.push_back(std::byte{0});
        EXPECT_EQ(decode_request(without_length(frame)).error().code(), malformed_message);
    }
    for (const MintReply& reply : replies()) {
        Bytes frame = encode(Numbered<MintReply>{9, reply});
        for (std::size_t size = 0; size + 4 < frame.size(); ++size)
            EXPECT_FALSE(decode_reply(without_length(frame).first(size))) << reply.index();
        frame.push_back(std::byte{0});
        EXPECT_EQ(decode_reply(without_length(frame)).error().code(), malformed_message);
    }
}

TEST(MintMessages, UnknownTypesAndChoicesAreRefused) {
    for (int type : {0, 10, 127, 128, 255}) {
        Bytes frame = {static_cast<std::byte>(type), {}, {}, {}, {}};
        EXPECT_EQ(decode_request(frame).error().code(), malformed_message) << type;
    }
    for (int type : {0, 1, 127, 137, 255}) {
        Bytes frame = {static_cast<std::byte>(type), {}, {}, {}, {}};
        EXPECT_EQ(decode_reply(frame).error().code(), malformed_message) << type;
    }
    Writer scheme;
    scheme.u8(6).u32le(1).u32le(1).text("a").u64le(1).u8(3).bytes(filled<91>(1)).u8(0);
    EXPECT_EQ(decode_request(scheme.view()).error().code(), malformed_message);
    Writer choice;
    choice.u8(6).u32le(1).u32le(1).text("a").u64le(1).u8(1).bytes(filled<91>(1)).u8(2);
    EXPECT_EQ(decode_request(choice.view()).error().code(), malformed_message);
}

TEST(MintMessages, BoundsHold) {
    Writer nonce;
    nonce.u8(6).u32le(1).u32le(1).text("a").u64le(1).u8(0).bytes(filled<91>(1)).u8(1);
    nonce.u32le(65).zeros(65 + 48);
    EXPECT_EQ(decode_request(nonce.view()).error().code(), message_too_large);
    Writer name;
    name.u8(6).u32le(1).u32le(kMaxTextBytes + 1).zeros(2000);
    EXPECT_EQ(decode_request(name.view()).error().code(), message_too_large);
    Writer statement;
    statement.u8(3).u32le(1).u8(1).bytes(filled<91>(1)).u32le(owner::kMaxStatementBytes + 1);
    EXPECT_EQ(decode_request(statement.zeros(owner::kMaxStatementBytes + 1).view()).error().code(),
              message_too_large);
    Writer purpose;
    purpose.u8(3).u32le(1).u8(3).bytes(filled<91>(1)).u32le(0);
    EXPECT_EQ(decode_request(purpose.view()).error().code(), malformed_message);
    EXPECT_EQ(decode_request(Bytes(kMaxRequestBytes + 1)).error().code(), message_too_large);
    Writer text;
    text.u8(9).u32le(1).u8(2).u32le(1).u8(0xff);
    EXPECT_EQ(decode_request(text.view()).error().code(), malformed_message) << "not UTF-8";
}

TEST(FrameReader, HandsOutWholeFramesHoweverTheyCome) {
    Bytes stream;
    for (const MintRequest& request : requests())
        append(stream, encode(Numbered<MintRequest>{1, request}));
    FrameReader reader(kMaxRequestBytes);
    std::size_t count = 0;
    for (std::byte byte : stream) {
        reader.receive(ByteView(&byte, 1));
        auto frame = reader.next();
        ASSERT_TRUE(frame);
        if (!*frame) continue;
        EXPECT_TRUE(decode_request(**frame));
        ++count;
    }
    EXPECT_EQ(count, requests().size());
}

TEST(FrameReader, RefusesALengthBeforeItComes) {
    FrameReader reader(1000);
    reader.receive(Writer().u32le(1001).view());
    EXPECT_EQ(reader.next().error().code(), message_too_large);
    FrameReader other(1000);
    other.receive(Writer().u32le(4).view());
    EXPECT_EQ(other.next().error().code(), malformed_message);
}

TEST(Failures, KeepTheirIdentityWhereBothSidesKnowThem) {
    Error known(runtime::wrong_token, "x");
    EXPECT_EQ(to_error(to_failed(known)).code(), runtime::wrong_token);
    EXPECT_EQ(to_error(to_failed(known)).detail(), "x");
    Error other = to_error(to_failed(Error(truncated, "y")));
    EXPECT_EQ(other.code(), minter_failed);
    EXPECT_EQ(other.detail(), "truncated: y");
}

}  // namespace
}  // namespace eos::cvm
