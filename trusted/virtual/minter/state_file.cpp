// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/minter/state_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/base/codec.h"
#include "trusted/runtime/host_name.h"

namespace eos::cvm {
namespace {

constexpr std::string_view kMagic = "enclave-os/minter-state/1\n";
constexpr const char* kFile = "state";
constexpr const char* kNewFile = "state.new";
constexpr const char* kLockFile = "lock";
constexpr std::size_t kMaxNameBytes = 255;
constexpr std::size_t kMaxKeyBytes = 4096;

std::string reason(const char* what) {
    return std::string(what) + ": " + std::strerror(errno);
}

// --- the format ---

void put_run(Writer& out, ByteView bytes) {
    out.u32le(static_cast<std::uint32_t>(bytes.size())).bytes(bytes);
}

Result<ByteView> take_run(Reader& in, std::size_t most) {
    const std::uint32_t size = EOS_TRY(in.u32le());
    if (size > most) return fail(state_unusable, "a field is too long");
    return in.bytes(size);
}

void put_ownership(Writer& out, const runtime::Ownership& owned) {
    out.bytes(owned.owner_spki_hash);
    put_run(out, as_bytes(owned.platform_name));
    out.u64le(static_cast<std::uint64_t>(owned.provisioned_at.seconds));
    out.u8(static_cast<std::uint8_t>(owned.authority.origin));
    out.u8(static_cast<std::uint8_t>(owned.authority.chain.size()));
    for (const Bytes& certificate : owned.authority.chain) put_run(out, certificate);
    put_run(out, owned.authority.key.view());
}

Result<runtime::Ownership> take_ownership(Reader& in) {
    runtime::Ownership out;
    out.owner_spki_hash = EOS_TRY(in.array<32>());
    out.platform_name = to_string(EOS_TRY(take_run(in, kMaxNameBytes)));
    out.provisioned_at = {static_cast<std::int64_t>(EOS_TRY(in.u64le()))};
    const std::uint8_t origin = EOS_TRY(in.u8());
    const std::uint8_t count = EOS_TRY(in.u8());
    if (origin != 1 && origin != 2) return fail(state_unusable, "the CA key's origin");
    if (count == 0 || count > runtime::kMaxChainCertificates)
        return fail(state_unusable, "the CA's chain");
    out.authority.origin = static_cast<runtime::CaKeyOrigin>(origin);
    for (std::uint8_t i = 0; i < count; ++i) {
        out.authority.chain.push_back(
            to_bytes(EOS_TRY(take_run(in, runtime::kMaxCertificateBytes))));
    }
    out.authority.key = SecretBytes(to_bytes(EOS_TRY(take_run(in, kMaxKeyBytes))));
    if (!runtime::is_host_name(out.platform_name))
        return fail(state_unusable, "the platform's name");
    return out;
}

void put_history(Writer& out, const config_tree::History& history) {
    out.bytes(history.base).u32le(static_cast<std::uint32_t>(history.changes.size()));
    for (const config_tree::Change& change : history.changes) {
        out.u64le(change.generation).bytes(change.policy_root);
        out.u64le(static_cast<std::uint64_t>(change.time.seconds));
    }
    out.bytes(history.head);
}

Result<config_tree::History> take_history(Reader& in) {
    config_tree::History out;
    out.base = EOS_TRY(in.array<32>());
    const std::uint32_t count = EOS_TRY(in.u32le());
    if (count > config_tree::kMaxHistoryEntries) return fail(state_unusable, "the history");
    for (std::uint32_t i = 0; i < count; ++i) {
        config_tree::Change change;
        change.generation = EOS_TRY(in.u64le());
        change.policy_root = EOS_TRY(in.array<32>());
        change.time = {static_cast<std::int64_t>(EOS_TRY(in.u64le()))};
        out.changes.push_back(change);
    }
    out.head = EOS_TRY(in.array<32>());
    EOS_TRY(config_tree::verify_history(out));
    return out;
}

Result<MinterState> take_state(ByteView body) {
    Reader in(body);
    MinterState out;
    out.instance_id = EOS_TRY(in.array<16>());
    out.generation = EOS_TRY(in.u64le());
    out.time_floor = {static_cast<std::int64_t>(EOS_TRY(in.u64le()))};
    out.served_hash = EOS_TRY(in.array<32>());
    const std::uint8_t is_owned = EOS_TRY(in.u8());
    if (is_owned > 1) return fail(state_unusable, "whether it has an owner");
    if (is_owned == 1) out.owned = EOS_TRY(take_ownership(in));
    const std::uint32_t ids = EOS_TRY(in.u32le());
    if (ids > kMaxRoutes) return fail(state_unusable, "too many ids");
    for (std::uint32_t i = 0; i < ids; ++i) {
        std::string name = to_string(EOS_TRY(take_run(in, kMaxNameBytes)));
        const bool rises = out.app_ids.empty() || out.app_ids.rbegin()->first < name;
        if (!rises) return fail(state_unusable, "ids are not in order");
        out.app_ids.emplace(std::move(name), EOS_TRY(in.array<16>()));
    }
    out.history = EOS_TRY(take_history(in));
    EOS_TRY(in.expect_end());
    return out;
}

// --- files ---

Result<void> write_all(int fd, ByteView bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail(state_not_written, reason("write"));
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    if (::fsync(fd) != 0) return fail(state_not_written, reason("fsync"));
    return {};
}

Result<std::optional<SecretBytes>> read_all(int directory) {
    os::UniqueFd fd(::openat(directory, kFile, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid() && errno == ENOENT) return std::nullopt;
    struct stat status{};
    if (!fd.valid() || ::fstat(fd.get(), &status) != 0)
        return fail(state_unusable, reason("state"));
    if (status.st_size < 0 || static_cast<std::size_t>(status.st_size) > kMaxStateBytes)
        return fail(state_unusable, "its size");
    Bytes out(static_cast<std::size_t>(status.st_size));
    std::size_t done = 0;
    while (done < out.size()) {
        const ssize_t count = ::read(fd.get(), out.data() + done, out.size() - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return fail(state_unusable, reason("read"));
        done += static_cast<std::size_t>(count);
    }
    return SecretBytes(std::move(out));
}

}  // namespace

MinterState MinterState::duplicate() const {
    MinterState out;
    out.instance_id = instance_id;
    out.generation = generation;
    if (owned) out.owned = owned->duplicate();
    out.app_ids = app_ids;
    out.served_hash = served_hash;
    out.history = history;
    out.time_floor = time_floor;
    return out;
}

SecretBytes encode_state(const MinterState& state) {
    Writer out;
    out.reserve(128 * 1024 + state.app_ids.size() * 96);
    out.text(kMagic).bytes(state.instance_id).u64le(state.generation);
    out.u64le(static_cast<std::uint64_t>(state.time_floor.seconds)).bytes(state.served_hash);
    out.u8(state.owned ? 1 : 0);
    if (state.owned) put_ownership(out, *state.owned);
    out.u32le(static_cast<std::uint32_t>(state.app_ids.size()));
    for (const auto& [name, id] : state.app_ids) {
        put_run(out, as_bytes(name));
        out.bytes(id);
    }
    put_history(out, state.history);
    out.bytes(crypto::sha256(out.view()));
    return SecretBytes(std::move(out).take());
}

Result<MinterState> decode_state(ByteView file) {
    if (file.size() < kMagic.size() + 32) return fail(state_unusable, "it is too short");
    const ByteView body = file.first(file.size() - 32);
    if (as_chars(body.first(kMagic.size())) != kMagic)
        return fail(state_unusable, "it is not of this program, or of another version");
    if (crypto::sha256(body) != to_array<32>(file.last(32)))
        return fail(state_unusable, "its hash does not match");
    Result<MinterState> state = take_state(body.subspan(kMagic.size()));
    if (!state) return fail(state_unusable, state.error().message());
    return state;
}

Result<StateDirectory> StateDirectory::open(const std::string& path) {
    os::UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status{};
    if (!directory.valid() || ::fstat(directory.get(), &status) != 0)
        return fail(state_exposed, reason(path.c_str()));
    if (status.st_uid != ::geteuid() || (status.st_mode & 07777) != 0700)
        return fail(state_exposed, path);
    os::UniqueFd lock(
        ::openat(directory.get(), kLockFile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock.valid()) return fail(state_not_written, reason("lock"));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return fail(state_in_use, path);
    // What a crash left of a write that nobody was told of.
    if (::unlinkat(directory.get(), kNewFile, 0) != 0 && errno != ENOENT)
        return fail(state_not_written, reason(kNewFile));
    return StateDirectory(std::move(directory), std::move(lock));
}

Result<std::optional<MinterState>> StateDirectory::load() const {
    std::optional<SecretBytes> file = EOS_TRY(read_all(directory_.get()));
    if (!file) return std::nullopt;
    return EOS_TRY(decode_state(file->view()));
}

Result<void> StateDirectory::store(const MinterState& state) const {
    const SecretBytes file = encode_state(state);
    os::UniqueFd fd(::openat(directory_.get(), kNewFile,
                             O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return fail(state_not_written, reason(kNewFile));
    EOS_TRY(write_all(fd.get(), file.view()));
    if (::renameat(directory_.get(), kNewFile, directory_.get(), kFile) != 0)
        return fail(state_not_written, reason("rename"));
    if (::fsync(directory_.get()) != 0) return fail(state_not_written, reason("fsync"));
    return {};
}

}  // namespace eos::cvm
