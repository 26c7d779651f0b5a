// SPDX-License-Identifier: AGPL-3.0-only
// Clients of the load program: connections to one server, each in one of the modes. They verify
// nothing: they measure.
#pragma once

#include <openssl/ssl.h>
#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace eos::bench {

using Clock = std::chrono::steady_clock;

/// What is counted.
enum class Mode : std::uint8_t { kHandshakes, kChallenges, kRequests, kHold };

/// What is asked for, and for how long.
struct Options {
    Mode mode = Mode::kHandshakes;
    std::uint16_t port = 0;
    std::string server_name;
    std::string path = "/healthz";
    unsigned concurrency = 1;
    unsigned streams = 0;  ///< of a connection that speaks HTTP/2; 0: HTTP/1.1
    double seconds = 1;
};

/// What came of it.
struct Tally {
    std::vector<double> latencies_us;
    std::uint64_t failures = 0;
    std::uint64_t body_bytes = 0;  ///< of the last answer

    void count(Clock::time_point start) {
        const std::chrono::duration<double, std::micro> took = Clock::now() - start;
        latencies_us.push_back(took.count());
    }
};

inline void require(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(what);
}

/// TLS as this load speaks it.
using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
Context make_context(const Options& options);

/// What is said over a connection whose handshake is done.
class Talk {
  public:
    virtual ~Talk() = default;
    /// Begins to ask, and goes on asking until the connection ends.
    virtual void start() = 0;
    /// Takes what was received.
    /// returns: false if the server ended the connection in good order, so that another is due.
    virtual bool receive(std::string_view plaintext, Tally& tally) = 0;
};

/// Where a Talk writes to.
class TalkSink {
  public:
    virtual ~TalkSink() = default;
    virtual void write(std::string_view plaintext) = 0;
};

/// GETs of Options::path, one after the other, or Options::streams at the same time.
std::unique_ptr<Talk> make_http1_talk(const Options& options, TalkSink& sink);
std::unique_ptr<Talk> make_http2_talk(const Options& options, TalkSink& sink);

/// One client. It opens connection after connection (handshakes, challenges), or keeps one.
class Connection final : private TalkSink {
  public:
    /// All outlive it.
    Connection(const Options& options, SSL_CTX* context, int epoll)
        : options_(options), context_(context), epoll_(epoll) {}
    ~Connection() override { close_socket(); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void open();
    /// Does what can be done without waiting; counts what it finishes.
    void advance(Tally& tally);
    /// Whether the handshake is done, and nothing was said yet.
    bool is_ready() const { return phase_ == Phase::kReady; }
    bool has_rested(Clock::time_point now) const {
        return phase_ == Phase::kPaused && now >= paused_until_;
    }
    void talk();

  private:
    enum class Phase : std::uint8_t { kHandshake, kReady, kTalk, kPaused };

    void write(std::string_view plaintext) override;
    void flush();
    void bind_source() const;
    void close_socket();
    void fail(Tally& tally);
    bool must_wait(int result) const;
    void advance_handshake(Tally& tally);
    void advance_talk(Tally& tally);

    const Options& options_;
    SSL_CTX* context_;
    int epoll_;
    int socket_ = -1;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, SSL_free};
    std::unique_ptr<Talk> talk_;
    std::string output_;  ///< that the socket did not take
    Phase phase_ = Phase::kPaused;
    bool is_talking_ = false;  ///< also on the connections that follow
    Clock::time_point start_, paused_until_;
};

}  // namespace eos::bench
