// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/verify/snp_chain.h"

#include <algorithm>

#include "common/attestation/endorsements/amd_certificates.h"
#include "common/oid/registry.h"
#include "common/x509/chain.h"
#include "common/x509/pem.h"

namespace eos::attestation::verify {
namespace {

using evidence::SnpTableEntry;
using evidence::SnpTableKind;
using snp_arch::SigningKey;
using x509::Certificate;

/// In front of the names of test certificates.
constexpr std::string_view kEmulated = "EMULATED ";

/// What AMD's names say a certificate is for.
enum class Role : std::uint8_t { ark, ask, asvk, vcek, vlek, none };

std::string common_name(const Certificate& certificate, RootKind kind) {
    std::string name = certificate.subject().display(oid::kCommonName).value_or("");
    if (kind == RootKind::test && name.starts_with(kEmulated)) name.erase(0, kEmulated.size());
    return name;
}

/// Role and, above the leaf, product.
struct Named {
    Role role = Role::none;
    std::optional<snp_arch::Product> product;
};

Named read_name(const Certificate& certificate, RootKind kind) {
    const std::string name = common_name(certificate, kind);
    if (name == "SEV-VCEK") return {Role::vcek, {}};
    if (name == "SEV-VLEK") return {Role::vlek, {}};
    struct Prefix {
        std::string_view text;
        Role role;
    };
    // The longer one first: it begins with the shorter.
    for (const Prefix& prefix :
         {Prefix{"SEV-VLEK-", Role::asvk}, Prefix{"SEV-", Role::ask}, Prefix{"ARK-", Role::ark}}) {
        if (!name.starts_with(prefix.text)) continue;
        const std::string product = name.substr(prefix.text.size());
        std::optional<snp_arch::Product> known = snp_arch::product_from_name(product);
        if (known && product == snp_arch::product_name(*known)) return {prefix.role, known};
    }
    return {};
}

std::string name_of(const Certificate& certificate) {
    return certificate.subject().display();
}

Result<void> add(VekCertificates& out, Certificate certificate) {
    if (out.veks.size() + out.issuers.size() + out.roots.size() == kMaxVekCertificates) {
        return fail(bad_chain,
                    "more than " + std::to_string(kMaxVekCertificates) + " certificates");
    }
    auto& list = !certificate.is_ca()           ? out.veks
                 : certificate.is_self_issued() ? out.roots
                                                : out.issuers;
    // Evidence and endorsements may bring the same certificate.
    if (std::ranges::find(list, certificate) == list.end()) list.push_back(std::move(certificate));
    return {};
}

Result<void> add_all(VekCertificates& out, ByteView bytes) {
    if (!as_chars(bytes).starts_with("-----BEGIN")) {
        return add(out, EOS_TRY(Certificate::parse(bytes)));
    }
    for (Certificate& certificate : EOS_TRY(x509::parse_pem_certificates(as_chars(bytes))))
        EOS_TRY(add(out, std::move(certificate)));
    return {};
}

bool is_signed_by(const Certificate& certificate, const Certificate& issuer) {
    Result<crypto::RsaPublicKey> key = issuer.rsa_key();
    return key.has_value() && certificate.verify_signed_by(*key).has_value();
}

struct ChosenIssuer {
    Certificate certificate;
    bool is_verified = false;  ///< that it signed
};

/// The one with the right name; of several the one that signed. Whether it did is checked later for
/// whatever is chosen, so that a signature is verified here only where that decides.
Result<ChosenIssuer> choose_issuer(const Certificate& certificate,
                                   std::span<const Certificate> candidates) {
    if (candidates.empty()) {
        return fail(bad_chain, "the CA of " + name_of(certificate) + " (" +
                                   certificate.issuer().display() + ") is not known");
    }
    const Certificate* chosen = nullptr;
    for (const Certificate& candidate : candidates) {
        if (candidate.subject() != certificate.issuer()) continue;
        if (chosen != nullptr && is_signed_by(certificate, *chosen)) {
            return ChosenIssuer{*chosen, true};
        }
        chosen = &candidate;
    }
    return ChosenIssuer{chosen != nullptr ? *chosen : candidates.front()};
}

std::vector<Certificate> with_role(std::span<const Certificate> certificates, Role role,
                                   RootKind kind) {
    std::vector<Certificate> out;
    std::ranges::copy_if(certificates, std::back_inserter(out),
                         [&](const Certificate& one) { return read_name(one, kind).role == role; });
    return out;
}

/// AMD's own with the name that is asked for: at most two.
std::vector<Certificate> known_to_us(std::span<const endorsements::AmdCertificate> all,
                                     const Certificate& below) {
    std::vector<Certificate> out;
    for (const endorsements::AmdCertificate& one : all) {
        if (one.certificate.subject() == below.issuer()) out.push_back(one.certificate);
    }
    return out;
}

Result<void> check_ca(const Certificate& ca, std::size_t below) {
    const auto& constraints = ca.basic_constraints();
    if (!constraints || !constraints->is_ca) return fail(bad_chain, name_of(ca) + " is no CA");
    if (constraints->path_length && below > *constraints->path_length) {
        return fail(x509::path_length, name_of(ca));
    }
    if (!ca.key_usage() || (*ca.key_usage() & x509::kKeyCertSign) == 0) {
        return fail(x509::key_usage, name_of(ca) + " may not sign certificates");
    }
    return {};
}

Result<void> check_critical(const Certificate& certificate, RootKind kind) {
    for (const x509::ExtensionView& extension : certificate.extensions()) {
        if (extension.critical == x509::Critical::kNo) continue;
        if (extension.oid == oid::kBasicConstraints || extension.oid == oid::kKeyUsage) continue;
        if (kind == RootKind::test && extension.oid == oid::kEmulationRootMarker) continue;
        return fail(x509::unknown_critical_extension,
                    oid::describe(extension.oid) + " in " + name_of(certificate));
    }
    return {};
}

/// That one is a CA below the other, of one product.
Result<void> check_issuer_roles(const Named& issuer, const Named& root,
                                const Certificate& issuer_certificate,
                                const Certificate& root_certificate) {
    if (root.role != Role::ark) return fail(bad_chain, name_of(root_certificate) + " is no ARK");
    if (issuer.product == root.product) return {};
    return fail(bad_chain, name_of(issuer_certificate) + " below " + name_of(root_certificate) +
                               ": two products");
}

Result<void> check_roles(const VekChain& chain, RootKind kind) {
    const Named leaf = read_name(chain.leaf, kind);
    const Named issuer = read_name(chain.issuer, kind);
    const bool pairs = (leaf.role == Role::vcek && issuer.role == Role::ask) ||
                       (leaf.role == Role::vlek && issuer.role == Role::asvk);
    if (!pairs) {
        return fail(bad_chain, name_of(chain.leaf) + " below " + name_of(chain.issuer) +
                                   ": an ASK certifies VCEKs, an ASVK certifies VLEKs");
    }
    return check_issuer_roles(issuer, read_name(chain.root, kind), chain.issuer, chain.root);
}

Result<void> check_link(const Certificate& certificate, const Certificate& issuer) {
    if (certificate.issuer() != issuer.subject()) {
        return fail(bad_chain, name_of(certificate) + " was not issued by " + name_of(issuer));
    }
    Result<void> signature = certificate.verify_signed_by(EOS_TRY(issuer.rsa_key()));
    if (!signature) return fail(std::move(signature).error().within(name_of(certificate)));
    return {};
}

/// ASK or ASVK and ARK, whatever lies below them.
Result<void> check_authorities(const Certificate& issuer, const Certificate& root, RootKind kind) {
    EOS_TRY(check_ca(issuer, 0));
    EOS_TRY(check_ca(root, 1));
    EOS_TRY(check_critical(issuer, kind));
    EOS_TRY(check_critical(root, kind));
    return check_link(issuer, root);
}

/// Of several certificates. AMD certifies one key again whenever it is asked, for years: the oldest
/// of them also holds for evidence from before the others were made.
Result<Certificate> choose_fitting(std::span<const Certificate> candidates,
                                   const snp_arch::Report& report, const std::string& name) {
    const Certificate* chosen = nullptr;
    for (const Certificate& candidate : candidates) {
        const Result<endorsements::VekExtension> vek = endorsements::parse_vek_extension(candidate);
        if (!vek || !is_vek_of(*vek, report)) continue;
        if (chosen != nullptr && !equal(chosen->spki(), candidate.spki())) {
            return fail(bad_chain, "there are several " + name +
                                       " certificates of this chip and TCB, of different keys");
        }
        const bool is_older =
            chosen == nullptr || candidate.validity().not_before < chosen->validity().not_before;
        if (is_older) chosen = &candidate;
    }
    if (chosen != nullptr) return *chosen;
    return fail(bad_chain, "there are several " + name +
                               " certificates, and none is of the report's chip and TCB");
}

}  // namespace

Result<VekCertificates> collect_certificates(const evidence::SnpEvidence& evidence,
                                             const endorsements::AmdEndorsements& endorsements) {
    VekCertificates out;
    for (const SnpTableEntry& entry : evidence.table) {
        if (entry.kind == SnpTableKind::crl || entry.kind == SnpTableKind::other) continue;
        EOS_TRY(add_all(out, entry.content));
    }
    for (const Bytes& bytes : endorsements.certificates) EOS_TRY(add_all(out, bytes));
    return out;
}

bool is_vek_of(const endorsements::VekExtension& vek, const snp_arch::Report& report) {
    if (vek.kind != report.signing_key) return false;
    if (vek.chip_id.has_value() && *vek.chip_id != report.chip_id) return false;
    if (report.product().value_or(vek.product) != vek.product) return false;
    Result<snp_arch::Tcb> reported = split_tcb(report.reported_tcb, vek.product);
    return reported.has_value() && *reported == vek.tcb;
}

Result<Certificate> choose_vek(const VekCertificates& given, const snp_arch::Report& report) {
    const bool is_vcek = report.signing_key == SigningKey::vcek;
    const oid::Oid& mark = is_vcek ? oid::kVekHwid : oid::kVekCspId;
    std::vector<Certificate> of_kind;
    for (const Certificate& certificate : given.veks) {
        if (certificate.find_extension(mark) != nullptr) of_kind.push_back(certificate);
    }
    const std::vector<Certificate>& candidates = of_kind.empty() ? given.veks : of_kind;
    const std::string name = is_vcek ? "VCEK" : "VLEK";
    if (candidates.empty()) return fail(bad_chain, "there is no " + name + " certificate");
    if (candidates.size() == 1) return candidates.front();
    return choose_fitting(candidates, report, name);
}

Result<VekChain> complete_chain(Certificate leaf, const VekCertificates& given,
                                const Roots& roots) {
    const bool is_vlek = read_name(leaf, roots.kind()).role == Role::vlek;
    std::vector<Certificate> issuers =
        with_role(given.issuers, is_vlek ? Role::asvk : Role::ask, roots.kind());
    std::vector<Certificate> anchors = given.roots;
    const bool has_own = roots.kind() == RootKind::vendor;
    if (issuers.empty() && has_own) issuers = known_to_us(endorsements::amd_issuers(), leaf);
    // A CA of another role is shown as what it is, not as missing.
    if (issuers.empty()) issuers = given.issuers;
    ChosenIssuer chosen = EOS_TRY(choose_issuer(leaf, issuers));
    Certificate& issuer = chosen.certificate;
    if (anchors.empty() && has_own) anchors = known_to_us(endorsements::amd_roots(), issuer);
    for (const TestRoot& root : roots.test_roots()) {
        if (given.roots.empty()) anchors.push_back(root.certificate);
    }
    Certificate root = EOS_TRY(choose_issuer(issuer, anchors)).certificate;
    return VekChain{std::move(leaf), std::move(issuer), std::move(root), chosen.is_verified};
}

Result<void> check_vek_issuer(const Certificate& issuer, const Certificate& root,
                              const VekIssuerRole& role, const Roots& roots) {
    const Named named = read_name(issuer, roots.kind());
    const Role expected = role.certifies == SigningKey::vcek ? Role::ask : Role::asvk;
    if (named.role != expected || named.product != role.product) {
        return fail(bad_chain, name_of(issuer) + " is not the CA of " +
                                   (expected == Role::ask ? "VCEKs" : "VLEKs") + " of " +
                                   std::string(product_name(role.product)));
    }
    EOS_TRY(check_issuer_roles(named, read_name(root, roots.kind()), issuer, root));
    return check_authorities(issuer, root, roots.kind());
}

std::vector<Certificate> arks_of(snp_arch::Product product, const Roots& roots) {
    std::vector<Certificate> all;
    if (roots.vendors().contains(Vendor::amd)) {
        for (const endorsements::AmdCertificate& one : endorsements::amd_roots())
            all.push_back(one.certificate);
    }
    for (const TestRoot& root : roots.test_roots()) all.push_back(root.certificate);
    std::erase_if(all, [&](const Certificate& one) {
        const Named named = read_name(one, roots.kind());
        return named.role != Role::ark || named.product != product;
    });
    return all;
}

Result<void> check_vek_chain(const VekChain& chain, const Roots& roots) {
    EOS_TRY(check_roles(chain, roots.kind()));
    if (chain.leaf.is_ca()) return fail(bad_chain, name_of(chain.leaf) + " is a CA");
    EOS_TRY(check_critical(chain.leaf, roots.kind()));
    EOS_TRY(check_authorities(chain.issuer, chain.root, roots.kind()));
    if (chain.is_leaf_verified) return {};
    return check_link(chain.leaf, chain.issuer);
}

}  // namespace eos::attestation::verify
