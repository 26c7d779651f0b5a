// SPDX-License-Identifier: AGPL-3.0-only
// The content of a foreign evidence extension: the first byte picks the identifier. What is taken
// out lies within what came.
#include <array>
#include <cstdint>

#include "common/base/assert.h"
#include "common/oid/registry.h"
#include "common/ratls/foreign_leaf.h"
#include "common/x509/builder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    if (size == 0 || size > ratls::kMaxForeignEvidenceBytes) return 0;
    constexpr std::array kOids{oid::kDiceTaggedEvidence, oid::kGramineLegacy, oid::kRatsTlsLegacy,
                               oid::kOeReport,           oid::kDstackQuote,   oid::kOeEvidence,
                               oid::kDstackAttestation};
    static const crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    static const x509::DistinguishedName name =
        x509::DistinguishedName::common_name("fuzz").value();
    x509::CertificateDraft draft({.serial = x509::Serial(),
                                  .issuer = name.der(),
                                  .validity = {},
                                  .subject = name.der(),
                                  .spki = key.public_key().spki()});
    draft.add(kOids[data[0] % kOids.size()], x509::Critical::kNo,
              std::as_bytes(std::span(data + 1, size - 1)));
    const Result<x509::Certificate> leaf = x509::Certificate::parse(draft.sign(key));
    EOS_ASSERT(leaf.has_value());
    const Result<ratls::ForeignLeaf> found = ratls::read_foreign_leaf(*leaf);
    EOS_ASSERT(!found || found->quote.size() < size);
    return 0;
}
