// SPDX-License-Identifier: AGPL-3.0-only
#include "client/web.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

#include "common/base/encoding.h"
#include "common/http/authority.h"

namespace eos::client {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kMaxUrlBytes = 2048;

class PlainChannel : public Channel {
  public:
    explicit PlainChannel(TcpSocket socket) : socket_(std::move(socket)) {}
    Result<void> send(ByteView bytes, Deadline deadline) override {
        return socket_.send_all(bytes, deadline);
    }
    Result<Bytes> receive(Deadline deadline) override {
        return socket_.receive(kReadBytes, deadline);
    }

  private:
    TcpSocket socket_;
};

using SslContext = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using SslHandle = std::unique_ptr<SSL, decltype(&SSL_free)>;

std::string openssl_reason() {
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char* text = ERR_reason_error_string(code);
    return text == nullptr ? "unknown reason" : text;
}

/// TLS as browsers speak it, over memory buffers, so that every wait has the socket's deadline.
class WebTlsChannel : public Channel {
  public:
    WebTlsChannel(TcpSocket socket, SslContext context, SslHandle ssl)
        : socket_(std::move(socket)), context_(std::move(context)), ssl_(std::move(ssl)) {
        SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(ssl_.get());
    }

    Result<void> shake_hands(Deadline deadline) {
        for (;;) {
            int done = SSL_do_handshake(ssl_.get());
            int why = SSL_get_error(ssl_.get(), done);
            EOS_TRY(flush(deadline));
            if (done == 1) return {};
            if (why != SSL_ERROR_WANT_READ) return fail(web_tls_failed, refusal());
            EOS_TRY(fill(deadline));
        }
    }

    Result<void> send(ByteView bytes, Deadline deadline) override {
        if (bytes.empty()) return {};
        if (SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) <= 0)
            return fail(connection_lost, openssl_reason());
        return flush(deadline);
    }

    Result<Bytes> receive(Deadline deadline) override {
        Bytes out(kReadBytes);
        for (;;) {
            int count = SSL_read(ssl_.get(), out.data(), static_cast<int>(out.size()));
            if (count > 0) {
                out.resize(static_cast<std::size_t>(count));
                return out;
            }
            int why = SSL_get_error(ssl_.get(), count);
            if (why == SSL_ERROR_ZERO_RETURN) return Bytes{};
            if (why != SSL_ERROR_WANT_READ) return fail(connection_lost, openssl_reason());
            EOS_TRY(flush(deadline));
            EOS_TRY(fill(deadline));
        }
    }

  private:
    std::string refusal() const {
        long verdict = SSL_get_verify_result(ssl_.get());
        return verdict == X509_V_OK ? openssl_reason() : X509_verify_cert_error_string(verdict);
    }

    Result<void> flush(Deadline deadline) {
        char* data = nullptr;
        long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &data);
        if (size <= 0) return {};
        EOS_TRY(socket_.send_all(as_bytes({data, static_cast<std::size_t>(size)}), deadline));
        BIO_reset(SSL_get_wbio(ssl_.get()));
        return {};
    }

    Result<void> fill(Deadline deadline) {
        Bytes input = EOS_TRY(socket_.receive(kReadBytes, deadline));
        // Without close_notify the end may be an attacker's.
        if (input.empty()) return fail(connection_lost, "the stream ended without close_notify");
        BIO_write(SSL_get_rbio(ssl_.get()), input.data(), static_cast<int>(input.size()));
        return {};
    }

    TcpSocket socket_;
    SslContext context_;
    SslHandle ssl_;
};

Result<void> expect_name(SSL* ssl, const http::Authority& authority) {
    int set = 0;
    if (authority.kind == http::Authority::Kind::kDnsName) {
        // What SSL_set_tlsext_host_name() stands for; it is a macro with a C cast.
        SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(authority.host.c_str()));
        set = SSL_set1_host(ssl, authority.host.c_str());
    } else {
        set = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), authority.host.c_str());
    }
    if (set != 1) return fail(web_tls_failed, openssl_reason());
    return {};
}

Result<std::unique_ptr<Channel>> open_tls(const http::Authority& authority, TcpSocket socket,
                                          const FetchOptions& options, Deadline deadline) {
    SslContext context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1)
        return fail(web_tls_failed, openssl_reason());
    int loaded = options.ca_file.empty()
                     ? SSL_CTX_set_default_verify_paths(context.get())
                     : SSL_CTX_load_verify_file(context.get(), options.ca_file.c_str());
    if (loaded != 1) return fail(web_tls_failed, options.ca_file + ": " + openssl_reason());
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SslHandle ssl(SSL_new(context.get()), SSL_free);
    if (!ssl) return fail(web_tls_failed, openssl_reason());
    EOS_TRY(expect_name(ssl.get(), authority));
    auto channel =
        std::make_unique<WebTlsChannel>(std::move(socket), std::move(context), std::move(ssl));
    EOS_TRY(channel->shake_hands(deadline));
    return channel;
}

bool is_loopback(const http::Authority& authority) {
    if (authority.kind == http::Authority::Kind::kIpv4) return authority.host.starts_with("127.");
    return authority.host == "::1" || authority.host == "localhost";
}

Result<std::unique_ptr<Channel>> open(const Url& url, const FetchOptions& options,
                                      Deadline deadline) {
    bool plain = url.scheme == http::Scheme::kHttp;
    if (plain && options.plain == PlainHttp::kLoopbackOnly && !is_loopback(url.authority))
        return fail(plain_http_refused, url.authority.host);
    Address address{url.authority.host, url.authority.port.value_or(plain ? 80 : 443)};
    TcpSocket socket = EOS_TRY(TcpSocket::connect(address, deadline));
    if (plain) return std::make_unique<PlainChannel>(std::move(socket));
    return open_tls(url.authority, std::move(socket), options, deadline);
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
    Url out;
    std::size_t scheme = text.find("://");
    std::string_view name = text.substr(0, scheme);
    if (scheme == text.npos || text.size() > kMaxUrlBytes || (name != "http" && name != "https"))
        return fail(bad_url, printable(as_bytes(text)));
    // What HTTP's request line could not carry as it is.
    for (char c : text)
        if (c <= ' ' || c > '~' || c == '#') return fail(bad_url, printable(as_bytes(text)));
    out.scheme = name == "http" ? http::Scheme::kHttp : http::Scheme::kHttps;
    std::string_view rest = text.substr(scheme + 3);
    std::size_t path = std::min(rest.find_first_of("/?"), rest.size());
    out.authority = EOS_TRY(http::parse_authority(rest.substr(0, path), out.scheme));
    rest.remove_prefix(path);
    std::size_t query = std::min(rest.find('?'), rest.size());
    out.path = query == 0 ? "/" : std::string(rest.substr(0, query));
    if (query < rest.size()) out.query = rest.substr(query + 1);
    return out;
}

Result<Response> fetch(std::string_view text, const FetchOptions& options, Deadline deadline) {
    Url url = EOS_TRY(parse_url(text));
    std::unique_ptr<Channel> channel = EOS_TRY(open(url, options, deadline));
    HttpExchange exchange(*channel);
    Request request;
    request.head.authority = url.authority;
    request.head.path = url.path;
    if (!url.query.empty()) request.head.query = url.query;
    Response response = EOS_TRY(exchange.run(std::move(request), options.max_body_bytes, deadline));
    if (response.status / 100 == 3) return fail(redirect_refused, std::to_string(response.status));
    if (response.status != 200) return fail(bad_status, "HTTP " + std::to_string(response.status));
    return response;
}

}  // namespace eos::client
