// SPDX-License-Identifier: AGPL-3.0-only
// The trust anchors of a verification: a hardware vendor's, compiled in, or test roots that the
// caller names. One object never holds both, so that emulated evidence cannot pass for real.
#pragma once

#include <optional>
#include <set>
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
    vendor,  ///< a vendor of hardware
    test     ///< emulation: protects nothing
};

/// Whose hardware.
enum class Vendor { intel, amd };

/// "intel", "amd".
std::string_view vendor_name(Vendor vendor);

/// A certificate that says of itself that it is the root of emulated hardware.
struct TestRoot {
    std::string name;  ///< as the policy calls it
    x509::Certificate certificate;

    friend bool operator==(const TestRoot&, const TestRoot&) = default;
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
    /// in: at least one (asserted).
    static Roots of(std::set<Vendor> vendors);
    /// Intel's SGX Root CA, in both issues.
    static Roots intel() { return of({Vendor::intel}); }
    /// AMD's root keys of all products.
    static Roots amd() { return of({Vendor::amd}); }

    /// in:      at least one; each a self-signed P-256 or RSA CA certificate with the critical
    ///          extension emulation_root_marker, none with the key of a vendor's root.
    /// errors:  bad_test_root.
    [[nodiscard]] static Result<Roots> test(std::vector<TestRoot> roots);

    RootKind kind() const { return kind_; }
    /// Empty for the test kind.
    const std::set<Vendor>& vendors() const { return vendors_; }
    /// Empty for the vendor kind.
    const std::vector<TestRoot>& test_roots() const { return test_roots_; }

    /// Whether the certificate is, byte for byte, one of these roots; which one.
    std::optional<RootIdentity> find(const x509::Certificate& certificate) const;

    /// Whether a chain that was verified with other roots ended in one of these.
    bool contains(const RootIdentity& root) const;

    /// For people: the names and SHA-256 of the roots.
    std::string describe() const;

    friend bool operator==(const Roots&, const Roots&) = default;

  private:
    explicit Roots(RootKind kind) : kind_(kind) {}
    /// Name and SHA-256, in hexadecimal, of all of them.
    std::vector<std::pair<std::string, std::string>> all() const;

    RootKind kind_;
    std::set<Vendor> vendors_;
    std::vector<TestRoot> test_roots_;
};

}  // namespace eos::attestation::verify
