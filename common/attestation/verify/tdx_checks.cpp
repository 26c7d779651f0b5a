// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/intel_checks.h"
#include "common/base/encoding.h"

namespace eos::attestation::verify {
namespace {

using endorsements::EnclaveLevel;
using endorsements::TdxModule;
using endorsements::TdxModuleIdentity;

constexpr Subject kIdentity{"tdx_module.identity", "docs/formats/verification.md 3.5",
                            "the module beneath the TD is not one that Intel's TCB info names: "
                            "get newer TCB info, else do not trust the host"};
constexpr Subject kLevel{"tdx_module.level", "docs/formats/verification.md 3.5",
                         "update the SEAM module"};
constexpr Subject kCurrentLevel{"tdx_module.current_level", "docs/formats/verification.md 3.7",
                                "update the SEAM module"};

std::uint8_t major_of(const evidence::TeeTcbSvn& svn) {
    return std::to_integer<std::uint8_t>(svn[1]);
}
std::uint8_t minor_of(const evidence::TeeTcbSvn& svn) {
    return std::to_integer<std::uint8_t>(svn[0]);
}

/// Modules of the first generation have no identity of their own.
const TdxModule* expected_module(const endorsements::TcbInfo& info, std::uint8_t major) {
    if (major == 0) return &info.tdx_module;
    const TdxModuleIdentity* identity = find_tdx_module(info, major);
    return identity == nullptr ? nullptr : &identity->module;
}

std::string describe(ByteView signer, ByteView attributes) {
    return "mr_signer_seam " + hex(signer) + ", seam_attributes " + hex(attributes);
}

Check identity_check(const evidence::TdReport& td, const endorsements::TcbInfo& info) {
    const std::uint8_t major = major_of(td.tee_tcb_svn);
    const TdxModule* module = expected_module(info, major);
    if (module == nullptr) {
        return failed(kIdentity,
                      {"TCB info that names " + endorsements::tdx_module_id(major),
                       std::to_string(info.tdx_module_identities.size()) + " other identities"});
    }
    // All of them must be zero, also those that the mask of TCB info leaves open.
    bool attributes_match = all_zero(td.seam_attributes) && all_zero(module->attributes);
    if (attributes_match && td.mr_signer_seam == module->mr_signer) {
        return passed(kIdentity, "mr_seam " + hex(td.mr_seam));
    }
    return failed(kIdentity, {describe(module->mr_signer, ByteArray<8>{}),
                              describe(td.mr_signer_seam, td.seam_attributes)});
}

Check level_check(const Subject& subject, const evidence::TeeTcbSvn& svn,
                  const endorsements::TcbInfo& info, const EnclaveLevel*& level) {
    const std::uint8_t major = major_of(svn);
    if (major == 0) return passed(subject, "first generation: the platform's level covers it");
    const TdxModuleIdentity* identity = find_tdx_module(info, major);
    if (identity == nullptr) {
        return failed(subject, {"a level of " + endorsements::tdx_module_id(major),
                                "TCB info does not name this module"});
    }
    level = match(*identity, minor_of(svn));
    std::string found =
        endorsements::tdx_module_id(major) + ", SVN " + std::to_string(minor_of(svn));
    if (level == nullptr) {
        return failed(subject, {"one of Intel's levels, the lowest with SVN " +
                                    std::to_string(identity->levels.back().isv_svn),
                                found});
    }
    found += ": " + describe_level(*level);
    if (level->status == endorsements::TcbStatus::revoked) {
        return failed(subject, {"a level that Intel did not revoke", found});
    }
    return passed(subject, found);
}

}  // namespace

Check tdx_module_checks(const Inputs& inputs, Findings& findings) {
    if (findings.tcb_info == nullptr || findings.tcb_info->tee != endorsements::IntelTee::tdx) {
        return group("tdx_module", {not_evaluated(kIdentity, "TCB info for TDX is needed")});
    }
    const evidence::TdReport& td = *inputs.td;
    const endorsements::TcbInfo& info = *findings.tcb_info;
    std::vector<Check> checks{identity_check(td, info), level_check(kLevel, td.tee_tcb_svn, info,
                                                                    findings.launch.tdx_module)};
    if (td.td15.has_value()) {
        checks.push_back(
            level_check(kCurrentLevel, td.td15->tee_tcb_svn_2, info, findings.current.tdx_module));
    }
    return group("tdx_module", std::move(checks));
}

}  // namespace eos::attestation::verify
