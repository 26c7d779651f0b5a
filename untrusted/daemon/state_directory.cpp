// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/state_directory.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "untrusted/daemon/blob_database.h"
#include "untrusted/daemon/system_error.h"
#include "untrusted/daemon/unique_fd.h"

namespace eos::daemon {

Result<void> check_state_directory(const std::filesystem::path& directory) {
    const std::string name = directory.string();
    UniqueFd fd(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        if (errno == ENOTDIR || errno == ELOOP) {
            return fail(bad_state_directory, name + " is not a directory (a link is refused too)");
        }
        return fail(bad_state_directory, system_error_text(name));
    }
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return fail(bad_state_directory, system_error_text(name));
    if (info.st_uid != ::geteuid()) {
        return fail(bad_state_directory, name + " belongs to user " + std::to_string(info.st_uid) +
                                             ", this program runs as user " +
                                             std::to_string(::geteuid()) +
                                             "; run it as that user or change the owner");
    }
    if ((info.st_mode & 077) != 0) {
        return fail(bad_state_directory,
                    name + " is open to group or others; close it with: chmod 700 " + name);
    }
    return {};
}

Result<void> prepare_state_directory(const std::filesystem::path& directory) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail(bad_state_directory, system_error_text("cannot make " + directory.string()));
    }
    return check_state_directory(directory);
}

std::filesystem::path database_directory(const std::filesystem::path& directory) {
    return directory / "blobs";
}

Result<std::optional<std::filesystem::path>> reset_state(const std::filesystem::path& directory) {
    namespace fs = std::filesystem;
    EOS_TRY(check_state_directory(directory));
    const fs::path database = database_directory(directory);
    std::error_code error;
    if (!fs::exists(database, error)) return std::nullopt;
    // The lock that an open database holds (RocksDB's own); held until the directory has moved.
    const fs::path lock_file = database / "LOCK";
    UniqueFd lock(::open(lock_file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock) return fail(bad_state_directory, system_error_text(lock_file.string()));
    struct flock whole{};
    whole.l_type = F_WRLCK;
    if (::fcntl(lock.get(), F_SETLK, &whole) != 0) {
        return fail(storage_locked, database.string() + "; stop the daemon first");
    }
    for (int number = 1;; ++number) {
        fs::path aside = directory / ("blobs.reset-" + std::to_string(number));
        if (fs::exists(aside, error)) continue;
        fs::rename(database, aside, error);
        if (error) return fail(bad_state_directory, database.string() + ": " + error.message());
        return aside;
    }
}

}  // namespace eos::daemon
