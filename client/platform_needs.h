// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "client/collateral_source.h"
#include "common/base/result.h"
#include "common/snp_arch/report.h"

namespace eos::client {

inline constexpr Code no_platform{"client", "no_platform",
                                  "the file does not tell which platform it is of"};

/// The collateral of a platform of Intel's.
/// in: tee: "sgx" or "tdx"; fmspc: hex; pck_ca: "platform" or "processor".
struct IntelModel {
    std::string tee;
    std::string fmspc;
    std::string pck_ca;
};
std::vector<Wanted> needs_of(const IntelModel& model);

/// CAs and list of a product of AMD's.
std::vector<Wanted> needs_of(snp_arch::Product product, snp_arch::SigningKey kind);

/// What evidence needs to be verified: evidence of any kind, or a certificate (PEM or DER, leaf
/// first) that carries it, ours or another project's. A report whose VCEK did not come with it
/// needs that, too. Nothing is verified.
/// in:      product: of reports that do not say it (version 2).
/// errors:  file_unreadable, no_platform, those of parse_evidence and of carried_evidence().
[[nodiscard]] Result<std::vector<Wanted>> needs_of_file(const std::filesystem::path& file,
                                                        std::optional<snp_arch::Product> product);

}  // namespace eos::client
