// SPDX-License-Identifier: AGPL-3.0-only
// For tests, fuzz targets and benches: a shared block in this process's memory, and bells that
// nobody waits for.
#pragma once

#include <sys/mman.h>

#include <optional>

#include "boundary/endpoint.h"
#include "boundary/layout.h"
#include "common/base/assert.h"

namespace eos::boundary {

/// Owns the memory; the layout is freshly created in it.
class TestBlock {
  public:
    explicit TestBlock(const LayoutOptions& options) : size_(*Layout::block_bytes(options)) {
        void* base =
            mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        EOS_ASSERT(base != MAP_FAILED);
        base_ = static_cast<std::byte*>(base);
        layout_.emplace(*Layout::create(bytes(), options));
    }
    TestBlock(const TestBlock&) = delete;
    TestBlock& operator=(const TestBlock&) = delete;
    ~TestBlock() { munmap(base_, size_); }

    MutableByteView bytes() { return {base_, size_}; }
    const Layout& layout() const { return *layout_; }

  private:
    std::size_t size_;
    std::byte* base_ = nullptr;
    std::optional<Layout> layout_;
};

/// Where both ends are driven in turn, neither sleeps.
class NoSignals : public TrustedSignals, public HostSignals {
  public:
    void wait(unsigned, std::uint32_t, std::uint32_t) override {}
    void notify(unsigned) override {}
    void wake(unsigned) override {}
};

}  // namespace eos::boundary
