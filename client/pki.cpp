// SPDX-License-Identifier: AGPL-3.0-only
#include "client/pki.h"

#include <array>

#include "client/files.h"
#include "common/base/encoding.h"
#include "common/oid/registry.h"
#include "common/x509/builder.h"
#include "common/x509/ip_address.h"
#include "common/x509/pem.h"

namespace eos::client {
namespace {

constexpr std::int64_t kOwnerDays = 3650;
// A clock that is a little behind must not refuse a certificate made just now.
constexpr std::int64_t kBackdateSeconds = 300;

Result<void> write_certificate(const std::filesystem::path& path,
                               const x509::Certificate& certificate) {
    std::string pem = x509::encode_pem("CERTIFICATE", certificate.der());
    return write_file(path, as_bytes(pem), {.overwrite = Overwrite::kRefuse});
}

Result<x509::DistinguishedName> name_of(const std::string& organization, const std::string& role) {
    std::array attributes = {x509::NameAttribute{oid::kOrganizationName, organization},
                             x509::NameAttribute{oid::kCommonName, organization + " " + role}};
    return x509::DistinguishedName::of(attributes);
}

}  // namespace

Result<x509::Certificate> make_client_certificate(const crypto::P256PrivateKey& key, UnixTime now) {
    static constexpr std::array kPurposes = {oid::kClientAuth};
    x509::DistinguishedName name =
        EOS_TRY(x509::DistinguishedName::common_name("Enclave OS owner"));
    x509::CertificateDraft draft(
        {.serial = x509::Serial::random(),
         .issuer = name.der(),
         .validity = {now - kBackdateSeconds, now + kOwnerDays * kSecondsPerDay},
         .subject = name.der(),
         .spki = key.public_key().spki()});
    draft.add(x509::make_basic_constraints({}));
    draft.add(x509::make_key_usage(x509::kDigitalSignature));
    draft.add(x509::make_extended_key_usage(kPurposes));
    return x509::Certificate::parse(draft.sign(key));
}

Result<std::shared_ptr<const ratls::Credential>> read_credential(
    const std::filesystem::path& key_file) {
    crypto::P256PrivateKey key = EOS_TRY(read_private_key(key_file));
    std::filesystem::path certificate_file = key_file;
    certificate_file.replace_extension(".pem");
    std::vector<x509::Certificate> certificates = EOS_TRY(read_certificates(certificate_file));
    return ratls::Credential::make({to_bytes(certificates.front().der())}, key);
}

Result<void> Pki::init(const std::filesystem::path& folder, const std::string& organization,
                       UnixTime now) {
    crypto::P256PrivateKey root_key = crypto::P256PrivateKey::generate();
    x509::DistinguishedName name = EOS_TRY(name_of(organization, "root CA"));
    x509::Certificate root = EOS_TRY(x509::make_root_ca(
        {.subject = name,
         .validity = {now - kBackdateSeconds, now + kDefaultRootDays * kSecondsPerDay},
         .path_length = 1,
         .name_constraints = std::nullopt,
         .more_extensions = {}},
        root_key));
    crypto::P256PrivateKey owner_key = crypto::P256PrivateKey::generate();
    x509::Certificate owner = EOS_TRY(make_client_certificate(owner_key, now));
    EOS_TRY(write_private_key(folder / "root.key", root_key));
    EOS_TRY(write_certificate(folder / "root.pem", root));
    EOS_TRY(write_private_key(folder / "owner.key", owner_key));
    return write_certificate(folder / "owner.pem", owner);
}

Result<Pki> Pki::open(const std::filesystem::path& folder) {
    std::error_code error;
    for (const char* name : {"root.key", "root.pem", "owner.key", "owner.pem"}) {
        if (!std::filesystem::exists(folder / name, error)) {
            return fail(pki_incomplete,
                        (folder / name).string() + " is missing: `enclavectl pki init` makes it");
        }
    }
    crypto::P256PrivateKey root_key = EOS_TRY(read_private_key(folder / "root.key"));
    std::vector<x509::Certificate> root = EOS_TRY(read_certificates(folder / "root.pem"));
    crypto::P256PrivateKey owner_key = EOS_TRY(read_private_key(folder / "owner.key"));
    auto credential = EOS_TRY(read_credential(folder / "owner.key"));
    return Pki(std::move(root_key), root.front(), std::move(owner_key), std::move(credential));
}

Result<x509::Certificate> Pki::sign_intermediate(const x509::CertificateRequest& request,
                                                 const IntermediateOptions& options) const {
    if (Result<void> signature = request.verify_signature(); !signature) {
        return fail(request_refused, signature.error().message());
    }
    crypto::P256PublicKey key = EOS_TRY(request.p256_key());
    return make_intermediate(key, options);
}

Result<x509::Certificate> Pki::make_intermediate(const crypto::P256PublicKey& key,
                                                 const IntermediateOptions& options) const {
    if (options.permitted_names.empty()) {
        return fail(request_refused, "name the hosts that the CA may certify");
    }
    if (options.days < 1 || options.days > kMaxIntermediateDays) {
        return fail(request_refused, "an intermediate lives 1 to 90 days");
    }
    x509::NameConstraints constraints;
    constraints.permitted_dns = options.permitted_names;
    // A form of name that is not constrained is free (RFC 5280 §4.2.1.10): without these the CA
    // could certify any address. Clients that ask for an address get no name of ours.
    for (std::string_view any : {"0.0.0.0", "::"}) {
        constraints.excluded_ip.push_back({*x509::IpAddress::parse(any), 0});
    }
    x509::DistinguishedName name = EOS_TRY(
        x509::DistinguishedName::common_name("Enclave CA " + hex(key.spki_hash()).substr(0, 16)));
    UnixTime now = options.now;
    return x509::make_intermediate_ca(
        {.subject = name,
         .validity = {now - kBackdateSeconds,
                      now + options.days * kSecondsPerDay - kBackdateSeconds},
         .path_length = 0,
         .name_constraints = constraints,
         .more_extensions = {}},
        key, root_, root_key_);
}

}  // namespace eos::client
