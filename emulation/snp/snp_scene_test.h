// SPDX-License-Identifier: AGPL-3.0-only
// What the tests of emulated SEV-SNP share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/attestation/verify/verify.h"
#include "emulation/snp/synthetic_amd.h"

namespace eos::emulation::snp::testing {

inline constexpr UnixTime kNow{1'780'000'000};  // 2026-05-28T20:26:40Z

/// RSA keys are slow to make: one set for a whole test program.
inline const AuthorityKeys& keys() {
    static const AuthorityKeys keys = AuthorityKeys::generate(2048);
    return keys;
}

/// An emulated chip and what a verifier is given about it.
struct Scene {
    explicit Scene(snp_arch::Product product = snp_arch::Product::genoa)
        : amd(keys(), product, kNow) {
        endorsements.amd.ark_crl = amd.ark_crl();
    }

    attestation::verify::Roots roots() const {
        return attestation::verify::Roots::test({{"lab", amd.ark()}}).value();
    }
    attestation::verify::Verification verify(const Bytes& evidence) const {
        return attestation::verify::verify_quote(evidence, endorsements, roots(), time);
    }
    attestation::verify::Verification verify() const { return verify(amd.evidence()); }
    std::vector<std::string> failures() const { return summarise(verify().tree()).failed; }

    SyntheticAmd amd;
    attestation::endorsements::Endorsements endorsements;
    UnixTime time = kNow;
};

}  // namespace eos::emulation::snp::testing
