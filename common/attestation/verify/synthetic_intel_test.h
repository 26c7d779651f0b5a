// SPDX-License-Identifier: AGPL-3.0-only
// A complete synthetic Intel for tests: PKI, platform, quote and collateral, every part of which a
// test can alter before it is signed.
#pragma once

#include <functional>
#include <string>

#include "common/attestation/endorsements/endorsements.h"
#include "common/attestation/endorsements/pck.h"
#include "common/attestation/evidence/tdx_report.h"
#include "common/attestation/verify/roots.h"
#include "common/base/time.h"
#include "common/crypto/p256.h"
#include "common/json/json.h"
#include "common/sgx_arch/report.h"
#include "common/x509/builder.h"

namespace eos::attestation::testing {

inline constexpr UnixTime kNow{1'780'000'000};  // 2026-05-28T20:26:40Z

/// What a certificate is made from, for a test to alter.
struct CertificateRecipe {
    std::string cn;
    x509::Validity validity{kNow - 86400 * 400, kNow + 86400 * 400};
    x509::Serial serial = x509::Serial::random();
    std::vector<x509::Extension> extensions;
};

/// One platform and the authority that certifies it.
class SyntheticIntel {
  public:
    /// An SGX platform that makes quotes of version 3.
    SyntheticIntel();

    /// Turns it into a TDX platform, up to date, with a TD report of this kind, the TD quoting
    /// enclave and statements for TDX. Quotes are of version 4 for TDX 1.0, else of version 5.
    void make_tdx(evidence::TdReportKind kind);

    /// The inner content of the PCK extension.
    static Bytes encode_pck_extension(const endorsements::PckExtension& extension);

    /// Made at the first use, after which root_recipe must not change: policies name its bytes.
    const x509::Certificate& root() const;
    // Signed anew whenever they are asked for, from the fields below.
    x509::Certificate ca() const;
    x509::Certificate pck() const;
    x509::Certificate signer() const;
    Bytes quote() const;
    endorsements::Endorsements endorsements() const;
    endorsements::SignedObject sign(const json::Value& statement) const;
    Bytes root_crl() const { return crl(root_recipe, root_key, root_revoked); }
    Bytes pck_crl() const { return crl(ca_recipe, ca_key, pck_revoked); }
    verify::Roots roots() const;

    crypto::P256PrivateKey root_key = crypto::P256PrivateKey::generate();
    crypto::P256PrivateKey ca_key = crypto::P256PrivateKey::generate();
    crypto::P256PrivateKey pck_key = crypto::P256PrivateKey::generate();
    crypto::P256PrivateKey signer_key = crypto::P256PrivateKey::generate();
    crypto::P256PrivateKey attestation_key = crypto::P256PrivateKey::generate();

    CertificateRecipe root_recipe;
    CertificateRecipe ca_recipe;
    CertificateRecipe pck_recipe;  ///< the PCK extension is added from `platform`
    CertificateRecipe signer_recipe;
    endorsements::PckExtension platform;

    std::uint16_t quote_version = 3;
    sgx_arch::ReportBody report;
    std::optional<evidence::TdReport> td;  ///< if present, quotes are about it
    sgx_arch::ReportBody qe_report;        ///< report_data is filled in
    Bytes qe_auth_data = Bytes(32, std::byte{0xaa});

    json::Value tcb_info;
    json::Value qe_identity;
    std::vector<x509::Serial> root_revoked;
    std::vector<x509::Serial> pck_revoked;
    x509::Validity crl_validity{kNow - 86400, kNow + 86400 * 29};

    /// A last change to the finished quote, and to the PEM chain before it goes in.
    std::function<void(Bytes&)> alter_quote = [](Bytes&) {};
    std::function<std::string(const SyntheticIntel&)> chain_pem;

  private:
    Bytes signed_part() const;
    Bytes auth_data(ByteView signed_part) const;
    mutable std::optional<x509::Certificate> root_;
    x509::Certificate issue(const CertificateRecipe& recipe, const crypto::P256PublicKey& key,
                            const CertificateRecipe& issuer,
                            const crypto::P256PrivateKey& issuer_key) const;
    Bytes crl(const CertificateRecipe& issuer, const crypto::P256PrivateKey& key,
              const std::vector<x509::Serial>& revoked) const;
};

/// One certificate as PEM.
std::string pem(const x509::Certificate& certificate);

}  // namespace eos::attestation::testing
