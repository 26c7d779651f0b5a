// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/registers.h"

#include <algorithm>
#include <cerrno>

#include "common/attestation/event_log/replay.h"
#include "common/base/codec.h"
#include "common/crypto/hash.h"

namespace eos::emulation::tsm {

namespace {

namespace event_log = attestation::event_log;
using attestation::evidence::TdMeasurement;

TdMeasurement sha384(ByteView bytes) {
    return to_array<kRegisterBytes>(crypto::hash(crypto::HashKind::kSha384, bytes));
}

/// "rtmr2:sha384" is 2.
std::size_t rtmr_index(const RegisterFile& file) {
    return static_cast<std::size_t>(file.name[4] - '0');
}

bool is_rtmr(const RegisterFile& file) {
    return file.name.starts_with("rtmr");
}

}  // namespace

event_log::EventLog boot_log() {
    event_log::EventLog out;
    const auto measure = [&out](std::size_t rtmr, std::string name) {
        constexpr std::string_view kPayload = "emulated, protects nothing";
        Writer covered;
        covered.u32le(event_log::kDstackRuntimeEvent).text(":").text(name).text(":");
        covered.text(kPayload);
        out.events.push_back({rtmr, event_log::kDstackRuntimeEvent, sha384(covered.view()),
                              std::move(name), to_bytes(kPayload)});
    };
    measure(0, "machine");
    measure(1, "kernel");
    measure(2, "command-line");
    return out;
}

TdMeasurement emulated_mr_td() {
    return sha384(as_bytes("enclave-os emulated trust domain, protects nothing"));
}

Registers::Registers() : rtmrs_(event_log::replay(boot_log())) {}

const std::vector<RegisterFile>& Registers::files() {
    static const std::vector<RegisterFile> files{{"mrconfigid"},         {"mrowner"},
                                                 {"mrownerconfig"},      {"mrtd:sha384"},
                                                 {"rtmr0:sha384", 0644}, {"rtmr1:sha384", 0644},
                                                 {"rtmr2:sha384", 0644}, {"rtmr3:sha384", 0644}};
    return files;
}

const RegisterFile* Registers::file(const std::string& name) {
    const auto found = std::ranges::find(files(), name, &RegisterFile::name);
    return found == files().end() ? nullptr : &*found;
}

TdMeasurement Registers::value_of(const RegisterFile& file) const {
    if (file.name == "mrtd:sha384") return emulated_mr_td();
    if (!is_rtmr(file)) return {};
    const std::lock_guard lock(mutex_);
    return rtmrs_.at(rtmr_index(file));
}

int Registers::read(const RegisterFile& file, MutableByteView out, std::size_t offset) const {
    const TdMeasurement value = value_of(file);
    const ByteView rest = ByteView(value).subspan(std::min(offset, value.size()));
    const std::size_t size = std::min(rest.size(), out.size());
    std::ranges::copy(rest.first(size), out.begin());
    return static_cast<int>(size);
}

int Registers::write(const RegisterFile& file, ByteView value, std::size_t offset) {
    if (!is_rtmr(file)) return -EIO;
    // sysfs cuts what is longer than the file before the driver sees it.
    if (offset >= kRegisterBytes) return -EFBIG;
    value = value.first(std::min(value.size(), kRegisterBytes - offset));
    if (value.empty()) return 0;
    if (value.size() != kRegisterBytes) return -EINVAL;
    const std::lock_guard lock(mutex_);
    TdMeasurement& rtmr = rtmrs_.at(rtmr_index(file));
    rtmr = sha384(concat({rtmr, value}));
    return static_cast<int>(value.size());
}

event_log::Rtmrs Registers::rtmrs() const {
    const std::lock_guard lock(mutex_);
    return rtmrs_;
}

}  // namespace eos::emulation::tsm
