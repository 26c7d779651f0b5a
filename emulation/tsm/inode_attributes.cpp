// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/inode_attributes.h"

namespace eos::emulation::tsm {

namespace {

template <typename T>
void take(std::optional<T>& out, const std::optional<T>& changed) {
    if (changed) out = changed;
}

}  // namespace

void InodeAttributes::change(const std::string& path, const Changes& changes) {
    const std::lock_guard lock(mutex_);
    Changes& kept = changes_[path];
    take(kept.mode, changes.mode);
    take(kept.owner, changes.owner);
    take(kept.group, changes.group);
    take(kept.accessed, changes.accessed);
    take(kept.modified, changes.modified);
}

void InodeAttributes::apply(const std::string& path, struct stat& out) const {
    const std::lock_guard lock(mutex_);
    const auto found = changes_.find(path);
    if (found == changes_.end()) return;
    const Changes& kept = found->second;
    if (kept.mode) out.st_mode = (out.st_mode & S_IFMT) | *kept.mode;
    out.st_uid = kept.owner.value_or(out.st_uid);
    out.st_gid = kept.group.value_or(out.st_gid);
    out.st_atim = kept.accessed.value_or(out.st_atim);
    out.st_mtim = kept.modified.value_or(out.st_mtim);
}

void InodeAttributes::forget(const std::string& directory) {
    const std::lock_guard lock(mutex_);
    std::erase_if(changes_, [&](const auto& entry) {
        const std::string& path = entry.first;
        return path == directory || path.starts_with(directory + "/");
    });
}

}  // namespace eos::emulation::tsm
