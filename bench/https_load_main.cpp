// SPDX-License-Identifier: AGPL-3.0-only
// Load for an HTTPS server on loopback: one thread, N connections, for a while.
//   handshakes   full TLS 1.3 handshakes without resumption, each on a connection of its own
//   challenges   the same with a fresh nonce in extension 0xFFBB, each from another 127/8 address
//   requests     GETs over connections kept alive; the handshakes come first and do not count
// It verifies nothing: it measures. Prints one line of JSON.
#include <arpa/inet.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kChallengeExtension = 0xFFBB;
constexpr std::size_t kNonceBytes = 32;
constexpr std::size_t kMaxHeadBytes = 16 * 1024;
constexpr auto kPauseAfterFailure = std::chrono::milliseconds(20);
constexpr auto kWarmUpLimit = std::chrono::seconds(20);
constexpr std::string_view kLengthField = "\r\ncontent-length: ";

enum class Mode { kHandshakes, kChallenges, kRequests };

struct Options {
    Mode mode = Mode::kHandshakes;
    std::uint16_t port = 0;
    std::string server_name;
    std::string path = "/healthz";
    unsigned concurrency = 1;
    double seconds = 1;
};

struct Tally {
    std::vector<double> latencies_us;
    std::uint64_t failures = 0;
    std::size_t body_bytes = 0;
};

void require(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(what);
}

int add_nonce(SSL*, unsigned, unsigned, const unsigned char** out, std::size_t* size, X509*,
              std::size_t, int*, void*) {
    static unsigned char nonce[kNonceBytes];
    if (RAND_bytes(nonce, sizeof nonce) != 1) return -1;
    *out = nonce;
    *size = sizeof nonce;
    return 1;
}

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

Context make_context(Mode mode) {
    Context context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    require(context != nullptr, "no TLS context");
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
    require(SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) == 1 &&
                SSL_CTX_set1_groups_list(context.get(), "X25519") == 1,
            "TLS settings");
    if (mode == Mode::kChallenges)
        require(SSL_CTX_add_custom_ext(context.get(), kChallengeExtension,
                                       SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS |
                                           SSL_EXT_TLS1_3_CERTIFICATE_REQUEST,
                                       add_nonce, nullptr, nullptr, nullptr, nullptr) == 1,
                "extension 0xFFBB");
    return context;
}

// Every challenge comes from an address of its own: the server limits mints per peer address, and
// what is to be saturated is the quoter.
in_addr next_source_address() {
    static std::uint32_t host = static_cast<std::uint32_t>(getpid()) << 8;
    return {htonl(0x7F000000 | (host++ & 0x00FFFFFF) | 2)};
}

class Connection {
  public:
    Connection(const Options& options, SSL_CTX* context, int epoll)
        : options_(options), context_(context), epoll_(epoll) {
        request_ = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.server_name + "\r\n\r\n";
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { close_socket(); }

    void open() {
        close_socket();
        socket_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        require(socket_ >= 0, "no socket");
        if (options_.mode == Mode::kChallenges) bind_source();
        start_ = Clock::now();
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(options_.port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int status = connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to);
        require(status == 0 || errno == EINPROGRESS, "cannot connect");
        ssl_.reset(SSL_new(context_));
        require(ssl_ != nullptr && SSL_set_fd(ssl_.get(), socket_) == 1 && set_server_name(),
                "no TLS session");
        phase_ = Phase::kHandshake;
        epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = this}};
        require(epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &event) == 0, "epoll");
    }

    // Does what can be done without waiting; counts what it finishes.
    void advance(Tally& tally) {
        switch (phase_) {
            case Phase::kHandshake:
                return advance_handshake(tally);
            case Phase::kAnswer:
                return advance_answer(tally);
            case Phase::kReady:
            case Phase::kPaused:
                return;
        }
    }

    bool is_ready() const { return phase_ == Phase::kReady; }
    bool has_rested(Clock::time_point now) const {
        return phase_ == Phase::kPaused && now >= paused_until_;
    }

    void ask() {
        start_ = Clock::now();
        answer_.clear();
        const int written =
            SSL_write(ssl_.get(), request_.data(), static_cast<int>(request_.size()));
        require(written == static_cast<int>(request_.size()), "the request was not taken");
        phase_ = Phase::kAnswer;
    }

  private:
    enum class Phase { kHandshake, kReady, kAnswer, kPaused };

    void bind_source() const {
        sockaddr_in from{};
        from.sin_family = AF_INET;
        from.sin_addr = next_source_address();
        require(bind(socket_, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0,
                "cannot bind to 127/8");
    }

    bool set_server_name() {  // SSL_set_tlsext_host_name is a macro with an old-style cast
        return SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                        const_cast<char*>(options_.server_name.c_str())) == 1;
    }

    void close_socket() {
        ssl_.reset();
        if (socket_ >= 0) close(socket_);
        socket_ = -1;
    }

    void count(Tally& tally) const {
        const std::chrono::duration<double, std::micro> took = Clock::now() - start_;
        tally.latencies_us.push_back(took.count());
    }

    void fail(Tally& tally) {
        ++tally.failures;
        close_socket();
        phase_ = Phase::kPaused;
        paused_until_ = Clock::now() + kPauseAfterFailure;
    }

    bool must_wait(int result) const {
        const int error = SSL_get_error(ssl_.get(), result);
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
    }

    void advance_handshake(Tally& tally) {
        const int result = SSL_connect(ssl_.get());
        if (result != 1) {
            if (!must_wait(result)) fail(tally);
            return;
        }
        phase_ = Phase::kReady;
        if (options_.mode == Mode::kRequests) return;
        count(tally);
        SSL_shutdown(ssl_.get());
        open();
    }

    void advance_answer(Tally& tally) {
        char buffer[16 * 1024];
        for (;;) {
            const int got = SSL_read(ssl_.get(), buffer, sizeof buffer);
            if (got <= 0 && !must_wait(got)) return fail(tally);
            if (got <= 0) return;
            answer_.append(buffer, static_cast<std::size_t>(got));
            if (!answer_is_complete(tally)) continue;
            count(tally);
            ask();
        }
    }

    bool answer_is_complete(Tally& tally) const {
        const std::size_t head_end = answer_.find("\r\n\r\n");
        require(head_end != std::string::npos || answer_.size() < kMaxHeadBytes, "endless head");
        if (head_end == std::string::npos) return false;
        require(answer_.starts_with("HTTP/1.1 200 "), "the answer is not 200");
        std::string head = answer_.substr(0, head_end + 2);
        std::ranges::transform(head, head.begin(), [](unsigned char c) { return std::tolower(c); });
        const std::size_t at = head.find(kLengthField);
        require(at != std::string::npos, "an answer without Content-Length");
        const char* digits = head.data() + at + kLengthField.size();
        std::size_t body = 0;
        require(std::from_chars(digits, head.data() + head.size(), body).ec == std::errc(),
                "a malformed Content-Length");
        tally.body_bytes = body;
        return answer_.size() >= head_end + 4 + body;
    }

    const Options& options_;
    SSL_CTX* context_;
    int epoll_;
    int socket_ = -1;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
    Phase phase_ = Phase::kPaused;
    Clock::time_point start_, paused_until_;
    std::string request_, answer_;
};

class Load {
  public:
    explicit Load(const Options& options)
        : options_(options), context_(make_context(options.mode)), epoll_(epoll_create1(0)) {
        require(epoll_ >= 0, "no epoll");
        for (unsigned i = 0; i < options.concurrency; ++i)
            connections_.push_back(std::make_unique<Connection>(options_, context_.get(), epoll_));
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() {
        connections_.clear();
        close(epoll_);
    }

    void run() {
        for (auto& connection : connections_) connection->open();
        if (options_.mode == Mode::kRequests) start_requests();
        const auto start = Clock::now();
        const std::chrono::duration<double> limit(options_.seconds);
        while (Clock::now() - start < limit) turn();
        const std::chrono::duration<double> took = Clock::now() - start;
        report(took.count());
    }

  private:
    void turn() {
        epoll_event events[64];
        const int count = epoll_wait(epoll_, events, 64, 10);
        for (int i = 0; i < count; ++i)
            static_cast<Connection*>(events[i].data.ptr)->advance(tally_);
        const auto now = Clock::now();
        for (auto& connection : connections_)
            if (connection->has_rested(now)) connection->open();
    }

    void start_requests() {
        const auto give_up = Clock::now() + kWarmUpLimit;
        const auto ready = [](const auto& connection) { return connection->is_ready(); };
        while (!std::ranges::all_of(connections_, ready)) {
            turn();
            require(Clock::now() < give_up, "the handshakes do not finish");
        }
        tally_ = {};
        for (auto& connection : connections_) connection->ask();
    }

    void report(double seconds) {
        std::vector<double>& all = tally_.latencies_us;
        std::ranges::sort(all);
        const auto at = [&](double share) {
            return all.empty() ? 0 : all[static_cast<std::size_t>(share * double(all.size() - 1))];
        };
        std::printf(
            "{\"operations\": %zu, \"failures\": %llu, \"seconds\": %.4f, \"p50_us\": %.1f, "
            "\"p99_us\": %.1f, \"body_bytes\": %zu}\n",
            all.size(), static_cast<unsigned long long>(tally_.failures), seconds, at(0.5),
            at(0.99), tally_.body_bytes);
    }

    const Options& options_;
    Context context_;
    int epoll_;
    std::vector<std::unique_ptr<Connection>> connections_;
    Tally tally_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Load for an HTTPS server on 127.0.0.1; verifies nothing.");
    const std::map<std::string, Mode> modes{{"handshakes", Mode::kHandshakes},
                                            {"challenges", Mode::kChallenges},
                                            {"requests", Mode::kRequests}};
    app.add_option("mode", options.mode, "handshakes, challenges or requests")
        ->required()
        ->transform(CLI::CheckedTransformer(modes));
    app.add_option("--port", options.port)->required();
    app.add_option("--server-name", options.server_name)->required();
    app.add_option("--path", options.path)->capture_default_str();
    app.add_option("--concurrency", options.concurrency)->check(CLI::Range(1, 1000));
    app.add_option("--seconds", options.seconds)->check(CLI::Range(0.05, 60.0));
    CLI11_PARSE(app, argc, argv);
    try {
        Load(options).run();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "https-load: %s\n", error.what());
        return 1;
    }
}
