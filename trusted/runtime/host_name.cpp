// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/host_name.h"

#include "common/x509/extensions.h"

namespace eos::runtime {

bool is_host_name(std::string_view name) {
    constexpr std::string_view kLowerWithDot = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    return x509::is_dns_name(name) && name.find_first_not_of(kLowerWithDot) == name.npos;
}

}  // namespace eos::runtime
