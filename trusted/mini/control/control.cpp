// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/control/control.h"

#include <algorithm>

#include "common/base/codec.h"
#include "trusted/mini/control/control_parts.h"

namespace eos::mini {

using boundary::LogCode;
using runtime::Done;

Control::Control(Parts parts)
    : parts_(std::move(parts)),
      snapshot_(std::make_shared<const Snapshot>()),
      time_(parts_.clock) {}

Control::~Control() = default;

void Control::start() {
    runtime::SealedStore::open(
        {.blobs = parts_.blobs, .keys = parts_.keys, .random = parts_.random},
        [this](Result<std::unique_ptr<runtime::SealedStore>> store) {
            if (!store) return fail_start(store.error());
            state_opened(std::move(*store));
        });
}

// Never a first run: what cannot be read is for a person to look at. What could not be read or
// written now is tried again: a disk may be full, slow or gone for a while.
void Control::fail_start(const Error& error) {
    if (is_storage_trouble(error.code())) {
        state_.reset();
        parts_.log(LogCode::kStateUnavailable, {kStorageRetryMs});
        retry_at_ms_ = parts_.clock.monotonic_ms() + kStorageRetryMs;
        return;
    }
    parts_.log(state_refusal(error.code()), {});
    parts_.stop(boundary::Exit::Why::kStateRefused);
}

void Control::state_opened(std::unique_ptr<runtime::SealedStore> store) {
    store_ = std::move(store);
    runtime::load_platform_state(*store_, [this](Result<runtime::PlatformState> state) {
        if (!state) return fail_start(state.error());
        state_loaded(std::make_shared<const runtime::PlatformState>(std::move(*state)));
    });
}

void Control::state_loaded(std::shared_ptr<const runtime::PlatformState> state) {
    state_ = std::move(state);
    raise_clock();
    std::deque<std::string> names;
    for (const auto& [name, app] : state_->apps) names.push_back(name);
    load_modules(std::move(names));
}

void Control::load_modules(std::deque<std::string> names) {
    if (names.empty()) {
        if (!state_->ownership) new_token();
        parts_.log(LogCode::kStateLoaded, {store_->generation(), state_->apps.size()});
        return begin_serving();
    }
    std::string name = std::move(names.front());
    names.pop_front();
    const crypto::Digest32& digest = state_->apps.at(name).code_digest;
    runtime::load_module(
        *store_, name, digest,
        [this, digest, names = std::move(names)](Result<SecretBytes> module) mutable {
            if (!module) return fail_start(module.error());
            modules_[digest] = std::make_shared<const SecretBytes>(std::move(*module));
            load_modules(std::move(names));
        });
}

void Control::new_token() {
    ByteArray<16> token;
    parts_.random.fill(token);
    token_ = Secret<ByteArray<16>>(token);
    Reader reader(token);
    parts_.log(LogCode::kProvisioningToken, {*reader.u64be(), *reader.u64be()});
}

// Without a first quote no handshake is answered; the daemon's /readyz says why.
void Control::begin_serving() {
    parts_.log(LogCode::kEvidenceRequested, {});
    runtime::make_epoch(parts_.evidence, parts_.clock, [this](Result<KeyEpochPtr> epoch) {
        if (epoch) return serve_loaded(*epoch, [] {});
        parts_.log(LogCode::kEvidenceFailed, {kEvidenceRetryMs});
        retry_at_ms_ = parts_.clock.monotonic_ms() + kEvidenceRetryMs;
    });
}

void Control::serve_loaded(const KeyEpochPtr& epoch, std::move_only_function<void()> done) {
    Result<Draft> draft = draft_of(state_, parts_.facts);
    if (!draft) return fail_start(draft.error());
    runtime::fill_epochs(*draft->served, epoch);
    log_evidence(*epoch);
    if (state_->ownership) {
        parts_.log(LogCode::kOwned, {store_->generation()});
    } else {
        parts_.log(LogCode::kUnowned, {});
    }
    time_.restart();
    publish(std::move(*draft), std::move(done));
}

void Control::log_evidence(const runtime::KeyEpoch& epoch) {
    UnixTime end = epoch.not_before + ratls::kDeterministicLifeSeconds;
    parts_.log(LogCode::kEvidenceReady, {static_cast<std::uint64_t>(end.seconds)});
}

void Control::publish(Draft draft, std::move_only_function<void()> done) {
    draft.served->instance.instance_id = store_->instance_id();
    draft.served->instance.generation = store_->generation();
    draft.snapshot.instance_id = store_->instance_id();
    draft.snapshot.generation = store_->generation();
    draft.snapshot.modules = modules_;
    draft.snapshot.time_trust = time_.trust();
    draft.snapshot.served = std::move(draft.served);
    snapshot_ = std::make_shared<const Snapshot>(std::move(draft.snapshot));
    parts_.publish(snapshot_, std::move(done));
}

// --- renewal ---

void Control::turn() {
    watch_time();
    std::optional<std::uint64_t> due = next_deadline_ms();
    if (!due || parts_.clock.monotonic_ms() < *due) return;
    retry_at_ms_ = 0;
    if (state_ == nullptr) return start();
    if (snapshot_->stage == Stage::kStarting) return begin_serving();
    renew();
}

std::optional<std::uint64_t> Control::next_deadline_ms() const {
    if (retry_at_ms_ != 0) return retry_at_ms_;
    if (snapshot_->served == nullptr || renewing_ || changing_) return std::nullopt;
    if (time_.trust() == runtime::TimeTrust::kJumped) return std::nullopt;
    std::int64_t left_s = runtime::oldest_epoch(*snapshot_->served) +
                          runtime::kEpochRenewalSeconds - parts_.clock.now();
    return parts_.clock.monotonic_ms() +
           static_cast<std::uint64_t>(std::max<std::int64_t>(left_s, 0)) * 1000;
}

void Control::renew() {
    if (renewing_ || changing_ || !is_time_good()) return;
    renewing_ = true;
    parts_.log(LogCode::kEvidenceRequested, {});
    runtime::make_epoch(parts_.evidence, parts_.clock,
                        [this](Result<std::shared_ptr<const runtime::KeyEpoch>> epoch) {
                            renewing_ = false;
                            Result<Draft> draft = draft_of(state_, parts_.facts);
                            if (!epoch || !draft) {
                                parts_.log(LogCode::kEvidenceFailed, {kEvidenceRetryMs});
                                retry_at_ms_ = parts_.clock.monotonic_ms() + kEvidenceRetryMs;
                            } else {
                                runtime::replace_epochs(*draft->served, *epoch);
                                log_evidence(**epoch);
                                publish(std::move(*draft), [] {});
                            }
                            begin_next_change();
                        });
}

// --- changes ---

/// A change on its way: the state it leads to and what will be served then.
struct Control::Underway {
    Waiting request;
    std::shared_ptr<runtime::PlatformState> after;
    std::optional<runtime::Transaction> transaction;
    std::optional<Draft> draft;
    std::map<crypto::Digest32, std::shared_ptr<const SecretBytes>> modules;
};

void Control::change(Change change, Done<SnapshotPtr> done) {
    if (waiting_.size() >= kMaxWaitingChanges) return done(fail(too_many_changes));
    if (snapshot_->stage == Stage::kStarting)
        return done(fail(wrong_stage, "the enclave is starting"));
    waiting_.push_back({std::move(change), std::move(done)});
    begin_next_change();
}

void Control::begin_next_change() {
    if (changing_ || renewing_ || waiting_.empty()) return;
    changing_ = true;
    auto underway =
        std::make_shared<Underway>(Underway{std::move(waiting_.front()), nullptr, {}, {}, {}});
    waiting_.pop_front();
    underway->after = std::make_shared<runtime::PlatformState>(state_->duplicate());
    Change& change = underway->request.change;
    Result<void> edited = edit(change, *underway->after);
    if (!edited) return end_change(std::move(underway), std::move(edited));
    forget_known_modules(change.modules, *state_);
    for (const auto& [name, module] : change.modules) {
        underway->modules[module.digest()] =
            std::make_shared<const SecretBytes>(module.bytes().duplicate());
    }
    Result<runtime::Transaction> transaction =
        runtime::stage_change(*state_, *underway->after, parts_.facts.build,
                              {.base_generation = store_->generation(),
                               .now = parts_.clock.now(),
                               .modules = std::move(change.modules)});
    if (!transaction) return end_change(std::move(underway), fail(std::move(transaction).error()));
    underway->transaction = std::move(*transaction);
    Result<Draft> draft = draft_of(underway->after, parts_.facts);
    if (!draft) return end_change(std::move(underway), fail(std::move(draft).error()));
    underway->draft = std::move(*draft);
    quote_change(std::move(underway));
}

Result<void> Control::edit(Change& change, runtime::PlatformState& state) {
    if (change.instance_id != store_->instance_id()) return fail(wrong_instance);
    // A change dates new leaves and raises the sealed floor.
    if (!is_time_good()) return fail(runtime::time_jumped);
    return change.edit(state);
}

// A changed value means a new key and a new quote; unchanged names keep theirs.
void Control::quote_change(std::shared_ptr<Underway> change) {
    if (runtime::keep_epochs(*change->draft->served, snapshot_->served.get()))
        return commit_change(std::move(change));
    runtime::make_epoch(parts_.evidence, parts_.clock,
                        [this, change](Result<std::shared_ptr<const runtime::KeyEpoch>> epoch) {
                            if (!epoch) return end_change(change, fail(std::move(epoch).error()));
                            runtime::fill_epochs(*change->draft->served, *epoch);
                            commit_change(change);
                        });
}

void Control::commit_change(std::shared_ptr<Underway> change) {
    store_->commit(std::move(*change->transaction), [this, change](Result<void> stored) {
        if (!stored) {
            const bool unknown = stored.error().code() == runtime::commit_outcome_unknown;
            parts_.log(unknown ? LogCode::kStateWriteUnknown : LogCode::kStateWriteFailed, {});
            return end_change(change, std::move(stored));
        }
        state_ = change->after;
        for (auto& [digest, module] : change->modules) modules_[digest] = module;
        forget_unused_modules(modules_, *state_);
        publish(std::move(*change->draft), [this, change] { end_change(change, {}); });
    });
}

void Control::end_change(std::shared_ptr<Underway> change, Result<void> outcome) {
    changing_ = false;
    if (outcome) {
        change->request.done(snapshot_);
    } else {
        change->request.done(fail(std::move(outcome).error()));
    }
    begin_next_change();
}

}  // namespace eos::mini
