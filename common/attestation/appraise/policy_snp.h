// SPDX-License-Identifier: AGPL-3.0-only
// What a policy says about guests of SEV-SNP.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/snp_arch/report.h"

namespace eos::attestation::appraise {

/// A guest: what its owner's tool measured at launch, or whose key signed that (ID block), or both.
/// Whatever is absent may be anything, except that names_guest() must hold.
struct SnpPin {
    std::optional<ByteArray<48>> measurement;
    std::optional<ByteArray<48>> id_key_digest;
    std::optional<ByteArray<48>> author_key_digest;
    std::optional<ByteArray<16>> family_id;
    std::optional<ByteArray<16>> image_id;
    std::optional<ByteArray<32>> host_data;
    std::uint32_t min_guest_svn = 0;

    /// The measurement; or a signer together with family and image, which that signer chose.
    bool names_guest() const {
        bool has_signer = id_key_digest.has_value() || author_key_digest.has_value();
        return measurement.has_value() || (has_signer && family_id && image_id);
    }
    friend bool operator==(const SnpPin&, const SnpPin&) = default;
};

/// Freedoms that the guest's launch policy may leave to the host.
enum class SnpFreedom : std::uint8_t {
    smt,              ///< two guests may share a core
    migration_agent,  ///< another guest may carry it to another machine
    cxl               ///< memory behind CXL may be used
};

/// Protections that a Relying Party can insist on.
enum class SnpDemand : std::uint8_t {
    single_socket,         ///< launch policy: never more than one socket
    aes_256_xts,           ///< launch policy
    rapl_disabled,         ///< launch policy: no power measurements
    ciphertext_hiding,     ///< launch policy
    page_swap_disabled,    ///< launch policy
    ecc,                   ///< platform: memory with error correction
    tsme,                  ///< platform: all memory is encrypted
    alias_check_complete,  ///< platform: no memory module lied about its size (AMD-SB-3015)
    smt_disabled           ///< platform
};

/// "smt", …
std::string_view snp_freedom_name(SnpFreedom freedom);
std::optional<SnpFreedom> snp_freedom_from(std::string_view name);
/// "single_socket", …
std::string_view snp_demand_name(SnpDemand demand);
std::optional<SnpDemand> snp_demand_from(std::string_view name);

/// What a guest may be and run on, beside its pins.
struct SnpRule {
    /// Milan's root keys can be extracted with software alone (docs/formats/verification.md 6.11):
    /// whoever takes it says so, and had better list the chips.
    std::set<snp_arch::Product> products{snp_arch::Product::genoa, snp_arch::Product::turin};
    std::map<snp_arch::Product, snp_arch::Tcb> min_tcb;  ///< of the reported TCB, part by part
    std::set<std::uint32_t> vmpl{0};
    std::set<SnpFreedom> allow{SnpFreedom::smt};
    std::set<SnpDemand> require;
    std::uint16_t min_abi = 0;         ///< major version in the upper byte
    std::uint64_t mitigations = 0;     ///< bits that both mitigation vectors must have
    std::set<ByteArray<64>> chip_ids;  ///< empty: any
    std::set<std::string> csp_ids;     ///< providers whose VLEK is accepted; empty: VCEK only
    friend bool operator==(const SnpRule&, const SnpRule&) = default;
};

}  // namespace eos::attestation::appraise
