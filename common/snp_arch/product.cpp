// SPDX-License-Identifier: AGPL-3.0-only
#include "common/snp_arch/product.h"

#include <array>
#include <utility>

namespace eos::snp_arch {
namespace {

struct Part {
    std::string_view name;
    std::uint8_t Tcb::* value;
    int byte;  ///< in TCB_VERSION; -1: the product does not have it
};

using Layout = std::array<Part, 5>;

constexpr Layout kMilanGenoa{{{"FMC", &Tcb::fmc, -1},
                              {"boot loader", &Tcb::boot_loader, 0},
                              {"TEE", &Tcb::tee, 1},
                              {"SNP", &Tcb::snp, 6},
                              {"microcode", &Tcb::microcode, 7}}};

constexpr Layout kTurin{{{"FMC", &Tcb::fmc, 0},
                         {"boot loader", &Tcb::boot_loader, 1},
                         {"TEE", &Tcb::tee, 2},
                         {"SNP", &Tcb::snp, 3},
                         {"microcode", &Tcb::microcode, 7}}};

const Layout& layout_of(Product product) {
    return product == Product::turin ? kTurin : kMilanGenoa;
}

}  // namespace

std::string_view product_name(Product product) {
    switch (product) {
        case Product::milan:
            return "Milan";
        case Product::genoa:
            return "Genoa";
        case Product::turin:
            return "Turin";
    }
    __builtin_unreachable();
}

std::optional<Product> product_from_name(std::string_view name) {
    std::string_view line = name.substr(0, name.find('-'));
    for (Product product : {Product::milan, Product::genoa, Product::turin}) {
        if (line == product_name(product)) return product;
    }
    return {};
}

std::optional<Product> product_of(const Cpuid& cpuid) {
    if (cpuid.family == 0x19) {
        if (cpuid.model <= 0x0f) return Product::milan;
        if (cpuid.model >= 0x10 && cpuid.model <= 0x1f) return Product::genoa;
        if (cpuid.model >= 0xa0 && cpuid.model <= 0xaf) return Product::genoa;
    }
    if (cpuid.family == 0x1a && cpuid.model <= 0x11) return Product::turin;
    return {};
}

bool Tcb::covers(const Tcb& other) const {
    return fmc >= other.fmc && boot_loader >= other.boot_loader && tee >= other.tee &&
           snp >= other.snp && microcode >= other.microcode;
}

Result<Tcb> split_tcb(const RawTcb& raw, Product product) {
    Tcb out;
    RawTcb rest = raw;
    for (const Part& part : layout_of(product)) {
        if (part.byte < 0) continue;
        std::byte& value = rest[static_cast<std::size_t>(part.byte)];
        out.*part.value = std::to_integer<std::uint8_t>(std::exchange(value, std::byte{0}));
    }
    if (!all_zero(rest)) return fail(bad_tcb, std::string(product_name(product)));
    return out;
}

RawTcb join_tcb(const Tcb& tcb, Product product) {
    RawTcb out{};
    for (const Part& part : layout_of(product)) {
        if (part.byte >= 0) out[static_cast<std::size_t>(part.byte)] = std::byte{tcb.*part.value};
    }
    return out;
}

std::string describe(const Tcb& tcb, Product product) {
    std::string out;
    for (const Part& part : layout_of(product)) {
        if (part.byte < 0) continue;
        out.append(out.empty() ? "" : ", ").append(part.name).append(" ");
        out.append(std::to_string(tcb.*part.value));
    }
    return out;
}

std::string shortfall(const Tcb& found, const Tcb& needed) {
    std::string out;
    for (const Part& part : kTurin) {
        if (found.*part.value >= needed.*part.value) continue;
        out.append(out.empty() ? "" : ", ").append(part.name).append(" ");
        out.append(std::to_string(found.*part.value)).append(", needed ");
        out.append(std::to_string(needed.*part.value));
    }
    return out;
}

}  // namespace eos::snp_arch
