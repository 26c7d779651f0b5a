// SPDX-License-Identifier: AGPL-3.0-only
// A trusted side for the daemon's tests, in no release: echoes what clients send. A line that
// starts with '!' is a command that makes it ask the host for something, or break a rule.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "boundary/credit.h"
#include "boundary/endpoint.h"
#include "boundary/host_futex.h"
#include "boundary/time_page.h"
#include "common/base/assert.h"

namespace {

using namespace eos;
using namespace eos::boundary;

constexpr int kBlockFd = 3;
constexpr int kNotifyFd = 4;
constexpr std::uint32_t kDeadlineMs = 20'000;

class Signals : public TrustedSignals {
  public:
    explicit Signals(const Layout& layout) : layout_(layout) {}
    void wait(unsigned worker, std::uint32_t expected, std::uint32_t timeout_ms) override {
        futex_wait(layout_.trusted_bell(worker).sequence, expected, timeout_ms);
    }
    void notify(unsigned /*worker*/) override {
        const std::uint64_t one = 1;
        EOS_ASSERT(::write(kNotifyFd, &one, sizeof(one)) == sizeof(one));
    }

  private:
    const Layout& layout_;
};

template <typename T>
T claim(FromHost<T>&& value) {
    return std::move(value).take_unverifiable("a test program believes its host");
}

struct Client {
    SendWindow to_host;
    ReceiveWindow from_host;
    Bytes waiting;
    bool ended = false;  // no more comes from it
    std::size_t unconsumed = 0;
    bool muted = false;  // a command: stop taking its bytes, grant no credit
};

class Worker {
  public:
    /// `busy`: how many workers have not finished yet; the last one ends the program.
    Worker(const Layout& layout, unsigned number, Signals& signals, std::atomic<unsigned>& busy)
        : layout_(layout), end_(layout, number, signals), time_(layout.time()), busy_(busy) {}

    void run() {
        send(Status{.not_ready_because = 0, .connection_count = 0, .app_count = 7});
        while (true) {
            while (auto message = must(end_.receive_data())) {
                std::visit([this](auto& m) { on(claim(std::move(m))); }, *message);
            }
            while (auto message = must(end_.receive_rpc())) {
                std::visit([this](auto& m) { on(claim(std::move(m))); }, *message);
            }
            for (auto& [id, client] : clients_) {
                flush(id, client);
                grant(id, client);
            }
            finish_ended();
            if (stopping_ && clients_.empty() && !done_) {
                done_ = true;
                if (--busy_ == 0) leave(Exit::Why::kRequested, 0);
            }
            end_.wait(kNoTimeout, [] { return false; });
        }
    }

  private:
    template <typename T>
    static T must(Result<T> result) {
        if (!result) {
            std::fprintf(stderr, "test runner: %s\n", result.error().message().c_str());
            std::_Exit(99);
        }
        return *std::move(result);
    }

    template <typename Message>
    void send(const Message& message) {
        using Any =
            std::conditional_t<std::is_constructible_v<RpcToHost, Message>, RpcToHost, DataToHost>;
        while (must(end_.send(Any(message))) == Push::kFull) {
            end_.wait(kNoTimeout, [] { return false; });
        }
    }

    [[noreturn]] void leave(Exit::Why why, int code) {
        send(Exit{why});
        end_.flush();
        std::_Exit(code);
    }

    void on(const ConnOpened& m) { clients_[m.conn_id]; }

    void on(const ConnData& m) {
        auto found = clients_.find(m.conn_id);
        if (found == clients_.end()) return;
        Client& client = found->second;
        must(client.from_host.arrived(m.bytes.size()));
        if (client.muted || client.ended) return;  // what follows "!close" is not heard any more
        const std::string text = to_string(m.bytes);
        if (text.starts_with('!')) {
            const std::size_t end = text.find('\n');
            command(m.conn_id, client, text.substr(1, end - 1));
            const bool wants_more = !client.muted && !client.ended && end != text.npos;
            if (wants_more) append(client.waiting, m.bytes.subspan(end + 1));
        } else {
            append(client.waiting, m.bytes);
        }
        client.unconsumed += m.bytes.size();  // until the echo has gone out
    }

    void on(const ConnCredit& m) {
        auto found = clients_.find(m.conn_id);
        if (found == clients_.end()) return;
        must(found->second.to_host.credited(m.bytes));
    }

    void on(const ConnEnded& m) {
        auto found = clients_.find(m.conn_id);
        if (found == clients_.end()) return;
        if (m.why == ConnEnded::Why::kEndOfStream) {
            found->second.ended = true;
        } else {
            clients_.erase(found);
        }
    }

    void on(const Reply& reply) {
        auto asker = asked_.extract(reply.request_id);
        EOS_ASSERT(!asker.empty());
        auto found = clients_.find(asker.mapped());
        if (found == clients_.end()) return;
        append(found->second.waiting, as_bytes(describe(reply) + "\n"));
    }

    void on(const Shutdown& /*m*/) {
        if (ignore_shutdown_) return;
        stopping_ = true;
        for (auto& [id, client] : clients_) client.ended = true;
    }

    static std::string describe(const Reply& reply) {
        if (const auto* failed = std::get_if<Failed>(&reply.body)) {
            return "failed " + std::to_string(static_cast<int>(failed->why));
        }
        if (const auto* value = std::get_if<BlobValue>(&reply.body)) {
            return value->value ? "value " + to_string(*value->value) : "no value";
        }
        if (const auto* keys = std::get_if<BlobKeys>(&reply.body)) {
            return "keys " + std::to_string(keys->keys.size());
        }
        if (const auto* quote = std::get_if<QuoteReply>(&reply.body)) {
            return "quote " + std::to_string(quote->quote.size());
        }
        return std::holds_alternative<TargetInfoReply>(reply.body) ? "target info" : "done";
    }

    RequestHead head_for(std::uint64_t id) {
        asked_[++last_request_] = id;
        return {last_request_, kDeadlineMs};
    }

    void command(std::uint64_t id, Client& client, const std::string& line) {
        const std::string word = line.substr(0, line.find(' '));
        const std::string rest = line.size() > word.size() ? line.substr(word.size() + 1) : "";
        if (word == "quote") send(QuoteRequest{.head = head_for(id)});
        if (word == "target") send(TargetInfoRequest{head_for(id)});
        if (word == "get") send(BlobGet{head_for(id), rest});
        if (word == "list") send(BlobList{head_for(id), rest, ""});
        if (word == "put") put(id, rest);
        if (word == "expire") send(Status{.not_ready_because = 0, .leaf_not_after_s = 1});
        if (word == "log") send(Log{.code = 1, .numbers = {.count = 1, .values = {42}}});
        if (word == "time") tell_time(client);
        if (word == "mute") client.muted = true;
        if (word == "close") client.ended = true;
        if (word == "abort") send(ConnClose{id, ConnClose::How::kAbort});
        if (word == "ignore-shutdown") ignore_shutdown_ = true;
        if (word == "die") std::abort();
        if (word == "exit") std::_Exit(std::atoi(rest.c_str()));
        if (word == "refuse-state") leave(Exit::Why::kStateRefused, 0);
        if (word == "forge-id") send(ConnClose{id + 1'000'000, ConnClose::How::kAbort});
        if (word == "overrun") overrun(id);
        if (word == "overcredit") send(ConnCredit{id, kConnWindowBytes});
        if (word == "other-worker") send(ConnClose{id + 1, ConnClose::How::kAbort});
        if (word == "after-close") send_after_close(id);
        if (word == "bad-frame") bad_frame();
        if (word == "bad-ring") bad_ring();
    }

    void put(std::uint64_t id, const std::string& pair) {
        const std::size_t space = pair.find(' ');
        send(BlobWriteBatch{
            .head = head_for(id),
            .durability = BlobWriteBatch::Durability::kSynced,
            .writes = {{pair.substr(0, space),
                        to_bytes(as_bytes(std::string_view(pair).substr(space + 1)))}}});
    }

    void tell_time(Client& client) {
        const HostTime time = claim(*time_.read());
        append(client.waiting, as_bytes(std::to_string(time.wall_ns / 1'000'000'000) + "\n"));
    }

    void send_after_close(std::uint64_t id) {
        send(ConnClose{id, ConnClose::How::kAfterFlush});
        send(ConnClose{id, ConnClose::How::kAbort});
    }

    // A type that no message of this ring has; no endpoint would send it.
    void bad_frame() {
        end_.flush();
        RingMemory ring = layout_.ring(end_.worker(), RingId::kDataOut);
        const std::uint64_t position = std::atomic_ref(*ring.produced).load();
        ring.words[position / 8 % ring.words.size()] = std::uint64_t{0xbad} << 32;
        std::atomic_ref(*ring.produced).store(position + kFrameHeaderBytes);
    }

    // A position that cannot be.
    void bad_ring() {
        end_.flush();
        RingMemory ring = layout_.ring(end_.worker(), RingId::kRpcOut);
        std::atomic_ref(*ring.produced).store(~std::uint64_t{7});
    }

    // Sends more than the window allows.
    void overrun(std::uint64_t id) {
        const Bytes bytes(kMaxConnDataBytes, std::byte{'x'});
        for (int i = 0; i < 3; ++i) send(ConnData{id, bytes});
    }

    void flush(std::uint64_t id, Client& client) {
        std::size_t sent = 0;
        while (sent < client.waiting.size() && client.to_host.available() > 0) {
            const ByteView rest = ByteView(client.waiting).subspan(sent);
            const std::size_t size =
                std::min({rest.size(), client.to_host.available(), kMaxConnDataBytes});
            send(ConnData{id, rest.first(size)});
            client.to_host.sent(size);
            sent += size;
        }
        client.waiting.erase(client.waiting.begin(),
                             client.waiting.begin() + static_cast<std::ptrdiff_t>(sent));
    }

    void grant(std::uint64_t id, Client& client) {
        if (client.muted || !client.waiting.empty()) return;
        const std::uint32_t credit = client.from_host.consumed(std::exchange(client.unconsumed, 0));
        if (credit > 0) send(ConnCredit{id, credit});
    }

    void finish_ended() {
        std::erase_if(clients_, [this](const auto& entry) {
            if (!entry.second.ended || !entry.second.waiting.empty()) return false;
            send(ConnClose{entry.first, ConnClose::How::kAfterFlush});
            return true;
        });
    }

    const Layout& layout_;
    TrustedWorkerEndpoint end_;
    TimePageReader time_;
    std::map<std::uint64_t, Client> clients_;
    std::map<std::uint64_t, std::uint64_t> asked_;  // request id -> connection
    std::uint64_t last_request_ = 0;
    std::atomic<unsigned>& busy_;
    bool stopping_ = false;
    bool done_ = false;
    bool ignore_shutdown_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1 && std::string(argv[1]) == "--exit-at-once") {
        std::fputs("test runner: as you wish \x1b[0m", stderr);
        return 7;
    }
    struct stat info{};
    EOS_ASSERT(::fstat(kBlockFd, &info) == 0);
    const auto size = static_cast<std::size_t>(info.st_size);
    void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, kBlockFd, 0);
    EOS_ASSERT(base != MAP_FAILED);
    auto layout = Layout::open({static_cast<std::byte*>(base), size});
    EOS_ASSERT(layout.has_value());
    Signals signals(*layout);
    std::atomic<unsigned> busy = layout->worker_count();
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < layout->worker_count(); ++i) {
        threads.emplace_back([&, i] { Worker(*layout, i, signals, busy).run(); });
    }
    for (std::thread& thread : threads) thread.join();
}
