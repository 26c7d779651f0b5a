// SPDX-License-Identifier: AGPL-3.0-only
// The enclave program put together: workers, control plane, routes. The map of the program.
#pragma once

#include <memory>
#include <vector>

#include "boundary/layout.h"
#include "trusted/mini/api/context.h"
#include "trusted/mini/control/control.h"
#include "trusted/mini/host_services/sealing_keys.h"
#include "trusted/mini/hub.h"
#include "trusted/mini/worker.h"
#include "trusted/runtime/http_connection.h"

namespace eos::mini {

/// What each worker has of its own.
class WorkerUnit final : public ControlPort {
  public:
    /// What the units share; outlives them.
    struct Shared {
        Hub& hub;
        AppLogs& logs;
        ProgramFacts facts;
        Control** control;  ///< set before any worker runs
        std::vector<std::unique_ptr<WorkerUnit>>* units;
    };
    WorkerUnit(Worker::Parts parts, Shared shared);

    void run() { worker_.run(); }

    /// From now on this worker serves the snapshot.
    void adopt(SnapshotPtr snapshot);

    const SnapshotPtr& snapshot() const override { return snapshot_; }
    void on_control(std::move_only_function<void(Control&)> question) override;
    void back_here(std::move_only_function<void()> task) override;

    Worker& worker() { return worker_; }
    /// Tells the daemon how things are: its /readyz shows it.
    void tell_status();

  private:
    bool turn();
    std::optional<std::uint64_t> next_deadline_ms() const;
    void count();
    std::string metrics_text() const;

    Shared shared_;
    Worker worker_;
    AppRunner apps_;
    runtime::MemoryBudget bodies_;
    SnapshotPtr snapshot_ = std::make_shared<const Snapshot>();
    OwnerAuthorizer authorizer_;
    ApiContext context_;
    runtime::Router router_;
    runtime::MetricRegistry registry_;
    std::unique_ptr<runtime::HttpMetrics> http_metrics_;
    struct Gauges;
    std::unique_ptr<Gauges> gauges_;
};

/// The whole program. Made once.
class Enclave {
  public:
    /// errors: boundary::bad_layout, ratls::tls_setup_failed, platform::key_refused.
    [[nodiscard]] static Result<std::unique_ptr<Enclave>> make(platform::Platform& platform);
    ~Enclave();

    /// Runs until the host asks to stop, or the state is refused.
    boundary::Exit::Why run();

  private:
    Enclave(platform::Platform& platform, const boundary::Layout& layout);
    Result<void> build();
    void publish(SnapshotPtr snapshot, std::move_only_function<void()> done);

    platform::Platform& platform_;
    boundary::Layout layout_;
    platform::TrustedClock clock_;
    Hub hub_;
    AppLogs logs_;
    ProgramFacts facts_;
    std::vector<std::unique_ptr<WorkerUnit>> units_;
    std::unique_ptr<SgxSealingKeys> keys_;
    std::unique_ptr<Control> control_;
    Control* control_pointer_ = nullptr;
};

}  // namespace eos::mini
