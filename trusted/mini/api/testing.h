// SPDX-License-Identifier: AGPL-3.0-only
// For tests: one worker's routes over a control plane in memory, asked in HTTP.
#pragma once

#include <atomic>
#include <deque>
#include <string>
#include <string_view>

#include "common/base/codec.h"
#include "trusted/mini/api/app_manifest.h"
#include "trusted/mini/api/context.h"
#include "trusted/mini/control/testing.h"
#include "trusted/runtime/http_test_peer.h"

namespace eos::mini::testing {

/// A module that does nothing; another one for every remark.
inline Bytes idle_module(std::string_view remark = "") {
    Bytes out = *from_hex(
        "0061736d01000000010401600000030201000"
        "70a01065f737461727400000a040102000b");
    if (remark.empty()) return out;
    append(out, std::move(Writer()
                              .u8(0)
                              .u8(static_cast<std::uint8_t>(remark.size() + 2))
                              .u8(1)
                              .text("r")
                              .text(remark))
                    .take());
    return out;
}

/// A module that never ends.
inline Bytes endless_module() {
    return *from_hex(
        "0061736d01000000010401600000030201000"
        "70a01065f737461727400000a09010700034"
        "00c000b0b");
}

/// u32be size ‖ JSON ‖ modules.
inline std::string upload(const std::string& manifest, const std::vector<Bytes>& modules) {
    Bytes body =
        std::move(Writer().u32be(static_cast<std::uint32_t>(manifest.size())).text(manifest))
            .take();
    for (const Bytes& module : modules) append(body, module);
    return to_string(body);
}

/// Who asks.
enum class Caller { kNobody, kStranger, kOwner };

/// Runs what is posted to either worker when run() is called.
class LocalPort final : public ControlPort {
  public:
    explicit LocalPort(ControlRig& rig) : rig_(rig) {}
    const SnapshotPtr& snapshot() const override { return rig_.control->snapshot(); }
    void on_control(std::move_only_function<void(Control&)> question) override {
        tasks.push_back(
            [this, question = std::move(question)]() mutable { question(*rig_.control); });
    }
    void back_here(std::move_only_function<void()> task) override {
        tasks.push_back(std::move(task));
    }
    void run() {
        while (!tasks.empty()) {
            auto task = std::move(tasks.front());
            tasks.pop_front();
            task();
        }
    }
    std::deque<std::move_only_function<void()>> tasks;

  private:
    ControlRig& rig_;
};

/// One connection and the client at its other end.
class ApiPeer {
  public:
    ApiPeer(runtime::ConnectionInfo info, runtime::RequestDispatcher& routes,
            const runtime::Clock& clock)
        : name_(info.server_name.empty() ? "localhost" : info.server_name),
          info_(std::move(info)),
          connection_(std::make_unique<runtime::Http1Connection>(
              info_, runtime::Http1Connection::Parts{sink, routes, clock},
              runtime::Http1Limits{})) {}

    /// "GET /path", fields that each end with "\r\n", and a body.
    void send(std::string_view start, std::string_view fields = "", std::string_view body = "") {
        std::string text =
            std::string(start) + " HTTP/1.1\r\nHost: " + name_ + "\r\n" + std::string(fields);
        if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
        text += "\r\n";
        text += body;
        more(text);
    }
    /// What is sent after that.
    void more(std::string_view text) {
        ByteView rest = as_bytes(text);
        while (!rest.empty() && !is_over() && connection_->wants_input())
            rest = rest.subspan(connection_->receive(rest));
    }
    void turn() {
        while (!is_over() && std::exchange(sink.woken, false)) connection_->writable();
    }
    bool is_over() const { return sink.finished || sink.aborted; }
    runtime::Http1Connection& connection() { return *connection_; }
    void hang_up() { connection_.reset(); }

    runtime::FakeSink sink;

  private:
    std::string name_;
    const runtime::ConnectionInfo info_;
    std::unique_ptr<runtime::Http1Connection> connection_;
};

/// The routes of one worker, over a provisioned control plane unless `start()` alone is called.
struct ApiRig : ControlRig {
    ApiRig() {
        context.facts.assurance = "process";
        add_all_routes(router, context);
    }

    void start_owned() {
        start();
        ASSERT_TRUE(provision({}).has_value());
    }

    runtime::ConnectionInfo to_platform(Caller caller) const {
        runtime::ConnectionInfo info;
        if (control->snapshot()->stage == Stage::kOwned) info.server_name = kPlatform;
        info.is_bound = caller != Caller::kNobody;
        if (caller == Caller::kOwner) info.client_key_hash = op.owner.spki_hash();
        if (caller == Caller::kStranger) info.client_key_hash = crypto::Digest32{};
        return info;
    }
    runtime::ConnectionInfo to_app(const std::string& name) const {
        runtime::ConnectionInfo info;
        info.server_name = name + ".example.test";
        info.kind = runtime::NameKind::kApp;
        info.app = name;
        return info;
    }

    /// The same without challenge; its exporter gives `exporter` for every context.
    runtime::ConnectionInfo attested(runtime::ConnectionInfo info,
                                     std::uint8_t exporter = 7) const {
        info.is_bound = false;
        auto epoch = control->snapshot()->served->find("")->epoch;
        info.channel = std::make_shared<runtime::ChannelEnd>(
            epoch, [exporter](const ByteArray<32>& asked) -> Result<ratls::ChannelBinding> {
                ratls::ChannelBinding out{asked, {}};
                out.exporter.fill(std::byte{exporter});
                return out;
            });
        return info;
    }

    std::unique_ptr<ApiPeer> connect(runtime::ConnectionInfo info) {
        return std::make_unique<ApiPeer>(std::move(info), router, clock);
    }
    /// Lets everything happen that can.
    void settle(ApiPeer& peer) {
        peer.turn();
        while (!port.tasks.empty()) {
            port.run();
            peer.turn();
        }
    }
    runtime::ReadResponse ask(runtime::ConnectionInfo info, std::string_view start,
                              std::string_view fields = "", std::string_view body = "") {
        auto peer = connect(std::move(info));
        peer->send(start, fields, body);
        settle(*peer);
        return runtime::read_response(peer->sink.written);
    }
    runtime::ReadResponse own(std::string_view start, std::string_view fields = "",
                              std::string_view body = "") {
        return ask(to_platform(Caller::kOwner), start, fields, body);
    }
    runtime::ReadResponse load_app(const std::string& name, const Bytes& module) {
        return own("POST /api/v1/apps/" + name, "Content-Type: application/vnd.enclave-os.app\r\n",
                   upload(R"({"hostname":")" + name + R"(.example.test"})", {module}));
    }
    runtime::ReadResponse batch(const std::string& manifest, const std::vector<Bytes>& modules) {
        return own("POST /api/v1/apps:batch", "Content-Type: application/vnd.enclave-os.apps\r\n",
                   upload(manifest, modules));
    }

    LocalPort port{*this};
    AppLogs logs;
    AppRunner apps{{.clock = clock, .clock_step_ms = 100, .random = random, .logs = logs}};
    runtime::MemoryBudget bodies{128 << 20};
    std::atomic<int> pending_in_all{0};
    runtime::BoundMinter minter{evidence, clock, pending_in_all};
    ApiContext context{.control = port,
                       .apps = apps,
                       .logs = logs,
                       .bodies = bodies,
                       .minter = minter,
                       .clock = clock,
                       .facts = {},
                       .worker_count = 1,
                       .connection_count = [] { return std::size_t{1}; },
                       .metrics_text = [] { return std::string("m 1\n"); }};
    OwnerAuthorizer authorizer{port};
    runtime::Router router{authorizer};
};

/// The JSON of an answer.
inline json::Value body_json(const runtime::ReadResponse& response) {
    auto value = json::parse(as_bytes(response.body), {.size_bytes = 1 << 20, .depth = 16});
    EXPECT_TRUE(value.has_value()) << response.body;
    return value ? *value : json::Value();
}

}  // namespace eos::mini::testing
