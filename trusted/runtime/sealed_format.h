// SPDX-License-Identifier: AGPL-3.0-only
// The bytes of sealed state as they lie in host storage: docs/formats/sealed-state.md. Pure: bytes
// in, values out. Used by sealed_store only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/crypto/hash.h"
#include "trusted/runtime/interfaces.h"

namespace eos::runtime {

inline constexpr Code root_altered{"trusted/runtime", "root_altered",
                                   "the root record of the sealed state was altered"};
inline constexpr Code unsupported_format{"trusted/runtime", "unsupported_format",
                                         "the sealed state was written in another format"};
inline constexpr Code record_altered{"trusted/runtime", "record_altered",
                                     "a record of the sealed state was altered"};
inline constexpr Code malformed_index{"trusted/runtime", "malformed_index",
                                      "the index of the sealed state is malformed"};

inline constexpr std::uint16_t kSealedFormat = 1;
inline constexpr std::size_t kMaxRecords = 4096;
inline constexpr std::size_t kMaxRecordNameBytes = 128;
inline constexpr std::size_t kMaxRecordBytes = 17 * 1024 * 1024;
inline constexpr std::size_t kMaxKeyRequestBytes = 1024;
/// Plaintext of one blob; with what sealing adds it fits kMaxBlobBytes.
inline constexpr std::size_t kChunkBytes = kMaxBlobBytes - 64;

inline constexpr std::size_t kBlobKeyBytes = 64;  ///< of RecordCipher::blob_key()

using InstanceId = ByteArray<16>;
using Salt = ByteArray<32>;
using Measurement = ByteArray<32>;
using SealingKeyBytes = Secret<ByteArray<16>>;

/// What a record is; its owner numbers its own. The two reserved ones never come from outside.
using RecordType = std::uint16_t;
inline constexpr RecordType kFirstReservedType = 0xFFF0;
inline constexpr RecordType kIndexType = 0xFFFE;
inline constexpr RecordType kRootType = 0xFFFF;

/// Names no record of a user can have: their alphabet is [a-z0-9./_-].
inline constexpr std::string_view kIndexName = "(index)";
inline constexpr std::string_view kRootName = "(root)";

/// One version of one record, as the index pins it. The salt is fresh random for every write, so it
/// names the version: nothing but what was sealed by that very write opens under it.
struct RecordEntry {
    RecordType type = 0;
    std::uint64_t generation = 0;  ///< that wrote it
    Salt salt{};
    std::uint32_t size_bytes = 0;

    friend bool operator==(const RecordEntry&, const RecordEntry&) = default;
};

using RecordIndex = std::map<std::string, RecordEntry, std::less<>>;

/// How many blobs a record of that size takes; an empty one takes one.
std::uint32_t chunk_count(std::uint32_t size_bytes);

/// The plaintext size of one of them.
/// in: chunk: below chunk_count(size_bytes).
std::size_t chunk_size(std::uint32_t size_bytes, std::uint32_t chunk);

/// Which blob: one chunk of one version of a record. Borrows the name.
struct ChunkId {
    std::string_view name;
    RecordEntry entry;
    std::uint32_t chunk = 0;
};

/// A sealed blob's parts in clear.
struct Envelope {
    std::uint64_t generation = 0;
    Salt salt{};
    ByteView sealed;  ///< borrowed
};

/// errors: record_altered (too short, or not of this format).
[[nodiscard]] Result<Envelope> parse_envelope(ByteView blob);

/// The root blob. All but `sealed` lies in clear, because the key that opens it must first be
/// derived.
struct RootRecord {
    Measurement measurement{};  ///< of the enclave that sealed it
    Bytes key_request;          ///< what the hardware needs to derive the sealing key again
    InstanceId instance_id{};
    std::uint64_t generation = 0;
    Salt salt{};
    Bytes sealed;
};

/// What the root pins: the index, whose type, name and generation follow.
struct IndexPin {
    Salt salt{};
    std::uint32_t size_bytes = 0;
};

/// Syntax only. A checksum without a key tells damage from a foreign key; it protects nothing.
/// errors: root_altered, unsupported_format.
[[nodiscard]] Result<RootRecord> parse_root(ByteView blob);

/// Records in the order of their names.
Bytes encode_index(const RecordIndex& index);

/// errors: malformed_index (also: over kMaxRecords, unsorted, a size, name, type or generation out
///         of range).
/// in:     generation: of the root that pins this index.
[[nodiscard]] Result<RecordIndex> parse_index(ByteView plaintext, std::uint64_t generation);

/// Whether a user's record can have that name: 1..128 of [a-z0-9./_-].
bool is_record_name(std::string_view name);

/// Seals and opens under one sealing key, for one instance. Every blob has a key of its own:
/// HKDF-SHA-256(sealing key, salt, type ‖ format ‖ instance id ‖ generation ‖ record name ‖ chunk),
/// used once, with nonce 0.
/// source: docs/formats/sealed-state.md.
class RecordCipher {
  public:
    RecordCipher(SealingKeyBytes key, const InstanceId& instance_id);

    const InstanceId& instance_id() const { return instance_id_; }

    /// in: plaintext: at most kChunkBytes. `id.entry.salt` must be fresh (or this very chunk's).
    Bytes seal(const ChunkId& id, ByteView plaintext) const;

    /// errors: crypto::decryption_failed.
    [[nodiscard]] Result<SecretBytes> open(const ChunkId& id, ByteView sealed) const;

    /// in: `root.sealed` and the instance id are ignored.
    Bytes seal_root(const RootRecord& root, const IndexPin& pin) const;

    /// errors: crypto::decryption_failed, malformed_index.
    [[nodiscard]] Result<IndexPin> open_root(const RootRecord& root) const;

    /// Under what key a chunk is stored: 64 hexadecimal digits that tell the host nothing.
    std::string blob_key(const ChunkId& id) const;

  private:
    Secret<ByteArray<32>> key_of(const ChunkId& id) const;

    SealingKeyBytes key_;
    InstanceId instance_id_;
    Secret<ByteArray<32>> name_key_;
};

}  // namespace eos::runtime
