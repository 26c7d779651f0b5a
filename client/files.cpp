// SPDX-License-Identifier: AGPL-3.0-only
#include "client/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "common/x509/pem.h"

namespace eos::client {
namespace {

std::string reason() {
    return std::strerror(errno);
}

// Writes everything to a new file and makes it durable.
Result<void> write_new(const std::filesystem::path& path, ByteView content, mode_t mode) {
    int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return fail(file_unwritable, path.string() + ": " + reason());
    bool ok = true;
    while (ok && !content.empty()) {
        ssize_t count = ::write(fd, content.data(), content.size());
        ok = count >= 0 || errno == EINTR;
        if (count > 0) content = content.subspan(static_cast<std::size_t>(count));
    }
    ok = ok && ::fsync(fd) == 0;
    std::string why = reason();
    ::close(fd);
    if (!ok) return fail(file_unwritable, path.string() + ": " + why);
    return {};
}

}  // namespace

Result<Bytes> read_file(const std::filesystem::path& path, std::size_t max_bytes) {
    std::error_code error;
    std::uintmax_t size = std::filesystem::file_size(path, error);
    if (error) return fail(file_unreadable, path.string() + ": " + error.message());
    if (size > max_bytes) {
        return fail(file_unreadable,
                    path.string() + ": larger than " + std::to_string(max_bytes) + " bytes");
    }
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail(file_unreadable, path.string() + ": " + reason());
    std::string content(std::istreambuf_iterator<char>(file), {});
    return to_bytes(content);
}

Result<void> write_file(const std::filesystem::path& path, ByteView content,
                        const WriteOptions& options) {
    std::error_code error;
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
    if (error) return fail(file_unwritable, path.parent_path().string() + ": " + error.message());
    if (options.overwrite == Overwrite::kRefuse && std::filesystem::exists(path, error)) {
        return fail(file_exists, path.string());
    }
    std::filesystem::path beside = path;
    beside += ".new-" + std::to_string(::getpid());
    std::filesystem::remove(beside, error);
    mode_t mode = options.privacy == Privacy::kOwnerOnly ? 0600 : 0644;
    EOS_TRY(write_new(beside, content, mode));
    std::filesystem::rename(beside, path, error);
    if (error) return fail(file_unwritable, path.string() + ": " + error.message());
    return {};
}

Result<FileLock> FileLock::take(const std::filesystem::path& file) {
    std::error_code error;
    if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), error);
    std::filesystem::path path = file;
    path += ".lock";
    FileLock out(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    int outcome = out.fd_ < 0 ? -1 : ::flock(out.fd_, LOCK_EX);
    while (out.fd_ >= 0 && outcome != 0 && errno == EINTR) outcome = ::flock(out.fd_, LOCK_EX);
    if (outcome == 0) return out;
    return fail(file_unwritable, path.string() + ": " + std::strerror(errno));
}

FileLock::~FileLock() {
    if (fd_ >= 0) ::close(fd_);
}

Result<crypto::P256PrivateKey> read_private_key(const std::filesystem::path& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0)
        return fail(file_unreadable, path.string() + ": " + reason());
    if ((info.st_mode & 077) != 0) return fail(file_exposed, path.string());
    Bytes text = EOS_TRY(read_file(path));
    auto blocks = x509::parse_pem(as_chars(text), {.label = "PRIVATE KEY", .max_blocks = 1});
    secure_wipe(text);
    if (!blocks) return fail(std::move(blocks.error()).within(path.string()));
    SecretBytes der(std::move(blocks->front().der));
    Result<crypto::P256PrivateKey> key = crypto::P256PrivateKey::from_pkcs8(der.view());
    if (!key) return fail(std::move(key.error()).within(path.string()));
    return key;
}

Result<void> write_private_key(const std::filesystem::path& path,
                               const crypto::P256PrivateKey& key) {
    SecretBytes der = key.to_pkcs8();
    std::string pem = x509::encode_pem("PRIVATE KEY", der.view());
    return write_file(path, as_bytes(pem),
                      {.privacy = Privacy::kOwnerOnly, .overwrite = Overwrite::kRefuse});
}

Result<std::vector<x509::Certificate>> read_certificates(const std::filesystem::path& path) {
    Bytes content = EOS_TRY(read_file(path));
    bool is_der = !content.empty() && content.front() == std::byte{0x30};
    if (!is_der) {
        auto certificates = x509::parse_pem_certificates(as_chars(content));
        if (!certificates) return fail(std::move(certificates.error()).within(path.string()));
        return certificates;
    }
    Result<x509::Certificate> certificate = x509::Certificate::parse(content);
    if (!certificate) return fail(std::move(certificate.error()).within(path.string()));
    return std::vector<x509::Certificate>{*certificate};
}

}  // namespace eos::client
