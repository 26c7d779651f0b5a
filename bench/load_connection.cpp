// SPDX-License-Identifier: AGPL-3.0-only
#include "bench/load_connection.h"

#include <arpa/inet.h>
#include <openssl/rand.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace eos::bench {
namespace {

constexpr unsigned kChallengeExtension = 0xFFBB;
constexpr std::size_t kNonceBytes = 32;
constexpr auto kPauseAfterFailure = std::chrono::milliseconds(20);
constexpr unsigned char kHttp2Offer[] = {2, 'h', '2'};

int add_nonce(SSL*, unsigned, unsigned, const unsigned char** out, std::size_t* size, X509*,
              std::size_t, int*, void*) {
    static unsigned char nonce[kNonceBytes];
    if (RAND_bytes(nonce, sizeof nonce) != 1) return -1;
    *out = nonce;
    *size = sizeof nonce;
    return 1;
}

// Every challenge comes from an address of its own: the server limits mints per peer address, and
// what is to be saturated is the quoter. So do connections that are held: there are fewer ports.
in_addr next_source_address() {
    static std::uint32_t host = static_cast<std::uint32_t>(getpid()) << 8;
    return {htonl(0x7F000000 | (host++ & 0x00FFFFFF) | 2)};
}

}  // namespace

Context make_context(const Options& options) {
    Context context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    require(context != nullptr, "no TLS context");
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    require(SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) == 1 &&
                SSL_CTX_set1_groups_list(context.get(), "X25519") == 1,
            "TLS settings");
    if (options.streams > 0)
        require(SSL_CTX_set_alpn_protos(context.get(), kHttp2Offer, sizeof kHttp2Offer) == 0,
                "ALPN");
    if (options.mode == Mode::kChallenges)
        require(SSL_CTX_add_custom_ext(context.get(), kChallengeExtension,
                                       SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS |
                                           SSL_EXT_TLS1_3_CERTIFICATE_REQUEST,
                                       add_nonce, nullptr, nullptr, nullptr, nullptr) == 1,
                "extension 0xFFBB");
    return context;
}

void Connection::open() {
    close_socket();
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(socket_ >= 0, "no socket");
    if (options_.mode == Mode::kChallenges || options_.mode == Mode::kHold) bind_source();
    start_ = Clock::now();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(options_.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int status = connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to);
    require(status == 0 || errno == EINPROGRESS, "cannot connect");
    ssl_.reset(SSL_new(context_));
    // SSL_set_tlsext_host_name is a macro with an old-style cast.
    require(ssl_ != nullptr && SSL_set_fd(ssl_.get(), socket_) == 1 &&
                SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                         const_cast<char*>(options_.server_name.c_str())) == 1,
            "no TLS session");
    phase_ = Phase::kHandshake;
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = this}};
    require(epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &event) == 0, "epoll");
}

void Connection::advance(Tally& tally) {
    switch (phase_) {
        case Phase::kHandshake:
            return advance_handshake(tally);
        case Phase::kTalk:
            return advance_talk(tally);
        case Phase::kReady:
        case Phase::kPaused:
            return;
    }
}

void Connection::talk() {
    is_talking_ = true;
    phase_ = Phase::kTalk;
    output_.clear();
    talk_ =
        options_.streams > 0 ? make_http2_talk(options_, *this) : make_http1_talk(options_, *this);
    talk_->start();
}

void Connection::write(std::string_view plaintext) {
    output_.append(plaintext);
    flush();
}

void Connection::flush() {
    std::size_t taken = 0;
    while (taken < output_.size()) {
        const int count =
            SSL_write(ssl_.get(), output_.data() + taken, static_cast<int>(output_.size() - taken));
        if (count <= 0) break;  // an error shows when it reads
        taken += static_cast<std::size_t>(count);
    }
    output_.erase(0, taken);
}

void Connection::bind_source() const {
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr = next_source_address();
    require(bind(socket_, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0,
            "cannot bind to 127/8");
}

void Connection::close_socket() {
    talk_.reset();
    ssl_.reset();
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
}

void Connection::fail(Tally& tally) {
    ++tally.failures;
    close_socket();
    phase_ = Phase::kPaused;
    paused_until_ = Clock::now() + kPauseAfterFailure;
}

bool Connection::must_wait(int result) const {
    const int error = SSL_get_error(ssl_.get(), result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

void Connection::advance_handshake(Tally& tally) {
    const int result = SSL_connect(ssl_.get());
    if (result != 1) {
        if (!must_wait(result)) fail(tally);
        return;
    }
    phase_ = Phase::kReady;
    if (is_talking_) return talk();
    if (options_.mode == Mode::kRequests || options_.mode == Mode::kHold) return;
    tally.count(start_);
    SSL_shutdown(ssl_.get());
    open();
}

void Connection::advance_talk(Tally& tally) {
    flush();
    char buffer[16 * 1024];
    for (;;) {
        const int got = SSL_read(ssl_.get(), buffer, sizeof buffer);
        if (got <= 0 && !must_wait(got)) return fail(tally);
        if (got <= 0) return;
        const std::string_view plaintext(buffer, static_cast<std::size_t>(got));
        if (!talk_->receive(plaintext, tally)) return open();
    }
}

}  // namespace eos::bench
