// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include "common/attestation/endorsements/bundle.h"
#include "trusted/mini/api/testing.h"

namespace eos::mini {
namespace {

using attestation::endorsements::Piece;
using attestation::endorsements::PieceKind;
using testing::body_json;
using testing::Caller;

constexpr const char* kStapled = "GET /.well-known/enclave-os/collateral";

class CollateralRoutes : public ::testing::Test, protected testing::ApiRig {
  protected:
    /// A bundle of one piece: content that no vendor would sign, which is not looked at here.
    static std::string bundle(std::size_t content_bytes = 10) {
        const Piece piece{.kind = PieceKind::intel_root_crl,
                          .content = Bytes(content_bytes, std::byte{7})};
        return attestation::endorsements::write_bundle({piece}, UnixTime{1'780'000'000},
                                                       crypto::P256PrivateKey::generate())
            .value();
    }
    runtime::ReadResponse staple(const std::string& text) {
        return own("PUT /api/v1/collateral", "", text);
    }
    runtime::ReadResponse anyone(std::string_view start = kStapled) {
        return ask(to_platform(Caller::kNobody), start);
    }
};

TEST_F(CollateralRoutes, WhatTheOwnerStaplesAnyoneGetsOnEveryName) {
    start_owned();
    EXPECT_EQ(load_app("one", testing::idle_module()).status, 201);
    EXPECT_EQ(anyone().status, 404);
    const std::string first = bundle();
    runtime::ReadResponse answer = staple(first);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(body_json(answer)["pieces"], 1);
    EXPECT_EQ(body_json(answer)["made"], "2026-05-28T20:26:40Z");
    EXPECT_EQ(anyone().body, first);
    EXPECT_EQ(anyone().headers.first("content-type"), "application/json");
    EXPECT_EQ(ask(to_app("one"), kStapled).body, first);
    auto peer = connect(to_platform(Caller::kNobody));
    peer->send("HEAD /.well-known/enclave-os/collateral");
    settle(*peer);
    EXPECT_EQ(runtime::read_response(peer->sink.written, http::Method::kHead).status, 200);

    const std::string second = bundle(20);
    EXPECT_EQ(staple(second).status, 200);
    EXPECT_EQ(anyone().body, second);
    EXPECT_EQ(own("DELETE /api/v1/collateral").status, 200);
    EXPECT_EQ(anyone().status, 404);
    EXPECT_EQ(own("DELETE /api/v1/collateral").status, 404);
}

TEST_F(CollateralRoutes, OnlyTheOwnerStaples) {
    start_owned();
    for (const char* start : {"PUT /api/v1/collateral", "DELETE /api/v1/collateral"}) {
        EXPECT_EQ(ask(to_platform(Caller::kNobody), start, "", "x").status, 401) << start;
        EXPECT_EQ(ask(to_platform(Caller::kStranger), start, "", "x").status, 403) << start;
    }
    EXPECT_EQ(anyone().status, 404);
}

TEST_F(CollateralRoutes, OnlyAWholeBundleIsStapled) {
    start_owned();
    const std::string good = bundle();
    ASSERT_EQ(staple(good).status, 200);
    std::string altered = good;
    altered.replace(altered.find("\"version\": 1"), 12, "\"version\": 2");
    std::string resigned = good;
    resigned.replace(resigned.find("BwcHBwcHBw"), 10, "BwcHBwcHCA");
    for (const std::string& bad :
         {std::string(), std::string("{}"), std::string("[]"), std::string("\0\xff", 2), altered,
          resigned, good + "x", good.substr(0, good.size() / 2)}) {
        EXPECT_EQ(staple(bad).status, 400) << bad;
    }
    const std::string large = bundle(runtime::kMaxStapledBytes * 3 / 4);
    ASSERT_GT(large.size(), runtime::kMaxStapledBytes);
    EXPECT_EQ(staple(large).status, 413);
    EXPECT_EQ(anyone().body, good);
}

// Stapling changes nothing that a leaf says, and survives a restart as it was.
TEST_F(CollateralRoutes, ItIsSealedStateThatNoLeafNames) {
    start_owned();
    const auto before = control->snapshot();
    ASSERT_EQ(staple(bundle()).status, 200);
    const auto after = control->snapshot();
    EXPECT_EQ(after->generation, before->generation + 1);
    EXPECT_EQ(after->policy_tree->root(), before->policy_tree->root());
    EXPECT_EQ(after->platform_tree->root(), before->platform_tree->root());
    EXPECT_EQ(after->served->find("")->epoch, before->served->find("")->epoch);
}

// A slow reader holds up a window of it, not a copy.
TEST_F(CollateralRoutes, ItIsSentAsTheReaderTakesIt) {
    start_owned();
    const std::string text = bundle(150'000);
    ASSERT_EQ(staple(text).status, 200);
    auto peer = connect(to_platform(Caller::kNobody));
    peer->sink.window = 10'000;
    peer->send(kStapled);
    settle(*peer);
    EXPECT_LE(peer->sink.written.size(), 10'000u);
    ASSERT_EQ(own("DELETE /api/v1/collateral").status, 200);
    while (peer->sink.written.size() < text.size()) {
        const std::size_t before = peer->sink.written.size();
        peer->sink.window = 10'000;
        peer->connection().writable();
        settle(*peer);
        ASSERT_GT(peer->sink.written.size(), before);
    }
    peer->sink.window = 10'000;
    peer->connection().writable();
    EXPECT_EQ(runtime::read_response(peer->sink.written).body, text);
}

}  // namespace
}  // namespace eos::mini
