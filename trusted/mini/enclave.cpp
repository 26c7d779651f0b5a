// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/enclave.h"

#include <algorithm>
#include <limits>

#include "boundary/time_page.h"
#include "common/base/assert.h"
#include "common/crypto/random.h"

namespace eos::mini {
namespace {

constexpr std::string_view kVersion = "enclave-os-mini 0.1.0";
constexpr std::string_view kEngine = "libwabt 1.0.32 interpreter";
constexpr std::string_view kEngineFlags = "wasi_preview1";
// Request bodies that peers of one worker can make us hold: a few uploads, many small requests.
constexpr std::size_t kBodyBudgetBytes = 128 * 1024 * 1024;
constexpr std::uint64_t kMsPerSecond = 1000;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

// As far as 64 bits go, which is the year 2554.
std::uint64_t to_nanoseconds(UnixTime time) {
    constexpr std::int64_t kLast = std::numeric_limits<std::uint64_t>::max() / kNsPerSecond;
    return static_cast<std::uint64_t>(std::clamp<std::int64_t>(time.seconds, 0, kLast)) *
           kNsPerSecond;
}

ProgramFacts facts_of(const platform::Platform& platform) {
    ProgramFacts facts;
    facts.version = kVersion;
    facts.assurance = platform::to_string(platform.assurance());
    facts.build = {std::string(kEngine), std::string(kEngineFlags)};
    facts.boot_id = crypto::random_array<16>();
    return facts;
}

}  // namespace

struct WorkerUnit::Gauges {
    explicit Gauges(runtime::MetricRegistry& registry) {
        using enum runtime::MetricType;
        connections = &registry.add(kGauge, "enclave_os_connections", "Open connections.");
        handshakes =
            &registry.add(kCounter, "enclave_os_handshakes_total", "Handshakes that succeeded.");
        failures = &registry.add(kCounter, "enclave_os_handshake_failures_total",
                                 "Connections that ended before.");
        refused = &registry.add(kCounter, "enclave_os_connections_refused_total",
                                "Connections beyond the limit.");
        drained = &registry.add(kCounter, "enclave_os_connections_drained_total",
                                "Connections ended because what they were shown changed.");
        calls = &registry.add(kCounter, "enclave_os_app_calls_total", "Calls of apps.");
        traps = &registry.add(kCounter, "enclave_os_app_failures_total",
                              "Calls that did not end well.");
        time_jumped = &registry.add(kGauge, "enclave_os_time_jumped",
                                    "1 while a jump of the host's time waits for the owner.");
        time_confirmed = &registry.add(kGauge, "enclave_os_time_confirmed",
                                       "1 if the owner confirmed the host's time.");
        busy = &registry.add(kCounter, "enclave_os_app_busy_total",
                             "Calls refused because too many were under way.");
    }
    runtime::Metric* connections;
    runtime::Metric* handshakes;
    runtime::Metric* failures;
    runtime::Metric* refused;
    runtime::Metric* drained;
    runtime::Metric* calls;
    runtime::Metric* traps;
    runtime::Metric* busy;
    runtime::Metric* time_jumped;
    runtime::Metric* time_confirmed;
};

WorkerUnit::WorkerUnit(Worker::Parts parts, Shared shared)
    : shared_(std::move(shared)),
      worker_(std::move(parts)),
      // The page's age when nothing but a call is under way; in traffic it moves more often.
      apps_({.clock = worker_.clock(),
             .clock_step_ms = boundary::kTimePageIdleMaxAgeMs,
             .random = worker_.random(),
             .logs = shared_.logs}),
      bodies_(kBodyBudgetBytes),
      authorizer_(*this),
      context_{.control = *this,
               .apps = apps_,
               .logs = shared_.logs,
               .bodies = bodies_,
               .minter = worker_.minter(),
               .clock = worker_.clock(),
               .facts = shared_.facts,
               .worker_count = shared_.hub.worker_count(),
               .connection_count = [this] { return worker_.ingress().connection_count(); },
               .metrics_text = [this] { return metrics_text(); }},
      router_(authorizer_) {
    add_all_routes(router_, context_);
    http_metrics_ = std::make_unique<runtime::HttpMetrics>(registry_, router_.table());
    gauges_ = std::make_unique<Gauges>(registry_);
    worker_.set_protocol([this](const runtime::ConnectionInfo& info, runtime::PlaintextSink& sink) {
        return runtime::start_http(info, {.sink = sink,
                                          .dispatcher = router_,
                                          .clock = worker_.clock(),
                                          .observer = http_metrics_.get()});
    });
    worker_.set_background({[this] { return turn(); }, [this] { return next_deadline_ms(); }});
}

bool WorkerUnit::turn() {
    if (worker_.index() == 0) (*shared_.control)->turn();
    bool hurry = apps_.turn();
    count();
    return hurry;
}

std::optional<std::uint64_t> WorkerUnit::next_deadline_ms() const {
    std::optional<std::uint64_t> next = apps_.next_deadline_ms();
    if (worker_.index() != 0) return next;
    std::optional<std::uint64_t> control = (*shared_.control)->next_deadline_ms();
    return next && control ? std::min(*next, *control) : (next ? next : control);
}

void WorkerUnit::count() {
    const Ingress::Counters& ingress = worker_.ingress().counters();
    gauges_->connections->set(worker_.ingress().connection_count());
    gauges_->handshakes->set(ingress.handshakes);
    gauges_->failures->set(ingress.handshakes_failed);
    gauges_->refused->set(ingress.refused);
    gauges_->drained->set(ingress.drained);
    gauges_->calls->set(apps_.counters().calls);
    gauges_->traps->set(apps_.counters().traps);
    gauges_->busy->set(apps_.counters().refused);
    if (worker_.index() != 0) return;  // the text adds up all workers
    runtime::TimeTrust trust = snapshot_->time_trust;
    gauges_->time_jumped->set(trust == runtime::TimeTrust::kJumped ? 1 : 0);
    gauges_->time_confirmed->set(trust == runtime::TimeTrust::kConfirmed ? 1 : 0);
}

std::string WorkerUnit::metrics_text() const {
    std::vector<const runtime::MetricRegistry*> registries;
    for (const auto& unit : *shared_.units) registries.push_back(&unit->registry_);
    return runtime::MetricRegistry::to_text(registries);
}

void WorkerUnit::adopt(SnapshotPtr snapshot) {
    snapshot_ = std::move(snapshot);
    apps_.retain(loaded_apps(*snapshot_));
    worker_.set_log_level(snapshot_->state->settings.log_level);
    worker_.adopt(snapshot_->served, snapshot_->state->settings.drain_time_s * kMsPerSecond);
    tell_status();
}

void WorkerUnit::on_control(std::move_only_function<void(Control&)> question) {
    shared_.hub.post(0, [control = shared_.control, question = std::move(question)]() mutable {
        question(**control);
    });
}

void WorkerUnit::back_here(std::move_only_function<void()> task) {
    shared_.hub.post(worker_.index(), std::move(task));
}

void WorkerUnit::tell_status() {
    boundary::Status status;
    status.not_ready_because = 0;
    status.connection_count = static_cast<std::uint32_t>(worker_.ingress().connection_count());
    if (snapshot_->stage == Stage::kStarting)
        status.not_ready_because = boundary::Status::kStarting;
    if (snapshot_->stage == Stage::kUnowned) {
        status.not_ready_because = boundary::Status::kUnowned | boundary::Status::kNoCa;
    }
    if (snapshot_->served == nullptr) {
        status.not_ready_because |= boundary::Status::kNoEvidence;
    } else {
        UnixTime made = snapshot_->served->find("")->epoch->not_before;
        status.evidence_not_after_s =
            static_cast<std::uint64_t>((made + ratls::kDeterministicLifeSeconds).seconds);
        status.leaf_not_after_s = status.evidence_not_after_s;
        if (snapshot_->time_trust == runtime::TimeTrust::kJumped)
            status.not_ready_because |= boundary::Status::kTimeJumped;
        status.app_count = static_cast<std::uint32_t>(snapshot_->state->apps.size());
    }
    worker_.calls().tell(status);
}

Enclave::Enclave(platform::Platform& platform, const boundary::Layout& layout)
    : platform_(platform),
      layout_(layout),
      clock_(layout_.time()),
      hub_(platform, layout_.worker_count()),
      facts_(facts_of(platform)) {}

Enclave::~Enclave() = default;

Result<std::unique_ptr<Enclave>> Enclave::make(platform::Platform& platform) {
    boundary::Layout layout = EOS_TRY(boundary::Layout::open(platform.shared_block()));
    std::unique_ptr<Enclave> enclave(new Enclave(platform, layout));
    EOS_TRY(enclave->build());
    return enclave;
}

Result<void> Enclave::build() {
    keys_ = EOS_TRY(SgxSealingKeys::make_source(platform_));
    for (unsigned i = 0; i < layout_.worker_count(); ++i) {
        Worker::Parts parts{
            .index = i,
            .layout = layout_,
            .platform = platform_,
            .clock = clock_,
            .hub = hub_,
            .tls = EOS_TRY(ratls::ServerContext::make(ratls::ServedProtocols::kHttp2AndHttp1))};
        units_.push_back(std::make_unique<WorkerUnit>(
            std::move(parts), WorkerUnit::Shared{hub_, logs_, facts_, &control_pointer_, &units_}));
    }
    Worker& first = units_.front()->worker();
    control_ = std::make_unique<Control>(Control::Parts{
        .blobs = first.blobs(),
        .keys = *keys_,
        .random = first.random(),
        .evidence = first.evidence(),
        .clock = first.clock(),
        .raise_clock = [this](UnixTime floor) { clock_.raise_wall_ns(to_nanoseconds(floor)); },
        .facts = facts_,
        .publish =
            [this](SnapshotPtr snapshot, std::move_only_function<void()> done) {
                publish(std::move(snapshot), std::move(done));
            },
        .log = [&first](boundary::LogCode code,
                        std::initializer_list<std::uint64_t> numbers) { first.log(code, numbers); },
        .stop = [this](boundary::Exit::Why why) { hub_.stop(why); }});
    control_pointer_ = control_.get();
    return {};
}

// A change is acknowledged only when every worker serves it: no request is answered by the old
// state after its owner was told of the new one.
void Enclave::publish(SnapshotPtr snapshot, std::move_only_function<void()> done) {
    struct Barrier {
        std::size_t waiting;
        std::move_only_function<void()> done;
    };
    auto barrier = std::make_shared<Barrier>(Barrier{units_.size(), std::move(done)});
    for (auto& unit : units_) {
        unit->back_here([this, unit = unit.get(), snapshot, barrier] {
            unit->adopt(snapshot);
            hub_.post(0, [barrier] {
                if (--barrier->waiting == 0) barrier->done();
            });
        });
    }
}

boundary::Exit::Why Enclave::run() {
    hub_.post(0, [this] {
        units_.front()->tell_status();
        control_->start();
    });
    platform::run_workers(layout_.worker_count(),
                          [this](unsigned worker) { units_[worker]->run(); });
    return hub_.why();
}

}  // namespace eos::mini
