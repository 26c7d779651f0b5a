// SPDX-License-Identifier: AGPL-3.0-only
#include "client/memory_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "client/files.h"

namespace eos::client {
namespace {

using attestation::appraise::InstanceMemory;

/// Held while the file is read, changed and replaced. The kernel drops it with its process.
class Lock {
  public:
    static Result<Lock> take(const std::filesystem::path& file) {
        std::error_code error;
        if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), error);
        std::filesystem::path path = file;
        path += ".lock";
        Lock out(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        int outcome = out.fd_ < 0 ? -1 : ::flock(out.fd_, LOCK_EX);
        while (out.fd_ >= 0 && outcome != 0 && errno == EINTR) outcome = ::flock(out.fd_, LOCK_EX);
        if (outcome == 0) return out;
        return fail(memory_unusable, path.string() + ": " + std::strerror(errno) +
                                         "; --no-memory goes on without it");
    }
    Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Lock& operator=(Lock&&) = delete;
    ~Lock() {
        if (fd_ >= 0) ::close(fd_);
    }

  private:
    explicit Lock(int fd) : fd_(fd) {}
    int fd_;
};

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
    Lock lock = EOS_TRY(Lock::take(path_));
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
    Lock lock = EOS_TRY(Lock::take(path_));
    InstanceMemory memory = EOS_TRY(load());
    if (!memory.forget(instance_id)) return false;
    EOS_TRY(save(memory));
    return true;
}

Result<void> MemoryFile::forget_all() const {
    Lock lock = EOS_TRY(Lock::take(path_));
    return save({});
}

}  // namespace eos::client
