// SPDX-License-Identifier: AGPL-3.0-only
// The PROXY protocol: what is decided of a whole input is decided of none of its beginnings in
// another way.
#include "common/base/assert.h"
#include "trusted/virtual/proxy/proxy_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    using namespace eos::cvm::proxy;
    const ByteView input{reinterpret_cast<const std::byte*>(data), size};
    const auto whole = parse_proxy_header(input);
    if (whole && !*whole) EOS_ASSERT(size < kMaxProxyV2Bytes);
    if (whole && *whole) {
        const ProxyHeader& header = **whole;
        EOS_ASSERT(header.size <= size && header.size <= kMaxProxyV2Bytes);
        const auto again = parse_proxy_header(input.first(header.size));
        EOS_ASSERT(again && *again && (*again)->client == header.client);
    }
    bool decided = false;
    for (std::size_t i = 0; i <= std::min<std::size_t>(size, 256); ++i) {
        const auto part = parse_proxy_header(input.first(i));
        EOS_ASSERT(!decided || !part || *part);  // never back to waiting
        decided = !part || *part;
        if (!part) EOS_ASSERT(!whole);
    }
    return 0;
}
