// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <filesystem>

#include "common/attestation/appraise/instance_memory.h"
#include "common/base/result.h"

namespace eos::client {

inline constexpr Code memory_unusable{"client", "memory_unusable",
                                      "what was seen of instances cannot be read or kept"};

/// The file that keeps an InstanceMemory from one run of a program to the next. Public data; but
/// whoever can write it can make this client forget.
/// threads: any, and any number of processes: changes are made under a lock beside the file.
class MemoryFile {
  public:
    explicit MemoryFile(std::filesystem::path path) : path_(std::move(path)) {}

    /// An empty memory if there is no file yet.
    /// errors: memory_unusable (with the file, the reason and the way out).
    [[nodiscard]] Result<attestation::appraise::InstanceMemory> load() const;

    /// Adds to what the file has by now, and writes it as a whole or not at all.
    /// errors: memory_unusable.
    [[nodiscard]] Result<void> remember(const attestation::appraise::Sighting& sighting) const;

    /// Forgets one instance.
    /// returns: whether it was known.
    /// errors:  memory_unusable.
    [[nodiscard]] Result<bool> forget(const ByteArray<16>& instance_id) const;

    /// Forgets every instance, also where the file is not readable as one.
    /// errors: memory_unusable.
    [[nodiscard]] Result<void> forget_all() const;

    const std::filesystem::path& path() const { return path_; }

  private:
    Result<void> save(const attestation::appraise::InstanceMemory& memory) const;

    std::filesystem::path path_;
};

}  // namespace eos::client
