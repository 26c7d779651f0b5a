// SPDX-License-Identifier: AGPL-3.0-only
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

}  // namespace

Result<std::unique_ptr<TeeEvidence>> open_evidence(const EvidencePaths& paths, Waiting waiting) {
    Result<std::unique_ptr<TeeEvidence>> configfs = open_configfs(paths.tsm_report, waiting);
    if (configfs || configfs.error().code() != no_tee) return configfs;
    SystemResult<DeviceCall> device = open_device(paths.sev_guest);
    if (device) return std::make_unique<SevGuestDevice>(*std::move(device), std::move(waiting));
    return fail(no_tee, configfs.error().detail() + "; " + paths.sev_guest + ": " +
                            describe(device.error()));
}

}  // namespace eos::cvm
