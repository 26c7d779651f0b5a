// SPDX-License-Identifier: AGPL-3.0-only
#include "common/x509/chain.h"

#include <algorithm>

#include "common/base/encoding.h"
#include "common/oid/registry.h"

namespace eos::x509 {
namespace {

using Path = std::vector<const Certificate*>;

// Those that verify_path() takes into account.
constexpr oid::Oid kProcessed[] = {oid::kBasicConstraints, oid::kKeyUsage, oid::kExtendedKeyUsage,
                                   oid::kSubjectAltName, oid::kNameConstraints};

std::string who(const Certificate& certificate) {
    return certificate.subject().display();
}

Result<void> check_validity(const Certificate& certificate, UnixTime time) {
    const Validity& validity = certificate.validity();
    if (time < validity.not_before)
        return fail(not_yet_valid, who(certificate) + " from " + rfc3339(validity.not_before));
    if (time > validity.not_after)
        return fail(expired, who(certificate) + " since " + rfc3339(validity.not_after));
    return {};
}

Result<void> check_critical(const Certificate& certificate, std::span<const oid::Oid> known) {
    for (const ExtensionView& extension : certificate.extensions()) {
        if (extension.critical == Critical::kNo) continue;
        if (std::ranges::find(kProcessed, extension.oid) != std::end(kProcessed)) continue;
        if (std::ranges::find(known, extension.oid) != known.end()) continue;
        return fail(unknown_critical_extension,
                    oid::describe(extension.oid) + " in " + who(certificate));
    }
    return {};
}

Result<void> check_purpose(const Certificate& certificate, const oid::Oid& purpose) {
    const auto& allowed = certificate.extended_key_usage();
    if (allowed && std::ranges::find(*allowed, purpose) == allowed->end())
        return fail(key_usage, who(certificate) + " is not for " + oid::describe(purpose));
    return {};
}

// `below`: how many certificates stand between this CA and the leaf.
Result<void> check_ca(const Certificate& ca, std::size_t below) {
    if (!ca.is_ca()) return fail(not_a_ca, who(ca));
    if (ca.key_usage() && (*ca.key_usage() & kKeyCertSign) == 0)
        return fail(key_usage, who(ca) + " may not sign certificates");
    const std::optional<std::uint32_t>& limit = ca.basic_constraints()->path_length;
    if (limit && below > *limit)
        return fail(path_length, who(ca) + " allows " + std::to_string(*limit) + " CAs below it");
    return {};
}

// Whether some name for which `name` (perhaps a wildcard) stands lies within an excluded base.
bool touches_excluded(std::string_view name, std::string_view base) {
    if (is_within_dns(name, base)) return true;
    if (!name.starts_with("*.")) return false;
    // "*.a.test" stands for "b.a.test" too, which an exclusion of "b.a.test" is about.
    std::size_t dot = base.find('.');
    return dot != std::string_view::npos && same_dns_name(name.substr(2), base.substr(dot + 1));
}

bool allows_dns(const NameConstraints& rules, std::string_view name) {
    auto permits = [&](const std::string& base) { return is_within_dns(name, base); };
    auto excludes = [&](const std::string& base) { return touches_excluded(name, base); };
    bool permitted =
        rules.permitted_dns.empty() || std::ranges::any_of(rules.permitted_dns, permits);
    return permitted && std::ranges::none_of(rules.excluded_dns, excludes);
}

bool allows_ip(const NameConstraints& rules, const IpAddress& address) {
    auto holds = [&](const IpNetwork& network) { return network.contains(address); };
    bool permitted = rules.permitted_ip.empty() || std::ranges::any_of(rules.permitted_ip, holds);
    return permitted && std::ranges::none_of(rules.excluded_ip, holds);
}

// The constraints of `ca` on a certificate below it. RFC 5280 §4.2.1.10.
Result<void> check_names(const Certificate& ca, const Certificate& below) {
    if (!ca.name_constraints()) return {};
    const NameConstraints& rules = *ca.name_constraints();
    if (rules.other_count > 0)
        return fail(name_constraint, who(ca) + " constrains names other than DNS and IP");
    for (const std::string& name : below.subject_alt_name().dns_names) {
        if (!allows_dns(rules, name)) return fail(name_constraint, who(ca) + " on " + name);
    }
    for (const IpAddress& address : below.subject_alt_name().ip_addresses) {
        if (!allows_ip(rules, address))
            return fail(name_constraint, who(ca) + " on " + address.text());
    }
    return {};
}

// Everything but the signatures. path: leaf first, anchor last.
Result<void> verify_path(const Path& path, UnixTime time, const ChainOptions& options) {
    for (std::size_t i = 0; i < path.size(); ++i) {
        EOS_TRY(check_validity(*path[i], time));
        EOS_TRY(check_critical(*path[i], options.known_critical));
        if (options.purpose) EOS_TRY(check_purpose(*path[i], *options.purpose));
        if (i > 0) EOS_TRY(check_ca(*path[i], i - 1));
        for (std::size_t below = 0; below < i; ++below)
            EOS_TRY(check_names(*path[i], *path[below]));
    }
    const Certificate& leaf = *path.front();
    if (leaf.key_usage() && (*leaf.key_usage() & options.leaf_key_usage) != options.leaf_key_usage)
        return fail(key_usage, who(leaf) + " has other uses");
    if (options.host) EOS_TRY(verify_host(leaf, *options.host, options.wildcards));
    return {};
}

// Searches a path, anchors first and depth first.
class PathFinder {
  public:
    PathFinder(const ChainInput& input, const ChainOptions& options)
        : input_(input), options_(options), path_{&input.leaf} {}

    Result<std::vector<Certificate>> run() {
        if (!extend()) return fail(std::move(*error_));
        std::vector<Certificate> out;
        for (const Certificate* certificate : path_) out.push_back(*certificate);
        return out;
    }

  private:
    // How close to acceptance a path came.
    enum class Rank { kNone, kNoIssuer, kTooLong, kSignature, kPath };

    // True with the path complete, or false with it as it was and the reason noted.
    bool extend() {
        for (const Certificate& anchor : input_.anchors) {
            if (anchor == *path_.back()) return finish();
        }
        if (path_.size() >= options_.max_certificates) {
            note(Rank::kTooLong,
                 Error(too_long, std::to_string(options_.max_certificates) + " certificates"));
            return false;
        }
        bool issuer_known = false;
        for (const Certificate& anchor : input_.anchors) {
            if (!is_issuer(anchor)) continue;
            issuer_known = true;
            if (with(anchor, [this] { return finish(); })) return true;
        }
        for (const Certificate& candidate : input_.intermediates) {
            if (!is_issuer(candidate)) continue;
            issuer_known = true;
            if (with(candidate, [this] { return extend(); })) return true;
        }
        const Certificate& end = *path_.back();
        if (!issuer_known) {
            note(Rank::kNoIssuer,
                 Error(unknown_issuer, who(end) + " is issued by " + end.issuer().display()));
        }
        return false;
    }

    template <typename Next>
    bool with(const Certificate& issuer, Next next) {
        path_.push_back(&issuer);
        if (next()) return true;
        path_.pop_back();
        return false;
    }

    bool finish() {
        Result<void> verdict = verify_path(path_, input_.time, options_);
        if (verdict) return true;
        note(Rank::kPath, std::move(verdict).error());
        return false;
    }

    // Whether `candidate` is not on the path yet and signed its end.
    bool is_issuer(const Certificate& candidate) {
        const Certificate& end = *path_.back();
        if (!equal(candidate.subject_tlv(), end.issuer_tlv())) return false;
        auto same = [&](const Certificate* other) { return *other == candidate; };
        if (std::ranges::any_of(path_, same)) return false;
        auto is_this = [&](const KnownSignature& known) {
            return known.subject == end && known.issuer == candidate;
        };
        if (std::ranges::any_of(options_.known_signatures, is_this)) return true;
        if (++signature_checks_ > kMaxSignatureChecks) {
            note(Rank::kTooLong, Error(too_long, "too many candidates for an issuer"));
            return false;
        }
        Result<void> verdict = verify_signature(end, candidate);
        if (verdict) return true;
        note(Rank::kSignature, std::move(verdict).error().within(who(end)));
        return false;
    }

    static Result<void> verify_signature(const Certificate& subject, const Certificate& issuer) {
        return subject.verify_signed_by(EOS_TRY(issuer.p256_key()));
    }

    void note(Rank rank, Error error) {
        if (rank <= rank_) return;
        rank_ = rank;
        error_ = std::move(error);
    }

    const ChainInput& input_;
    const ChainOptions& options_;
    Path path_;
    std::size_t signature_checks_ = 0;
    Rank rank_ = Rank::kNone;
    std::optional<Error> error_;
};

bool matches(std::string_view pattern, std::string_view host, Wildcards wildcards) {
    if (!pattern.starts_with("*.")) return same_dns_name(pattern, host);
    std::size_t dot = host.find('.');
    return wildcards == Wildcards::kLeftmostLabel && dot != std::string_view::npos &&
           same_dns_name(pattern.substr(2), host.substr(dot + 1));
}

}  // namespace

Result<std::vector<Certificate>> verify_chain(const ChainInput& input,
                                              const ChainOptions& options) {
    if (input.intermediates.size() > kMaxIntermediates)
        return fail(too_many, "intermediate certificates");
    return PathFinder(input, options).run();
}

Result<void> verify_host(const Certificate& leaf, std::string_view host, Wildcards wildcards) {
    const SubjectAltName& names = leaf.subject_alt_name();
    std::string shown = printable(as_bytes(host));
    if (std::optional<IpAddress> address = IpAddress::parse(host)) {
        if (std::ranges::find(names.ip_addresses, *address) != names.ip_addresses.end()) return {};
        return fail(wrong_name, "no subjectAltName is the address " + shown);
    }
    if (!is_dns_name(host) || host.front() == '*')
        return fail(wrong_name, "not a DNS name: " + shown);
    for (const std::string& pattern : names.dns_names) {
        if (matches(pattern, host, wildcards)) return {};
    }
    return fail(wrong_name, "no subjectAltName is " + shown);
}

}  // namespace eos::x509
