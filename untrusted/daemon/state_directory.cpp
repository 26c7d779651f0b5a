// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/state_directory.h"

#include <fcntl.h>
#include <sys/stat.h>

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

}  // namespace eos::daemon
