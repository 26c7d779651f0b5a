// SPDX-License-Identifier: AGPL-3.0-only
// The trust anchors of a verification: a hardware vendor's, compiled in, or test roots that the
// caller names. One object never holds both, so that emulated evidence cannot pass for real.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/crypto/p256.h"
#include "common/x509/certificate.h"

namespace eos::attestation::verify {

inline constexpr Code bad_test_root{"common/attestation/verify", "bad_test_root",
                                    "not a usable root of emulated hardware"};

/// Whether a root stands for hardware.
enum class RootKind {
    vendor,  ///< Intel
    test     ///< emulation: protects nothing
};

/// A certificate that says of itself that it is the root of emulated hardware.
struct TestRoot {
    std::string name;  ///< as the policy calls it
    x509::Certificate certificate;
};

/// The root that a certificate chain ended in.
struct RootIdentity {
    RootKind kind = RootKind::test;
    std::string name;
    crypto::Digest32 sha256{};  ///< of the certificate

    friend bool operator==(const RootIdentity&, const RootIdentity&) = default;
};

/// The roots of one verification.
class Roots {
  public:
    /// Intel's SGX Root CA, in both issues.
    static Roots intel();

    /// in:      at least one; each a self-signed P-256 CA certificate with the critical extension
    ///          emulation_root_marker, none with the key of a vendor's root.
    /// errors:  bad_test_root.
    [[nodiscard]] static Result<Roots> test(std::vector<TestRoot> roots);

    RootKind kind() const { return kind_; }
    /// Empty for the vendor kind.
    const std::vector<TestRoot>& test_roots() const { return test_roots_; }

    /// Whether the certificate is, byte for byte, one of these roots; which one.
    std::optional<RootIdentity> find(const x509::Certificate& certificate) const;

    /// For people: the names and SHA-256 of the roots.
    std::string describe() const;

  private:
    explicit Roots(RootKind kind) : kind_(kind) {}
    RootKind kind_;
    std::vector<TestRoot> test_roots_;
};

}  // namespace eos::attestation::verify
