// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/os/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "common/x509/pem.h"
#include "trusted/os/unique_fd.h"

namespace eos::os {
namespace {

constexpr std::size_t kMaxKeyBytes = 16 * 1024;

std::string reason(const std::string& path) {
    char text[128];
    return path + ": " + strerror_r(errno, text, sizeof text);
}

/// Who else may read it is looked at on the open file, not by its name.
enum class Readers { any, owner_only };

Result<Bytes> read_checked(const std::string& path, std::size_t max_bytes, Readers readers) {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!file.valid() || ::fstat(file.get(), &status) != 0) {
        return fail(file_unreadable, reason(path));
    }
    if (!S_ISREG(status.st_mode)) return fail(file_unreadable, path + ": not a file");
    if (readers == Readers::owner_only && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return fail(file_exposed, path);
    }
    Bytes out(max_bytes + 1);
    std::size_t size = 0;
    while (size < out.size()) {
        ssize_t count = ::read(file.get(), out.data() + size, out.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail(file_unreadable, reason(path));
        if (count == 0) break;
        size += static_cast<std::size_t>(count);
    }
    if (size > max_bytes) {
        return fail(file_unreadable, path + ": more than " + std::to_string(max_bytes) + " bytes");
    }
    out.resize(size);
    return out;
}

}  // namespace

Result<Bytes> read_file(const std::string& path, std::size_t max_bytes) {
    return read_checked(path, max_bytes, Readers::any);
}

Result<crypto::P256PrivateKey> read_private_key(const std::string& path) {
    SecretBytes text(EOS_TRY(read_checked(path, kMaxKeyBytes, Readers::owner_only)));
    Result<std::vector<x509::PemBlock>> blocks =
        x509::parse_pem(as_chars(text.view()), {.label = "PRIVATE KEY"});
    if (!blocks) return fail(std::move(blocks).error().within(path));
    SecretBytes der(std::move(blocks->front().der));
    Result<crypto::P256PrivateKey> key = crypto::P256PrivateKey::from_pkcs8(der.view());
    if (!key) return fail(std::move(key).error().within(path));
    return key;
}

}  // namespace eos::os
