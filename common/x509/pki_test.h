// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <array>
#include <string>
#include <vector>

#include "common/oid/registry.h"
#include "common/x509/builder.h"

// Keys, names and certificates that the tests of this folder share.

namespace eos::x509::testing {

/// Keys made once per program; `ca` is the root's.
inline const crypto::P256PrivateKey& ca_key() {
    static const crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    return key;
}
/// The intermediate's.
inline const crypto::P256PrivateKey& intermediate_key() {
    static const crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    return key;
}
/// The leaf's.
inline const crypto::P256PrivateKey& leaf_key() {
    static const crypto::P256PrivateKey key = crypto::P256PrivateKey::generate();
    return key;
}

/// "2026-01-01T00:00:00Z" as an instant.
inline UnixTime at(std::string_view text) {
    return parse_rfc3339(text).value();
}

/// 2026.
inline Validity one_year() {
    return {at("2026-01-01T00:00:00Z"), at("2026-12-31T23:59:59Z")};
}

/// A name of two attributes.
inline DistinguishedName name(std::string_view cn) {
    return DistinguishedName::of(
               {{oid::kOrganizationName, "Enclave OS, test"}, {oid::kCommonName, std::string(cn)}})
        .value();
}

/// What a leaf of these tests says; each test changes one thing.
struct LeafRecipe {
    std::string cn = "leaf";
    Validity validity = one_year();
    std::vector<std::string> dns_names = {"app.example.test"};
    std::vector<IpAddress> ip_addresses;
    std::uint16_t key_usage = kDigitalSignature;
    std::vector<oid::Oid> purposes = {oid::kServerAuth, oid::kClientAuth};
    std::vector<Extension> more_extensions;

    Certificate issue(const Certificate& issuer, const crypto::P256PrivateKey& issuer_key) const {
        DistinguishedName subject = name(cn);
        CertificateDraft draft({.serial = Serial::random(),
                                .issuer = issuer.subject_tlv(),
                                .validity = validity,
                                .subject = subject.der(),
                                .spki = leaf_key().public_key().spki()});
        draft.add(make_basic_constraints({}));
        if (key_usage != 0) draft.add(make_key_usage(key_usage));
        if (!purposes.empty()) draft.add(make_extended_key_usage(purposes));
        if (!dns_names.empty() || !ip_addresses.empty()) {
            SubjectAltName names;
            names.dns_names = dns_names;
            names.ip_addresses = ip_addresses;
            draft.add(make_subject_alt_name(names).value());
        }
        draft.add(make_subject_key_identifier(leaf_key().public_key()));
        if (!issuer.subject_key_identifier().empty())
            draft.add(make_authority_key_identifier(issuer.subject_key_identifier()));
        for (const Extension& extension : more_extensions) draft.add(extension);
        return Certificate::parse(draft.sign(issuer_key)).value();
    }
};

/// Root, intermediate (path length 0, names below example.test) and leaf, as this project makes
/// them.
struct Pki {
    CaOptions root_options{.subject = name("root"), .validity = one_year()};
    CaOptions intermediate_options{.subject = name("intermediate"),
                                   .validity = one_year(),
                                   .path_length = 0,
                                   .name_constraints = constraints()};
    LeafRecipe leaf_recipe;

    static NameConstraints constraints() {
        NameConstraints out;
        out.permitted_dns = {"example.test"};
        out.excluded_dns = {"secret.example.test"};
        return out;
    }

    Certificate root() const { return make_root_ca(root_options, ca_key()).value(); }
    Certificate intermediate(const Certificate& issuer) const {
        return make_intermediate_ca(intermediate_options, intermediate_key().public_key(), issuer,
                                    ca_key())
            .value();
    }
    Certificate leaf(const Certificate& issuer) const {
        return leaf_recipe.issue(issuer, intermediate_key());
    }
};

}  // namespace eos::x509::testing
