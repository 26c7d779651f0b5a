// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/sealed_format.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/cipher.h"

namespace eos::runtime {
namespace {

constexpr std::string_view kRootMagic = "EOSROOT1";
constexpr std::string_view kNameKeyLabel = "enclave-os/sealed-names/1";
constexpr std::size_t kChecksumBytes = 32;
constexpr crypto::GcmNonce kNonce{};  // a key is used for one plaintext only

// The part of the root that lies in clear; all of it is authenticated.
Bytes root_header(const RootRecord& root) {
    Writer out;
    out.text(kRootMagic).u16be(kSealedFormat).bytes(root.measurement);
    out.u16be(static_cast<std::uint16_t>(root.key_request.size())).bytes(root.key_request);
    out.bytes(root.instance_id).u64be(root.generation).bytes(root.salt);
    return std::move(out).take();
}

Bytes root_aad(const RootRecord& root) {
    Bytes header = root_header(root);
    return concat({as_bytes(kRootName), header});
}

ChunkId root_id(const RootRecord& root) {
    return {kRootName, {kRootType, root.generation, root.salt, 0}, 0};
}

Result<RootRecord> parse_root_fields(Reader& reader) {
    RootRecord root;
    root.measurement = EOS_TRY(reader.array<32>());
    std::size_t request_size = EOS_TRY(reader.u16be());
    if (request_size > kMaxKeyRequestBytes) return fail(truncated, "key request");
    root.key_request = to_bytes(EOS_TRY(reader.bytes(request_size)));
    root.instance_id = EOS_TRY(reader.array<16>());
    root.generation = EOS_TRY(reader.u64be());
    root.salt = EOS_TRY(reader.array<32>());
    root.sealed = to_bytes(reader.rest());
    return root;
}

Result<std::pair<std::string, RecordEntry>> parse_entry(Reader& reader) {
    std::size_t name_size = EOS_TRY(reader.u8());
    std::string name = to_string(EOS_TRY(reader.bytes(name_size)));
    RecordEntry entry;
    entry.type = EOS_TRY(reader.u16be());
    entry.generation = EOS_TRY(reader.u64be());
    entry.salt = EOS_TRY(reader.array<32>());
    entry.size_bytes = EOS_TRY(reader.u32be());
    return std::pair(std::move(name), entry);
}

}  // namespace

std::uint32_t chunk_count(std::uint32_t size_bytes) {
    if (size_bytes == 0) return 1;
    return static_cast<std::uint32_t>((size_bytes + kChunkBytes - 1) / kChunkBytes);
}

std::size_t chunk_size(std::uint32_t size_bytes, std::uint32_t chunk) {
    return std::min(kChunkBytes, size_bytes - chunk * kChunkBytes);
}

bool is_record_name(std::string_view name) {
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789./_-";
    return !name.empty() && name.size() <= kMaxRecordNameBytes &&
           name.find_first_not_of(kAllowed) == name.npos;
}

Result<Envelope> parse_envelope(ByteView blob) {
    Reader reader(blob);
    Result<std::uint16_t> format = reader.u16be();
    if (!format || *format != kSealedFormat) return fail(record_altered, "its format");
    Result<std::uint64_t> generation = reader.u64be();
    Result<Salt> salt = reader.array<32>();
    if (!generation || !salt || reader.remaining() < crypto::kGcmTagBytes) {
        return fail(record_altered, "it is too short");
    }
    return Envelope{*generation, *salt, reader.rest()};
}

Result<RootRecord> parse_root(ByteView blob) {
    if (blob.size() < kRootMagic.size() + kChecksumBytes || blob.size() > kMaxBlobBytes) {
        return fail(root_altered, "its size is " + std::to_string(blob.size()) + " bytes");
    }
    ByteView body = blob.first(blob.size() - kChecksumBytes);
    if (!equal(body.first(kRootMagic.size()), as_bytes(kRootMagic)) ||
        !equal(blob.last(kChecksumBytes), crypto::sha256(body))) {
        return fail(root_altered, "its checksum is wrong");
    }
    Reader reader(body.subspan(kRootMagic.size()));
    Result<std::uint16_t> format = reader.u16be();
    if (format && *format != kSealedFormat) {
        return fail(unsupported_format, std::to_string(*format) + ", this program knows " +
                                            std::to_string(kSealedFormat));
    }
    Result<RootRecord> root = parse_root_fields(reader);
    if (!format || !root) return fail(root_altered, "it is too short");
    return root;
}

Bytes encode_index(const RecordIndex& index) {
    Writer out;
    out.u32be(static_cast<std::uint32_t>(index.size()));
    for (const auto& [name, entry] : index) {
        out.u8(static_cast<std::uint8_t>(name.size())).text(name).u16be(entry.type);
        out.u64be(entry.generation).bytes(entry.salt).u32be(entry.size_bytes);
    }
    return std::move(out).take();
}

Result<RecordIndex> parse_index(ByteView plaintext, std::uint64_t generation) {
    Reader reader(plaintext);
    Result<std::uint32_t> count = reader.u32be();
    if (!count || *count > kMaxRecords) return fail(malformed_index, "number of records");
    RecordIndex index;
    for (std::uint32_t i = 0; i < *count; ++i) {
        Result<std::pair<std::string, RecordEntry>> parsed = parse_entry(reader);
        if (!parsed) return fail(malformed_index, "it ends early");
        auto& [name, entry] = *parsed;
        if (!is_record_name(name) || (!index.empty() && name <= index.rbegin()->first)) {
            return fail(malformed_index, "name of record " + std::to_string(i));
        }
        if (entry.type == 0 || entry.type >= kFirstReservedType || entry.generation > generation ||
            entry.size_bytes > kMaxRecordBytes) {
            return fail(malformed_index, name);
        }
        index.emplace_hint(index.end(), std::move(name), entry);
    }
    if (!reader.expect_end()) return fail(malformed_index, "bytes follow its end");
    return index;
}

RecordCipher::RecordCipher(SealingKeyBytes key, const InstanceId& instance_id)
    : key_(std::move(key)),
      instance_id_(instance_id),
      name_key_(crypto::hkdf_sha256(key_.view(), instance_id_, as_bytes(kNameKeyLabel))) {}

Secret<ByteArray<32>> RecordCipher::key_of(const ChunkId& id) const {
    Writer info;
    info.u16be(id.entry.type).u16be(kSealedFormat).bytes(instance_id_).u64be(id.entry.generation);
    info.u8(static_cast<std::uint8_t>(id.name.size())).text(id.name).u32be(id.chunk);
    return crypto::hkdf_sha256(key_.view(), id.entry.salt, info.view());
}

Bytes RecordCipher::seal(const ChunkId& id, ByteView plaintext) const {
    EOS_ASSERT(plaintext.size() <= kChunkBytes);
    Bytes sealed = crypto::aes256_gcm_seal(key_of(id).view(), kNonce, plaintext, as_bytes(id.name));
    Writer out;
    out.u16be(kSealedFormat).u64be(id.entry.generation).bytes(id.entry.salt).bytes(sealed);
    return std::move(out).take();
}

Result<SecretBytes> RecordCipher::open(const ChunkId& id, ByteView sealed) const {
    return SecretBytes(
        EOS_TRY(crypto::aes256_gcm_open(key_of(id).view(), kNonce, sealed, as_bytes(id.name))));
}

Bytes RecordCipher::seal_root(const RootRecord& root, const IndexPin& pin) const {
    RootRecord own = root;
    own.instance_id = instance_id_;
    Writer plaintext;
    plaintext.bytes(pin.salt).u32be(pin.size_bytes);
    Bytes sealed = crypto::aes256_gcm_seal(key_of(root_id(own)).view(), kNonce, plaintext.view(),
                                           root_aad(own));
    Bytes body = concat({root_header(own), sealed});
    return concat({body, crypto::sha256(body)});
}

Result<IndexPin> RecordCipher::open_root(const RootRecord& root) const {
    SecretBytes plaintext(EOS_TRY(crypto::aes256_gcm_open(key_of(root_id(root)).view(), kNonce,
                                                          root.sealed, root_aad(root))));
    Reader reader(plaintext.view());
    Result<Salt> salt = reader.array<32>();
    Result<std::uint32_t> size = reader.u32be();
    if (!salt || !size || *size > kMaxRecordBytes || !reader.expect_end()) {
        return fail(malformed_index, "its pin");
    }
    return IndexPin{*salt, *size};
}

std::string RecordCipher::blob_key(const ChunkId& id) const {
    Writer chunk;
    chunk.u16be(id.entry.type).u32be(id.chunk);
    return hex(
        crypto::hmac_sha256(name_key_.view(), {id.entry.salt, chunk.view(), as_bytes(id.name)}));
}

}  // namespace eos::runtime
