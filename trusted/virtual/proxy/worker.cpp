// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/worker.h"

#include <algorithm>

#include "trusted/virtual/proxy/platform_api.h"
#include "trusted/virtual/proxy/proxy_protocol.h"

namespace eos::cvm::proxy {
namespace {

constexpr int kTurnMs = 1'000;
/// On top of the drain, for closing what was drained.
constexpr std::uint64_t kStopGraceMs = 3'000;

std::size_t share(std::uint64_t all, std::size_t loops) {
    return static_cast<std::size_t>((all + loops - 1) / loops);
}

os::Connections::Limits limits_of(const LimitsConfig& limits, std::size_t loops) {
    return {.in_all = share(limits.connections, loops),
            .per_address = share(limits.connections_per_address, loops)};
}

/// A PROXY header of one of the versions that the listener expects.
template <ProxyProtocol kExpected>
Result<std::optional<os::Preface>> read_preface(ByteView input) {
    const bool is_v1 = !input.empty() && input[0] == std::byte{'P'};
    const bool is_other = kExpected == ProxyProtocol::kV1   ? !is_v1
                          : kExpected == ProxyProtocol::kV2 ? is_v1
                                                            : false;
    if (!input.empty() && is_other) return fail(bad_proxy_header, "of another version");
    const std::optional<ProxyHeader> header = EOS_TRY(parse_proxy_header(input));
    if (!header) return std::nullopt;
    return os::Preface{header->size, header->client};
}

os::ReadPreface preface_of(ProxyProtocol protocol) {
    switch (protocol) {
        case ProxyProtocol::kOff:
            return nullptr;
        case ProxyProtocol::kV1:
            return read_preface<ProxyProtocol::kV1>;
        case ProxyProtocol::kV2:
            return read_preface<ProxyProtocol::kV2>;
        case ProxyProtocol::kAny:
            return read_preface<ProxyProtocol::kAny>;
    }
    __builtin_unreachable();
}

bool is_mapped_v4(const ByteArray<16>& address) {
    return all_zero(ByteView(address).first(10)) && address[10] == std::byte{0xff} &&
           address[11] == std::byte{0xff};
}

bool is_among(const std::vector<x509::IpNetwork>& networks, const ByteArray<16>& address) {
    const ByteView bytes = is_mapped_v4(address) ? ByteView(address).subspan(12) : address;
    const x509::IpAddress ip = x509::IpAddress::from_bytes(bytes).value();
    return std::ranges::any_of(networks, [&](const auto& one) { return one.contains(ip); });
}

std::optional<std::uint64_t> earlier(std::optional<std::uint64_t> a,
                                     std::optional<std::uint64_t> b) {
    if (!a || !b) return a ? a : b;
    return std::min(*a, *b);
}

runtime::HttpLimits http_limits_of(const LimitsConfig& limits) {
    runtime::HttpLimits out;
    out.http2.streams = static_cast<std::uint32_t>(limits.streams);
    return out;
}

os::LogFormat format_of(const Config& config) {
    return config.platform.log.format == LogFormat::kJson ? os::LogFormat::json
                                                          : os::LogFormat::text;
}

bool logs_access(const Config& config) {
    return config.platform.log.access == Switch::kOn &&
           config.platform.log.level == LogLevel::kInfo;
}

}  // namespace

/// A listener and whom it lets in.
struct Worker::Door {
    os::ReadPreface preface = nullptr;
    std::vector<x509::IpNetwork> trusted_peers;
    std::unique_ptr<os::Listener> listener;
};

/// A workload's name: what the proxy answers there about its evidence, and everything else.
class Worker::WorkloadName final : public runtime::RequestDispatcher {
  public:
    WorkloadName(runtime::RequestDispatcher& api, Forwarder& forwarder)
        : api_(api), forwarder_(forwarder) {}

    runtime::Dispatched dispatch(http::RequestHead head, const runtime::ConnectionInfo& connection,
                                 runtime::Exchange exchange) override {
        runtime::RequestDispatcher& whose =
            is_own_path(head.path) ? api_ : static_cast<runtime::RequestDispatcher&>(forwarder_);
        return whose.dispatch(std::move(head), connection, std::move(exchange));
    }
    bool offers_tunnels() const override { return true; }

  private:
    runtime::RequestDispatcher& api_;
    Forwarder& forwarder_;
};

Worker::Worker(Parts parts, Forwarder::Loop loop, MintedStatePtr state,
               std::shared_ptr<const RouteTable> routes)
    : parts_(std::move(parts)),
      loop_index_(loop),
      state_(std::move(state)),
      http_limits_(http_limits_of(state_->config.platform.limits)),
      link_(parts_.minter.for_loop({loop_, clock_, parts_.program})),
      access_log_(parts_.log_lines, format_of(state_->config)),
      refusals_({clock_, access_log_, metrics_}, loop.index),
      upstreams_(loop_, clock_, parts_.upstream_connections),
      forwarder_({upstreams_, clock_, access_log_}, loop),
      workload_name_(std::make_unique<WorkloadName>(link_->api(), forwarder_)),
      connections_(loop_, parts_.tls, *this,
                   limits_of(state_->config.platform.limits, loop.count)) {
    if (loop.index == 0) health_.emplace(upstreams_, clock_);
    take(state_, std::move(routes));
}

Worker::~Worker() {
    if (thread_.joinable()) thread_.join();
}

Result<os::ListenAddress> Worker::listen(const ListenConfig& config,
                                         const os::ListenAddress& address) {
    auto door = std::make_unique<Door>();
    door->preface = preface_of(config.proxy_protocol);
    for (const std::string& text : config.trusted_peers) {
        door->trusted_peers.push_back(EOS_TRY(parse_network(text)));
    }
    door->listener = EOS_TRY(os::Listener::open(
        loop_, address,
        [this, &door = *door](os::UniqueFd fd, const ByteArray<16>& peer) {
            // Whoever may say where clients are is a load balancer that was named.
            if (door.preface != nullptr && !is_among(door.trusted_peers, peer)) return;
            connections_.accepted(std::move(fd), peer, door.preface);
        },
        os::Listener::Sharing::kShared));
    const os::ListenAddress out = door->listener->address();
    doors_.push_back(std::move(door));
    return out;
}

void Worker::start() {
    thread_ = std::thread([this] { run(); });
}

void Worker::set_state(MintedStatePtr state, std::shared_ptr<const RouteTable> routes) {
    loop_.post([this, state = std::move(state), routes = std::move(routes)]() mutable {
        take(std::move(state), std::move(routes));
    });
}

void Worker::drain(std::uint64_t drain_ms) {
    loop_.post([this, drain_ms] { begin_drain(drain_ms); });
}

/// One turn has one state: whoever was shown another is drained before the next request is read.
void Worker::take(MintedStatePtr state, std::shared_ptr<const RouteTable> routes) {
    state_ = std::move(state);
    const Config& config = state_->config;
    access_log_.configure(format_of(config), logs_access(config) ? AccessLog::Lines::kWritten
                                                                 : AccessLog::Lines::kDropped);
    link_->take(state_);
    forwarder_.set_routes(routes);
    refusals_.set_routes(routes);
    if (health_) health_->set_routes(*routes);
    if (state_->served) {
        connections_.served_changed(*state_->served, config.platform.policy.drain_time_s * 1000);
    }
}

void Worker::begin_drain(std::uint64_t drain_ms) {
    stop_at_ms_ = clock_.monotonic_ms() + drain_ms + (drain_ms > 0 ? kStopGraceMs : 0);
    doors_.clear();
    connections_.drain_all(drain_ms);
}

void Worker::leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
                  const ByteArray<16>& peer_address, runtime::Done<runtime::CredentialPtr> done) {
    link_->leaf(std::move(served), offer, peer_address, std::move(done));
}

std::unique_ptr<runtime::ConnectionProtocol> Worker::start_protocol(
    const runtime::ConnectionInfo& info, runtime::PlaintextSink& sink) {
    runtime::RequestDispatcher& dispatcher =
        info.kind == runtime::NameKind::kApp ? *workload_name_ : link_->api();
    metrics_.add_handshake(info);
    return runtime::start_http(info, {sink, dispatcher, clock_, &refusals_}, http_limits_);
}

bool Worker::is_done() const {
    return stop_at_ms_ && (connections_.count() == 0 || clock_.monotonic_ms() >= *stop_at_ms_);
}

int Worker::timeout_ms() const {
    std::optional<std::uint64_t> next =
        earlier(connections_.next_deadline_ms(), upstreams_.next_deadline_ms());
    next = earlier(earlier(next, stop_at_ms_), access_log_.next_deadline_ms());
    if (health_) next = earlier(next, health_->next_deadline_ms());
    for (const auto& door : doors_) next = earlier(next, door->listener->next_deadline_ms());
    if (!next) return kTurnMs;
    if (*next == 0) return 0;
    const std::uint64_t now_ms = clock_.monotonic_ms();
    if (*next <= now_ms) return 0;
    return static_cast<int>(std::min<std::uint64_t>(*next - now_ms, kTurnMs));
}

void Worker::run() {
    while (!is_done()) {
        loop_.wait(timeout_ms());
        clock_.read();
        loop_.dispatch();
        connections_.turn();
        if (health_) health_->turn();
        upstreams_.turn();
        const std::uint64_t now_ms = clock_.monotonic_ms();
        access_log_.turn(now_ms);
        for (const auto& door : doors_) door->listener->turn(now_ms);
        metrics_.set_connections(connections_);
    }
    parts_.stopped();
}

}  // namespace eos::cvm::proxy
