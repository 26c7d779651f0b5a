// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/roots.h"

#include "common/attestation/endorsements/intel_roots.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::attestation::verify {
namespace {

using endorsements::kIntelSgxRoots;
using endorsements::VendorRoot;

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
    crypto::P256PublicKey key = EOS_TRY(certificate.p256_key());
    if (hex(key.spki()) == endorsements::kIntelSgxRootSpkiHex) {
        return fail(bad_test_root, root.name + ": it has the key of a vendor's root");
    }
    return certificate.verify_signed_by(key);
}

}  // namespace

Roots Roots::intel() {
    return Roots(RootKind::vendor);
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
    for (const VendorRoot& root : kIntelSgxRoots) {
        // The key is compared as well, so that one wrong constant alone admits nobody.
        if (hex(sha256) == root.sha256_hex && hex(certificate.spki()) == root.spki_hex) {
            return RootIdentity{RootKind::vendor, std::string(root.name), sha256};
        }
    }
    return {};
}

std::string Roots::describe() const {
    std::string out;
    auto add = [&out](std::string_view name, std::string_view sha256) {
        out.append(out.empty() ? "" : " or ").append(name).append(" (").append(sha256).append(")");
    };
    if (kind_ == RootKind::vendor) {
        for (const VendorRoot& root : kIntelSgxRoots) add(root.name, root.sha256_hex);
    }
    for (const TestRoot& root : test_roots_) {
        add("EMULATED root " + root.name, hex(crypto::sha256(root.certificate.der())));
    }
    return out;
}

}  // namespace eos::attestation::verify
