// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/authority.h"

#include <algorithm>

#include "common/base/assert.h"
#include "common/x509/pem.h"
#include "common/x509/request.h"

namespace eos::runtime {
namespace {

Result<void> check_intermediate(const x509::Certificate& ca, const CaDemands& demands) {
    crypto::P256PublicKey key = EOS_TRY(ca.p256_key());
    if (!(key == demands.key)) return fail(bad_ca, "it is for another key than the one born here");
    const auto& constraints = ca.basic_constraints();
    if (!constraints || !constraints->is_ca || constraints->path_length != 0u) {
        return fail(bad_ca, "it must be a CA with path length 0");
    }
    if ((ca.key_usage().value_or(0) & x509::kKeyCertSign) == 0) {
        return fail(bad_ca, "its key usage must allow signing certificates");
    }
    if (demands.now < ca.validity().not_before || demands.now > ca.validity().not_after) {
        return fail(bad_ca, "it is not valid now: " + rfc3339(ca.validity().not_before) + " to " +
                                rfc3339(ca.validity().not_after));
    }
    if (ca.validity().not_after - demands.now > kMaxCaLifeSeconds + kCaLifeSlackSeconds) {
        return fail(bad_ca, "it may live 90 days at most");
    }
    return check_permitted(ca, demands.platform_name);
}

bool is_self_signed(const x509::Certificate& certificate) {
    Result<crypto::P256PublicKey> key = certificate.p256_key();
    return certificate.is_self_issued() && key && certificate.verify_signed_by(*key).has_value();
}

}  // namespace

Bytes make_ca_request(const crypto::P256PrivateKey& key) {
    Result<x509::DistinguishedName> name = x509::DistinguishedName::common_name("Enclave OS CA");
    EOS_ASSERT(name.has_value());
    return x509::make_request(*name, {}, key);
}

Result<std::vector<Bytes>> check_ca_chain(std::string_view pem, const CaDemands& demands) {
    std::vector<x509::Certificate> chain = EOS_TRY(x509::parse_pem_certificates(pem));
    if (chain.size() > kMaxChainCertificates) return fail(bad_ca, "more than 4 certificates");
    EOS_TRY(check_intermediate(chain.front(), demands));
    if (is_self_signed(chain.front())) {
        return fail(bad_ca,
                    "the first certificate is a root: it must be an intermediate that your "
                    "root signed");
    }
    std::vector<Bytes> out;
    for (std::size_t i = 0; i < chain.size(); ++i) {
        bool is_last = i + 1 == chain.size();
        if (chain[i].der().size() > kMaxCertificateBytes) {
            return fail(bad_ca, "certificate " + std::to_string(i + 1) + " has more than " +
                                    std::to_string(kMaxCertificateBytes) + " bytes");
        }
        if (!is_last) {
            crypto::P256PublicKey issuer = EOS_TRY(chain[i + 1].p256_key());
            if (!chain[i].verify_signed_by(issuer)) {
                return fail(bad_ca, "certificate " + std::to_string(i + 2) +
                                        " did not sign the one before it");
            }
        }
        // Clients have the root already, or must not take it from us.
        if (!is_self_signed(chain[i])) out.push_back(to_bytes(chain[i].der()));
    }
    return out;
}

Result<void> check_permitted(const x509::Certificate& intermediate, std::string_view name) {
    const auto& constraints = intermediate.name_constraints();
    if (!constraints || constraints->permitted_dns.empty()) {
        return fail(bad_ca, "it must have name constraints that permit the platform's names");
    }
    auto holds = [&](const std::string& base) { return x509::is_within_dns(name, base); };
    if (!std::ranges::any_of(constraints->permitted_dns, holds) ||
        std::ranges::any_of(constraints->excluded_dns, holds)) {
        return fail(name_not_permitted, std::string(name));
    }
    return {};
}

Result<x509::Certificate> intermediate_of(const Authority& authority) {
    return x509::Certificate::parse(authority.chain.front());
}

Result<std::shared_ptr<const LeafIssuer>> make_issuer(const Authority& authority) {
    x509::Certificate certificate = EOS_TRY(intermediate_of(authority));
    crypto::P256PrivateKey key = EOS_TRY(crypto::P256PrivateKey::from_pkcs8(authority.key.view()));
    return std::make_shared<const LeafIssuer>(
        LeafIssuer{authority.chain, to_bytes(certificate.subject_tlv()),
                   to_bytes(certificate.subject_key_identifier()), std::move(key)});
}

}  // namespace eos::runtime
