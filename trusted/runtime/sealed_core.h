// SPDX-License-Identifier: AGPL-3.0-only
// The inside of SealedStore, shared by its operations (sealed_open, sealed_read, sealed_commit).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "trusted/runtime/async.h"
#include "trusted/runtime/sealed_format.h"
#include "trusted/runtime/sealed_store.h"

namespace eos::runtime {

/// One state of the store, complete: what a root record stands for.
struct SealedVersion {
    std::shared_ptr<const RecordCipher> cipher;
    Bytes key_request;
    std::uint64_t generation = 0;
    RecordIndex index;
    IndexPin index_pin;
    Bytes root_blob;  // as it lies in storage

    RecordEntry index_entry() const {
        return {kIndexType, generation, index_pin.salt, index_pin.size_bytes};
    }
};

/// Shared by the store and by the callbacks of what is under way, which may outlive the store.
struct SealedCore : std::enable_shared_from_this<SealedCore> {
    explicit SealedCore(SealedStoreParts p) : parts(std::move(p)) {}

    /// As BlobStore's, below the prefix; no answer comes once the store is gone.
    void get_blob(const std::string& key, Done<std::optional<Bytes>> done);
    void write_blobs(std::vector<BlobWrite> batch, Durability durability, Done<void> done);
    /// in: after: a whole key, with the prefix.
    void list_blobs(std::string after, Done<std::vector<std::string>> done);

    /// Runs `operation` when those before it have called what they were given.
    /// errors: store_busy.
    using Operation = std::move_only_function<void(std::move_only_function<void()> finished)>;
    [[nodiscard]] Result<void> enqueue(Operation operation);

    /// Nothing is called back any more; what waits is dropped.
    void close();

    Salt fresh_salt();

    SealedStoreParts parts;
    std::shared_ptr<const SealedVersion> current;
    SealedStore::Origin origin = SealedStore::Origin::kOpened;
    std::size_t garbage_deleted = 0;
    std::size_t queued_bytes = 0;
    bool outcome_unknown = false;  // storage may hold another root than ours: never write again

  private:
    void pump();
    std::deque<Operation> queue_;
    bool closed_ = false;
    bool busy_ = false;
    bool pumping_ = false;
};

inline const std::string kRootBlobKey = "root";

/// The keys of every blob of a state but the root, below the prefix.
std::vector<std::string> blob_keys_of(const SealedVersion& version);

/// Adds the keys of one record's blobs.
void add_blob_keys(const SealedVersion& version, const std::string& name, const RecordEntry& entry,
                   std::vector<std::string>& out);

/// Reads one record of `version`, which is kept until then.
/// errors: record_altered, record_swapped, stale_record, record_missing, those of the blob store.
void read_record(std::shared_ptr<SealedCore> core, std::shared_ptr<const SealedVersion> version,
                 std::string name, RecordEntry entry, Done<SecretBytes> done);

/// Deletes blobs that no state names. Best effort: what fails is deleted at the next start.
void delete_blobs(std::shared_ptr<SealedCore> core, std::vector<std::string> keys,
                  std::move_only_function<void()> done);

/// Writes an empty state of a new instance and makes it current.
/// errors: those of the key source, commit_failed, commit_outcome_unknown.
void write_empty_state(std::shared_ptr<SealedCore> core, Done<void> done);

/// errors: as SealedStore::commit.
void commit_transaction(std::shared_ptr<SealedCore> core, Transaction transaction, Done<void> done);

/// Opens what is stored, or makes an empty state.
/// errors: as SealedStore::open.
void open_state(std::shared_ptr<SealedCore> core, Done<void> done);

}  // namespace eos::runtime
