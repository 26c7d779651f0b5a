// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/pck_chain.h"

#include <algorithm>

#include "common/oid/registry.h"
#include "common/x509/pem.h"

namespace eos::attestation::verify {
namespace {

using x509::Certificate;

std::string name_of(const Certificate& certificate) {
    return certificate.subject().display();
}

/// Path validation from the leaf through at most one intermediate to the root, at an instant when
/// all are valid: dates are a check of their own and must not hide a fault of another kind.
Result<void> check_path(const Certificate& leaf, std::span<const Certificate> intermediates,
                        const Certificate& root, std::span<const x509::KnownSignature> known = {}) {
    UnixTime time = std::max(leaf.validity().not_before, root.validity().not_before);
    for (const Certificate& certificate : intermediates)
        time = std::max(time, certificate.validity().not_before);
    x509::ChainOptions options;
    options.known_critical = {oid::kEmulationRootMarker};
    options.max_certificates = intermediates.size() + 2;
    options.known_signatures = known;
    if (leaf.is_ca()) options.leaf_key_usage = x509::kKeyCertSign | x509::kCrlSign;
    std::vector<Certificate> path =
        EOS_TRY(x509::verify_chain({leaf, intermediates, std::span(&root, 1), time}, options));
    if (path.size() != options.max_certificates) {
        return fail(bad_chain, name_of(leaf) + " was not issued by the expected CA");
    }
    return {};
}

/// Three certificates take a tenth of it.
constexpr std::size_t kMaxChainBytes = 32 * 1024;

/// Some quoting libraries joined certificates without the line end between two blocks.
std::string separate_blocks(std::string_view pem) {
    constexpr std::string_view kJoint = "-----END CERTIFICATE----------BEGIN CERTIFICATE-----";
    constexpr std::size_t kHalf = std::string_view("-----END CERTIFICATE-----").size();
    std::string out(pem);
    for (std::size_t at = out.find(kJoint); at != out.npos; at = out.find(kJoint, at + kHalf))
        out.insert(at + kHalf, 1, '\n');
    return out;
}

Result<void> check_end_entity(const Certificate& certificate) {
    if (certificate.is_ca()) return fail(bad_chain, name_of(certificate) + " is a CA");
    // verify_chain() takes a leaf without keyUsage; Intel's profile does not.
    if (!certificate.key_usage().has_value()) {
        return fail(bad_chain, name_of(certificate) + " has no keyUsage");
    }
    return {};
}

/// Intel names the role of a certificate in its CN; test roots are free to use other names.
Result<void> check_role(const Certificate& certificate, const Roots& roots,
                        std::initializer_list<std::string_view> names) {
    if (roots.kind() == RootKind::test) return {};
    std::string found = certificate.subject().display(oid::kCommonName).value_or("");
    if (std::ranges::find(names, found) != names.end()) return {};
    return fail(bad_chain,
                name_of(certificate) + " stands where " + std::string(*names.begin()) + " belongs");
}

Result<std::vector<Certificate>> parse_chain(std::string_view pem) {
    if (pem.size() > kMaxChainBytes) return fail(bad_chain, "more than 32 KiB");
    // No signature covers what follows the last block, so that nothing but a line end may.
    if (!pem.ends_with('\n') && !pem.ends_with('-')) {
        return fail(bad_chain, "something follows the last certificate");
    }
    std::string separated = separate_blocks(pem);
    return x509::parse_pem_chain(as_bytes(separated));
}

}  // namespace

Result<PckChain> parse_pck_chain(std::string_view pem) {
    std::vector<Certificate> all = EOS_TRY(parse_chain(pem));
    if (all.size() != 3) {
        return fail(bad_chain, "expected 3 certificates (PCK, PCK CA, root), found " +
                                   std::to_string(all.size()));
    }
    // Old quotes have the root before the PCK CA.
    if (all[1].is_self_issued()) std::swap(all[1], all[2]);
    if (all[1].is_self_issued() || !all[2].is_self_issued()) {
        return fail(bad_chain, "expected one root behind the PCK certificate");
    }
    Result<endorsements::PckExtension> platform = endorsements::parse_pck_extension(all[0]);
    return PckChain{std::move(all[0]), std::move(all[1]), std::move(all[2]), std::move(platform)};
}

Result<void> check_pck_chain(const PckChain& chain, const Roots& roots,
                             std::span<const x509::KnownSignature> known) {
    EOS_TRY(check_end_entity(chain.leaf));
    EOS_TRY(check_role(chain.leaf, roots, {"Intel SGX PCK Certificate"}));
    EOS_TRY(check_role(chain.intermediate, roots,
                       {"Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"}));
    return check_path(chain.leaf, std::span(&chain.intermediate, 1), chain.root, known);
}

Result<void> check_pck_ca(const Certificate& ca, const Certificate& root, const Roots& roots) {
    EOS_TRY(check_role(ca, roots, {"Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"}));
    if (!ca.is_ca()) return fail(bad_chain, name_of(ca) + " is not a CA");
    return check_path(ca, {}, root);
}

Result<SignerChain> parse_signer_chain(std::string_view pem) {
    std::vector<Certificate> all = EOS_TRY(parse_chain(pem));
    if (all.size() != 2 || all[0].is_self_issued() || !all[1].is_self_issued()) {
        return fail(bad_chain,
                    "expected 2 certificates (signer, root), found " + std::to_string(all.size()));
    }
    return SignerChain{std::move(all[0]), std::move(all[1])};
}

Result<void> check_signer_chain(const SignerChain& chain, const Roots& roots) {
    EOS_TRY(check_end_entity(chain.signer));
    EOS_TRY(check_role(chain.signer, roots, {"Intel SGX TCB Signing"}));
    if (chain.signer.find_extension(oid::kPckExtension) != nullptr) {
        return fail(bad_chain, name_of(chain.signer) + " is a PCK certificate");
    }
    return check_path(chain.signer, {}, chain.root);
}

Result<void> check_validity(std::span<const x509::Certificate* const> certificates, Instant& at) {
    for (const Certificate* certificate : certificates) {
        const x509::Validity& validity = certificate->validity();
        if (at.is_within(validity.not_before, validity.not_after)) continue;
        return fail(outside_validity, name_of(*certificate) + " is valid from " +
                                          rfc3339(validity.not_before) + " to " +
                                          rfc3339(validity.not_after));
    }
    return {};
}

}  // namespace eos::attestation::verify
