// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/tdx_tcb.h"

#include "common/base/encoding.h"

namespace eos::attestation::endorsements {
namespace {

bool reaches(const TdxPlatformTcb& has, const TcbLevel& level) {
    if (has.platform.pce_svn < level.pce_svn) return false;
    for (std::size_t i = 0; i < kTcbComponents; ++i)
        if (has.platform.components[i] < level.sgx_components[i]) return false;
    for (std::size_t i = has.first_component(); i < kTcbComponents; ++i)
        if (has.tee_tcb_svn[i] < level.tdx_components[i]) return false;
    return true;
}

bool needs_configuration(TcbStatus status) {
    return status == TcbStatus::configuration_needed ||
           status == TcbStatus::out_of_date_configuration_needed ||
           status == TcbStatus::configuration_and_sw_hardening_needed;
}

bool is_out_of_date(TcbStatus status) {
    return status == TcbStatus::out_of_date ||
           status == TcbStatus::out_of_date_configuration_needed;
}

}  // namespace

const TcbLevel* match(const TcbInfo& info, const TdxPlatformTcb& platform) {
    if (info.tee != IntelTee::tdx) return nullptr;
    for (const TcbLevel& level : info.levels)
        if (reaches(platform, level)) return &level;
    return nullptr;
}

std::string tdx_module_id(std::uint8_t major) {
    const std::byte byte{major};
    return "TDX_" + hex(ByteView(&byte, 1));
}

const TdxModuleIdentity* find_tdx_module(const TcbInfo& info, std::uint8_t major) {
    for (const TdxModuleIdentity& identity : info.tdx_module_identities)
        if (identity.major_svn == major) return &identity;
    return nullptr;
}

const EnclaveLevel* match(const TdxModuleIdentity& identity, std::uint8_t minor) {
    for (const EnclaveLevel& level : identity.levels)
        if (minor >= level.isv_svn) return &level;
    return nullptr;
}

TcbStatus after_relaunch_rule(const LaunchAndCurrent& statuses) {
    const auto [launch, current] = statuses;
    if (!is_out_of_date(launch) || is_out_of_date(current) || current == TcbStatus::revoked) {
        return launch;
    }
    return needs_configuration(launch) || needs_configuration(current)
               ? TcbStatus::td_relaunch_advised_configuration_needed
               : TcbStatus::td_relaunch_advised;
}

}  // namespace eos::attestation::endorsements
