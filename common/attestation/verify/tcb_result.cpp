// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <set>

#include "common/attestation/verify/intel_checks.h"

namespace eos::attestation::verify {
namespace {

using endorsements::EnclaveLevel;
using endorsements::TcbStatus;

/// Collects "what has n, the newest level needs m" for every SVN that is too low.
class Shortfall {
  public:
    void compare(const std::string& what, unsigned has, unsigned needs) {
        if (has >= needs) return;
        text_ += (text_.empty() ? "" : "; ") + what + " " + std::to_string(has) +
                 ", the newest level needs " + std::to_string(needs);
    }
    void compare(const std::string& what, std::byte has, std::byte needs) {
        compare(what, std::to_integer<unsigned>(has), std::to_integer<unsigned>(needs));
    }
    std::string take() && { return std::move(text_); }

  private:
    std::string text_;
};

void compare_platform(Shortfall& out, const endorsements::PlatformTcb& platform,
                      const endorsements::TcbLevel& level) {
    for (std::size_t i = 0; i < endorsements::kTcbComponents; ++i) {
        out.compare("SGX component " + std::to_string(i + 1) + " has SVN", platform.components[i],
                    level.sgx_components[i]);
    }
    out.compare("the PCE has SVN", platform.pce_svn, level.pce_svn);
}

/// "TDX module SVN 6, level needs 11": against the newest level; empty if it is reached.
std::string behind(std::string_view what, unsigned has, const EnclaveLevel& newest) {
    if (has >= newest.isv_svn) return {};
    return std::string(what) + " SVN " + std::to_string(has) + ", level needs " +
           std::to_string(newest.isv_svn);
}

TcbStatus merged(const Levels& levels, const EnclaveLevel* qe_level) {
    TcbStatus out = levels.platform->status;
    for (const EnclaveLevel* level : {levels.tdx_module, qe_level})
        if (level != nullptr) out = endorsements::merge({out, level->status});
    return out;
}

/// Takes one more level into date and advisories.
template <typename Level>
void add(TcbResult& out, std::set<std::string>& advisories, const Level& level) {
    out.date = std::min(out.date, level.date);
    if (level.status != TcbStatus::up_to_date)
        out.behind_since = std::min(out.behind_since.value_or(level.date), level.date);
    advisories.insert(level.advisories.begin(), level.advisories.end());
}

void add_tdx(TcbResult& out, const Inputs& inputs, const Findings& findings) {
    const endorsements::TdxPlatformTcb platform{findings.platform->tcb, inputs.td->tee_tcb_svn};
    out.shortfall = shortfall(platform, findings.tcb_info->levels.front());
    if (findings.launch.tdx_module != nullptr) {
        out.tdx_module = findings.launch.tdx_module->status;
        const auto* identity = find_tdx_module(*findings.tcb_info, platform.module_major());
        out.tdx_module_shortfall =
            behind("TDX module", platform.module_minor(), identity->levels.front());
    }
    if (findings.current.platform == nullptr) return;
    out.current = merged(findings.current, findings.qe_level);
    out.status = endorsements::after_relaunch_rule({out.status, *out.current});
}

}  // namespace

std::string shortfall(const endorsements::PlatformTcb& platform,
                      const endorsements::TcbLevel& level) {
    Shortfall out;
    compare_platform(out, platform, level);
    return std::move(out).take();
}

std::string shortfall(const endorsements::TdxPlatformTcb& platform,
                      const endorsements::TcbLevel& level) {
    Shortfall out;
    compare_platform(out, platform.platform, level);
    for (std::size_t i = platform.first_component(); i < endorsements::kTcbComponents; ++i) {
        out.compare("TDX component " + std::to_string(i + 1) + " has SVN", platform.tee_tcb_svn[i],
                    level.tdx_components[i]);
    }
    return std::move(out).take();
}

std::optional<TcbResult> tcb_result(const Inputs& inputs, const Findings& findings,
                                    std::uint16_t isv_svn) {
    const Levels& launch = findings.launch;
    if (launch.platform == nullptr) return {};
    TcbResult out;
    std::set<std::string> advisories;
    out.platform = launch.platform->status;
    out.status = merged(launch, findings.qe_level);
    out.date = launch.platform->date;
    out.evaluation_data_number = findings.tcb_info->evaluation_data_number;
    out.shortfall = shortfall(findings.platform->tcb, findings.tcb_info->levels.front());
    add(out, advisories, *launch.platform);
    if (launch.tdx_module != nullptr) add(out, advisories, *launch.tdx_module);
    if (findings.qe_level != nullptr) {
        add(out, advisories, *findings.qe_level);
        out.quoting_enclave = findings.qe_level->status;
        out.evaluation_data_number =
            std::min(out.evaluation_data_number, findings.qe_identity->evaluation_data_number);
        out.quoting_enclave_shortfall =
            behind("quoting enclave", isv_svn, findings.qe_identity->levels.front());
    }
    out.advisories.assign(advisories.begin(), advisories.end());
    if (inputs.td != nullptr) add_tdx(out, inputs, findings);
    return out;
}

}  // namespace eos::attestation::verify
