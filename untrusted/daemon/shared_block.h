// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <memory>

#include "boundary/layout.h"
#include "common/base/result.h"
#include "untrusted/daemon/unique_fd.h"

namespace eos::daemon {

inline constexpr Code no_shared_block{"untrusted/daemon", "no_shared_block",
                                      "the memory shared with the trusted side cannot be made"};

/// The block that both sides map: a memfd that nobody can shrink or grow, so that no access to it
/// can end in SIGBUS. Every start of the trusted process gets a new one.
class SharedBlock {
  public:
    /// errors: no_shared_block, boundary::bad_layout.
    [[nodiscard]] static Result<std::unique_ptr<SharedBlock>> create(
        const boundary::LayoutOptions& options);
    ~SharedBlock();
    SharedBlock(const SharedBlock&) = delete;
    SharedBlock& operator=(const SharedBlock&) = delete;

    int fd() const { return fd_.get(); }
    const boundary::Layout& layout() const { return layout_; }

  private:
    SharedBlock(UniqueFd fd, MutableByteView memory, const boundary::Layout& layout)
        : fd_(std::move(fd)), memory_(memory), layout_(layout) {}

    UniqueFd fd_;
    MutableByteView memory_;
    boundary::Layout layout_;
};

}  // namespace eos::daemon
