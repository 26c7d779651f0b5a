// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/shared_block.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "untrusted/daemon/system_error.h"

namespace eos::daemon {

Result<std::unique_ptr<SharedBlock>> SharedBlock::create(const boundary::LayoutOptions& options) {
    const std::size_t size = EOS_TRY(boundary::Layout::block_bytes(options));
    UniqueFd fd(::memfd_create("enclave-os-block", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return fail(no_shared_block, system_error_text("memfd_create"));
    if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
        return fail(no_shared_block, system_error_text("ftruncate"));
    }
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return fail(no_shared_block, system_error_text("sealing"));
    }
    void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (address == MAP_FAILED) return fail(no_shared_block, system_error_text("mmap"));
    MutableByteView memory(static_cast<std::byte*>(address), size);
    auto layout = boundary::Layout::create(memory, options);
    if (!layout) {
        ::munmap(address, size);
        return fail(std::move(layout).error());
    }
    return std::unique_ptr<SharedBlock>(new SharedBlock(std::move(fd), memory, *layout));
}

SharedBlock::~SharedBlock() {
    ::munmap(memory_.data(), memory_.size());
}

}  // namespace eos::daemon
