// SPDX-License-Identifier: AGPL-3.0-only
// The operator's private PKI: a root that stays here, the owner's key, and intermediates for
// enclaves.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/time.h"
#include "common/ratls/tls_session.h"
#include "common/x509/certificate.h"
#include "common/x509/request.h"

namespace eos::client {

inline constexpr Code pki_incomplete{"client", "pki_incomplete", "the PKI folder is not complete"};
inline constexpr Code request_refused{"client", "request_refused",
                                      "the certification request is not one to sign"};

inline constexpr std::int64_t kMaxIntermediateDays = 90;
inline constexpr std::int64_t kDefaultRootDays = 3650;

/// Who an intermediate may certify, and for how long.
struct IntermediateOptions {
    std::vector<std::string> permitted_names;  ///< DNS names; each stands for itself and all below
    std::int64_t days = kMaxIntermediateDays;  ///< 1..kMaxIntermediateDays
    UnixTime now;
};

/// The files of a PKI: root.key, root.pem, owner.key, owner.pem. Keys are 0600 and never
/// overwritten.
class Pki {
  public:
    /// Makes root and owner key in a folder that has neither.
    /// errors: file_exists, file_unwritable, x509::bad_name.
    [[nodiscard]] static Result<void> init(const std::filesystem::path& folder,
                                           const std::string& organization, UnixTime now);

    /// errors: pki_incomplete, those of read_private_key and read_certificates.
    [[nodiscard]] static Result<Pki> open(const std::filesystem::path& folder);

    /// Signs a CA with path length 0 and name constraints for the request's key. The caller has
    /// verified the evidence that the key was born inside. errors: request_refused (no P-256 key,
    /// bad signature, no permitted name, too long a life).
    [[nodiscard]] Result<x509::Certificate> sign_intermediate(
        const x509::CertificateRequest& request, const IntermediateOptions& options) const;

    /// The same for a key made here, to be imported.
    /// errors: as sign_intermediate().
    [[nodiscard]] Result<x509::Certificate> make_intermediate(
        const crypto::P256PublicKey& key, const IntermediateOptions& options) const;

    const x509::Certificate& root() const { return root_; }
    const crypto::P256PrivateKey& owner_key() const { return owner_key_; }

    /// What a client shows to prove that it holds the owner's key.
    const std::shared_ptr<const ratls::Credential>& owner_credential() const { return credential_; }

  private:
    Pki(crypto::P256PrivateKey root_key, x509::Certificate root, crypto::P256PrivateKey owner_key,
        std::shared_ptr<const ratls::Credential> credential)
        : root_key_(std::move(root_key)),
          root_(std::move(root)),
          owner_key_(std::move(owner_key)),
          credential_(std::move(credential)) {}

    crypto::P256PrivateKey root_key_;
    x509::Certificate root_;
    crypto::P256PrivateKey owner_key_;
    std::shared_ptr<const ratls::Credential> credential_;
};

/// A self-signed certificate that carries nothing but the key: servers look at nothing else.
/// errors: x509::bad_name.
[[nodiscard]] Result<x509::Certificate> make_client_certificate(const crypto::P256PrivateKey& key,
                                                                UnixTime now);

/// The credential of an owner key file and the certificate beside it (NAME.key, NAME.pem).
/// errors: those of read_private_key and read_certificates, ratls::bad_credential.
[[nodiscard]] Result<std::shared_ptr<const ratls::Credential>> read_credential(
    const std::filesystem::path& key_file);

}  // namespace eos::client
