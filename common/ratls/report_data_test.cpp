// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/report_data.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"

// Vectors: published facts of the v1 protocol. The key is the P-256 generator
// point.
namespace eos::ratls {
namespace {

crypto::P256PublicKey generator_key() {
    return *crypto::P256PublicKey::from_spki(
        *from_hex("3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563"
                  "a440f277037d81"
                  "2deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb64068"
                  "37bf51f5"));
}

ByteArray<32> counting_from(unsigned char first) {
    ByteArray<32> out;
    for (std::size_t i = 0; i < 32; ++i) out[i] = static_cast<std::byte>(first + i);
    return out;
}

TEST(ReportData, KeyHashVector) {
    EXPECT_EQ(hex(generator_key().spki_hash()),
              "5cd252fb0ce8932436faf8ccd1040981b89ee4ad6b9fe9e2a2b7e71aacb27cd3");
}

TEST(ReportData, DeterministicVectorIgnoresSeconds) {
    for (const char* time : {"2026-09-04T10:15:00Z", "2026-09-04T10:15:59Z"}) {
        ReportData rd = ReportData::v1_deterministic(generator_key(), *parse_rfc3339(time));
        EXPECT_EQ(hex(rd.bytes()),
                  "fa01dc80f3f7d06d5e373a1255a8eb8d88f7978ef59724511b7058f6c638c166"
                  "c79c5741e468db837ae6238af80f69b74ae1a8d5953144ff08bb9be6aa74ffd3");
    }
}

TEST(ReportData, BinderAndChallengeVectors) {
    Bytes secret = *from_hex("b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21");
    Bytes transcript =
        *from_hex("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02f063cf0e1cadd8");
    Binder binder = handshake_binder(crypto::HashKind::kSha256, secret, transcript);
    EXPECT_EQ(hex(binder), "1d4c3b481088c6851d4fbbeffea2c3dabdf662bb60280f115a7c9991a951fd45");
    Result<ReportData> rd = ReportData::v1_challenge(generator_key(), counting_from(0xc0), binder);
    ASSERT_TRUE(rd.has_value());
    EXPECT_EQ(hex(rd->bytes()),
              "fddf5a03ac50cb4b050500ce6e0a622657530d0d15f39dde2a0394e1eb0689a8"
              "8e709bfca9f2e77be5cad2a60a164799164a2969c069d6f0c3a9db3b43c57285");
}

TEST(ReportData, ChannelVector) {
    ChannelBinding channel;
    channel.context.fill(std::byte{0xc0});
    channel.exporter.fill(std::byte{0xe1});
    ReportData rd = ReportData::v2_challenge(generator_key(), channel);
    EXPECT_EQ(purpose_name(rd.purpose()), "v2-challenge");
    EXPECT_EQ(hex(rd.bytes()),
              "a6589a1921832ec7a6fc1f8f7d3e1ed298852c1c2a71a62153d4c74f160ee468"
              "ff3a98b1c3e2c50ff428d74c756f115f10bf9dc32f14a0769ee720a9ee51726d");
}

// RFC 8446 §7.5 from the exporter secret on, with the labels of both ends.
TEST(ReportData, ExporterLabelVectors) {
    struct Vector {
        crypto::HashKind hash;
        const char* secret;
        AttestedEnd end;
        const char* value;
    };
    constexpr auto k256 = crypto::HashKind::kSha256;
    constexpr auto k384 = crypto::HashKind::kSha384;
    const char* secret256 = "17f32629ff38faaa7c23496c19e7a3a28a040b896560c4e5e86186454aaf74e4";
    const char* secret384 =
        "2f448e34be0270ff9c8dc44f615c7b7371ce043cc830107e8c9c268e624cceb7"
        "ca6245b072fb355935f5c44c26e6a8ec";
    const Vector vectors[] = {{k256, secret256, AttestedEnd::kServer,
                               "907268c026c4a010af461aa5ae8113e19fbc0ed53b45bb203940e0aeec822499"},
                              {k256, secret256, AttestedEnd::kClient,
                               "a57634d73fcaea9834b13f152de2b9d7ec1c71a47f8e8ffbbcb97a9b83b4886b"},
                              {k384, secret384, AttestedEnd::kServer,
                               "91da8ee68056b2475da639b1c3ffb7ba5c21fcb2811f0c62f605f38d6926d25d"},
                              {k384, secret384, AttestedEnd::kClient,
                               "8495d448f3742c5d59d695638b8a35486512633e47db3becf997e74c0ee5bfad"}};
    for (const Vector& each : vectors) {
        std::size_t size = each.hash == k256 ? 32 : 48;
        Bytes derived = crypto::hkdf_expand_label(each.hash, *from_hex(each.secret),
                                                  std::string(exporter_label(each.end)),
                                                  crypto::hash(each.hash, {}), size);
        Bytes value = crypto::hkdf_expand_label(each.hash, derived, "exporter",
                                                crypto::hash(each.hash, counting_from(0xc0)), 32);
        EXPECT_EQ(hex(value), each.value);
    }
}

TEST(ReportData, NonceLengthsAreBounded) {
    for (std::size_t size : {0u, 8u, 15u, 17u, 65u}) {
        EXPECT_EQ(check_nonce(Bytes(size)).error().code(), bad_nonce) << size;
    }
    for (std::size_t size : {16u, 18u, 32u, 64u})
        EXPECT_TRUE(check_nonce(Bytes(size)).has_value()) << size;
}

TEST(ReportData, CsrFormDependsOnEveryInput) {
    CsrBinding binding{as_bytes("csr"), counting_from(0), generator_key().spki_hash()};
    ReportData base = ReportData::ca_csr(binding);
    CsrBinding other = binding;
    other.csr_der = as_bytes("csq");
    EXPECT_NE(base, ReportData::ca_csr(other));
    other = binding;
    other.nonce = counting_from(1);
    EXPECT_NE(base, ReportData::ca_csr(other));
    other = binding;
    other.owner_spki_hash = counting_from(2);
    EXPECT_NE(base, ReportData::ca_csr(other));
}

TEST(Transcript, RetryReplacesTheFirstClientHello) {
    Bytes client_hello = *from_hex("01000001aa");
    Bytes retry =
        *from_hex("020000220303cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c");
    Bytes second_hello = *from_hex("01000001bb");
    Bytes server_hello = *from_hex("02000001cc");
    std::vector<Bytes> messages{client_hello, retry, second_hello, server_hello};
    Bytes synthetic = concat(
        {*from_hex("fe000020"), crypto::sha256(client_hello), retry, second_hello, server_hello});
    EXPECT_EQ(hex(transcript_hash(crypto::HashKind::kSha256, messages)),
              hex(crypto::sha256(synthetic)));
    std::vector<Bytes> plain{client_hello, server_hello};
    EXPECT_EQ(hex(transcript_hash(crypto::HashKind::kSha256, plain)),
              hex(crypto::sha256({client_hello, server_hello})));
}

}  // namespace
}  // namespace eos::ratls
