// SPDX-License-Identifier: AGPL-3.0-only
// Writing a new state: its new blobs buffered, then, in one atomic synced write, what is left of
// them and the root. Until that write the old root names nothing that has changed.
#include <optional>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "trusted/runtime/sealed_core.h"

namespace eos::runtime {
namespace {

struct NewRecord {
    std::string name;
    RecordEntry entry;
    SecretBytes bytes;
};

// The blobs of a new state, one after the other, sealed when they are asked for: only one batch of
// them is in memory at a time.
class BlobSequence {
  public:
    BlobSequence(const SealedVersion& version, std::vector<NewRecord> records, BlobWrite root)
        : cipher_(version.cipher), records_(std::move(records)), root_(std::move(root)) {}

    /// The next blob to write; nothing after the root.
    std::optional<BlobWrite> next() {
        if (record_ == records_.size()) return std::exchange(root_, std::nullopt);
        const NewRecord& record = records_[record_];
        ChunkId id{record.name, record.entry, chunk_};
        ByteView plaintext = record.bytes.view().subspan(
            chunk_ * kChunkBytes, chunk_size(record.entry.size_bytes, chunk_));
        BlobWrite write{cipher_->blob_key(id), cipher_->seal(id, plaintext)};
        if (++chunk_ == chunk_count(record.entry.size_bytes)) {
            chunk_ = 0;
            ++record_;
        }
        return write;
    }

  private:
    std::shared_ptr<const RecordCipher> cipher_;
    std::vector<NewRecord> records_;
    std::optional<BlobWrite> root_;
    std::size_t record_ = 0;
    std::uint32_t chunk_ = 0;
};

std::size_t stored_size(const SealedCore& core, const BlobWrite& write) {
    return core.parts.prefix.size() + write.key.size() + write.value->size();
}

struct Writing {
    std::shared_ptr<SealedCore> core;
    std::shared_ptr<const SealedVersion> next;
    BlobSequence blobs;
    std::optional<BlobWrite> held;     // did not fit the batch before
    std::vector<std::string> written;  // to be deleted if the state does not come to be
    bool root_sent = false;

    // As many blobs as one write takes.
    std::vector<BlobWrite> batch() {
        std::vector<BlobWrite> out;
        std::size_t size = 0;
        if (!held) held = blobs.next();
        while (held && out.size() < kMaxBlobBatch &&
               size + stored_size(*core, *held) <= kMaxBlobBatchBytes) {
            size += stored_size(*core, *held);
            root_sent = held->key == kRootBlobKey;
            if (!root_sent) written.push_back(held->key);
            out.push_back(*std::exchange(held, std::nullopt));
            held = blobs.next();
        }
        return out;
    }
};

void write_batch(const std::shared_ptr<Writing>& writing, Done<Progress> done) {
    std::vector<BlobWrite> batch = writing->batch();
    EOS_ASSERT(!batch.empty());
    Durability durability = writing->root_sent ? Durability::kSynced : Durability::kBuffered;
    writing->core->write_blobs(
        std::move(batch), durability,
        [writing, done = std::move(done)](Result<void> written) mutable {
            if (written) {
                return done(writing->root_sent ? Progress::kFinished : Progress::kMore);
            }
            done(fail(std::move(written).error()));
        });
}

// The write of the root failed, or was not answered: which root is there? Where it is the old one
// the state is as before, and the next commit may try again: what it writes comes after the failed
// write, whatever a crash makes of that one. The blobs of the failed state stay until the next
// start, or such a crash could leave a root without them.
void look_at_root(const std::shared_ptr<Writing>& writing, std::string why, Done<void> done) {
    writing->core->get_blob(kRootBlobKey, [writing, why = std::move(why), done = std::move(done)](
                                              Result<std::optional<Bytes>> found) mutable {
        SealedCore& core = *writing->core;
        std::optional<Bytes> before;
        if (core.current) before = core.current->root_blob;
        if (found && *found == before) return done(fail(commit_failed, std::move(why)));
        core.outcome_unknown = true;
        done(fail(commit_outcome_unknown, std::move(why)));
    });
}

void end_commit(const std::shared_ptr<Writing>& writing, Result<void> written, Done<void> done) {
    if (written) {
        writing->core->current = writing->next;
        return done({});
    }
    if (writing->root_sent)
        return look_at_root(writing, written.error().message(), std::move(done));
    delete_blobs(writing->core, std::move(writing->written), [] {});
    done(fail(commit_failed, written.error().message()));
}

/// Seals the index of `next` under a fresh salt and writes everything, the root last.
void write_version(std::shared_ptr<SealedCore> core, SealedVersion next,
                   std::vector<NewRecord> records, Done<void> done) {
    SecretBytes index(encode_index(next.index));
    next.index_pin = {core->fresh_salt(), static_cast<std::uint32_t>(index.size())};
    records.push_back({std::string(kIndexName), next.index_entry(), std::move(index)});

    RootRecord root;
    root.measurement = core->parts.keys.measurement();
    root.key_request = next.key_request;
    root.generation = next.generation;
    root.salt = core->fresh_salt();
    next.root_blob = next.cipher->seal_root(root, next.index_pin);
    BlobWrite root_write{kRootBlobKey, next.root_blob};

    auto version = std::make_shared<const SealedVersion>(std::move(next));
    BlobSequence blobs(*version, std::move(records), std::move(root_write));
    auto writing = std::make_shared<Writing>(
        Writing{core, std::move(version), std::move(blobs), {}, {}, false});
    repeat([writing](Done<Progress> step) { write_batch(writing, std::move(step)); },
           [writing, done = std::move(done)](Result<void> written) mutable {
               end_commit(writing, std::move(written), std::move(done));
           });
}

struct Prepared {
    SealedVersion next;
    std::vector<NewRecord> records;
    std::vector<std::string> replaced;  // blobs that the new state does not name
};

Result<void> check_put(const std::string& name, RecordType type, std::size_t size) {
    if (!is_record_name(name) || type == 0 || type >= kFirstReservedType) {
        return fail(bad_record_name,
                    "'" + printable(as_bytes(name)) + "', type " + std::to_string(type));
    }
    if (size > kMaxRecordBytes) {
        return fail(record_too_large, name + ": " + std::to_string(size) + " bytes, at most " +
                                          std::to_string(kMaxRecordBytes));
    }
    return {};
}

Result<void> check_room(const SealedVersion& version) {
    if (version.index.size() > kMaxRecords) {
        return fail(store_full, std::to_string(kMaxRecords) + " records");
    }
    std::size_t blobs = 16;  // root and index
    for (const auto& [name, entry] : version.index) blobs += chunk_count(entry.size_bytes);
    if (blobs > kMaxStoreBlobs) return fail(store_full, std::to_string(kMaxStoreBlobs) + " blobs");
    return {};
}

}  // namespace

// Transaction's friend: turns its changes into the state that comes after them.
class SealedCommit {
  public:
    static Result<Prepared> prepare(SealedCore& core, Transaction transaction) {
        const SealedVersion& now = *core.current;
        if (transaction.base() != now.generation) {
            return fail(stale_transaction, "prepared from generation " +
                                               std::to_string(transaction.base()) + ", now " +
                                               std::to_string(now.generation));
        }
        Prepared out{now, {}, {}};
        ++out.next.generation;
        add_blob_keys(now, std::string(kIndexName), now.index_entry(), out.replaced);
        for (auto& [name, change] : transaction.changes_) {
            auto old = now.index.find(name);
            if (old != now.index.end()) add_blob_keys(now, name, old->second, out.replaced);
            if (!change && old == now.index.end()) return fail(no_such_record, name);
            if (!change) {
                out.next.index.erase(name);
                continue;
            }
            EOS_TRY(check_put(name, change->type, change->bytes.size()));
            RecordEntry entry{change->type, out.next.generation, core.fresh_salt(),
                              static_cast<std::uint32_t>(change->bytes.size())};
            out.next.index.insert_or_assign(name, entry);
            out.records.push_back({name, entry, std::move(change->bytes)});
        }
        EOS_TRY(check_room(out.next));
        return out;
    }
};

void commit_transaction(std::shared_ptr<SealedCore> core, Transaction transaction,
                        Done<void> done) {
    if (core->outcome_unknown) return done(fail(commit_outcome_unknown));
    Result<Prepared> prepared = SealedCommit::prepare(*core, std::move(transaction));
    if (!prepared) return done(fail(std::move(prepared).error()));
    write_version(core, std::move(prepared->next), std::move(prepared->records),
                  [core, old = std::move(prepared->replaced),
                   done = std::move(done)](Result<void> written) mutable {
                      // In the background: no later operation names these blobs.
                      if (written) delete_blobs(core, std::move(old), [] {});
                      done(std::move(written));
                  });
}

void write_empty_state(std::shared_ptr<SealedCore> core, Done<void> done) {
    Result<SealingKey> key = core->parts.keys.make();
    if (!key) return done(fail(std::move(key).error()));
    InstanceId instance_id;
    core->parts.random.fill(instance_id);
    SealedVersion next;
    next.cipher = std::make_shared<const RecordCipher>(std::move(key->key), instance_id);
    next.key_request = std::move(key->request);
    EOS_ASSERT(next.key_request.size() <= kMaxKeyRequestBytes);
    write_version(std::move(core), std::move(next), {}, std::move(done));
}

void delete_blobs(std::shared_ptr<SealedCore> core, std::vector<std::string> keys,
                  std::move_only_function<void()> done) {
    if (keys.empty()) return done();
    auto rest = std::make_shared<std::vector<std::string>>(std::move(keys));
    auto step = [core, rest](Done<Progress> answer) {
        std::vector<BlobWrite> batch;
        while (!rest->empty() && batch.size() < kMaxBlobBatch) {
            batch.push_back({std::move(rest->back()), std::nullopt});
            rest->pop_back();
        }
        core->write_blobs(std::move(batch), Durability::kBuffered,
                          [rest, answer = std::move(answer)](Result<void> written) mutable {
                              if (!written) return answer(fail(std::move(written).error()));
                              answer(rest->empty() ? Progress::kFinished : Progress::kMore);
                          });
    };
    repeat(std::move(step), [done = std::move(done)](const Result<void>&) mutable { done(); });
}

}  // namespace eos::runtime
