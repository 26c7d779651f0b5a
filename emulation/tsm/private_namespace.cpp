// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/private_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace eos::emulation::tsm {

namespace {

namespace fs = std::filesystem;

std::string system_message(std::string_view what) {
    return std::string(what) + ": " + std::strerror(errno);
}

Result<void> write_proc(const char* path, const std::string& text) {
    std::ofstream out(path);
    out << text << std::flush;
    if (!out) return fail(namespace_unavailable, path);
    return {};
}

/// In the new user namespace this user has the same number, and all others none.
Result<void> enter_user_namespace() {
    const std::string uid = std::to_string(::geteuid());
    const std::string gid = std::to_string(::getegid());
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return fail(namespace_unavailable, system_message("unshare"));
    EOS_TRY(write_proc("/proc/self/setgroups", "deny"));
    EOS_TRY(write_proc("/proc/self/uid_map", uid + " " + uid + " 1"));
    return write_proc("/proc/self/gid_map", gid + " " + gid + " 1");
}

Result<void> bind_mount(const std::string& source, const fs::path& target) {
    if (::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0) return {};
    return fail(mount_failed, system_message(source + " on " + target.string()));
}

/// Shows one entry of a directory in the tmpfs that is to replace it.
Result<void> copy_entry(const fs::directory_entry& entry, const fs::path& staging) {
    const fs::path target = staging / entry.path().filename();
    std::error_code error;
    if (entry.is_symlink(error)) {
        fs::copy_symlink(entry.path(), target, error);
        if (error) return fail(mount_failed, target.string() + ": " + error.message());
        return {};
    }
    if (entry.is_directory(error)) {
        fs::create_directory(target, error);
    } else {
        const std::ofstream made(target);
    }
    return bind_mount(entry.path().string(), target);
}

/// Replaces a directory by a tmpfs that shows the same entries.
Result<void> make_writable(const std::string& directory, const std::string& scratch) {
    EOS_TRY(mount_empty(scratch));
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(directory, error))
        EOS_TRY(copy_entry(entry, scratch));
    if (error) return fail(mount_failed, directory + ": " + error.message());
    if (::mount(scratch.c_str(), directory.c_str(), nullptr, MS_MOVE, nullptr) == 0) return {};
    return fail(mount_failed, system_message(directory));
}

/// Makes the directories that `path` lacks.
Result<void> ensure_directory(const fs::path& path, const std::string& scratch) {
    std::error_code error;
    if (fs::is_directory(path, error)) return {};
    EOS_TRY(ensure_directory(path.parent_path(), scratch));
    if (::mkdir(path.c_str(), 0755) == 0) return {};
    EOS_TRY(make_writable(path.parent_path().string(), scratch));
    if (::mkdir(path.c_str(), 0755) == 0) return {};
    return fail(mount_failed, system_message(path.string()));
}

constexpr const char* kTrialDirectory = "/tmp";

enum class Missing : int { kNothing = 0, kNamespace = 1, kFuse = 2 };

Missing try_machine() {
    if (!enter_private_namespace() || !mount_empty(kTrialDirectory)) return Missing::kNamespace;
    const int fuse = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0) return Missing::kFuse;
    const std::string options = "fd=" + std::to_string(fuse) +
                                ",rootmode=40000,user_id=" + std::to_string(::geteuid()) +
                                ",group_id=" + std::to_string(::getegid());
    const int mounted =
        ::mount("check", kTrialDirectory, "fuse", MS_NOSUID | MS_NODEV, options.c_str());
    return mounted == 0 ? Missing::kNothing : Missing::kFuse;
}

}  // namespace

Result<void> enter_private_namespace() {
    if (::unshare(CLONE_NEWNS) != 0) EOS_TRY(enter_user_namespace());
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        return fail(namespace_unavailable, system_message("mount"));
    return {};
}

Result<void> check_machine() {
    const pid_t child = ::fork();
    if (child < 0) return fail(namespace_unavailable, system_message("fork"));
    if (child == 0) ::_exit(static_cast<int>(try_machine()));
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status)) return fail(namespace_unavailable, "the trial ended by a signal");
    switch (static_cast<Missing>(WEXITSTATUS(status))) {
        case Missing::kNothing:
            return {};
        case Missing::kFuse:
            return fail(fuse_unavailable);
        case Missing::kNamespace:
            break;
    }
    return fail(namespace_unavailable);
}

Result<void> mount_empty(const std::string& directory) {
    if (::mount("tsm-emulator", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0)
        return {};
    return fail(mount_failed, system_message(directory));
}

Result<void> bind_at(const Bind& what, const std::string& scratch) {
    EOS_TRY(ensure_directory(what.target, scratch));
    return bind_mount(what.source, what.target);
}

Result<void> link_at(const Link& link, const std::string& scratch) {
    std::error_code error;
    if (fs::exists(fs::symlink_status(link.path, error))) return {};
    const std::string directory = fs::path(link.path).parent_path().string();
    EOS_TRY(ensure_directory(directory, scratch));
    if (::symlink(link.value.c_str(), link.path.c_str()) == 0) return {};
    EOS_TRY(make_writable(directory, scratch));
    if (::symlink(link.value.c_str(), link.path.c_str()) == 0) return {};
    return fail(mount_failed, system_message(link.path));
}

}  // namespace eos::emulation::tsm
