// SPDX-License-Identifier: AGPL-3.0-only
// What chmod, chown and utimes changed of a file: configfs and sysfs let them, and keep it for as
// long as there is the file. source: Linux, fs/configfs/inode.c, configfs_setattr().
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace eos::emulation::tsm {

/// By path: "/report/entry/inblob". threads: any.
class InodeAttributes {
  public:
    struct Changes {
        std::optional<mode_t> mode = {};  ///< permissions only
        std::optional<uid_t> owner = {};
        std::optional<gid_t> group = {};
        std::optional<timespec> accessed = {};
        std::optional<timespec> modified = {};
    };

    /// in: changes: of a file that exists.
    void change(const std::string& path, const Changes& changes);
    /// Puts what was changed into `out`.
    void apply(const std::string& path, struct stat& out) const;
    /// A directory was removed with what is in it.
    void forget(const std::string& directory);

  private:
    mutable std::mutex mutex_;
    std::map<std::string, Changes> changes_;
};

}  // namespace eos::emulation::tsm
