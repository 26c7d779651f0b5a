// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/attestd/standing.h"

#include <algorithm>
#include <filesystem>

#include "trusted/os/files.h"

namespace eos::attestd {
namespace {

namespace appraise = attestation::appraise;
namespace endorsements = attestation::endorsements;

constexpr std::size_t kMaxFiles = 256;

/// The files that a path stands for, in the order of their names.
Result<std::vector<std::string>> files_of(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_directory(path, error)) return std::vector{path};
    std::vector<std::string> out;
    for (std::filesystem::directory_iterator at(path, error), end; !error && at != end;
         at.increment(error)) {
        if (at->path().extension() == ".json") out.push_back(at->path().string());
        if (out.size() > kMaxFiles) return fail(bad_config, path + ": more than 256 files");
    }
    if (error) return fail(os::file_unreadable, path + ": " + error.message());
    if (out.empty()) return fail(bad_config, path + ": no *.json in this folder");
    std::ranges::sort(out);
    return out;
}

Result<std::vector<endorsements::Piece>> pieces_of(const std::string& file) {
    Bytes text = EOS_TRY(os::read_file(file, endorsements::kMaxBundleBytes));
    endorsements::Endorsements all = EOS_TRY(endorsements::parse_endorsements(text));
    return to_pieces(all, {}, file);
}

/// Adds a piece, or puts it in the place of an older one.
Result<void> add(std::vector<endorsements::Piece>& all, endorsements::Piece piece) {
    UnixTime issued = EOS_TRY(dates_of(piece)).issued;
    for (endorsements::Piece& other : all) {
        if (other.kind != piece.kind || other.key != piece.key) continue;
        if (EOS_TRY(dates_of(other)).issued < issued) other = std::move(piece);
        return {};
    }
    all.push_back(std::move(piece));
    return {};
}

Result<void> add_file(std::vector<endorsements::Piece>& all, const std::string& file) {
    for (endorsements::Piece& piece : EOS_TRY(pieces_of(file))) EOS_TRY(add(all, std::move(piece)));
    return {};
}

bool takes_report_data(const appraise::Policy& policy) {
    const std::string name(appraise::kBindingReportData);
    const bool by_default = policy.bindings.contains(name);
    auto takes_it = [&](const appraise::IdentityPin& pin) {
        return pin.bindings.empty() ? by_default : pin.bindings.contains(name);
    };
    return policy.allow_any_identity ? by_default : std::ranges::any_of(policy.identity, takes_it);
}

/// What callers send here is evidence without its certificate: a policy that demands what only a
/// certificate has would reject all of it.
Result<void> check_satisfiable(const appraise::Policy& policy) {
    std::string out;
    auto expect = [&](bool is_good, const char* what) {
        if (!is_good) out += (out.empty() ? "" : ", ") + std::string(what);
    };
    expect(takes_report_data(policy), R"(add "report-data" to bindings)");
    expect(policy.leaf_binding == appraise::LeafBindingRule::optional,
           R"(write "require_leaf_binding": false)");
    expect(policy.waivers.contains("assurance"), R"(add "assurance" to waivers)");
    expect(policy.required.empty(), "leave out required");
    expect(policy.ca.empty(), "leave out ca");
    expect(!policy.instance, "leave out instance");
    const auto& log = policy.tdx.event_log;
    expect(!log || log->policy_root != appraise::MeasuredRoot::required,
           R"(write "policy_root": "if_logged" in tdx.event_log)");
    if (out.empty()) return {};
    return fail(bad_config, "evidence comes without certificate and never satisfies this: " + out);
}

Result<appraise::Policy> load_policy(const std::string& path) {
    Bytes text = EOS_TRY(os::read_file(path, appraise::kMaxPolicyBytes));
    Result<appraise::Policy> policy = appraise::parse_policy(text);
    if (!policy) return fail(std::move(policy).error().within(path));
    Result<void> satisfiable = check_satisfiable(*policy);
    if (!satisfiable) return fail(std::move(satisfiable).error().within(path));
    return policy;
}

}  // namespace

Result<endorsements::Endorsements> load_collateral(const std::vector<std::string>& paths) {
    endorsements::Endorsements out;
    for (const std::string& path : paths) {
        for (const std::string& file : EOS_TRY(files_of(path))) {
            Result<void> added = add_file(out.pieces, file);
            if (!added) return fail(std::move(added).error().within(file));
        }
    }
    return out;
}

Result<std::shared_ptr<const Standing>> load_standing(const Config& config,
                                                      const attestation::verify::Roots& roots) {
    auto out = std::make_shared<Standing>(default_policy(roots), endorsements::Endorsements{},
                                          std::nullopt);
    if (!config.policy_file.empty()) out->policy = EOS_TRY(load_policy(config.policy_file));
    EOS_TRY(check_roots(out->policy, roots.kind()));
    out->collateral = EOS_TRY(load_collateral(config.collateral));
    if (config.token) {
        out->signer =
            TokenSigner{config.token->issuer, EOS_TRY(os::read_private_key(config.token->key_file)),
                        config.token->life_s};
    }
    return out;
}

std::optional<UnixTime> end_of_collateral(const Standing& standing) {
    using endorsements::PieceKind;
    std::optional<UnixTime> out;
    for (const endorsements::Piece& piece : standing.collateral.endorsements().pieces) {
        const bool is_certificate =
            piece.kind == PieceKind::intel_pck || piece.kind == PieceKind::amd_vcek ||
            piece.kind == PieceKind::amd_vlek || piece.kind == PieceKind::amd_vcek_issuers ||
            piece.kind == PieceKind::amd_vlek_issuers;
        if (is_certificate) continue;
        Result<endorsements::PieceDates> dates = dates_of(piece);
        // What has no dates was refused when it was loaded.
        if (dates && (!out || dates->next_update < *out)) out = dates->next_update;
    }
    return out;
}

Result<KeySetPtr> load_key_set(const std::string& path) {
    Bytes text = EOS_TRY(os::read_file(path, jose::kMaxKeySetBytes));
    Result<std::vector<jose::IssuerKey>> keys = jose::parse_key_set(text);
    if (!keys) return fail(std::move(keys).error().within(path));
    return std::make_shared<const std::vector<jose::IssuerKey>>(*std::move(keys));
}

}  // namespace eos::attestd
