// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/quoting/platform_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "common/base/codec.h"
#include "common/crypto/cipher.h"
#include "common/crypto/random.h"
#include "common/x509/pem.h"

namespace eos::emulation::quoting {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = 64 * 1024;
constexpr std::string_view kSealLabel = "enclave-os emulated quoting enclave keys/1";
constexpr std::size_t kNonceBytes = std::tuple_size_v<crypto::GcmNonce>;

std::string system_message(const fs::path& path) {
    return path.string() + ": " + std::strerror(errno);
}

/// The key under which a quoting enclave keeps its keys: its SEAL key by MRENCLAVE.
Result<Secret<ByteArray<32>>> sealing_key(const sgx_cpu::Cpu& cpu,
                                          const sgx_cpu::EnclaveIdentity& enclave) {
    sgx_arch::KeyRequest request;
    request.key_name = sgx_arch::kKeyNameSeal;
    request.key_policy = sgx_arch::kKeyPolicyMrEnclave;
    request.isv_svn = enclave.isv_svn;
    request.cpu_svn = cpu.identity().cpu_svn;
    request.attribute_mask = {.flags = ~std::uint64_t{0}, .xfrm = sgx_arch::kXfrmLegacy};
    const sgx_arch::Key128 key = EOS_TRY(cpu.get_key(enclave, request));
    return crypto::hkdf_sha256(key.view(), {}, as_bytes(kSealLabel));
}

/// nonce ‖ AES-256-GCM(QE report ‖ its signature ‖ auth data ‖ attestation key as PKCS #8).
Result<Bytes> seal_keys(const sgx_cpu::Cpu& cpu, const sgx_cpu::EnclaveIdentity& enclave,
                        const QuotingKeys& keys) {
    const Secret<ByteArray<32>> key = EOS_TRY(sealing_key(cpu, enclave));
    const SecretBytes pkcs8 = keys.attestation_key.to_pkcs8();
    const SecretBytes plain(
        concat({keys.qe_report, keys.qe_report_signature, keys.auth_data, pkcs8.view()}));
    const auto nonce = crypto::random_array<kNonceBytes>();
    return concat(
        {nonce, crypto::aes256_gcm_seal(key.view(), nonce, plain.view(), as_bytes(kSealLabel))});
}

Result<QuotingKeys> parse_keys(ByteView plain) {
    Reader reader(plain);
    const auto report = EOS_TRY(reader.array<sgx_arch::kReportBodyBytes>());
    const auto signature = EOS_TRY(reader.array<64>());
    const auto auth_data = EOS_TRY(reader.array<kQeAuthDataBytes>());
    return QuotingKeys{
        .attestation_key = EOS_TRY(crypto::P256PrivateKey::from_pkcs8(reader.rest())),
        .auth_data = auth_data,
        .qe_report = report,
        .qe_report_signature = signature};
}

Result<QuotingKeys> unseal_keys(const sgx_cpu::Cpu& cpu, const sgx_cpu::EnclaveIdentity& enclave,
                                ByteView sealed) {
    const Secret<ByteArray<32>> key = EOS_TRY(sealing_key(cpu, enclave));
    if (sealed.size() < kNonceBytes) return fail(keys_malformed);
    const auto nonce = to_array<kNonceBytes>(sealed.first(kNonceBytes));
    Result<Bytes> plain = crypto::aes256_gcm_open(key.view(), nonce, sealed.subspan(kNonceBytes),
                                                  as_bytes(kSealLabel));
    if (!plain) return fail(keys_malformed);
    const SecretBytes secret(*std::move(plain));
    return parse_keys(secret.view());
}

Result<QuotingKeys> load_keys(const sgx_cpu::Cpu& cpu, const sgx_cpu::EnclaveIdentity& enclave,
                              const fs::path& path) {
    const Bytes sealed = EOS_TRY(read_file(path));
    Result<QuotingKeys> keys = unseal_keys(cpu, enclave, sealed);
    if (!keys) return fail(std::move(keys).error().within(path.string()));
    return keys;
}

/// Three PKCS #8 keys as PEM: root, platform CA, TCB signing.
SecretBytes encode_issuing_keys(const IssuingKeys& keys) {
    std::string out;
    for (const crypto::P256PrivateKey* key : {&keys.root, &keys.platform_ca, &keys.tcb_signing})
        out += x509::encode_pem("PRIVATE KEY", key->to_pkcs8().view());
    return SecretBytes(to_bytes(out));
}

/// Writes all and flushes it to the disk; the descriptor stays open.
Result<void> write_all(int fd, ByteView bytes, const fs::path& path) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(file_unwritable, system_message(path));
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    if (::fsync(fd) != 0) return fail(file_unwritable, system_message(path));
    return {};
}

/// A file that is to be written.
struct NewFile {
    const char* name;
    mode_t mode;
    ByteView content;
};

/// Replaces the file as a whole: a reader sees the old one or the new one.
Result<void> write_file(const fs::path& directory, const NewFile& file) {
    std::string temporary = (directory / file.name).string() + ".XXXXXX";
    const int fd = ::mkostemp(temporary.data(), O_CLOEXEC);
    if (fd < 0) return fail(file_unwritable, system_message(temporary));
    Result<void> written = write_all(fd, file.content, temporary);
    if (written && ::fchmod(fd, file.mode) != 0)
        written = fail(file_unwritable, system_message(temporary));
    ::close(fd);
    if (written && ::rename(temporary.c_str(), (directory / file.name).c_str()) != 0)
        written = fail(file_unwritable, system_message(directory / file.name));
    if (!written) ::unlink(temporary.c_str());
    return written;
}

Result<void> prepare_directory(const fs::path& directory, Overwrite overwrite) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return fail(directory_unusable, system_message(directory));
    struct stat status{};
    if (::lstat(directory.c_str(), &status) != 0)
        return fail(directory_unusable, system_message(directory));
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 022) != 0) {
        return fail(directory_unusable,
                    directory.string() + ": must be a directory that only this user can write to");
    }
    if (overwrite == Overwrite::kYes) {
        if (::unlink((directory / kCpuFile).c_str()) == 0 || errno == ENOENT) return {};
        return fail(file_unwritable, system_message(directory / kCpuFile));
    }
    for (const char* name : {kCpuFile, kKeysFile, kTdKeysFile, kChainFile, kRootFile,
                             kCollateralFile, kTdxCollateralFile, kIssuingFile}) {
        if (::lstat((directory / name).c_str(), &status) == 0)
            return fail(already_initialised, (directory / name).string());
    }
    return {};
}

}  // namespace

Result<void> init_platform(const fs::path& directory, Overwrite overwrite, UnixTime now) {
    const sgx_cpu::Cpu cpu(sgx_cpu::generate_identity());
    const Provisioned provisioned = EOS_TRY(provision(cpu, now));
    const Bytes keys = EOS_TRY(seal_keys(cpu, quoting_enclave_identity(), provisioned.keys));
    const Bytes td_keys =
        EOS_TRY(seal_keys(cpu, td_quoting_enclave_identity(), provisioned.td_keys));
    const SecretBytes issuing = encode_issuing_keys(provisioned.issuing);
    const SecretBytes identity = sgx_cpu::encode_identity(cpu.identity());
    EOS_TRY(prepare_directory(directory, overwrite));
    const std::array<NewFile, 8> files{{
        {kRootFile, 0644, as_bytes(provisioned.root_pem)},
        {kCollateralFile, 0644, as_bytes(provisioned.collateral_json)},
        {kChainFile, 0644, as_bytes(provisioned.pck_chain_pem)},
        {kTdxCollateralFile, 0644, as_bytes(provisioned.tdx_collateral_json)},
        {kKeysFile, 0600, keys},
        {kTdKeysFile, 0600, td_keys},
        {kIssuingFile, 0600, issuing.view()},
        {kCpuFile, 0600, identity.view()},
    }};
    for (const NewFile& file : files) EOS_TRY(write_file(directory, file));
    return {};
}

Result<QuotingEnclave> load_platform(const fs::path& directory) {
    sgx_cpu::Cpu cpu = EOS_TRY(sgx_cpu::Cpu::load(directory / kCpuFile));
    QuotingKeys keys = EOS_TRY(load_keys(cpu, quoting_enclave_identity(), directory / kKeysFile));
    const Bytes chain = EOS_TRY(read_file(directory / kChainFile));
    return QuotingEnclave::create(std::move(cpu), std::move(keys), to_string(chain));
}

Result<TdQuotingEnclave> load_td_platform(const fs::path& directory) {
    const sgx_cpu::Cpu cpu = EOS_TRY(sgx_cpu::Cpu::load(directory / kCpuFile));
    QuotingKeys keys =
        EOS_TRY(load_keys(cpu, td_quoting_enclave_identity(), directory / kTdKeysFile));
    const Bytes chain = EOS_TRY(read_file(directory / kChainFile));
    return TdQuotingEnclave::create(std::move(keys), to_string(chain));
}

Result<IssuingKeys> load_issuing_keys(const fs::path& directory) {
    const fs::path path = directory / kIssuingFile;
    const Bytes text = EOS_TRY(read_file(path));
    const auto blocks =
        EOS_TRY(x509::parse_pem(to_string(text), {.label = "PRIVATE KEY", .max_blocks = 3}));
    if (blocks.size() != 3) return fail(keys_malformed, path.string());
    return IssuingKeys{.root = EOS_TRY(crypto::P256PrivateKey::from_pkcs8(blocks[0].der)),
                       .platform_ca = EOS_TRY(crypto::P256PrivateKey::from_pkcs8(blocks[1].der)),
                       .tcb_signing = EOS_TRY(crypto::P256PrivateKey::from_pkcs8(blocks[2].der))};
}

Result<Bytes> read_file(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail(file_unreadable, system_message(path));
    Bytes out(kMaxFileBytes + 1);
    std::size_t size = 0;
    ssize_t got = 1;
    while (got != 0 && size < out.size()) {
        got = ::read(fd, out.data() + size, out.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        size += static_cast<std::size_t>(got);
    }
    const std::string problem = got < 0 ? system_message(path) : path.string() + ": too large";
    ::close(fd);
    if (got != 0) return fail(file_unreadable, problem);
    out.resize(size);
    return out;
}

}  // namespace eos::emulation::quoting
