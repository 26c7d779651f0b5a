// SPDX-License-Identifier: AGPL-3.0-only
#include <unistd.h>

#include <cerrno>

#include "trusted/virtual/evidence/guest_device.h"
#include "trusted/virtual/evidence/tee_evidence.h"
#include "trusted/virtual/evidence/tsm_report.h"

namespace eos::cvm {

namespace {

/// configfs-tsm, if it has a provider.
Result<std::unique_ptr<TeeEvidence>> open_configfs(const std::string& path,
                                                   const Waiting& waiting) {
    SystemResult<std::unique_ptr<TsmDirectory>> directory = open_tsm_directory(path);
    if (!directory) return fail(no_tee, path + ": " + describe(directory.error()));
    Result<std::unique_ptr<TsmReport>> report = TsmReport::open(*std::move(directory), waiting);
    if (report) return *std::move(report);
    if (report.error().code() != provider_gone) return fail(std::move(report).error());
    return fail(no_tee, path + ": " + report.error().detail());
}

std::string configfs_source(TeeKind kind) {
    return kind == TeeKind::kTdx ? "configfs-tsm (tdx_guest)" : "configfs-tsm (sev_guest)";
}

/// A kernel before 6.7 has the device of TDX, and nothing that gives quotes.
std::string about_tdx_device(const std::string& path) {
    if (::access(path.c_str(), F_OK) != 0) return "";
    return "; " + path + " is there, which gives no quotes: that needs Linux 6.7 or later";
}

}  // namespace

Result<FoundEvidence> find_evidence(const EvidencePaths& paths, Waiting waiting) {
    Result<std::unique_ptr<TeeEvidence>> configfs = open_configfs(paths.tsm_report, waiting);
    if (configfs) {
        std::string source = configfs_source((*configfs)->kind());
        return FoundEvidence{*std::move(configfs), std::move(source)};
    }
    if (configfs.error().code() != no_tee) return fail(std::move(configfs).error());
    SystemResult<DeviceCall> device = open_device(paths.sev_guest);
    if (device) {
        return FoundEvidence{
            std::make_unique<SevGuestDevice>(*std::move(device), std::move(waiting)),
            paths.sev_guest};
    }
    return fail(no_tee, configfs.error().detail() + "; " + paths.sev_guest + ": " +
                            describe(device.error()) + about_tdx_device(paths.tdx_guest));
}

Result<std::unique_ptr<TeeEvidence>> open_evidence(const EvidencePaths& paths, Waiting waiting) {
    return EOS_TRY(find_evidence(paths, std::move(waiting))).evidence;
}

}  // namespace eos::cvm
