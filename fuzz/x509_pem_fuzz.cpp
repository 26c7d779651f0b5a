// SPDX-License-Identifier: AGPL-3.0-only
// What is read is written, and read again to the same blocks.
#include "common/base/assert.h"
#include "common/x509/pem.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    ByteView input = std::as_bytes(std::span(data, size));
    (void)x509::parse_pem_chain(input);
    (void)x509::parse_pem_certificates(as_chars(input));
    auto blocks = x509::parse_pem(as_chars(input), {});
    if (!blocks) return 0;
    std::string text;
    for (const x509::PemBlock& block : *blocks) text += x509::encode_pem(block.label, block.der);
    auto again = x509::parse_pem(text, {});
    EOS_ASSERT(again.has_value() && again->size() == blocks->size());
    for (std::size_t i = 0; i < blocks->size(); ++i) {
        EOS_ASSERT((*again)[i].label == (*blocks)[i].label);
        EOS_ASSERT((*again)[i].der == (*blocks)[i].der);
    }
    return 0;
}
