// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/proxy/forwarder.h"

#include <limits>
#include <utility>

#include "common/http/serialize.h"
#include "trusted/os/connections.h"
#include "trusted/runtime/responses.h"
#include "trusted/virtual/proxy/request_fields.h"

namespace eos::cvm::proxy {
namespace {

/// What the client is told, and in which words.
struct FailureAnswer {
    int status;
    std::string_view text;
    Outcome outcome;
};

FailureAnswer answer_to(UpstreamFailure failure) {
    switch (failure) {
        case UpstreamFailure::kUnreachable:
            return {502, "the service behind this name cannot be reached", Outcome::kUnreachable};
        case UpstreamFailure::kConnectTimeout:
            return {504, "the service behind this name takes no connection",
                    Outcome::kConnectTimeout};
        case UpstreamFailure::kClosed:
            return {502, "the service behind this name closed before it had answered",
                    Outcome::kClosed};
        case UpstreamFailure::kMalformed:
            return {502, "the service behind this name gave an answer that is not valid HTTP",
                    Outcome::kMalformed};
        case UpstreamFailure::kResponseTimeout:
            return {504, "the service behind this name did not answer in time",
                    Outcome::kResponseTimeout};
        case UpstreamFailure::kStalled:
            return {504, "the service behind this name stopped in the middle", Outcome::kStalled};
        case UpstreamFailure::kReset:
            return {502, "the service behind this name broke the request off", Outcome::kReset};
        case UpstreamFailure::kRefused:
            return {503, "the service behind this name takes no more requests at the moment",
                    Outcome::kOverloaded};
        case UpstreamFailure::kNoTunnel:
            return {501, "the service behind this name offers no WebSockets over HTTP/2",
                    Outcome::kRefused};
    }
    __builtin_unreachable();
}

bool has_body(const http::BodySize& body) {
    return body.kind == http::BodyKind::kUnknown || body.bytes > 0;
}

/// RFC 9110 §9.2.2.
bool is_idempotent(http::Method method) {
    return method != http::Method::kPost && method != http::Method::kPatch;
}

/// What frames the answer to the client: the same body, in the framing of the client's connection.
http::BodySize client_body(const http::ReceivedResponse& response, http::Method method) {
    if (!http::status_allows_body(response.head.status)) return http::BodySize::none();
    return method == http::Method::kHead ? response.described : response.body;
}

/// One request on its way, and its answer on the way back. The server's connection owns it.
class ForwardedRequest final : public runtime::RequestHandler, private ResponseHandler {
  public:
    ForwardedRequest(const Forwarder::Parts& parts, std::shared_ptr<const Forwarder::Target> target,
                     const http::RequestHead& head, const ByteArray<16>& client,
                     runtime::Exchange exchange)
        : parts_(parts),
          target_(std::move(target)),
          exchange_(std::move(exchange)),
          started_ms_(parts.clock.monotonic_ms()),
          version_(head.version),
          method_(head.method) {
        record_.client = client;
        record_.method = head.method;
        record_.route = target_->route->config.name;
        record_.outcome = Outcome::kClientGone;
        target_->statistics.active.add();
    }

    ~ForwardedRequest() override {
        leave();
        record();
    }
    ForwardedRequest(const ForwardedRequest&) = delete;
    ForwardedRequest& operator=(const ForwardedRequest&) = delete;

    /// Sends the head, if the client's network may have one more request under way.
    /// returns: false if the request was refused and answered.
    bool begin(http::RequestHead head) {
        auto share = parts_.upstreams.admit(*target_->pool, os::network_of(record_.client));
        if (!share) {
            refuse_over_share();
            return false;
        }
        share_ = std::move(*share);
        // What may be sent twice may go out on a connection that nobody has looked at.
        may_repeat_ = is_idempotent(head.method) && !has_body(head.body);
        head_ = std::move(head);
        const bool retries = target_->route->config.retries == Retries::kSafe;
        const bool sent = send(may_repeat_ && retries ? Freshness::kAny : Freshness::kChecked);
        if (!retries) head_.reset();
        return sent;
    }

    runtime::BodyFlow on_body(ByteView piece) override {
        record_.request_bytes += piece.size();
        head_.reset();  // what was sent of a body is not kept
        if (upstream_ == nullptr) return runtime::BodyFlow::kMore;
        upstream_->write(piece);
        return upstream_->has_room() ? runtime::BodyFlow::kMore : runtime::BodyFlow::kPause;
    }
    void on_trailers(http::Headers trailers) override {
        rewrite_request_trailers(trailers);
        trailers_ = std::move(trailers);
    }
    void on_end() override {
        is_complete_ = true;
        if (upstream_ != nullptr) upstream_->finish(trailers_);
    }
    void on_writable() override {
        if (upstream_ != nullptr) upstream_->resume();
    }
    void on_peer_left() override {
        leave();
        exchange_.abort();
    }
    void on_abort() override { leave(); }
    void on_refused(int status) override {
        leave();
        record_.status = status;
        record_.outcome = Outcome::kRefused;
    }

    /// What asks for a WebSocket, and its answer, need a key.
    void set_websocket_key(std::string key) { websocket_key_ = std::move(key); }

    void refuse(int status, std::string_view text, Outcome outcome) {
        record_.status = status;
        record_.outcome = outcome;
        runtime::respond_error(exchange_, status, text);
    }
    void refuse_for_now(std::string_view text, Outcome outcome, std::uint64_t retry_after_s) {
        record_.status = 503;
        record_.outcome = outcome;
        runtime::respond_busy(exchange_, text, static_cast<unsigned>(retry_after_s));
    }

  private:
    void refuse_over_share() {
        record_.status = 429;
        record_.outcome = Outcome::kOverShare;
        runtime::respond_too_many(
            exchange_, "your network has its share of the connections to this service", 1);
    }

    bool send(Freshness freshness) {
        auto begun = parts_.upstreams.start(target_->pool, *head_, freshness, *this);
        if (begun) {
            upstream_ = *begun;
        } else if (begun.error().code() == no_free_connection) {
            refuse_for_now("the service behind this name has no connection to spare",
                           Outcome::kOverloaded, 1);
        } else {
            refuse(400, begun.error().message(), Outcome::kRefused);
        }
        if (!begun) share_.give_back();
        return begun.has_value();
    }

    void on_response(http::ReceivedResponse response) override {
        const http::BodySize body = client_body(response, method_);
        const bool switches = response.head.status == 101;
        const auto switched =
            switches ? rewrite_switching(response, version_, websocket_key_) : Result<void>{};
        const auto rewritten = rewrite_response(response.head);
        // A status that HTTP does not have, or a consent to something else.
        if (!switched || !rewritten ||
            !(switches ? exchange_.tunnel(response.head) : exchange_.start(response.head, body))) {
            leave();
            return give_up(UpstreamFailure::kMalformed);
        }
        head_.reset();
        is_started_ = true;
        record_.status = response.head.status;
    }
    std::size_t on_response_body(ByteView piece) override {
        const std::size_t taken = exchange_.write(piece);
        record_.response_bytes += taken;
        return taken;
    }
    void on_response_end(http::Headers trailers) override {
        ended();
        record_.outcome = Outcome::kAnswered;
        rewrite_response_trailers(trailers);
        if (!exchange_.finish(trailers)) exchange_.finish();
    }
    void on_request_room() override { exchange_.resume_body(); }
    void on_failure(UpstreamFailure failure, Staleness staleness) override {
        upstream_ = nullptr;
        const bool repeats = staleness == Staleness::kNotProcessed ||
                             (staleness == Staleness::kMaybeStale && may_repeat_);
        if (!repeats || is_repeated_ || !head_ || !exchange_.is_open()) {
            ended();
            return give_up(failure);
        }
        is_repeated_ = true;
        target_->statistics.retries.add();
        if (send(Freshness::kNew) && is_complete_) upstream_->finish(trailers_);
    }

    /// An answer that has begun is broken off, so that nobody takes it for whole.
    void give_up(UpstreamFailure failure) {
        const FailureAnswer answer = answer_to(failure);
        if (!is_started_) return refuse(answer.status, answer.text, answer.outcome);
        record_.outcome = answer.outcome;
        exchange_.abort();
    }

    void leave() {
        if (upstream_ != nullptr) upstream_->abandon();
        ended();
    }
    /// The upstream has done with it.
    void ended() {
        upstream_ = nullptr;
        share_.give_back();
    }

    void record() {
        record_.duration_ms = parts_.clock.monotonic_ms() - started_ms_;
        target_->statistics.active.subtract(1);
        count(target_->statistics, record_);
        parts_.access_log.write(record_, parts_.clock);
    }

    const Forwarder::Parts& parts_;
    const std::shared_ptr<const Forwarder::Target> target_;
    runtime::Exchange exchange_;
    const std::uint64_t started_ms_;
    const http::Version version_;  ///< the client's
    const http::Method method_;
    std::string websocket_key_;
    http::Headers trailers_;
    UpstreamExchange* upstream_ = nullptr;
    ClientShares::Lease share_;              ///< while the request is with the upstream
    std::optional<http::RequestHead> head_;  ///< as long as the request may be sent again
    bool may_repeat_ = false;                ///< also when the upstream may have looked at it
    bool is_repeated_ = false;
    bool is_complete_ = false;
    bool is_started_ = false;
    AccessRecord record_;
};

}  // namespace

void Forwarder::set_routes(std::shared_ptr<const RouteTable> routes) {
    decltype(targets_) next;
    for (const auto& [hostname, route] : *routes) {
        const auto old = targets_.find(hostname);
        // All of it: a route that declares another program must not be answered by the old one, to
        // which a kept connection may still lead.
        const bool is_same = old != targets_.end() && old->second->route->config == route->config;
        auto pool = is_same ? old->second->pool
                            : std::make_shared<UpstreamPool>(route->config.upstream, loop_.count);
        next.emplace(hostname, std::make_shared<const Target>(route, std::move(pool),
                                                              (*route->statistics)[loop_.index]));
    }
    for (const auto& [hostname, target] : targets_) {
        const auto kept = next.find(hostname);
        if (kept == next.end() || kept->second->pool != target->pool) {
            parts_.upstreams.retire(*target->pool);
        }
    }
    targets_ = std::move(next);
}

runtime::Dispatched Forwarder::dispatch(http::RequestHead head,
                                        const runtime::ConnectionInfo& connection,
                                        runtime::Exchange exchange) {
    const auto found = targets_.find(connection.server_name);
    if (found == targets_.end()) {
        runtime::respond_error(exchange, 404, "there is no service behind this name any more");
        return {};
    }
    const RouteConfig& config = found->second->route->config;
    const std::uint64_t limit = config.max_body_bytes == 0
                                    ? std::numeric_limits<std::uint64_t>::max()
                                    : config.max_body_bytes;
    const bool speaks_http2 = config.upstream.protocol == UpstreamProtocol::kHttp2;
    if (config.websocket == Switch::kOff && head.method != http::Method::kConnect) {
        head.protocol.clear();  // the service answers as if no WebSocket had been asked for
    }
    auto request = std::make_unique<ForwardedRequest>(
        parts_, found->second, head, connection.client_address, std::move(exchange));
    if (!found->second->route->is_healthy) {
        request->refuse_for_now("the service behind this name does not work at the moment",
                                Outcome::kUnhealthy, config.health.interval_s);
        return {nullptr, 0, kLabel};
    }
    if (config.websocket == Switch::kOff && head.method == http::Method::kConnect) {
        request->refuse(501, "there are no WebSockets on this name", Outcome::kRefused);
        return {nullptr, 0, kLabel};
    }
    if (head.body.bytes > limit) {
        request->refuse(413, "the limit here is " + std::to_string(limit) + " bytes",
                        Outcome::kRefused);
        return {nullptr, 0, kLabel};
    }
    if (const auto rewritten = rewrite_request(head, connection.client_address); !rewritten) {
        const bool is_size = rewritten.error().code() == http::headers_too_large;
        request->refuse(is_size ? 431 : 400, rewritten.error().message(), Outcome::kRefused);
        return {nullptr, 0, kLabel};
    }
    if (!head.protocol.empty()) {
        auto key = websocket_key(head);
        if (!key && speaks_http2) {
            request->refuse(400, key.error().message(), Outcome::kRefused);
            return {nullptr, 0, kLabel};
        }
        if (key) request->set_websocket_key(std::move(*key));
    }
    // A tunnel, and over HTTP/2 both bodies, can be streams of messages, which are sent when there
    // is one to say: how long that may take is the route's idle_timeout_s.
    const bool is_paced_here = speaks_http2 || !head.protocol.empty();
    const auto pace = is_paced_here ? runtime::BodyPace::kByHandler : runtime::BodyPace::kLimited;
    if (!request->begin(std::move(head))) return {nullptr, 0, kLabel};
    return {std::move(request), limit, kLabel, pace};
}

}  // namespace eos::cvm::proxy
