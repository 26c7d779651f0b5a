// SPDX-License-Identifier: AGPL-3.0-only
// What the functions of the file system work on.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "emulation/tsm/fuse_server.h"
#include "emulation/tsm/inode_attributes.h"

namespace eos::emulation::tsm {

/// An open file: one of the three kinds, or a directory. Its name may be gone.
struct FuseHandle {
    std::string name;
    std::unique_ptr<ReportTree::File> report;
    const RegisterFile* register_file = nullptr;
    bool control = false;
};

/// threads: any.
struct FuseState {
    explicit FuseState(const FuseContent& shown) : content(shown) {}

    /// The kernel gives the number back with each request; release() need not come at the end.
    std::uint64_t keep(std::unique_ptr<FuseHandle> handle) {
        const std::lock_guard lock(mutex);
        const auto number = reinterpret_cast<std::uint64_t>(handle.get());
        handles.emplace(number, std::move(handle));
        return number;
    }
    void release(std::uint64_t number) {
        const std::lock_guard lock(mutex);
        handles.erase(number);
    }

    FuseContent content;
    InodeAttributes inodes;
    std::atomic<bool> ending = false;
    std::mutex mutex;
    std::unordered_map<std::uint64_t, std::unique_ptr<FuseHandle>> handles;
};

}  // namespace eos::emulation::tsm
