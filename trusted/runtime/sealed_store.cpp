// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/sealed_store.h"

#include "common/base/assert.h"
#include "trusted/runtime/sealed_core.h"

namespace eos::runtime {

void SealedCore::get_blob(const std::string& key, Done<std::optional<Bytes>> done) {
    parts.blobs.get(parts.prefix + key, [self = shared_from_this(), done = std::move(done)](
                                            Result<std::optional<Bytes>> blob) mutable {
        if (!self->closed_) done(std::move(blob));
    });
}

void SealedCore::write_blobs(std::vector<BlobWrite> batch, Durability durability, Done<void> done) {
    for (BlobWrite& write : batch) write.key.insert(0, parts.prefix);
    parts.blobs.write(
        std::move(batch), durability,
        [self = shared_from_this(), done = std::move(done)](Result<void> written) mutable {
            if (!self->closed_) done(std::move(written));
        });
}

void SealedCore::list_blobs(std::string after, Done<std::vector<std::string>> done) {
    parts.blobs.list({parts.prefix, std::move(after)},
                     [self = shared_from_this(),
                      done = std::move(done)](Result<std::vector<std::string>> keys) mutable {
                         if (!self->closed_) done(std::move(keys));
                     });
}

Result<void> SealedCore::enqueue(Operation operation) {
    if (queue_.size() >= kMaxQueuedOperations) return fail(store_busy);
    queue_.push_back(std::move(operation));
    pump();
    return {};
}

void SealedCore::pump() {
    if (pumping_) return;
    pumping_ = true;
    while (!busy_ && !queue_.empty() && !closed_) {
        busy_ = true;
        Operation operation = std::move(queue_.front());
        queue_.pop_front();
        operation([self = shared_from_this()] {
            self->busy_ = false;
            self->pump();
        });
    }
    pumping_ = false;
}

void SealedCore::close() {
    closed_ = true;
    queue_.clear();  // they hold references to this
}

Salt SealedCore::fresh_salt() {
    Salt salt;
    parts.random.fill(salt);
    return salt;
}

void add_blob_keys(const SealedVersion& version, const std::string& name, const RecordEntry& entry,
                   std::vector<std::string>& out) {
    for (std::uint32_t chunk = 0; chunk < chunk_count(entry.size_bytes); ++chunk) {
        out.push_back(version.cipher->blob_key({name, entry, chunk}));
    }
}

std::vector<std::string> blob_keys_of(const SealedVersion& version) {
    std::vector<std::string> out;
    for (const auto& [name, entry] : version.index) add_blob_keys(version, name, entry, out);
    add_blob_keys(version, std::string(kIndexName), version.index_entry(), out);
    return out;
}

void Transaction::put(std::string name, RecordType type, SecretBytes bytes) {
    changes_.insert_or_assign(std::move(name), Put{type, std::move(bytes)});
}

void Transaction::erase(std::string name) {
    changes_.insert_or_assign(std::move(name), std::nullopt);
}

std::size_t Transaction::size_bytes() const {
    std::size_t size = 0;
    for (const auto& [name, change] : changes_) {
        size += name.size() + (change ? change->bytes.size() : 0);
    }
    return size;
}

void SealedStore::open(SealedStoreParts parts, Done<std::unique_ptr<SealedStore>> done) {
    EOS_ASSERT(parts.prefix.size() + kBlobKeyBytes <= kMaxBlobKeyBytes);
    auto core = std::make_shared<SealedCore>(std::move(parts));
    open_state(core, [core, done = std::move(done)](Result<void> opened) mutable {
        if (!opened) return done(fail(std::move(opened).error()));
        done(std::unique_ptr<SealedStore>(new SealedStore(std::move(core))));
    });
}

SealedStore::~SealedStore() {
    core_->close();
}

SealedStore::Origin SealedStore::origin() const {
    return core_->origin;
}

const InstanceId& SealedStore::instance_id() const {
    return core_->current->cipher->instance_id();
}

std::uint64_t SealedStore::generation() const {
    return core_->current->generation;
}

std::vector<RecordInfo> SealedStore::records() const {
    std::vector<RecordInfo> out;
    for (const auto& [name, entry] : core_->current->index) {
        out.push_back({name, entry.type, entry.generation, entry.size_bytes});
    }
    return out;
}

std::size_t SealedStore::garbage_deleted() const {
    return core_->garbage_deleted;
}

namespace {

// An operation that was queued: its outcome goes to `done`, then the next one runs. Refused at once
// when the queue is full, hence the shared Done.
template <typename T>
void run_in_turn(const std::shared_ptr<SealedCore>& core, Done<T> done,
                 std::move_only_function<void(Done<T>)> body) {
    auto outcome = std::make_shared<Done<T>>(std::move(done));
    Result<void> queued = core->enqueue(
        [outcome, body = std::move(body)](std::move_only_function<void()> finished) mutable {
            body([outcome, finished = std::move(finished)](Result<T> result) mutable {
                (*outcome)(std::move(result));
                finished();
            });
        });
    if (!queued) (*outcome)(fail(std::move(queued).error()));
}

}  // namespace

void SealedStore::get(std::string name, RecordType type, Done<SecretBytes> done) {
    run_in_turn<SecretBytes>(
        core_, std::move(done),
        [core = core_, name = std::move(name), type](Done<SecretBytes> answer) mutable {
            auto found = core->current->index.find(name);
            if (found == core->current->index.end()) return answer(fail(no_such_record, name));
            if (found->second.type != type) {
                return answer(fail(wrong_record_type, name + " has type " +
                                                          std::to_string(found->second.type) +
                                                          ", expected " + std::to_string(type)));
            }
            read_record(core, core->current, std::move(name), found->second, std::move(answer));
        });
}

void SealedStore::commit(Transaction transaction, Done<void> done) {
    std::size_t size = transaction.size_bytes();
    if (size > kMaxTransactionBytes) {
        return done(fail(record_too_large, std::to_string(size) + " bytes in one change, at most " +
                                               std::to_string(kMaxTransactionBytes)));
    }
    if (core_->queued_bytes + size > kMaxQueuedBytes) return done(fail(store_busy));
    core_->queued_bytes += size;
    auto released = [core = core_, size, done = std::move(done)](Result<void> result) mutable {
        core->queued_bytes -= size;
        done(std::move(result));
    };
    run_in_turn<void>(
        core_, std::move(released),
        [core = core_, transaction = std::move(transaction)](Done<void> answer) mutable {
            commit_transaction(core, std::move(transaction), std::move(answer));
        });
}

void SealedStore::destroy(Done<void> done) {
    run_in_turn<void>(core_, std::move(done), [core = core_](Done<void> answer) mutable {
        if (core->outcome_unknown) return answer(fail(commit_outcome_unknown));
        std::vector<std::string> old = blob_keys_of(*core->current);
        write_empty_state(core, [core, old = std::move(old),
                                 answer = std::move(answer)](Result<void> written) mutable {
            if (!written) return answer(std::move(written));
            delete_blobs(core, std::move(old),
                         [answer = std::move(answer)]() mutable { answer({}); });
        });
    });
}

}  // namespace eos::runtime
