// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/sgx_cpu/cpu_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "common/base/codec.h"
#include "common/crypto/hash.h"
#include "common/crypto/random.h"

namespace eos::emulation::sgx_cpu {

namespace {

constexpr std::string_view kMagic = "eos-emulated-cpu";
constexpr std::size_t kChecksummedBytes = kIdentityFileBytes - 32;

// FMSPC and security versions of no real platform: collateral for one never fits the other.
constexpr ByteArray<6> kFmspc = {std::byte{0xe0}, std::byte{0x50}, std::byte{0x5e},
                                 std::byte{0x00}, std::byte{0x00}, std::byte{0x00}};
constexpr std::byte kComponentSvn{7};
constexpr std::uint16_t kPceSvn = 13;

/// A file descriptor that is closed when it goes out of scope.
class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }

  private:
    int fd_;
};

std::unexpected<Error> unreadable(const std::filesystem::path& path) {
    return fail(identity_unreadable, path.string() + ": " + std::strerror(errno) +
                                         "; `sgx-quoting-emulator init` makes one");
}

Result<void> check_private(int fd, const std::filesystem::path& path) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) return unreadable(path);
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0)
        return fail(identity_not_private, path.string());
    return {};
}

/// Up to one byte more than a sound file has, so that a longer one is noticed.
Result<SecretBytes> read_at_most(int fd, const std::filesystem::path& path) {
    Bytes bytes(kIdentityFileBytes + 1);
    std::size_t size = 0;
    while (size < bytes.size()) {
        const ssize_t got = ::read(fd, bytes.data() + size, bytes.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            secure_wipe(bytes);
            return unreadable(path);
        }
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    bytes.resize(size);
    return SecretBytes(std::move(bytes));
}

}  // namespace

CpuIdentity generate_identity() {
    CpuIdentity out;
    out.cpu_svn.fill(kComponentSvn);
    out.pce_svn = kPceSvn;
    out.fmspc = kFmspc;
    out.ppid = crypto::random_array<16>();
    out.platform_instance_id = crypto::random_array<16>();
    crypto::fill_random(out.root_secret.writable());
    return out;
}

SecretBytes encode_identity(const CpuIdentity& identity) {
    Bytes out(kIdentityFileBytes);  // its final size: growing would leave unwiped copies behind
    Writer head;
    head.text(kMagic).u32le(kIdentityFileVersion).bytes(identity.cpu_svn).u16le(identity.pce_svn);
    head.bytes(identity.pce_id).bytes(identity.fmspc).bytes(identity.ppid);
    head.bytes(identity.platform_instance_id).zeros(2);
    std::ranges::copy(head.view(), out.begin());
    std::ranges::copy(identity.root_secret.view(),
                      out.begin() + static_cast<std::ptrdiff_t>(head.size()));
    const crypto::Digest32 checksum = crypto::sha256(ByteView(out).first(kChecksummedBytes));
    std::ranges::copy(checksum, out.begin() + kChecksummedBytes);
    return SecretBytes(std::move(out));
}

Result<CpuIdentity> parse_identity(ByteView in) {
    if (in.size() != kIdentityFileBytes) {
        return fail(identity_malformed, "expected " + std::to_string(kIdentityFileBytes) +
                                            " bytes, found " + std::to_string(in.size()));
    }
    Reader reader(in);
    const ByteView magic = EOS_TRY(reader.bytes(kMagic.size()));
    if (as_chars(magic) != kMagic) return fail(identity_malformed, "magic");
    const std::uint32_t version = EOS_TRY(reader.u32le());
    if (version != kIdentityFileVersion) {
        return fail(identity_version, "version " + std::to_string(version) + ", expected " +
                                          std::to_string(kIdentityFileVersion));
    }
    CpuIdentity out;
    out.cpu_svn = EOS_TRY(reader.array<16>());
    out.pce_svn = EOS_TRY(reader.u16le());
    out.pce_id = EOS_TRY(reader.array<2>());
    out.fmspc = EOS_TRY(reader.array<6>());
    out.ppid = EOS_TRY(reader.array<16>());
    out.platform_instance_id = EOS_TRY(reader.array<16>());
    if (EOS_TRY(reader.u16le()) != 0) return fail(identity_malformed, "reserved bytes");
    const ByteView secret = EOS_TRY(reader.bytes(32));
    std::ranges::copy(secret, out.root_secret.writable().begin());
    if (!equal(crypto::sha256(in.first(kChecksummedBytes)), reader.rest()))
        return fail(identity_malformed, "checksum");
    return out;
}

Result<CpuIdentity> load_identity(const std::filesystem::path& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (file.get() < 0 && errno == ELOOP) return fail(identity_not_private, path.string());
    if (file.get() < 0) return unreadable(path);
    EOS_TRY(check_private(file.get(), path));
    const SecretBytes bytes = EOS_TRY(read_at_most(file.get(), path));
    Result<CpuIdentity> identity = parse_identity(bytes.view());
    if (!identity) return fail(std::move(identity).error().within(path.string()));
    return identity;
}

}  // namespace eos::emulation::sgx_cpu
