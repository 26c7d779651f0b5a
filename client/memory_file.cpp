// SPDX-License-Identifier: AGPL-3.0-only
#include "client/memory_file.h"

#include "client/files.h"

namespace eos::client {
namespace {

using attestation::appraise::InstanceMemory;

Result<FileLock> lock(const std::filesystem::path& file) {
    Result<FileLock> out = FileLock::take(file);
    if (out) return out;
    return fail(memory_unusable, out.error().detail() + "; --no-memory goes on without it");
}

std::unexpected<Error> unusable(const std::filesystem::path& path, const Error& why) {
    return fail(memory_unusable,
                path.string() + ": " + why.message() +
                    "; put the file right or move it away, `enclavectl context forget --all` "
                    "begins a new one, --no-memory goes on without it");
}

}  // namespace

Result<InstanceMemory> MemoryFile::load() const {
    std::error_code error;
    if (!std::filesystem::exists(path_, error) && !error) return InstanceMemory{};
    Result<Bytes> text = read_file(path_);
    if (!text) return unusable(path_, text.error());
    Result<InstanceMemory> memory = InstanceMemory::parse(*text);
    if (!memory) return unusable(path_, memory.error());
    return memory;
}

Result<void> MemoryFile::save(const InstanceMemory& memory) const {
    std::string text = memory.text();
    Result<void> written = write_file(path_, as_bytes(text), {});
    if (!written) return unusable(path_, written.error());
    return {};
}

Result<void> MemoryFile::remember(const attestation::appraise::Sighting& sighting) const {
    FileLock held = EOS_TRY(lock(path_));
    InstanceMemory memory = EOS_TRY(load());
    InstanceMemory before = memory;
    Result<void> noted = memory.remember(sighting);
    if (!noted) {
        return fail(memory_unusable, path_.string() + ": " + noted.error().message() +
                                         "; `enclavectl context seen` shows them, `enclavectl "
                                         "context forget INSTANCE` makes room");
    }
    return memory == before ? Result<void>{} : save(memory);
}

Result<bool> MemoryFile::forget(const ByteArray<16>& instance_id) const {
    FileLock held = EOS_TRY(lock(path_));
    InstanceMemory memory = EOS_TRY(load());
    if (!memory.forget(instance_id)) return false;
    EOS_TRY(save(memory));
    return true;
}

Result<void> MemoryFile::forget_all() const {
    FileLock held = EOS_TRY(lock(path_));
    return save({});
}

}  // namespace eos::client
