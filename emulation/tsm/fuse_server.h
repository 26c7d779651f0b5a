// SPDX-License-Identifier: AGPL-3.0-only
// Shows a report tree, and the registers if there are any, as a file system: report/ and
// measurements/; and control/, which no kernel has.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "emulation/tsm/fuse_loop.h"
#include "emulation/tsm/private_namespace.h"
#include "emulation/tsm/registers.h"
#include "emulation/tsm/report_tree.h"

struct fuse;

namespace eos::emulation::tsm {

/// What is shown.
struct FuseContent {
    ReportTree& reports;
    Registers* registers = nullptr;  ///< null: no measurements/
    uid_t owner = 0;                 ///< of all files: root, as in the kernel
    gid_t group = 0;                 ///< one that the user namespace knows, or nobody may write
};

/// What the file system's functions work on.
struct FuseState;

/// A mounted file system and the threads that answer for it.
class FuseServer {
  public:
    /// Mounts on an existing directory and serves until the object ends, which waits for SEV-SNP's
    /// reports that are under way. SIGTERM, SIGINT and SIGHUP
    /// must be blocked or the caller's business.
    /// errors:  fuse_unavailable.
    [[nodiscard]] static Result<std::unique_ptr<FuseServer>> start(const FuseContent& content,
                                                                   const std::string& directory);
    ~FuseServer();
    FuseServer(const FuseServer&) = delete;
    FuseServer& operator=(const FuseServer&) = delete;

  private:
    explicit FuseServer(const FuseContent& content);

    std::unique_ptr<FuseState> state_;
    ::fuse* fuse_ = nullptr;
    std::unique_ptr<FuseLoop> loop_;
};

}  // namespace eos::emulation::tsm
