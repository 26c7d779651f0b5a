// SPDX-License-Identifier: AGPL-3.0-only
// Named records in hostile storage, as one unit with one root: docs/formats/sealed-state.md.
//
// Whatever the host does to the blobs between two starts is found by open() or get(), and named;
// only a complete older state is accepted, because nothing outside the host's reach says how old it
// is. A crash at any instant leaves the state before or after a commit.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/sealed_format.h"

namespace eos::runtime {

inline constexpr Code record_swapped{"trusted/runtime", "record_swapped",
                                     "a record of the sealed state was replaced by another one"};
inline constexpr Code stale_record{"trusted/runtime", "stale_record",
                                   "a record of the sealed state was replaced by an older version "
                                   "of itself"};
inline constexpr Code record_missing{"trusted/runtime", "record_missing",
                                     "a record of the sealed state is missing"};
inline constexpr Code root_missing_but_state_present{
    "trusted/runtime", "root_missing_but_state_present",
    "there is sealed state, but its root record is missing"};
inline constexpr Code wrong_enclave_or_machine{
    "trusted/runtime", "wrong_enclave_or_machine",
    "the sealed state does not open with the key of this enclave on this machine"};
inline constexpr Code storage_misbehaved{"trusted/runtime", "storage_misbehaved",
                                         "the host's storage broke its contract"};
inline constexpr Code no_such_record{"trusted/runtime", "no_such_record",
                                     "there is no record of that name"};
inline constexpr Code wrong_record_type{"trusted/runtime", "wrong_record_type",
                                        "the record is of another type"};
inline constexpr Code bad_record_name{"trusted/runtime", "bad_record_name",
                                      "not a valid record name or type"};
inline constexpr Code record_too_large{"trusted/runtime", "record_too_large",
                                       "a record or a change of records is too large"};
inline constexpr Code store_full{"trusted/runtime", "store_full",
                                 "the sealed state has no room for more records"};
inline constexpr Code store_busy{"trusted/runtime", "store_busy",
                                 "too many operations on the sealed state are waiting"};
inline constexpr Code stale_transaction{"trusted/runtime", "stale_transaction",
                                        "the sealed state changed since the change was prepared"};
inline constexpr Code commit_failed{"trusted/runtime", "commit_failed",
                                    "the change was not stored; the state is as before"};
inline constexpr Code commit_outcome_unknown{
    "trusted/runtime", "commit_outcome_unknown",
    "whether the change was stored is unknown; restart to find out, nothing is written until then"};

inline constexpr std::size_t kMaxTransactionBytes = 40 * 1024 * 1024;
inline constexpr std::size_t kMaxQueuedBytes = 2 * kMaxTransactionBytes;
inline constexpr std::size_t kMaxQueuedOperations = 64;
inline constexpr std::size_t kMaxStoreBlobs = 65536;     ///< of one state, root and index included
inline constexpr std::size_t kMaxListedPages = 1024;     ///< of one listing
inline constexpr std::size_t kMaxCollectedBlobs = 4096;  ///< deleted at one start; more at the next

/// A sealing key, and what the hardware needs to derive the same one later.
struct SealingKey {
    SealingKeyBytes key;
    Bytes request;  ///< at most kMaxKeyRequestBytes; stored in clear
};

/// Keys that only this enclave on this machine can have (EGETKEY).
class SealingKeySource {
  public:
    virtual ~SealingKeySource() = default;
    /// A key for new state, at the present security version.
    [[nodiscard]] virtual Result<SealingKey> make() = 0;
    /// The key that an earlier request was made for. Where that key does not belong to this enclave
    /// on this machine, another key or an error.
    /// in: request: as the host gave it back; anything.
    [[nodiscard]] virtual Result<SealingKeyBytes> derive(ByteView request) = 0;
    /// Who we are, for messages and for those who come after us.
    virtual Measurement measurement() const = 0;
};

/// A set of changes that happens as a whole or not at all. The last change of a name counts.
class Transaction {
  public:
    /// in: base: the generation the change was prepared from; if it is no longer the store's, the
    ///     commit is refused.
    explicit Transaction(std::uint64_t base) : base_(base) {}

    void put(std::string name, RecordType type, SecretBytes bytes);
    /// The record must be there when the change is committed.
    void erase(std::string name);

    std::uint64_t base() const { return base_; }
    std::size_t size_bytes() const;

  private:
    friend class SealedCommit;
    struct Put {
        RecordType type;
        SecretBytes bytes;
    };
    std::uint64_t base_;
    std::map<std::string, std::optional<Put>> changes_;
};

/// A record as the index has it.
struct RecordInfo {
    std::string name;
    RecordType type = 0;
    std::uint64_t generation = 0;  ///< that wrote it
    std::uint32_t size_bytes = 0;
};

/// What the store is made of. All outlive it.
struct SealedStoreParts {
    BlobStore& blobs;
    SealingKeySource& keys;
    Random& random;
    std::string prefix = "state/";  ///< of its keys; what else lies there is garbage and deleted
};

struct SealedCore;

/// Sealed state that is open. Operations run one at a time in the order of the calls. Destroying it
/// abandons those under way: their `done` is not called, and a commit may or may not happen.
/// threads: one worker's, as its parts are.
class SealedStore {
  public:
    /// Where the state came from.
    enum class Origin { kFirstRun, kOpened };

    /// Opens the state, or makes an empty one (generation 0, a new instance id) if storage has
    /// nothing under the prefix. Checks root and index and that no record is missing; then deletes
    /// what the root does not name.
    /// errors: root_altered, root_missing_but_state_present, wrong_enclave_or_machine,
    ///         unsupported_format, malformed_index, record_altered, stale_record, record_missing,
    ///         storage_misbehaved, commit_outcome_unknown (an empty state could not be written);
    ///         those of the parts.
    /// bound:  memory 128 bytes a blob of the state; time, a listing of what lies in storage.
    static void open(SealedStoreParts parts, Done<std::unique_ptr<SealedStore>> done);

    ~SealedStore();
    SealedStore(const SealedStore&) = delete;
    SealedStore& operator=(const SealedStore&) = delete;

    Origin origin() const;
    /// Random, made with the state, new after destroy().
    const InstanceId& instance_id() const;
    /// How many commits made this state.
    std::uint64_t generation() const;
    /// Every record, by name.
    std::vector<RecordInfo> records() const;
    /// How many blobs that no root names open() deleted: of an interrupted commit, or not ours.
    std::size_t garbage_deleted() const;

    /// Reads and authenticates a record.
    /// errors: no_such_record, wrong_record_type, store_busy; record_altered, record_swapped,
    ///         stale_record, record_missing, each with the names; those of the blob store.
    void get(std::string name, RecordType type, Done<SecretBytes> done);

    /// Makes the change the state, on stable storage, before `done` is called with success. Costs
    /// one synced write.
    /// errors: stale_transaction, bad_record_name, record_too_large, store_full, no_such_record (to
    ///         erase), store_busy: nothing changed. commit_failed: nothing changed; a crash of the
    ///         host before the next commit may yet bring the change about, whole.
    ///         commit_outcome_unknown: the storage holds another root, or does not say; the old
    ///         state stays in memory, and every later commit fails with the same code.
    /// bound:  the index is written anew: 175 bytes a record at most.
    void commit(Transaction transaction, Done<void> done);

    /// Factory reset: atomically replaces the state by an empty one with a new instance id, key and
    /// generation 0, then deletes the old blobs.
    /// errors: store_busy, commit_failed, commit_outcome_unknown; those of the key source.
    void destroy(Done<void> done);

  private:
    explicit SealedStore(std::shared_ptr<SealedCore> core) : core_(std::move(core)) {}
    std::shared_ptr<SealedCore> core_;
};

}  // namespace eos::runtime
