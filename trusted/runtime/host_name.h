// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <string_view>

namespace eos::runtime {

/// Whether `name` can name the platform or a workload: a DNS name in lower case.
bool is_host_name(std::string_view name);

}  // namespace eos::runtime
