// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/evidence/measurement.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/attestation/event_log/replay.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "trusted/os/files.h"
#include "trusted/os/unique_fd.h"
#include "trusted/virtual/evidence/guest_device.h"

namespace eos::cvm {

namespace {

namespace event_log = attestation::event_log;
using event_log::Event;
using event_log::EventLog;

constexpr std::size_t kRtmr3 = 3;

/// A register is a file of the directory that holds them all.
class SysfsRegister final : public RuntimeRegister {
  public:
    explicit SysfsRegister(std::unique_ptr<TsmDirectory> directory)
        : directory_(std::move(directory)) {}

    Result<Digest48> read() override {
        const SystemResult<Bytes> out = directory_->read(file(), sizeof(Digest48));
        if (!out) return fail(register_unavailable, describe(out.error()));
        if (out->size() != sizeof(Digest48))
            return fail(register_unavailable, std::to_string(out->size()) + " bytes");
        return to_array<sizeof(Digest48)>(*out);
    }

    Result<void> extend(const Digest48& digest) override {
        const SystemResult<void> written = directory_->write(file(), digest);
        if (!written) return fail(register_unavailable, describe(written.error()));
        return {};
    }

    Result<void> expect_extendable() override {
        const SystemResult<void> may = directory_->may_write(file());
        if (!may) return fail(register_unavailable, describe(may.error()));
        return {};
    }

  private:
    static TsmAttribute file() { return {".", "rtmr3:sha384"}; }

    std::unique_ptr<TsmDirectory> directory_;
};

std::string system_message(const std::string& path) {
    return path + ": " + describe(Errno{errno});
}

Result<EventLog> read_log(const std::string& path) {
    if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return EventLog{};
    const Result<Bytes> text = os::read_file(path, event_log::kMaxLogBytes);
    if (!text) return fail(log_unusable, text.error().detail());
    return event_log::parse_runtime_log(*text);
}

Result<void> write_all(const os::UniqueFd& file, ByteView bytes, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail(log_unusable, system_message(path));
        bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
}

/// Replaces the file as a whole. It need not survive the machine, only this program.
Result<void> write_log(const std::string& path, const EventLog& log) {
    const std::string temporary = path + ".new";
    const os::UniqueFd file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!file.valid()) return fail(log_unusable, system_message(temporary));
    const std::string text = encode_runtime_log(log);
    EOS_TRY(write_all(file, as_bytes(text), temporary));
    if (::rename(temporary.c_str(), path.c_str()) != 0)
        return fail(log_unusable, system_message(path));
    return {};
}

Digest48 replayed(const EventLog& log) {
    return event_log::replay(log)[kRtmr3];
}

}  // namespace

Result<std::unique_ptr<RuntimeRegister>> open_rtmr3(const RegisterPaths& paths) {
    SystemResult<std::unique_ptr<TsmDirectory>> opened = open_tsm_directory(paths.measurements);
    if (opened) return std::make_unique<SysfsRegister>(*std::move(opened));
    SystemResult<DeviceCall> device = open_device(paths.tdx_guest);
    if (device) return std::make_unique<TdReportRegister>(*std::move(device));
    return fail(register_unavailable, paths.measurements + ": " + describe(opened.error()) + "; " +
                                          paths.tdx_guest + ": " + describe(device.error()));
}

Result<PolicyMeasurement> PolicyMeasurement::open(std::unique_ptr<RuntimeRegister> rtmr3,
                                                  std::string log_path) {
    EOS_TRY(rtmr3->expect_extendable());
    EventLog log = EOS_TRY(read_log(log_path));
    const Digest48 found = EOS_TRY(rtmr3->read());
    if (replayed(log) != found && !log.events.empty()) {
        log.events.pop_back();
        if (replayed(log) == found) EOS_TRY(write_log(log_path, log));
    }
    if (replayed(log) != found) return fail(register_mismatch, "RTMR3 is " + hex(found));
    return PolicyMeasurement(std::move(rtmr3), std::move(log_path), std::move(log));
}

Result<void> PolicyMeasurement::check_register() {
    const Digest48 found = EOS_TRY(rtmr3_->read());
    if (found == replayed(log_)) return {};
    return fail(register_mismatch, "RTMR3 is " + hex(found));
}

Result<void> PolicyMeasurement::extend(const crypto::Digest32& policy_root, PolicyChange change) {
    EOS_TRY(check_register());
    const Event event = event_log::policy_root_event(policy_root);
    if (!log_.events.empty() && log_.events.back() == event) return {};
    const std::size_t reserved = change == PolicyChange::kCaRotation ? kReservedPolicyEvents : 0;
    if (log_.events.size() >= kMaxPolicyEvents - reserved) return fail(log_full);
    // Logged first: of the two ways to be interrupted, open() can undo this one.
    EventLog next = log_;
    next.events.push_back(event);
    EOS_TRY(write_log(log_path_, next));
    EOS_TRY(rtmr3_->extend(event.digest));
    log_ = std::move(next);
    return check_register();
}

}  // namespace eos::cvm
