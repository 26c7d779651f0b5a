// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/service_digest.h"

#include <fcntl.h>

#include <cerrno>

#include "common/base/encoding.h"
#include "trusted/os/files.h"
#include "trusted/os/unique_fd.h"

namespace eos::attestd {
namespace {

// The file that was started, also where its name leads to another one by now.
constexpr const char* kOwnExecutable = "/proc/self/exe";
constexpr std::size_t kPieceBytes = 64 * 1024;

}  // namespace

crypto::Digest32 service_digest(const ServiceIdentity& identity) {
    const std::string text = "enclave-os-attestd 1\nexecutable " + hex(identity.executable) +
                             "\nconfiguration " + hex(identity.configuration) + "\npolicy " +
                             hex(identity.policy) + "\n";
    return crypto::sha256(as_bytes(text));
}

Result<crypto::Digest32> own_executable_digest() {
    const os::UniqueFd file(::open(kOwnExecutable, O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return fail(os::file_unreadable, kOwnExecutable);
    crypto::Sha256 hash;
    Bytes piece(kPieceBytes);
    for (;;) {
        const ssize_t count = ::read(file.get(), piece.data(), piece.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail(os::file_unreadable, kOwnExecutable);
        if (count == 0) return hash.finish();
        hash.update(ByteView(piece).first(static_cast<std::size_t>(count)));
    }
}

}  // namespace eos::attestd
