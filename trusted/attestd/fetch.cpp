// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/fetch.h"

#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/base/encoding.h"
#include "common/http/authority.h"
#include "common/http/response_parser.h"
#include "common/http/serialize.h"
#include "common/x509/ip_address.h"
#include "trusted/os/unique_fd.h"

// libssl's convenience macros cast the C way.
#pragma GCC diagnostic ignored "-Wold-style-cast"

namespace eos::attestd {
namespace {

constexpr std::size_t kMaxUrlBytes = 2048;
/// How soon somebody who waits sees that nobody wants the file any more.
constexpr std::chrono::milliseconds kLookForStop{100};

/// When a fetch is over, whatever the server does.
struct Deadline {
    std::chrono::steady_clock::time_point time;
    std::stop_token stop;

    /// The time that is left.
    Result<std::chrono::milliseconds> left() const {
        if (stop.stop_requested()) return fail(fetch_failed, "it is not wanted any more");
        auto out = std::chrono::duration_cast<std::chrono::milliseconds>(
            time - std::chrono::steady_clock::now());
        if (out.count() <= 0) return fail(fetch_failed, "no answer in time");
        return out;
    }
};

std::string errno_text() {
    char text[128];
    return strerror_r(errno, text, sizeof text);
}

std::string ssl_text() {
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char* text = ERR_reason_error_string(code);
    return text == nullptr ? "the connection ended" : text;
}

Result<void> wait_for(int fd, short events, const Deadline& deadline) {
    for (;;) {
        const auto pause = std::min(EOS_TRY(deadline.left()), kLookForStop);
        pollfd entry{fd, events, 0};
        int ready = ::poll(&entry, 1, static_cast<int>(pause.count()) + 1);
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return fail(fetch_failed, errno_text());
    }
}

ByteView address_of(const sockaddr* address) {
    if (address->sa_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
        return std::as_bytes(std::span(&v4->sin_addr, 1));
    }
    if (address->sa_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
        return std::as_bytes(std::span(&v6->sin6_addr, 1));
    }
    return {};
}

Result<os::UniqueFd> connect_to(const addrinfo& target, const Deadline& deadline) {
    os::UniqueFd fd(::socket(target.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return fail(fetch_failed, errno_text());
    if (::connect(fd.get(), target.ai_addr, target.ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return fail(fetch_failed, errno_text());
        EOS_TRY(wait_for(fd.get(), POLLOUT, deadline));
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        errno = error;
        if (error != 0) return fail(fetch_failed, errno_text());
    }
    return fd;
}

/// The address that was checked is the one that is connected to: a name is looked up once.
Result<os::UniqueFd> connect_to(const Url& url, Reach reach, const Deadline& deadline) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    int status = ::getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
    if (status != 0) return fail(fetch_failed, url.host + ": " + gai_strerror(status));
    std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);
    Error last(fetch_failed, url.host);
    for (const addrinfo* target = found; target != nullptr; target = target->ai_next) {
        if (!is_within(reach, address_of(target->ai_addr))) {
            return fail(address_refused, url.host);
        }
        EOS_TRY(deadline.left());
        Result<os::UniqueFd> fd = connect_to(*target, deadline);
        if (fd) return fd;
        last = std::move(fd).error().within(url.host);
    }
    return fail(std::move(last));
}

/// One connection, with TLS or without.
class Channel {
  public:
    Channel(os::UniqueFd fd, Deadline deadline)
        : fd_(std::move(fd)),
          deadline_(std::move(deadline)),
          context_(nullptr, SSL_CTX_free),
          ssl_(nullptr, SSL_free) {}

    Result<void> start_tls(const Url& url, const std::string& ca_file) {
        context_.reset(SSL_CTX_new(TLS_client_method()));
        if (!context_ || SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION) != 1) {
            return fail(fetch_failed, ssl_text());
        }
        int loaded = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context_.get())
                                     : SSL_CTX_load_verify_file(context_.get(), ca_file.c_str());
        if (loaded != 1) return fail(fetch_failed, ca_file + ": " + ssl_text());
        SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
        ssl_.reset(SSL_new(context_.get()));
        if (!ssl_ || SSL_set_fd(ssl_.get(), fd_.get()) != 1 || !expect_name(url)) {
            return fail(fetch_failed, ssl_text());
        }
        // Else one SSL_read() goes on for as long as session tickets and the like come in.
        SSL_clear_mode(ssl_.get(), SSL_MODE_AUTO_RETRY);
        return repeat([&] { return SSL_connect(ssl_.get()); });
    }

    Result<void> send(ByteView bytes) {
        while (!bytes.empty()) {
            std::size_t sent = 0;
            if (ssl_) {
                EOS_TRY(repeat(
                    [&] { return SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent); }));
            } else {
                EOS_TRY(wait_for(fd_.get(), POLLOUT, deadline_));
                ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
                if (count <= 0) return fail(fetch_failed, errno_text());
                sent = static_cast<std::size_t>(count);
            }
            bytes = bytes.subspan(sent);
        }
        return {};
    }

    /// What comes next; empty at the end, which TLS must have said.
    Result<Bytes> receive() {
        Bytes out(16 * 1024);
        std::size_t size = 0;
        if (ssl_) {
            Result<void> read =
                repeat([&] { return SSL_read_ex(ssl_.get(), out.data(), out.size(), &size); });
            bool has_ended = (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
            if (!read && !has_ended) return fail(std::move(read).error());
        } else {
            EOS_TRY(wait_for(fd_.get(), POLLIN, deadline_));
            ssize_t count = ::recv(fd_.get(), out.data(), out.size(), 0);
            if (count < 0) return fail(fetch_failed, errno_text());
            size = static_cast<std::size_t>(count);
        }
        out.resize(size);
        return out;
    }

  private:
    bool expect_name(const Url& url) {
        if (x509::IpAddress::parse(url.host)) {
            return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), url.host.c_str()) == 1;
        }
        return SSL_set_tlsext_host_name(ssl_.get(), url.host.c_str()) == 1 &&
               SSL_set1_host(ssl_.get(), url.host.c_str()) == 1;
    }

    template <typename Call>
    Result<void> repeat(Call call) {
        for (;;) {
            EOS_TRY(deadline_.left());
            ERR_clear_error();
            int done = call();
            if (done > 0) return {};
            int why = SSL_get_error(ssl_.get(), done);
            if (why == SSL_ERROR_WANT_READ) {
                EOS_TRY(wait_for(fd_.get(), POLLIN, deadline_));
            } else if (why == SSL_ERROR_WANT_WRITE) {
                EOS_TRY(wait_for(fd_.get(), POLLOUT, deadline_));
            } else {
                long verdict = SSL_get_verify_result(ssl_.get());
                return fail(fetch_failed, verdict == X509_V_OK
                                              ? ssl_text()
                                              : X509_verify_cert_error_string(verdict));
            }
        }
    }

    os::UniqueFd fd_;
    Deadline deadline_;
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

Result<void> send_request(Channel& channel, const Url& url) {
    http::RequestHead head;
    http::Scheme scheme = url.is_https ? http::Scheme::kHttps : http::Scheme::kHttp;
    bool is_v6 = url.host.find(':') != std::string::npos;
    std::string authority =
        (is_v6 ? "[" + url.host + "]" : url.host) + ":" + std::to_string(url.port);
    head.authority = EOS_TRY(http::parse_authority(authority, scheme));
    std::size_t query = std::min(url.path.find('?'), url.path.size());
    head.path = url.path.substr(0, query);
    if (query < url.path.size()) head.query = url.path.substr(query + 1);
    EOS_TRY(head.headers.add("accept", "application/json"));
    Bytes bytes;
    EOS_TRY(http::append_request_head(bytes, head, http::Persistence::kClose));
    return channel.send(bytes);
}

Result<Bytes> read_answer(Channel& channel, std::size_t max_bytes) {
    http::ResponseParser parser;
    parser.expect(http::Method::kGet);
    Bytes body;
    Bytes unparsed;
    bool has_ended = false;
    for (;;) {
        http::Step step = has_ended ? EOS_TRY(parser.finish()) : EOS_TRY(parser.feed(unparsed));
        append(body, step.body);
        unparsed.erase(unparsed.begin(),
                       unparsed.begin() + static_cast<std::ptrdiff_t>(step.consumed));
        if (step.event == http::Event::kHead) {
            int status = parser.take_head().head.status;
            if (status != 200) return fail(fetch_failed, "HTTP " + std::to_string(status));
            parser.set_body_limit(max_bytes);
        }
        if (step.event == http::Event::kComplete) return body;
        if (step.event != http::Event::kNeedInput) continue;
        if (has_ended) return fail(fetch_failed, "the answer was cut short");
        Bytes more = EOS_TRY(channel.receive());
        has_ended = more.empty();
        append(unparsed, more);
    }
}

Result<Bytes> fetch_within(const Url& url, const FetchOptions& options, const Deadline& deadline) {
    Channel channel(EOS_TRY(connect_to(url, options.reach, deadline)), deadline);
    if (url.is_https) EOS_TRY(channel.start_tls(url, options.ca_file));
    EOS_TRY(send_request(channel, url));
    return read_answer(channel, options.max_bytes);
}

}  // namespace

bool is_within(Reach reach, ByteView address) {
    constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    auto at = [&](std::size_t i) { return std::to_integer<unsigned>(address[i]); };
    if (address.size() == 16 && equal(address.first(12), std::as_bytes(std::span(kMapped)))) {
        return is_within(reach, address.last(4));
    }
    bool is_loopback = false;
    bool is_special = true;
    if (address.size() == 4) {
        is_loopback = at(0) == 127;
        // 100.64.0.0/10 is shared by a provider and his customers; machines' metadata is there,
        // too.
        is_special = at(0) == 0 || at(0) >= 224 || (at(0) == 169 && at(1) == 254) ||
                     (at(0) == 100 && (at(1) & 0xc0) == 64);
    } else if (address.size() == 16) {
        is_loopback = all_zero(address.first(15)) && at(15) == 1;
        // What embeds an IPv4 address (::/96, NAT64, 6to4, Teredo) could lead anywhere;
        // fd00:ec2::/32 is a cloud's metadata.
        is_special = all_zero(address.first(12)) || at(0) == 0xff ||
                     (at(0) == 0xfe && (at(1) & 0xc0) == 0x80) ||
                     (at(0) == 0 && at(1) == 0x64 && at(2) == 0xff && at(3) == 0x9b) ||
                     (at(0) == 0x20 && at(1) == 0x02) ||
                     (at(0) == 0x20 && at(1) == 0x01 && at(2) == 0 && at(3) == 0) ||
                     (at(0) == 0xfd && at(1) == 0 && at(2) == 0x0e && at(3) == 0xc2);
    }
    if (is_loopback) return reach == Reach::loopback_as_well;
    return !is_special;
}

Result<Url> parse_url(const std::string& text, Reach reach) {
    Url out;
    constexpr std::string_view kHttps = "https://";
    constexpr std::string_view kHttp = "http://";
    std::string_view rest = text;
    out.is_https = rest.starts_with(kHttps);
    const bool is_plain = rest.starts_with(kHttp) && reach == Reach::loopback_as_well;
    bool is_clean = std::ranges::all_of(
        rest, [](char c) { return c > ' ' && c <= '~' && c != '#' && c != '\\'; });
    if ((!out.is_https && !is_plain) || !is_clean || text.size() > kMaxUrlBytes) {
        return fail(bad_url, printable(as_bytes(text)));
    }
    rest.remove_prefix(out.is_https ? kHttps.size() : kHttp.size());
    std::size_t slash = std::min(rest.find_first_of("/?"), rest.size());
    Result<http::Authority> authority = http::parse_authority(
        rest.substr(0, slash), out.is_https ? http::Scheme::kHttps : http::Scheme::kHttp);
    if (!authority) return fail(bad_url, authority.error().message());
    out.host = authority->host;
    out.port = authority->port.value_or(out.is_https ? 443 : 80);
    out.path = rest.substr(slash);
    if (!out.path.starts_with('/')) out.path.insert(0, "/");
    return out;
}

Result<Bytes> fetch(const std::string& url, const FetchOptions& options) {
    Url parsed = EOS_TRY(parse_url(url, options.reach));
    const Deadline deadline{std::chrono::steady_clock::now() + options.timeout, options.stop};
    Result<Bytes> out = fetch_within(parsed, options, deadline);
    if (out) return out;
    Error error = std::move(out).error();
    if (error.code() == address_refused) return fail(std::move(error).within(url));
    return fail(fetch_failed, url + ": " + error.message());
}

}  // namespace eos::attestd
