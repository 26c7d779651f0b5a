// SPDX-License-Identifier: AGPL-3.0-only
// Mode C over real handshakes in memory, with evidence of a synthetic Intel: what one connection's
// evidence is good for, and where it is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/synthetic_intel_test.h"
#include "common/crypto/random.h"
#include "common/oid/registry.h"
#include "common/ratls/appraise_leaf.h"
#include "common/ratls/tls_session.h"

namespace eos::ratls {
namespace {

using attestation::appraise::AttestationResult;
using attestation::appraise::Outcome;
using attestation::testing::kNow;
using ::testing::Contains;
using ::testing::ElementsAre;

/// One server key for all connections, as a server has it, and one TLS context on each side.
class Channels : public ::testing::Test {
  protected:
    struct Link {
        std::unique_ptr<ServerSession> server;
        std::unique_ptr<ClientSession> client;
        ByteArray<32> context = crypto::random_array<32>();  ///< the client's own, for this link
    };

    Channels() {
        policy_.name = "channels";
        policy_.roots = intel_.roots();
        policy_.identity = {{attestation::appraise::MrEnclavePin{intel_.report.mr_enclave}, {}}};
        policy_.waivers = {"crl.pck", "crl.root", "qe.identity", "tcb.level"};
    }

    Bytes leaf(LeafScheme scheme, ByteView evidence = {}) const {
        LeafContent content;
        content.name = "shop.example.test";
        content.not_before = kNow - 60;
        content.not_after = kNow + 600;
        content.scheme = scheme;
        content.evidence = evidence;
        content.evidence_oid = oid::kSgxQuote;
        content.assurance = "production";
        content.values = {{oid::kWorkloadDigest, Bytes(32, std::byte{5})},
                          {oid::kAppId, Bytes(16, std::byte{6})}};
        return mint_leaf(content, key_, nullptr);
    }

    Link connect(const ClientOptions& options, const Bytes& leaf_der) {
        Link link{server_->accept(), std::move(*client_->connect(options))};
        auto credential = *Credential::make({leaf_der}, key_);
        for (int turn = 0; turn < 20; ++turn) {
            link.client->advance();
            move(*link.client, *link.server);
            if (link.server->advance() == Progress::kNeedsLeaf) {
                link.server->provide_leaf(credential);
                link.server->advance();
            }
            move(*link.server, *link.client);
        }
        EXPECT_EQ(link.client->progress(), Progress::kOpen) << link.client->failure();
        EXPECT_EQ(link.server->progress(), Progress::kOpen) << link.server->failure();
        return link;
    }
    Link connect() {
        return connect({.server_name = "shop.example.test", .scheme = LeafScheme::kV2},
                       leaf(LeafScheme::kV2));
    }
    static void move(TlsSession& from, TlsSession& to) {
        Bytes bytes = to_bytes(from.output());
        from.output_taken(bytes.size());
        to.receive(bytes);
    }

    AttestResponse answer(const ReportData& report_data) {
        intel_.report.report_data = report_data.bytes();
        return {AttestMode::kChallenge, "sgx", intel_.quote(), kNow};
    }
    /// What an honest server answers to `context` on its end of `link`.
    AttestResponse answer(const Link& link, const ByteArray<32>& context,
                          AttestedEnd end = AttestedEnd::kServer) {
        return answer(
            ReportData::v2_challenge(key_.public_key(), *link.server->bind_channel(end, context)));
    }
    /// What the client of `link` makes of an answer.
    AttestationResult look(const Link& link, AttestResponse response) {
        const std::vector<Bytes> chain = link.client->peer_chain();
        LeafInput input{.chain = chain, .anchors = {}, .server_name = "shop.example.test"};
        input.channel = ChannelEvidence{
            *link.client->bind_channel(AttestedEnd::kServer, link.context), std::move(response)};
        return appraise_leaf(input, {}, policy_, kNow);
    }
    std::vector<std::string> refused_by(const AttestationResult& result) {
        EXPECT_EQ(result.outcome(), Outcome::rejected);
        return summarise(result.tree()).failed;
    }

    attestation::testing::SyntheticIntel intel_;
    attestation::appraise::Policy policy_;
    crypto::P256PrivateKey key_ = crypto::P256PrivateKey::generate();
    Result<ServerContext> server_ = ServerContext::make();
    Result<ClientContext> client_ = ClientContext::make();
};

TEST_F(Channels, EvidenceForThisConnectionIsAcceptedAtLevelThree) {
    Link link = connect();
    EXPECT_EQ(link.server->offer().scheme, LeafScheme::kV2);
    policy_.required = {{oid::kWorkloadDigest, Bytes(32, std::byte{5})},
                        {oid::kAppId, Bytes(16, std::byte{6})}};
    AttestationResult result = look(link, answer(link, link.context));
    EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
    EXPECT_EQ(result.claims()["binding"], "v2-challenge");
    const auto* level = attestation::verify::find_check(result.tree(), "binding.level");
    ASSERT_NE(level, nullptr);
    EXPECT_THAT(level->notes, Contains(::testing::HasSubstr("level 3")));
}

// The relay of CVE-2026-33697 with all that its precondition grants: the attacker holds the leaf's
// key, so he ends the victim's connection himself, and has the genuine server answer the victim's
// own context on a connection of his.
TEST_F(Channels, EvidenceOfOneConnectionIsRefusedOnEveryOther) {
    std::vector<Link> links;
    for (int i = 0; i < 3; ++i) links.push_back(connect());  // out of the same two TLS contexts
    for (std::size_t to = 0; to < links.size(); ++to) {
        for (std::size_t from = 0; from < links.size(); ++from) {
            AttestationResult result = look(links[to], answer(links[from], links[to].context));
            if (to == from) {
                EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
            } else {
                EXPECT_THAT(refused_by(result), ElementsAre("report_data"));
            }
        }
    }
}

TEST_F(Channels, EvidenceOfAnEarlierContextIsRefused) {
    Link link = connect();
    AttestResponse old = answer(link, link.context);
    EXPECT_EQ(look(link, old).outcome(), Outcome::accepted_emulated);
    link.context = crypto::random_array<32>();  // the client asks again, as it must, with a new one
    EXPECT_THAT(refused_by(look(link, old)), ElementsAre("report_data"));
}

TEST_F(Channels, EvidenceOfTheClientsEndIsNotTheServers) {
    Link link = connect();
    EXPECT_THAT(refused_by(look(link, answer(link, link.context, AttestedEnd::kClient))),
                ElementsAre("report_data"));
    for (AttestedEnd end : {AttestedEnd::kServer, AttestedEnd::kClient}) {
        EXPECT_EQ(*link.server->bind_channel(end, link.context),
                  *link.client->bind_channel(end, link.context));
    }
    EXPECT_NE(*link.client->bind_channel(AttestedEnd::kServer, link.context),
              *link.client->bind_channel(AttestedEnd::kClient, link.context));
}

// The reflection: what a client would show of itself, handed back to it as the server's.
TEST_F(Channels, EvidenceAboutAnotherKeyIsRefused) {
    Link link = connect();
    crypto::P256PrivateKey other = crypto::P256PrivateKey::generate();
    ChannelBinding channel = *link.server->bind_channel(AttestedEnd::kServer, link.context);
    EXPECT_THAT(
        refused_by(look(link, answer(ReportData::v2_challenge(other.public_key(), channel)))),
        ElementsAre("report_data"));
}

TEST_F(Channels, EvidenceOfTheOtherModesIsRefused) {
    Link link = connect();
    ReportData minute = ReportData::v1_deterministic(key_.public_key(), kNow - 60);
    EXPECT_THAT(refused_by(look(link, answer(minute))), ElementsAre("report_data"));
    Binder binder{};
    ReportData challenge = *ReportData::v1_challenge(key_.public_key(), link.context, binder);
    EXPECT_THAT(refused_by(look(link, answer(challenge))), ElementsAre("report_data"));
    AttestResponse zero = answer(minute);
    intel_.report.report_data = {};
    zero.quote = intel_.quote();
    EXPECT_THAT(refused_by(look(link, zero)), ElementsAre("report_data"));
}

TEST_F(Channels, ALeafWithEvidenceIsNotForModeC) {
    intel_.report.report_data = ReportData::v1_deterministic(key_.public_key(), kNow - 60).bytes();
    Link link = connect({.server_name = "shop.example.test", .scheme = LeafScheme::kV2},
                        leaf(LeafScheme::kV1, intel_.quote()));
    EXPECT_THAT(refused_by(look(link, answer(link, link.context))), Contains("certificate.syntax"));
}

TEST_F(Channels, ALeafForModeCIsNotForTheOtherModes) {
    Link link = connect();
    const std::vector<Bytes> chain = link.client->peer_chain();
    LeafInput input{.chain = chain, .anchors = {}, .server_name = "shop.example.test"};
    for (bool with_nonce : {false, true}) {
        if (with_nonce) input.handshake = HandshakeEvidence{Bytes(32), {}};
        // Its app id has the number that a report had before.
        EXPECT_THAT(refused_by(appraise_leaf(input, {}, policy_, kNow)), Contains("quote.syntax"));
    }
}

TEST_F(Channels, WithoutRootCaTheLeafMustStillBeOfThisTimeAndName) {
    Link link = connect();
    const std::vector<Bytes> chain = link.client->peer_chain();
    LeafInput input{.chain = chain, .anchors = {}, .server_name = "other.example.test"};
    input.channel = ChannelEvidence{*link.client->bind_channel(AttestedEnd::kServer, link.context),
                                    answer(link, link.context)};
    EXPECT_THAT(refused_by(appraise_leaf(input, {}, policy_, kNow)),
                ElementsAre("certificate.name"));
    input.server_name = "shop.example.test";
    EXPECT_EQ(appraise_leaf(input, {}, policy_, kNow).outcome(), Outcome::accepted_emulated);
    const UnixTime end = x509::Certificate::parse(chain.front())->validity().not_after;
    EXPECT_THAT(refused_by(appraise_leaf(input, {}, policy_, end + 1)),
                Contains("certificate.validity"));
}

TEST_F(Channels, AnAnswerThatCallsTheEvidenceAnotherKindIsRefused) {
    Link link = connect();
    AttestResponse response = answer(link, link.context);
    for (const char* tee : {"tdx", "sev-snp"}) {
        response.tee = tee;
        EXPECT_THAT(refused_by(look(link, response)), ElementsAre("certificate.evidence"));
    }
}

TEST_F(Channels, AnAnswerFromAnotherTimeIsRefused) {
    Link link = connect();
    AttestResponse response = answer(link, link.context);
    for (auto [offset_s, accepted] :
         {std::pair{-86'700, true}, {-86'701, false}, {300, true}, {301, false}}) {
        response.quote_time = kNow + offset_s;
        AttestationResult result = look(link, response);
        if (accepted) {
            EXPECT_EQ(result.outcome(), Outcome::accepted_emulated) << result.text();
        } else {
            EXPECT_THAT(refused_by(result), ElementsAre("binding.answer_time"));
        }
    }
}

TEST_F(Channels, APolicyMayRefuseTheForm) {
    Link link = connect();
    policy_.bindings = {"v1-challenge"};
    EXPECT_THAT(refused_by(look(link, answer(link, link.context))), ElementsAre("binding.format"));
}

TEST_F(Channels, ANonceMeansModeBWhateverElseIsOffered) {
    Link link = connect({.server_name = "a.test", .nonce = crypto::random_array<32>()},
                        leaf(LeafScheme::kV1));
    EXPECT_EQ(link.server->offer().scheme, LeafScheme::kV1);
    Link plain = connect({.server_name = "a.test"}, leaf(LeafScheme::kV1));
    EXPECT_EQ(plain.server->offer().scheme, LeafScheme::kV1);
}

TEST_F(Channels, TheClientsKeyIsProvedInModeC) {
    crypto::P256PrivateKey mine = crypto::P256PrivateKey::generate();
    LeafContent content;
    content.not_after = kNow + 60;
    content.scheme = LeafScheme::kV2;
    Link link =
        connect({.server_name = "a.test",
                 .scheme = LeafScheme::kV2,
                 .credential = *Credential::make({mint_leaf(content, mine, nullptr)}, mine)},
                leaf(LeafScheme::kV2));
    ASSERT_TRUE(link.server->client_key().has_value());
    EXPECT_EQ(*link.server->client_key(), mine.public_key());
}

TEST_F(Channels, NothingIsBoundBeforeTheHandshakeIsDone) {
    auto session = std::move(*client_->connect({.server_name = "a.test"}));
    EXPECT_EQ(session->bind_channel(AttestedEnd::kServer, {}).error().code(), tls_failed);
}

TEST(LeafScheme, NumbersGoThereAndBack) {
    EXPECT_EQ(v2_number(oid::kAppId), oid::kSnpReport);  // which is why the scheme comes first
    EXPECT_EQ(v1_number(oid::kSnpReport), oid::kAppId);
    EXPECT_EQ(v2_number(oid::kPolicyRoot), oid::kPolicyRoot);
    EXPECT_FALSE(v1_number(oid::kReferenceArc.child(1).child(3)));
    EXPECT_FALSE(v2_number(oid::kGpuEvidence));
    for (const oid::Row& row : oid::rows()) {
        if (std::optional<oid::Oid> number = v2_number(row.oid)) {
            EXPECT_EQ(v1_number(*number), row.oid) << row.name;
        }
    }
}

}  // namespace
}  // namespace eos::ratls
