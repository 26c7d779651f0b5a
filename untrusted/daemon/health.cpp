// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/health.h"

#include <array>
#include <utility>

namespace eos::daemon {
namespace {

using boundary::Status;

constexpr std::array<std::pair<std::uint32_t, const char*>, 7> kReasonTexts{{
    {Status::kStarting, "the trusted side is starting"},
    {Status::kUnowned, "unowned: provision it with enclavectl mini provision"},
    {Status::kNoEvidence, "the trusted side has no evidence yet, so no handshake is answered"},
    {Status::kNoCa, "the trusted side has no CA certificate"},
    {Status::kStateRefused, "the trusted side refuses the sealed state; see the log"},
    {Status::kDraining, "the trusted side is draining"},
    {Status::kTimeJumped, "the time jumped by more than 25 hours: the owner must confirm it"},
}};

}  // namespace

std::vector<std::string> Health::reasons() const {
    std::vector<std::string> out;
    for (const std::string* trouble : {&runner_trouble, &quoting_trouble, &reading_trouble,
                                       &writing_trouble, &accept_trouble, &worker_trouble}) {
        if (!trouble->empty()) out.push_back(*trouble);
    }
    if (draining) out.emplace_back("the daemon is stopping");
    std::uint32_t flags = 0;
    for (const Status& status : workers) flags |= status.not_ready_because;
    for (const auto& [flag, text] : kReasonTexts) {
        if ((flags & flag) != 0) out.emplace_back(text);
    }
    return out;
}

std::string Health::expiry_warning(UnixTime now) const {
    const auto is_near = [now](std::uint64_t not_after_s) {
        if (not_after_s == 0) return false;  // there is none yet
        return not_after_s < static_cast<std::uint64_t>(now.seconds + kExpiryWarningSeconds);
    };
    for (const Status& status : workers) {
        const bool leaf = is_near(status.leaf_not_after_s);
        if (!leaf && !is_near(status.evidence_not_after_s)) continue;
        return std::string(leaf ? "the leaf certificate" : "the evidence") +
               " expires in less than two hours or has expired: renewal fails; see the enclave's "
               "log lines and the quote source";
    }
    return {};
}

}  // namespace eos::daemon
