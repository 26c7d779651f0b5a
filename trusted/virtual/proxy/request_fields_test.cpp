// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/request_fields.h"

#include <gtest/gtest.h>

namespace eos::cvm::proxy {
namespace {

constexpr ByteArray<16> kV4 = [] {
    ByteArray<16> out{};
    out[10] = out[11] = std::byte{0xff};
    out[12] = std::byte{192};
    out[14] = std::byte{2};
    out[15] = std::byte{1};
    return out;
}();
constexpr ByteArray<16> kV6 = [] {
    ByteArray<16> out{};
    out[0] = std::byte{0x20};
    out[1] = out[15] = std::byte{1};
    return out;
}();

using Fields = std::vector<std::pair<std::string, std::string>>;

http::RequestHead request(const Fields& fields) {
    http::RequestHead head;
    head.path = "/";
    head.authority = {http::Authority::Kind::kDnsName, "a.example", std::nullopt};
    for (const auto& [name, value] : fields) EXPECT_TRUE(head.headers.add(name, value)) << name;
    return head;
}

std::string text(const http::Headers& headers) {
    std::string out;
    for (std::size_t i = 0; i < headers.count(); ++i) {
        out.append(headers[i].name).append("=").append(headers[i].value).append("\n");
    }
    return out;
}

const std::string kSaid =
    "x-forwarded-for=192.0.2.1\nx-forwarded-proto=https\nx-forwarded-host=a.example\n"
    "x-real-ip=192.0.2.1\nforwarded=for=192.0.2.1;host=a.example;proto=https\n"
    "via=1.1 enclave-os\n";

std::string rewritten(const Fields& fields) {
    http::RequestHead head = request(fields);
    EXPECT_TRUE(rewrite_request(head, kV4));
    const std::string all = text(head.headers);
    EXPECT_TRUE(all.ends_with(kSaid)) << all;
    return all.substr(0, all.size() - kSaid.size());
}

TEST(RequestFields, OrdinaryFieldsPassInOrder) {
    EXPECT_EQ(rewritten({{"Accept", "*/*"}, {"cookie", "a=b"}, {"Accept", "x"}}),
              "accept=*/*\ncookie=a=b\naccept=x\n");
    EXPECT_EQ(rewritten({{"authorization", "Bearer x"}, {"via", "1.0 other"}}),
              "authorization=Bearer x\nvia=1.0 other\n");
}

TEST(RequestFields, NobodyOutsideSaysWhereARequestComesFrom) {
    EXPECT_EQ(rewritten({{"X-Forwarded-For", "10.0.0.1"},
                         {"x-forwarded-proto", "http"},
                         {"x-forwarded-prefix", "/x"},
                         {"Forwarded", "for=10.0.0.1"},
                         {"x-real-ip", "10.0.0.1"},
                         {"x_forwarded_for", "10.0.0.1"},
                         {"x.real.ip", "10.0.0.1"},
                         {"X-Privasys-App", "x"},
                         {"proxy", "evil"},
                         {"host", "a.example"},
                         {"expect", "100-continue"}}),
              "");
}

TEST(RequestFields, NobodyOutsideSaysWhatAProxyHasSeenOfAClient) {
    EXPECT_EQ(rewritten({{"Client-Cert", ":AAAA:"},
                         {"client-cert-chain", ":AAAA:"},
                         {"x-client-cert", "x"},
                         {"X-Client-Certificate", "x"},
                         {"x-client-cert-verified", "1"},
                         {"x-ssl-client-s-dn", "CN=admin"},
                         {"X-SSL-Client-Verify", "SUCCESS"},
                         {"ssl-client-cert", "x"},
                         {"SSL-Client-Verify", "SUCCESS"},
                         {"x-client-ip", "10.0.0.1"},
                         {"True-Client-IP", "10.0.0.1"},
                         {"x-client-version", "1"},
                         {"client-certainty", "2"},
                         {"ssl-mode", "3"}}),
              "x-client-version=1\nclient-certainty=2\nssl-mode=3\n");
}

TEST(RequestFields, ConnectionNominatesOnlySoMuch) {
    const auto with_options = [](std::size_t count) {
        std::string names;
        for (std::size_t i = 0; i < count; ++i) names += "y, ,";
        return Fields{{"connection", names}, {"y", "1"}, {"connection", "close"}};
    };
    EXPECT_EQ(rewritten(with_options(kMaxConnectionOptions - 1)), "");
    http::RequestHead head = request(with_options(kMaxConnectionOptions));
    const auto refused = rewrite_request(head, kV4);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), too_many_connection_options);
    http::ResponseHead response;
    response.headers = request(with_options(kMaxConnectionOptions)).headers;
    const auto malformed = rewrite_response(response);
    ASSERT_FALSE(malformed);
    EXPECT_EQ(malformed.error().code(), too_many_connection_options);
}

TEST(RequestFields, ABodyThatIsExpectedAndMissingIsSaidToBeEmpty) {
    for (const auto method : {http::Method::kPost, http::Method::kPut, http::Method::kPatch}) {
        http::RequestHead head = request({});
        head.method = method;
        ASSERT_TRUE(rewrite_request(head, kV4));
        EXPECT_EQ(head.body, http::BodySize::known(0));
        head.body = http::BodySize::unknown();
        ASSERT_TRUE(rewrite_request(head, kV4));
        EXPECT_EQ(head.body, http::BodySize::unknown());
    }
    for (const auto method : {http::Method::kGet, http::Method::kDelete}) {
        http::RequestHead head = request({});
        head.method = method;
        ASSERT_TRUE(rewrite_request(head, kV4));
        EXPECT_EQ(head.body, http::BodySize::none());
    }
}

TEST(RequestFields, WhatConcernsTheConnectionStaysBehind) {
    EXPECT_EQ(rewritten({{"Connection", "close, X-Hop ,,te"},
                         {"connection", "upgrade, second"},
                         {"x-hop", "1"},
                         {"second", "2"},
                         {"upgrade", "h2c"},
                         {"http2-settings", "x"},
                         {"te", "trailers"},
                         {"trailer", "x"},
                         {"keep-alive", "5"},
                         {"proxy-connection", "close"},
                         {"content-length", "5"},
                         {"x-stays", "3"}}),
              "x-stays=3\n");
    // What the proxy says itself cannot be nominated away.
    EXPECT_EQ(rewritten({{"connection", "x-forwarded-for, x-real-ip, forwarded, via"}}), "");
}

TEST(RequestFields, AddressesAreWrittenAsTheirFormsDemand) {
    http::RequestHead head = request({});
    head.authority.port = 8443;
    ASSERT_TRUE(rewrite_request(head, kV6));
    EXPECT_EQ(*head.headers.first("x-forwarded-for"), "2001::1");
    EXPECT_EQ(*head.headers.first("x-forwarded-host"), "a.example:8443");
    EXPECT_EQ(*head.headers.first("forwarded"),
              "for=\"[2001::1]\";host=\"a.example:8443\";proto=https");
}

TEST(RequestFields, AHeadThatIsFullStillTakesOurs) {
    http::RequestHead head = request({});
    for (std::size_t i = 0; i < http::kMaxHeaderCount; ++i) {
        ASSERT_TRUE(head.headers.add("a", std::string(150, 'x')));
    }
    EXPECT_TRUE(rewrite_request(head, kV4));
    EXPECT_TRUE(text(head.headers).ends_with(kSaid));
}

TEST(RequestFields, AWebSocketOverHttp2IsAskedForInHttp1) {
    http::RequestHead head = request({{"sec-websocket-version", "13"}});
    head.method = http::Method::kConnect;
    head.version = http::Version::kHttp2;
    head.protocol = http::kWebSocket;
    ASSERT_TRUE(rewrite_request(head, kV4));
    EXPECT_EQ(head.method, http::Method::kGet);
    EXPECT_EQ(head.headers.first("sec-websocket-key")->size(), 24U);
    EXPECT_EQ(head.headers.first("via"), "2.0 enclave-os");
}

TEST(RequestFields, ARequestForAWebSocketHasOneKey) {
    EXPECT_EQ(websocket_key(request({{"sec-websocket-key", "k"}})).value(), "k");
    for (const Fields& fields :
         {Fields{}, Fields{{"sec-websocket-key", "k"}, {"sec-websocket-key", "l"}}}) {
        const auto key = websocket_key(request(fields));
        ASSERT_FALSE(key);
        EXPECT_EQ(key.error().code(), no_websocket_key);
    }
}

/// What the client gets of an upstream's consent, or the code of the refusal.
std::string switched(http::Version upstream, http::Version client, const Fields& fields) {
    http::ReceivedResponse response;
    response.version = upstream;
    for (const auto& [name, value] : fields) {
        EXPECT_TRUE(response.head.headers.add(name, value)) << name;
    }
    const auto done = rewrite_switching(response, client, "dGhlIHNhbXBsZSBub25jZQ==");
    return done ? text(response.head.headers) : std::string(done.error().code().name);
}

TEST(Switching, IsAnsweredAsTheClientsVersionOfHttpAsksForIt) {
    constexpr auto k1 = http::Version::kHttp11;
    constexpr auto k2 = http::Version::kHttp2;
    // RFC 6455 §1.3.
    const Fields right = {{"sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, {"x", "y"}};
    const Fields wrong = {{"sec-websocket-accept", "x3pPLMBiTxaQ9kYGzzhZRbK+xOo="}};
    const Fields twice = {right[0], right[0]};
    EXPECT_EQ(switched(k1, k1, wrong), "sec-websocket-accept=x3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n");
    EXPECT_EQ(switched(k1, k2, right), "x=y\n");
    for (const Fields& fields : {wrong, twice, Fields{}}) {
        EXPECT_EQ(switched(k1, k2, fields), "bad_websocket_accept");
    }
    EXPECT_EQ(switched(k2, k1, wrong), "sec-websocket-accept=s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n");
    EXPECT_EQ(switched(k2, k2, right), "x=y\n");
}

TEST(Trailers, AreHeldToTheSameRules) {
    http::Headers trailers;
    for (std::string_view name : {"x-sum", "x_sum", "x-forwarded-for", "x-privasys-a", "x-ssl-cert",
                                  "content-type", "set-cookie"}) {
        ASSERT_TRUE(trailers.add(name, "1"));
    }
    http::Headers response = trailers;
    rewrite_request_trailers(trailers);
    EXPECT_EQ(text(trailers), "x-sum=1\n");
    rewrite_response_trailers(response);
    EXPECT_EQ(text(response), "x-sum=1\nx_sum=1\nx-ssl-cert=1\n");
}

TEST(ResponseFields, ThoseOfTheConnectionStayBehind) {
    http::ResponseHead head;
    for (const auto& [name, value] : Fields{{"connection", "x-hop"},
                                            {"x-hop", "1"},
                                            {"transfer-encoding", "chunked"},
                                            {"content-length", "3"},
                                            {"keep-alive", "5"},
                                            {"x-privasys-app", "x"},
                                            {"set_cookie", "kept"},
                                            {"server", "nginx"}}) {
        ASSERT_TRUE(head.headers.add(name, value));
    }
    ASSERT_TRUE(rewrite_response(head));
    EXPECT_EQ(text(head.headers), "set_cookie=kept\nserver=nginx\n");
}

}  // namespace
}  // namespace eos::cvm::proxy
