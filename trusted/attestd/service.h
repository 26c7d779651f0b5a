// SPDX-License-Identifier: AGPL-3.0-only
// The service's routes: who may call them, how much, and what they answer.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "trusted/attestd/appraiser.h"
#include "trusted/attestd/callers.h"
#include "trusted/attestd/proxied.h"
#include "trusted/attestd/signature_cache.h"
#include "trusted/attestd/tls_identity.h"
#include "trusted/os/event_loop.h"
#include "trusted/os/log.h"
#include "trusted/os/worker_pool.h"
#include "trusted/runtime/body.h"
#include "trusted/runtime/http1_connection.h"
#include "trusted/runtime/metrics.h"
#include "trusted/runtime/router.h"

namespace eos::attestd {

/// What connections come from.
enum class Front : std::uint8_t {
    tls,    ///< callers
    proxy,  ///< enclave-os-proxy, which says for each request whose it is
};

/// Routes, for every connection of the program. threads: the loop's; verification runs on the
/// pool's.
class Service final : public runtime::ConnectionServices, private runtime::Authorizer {
  public:
    /// Lent to each call that is worked on, in place of its body if that is smaller: few answers
    /// take more.
    static constexpr std::size_t kAnswerBytes = 32 * 1024;
    static constexpr std::size_t kMaxFormerKeys = 8;

    /// What the service uses; all outlive it. `tokens` is null if callers need not say who they
    /// are.
    struct Parts {
        os::EventLoop& loop;
        os::WorkerPool& pool;
        SignatureCache& cache;
        const runtime::Clock& clock;
        const os::Log& log;
        TokenVerifier* tokens;
        Front front = Front::tls;
    };
    Service(const Parts& parts, const Limits& limits);
    ~Service() override;

    /// A signing key that is replaced stays in the set of keys until its last token has ended.
    void set_standing(std::shared_ptr<const Standing> standing);
    const Standing& standing() const { return *standing_; }
    /// What callers are shown; behind a proxy there is nothing to show.
    void set_leaf(std::shared_ptr<const FileLeaf> leaf) { leaf_ = std::move(leaf); }
    /// Adds to what /metrics says; called for each scrape.
    void set_more_metrics(std::function<void(runtime::MetricRegistry&)> update) {
        more_metrics_ = std::move(update);
    }
    runtime::MetricRegistry& metrics() { return registry_; }

    /// Requests whose answer is not made yet.
    std::size_t in_flight() const { return calls_.size(); }
    /// /readyz says so from now on.
    void stop_being_ready() { stopping_ = true; }

    const runtime::Clock& clock() const override { return parts_.clock; }
    std::shared_ptr<const runtime::Served> served() const override {
        return leaf_ ? leaf_->served() : nullptr;
    }
    void leaf(std::shared_ptr<const runtime::Served> served, const ratls::HandshakeOffer& offer,
              const ByteArray<16>& peer_address,
              runtime::Done<runtime::CredentialPtr> done) override;
    std::unique_ptr<runtime::ConnectionProtocol> start_protocol(
        const runtime::ConnectionInfo& info, runtime::PlaintextSink& sink) override;

  private:
    /// What a call takes up until its answer has left, or nobody waits for it and no thread works
    /// on it.
    struct Held {
        CallLimiter::Slot slot;
        std::optional<runtime::MemoryBudget::Loan> loan;  ///< for the body, then for the answer
    };
    class Holder;
    /// One request that a thread works on; what belongs to the loop's thread stays here.
    struct Call {
        runtime::Exchange exchange;
        std::shared_ptr<Held> held;
        std::uint64_t began_ms = 0;
        std::string caller;
        std::size_t issuer = 0;
    };
    /// What a thread has made of it.
    struct Made {
        int http_status = 200;
        std::string status;
        Bytes body;
    };
    /// A key that signs no more.
    struct FormerKey {
        crypto::P256PublicKey key;
        std::uint64_t ends_ms;
    };

    runtime::Permission decide(runtime::Access access, const runtime::ConnectionInfo& connection,
                               const http::RequestHead& head) const override;
    std::string_view challenge() const override { return "Bearer"; }

    void add_routes();
    void add_metrics();
    runtime::Dispatched verify(runtime::RoutedRequest request);
    runtime::Dispatched ready(runtime::RoutedRequest request);
    runtime::Dispatched scrape(runtime::RoutedRequest request);
    runtime::Dispatched key_set(runtime::RoutedRequest request);
    Result<Caller> identify(const runtime::RoutedRequest& request, Role role);
    Result<CallLimiter::Slot> admit(const Caller& caller);
    bool takes_work_of(std::size_t issuer) const;
    void refused(runtime::Exchange& exchange, const Error& error);
    void start(Call call, Bytes body);
    void finish(std::uint64_t id, Made made);
    static Made make(ByteView body, std::size_t max_bytes, const Standing& standing, UnixTime now,
                     SignatureCache& cache);

    const Parts parts_;
    const Limits limits_;
    const std::size_t issuers_;  ///< at least one, which is nobody where nobody is asked
    std::shared_ptr<const Standing> standing_;
    std::vector<FormerKey> former_keys_;    ///< at most kMaxFormerKeys
    std::shared_ptr<const FileLeaf> leaf_;  ///< null behind a proxy
    runtime::MemoryBudget budget_;
    CallLimiter addresses_;
    CallLimiter callers_;
    runtime::MetricRegistry registry_;
    runtime::Router router_;
    ProxiedRequests proxied_;
    std::unique_ptr<runtime::HttpMetrics> http_metrics_;
    std::map<std::string_view, runtime::Metric*> verdicts_;
    runtime::Metric* other_verdicts_ = nullptr;
    runtime::Metric* refused_ = nullptr;
    runtime::Metric* in_flight_ = nullptr;
    runtime::Metric* cache_hits_ = nullptr;
    runtime::Metric* cache_misses_ = nullptr;
    runtime::Metric* cache_waits_ = nullptr;
    runtime::Metric* cache_entries_ = nullptr;
    std::vector<runtime::Metric*> issuer_keys_;  ///< as in the configuration
    std::function<void(runtime::MetricRegistry&)> more_metrics_;
    std::map<std::uint64_t, Call> calls_;
    std::vector<std::size_t> working_;  ///< of calls_, those of each issuer
    std::uint64_t last_call_ = 0;
    os::FrequentWarning refusals_;
    bool stopping_ = false;
};

}  // namespace eos::attestd
