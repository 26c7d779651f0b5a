// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/certificate_checks.h"

#include "common/oid/registry.h"
#include "common/x509/chain.h"

namespace eos::ratls {
namespace {

using attestation::verify::Check;
using attestation::verify::failed;
using attestation::verify::not_evaluated;
using attestation::verify::passed;
using attestation::verify::Subject;
using attestation::verify::Weight;

constexpr Subject kSignature{
    "certificate.signature", "RFC 5280, 4.1.1.3; docs/formats/verification.md 6.10",
    "the certificate was altered, or its key did not sign it: do not rely on what it says"};
constexpr Subject kValidity{
    "certificate.validity", "RFC 5280, 4.1.2.5; docs/formats/verification.md 6.10",
    "a server renews its certificate: ask it again, and check this machine's clock"};
constexpr Subject kName{"certificate.name", "RFC 6125, 6.4; docs/formats/verification.md 6.10",
                        "this is another service's certificate: check address and server name"};

/// Verifies by one of the schemes that a key of its kind is used with.
Result<void> verify_own_signature(const x509::Certificate& certificate) {
    const oid::Oid& scheme = certificate.signature_algorithm();
    if (scheme == oid::kSha256WithRsa) {
        const crypto::RsaPublicKey key = EOS_TRY(certificate.rsa_key());
        return key.verify_pkcs1_sha256(certificate.tbs(), certificate.signature());
    }
    if (const Result<crypto::P256PublicKey> key = certificate.p256_key()) {
        // Not by verify_signed_by(), which takes the algorithm in RFC 5758's form only: Open
        // Enclave of 2019 wrote it with parameters (NULL), and no chain depends on this signature.
        if (scheme == oid::kEcdsaWithSha256)
            return key->verify_der(certificate.tbs(), certificate.signature());
        return fail(x509::unsupported_algorithm, oid::describe(scheme));
    }
    if (scheme != oid::kEcdsaWithSha256 && scheme != oid::kEcdsaWithSha384) {
        return fail(x509::unsupported_algorithm, oid::describe(scheme));
    }
    const crypto::P384PublicKey key = EOS_TRY(certificate.p384_key());
    const bool is_sha256 = scheme == oid::kEcdsaWithSha256;
    return key.verify_der(is_sha256 ? crypto::HashKind::kSha256 : crypto::HashKind::kSha384,
                          certificate.tbs(), certificate.signature());
}

Check check_signature(const x509::Certificate& certificate) {
    if (!certificate.is_self_issued()) {
        Check check = not_evaluated(
            kSignature, "issued by " + certificate.issuer().display() + ", which was not asked");
        check.weight = Weight::informative;
        return check;
    }
    const Result<void> verdict = verify_own_signature(certificate);
    return verdict ? passed(kSignature, "its own") : failed(kSignature, verdict.error());
}

Check check_validity(const x509::Certificate& certificate, UnixTime time) {
    const x509::Validity& validity = certificate.validity();
    const std::string window =
        "from " + rfc3339(validity.not_before) + " to " + rfc3339(validity.not_after);
    const bool is_valid = validity.not_before <= time && time <= validity.not_after;
    return is_valid ? passed(kValidity, window) : failed(kValidity, {window, rfc3339(time)});
}

Check check_name(const x509::Certificate& certificate, std::string_view host) {
    const Result<void> verdict = x509::verify_host(certificate, host, x509::Wildcards::kRefuse);
    return verdict ? passed(kName) : failed(kName, verdict.error());
}

}  // namespace

std::vector<Check> check_without_ca(const x509::Certificate& certificate, std::string_view host,
                                    UnixTime time) {
    std::vector<Check> out{check_signature(certificate), check_validity(certificate, time)};
    if (!host.empty()) out.push_back(check_name(certificate, host));
    return out;
}

}  // namespace eos::ratls
