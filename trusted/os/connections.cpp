// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/connections.h"

#include <algorithm>
#include <utility>

#include "trusted/os/plain_connection.h"
#include "trusted/os/socket_stream.h"

namespace eos::os {
namespace {

/// How long a connection that is over may take to send what is queued, and then to see it read: a
/// socket that is closed with unread input takes the answer back. What a client has sent before it
/// could see the answer fits in its system's send buffer and our receive buffer (Linux: 4 and 6 MiB
/// at most, by default); dropping that much costs little.
constexpr std::uint64_t kFlushMs = 5'000;
constexpr std::uint64_t kLingerMs = 2'000;      ///< since the last bytes came
constexpr std::uint64_t kLingerMaxMs = 10'000;  ///< in all
constexpr std::size_t kLingerBytes = 16 * 1024 * 1024;
constexpr int kPumps = 16;

// The end of the input is heard of also while none is read: somebody may be working for whoever has
// left. Whoever reads hears of both at once, so this costs no call.
constexpr std::uint32_t kInput = EPOLLIN | EPOLLRDHUP;

}  // namespace

class Connections::Row final : public EventHandler {
    /// What runs above the stream, from Phase::open on.
    template <typename Function>
    auto with_inner(Function function) {
        return plain_ ? function(*plain_) : function(*connection_);
    }
    template <typename Function>
    auto with_inner(Function function) const {
        return plain_ ? function(*plain_) : function(*connection_);
    }

  public:
    Row(Connections& owner, std::uint64_t id, UniqueFd fd, ReadPreface preface)
        : owner_(owner), id_(id), preface_(preface), stream_(std::move(fd)) {
        owner_.loop_.add(stream_.fd(), interest_, *this);
    }
    ~Row() override { owner_.loop_.remove(stream_.fd(), *this); }

    /// Waits for the preface, whose sender is `peer`.
    void await_preface(const ByteArray<16>& peer, std::uint64_t now_ms) {
        peer_address_ = peer;
        deadline_ms_ = now_ms + kPrefaceMs;
    }

    /// Begins with TLS. The client was admitted.
    void open(const ByteArray<16>& client_address) {
        peer_address_ = client_address;
        is_admitted_ = true;
        phase_ = Phase::open;
        connection_.emplace(owner_.tls_.accept(), owner_.services_, stream_,
                            network_of(client_address), [this] { owner_.touch(*this); });
        connection_->set_client_address(client_address);
    }

    /// Begins with the protocol.
    void open_plain() {
        phase_ = Phase::open;
        plain_ = std::make_unique<PlainConnection>(owner_.services_, stream_,
                                                   [this] { owner_.touch(*this); });
    }

    void on_events(std::uint32_t events) override {
        owner_.touch(*this);
        if (phase_ == Phase::lingering) return linger();
        if ((events & EPOLLOUT) != 0) {
            stream_.flush();
            if (phase_ == Phase::open && !stream_.is_broken())
                with_inner([](auto& inner) { inner.writable(); });
        }
        bool readable = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        if (phase_ <= Phase::open && readable) read();
        if ((events & EPOLLRDHUP) != 0) note_end();
        // Nobody is there any more, and nothing can be sent.
        if ((events & (EPOLLERR | EPOLLHUP)) != 0) stream_.abort();
    }

    /// Goes as far as it gets.
    /// returns: whether it is over for good.
    bool settle(std::uint64_t now_ms) {
        if (phase_ == Phase::open) with_inner([](auto& inner) { inner.carry_on(); });
        pump();
        if (phase_ == Phase::open && (is_over() || stream_.is_closed())) {
            phase_ = Phase::flushing;
            deadline_ms_ = now_ms + kFlushMs;
        }
        if (phase_ == Phase::flushing && !stream_.needs_flush() && !stream_.is_broken()) {
            stream_.shut_down();
            phase_ = Phase::lingering;
            linger_end_ms_ = now_ms + kLingerMaxMs;
            deadline_ms_ = now_ms + kLingerMs;
        }
        if (phase_ == Phase::lingering && std::exchange(has_discarded_, false)) {
            deadline_ms_ = std::min(now_ms + kLingerMs, linger_end_ms_);
        }
        if (stream_.is_broken()) return true;
        if (phase_ != Phase::open && now_ms >= deadline_ms_) return true;
        if (phase_ == Phase::lingering && stream_.has_ended()) return true;
        update_interest();
        return false;
    }

    void tick(std::uint64_t now_ms) {
        if (phase_ != Phase::open) return;
        std::optional<std::uint64_t> due = next_deadline_ms();
        if (due && *due <= now_ms) with_inner([](auto& inner) { inner.tick(); });
    }

    std::optional<std::uint64_t> next_deadline_ms() const {
        if (phase_ != Phase::open) return deadline_ms_;
        return with_inner([](auto& inner) { return inner.next_deadline_ms(); });
    }

    /// Null while the preface is awaited, and without TLS.
    runtime::ServerConnection* connection() { return connection_ ? &*connection_ : nullptr; }
    /// Lets what is under way end; stops waiting for a preface.
    void drain(std::uint64_t drain_ms) {
        if (phase_ == Phase::preface) return stream_.abort();
        with_inner([drain_ms](auto& inner) { inner.drain(drain_ms); });
    }
    const ByteArray<16>& peer_address() const { return peer_address_; }
    bool is_admitted() const { return is_admitted_; }
    bool has_failed() const {
        const bool is_open = plain_ != nullptr || (connection_ && connection_->info().has_value());
        return !is_open && !is_refused_;
    }
    bool is_draining() const { return connection_ && connection_->is_draining(); }

    std::uint64_t id() const { return id_; }

    std::optional<std::uint64_t> timer_ms;
    bool is_touched = false;
    bool counts_as_draining = false;

  private:
    enum class Phase : std::uint8_t { preface, open, flushing, lingering };

    bool is_over() const {
        return with_inner([](auto& inner) { return inner.is_over(); });
    }

    void read() {
        ByteView bytes = stream_.receive(owner_.scratch_);
        if (phase_ == Phase::preface) {
            read_preface(bytes);
            if (stream_.has_ended() && phase_ == Phase::preface) stream_.abort();
        } else if (!bytes.empty()) {
            with_inner([bytes](auto& inner) { inner.receive(bytes); });
        }
        if (stream_.has_ended() && phase_ == Phase::open)
            with_inner([](auto& inner) { inner.input_ended(); });
    }

    /// The peer's half has ended, however much of it waits to be read.
    void note_end() {
        if (phase_ == Phase::preface || std::exchange(has_end_, true)) return;
        if (phase_ == Phase::open) with_inner([](auto& inner) { inner.peer_left(); });
    }

    void read_preface(ByteView bytes) {
        append(preface_bytes_, bytes);
        const auto preface = preface_(preface_bytes_);
        const bool is_waiting = preface && !*preface;
        if (is_waiting && preface_bytes_.size() < kMaxPrefaceBytes) return;
        if (!preface || is_waiting) return stream_.abort();
        is_refused_ = !owner_.admit((*preface)->client.value_or(peer_address_));
        if (is_refused_) return stream_.abort();
        const std::size_t size = (*preface)->size;
        const Bytes received = std::exchange(preface_bytes_, {});
        open((*preface)->client.value_or(peer_address_));
        stream_.consumed(size);
        if (received.size() > size) connection_->receive(ByteView(received).subspan(size));
    }

    /// Sends, and lets the connection go on wherever that made room. What is left after kPumps
    /// rounds waits for EPOLLOUT, so that one connection does not hold up the others.
    void pump() {
        for (int i = 0; i < kPumps && stream_.needs_flush(); ++i) {
            stream_.flush();
            if (stream_.needs_flush() || stream_.is_broken() || phase_ != Phase::open) return;
            with_inner([](auto& inner) { inner.writable(); });
        }
    }

    void linger() {
        const std::size_t discarded = stream_.discard();
        has_discarded_ |= discarded > 0;
        lingered_bytes_ += discarded;
        if (lingered_bytes_ > kLingerBytes) stream_.abort();
    }

    void update_interest() {
        bool reads = phase_ == Phase::lingering ? !stream_.has_ended()
                                                : phase_ <= Phase::open && stream_.wants_input();
        std::uint32_t wanted = (reads ? kInput : 0U) | (has_end_ ? 0U : EPOLLRDHUP) |
                               (stream_.needs_flush() ? EPOLLOUT : 0U);
        if (wanted == interest_) return;
        interest_ = wanted;
        owner_.loop_.modify(stream_.fd(), interest_, *this);
    }

    Connections& owner_;
    const std::uint64_t id_;
    const ReadPreface preface_;
    ByteArray<16> peer_address_{};  ///< the client's, as far as is known
    SocketStream stream_;
    std::optional<runtime::ServerConnection> connection_;
    std::unique_ptr<PlainConnection> plain_;  ///< in its place, without TLS
    Bytes preface_bytes_;
    Phase phase_ = Phase::preface;
    bool is_admitted_ = false;
    bool is_refused_ = false;  ///< for the limit of one address
    bool has_end_ = false;     ///< of the peer's half: it was told, read or not
    std::uint32_t interest_ = kInput;
    std::uint64_t deadline_ms_ = 0;
    std::uint64_t linger_end_ms_ = 0;
    std::size_t lingered_bytes_ = 0;
    bool has_discarded_ = false;  ///< since the last settle()
};

ByteArray<16> network_of(const ByteArray<16>& address) {
    const bool is_v4 = all_zero(ByteView(address).first(10)) && address[10] == std::byte{0xff} &&
                       address[11] == std::byte{0xff};
    ByteArray<16> out = address;
    if (!is_v4) std::fill(out.begin() + 8, out.end(), std::byte{0});
    return out;
}

Connections::Connections(EventLoop& loop, const ratls::ServerContext& tls,
                         runtime::ConnectionServices& services, Limits limits)
    : loop_(loop),
      tls_(tls),
      services_(services),
      limits_(limits),
      scratch_(SocketStream::kWindowBytes) {}

Connections::~Connections() = default;

/// Counts a client, or refuses it if its network has too many connections.
bool Connections::admit(const ByteArray<16>& client_address) {
    std::size_t& count = per_address_[network_of(client_address)];
    if (count < limits_.per_address) {
        ++count;
        return true;
    }
    ++counters_.refused_per_address;
    return false;
}

void Connections::accepted(UniqueFd fd, const ByteArray<16>& peer_address, ReadPreface preface) {
    if (!has_room() || (preface == nullptr && !admit(peer_address))) return;
    Row& row = add(std::move(fd), preface);
    if (preface == nullptr) {
        row.open(peer_address);
    } else {
        row.await_preface(peer_address, services_.clock().monotonic_ms());
    }
    touch(row);
}

void Connections::accepted_plain(UniqueFd fd) {
    if (!has_room()) return;
    Row& row = add(std::move(fd), nullptr);
    row.open_plain();
    touch(row);
}

bool Connections::has_room() {
    if (accepting_ && rows_.size() < limits_.in_all) return true;
    ++counters_.refused_in_all;
    return false;
}

Connections::Row& Connections::add(UniqueFd fd, ReadPreface preface) {
    ++counters_.opened;
    const std::uint64_t id = ++last_id_;
    return *rows_.emplace(id, std::make_unique<Row>(*this, id, std::move(fd), preface))
                .first->second;
}

void Connections::touch(Row& row) {
    if (std::exchange(row.is_touched, true)) return;
    touched_.push_back(&row);
}

/// in: a row that is settled: it stays touched, so that what dies in it may still say that it
///     changed.
void Connections::forget(Row& row) {
    if (row.has_failed()) ++counters_.handshakes_failed;
    if (row.counts_as_draining) --draining_;
    cancel_timer(row);
    if (row.is_admitted()) {
        auto of_address = per_address_.find(network_of(row.peer_address()));
        if (--of_address->second == 0) per_address_.erase(of_address);
    }
    rows_.erase(row.id());
}

void Connections::settle(Row& row) {
    if (row.settle(services_.clock().monotonic_ms())) return forget(row);
    row.is_touched = false;
    note_draining(row);
    reschedule(row);
}

void Connections::note_draining(Row& row) {
    if (row.counts_as_draining || !row.is_draining()) return;
    row.counts_as_draining = true;
    ++draining_;
}

// Timers are only moved forward lazily: an entry that fires too early looks again.
void Connections::reschedule(Row& row) {
    std::optional<std::uint64_t> next = row.next_deadline_ms();
    if (!next || (row.timer_ms && *row.timer_ms <= *next)) return;
    cancel_timer(row);
    row.timer_ms = next;
    timers_.emplace(*next, row.id());
}

void Connections::cancel_timer(Row& row) {
    if (row.timer_ms) timers_.erase({*row.timer_ms, row.id()});
    row.timer_ms.reset();
}

void Connections::turn() {
    const std::uint64_t now_ms = services_.clock().monotonic_ms();
    while (!timers_.empty() && timers_.begin()->first <= now_ms) {
        Row& row = *rows_.at(timers_.begin()->second);
        cancel_timer(row);
        touch(row);
        row.tick(now_ms);
    }
    for (Row* row : std::exchange(touched_, {})) settle(*row);
}

std::optional<std::uint64_t> Connections::next_deadline_ms() const {
    // Settling may have made something possible at once.
    if (!touched_.empty()) return 0;
    if (timers_.empty()) return std::nullopt;
    return timers_.begin()->first;
}

void Connections::served_changed(const runtime::Served& served, std::uint64_t drain_ms) {
    for (auto& [id, row] : rows_) {
        if (row->connection() != nullptr) row->connection()->served_changed(served, drain_ms);
    }
}

void Connections::drain_all(std::uint64_t drain_ms) {
    accepting_ = false;
    for (auto& [id, row] : rows_) {
        row->drain(drain_ms);
        touch(*row);
    }
}

}  // namespace eos::os
