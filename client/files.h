// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/p256.h"
#include "common/x509/certificate.h"

namespace eos::client {

inline constexpr Code file_unreadable{"client", "file_unreadable", "the file cannot be read"};
inline constexpr Code file_unwritable{"client", "file_unwritable", "the file cannot be written"};
inline constexpr Code file_exists{"client", "file_exists", "the file exists already"};
inline constexpr Code file_exposed{"client", "file_exposed",
                                   "a private key file may be read by others; chmod 600 it"};

inline constexpr std::size_t kMaxFileBytes = 64 * 1024 * 1024;

/// Who may read a file that is written.
enum class Privacy { kPublic, kOwnerOnly };

/// What to do where the file exists.
enum class Overwrite { kRefuse, kReplace };

/// The whole file, at most max_bytes.
/// errors: file_unreadable.
[[nodiscard]] Result<Bytes> read_file(const std::filesystem::path& path,
                                      std::size_t max_bytes = kMaxFileBytes);

/// How write_file() treats what it finds and who may see what it leaves.
struct WriteOptions {
    Privacy privacy = Privacy::kPublic;
    Overwrite overwrite = Overwrite::kReplace;
};

/// Writes the file as a whole or not at all: beside it first, then renamed. Makes missing folders.
/// errors: file_unwritable, file_exists.
[[nodiscard]] Result<void> write_file(const std::filesystem::path& path, ByteView content,
                                      const WriteOptions& options);

/// Held while a file is read, changed and replaced, by one program at a time. The kernel drops it
/// with its process.
class FileLock {
  public:
    /// Waits for the lock `file`.lock; makes missing folders.
    /// errors: file_unwritable.
    [[nodiscard]] static Result<FileLock> take(const std::filesystem::path& file);

    FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    FileLock& operator=(FileLock&&) = delete;
    ~FileLock();

  private:
    explicit FileLock(int fd) : fd_(fd) {}
    int fd_;
};

/// The private key of a PEM file (PKCS #8) that nobody else may read.
/// errors: file_unreadable, file_exposed, those of x509::parse_pem and crypto::bad_key.
[[nodiscard]] Result<crypto::P256PrivateKey> read_private_key(const std::filesystem::path& path);

/// errors: file_exists, file_unwritable. Never overwrites.
[[nodiscard]] Result<void> write_private_key(const std::filesystem::path& path,
                                             const crypto::P256PrivateKey& key);

/// Every certificate of a PEM file, or the one of a DER file.
/// errors: file_unreadable, those of x509::parse_pem_certificates and x509::Certificate::parse.
[[nodiscard]] Result<std::vector<x509::Certificate>> read_certificates(
    const std::filesystem::path& path);

}  // namespace eos::client
