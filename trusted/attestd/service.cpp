// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/service.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "trusted/runtime/responses.h"

namespace eos::attestd {
namespace {

using runtime::Access;
using runtime::Dispatched;
using runtime::Exchange;
using runtime::Proof;
using runtime::RoutedRequest;
using runtime::RouteNames;
using runtime::StaticText;

constexpr unsigned kRetryAfterSeconds = 5;
/// Callers whose rate is remembered; whoever was idle longest makes room.
constexpr std::size_t kRemembered = 4096;
/// Longer than a proxy can be told to keep a connection (an hour): who closes first must be the one
/// who sends, or a request is lost in between.
constexpr std::uint64_t kProxyIdleMs = 3'660'000;
/// A body holds memory while it comes: after ten seconds it must have come as fast as this.
constexpr std::uint64_t kBodyBytesPerSecond = 64 * 1024;
/// On top of a token's life: calls under way sign with what they began with, and clocks differ.
constexpr std::int64_t kFormerKeySlackSeconds = 60;

/// The issuers by their place in the configuration: labels are of compile time.
constexpr std::array<StaticText, kMaxIssuers> kIssuerLabels{
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"};

/// The words that /metrics counts by; a new one is counted as "other".
constexpr std::array<StaticText, 17> kStatusWords{"OK",
                                                  "VERIFICATION_FAILED",
                                                  "INCOMPLETE",
                                                  "EMULATED",
                                                  "DEBUG",
                                                  "POLICY_REJECTED",
                                                  "REPORT_DATA_MISMATCH",
                                                  "EVENT_LOG_MISMATCH",
                                                  "TYPE_MISMATCH",
                                                  "PLATFORM_NOT_ALLOWED",
                                                  "SW_HARDENING_NEEDED",
                                                  "CONFIGURATION_NEEDED",
                                                  "CONFIGURATION_AND_SW_HARDENING_NEEDED",
                                                  "TCB_OUT_OF_DATE",
                                                  "TCB_REVOKED",
                                                  "TD_RELAUNCH_ADVISED",
                                                  "BAD_REQUEST"};

json::Value refusal_body(std::string_view text) {
    return {{"success", false}, {"error", text}};
}

/// One more field of a refusal.
struct Field {
    std::string_view name;
    std::string_view value;
};

void refuse(Exchange& exchange, int status, std::string_view text, const Field& field) {
    http::ResponseHead head = runtime::make_head(status, runtime::kJsonType);
    EOS_ASSERT(head.headers.add(field.name, field.value).has_value());
    // It fails only where the exchange was answered before.
    (void)exchange.respond(head, to_bytes(json::compact(refusal_body(text))));
}

/// What a caller who was not identified, or not admitted, is told. Nothing of the token.
void refuse_call(Exchange& exchange, const Error& error) {
    if (error.code() == too_many_calls)
        return refuse(exchange, 429, error.message(), {"retry-after", "5"});
    if (error.code() == keys_unknown)
        return refuse(exchange, 503, error.message(), {"retry-after", "1"});
    if (error.code() == role_missing) {
        return refuse(exchange, 403, error.code().text,
                      {"www-authenticate", "Bearer error=\"insufficient_scope\""});
    }
    const bool has_none = error.code() == no_caller;
    refuse(exchange, 401, error.code().text,
           {"www-authenticate", has_none ? "Bearer" : "Bearer error=\"invalid_token\""});
}

CallLimiter::Rules rules_for_addresses(const Limits& limits) {
    // Calls at once are bounded by the connections of an address.
    return {.rate = {limits.address_burst, limits.address_requests_per_minute, kRemembered},
            .in_flight = limits.connections_per_address};
}

CallLimiter::Rules rules_for_callers(const Limits& limits, std::size_t issuers) {
    // A quarter of the memory, or one body while it grows: slow callers keep nobody else out. Nor
    // does an issuer that makes up callers.
    const std::size_t share = std::max({2 * std::size_t{limits.body_bytes}, Service::kAnswerBytes,
                                        std::size_t{limits.body_memory_bytes / 4}});
    const std::size_t half = std::max(share, std::size_t{limits.body_memory_bytes / 2});
    return {.rate = {limits.burst, limits.requests_per_minute, kRemembered},
            .in_flight = limits.in_flight_per_caller,
            .share_bytes = share,
            .issuers = issuers,
            .issuer_share_bytes = issuers > 1 ? half : limits.body_memory_bytes};
}

}  // namespace

/// Collects a body, and keeps what the call takes up for as long as the connection keeps the
/// exchange: a peer that does not read its answer makes room for nobody, itself included.
class Service::Holder final : public runtime::RequestHandler {
  public:
    Holder(std::shared_ptr<Held> held, std::unique_ptr<RequestHandler> collector)
        : held_(std::move(held)), collector_(std::move(collector)) {}

    runtime::BodyFlow on_body(ByteView piece) override { return collector_->on_body(piece); }
    void on_end() override { collector_->on_end(); }

  private:
    std::shared_ptr<Held> held_;
    std::unique_ptr<RequestHandler> collector_;
};

Service::Service(const Parts& parts, const Limits& limits)
    : parts_(parts),
      limits_(limits),
      issuers_(parts.tokens == nullptr ? 1
                                       : std::max<std::size_t>(parts.tokens->issuer_count(), 1)),
      budget_(limits.body_memory_bytes),
      addresses_(rules_for_addresses(limits), budget_),
      callers_(rules_for_callers(limits, issuers_), budget_),
      router_(*this),
      proxied_(router_),
      working_(issuers_),
      refusals_(parts.log, "refused") {
    add_routes();
    http_metrics_ = std::make_unique<runtime::HttpMetrics>(registry_, router_.table());
    add_metrics();
}

Service::~Service() = default;

// Who calls is found out by the routes themselves, which need to know it.
runtime::Permission Service::decide(Access access, const runtime::ConnectionInfo& connection,
                                    const http::RequestHead& head) const {
    (void)connection;
    (void)head;
    return access == Access::kAnyone ? runtime::Permission::kGranted
                                     : runtime::Permission::kUnknownCaller;
}

void Service::add_routes() {
    auto get = [](StaticText pattern, StaticText summary) {
        return runtime::RouteSpec{http::Method::kGet,
                                  pattern,
                                  RouteNames::kPlatformAlways,
                                  Access::kAnyone,
                                  Proof::kAny,
                                  0,
                                  summary};
    };
    router_.add({http::Method::kPost, "/", RouteNames::kPlatformAlways, Access::kAnyone,
                 Proof::kAny, limits_.body_bytes, "verifies evidence"},
                [this](RoutedRequest request) { return verify(std::move(request)); });
    router_.add(get("/healthz", "whether the program runs"), [](RoutedRequest request) {
        runtime::respond_json(request.exchange, 200, {{"status", "ok"}});
        return Dispatched{};
    });
    router_.add(get("/readyz", "whether calls can be answered, and if not, why"),
                [this](RoutedRequest request) { return ready(std::move(request)); });
    router_.add(get("/metrics", "numbers in Prometheus' text form"),
                [this](RoutedRequest request) { return scrape(std::move(request)); });
    router_.add(get("/.well-known/jwks.json", "the key that tokens are signed with"),
                [this](RoutedRequest request) { return key_set(std::move(request)); });
}

void Service::add_metrics() {
    using runtime::MetricType;
    constexpr StaticText kVerdicts = "attestd_answers_total";
    constexpr StaticText kHelp = "Answers to POST / by their status";
    for (const StaticText& word : kStatusWords) {
        verdicts_[word.view()] =
            &registry_.add(MetricType::kCounter, kVerdicts, kHelp, {{"status", word}});
    }
    other_verdicts_ = &registry_.add(MetricType::kCounter, kVerdicts, kHelp, {{"status", "other"}});
    refused_ = &registry_.add(MetricType::kCounter, "attestd_refused_total",
                              "Calls that were refused for who made them, or how many");
    in_flight_ = &registry_.add(MetricType::kGauge, "attestd_in_flight",
                                "Requests that wait for a thread or are worked on");
    cache_hits_ = &registry_.add(MetricType::kCounter, "attestd_signature_cache_hits_total",
                                 "Verifications whose signatures were known");
    cache_misses_ = &registry_.add(MetricType::kCounter, "attestd_signature_cache_misses_total",
                                   "Verifications whose signatures were verified");
    cache_waits_ = &registry_.add(MetricType::kCounter, "attestd_signature_cache_waits_total",
                                  "Verifications that waited for another one of the same inputs");
    cache_entries_ = &registry_.add(MetricType::kGauge, "attestd_signature_cache_entries",
                                    "Inputs whose signatures are known");
    for (std::size_t i = 0; parts_.tokens != nullptr && i < parts_.tokens->issuer_count(); ++i) {
        issuer_keys_.push_back(&registry_.add(MetricType::kGauge, "attestd_issuer_keys",
                                              "Keys of each issuer, by its place in the "
                                              "configuration; 0: none of its tokens is taken",
                                              {{"issuer", kIssuerLabels.at(i)}}));
    }
}

void Service::set_standing(std::shared_ptr<const Standing> standing) {
    const std::uint64_t now_ms = parts_.clock.monotonic_ms();
    if (standing_ && standing_->signer) {
        const std::int64_t life_s = standing_->signer->life_s + kFormerKeySlackSeconds;
        former_keys_.push_back({standing_->signer->key.public_key(),
                                now_ms + static_cast<std::uint64_t>(life_s) * 1000});
    }
    standing_ = std::move(standing);
    std::erase_if(former_keys_, [&](const FormerKey& former) {
        const bool is_current =
            standing_->signer && standing_->signer->key.public_key() == former.key;
        return is_current || former.ends_ms <= now_ms;
    });
    if (former_keys_.size() > kMaxFormerKeys) former_keys_.erase(former_keys_.begin());
}

void Service::leaf(std::shared_ptr<const runtime::Served> served,
                   const ratls::HandshakeOffer& offer, const ByteArray<16>& peer_address,
                   runtime::Done<runtime::CredentialPtr> done) {
    // Where nothing is served nobody asks.
    (void)served;
    (void)peer_address;
    leaf_->leaf(offer, std::move(done));
}

std::unique_ptr<runtime::ConnectionProtocol> Service::start_protocol(
    const runtime::ConnectionInfo& info, runtime::PlaintextSink& sink) {
    runtime::RequestDispatcher& dispatcher =
        parts_.front == Front::proxy ? static_cast<runtime::RequestDispatcher&>(proxied_) : router_;
    runtime::Http1Limits limits;
    limits.body_bytes_per_second = kBodyBytesPerSecond;
    if (parts_.front == Front::proxy) limits.idle_timeout_ms = kProxyIdleMs;
    return std::make_unique<runtime::Http1Connection>(
        info, runtime::Http1Connection::Parts{sink, dispatcher, parts_.clock, http_metrics_.get()},
        limits);
}

Result<CallLimiter::Slot> Service::admit(const Caller& caller) {
    return callers_.admit(caller, parts_.clock.monotonic_ms());
}

Result<Caller> Service::identify(const RoutedRequest& request, Role role) {
    const Caller address{request.connection.peer_address};
    // Before a signature is verified for whoever asks; the slot is given back at once.
    EOS_TRY(addresses_.admit(address, parts_.clock.monotonic_ms()));
    if (parts_.tokens == nullptr) return address;
    return parts_.tokens->identify(request.head, role, parts_.clock.now());
}

void Service::refused(Exchange& exchange, const Error& error) {
    refused_->add();
    refusals_.write({"why", std::string(error.code().name)});
    refuse_call(exchange, error);
}

Dispatched Service::verify(RoutedRequest request) {
    Result<Caller> caller = identify(request, Role::client);
    Result<CallLimiter::Slot> slot =
        caller ? admit(*caller) : Result<CallLimiter::Slot>(fail(caller.error()));
    if (!slot) {
        refused(request.exchange, slot.error());
        return {};
    }
    auto held = std::make_shared<Held>(*std::move(slot), std::nullopt);
    Dispatched out = runtime::collect_body(
        request.head.body, limits_.body_bytes, held->slot.memory(), std::move(request.exchange),
        [this, held, caller = *caller](Exchange exchange, runtime::CollectedBody body) mutable {
            held->loan.emplace(std::move(body.loan));
            start(Call{std::move(exchange), std::move(held), parts_.clock.monotonic_ms(),
                       hex(caller.id), caller.issuer},
                  std::move(body.bytes));
        },
        runtime::Lending::kAsItComes);
    if (out.handler)
        out.handler = std::make_unique<Holder>(std::move(held), std::move(out.handler));
    return out;
}

bool Service::takes_work_of(std::size_t issuer) const {
    const std::size_t places = std::size_t{limits_.queue} + limits_.threads;
    return issuers_ == 1 || working_.at(issuer) < places / 2;
}

void Service::start(Call call, Bytes body) {
    if (!call.held->loan->grow_to(kAnswerBytes)) {
        runtime::respond_busy(call.exchange, "there is no memory for an answer; try again",
                              kRetryAfterSeconds);
        return;
    }
    const std::uint64_t id = ++last_call_;
    auto job = [this, id, body = std::move(body), standing = standing_,
                now = parts_.clock.now()]() mutable {
        Made made = make(body, limits_.body_bytes, *standing, now, parts_.cache);
        body = Bytes();
        parts_.loop.post(
            [this, id, made = std::move(made)]() mutable { finish(id, std::move(made)); });
    };
    if (!takes_work_of(call.issuer) || !parts_.pool.submit(std::move(job))) {
        runtime::respond_busy(call.exchange, "too many requests wait; try again",
                              kRetryAfterSeconds);
        return;
    }
    ++working_.at(call.issuer);
    calls_.emplace(id, std::move(call));
}

Service::Made Service::make(ByteView body, std::size_t max_bytes, const Standing& standing,
                            UnixTime now, SignatureCache& cache) {
    Result<VerifyRequest> request = parse_request(body, max_bytes);
    Result<Answer> out =
        request ? answer(*request, standing, now, &cache) : Result<Answer>(fail(request.error()));
    if (!out) {
        return {400, "BAD_REQUEST", to_bytes(json::compact(refusal_body(out.error().message())))};
    }
    return {200, out->status, to_bytes(json::compact(out->body))};
}

void Service::finish(std::uint64_t id, Made made) {
    auto call = calls_.extract(id);
    EOS_ASSERT(!call.empty());
    Call& of = call.mapped();
    --working_.at(of.issuer);
    // The body is gone; the answer is there until it was read.
    of.held->loan.emplace(of.held->slot.memory());
    if (!of.held->loan->grow_to(made.body.size())) {
        runtime::respond_busy(of.exchange, "too many answers wait to be read; try again",
                              kRetryAfterSeconds);
        return;
    }
    auto counter = verdicts_.find(made.status);
    (counter == verdicts_.end() ? other_verdicts_ : counter->second)->add();
    parts_.log.write(os::Severity::info, "answered",
                     {{"status", made.status},
                      {"caller", of.caller},
                      {"ms", std::to_string(parts_.clock.monotonic_ms() - of.began_ms)}});
    // It fails only where the exchange was answered before.
    (void)of.exchange.respond(runtime::make_head(made.http_status, runtime::kJsonType),
                              std::move(made.body));
}

Dispatched Service::ready(RoutedRequest request) {
    json::Value missing = json::Value::array();
    if (stopping_) missing.push_back("the program is stopping");
    // Which issuers those are is not for anybody to know.
    if (parts_.tokens != nullptr && !parts_.tokens->has_any_keys())
        missing.push_back("there are no keys of any issuer");
    const bool is_ready = missing.empty();
    json::Value body = {{"status", is_ready ? "ready" : "not ready"}};
    if (!is_ready) body["missing"] = std::move(missing);
    runtime::respond_json(request.exchange, is_ready ? 200 : 503, body);
    return {};
}

Dispatched Service::scrape(RoutedRequest request) {
    Result<Caller> caller = identify(request, Role::monitoring);
    Result<CallLimiter::Slot> slot =
        caller ? admit(*caller) : Result<CallLimiter::Slot>(fail(caller.error()));
    if (!slot) {
        refused(request.exchange, slot.error());
        return {};
    }
    const SignatureCache::Counters cache = parts_.cache.counters();
    cache_hits_->set(cache.hits);
    cache_misses_->set(cache.misses);
    cache_waits_->set(cache.waits);
    cache_entries_->set(cache.entries);
    in_flight_->set(calls_.size());
    for (std::size_t i = 0; i < issuer_keys_.size(); ++i)
        issuer_keys_[i]->set(parts_.tokens->key_count(i));
    if (more_metrics_) more_metrics_(registry_);
    const runtime::MetricRegistry* const registry = &registry_;
    runtime::respond_text(request.exchange, runtime::MetricRegistry::kContentType,
                          runtime::MetricRegistry::to_text(std::span(&registry, 1)));
    return {};
}

Dispatched Service::key_set(RoutedRequest request) {
    json::Value keys = {{"keys", json::Value::array()}};
    auto add = [&](const crypto::P256PublicKey& key) {
        json::Value one = jose::key_set_of(key);
        keys["keys"].push_back(std::move(one["keys"][0]));
    };
    if (standing_->signer) add(standing_->signer->key.public_key());
    const std::uint64_t now_ms = parts_.clock.monotonic_ms();
    for (const FormerKey& former : former_keys_)
        if (now_ms < former.ends_ms) add(former.key);
    runtime::respond_json(request.exchange, 200, keys);
    return {};
}

}  // namespace eos::attestd
