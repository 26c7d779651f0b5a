// SPDX-License-Identifier: AGPL-3.0-only
// The one place that changes anything: start, ownership, apps, CA, renewal, reset. Runs on worker
// 0; other workers ask through the mailbox. One change at a time: prepared, quoted, stored,
// published, and only then acknowledged.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "boundary/log_codes.h"
#include "boundary/messages.h"
#include "trusted/mini/control/serving.h"
#include "trusted/mini/control/snapshot.h"
#include "trusted/runtime/authority.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/leaf_mint.h"
#include "trusted/runtime/provisioning.h"
#include "trusted/runtime/time_guard.h"

namespace eos::mini {

using runtime::no_pending_request;
using runtime::wrong_stage;
using runtime::wrong_token;
inline constexpr Code wrong_instance{"trusted/mini", "wrong_instance",
                                     "meant for another instance than this one"};
inline constexpr Code too_many_changes{"trusted/mini", "too_many_changes",
                                       "too many changes are waiting"};

inline constexpr std::size_t kMaxWaitingChanges = 16;
inline constexpr std::uint64_t kEvidenceRetryMs = 5'000;
inline constexpr std::uint64_t kStorageRetryMs = 5'000;

/// A certification request for a CA key, and evidence that the key was born here for that owner.
struct CaRequest {
    Bytes csr;
    Bytes evidence;
};

/// threads: one, worker 0's.
class Control {
  public:
    /// What the control plane works with; all references outlive it.
    struct Parts {
        runtime::BlobStore& blobs;
        runtime::SealingKeySource& keys;
        runtime::Random& random;
        runtime::EvidenceSource& evidence;
        const runtime::Clock& clock;
        /// Lets the clock tell no earlier time than this.
        std::function<void(UnixTime)> raise_clock;
        ProgramFacts facts;
        /// Hands a snapshot to every worker; calls back when all serve it.
        std::function<void(SnapshotPtr, std::move_only_function<void()>)> publish;
        std::function<void(boundary::LogCode, std::initializer_list<std::uint64_t>)> log;
        /// The program cannot go on: a person must act.
        std::function<void(boundary::Exit::Why)> stop;
    };
    explicit Control(Parts parts);
    ~Control();

    /// Opens the state and begins to serve it. Tries again while the storage is unavailable; stops
    /// the program when the state is refused.
    void start();

    /// Renews what is about to expire and tries again what failed. Once a turn of the worker's
    /// loop.
    void turn();
    std::optional<std::uint64_t> next_deadline_ms() const;

    /// What is true now; never null after start().
    const SnapshotPtr& snapshot() const { return snapshot_; }

    // --- ownership ---

    /// What the owner-to-be asks for. The key is the one its connection proved.
    struct ProvisionRequest {
        std::string token;  ///< hex
        std::string platform_name;
        ByteArray<32> nonce{};
        crypto::Digest32 owner_key_hash{};
    };
    /// Makes a CA key and asks for its certificate. A later request replaces an earlier one.
    /// errors: wrong_stage, wrong_token, those of the evidence source.
    void request_ca(const ProvisionRequest& request, runtime::Done<CaRequest> done);

    /// errors: wrong_stage, wrong_token, no_pending_request, those of runtime::check_ca_chain() and
    /// change().
    void complete_provisioning(const std::string& token, const crypto::Digest32& owner_key_hash,
                               const std::string& ca_chain_pem, runtime::Done<SnapshotPtr> done);

    /// As complete_provisioning, with a CA key that was made outside.
    struct ImportedCa {
        std::string chain_pem;
        SecretBytes key_pkcs8;
    };
    void import_provisioning(const ProvisionRequest& request, ImportedCa ca,
                             runtime::Done<SnapshotPtr> done);

    /// The same two steps for an enclave that has an owner.
    void request_ca_rotation(const ByteArray<32>& nonce, runtime::Done<CaRequest> done);
    /// in:      `instance_id`: as Change::instance_id.
    void complete_ca_rotation(const ByteArray<16>& instance_id, const std::string& ca_chain_pem,
                              runtime::Done<SnapshotPtr> done);

    /// Destroys the state; the enclave is without owner, and serves nothing of the old state any
    /// more, when `done` is called. Without a quote for that nothing is destroyed.
    /// errors: wrong_instance, those of the evidence source and of SealedStore::destroy.
    void factory_reset(const ByteArray<16>& confirmed_instance, runtime::Done<void> done);

    // --- time ---

    /// The owner, over a connection of mode B, says what time it is: ends kJumped.
    /// errors: wrong_stage, runtime::time_disputed.
    void confirm_time(UnixTime owners_time, runtime::Done<SnapshotPtr> done);

    // --- apps ---

    /// What becomes of the state, in one generation, one commit and one publication.
    struct Change {
        /// Of the snapshot by which whoever asks was let in. A reset in between ends their right:
        /// it may have been made to be rid of them.
        ByteArray<16> instance_id{};
        /// Called once, when the change's turn has come, on a copy of the state then in force.
        std::move_only_function<Result<void>(runtime::PlatformState&)> edit;
        /// Of every app that is loaded; those that the state has already are left out of the
        /// commit.
        runtime::Modules modules;
    };
    /// errors: too_many_changes; wrong_instance; runtime::time_jumped; what `edit` says; those of
    /// stage_change(), the evidence source and the store.
    void change(Change change, runtime::Done<SnapshotPtr> done);

  private:
    struct Waiting {
        Change change;
        runtime::Done<SnapshotPtr> done;
    };
    struct Underway;

    void fail_start(const Error& error);
    void state_opened(std::unique_ptr<runtime::SealedStore> store);
    void state_loaded(std::shared_ptr<const runtime::PlatformState> state);
    void load_modules(std::deque<std::string> names);
    void begin_serving();
    using KeyEpochPtr = std::shared_ptr<const runtime::KeyEpoch>;
    void serve_loaded(const KeyEpochPtr& epoch, std::move_only_function<void()> done);
    void renew();
    bool is_time_good();
    void watch_time();
    void raise_clock();
    void publish_time_trust(std::move_only_function<void()> done);
    void log_evidence(const runtime::KeyEpoch& epoch);
    void begin_next_change();
    Result<void> edit(Change& change, runtime::PlatformState& state);
    void quote_change(std::shared_ptr<Underway> change);
    void commit_change(std::shared_ptr<Underway> change);
    void end_change(std::shared_ptr<Underway> change, Result<void> outcome);
    void publish(Draft draft, std::move_only_function<void()> done);
    Result<void> expect_unowned(const std::string& token) const;
    Result<void> expect_stage(Stage stage) const;
    void quote_ca_request(const ProvisionRequest& request, runtime::Done<CaRequest> done);
    void own(runtime::Ownership ownership, runtime::Done<SnapshotPtr> done);
    void new_token();

    Parts parts_;
    std::unique_ptr<runtime::SealedStore> store_;
    std::shared_ptr<const runtime::PlatformState> state_;
    SnapshotPtr snapshot_;
    std::map<crypto::Digest32, std::shared_ptr<const SecretBytes>> modules_;
    Secret<ByteArray<16>> token_;
    runtime::PendingAuthority pending_ca_;
    std::deque<Waiting> waiting_;
    runtime::TimeGuard time_;
    bool changing_ = false;
    bool renewing_ = false;
    std::uint64_t retry_at_ms_ = 0;  // start(), begin_serving() or renew() again; 0: not due
};

}  // namespace eos::mini
