// SPDX-License-Identifier: AGPL-3.0-only
// Authorities: the canonical form is a fixed point, and addresses mean what the C library says.
#include <arpa/inet.h>

#include <string>

#include "common/base/assert.h"
#include "common/http/authority.h"
#include "common/http/uri.h"

namespace {

using namespace eos;
using namespace eos::http;

void check_ipv6(std::string_view text, const std::string& canonical) {
    in6_addr expected{};
    in6_addr found{};
    EOS_ASSERT(inet_pton(AF_INET6, std::string(text).c_str(), &expected) == 1);
    EOS_ASSERT(inet_pton(AF_INET6, canonical.c_str(), &found) == 1);
    EOS_ASSERT(std::equal(std::begin(expected.s6_addr), std::end(expected.s6_addr),
                          std::begin(found.s6_addr)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    for (Scheme scheme : {Scheme::kHttp, Scheme::kHttps}) {
        const auto authority = parse_authority(text, scheme);
        if (authority) {
            const auto again = parse_authority(to_string(*authority), scheme);
            EOS_ASSERT(again.has_value() && *again == *authority);
            EOS_ASSERT(authority->host.size() <= kMaxHostBytes && !authority->host.empty());
            if (authority->kind == Authority::Kind::kIpv6) {
                check_ipv6(text.substr(1, text.find(']') - 1), authority->host);
            }
        }
        // The converse: what the C library reads as an IPv6 address is never refused.
        in6_addr address{};
        const std::string copy(text);
        if (copy.size() == text.find('\0') || text.find('\0') == std::string_view::npos) {
            if (inet_pton(AF_INET6, copy.c_str(), &address) == 1) {
                EOS_ASSERT(parse_authority("[" + copy + "]", scheme).has_value());
            }
        }
    }
    if (const auto target = parse_target(Method::kGet, text)) {
        if (const auto segments = split_path(target->path)) {
            for (const std::string& segment : *segments) {
                EOS_ASSERT(!segment.empty() && segment != "." && segment != "..");
                EOS_ASSERT(segment.find('/') == std::string::npos);
            }
        }
    }
    return 0;
}
