// SPDX-License-Identifier: AGPL-3.0-only
// The second step of the pipeline: Evidence → VerifiedEvidence. Whether the evidence is genuine,
// and what its platform is worth, at a time that the caller gives; whether it is acceptable is the
// Relying Party's policy, in common/attestation/appraise.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/endorsements/pck.h"
#include "common/attestation/evidence/quote.h"
#include "common/attestation/verify/check.h"
#include "common/attestation/verify/collateral.h"
#include "common/attestation/verify/roots.h"
#include "common/attestation/verify/signature_memo.h"
#include "common/base/time.h"
#include "common/sgx_arch/report.h"

namespace eos::attestation::verify {

/// What a genuine SGX quote says.
struct SgxClaims {
    sgx_arch::ReportBody report;
    endorsements::PckExtension platform;
};

/// What a genuine TDX quote says.
struct TdxClaims {
    evidence::TdReport report;
    endorsements::PckExtension platform;
};

/// What a genuine SNP report says.
struct SnpClaims {
    snp_arch::Report report;
    snp_arch::Product product = snp_arch::Product::milan;
    // The same as in the report, taken apart.
    snp_arch::Tcb reported;
    snp_arch::Tcb committed;
    snp_arch::Tcb current;
    snp_arch::Tcb launch;
    std::string csp_id;  ///< under a VLEK: the provider that AMD gave the key to
};

/// One alternative per kind of TEE.
using TeeClaims = std::variant<SgxClaims, TdxClaims, SnpClaims>;

/// Intel's view of the platform, from TCB info and, if that was at hand, the QE identity. For TDX
/// all but `current` are about the state in which the TD was launched.
struct TcbResult {
    endorsements::TcbStatus status{};    ///< everything merged, with the relaunch rule of TDX 1.5
    endorsements::TcbStatus platform{};  ///< the platform alone
    std::optional<endorsements::TcbStatus> quoting_enclave;
    std::optional<endorsements::TcbStatus> tdx_module;  ///< TDX, from the second generation on
    std::optional<endorsements::TcbStatus> current;     ///< TDX 1.5: merged, as it runs now
    UnixTime date;                                      ///< the earliest one of the levels
    std::optional<UnixTime> behind_since;               ///< of those that are not UpToDate
    std::vector<std::string> advisories;                ///< of all levels, sorted, each once
    std::uint32_t evaluation_data_number = 0;           ///< the lower one of both statements
    std::string shortfall;  ///< which SVNs the newest level asks for and the platform lacks
    /// The same for module and quoting enclave: "TDX module SVN 6, level needs 11".
    std::string tdx_module_shortfall;
    std::string quoting_enclave_shortfall;
};

/// A statement or list that took part in the verification, and when its vendor issued it.
struct CollateralDate {
    std::string name;
    UnixTime issued;
};

class Verification;

/// Evidence whose signatures lead to one of the given roots. Only verify() makes one.
class VerifiedEvidence {
  public:
    const TeeClaims& claims() const { return claims_; }
    const RootIdentity& root() const { return root_; }
    /// Absent if no TCB info was given.
    const std::optional<TcbResult>& tcb() const { return tcb_; }
    /// What was at hand of statements and lists; certificates are not among them.
    const std::vector<CollateralDate>& collateral() const { return collateral_; }

  private:
    friend class Verification;
    VerifiedEvidence(TeeClaims claims, RootIdentity root, std::optional<TcbResult> tcb,
                     std::vector<CollateralDate> collateral)
        : claims_(std::move(claims)),
          root_(std::move(root)),
          tcb_(std::move(tcb)),
          collateral_(std::move(collateral)) {}

    TeeClaims claims_;
    RootIdentity root_;
    std::optional<TcbResult> tcb_;
    std::vector<CollateralDate> collateral_;
};

/// The outcome of verify(): always a tree, and the evidence if nothing in the tree failed. A copy
/// shares both.
class Verification {
  public:
    const Check& tree() const { return body_->tree; }
    UnixTime time() const { return time_; }
    /// Null if a check failed. Checks that could not be evaluated do not prevent it: whether they
    /// may be missing is decided by the policy. Borrowed from this object.
    const VerifiedEvidence* evidence() const {
        return body_->evidence ? &*body_->evidence : nullptr;
    }

  private:
    friend Verification verify(const evidence::Evidence&, const Collateral&, const Roots&, UnixTime,
                               SignatureMemo*);
    friend Verification verify_quote(ByteView, const Collateral&, const Roots&, UnixTime,
                                     SignatureMemo*);
    struct Parts {
        TeeClaims claims;
        RootIdentity root;
        std::optional<TcbResult> tcb;
        std::vector<CollateralDate> collateral;
    };
    struct Body {
        Check tree;
        std::optional<VerifiedEvidence> evidence;
    };
    Verification(Check tree, UnixTime time, std::optional<Parts> parts);

    std::shared_ptr<const Body> body_;
    UnixTime time_;
};

/// What verify() takes of the heap at its height, beside its inputs: with the statements and lists
/// that vendors issue, and with the largest that the limits of their parsers let through, filled
/// with what is dearest to hold. Measured by memory_test.cpp.
inline constexpr std::int64_t kUsualVerificationBytes = 128 * 1024;
inline constexpr std::int64_t kMaxVerificationBytes = 16 * 1024 * 1024;

/// Makes every check that the inputs allow, and reports every failure, not only the first. The
/// checks and their order are in docs/formats/verdict.md.
/// in:      time: the instant to verify at; certificates, lists and statements must be valid then.
///          memo: signatures that it has from the same inputs are not verified again, and all
///          other checks are made; null: what the collateral knows of whole evidence is taken
///          instead. The tree is the same either way.
/// returns: never fails to return a tree.
/// source:  docs/formats/verification.md; Intel SGX DCAP quote verification.
/// bound:   Intel: at most 3 + 2 + 2 × 3 + 2 P-256 verifications; AMD: one of P-384 and 16 of RSA
///          (the given certificates, to tell issuers apart, chain and lists); memory:
///          kMaxVerificationBytes.
[[nodiscard]] Verification verify(const evidence::Evidence& evidence, const Collateral& collateral,
                                  const Roots& roots, UnixTime time, SignatureMemo* memo = nullptr);

/// Parses and verifies evidence of any kind: what does not parse gives a tree in which quote.syntax
/// fails.
[[nodiscard]] Verification verify_quote(ByteView quote, const Collateral& collateral,
                                        const Roots& roots, UnixTime time,
                                        SignatureMemo* memo = nullptr);

}  // namespace eos::attestation::verify
