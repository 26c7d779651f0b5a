// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.h"

namespace eos::client {

inline constexpr Code no_platform{"client", "no_platform",
                                  "the file does not tell which platform it is of"};

/// Which collateral a platform needs.
struct PlatformNeeds {
    std::string tee;     ///< "sgx" or "tdx"
    std::string fmspc;   ///< hex
    std::string pck_ca;  ///< "platform" or "processor"
};

/// Of a quote, or of a certificate (PEM or DER, leaf first) that carries one. Nothing is verified.
/// errors:  file_unreadable, no_platform, those of parse_quote.
[[nodiscard]] Result<PlatformNeeds> read_platform_needs(const std::filesystem::path& file);

}  // namespace eos::client
