// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/fetch.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "common/x509/ip_address.h"
#include "trusted/attestd/loopback_server_test.h"

// libssl's convenience macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace eos::attestd {
namespace {

using testing::LoopbackServer;
using testing::read_request;

/// A TLS server whose client knows its certificate. It sends thousands of session tickets at once,
/// and then an answer; halfway it says that nobody wants that any more.
class TicketServer {
  public:
    explicit TicketServer(std::stop_source& stop)
        : stop_(stop),
          key_(EVP_EC_gen("P-256"), EVP_PKEY_free),
          certificate_(X509_new(), X509_free),
          context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
        make_certificate();
        SSL_CTX_use_certificate(context_.get(), certificate_.get());
        SSL_CTX_use_PrivateKey(context_.get(), key_.get());
        SSL_CTX_set_num_tickets(context_.get(), 5000);
        std::FILE* file = std::fopen(ca_file().c_str(), "w");
        PEM_write_X509(file, certificate_.get());
        std::fclose(file);
        server_.emplace([this](int fd) { serve(fd); });
    }
    ~TicketServer() {
        server_.reset();
        std::filesystem::remove(ca_file());
    }

    std::string url() const { return "https://" + server_->address() + "/"; }
    static std::string ca_file() {
        return std::filesystem::temp_directory_path() /
               ("eos-fetch." + std::to_string(::getpid()) + ".pem");
    }

  private:
    void make_certificate() {
        X509* const out = certificate_.get();
        X509_set_version(out, X509_VERSION_3);
        ASN1_INTEGER_set(X509_get_serialNumber(out), 1);
        X509_gmtime_adj(X509_getm_notBefore(out), -3600);
        X509_gmtime_adj(X509_getm_notAfter(out), 3600);
        X509_set_pubkey(out, key_.get());
        X509_NAME* const name = X509_get_subject_name(out);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>("flood"), -1, -1, 0);
        X509_set_issuer_name(out, name);
        for (auto [nid, text] : {std::pair{NID_subject_alt_name, "IP:127.0.0.1"},
                                 std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
            X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, text);
            X509_add_ext(out, extension, -1);
            X509_EXTENSION_free(extension);
        }
        X509_sign(out, key_.get(), EVP_sha256());
    }

    // All of it is ready before it is sent, so that the client never has to wait.
    void serve(int fd) {
        std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context_.get()), SSL_free);
        SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        while (SSL_accept(ssl.get()) != 1) {
            send(fd, take(ssl.get()));
            char bytes[4096];
            const ssize_t count = ::recv(fd, bytes, sizeof bytes, 0);
            if (count <= 0) return;
            BIO_write(SSL_get_rbio(ssl.get()), bytes, static_cast<int>(count));
        }
        const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        SSL_write(ssl.get(), answer.data(), static_cast<int>(answer.size()));
        const std::string all = take(ssl.get());
        send(fd, all.substr(0, all.size() / 2));
        stop_.request_stop();
        send(fd, all.substr(all.size() / 2));
    }

    static std::string take(SSL* ssl) {
        std::string out(BIO_ctrl_pending(SSL_get_wbio(ssl)), '\0');
        if (!out.empty()) BIO_read(SSL_get_wbio(ssl), out.data(), static_cast<int>(out.size()));
        return out;
    }

    static void send(int fd, std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count <= 0) return;
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }

    std::stop_source& stop_;
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
    std::unique_ptr<X509, decltype(&X509_free)> certificate_;
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
    std::optional<LoopbackServer> server_;
};

// A client that retries within libssl reads on for as long as they come, and asks nobody whether it
// should.
TEST(Fetch, TicketsWithoutEndDoNotKeepItGoing) {
    std::stop_source stop;
    TicketServer server(stop);
    const auto out = fetch(server.url(), {.ca_file = TicketServer::ca_file(),
                                          .reach = Reach::loopback_as_well,
                                          .timeout = std::chrono::minutes(1),
                                          .stop = stop.get_token()});
    ASSERT_FALSE(out.has_value());
    EXPECT_NE(out.error().message().find("not wanted any more"), std::string::npos)
        << out.error().message();
}

TEST(Fetch, EndsWhenItIsNotWanted) {
    std::stop_source stop;
    LoopbackServer server([&](int fd) {
        read_request(fd);
        stop.request_stop();
        testing::stay_silent(fd);
    });
    const auto out = fetch("http://" + server.address() + "/", {.reach = Reach::loopback_as_well,
                                                                .timeout = std::chrono::hours(1),
                                                                .stop = stop.get_token()});
    EXPECT_EQ(out.error().code(), fetch_failed);
}

bool reaches(Reach reach, const char* address) {
    return is_within(reach, x509::IpAddress::parse(address).value().bytes());
}

TEST(Fetch, LeadsToNoSpecialAddress) {
    for (const char* address : {"192.0.2.7", "10.0.0.1", "2001:db8::1", "2001:1::1", "2003::1",
                                "fd00::1", "100.63.0.1", "100.128.0.1"}) {
        EXPECT_TRUE(reaches(Reach::elsewhere, address)) << address;
    }
    for (const char* address : {"127.0.0.1",
                                "127.9.9.9",
                                "0.0.0.0",
                                "0.1.2.3",
                                "169.254.169.254",
                                "224.0.0.1",
                                "255.255.255.255",
                                "::",
                                "::1",
                                "fe80::1",
                                "febf::1",
                                "ff02::1",
                                "::ffff:127.0.0.1",
                                "::ffff:169.254.169.254",
                                "::127.0.0.1",
                                "64:ff9b::7f00:1",
                                "2002:7f00:1::1",
                                "2001::1",
                                "2001:0:a9fe:a9fe::1",
                                "fd00:ec2::254",
                                "100.64.0.1",
                                "100.100.100.200",
                                "100.127.255.255"}) {
        EXPECT_FALSE(reaches(Reach::elsewhere, address)) << address;
    }
    EXPECT_TRUE(reaches(Reach::loopback_as_well, "127.0.0.1"));
    EXPECT_TRUE(reaches(Reach::loopback_as_well, "::1"));
    EXPECT_FALSE(reaches(Reach::loopback_as_well, "169.254.169.254"));
    EXPECT_FALSE(is_within(Reach::elsewhere, {}));
}

TEST(Fetch, TakesHttpsAddressesOnly) {
    Url url = parse_url("https://id.example:8443/a/b?c=d", Reach::elsewhere).value();
    EXPECT_EQ(url.host, "id.example");
    EXPECT_EQ(url.port, 8443);
    EXPECT_EQ(url.path, "/a/b?c=d");
    EXPECT_EQ(parse_url("https://id.example", Reach::elsewhere).value().path, "/");
    EXPECT_EQ(parse_url("https://id.example?x", Reach::elsewhere).value().path, "/?x");
    EXPECT_EQ(parse_url("https://[2001:db8::1]/", Reach::elsewhere).value().host, "2001:db8::1");
    for (const char* text :
         {"", "id.example", "http://id.example/", "file:///etc/passwd", "https://", "https:///x",
          "https://user@id.example/", "https://id.example/#x", "https://id.example/a b",
          "https://id.example:99999/", "https://id.example\\@evil/", "HTTPS://id.example/"}) {
        EXPECT_FALSE(parse_url(text, Reach::elsewhere).has_value()) << text;
    }
    EXPECT_TRUE(parse_url("http://127.0.0.1:1/", Reach::loopback_as_well).has_value());
    EXPECT_EQ(fetch("https://127.0.0.1:1/x", {}).error().code(), address_refused);
    EXPECT_EQ(fetch("https://localhost:1/x", {}).error().code(), address_refused);
}

}  // namespace
}  // namespace eos::attestd
