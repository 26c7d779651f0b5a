// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

// AMD's products, as far as attestation tells them apart, and their versions of the trusted
// computing base.

namespace eos::snp_arch {

inline constexpr Code bad_tcb{"common/snp_arch", "bad_tcb",
                              "reserved bytes of a TCB version are set: not of this product"};

/// A line of CPUs with a root of its own.
enum class Product : std::uint8_t { milan, genoa, turin };

/// "Milan", "Genoa", "Turin": as AMD's certificates spell it.
std::string_view product_name(Product product);

/// "Milan", or with a stepping behind a hyphen ("Milan-B0").
std::optional<Product> product_from_name(std::string_view name);

/// Family, model and stepping of the CPU that made a report.
struct Cpuid {
    std::uint8_t family = 0;
    std::uint8_t model = 0;
    std::uint8_t stepping = 0;
    friend bool operator==(const Cpuid&, const Cpuid&) = default;
};

/// Bergamo and Siena are of the product Genoa.
/// source: 57230, table 3.
std::optional<Product> product_of(const Cpuid& cpuid);

/// The field TCB_VERSION, whose layout depends on the product. Never compared as one integer.
using RawTcb = ByteArray<8>;

/// The parts of a TCB version. Each is compared on its own.
struct Tcb {
    std::uint8_t fmc = 0;  ///< Turin only
    std::uint8_t boot_loader = 0;
    std::uint8_t tee = 0;
    std::uint8_t snp = 0;
    std::uint8_t microcode = 0;

    friend bool operator==(const Tcb&, const Tcb&) = default;
    /// Whether every part is at least that of `other`.
    bool covers(const Tcb& other) const;
};

/// errors: bad_tcb.
/// source: 56860, table 4 (TCB_VERSION).
[[nodiscard]] Result<Tcb> split_tcb(const RawTcb& raw, Product product);

/// The inverse. Without FMC for products that have none.
RawTcb join_tcb(const Tcb& tcb, Product product);

/// "boot loader 3, TEE 0, SNP 8, microcode 115"; FMC first, if the product has one.
std::string describe(const Tcb& tcb, Product product);

/// Where `found` stays behind `needed`: "SNP 8, needed 22, microcode 115, needed 209"; else empty.
std::string shortfall(const Tcb& found, const Tcb& needed);

}  // namespace eos::snp_arch
