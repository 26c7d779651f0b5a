// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/roots.h"

#include <algorithm>

#include "common/attestation/endorsements/amd_certificates.h"
#include "common/attestation/endorsements/intel_roots.h"
#include "common/base/assert.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::verify {
namespace {

using endorsements::amd_roots;
using endorsements::AmdCertificate;
using endorsements::kIntelSgxRoots;
using endorsements::VendorRoot;

bool has_vendor_key(const x509::Certificate& certificate) {
    if (hex(certificate.spki()) == endorsements::kIntelSgxRootSpkiHex) return true;
    return std::ranges::any_of(amd_roots(), [&](const AmdCertificate& root) {
        return equal(root.certificate.spki(), certificate.spki());
    });
}

Result<void> check_test_root(const TestRoot& root) {
    const x509::Certificate& certificate = root.certificate;
    const x509::ExtensionView* marker = certificate.find_extension(oid::kEmulationRootMarker);
    if (root.name.empty()) return fail(bad_test_root, "it has no name");
    if (marker == nullptr || marker->critical != x509::Critical::kYes) {
        return fail(bad_test_root, root.name + ": no critical " +
                                       oid::describe(oid::kEmulationRootMarker) +
                                       " extension; a root without it is refused here, because it "
                                       "may belong to real hardware");
    }
    if (!certificate.is_self_issued() || !certificate.is_ca()) {
        return fail(bad_test_root, root.name + ": not a self-issued CA certificate");
    }
    if (has_vendor_key(certificate)) {
        return fail(bad_test_root, root.name + ": it has the key of a vendor's root");
    }
    if (Result<crypto::RsaPublicKey> key = certificate.rsa_key(); key.has_value()) {
        return certificate.verify_signed_by(*key);
    }
    return certificate.verify_signed_by(EOS_TRY(certificate.p256_key()));
}

}  // namespace

std::string_view vendor_name(Vendor vendor) {
    switch (vendor) {
        case Vendor::intel:
            return "intel";
        case Vendor::amd:
            return "amd";
    }
    __builtin_unreachable();
}

Roots Roots::of(std::set<Vendor> vendors) {
    EOS_ASSERT(!vendors.empty());
    Roots out(RootKind::vendor);
    out.vendors_ = std::move(vendors);
    return out;
}

Result<Roots> Roots::test(std::vector<TestRoot> roots) {
    if (roots.empty()) return fail(bad_test_root, "none is named");
    for (const TestRoot& root : roots) EOS_TRY(check_test_root(root));
    Roots out(RootKind::test);
    out.test_roots_ = std::move(roots);
    return out;
}

std::optional<RootIdentity> Roots::find(const x509::Certificate& certificate) const {
    crypto::Digest32 sha256 = crypto::sha256(certificate.der());
    if (kind_ == RootKind::test) {
        for (const TestRoot& root : test_roots_) {
            if (root.certificate == certificate) {
                return RootIdentity{RootKind::test, root.name, sha256};
            }
        }
        return {};
    }
    if (vendors_.contains(Vendor::intel)) {
        for (const VendorRoot& root : kIntelSgxRoots) {
            // The key is compared as well, so that one wrong constant alone admits nobody.
            if (hex(sha256) == root.sha256_hex && hex(certificate.spki()) == root.spki_hex) {
                return RootIdentity{RootKind::vendor, std::string(root.name), sha256};
            }
        }
    }
    if (vendors_.contains(Vendor::amd)) {
        for (const AmdCertificate& root : amd_roots()) {
            if (root.certificate == certificate) {
                return RootIdentity{RootKind::vendor, "AMD " + std::string(root.name), sha256};
            }
        }
    }
    return {};
}

std::vector<std::pair<std::string, std::string>> Roots::all() const {
    std::vector<std::pair<std::string, std::string>> out;
    if (vendors_.contains(Vendor::intel)) {
        for (const VendorRoot& root : kIntelSgxRoots) out.emplace_back(root.name, root.sha256_hex);
    }
    if (vendors_.contains(Vendor::amd)) {
        for (const AmdCertificate& root : amd_roots()) {
            out.emplace_back("AMD " + std::string(root.name),
                             hex(crypto::sha256(root.certificate.der())));
        }
    }
    for (const TestRoot& root : test_roots_) {
        out.emplace_back("EMULATED root " + root.name, hex(crypto::sha256(root.certificate.der())));
    }
    return out;
}

bool Roots::contains(const RootIdentity& root) const {
    if (root.kind != kind_) return false;
    const std::string sha256 = hex(root.sha256);
    return std::ranges::any_of(all(), [&](const auto& known) { return known.second == sha256; });
}

std::string Roots::describe() const {
    std::string out;
    for (const auto& [name, sha256] : all())
        out.append(out.empty() ? "" : " or ").append(name).append(" (").append(sha256).append(")");
    return out;
}

}  // namespace eos::attestation::verify
