// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/vek.h"

#include <algorithm>

#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::endorsements {
namespace {

using x509::Certificate;
using x509::DerReader;

constexpr std::size_t kMaxNameBytes = 64;
constexpr std::size_t kMaxCspBytes = 256;
constexpr std::uint64_t kMaxStructVersion = 1;
constexpr std::size_t kTurinHwidBytes = 8;

std::unexpected<Error> missing(const oid::Oid& oid) {
    return fail(bad_vek_extension, oid::describe(oid) + " is missing");
}

/// An INTEGER of 0 to `max` as the whole content of an extension.
Result<std::uint64_t> number(const Certificate& certificate, const oid::Oid& oid,
                             std::uint64_t max) {
    const x509::ExtensionView* extension = certificate.find_extension(oid);
    if (extension == nullptr) return missing(oid);
    DerReader in(extension->value);
    std::uint64_t out = EOS_TRY(in.u64());
    EOS_TRY(in.expect_end());
    if (out > max) return fail(bad_vek_extension, oid::describe(oid) + " is out of range");
    return out;
}

Result<std::uint8_t> patch_level(const Certificate& certificate, const oid::Oid& oid) {
    return static_cast<std::uint8_t>(EOS_TRY(number(certificate, oid, 0xff)));
}

/// An IA5String as the whole content of an extension.
Result<std::string> text(const x509::ExtensionView& extension, std::size_t max_bytes) {
    DerReader in(extension.value);
    ByteView value = EOS_TRY(in.expect(x509::Tag::kIa5String)).value;
    EOS_TRY(in.expect_end());
    bool printable_text = std::ranges::all_of(
        value, [](std::byte b) { return b >= std::byte{0x20} && b < std::byte{0x7f}; });
    if (value.empty() || value.size() > max_bytes || !printable_text) {
        return fail(bad_vek_extension, oid::describe(extension.oid));
    }
    return to_string(value);
}

Result<snp_arch::Tcb> read_tcb(const Certificate& certificate, snp_arch::Product product) {
    snp_arch::Tcb out;
    out.boot_loader = EOS_TRY(patch_level(certificate, oid::kVekSplBootLoader));
    out.tee = EOS_TRY(patch_level(certificate, oid::kVekSplTee));
    out.snp = EOS_TRY(patch_level(certificate, oid::kVekSplSnp));
    out.microcode = EOS_TRY(patch_level(certificate, oid::kVekSplMicrocode));
    const bool has_fmc = certificate.find_extension(oid::kVekSplFmc) != nullptr;
    if (has_fmc != (product == snp_arch::Product::turin)) {
        return fail(bad_vek_extension, oid::describe(oid::kVekSplFmc) + " is Turin's alone");
    }
    if (has_fmc) out.fmc = EOS_TRY(patch_level(certificate, oid::kVekSplFmc));
    return out;
}

/// The content is the octets themselves, without a DER header.
Result<ByteArray<64>> read_chip_id(ByteView hwid, snp_arch::Product product) {
    ByteArray<64> out{};
    const std::size_t size = product == snp_arch::Product::turin ? kTurinHwidBytes : out.size();
    if (hwid.size() != size) {
        return fail(bad_vek_extension, "HWID: " + std::to_string(hwid.size()) +
                                           " bytes, expected " + std::to_string(size));
    }
    std::ranges::copy(hwid, out.begin());
    return out;
}

}  // namespace

Result<VekExtension> parse_vek_extension(const Certificate& certificate) {
    VekExtension out;
    EOS_TRY(number(certificate, oid::kVekStructVersion, kMaxStructVersion));
    const x509::ExtensionView* name = certificate.find_extension(oid::kVekProductName);
    if (name == nullptr) return missing(oid::kVekProductName);
    out.product_name = EOS_TRY(text(*name, kMaxNameBytes));
    std::optional<snp_arch::Product> product = snp_arch::product_from_name(out.product_name);
    if (!product) return fail(bad_vek_extension, "product " + out.product_name);
    out.product = *product;
    out.tcb = EOS_TRY(read_tcb(certificate, out.product));
    const x509::ExtensionView* hwid = certificate.find_extension(oid::kVekHwid);
    const x509::ExtensionView* csp = certificate.find_extension(oid::kVekCspId);
    if ((hwid == nullptr) == (csp == nullptr)) {
        return fail(bad_vek_extension, "either a chip or a provider must be named");
    }
    if (csp != nullptr) {
        out.kind = snp_arch::SigningKey::vlek;
        out.csp_id = EOS_TRY(text(*csp, kMaxCspBytes));
    } else {
        out.chip_id = EOS_TRY(read_chip_id(hwid->value, out.product));
    }
    return out;
}

}  // namespace eos::attestation::endorsements
