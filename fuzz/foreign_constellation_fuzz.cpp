// SPDX-License-Identifier: AGPL-3.0-only
// A Constellation document: the first byte picks the variant. The key's hash stands where the seeds
// have 44 equal signs, which no key of this run could match otherwise. What is read is verified,
// too.
#include <array>
#include <cstdint>

#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/ratls/foreign_constellation.h"
#include "common/x509/builder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    if (size == 0 || size > ratls::kMaxForeignEvidenceBytes - 1024) return 0;
    constexpr std::array kOids{oid::kConstellationQemuTdx, oid::kConstellationGcpSnp,
                               oid::kConstellationAzureSnp, oid::kConstellationAzureTdx,
                               oid::kConstellationQemuTpm};
    static const crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    static const x509::DistinguishedName name =
        x509::DistinguishedName::common_name("fuzz").value();
    static const std::string hash = base64(crypto::sha256(key.public_key().spki()));
    std::string document(reinterpret_cast<const char*>(data + 1), size - 1);
    const std::size_t at = document.find(std::string(hash.size(), '='));
    if (at != document.npos) document.replace(at, hash.size(), hash);
    x509::CertificateDraft draft({.serial = x509::Serial(),
                                  .issuer = name.der(),
                                  .validity = {},
                                  .subject = name.der(),
                                  .spki = key.public_key().spki()});
    draft.add(kOids[data[0] % kOids.size()], x509::Critical::kNo, as_bytes(document));
    const Result<x509::Certificate> leaf = x509::Certificate::parse(draft.sign(key));
    EOS_ASSERT(leaf.has_value());
    const Result<ratls::ConstellationLeaf> found = ratls::read_constellation_leaf(*leaf);
    if (!found) return 0;
    EOS_ASSERT(at != document.npos);
    const auto roots = attestation::verify::Roots::of(
        {attestation::verify::Vendor::intel, attestation::verify::Vendor::amd});
    // Nothing of the fuzzer's making is bound to a key of this run.
    EOS_ASSERT(
        !verify_constellation_leaf(*found, {}, roots, ratls::ConstellationNonce{}, {}).is_genuine);
    return 0;
}
