// SPDX-License-Identifier: AGPL-3.0-only
// Reading one record, and telling what was done to it when it does not open.
#include "common/base/assert.h"
#include "trusted/runtime/sealed_core.h"

namespace eos::runtime {
namespace {

struct Reading {
    std::shared_ptr<SealedCore> core;
    std::shared_ptr<const SealedVersion> version;
    std::string name;
    RecordEntry entry;
    std::uint32_t chunk = 0;
    Bytes out;

    ~Reading() { secure_wipe(out); }
    ChunkId id() const { return {name, entry, chunk}; }
    std::string where() const {
        std::uint32_t count = chunk_count(entry.size_bytes);
        if (count == 1) return name;
        return name + " (part " + std::to_string(chunk + 1) + " of " + std::to_string(count) + ")";
    }
};

bool opens(const SealedVersion& version, const ChunkId& id, const Envelope& envelope) {
    return version.cipher->open(id, envelope.sealed).has_value();
}

// The name of the record whose current blob this is, if it is one. A salt is never used for two
// records, so it finds the only candidate.
std::optional<std::string> current_owner(const SealedVersion& version, const Envelope& envelope) {
    RecordIndex all = version.index;
    all.emplace(kIndexName, version.index_entry());
    for (const auto& [name, entry] : all) {
        if (entry.salt != envelope.salt) continue;
        for (std::uint32_t chunk = 0; chunk < chunk_count(entry.size_bytes); ++chunk) {
            if (opens(version, {name, entry, chunk}, envelope)) return name;
        }
    }
    return std::nullopt;
}

// Only for the message: whatever the answer, the record is refused.
Error diagnose(const Reading& reading, const Envelope& envelope) {
    if (opens(*reading.version, reading.id(), envelope)) {
        return Error(record_altered, reading.where() + ": its envelope");
    }
    if (std::optional<std::string> owner = current_owner(*reading.version, envelope)) {
        return Error(record_swapped, reading.where() + " holds what belongs to " + *owner);
    }
    ChunkId older = reading.id();
    older.entry.generation = envelope.generation;
    older.entry.salt = envelope.salt;
    if (opens(*reading.version, older, envelope)) {
        return Error(stale_record, reading.where() + " is of generation " +
                                       std::to_string(envelope.generation) + ", expected " +
                                       std::to_string(reading.entry.generation));
    }
    return Error(record_altered, reading.where());
}

Result<void> take_chunk(Reading& reading, const std::optional<Bytes>& blob) {
    if (!blob) return fail(record_missing, reading.where());
    if (blob->size() > kMaxBlobBytes) return fail(record_altered, reading.where());
    Result<Envelope> envelope = parse_envelope(*blob);
    if (!envelope) return fail(std::move(envelope).error().within(reading.where()));
    Result<SecretBytes> plaintext = reading.version->cipher->open(reading.id(), envelope->sealed);
    if (!plaintext || envelope->generation != reading.entry.generation ||
        envelope->salt != reading.entry.salt) {
        return fail(diagnose(reading, *envelope));
    }
    EOS_ASSERT(plaintext->size() == chunk_size(reading.entry.size_bytes, reading.chunk));
    append(reading.out, plaintext->view());
    return {};
}

void read_chunk(const std::shared_ptr<Reading>& reading, Done<Progress> done) {
    std::string key = reading->version->cipher->blob_key(reading->id());
    reading->core->get_blob(
        key, [reading, done = std::move(done)](Result<std::optional<Bytes>> blob) mutable {
            if (!blob) return done(fail(std::move(blob).error().within(reading->where())));
            Result<void> taken = take_chunk(*reading, *blob);
            if (!taken) return done(fail(std::move(taken).error()));
            bool more = ++reading->chunk < chunk_count(reading->entry.size_bytes);
            done(more ? Progress::kMore : Progress::kFinished);
        });
}

}  // namespace

void read_record(std::shared_ptr<SealedCore> core, std::shared_ptr<const SealedVersion> version,
                 std::string name, RecordEntry entry, Done<SecretBytes> done) {
    auto reading = std::make_shared<Reading>(
        Reading{std::move(core), std::move(version), std::move(name), entry, 0, {}});
    // Once: growing would leave copies of the plaintext behind.
    reading->out.reserve(entry.size_bytes);
    repeat([reading](Done<Progress> step) { read_chunk(reading, std::move(step)); },
           [reading, done = std::move(done)](Result<void> all) mutable {
               if (!all) return done(fail(std::move(all).error()));
               done(SecretBytes(std::move(reading->out)));
           });
}

}  // namespace eos::runtime
