// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>

#include "client/bundle_file.h"
#include "client/cli/bundle_report.h"
#include "client/cli/cli.h"
#include "client/collateral_files.h"
#include "client/collateral_source.h"
#include "client/files.h"
#include "client/platform_needs.h"
#include "common/attestation/verify/bundle_checks.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"

namespace eos::client::cli {
namespace {

using attestation::endorsements::Bundle;
using attestation::endorsements::Piece;
using attestation::endorsements::PieceKind;

/// Everything a bundle command can be told.
struct BundleOptions {
    std::string file;
    std::string out;
    std::string key;
    std::vector<std::string> test_roots;
    std::vector<std::string> fmspc;
    std::vector<std::string> tees{"sgx"};
    std::vector<std::string> cas{"platform", "processor"};
    std::vector<std::string> evidence;
    std::vector<std::string> products;
    std::vector<std::string> imports;
    std::vector<std::string> pcs, root_crl, kds;
    std::string ca_file;
    bool allow_http = false;
    bool all = false;
    unsigned max_age_days = 0;
    unsigned ahead_days = 7;
    unsigned attempt_s = 10;
    std::string at;
};

Result<attestation::verify::Roots> roots_of(const BundleOptions& options) {
    using attestation::verify::Roots;
    using attestation::verify::Vendor;
    if (options.test_roots.empty()) return Roots::of({Vendor::intel, Vendor::amd});
    std::vector<attestation::verify::TestRoot> roots;
    for (const std::string& file : options.test_roots)
        roots.push_back({file, EOS_TRY(read_certificates(file)).front()});
    return Roots::test(std::move(roots));
}

Result<UnixTime> instant(const BundleOptions& options) {
    if (options.at.empty()) return Cli::now();
    return parse_rfc3339(options.at);
}

Result<FetchPlan> plan_of(const Cli& cli, const BundleOptions& options) {
    FetchPlan plan;
    if (!options.pcs.empty()) {
        plan.sources.pcs = options.pcs;
        plan.sources.root_crl.clear();  // another PCS is asked for everything, as a PCCS
    }
    if (!options.root_crl.empty()) plan.sources.root_crl = options.root_crl;
    if (!options.kds.empty()) plan.sources.kds = options.kds;
    plan.web.ca_file = options.ca_file;
    if (options.allow_http) plan.web.plain = PlainHttp::kAllowed;
    plan.roots = EOS_TRY(roots_of(options));
    plan.now = Cli::now();
    plan.max_age_s = options.max_age_days * kSecondsPerDay;
    plan.attempt_limit = std::chrono::seconds(options.attempt_s);
    plan.progress = [&cli](const std::string& line) { cli.remark(line); };
    return plan;
}

// The key that signs bundles; made at its first use.
Result<crypto::P256PrivateKey> maker_key(const Cli& cli, const BundleOptions& options) {
    if (!options.key.empty()) return read_private_key(options.key);
    std::filesystem::path path = cli.home / "bundle.key";
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        EOS_TRY(write_private_key(path, crypto::P256PrivateKey::generate()));
    return read_private_key(path);
}

Result<void> save(const Cli& cli, const BundleOptions& options, const std::string& file,
                  std::vector<Piece> pieces) {
    crypto::P256PrivateKey key = EOS_TRY(maker_key(cli, options));
    std::string text =
        EOS_TRY(attestation::endorsements::write_bundle(std::move(pieces), Cli::now(), key));
    return write_file(file, as_bytes(text), {});
}

void add(std::vector<Wanted>& all, const std::vector<Wanted>& more) {
    for (const Wanted& one : more)
        if (std::ranges::find(all, one) == all.end()) all.push_back(one);
}

// In the order in which one needs another: the root's list comes after a chain that shows the root,
// a VCEK after the CAs that certify it.
std::vector<Wanted> in_order(std::vector<Wanted> wanted) {
    std::ranges::sort(wanted, {}, [](const Wanted& w) {
        const bool needs_another =
            w.kind == PieceKind::intel_root_crl || w.kind == PieceKind::amd_vcek;
        return std::pair(needs_another, w.kind);
    });
    return wanted;
}

Result<std::vector<Wanted>> wanted_by(const BundleOptions& options) {
    std::vector<Wanted> out;
    std::optional<snp_arch::Product> only;
    if (options.products.size() == 1)
        only = attestation::endorsements::product_from_key(options.products.front());
    for (const std::string& file : options.evidence) {
        Result<std::vector<Wanted>> needs = needs_of_file(file, only);
        if (!needs) return fail(std::move(needs.error()).within(file));
        add(out, *needs);
    }
    for (const std::string& fmspc : options.fmspc) {
        ByteArray<6> bytes = EOS_TRY(array_from_hex<6>(fmspc));
        for (const std::string& tee : options.tees)
            for (const std::string& ca : options.cas)
                add(out, needs_of(IntelModel{tee, hex(bytes), ca}));
    }
    for (const std::string& key : options.products) {
        for (auto kind : {snp_arch::SigningKey::vcek, snp_arch::SigningKey::vlek})
            add(out, needs_of(*attestation::endorsements::product_from_key(key), kind));
    }
    return in_order(std::move(out));
}

// Single pieces, another bundle, or the JSON object in use among verifiers.
Result<std::vector<Piece>> import_pieces(const BundleOptions& options, const FetchPlan& plan) {
    std::vector<Piece> out;
    for (const std::string& file : options.imports) {
        auto in_file = [&file](Error error) { return fail(std::move(error).within(file)); };
        Bytes text = EOS_TRY(read_file(file));
        auto single = read_collateral(text);
        if (!single) return in_file(std::move(single.error()));
        std::string source = "file " + std::filesystem::path(file).filename().string();
        auto pieces = attestation::endorsements::to_pieces(*single, plan.now, source);
        if (!pieces) return in_file(std::move(pieces.error()));
        for (Piece& piece : *pieces) {
            if (attestation::endorsements::find_piece(out, piece.kind, piece.key) == nullptr)
                out.push_back(std::move(piece));
        }
    }
    for (const Piece& piece : out) EOS_TRY(check_genuine(piece, plan, out));
    return out;
}

Result<int> make(const Cli& cli, const BundleOptions& options) {
    FetchPlan plan = EOS_TRY(plan_of(cli, options));
    std::vector<Piece> pieces = EOS_TRY(import_pieces(options, plan));
    std::vector<Wanted> wanted = EOS_TRY(wanted_by(options));
    if (pieces.empty() && wanted.empty())
        return fail(no_source, "say what for: --for EVIDENCE, --fmspc, --amd-product or --import");
    for (const Wanted& one : wanted) {
        if (find_wanted(pieces, one) != nullptr) continue;
        pieces.push_back(EOS_TRY(fetch_piece(one, plan, pieces, nullptr)));
    }
    EOS_TRY(save(cli, options, options.out, pieces));
    cli.print("wrote " + options.out + ", " + std::to_string(pieces.size()) + " pieces",
              {{"file", options.out}, {"pieces", pieces.size()}});
    return kExitOk;
}

bool needs_refresh(const Piece& piece, const BundleOptions& options, UnixTime now) {
    if (options.all) return true;
    PieceState state = state_of(
        piece,
        {.now = now, .max_age_days = options.max_age_days, .ahead_days = options.ahead_days});
    return state != PieceState::current;
}

Result<int> refresh(const Cli& cli, const BundleOptions& options) {
    FetchPlan plan = EOS_TRY(plan_of(cli, options));
    Bundle bundle = EOS_TRY(read_bundle(options.file));
    std::vector<Wanted> wanted;
    for (const Piece& piece : bundle.pieces)
        if (needs_refresh(piece, options, plan.now)) wanted.push_back(wanted_like(piece));
    json::Value failures = json::Value::array();
    std::size_t fetched = 0;
    for (const Wanted& one : in_order(std::move(wanted))) {
        auto old = std::ranges::find_if(bundle.pieces, [&](const Piece& piece) {
            return piece.kind == one.kind && piece.key == one.key;
        });
        Result<Piece> piece = fetch_piece(one, plan, bundle.pieces, &*old);
        if (piece) {
            *old = *std::move(piece);
            ++fetched;
        } else {
            failures.push_back(piece.error().message());
        }
    }
    // What was fetched is kept even if something else was not: the rest stays as old as it is.
    if (fetched > 0) EOS_TRY(save(cli, options, options.file, bundle.pieces));
    std::string text = std::to_string(fetched) + " of " + std::to_string(bundle.pieces.size()) +
                       " pieces fetched anew";
    for (const json::Value& failure : failures)
        text += "\nNOT REFRESHED: " + failure.get_ref<const std::string&>();
    cli.print(text, {{"fetched", fetched}, {"failures", failures}});
    return failures.empty() ? kExitOk : kExitFailed;
}

Result<int> show(const Cli& cli, const BundleOptions& options) {
    Bundle bundle = EOS_TRY(read_bundle(options.file));
    AgeLimits limits{.now = EOS_TRY(instant(options)),
                     .max_age_days = options.max_age_days,
                     .ahead_days = options.ahead_days};
    cli.print(bundle_text(bundle, limits), bundle_json(bundle, limits));
    return has_stale_piece(bundle, limits) ? kExitFailed : kExitOk;
}

// Exit codes as of a verdict: what `verify` would find out about the pieces themselves.
Result<int> check(const Cli& cli, const BundleOptions& options) {
    namespace verify = attestation::verify;
    Bundle bundle = EOS_TRY(read_bundle(options.file));
    verify::Roots roots = EOS_TRY(roots_of(options));
    const verify::PieceTimes times{EOS_TRY(instant(options)),
                                   options.max_age_days * kSecondsPerDay};
    verify::Check tree = verify::check_pieces(bundle.pieces, roots, times);
    verify::Summary summary = verify::summarise(tree);
    std::string word = "every piece is genuine and current";
    int code = kExitOk;
    if (roots.kind() == verify::RootKind::test) {
        word += ", EMULATED: protects nothing";
        code = attestation::appraise::kExitAcceptedEmulated;
    }
    if (summary.verdict == verify::Verdict::not_evaluated) {
        word = "not everything was evaluated";
        code = attestation::appraise::kExitIncomplete;
    }
    if (summary.verdict == verify::Verdict::fail) {
        word = "not every piece is genuine and current";
        code = attestation::appraise::kExitNotGenuine;
    }
    cli.print(word + "\n" + verify::render_text(tree), {{"summary", word},
                                                        {"failed", summary.failed},
                                                        {"not_evaluated", summary.not_evaluated},
                                                        {"tree", verify::render_json(tree)}});
    return code;
}

void add_source_options(CLI::App& command, BundleOptions& o) {
    command.add_option("--pcs", o.pcs,
                       "base address of Intel's PCS or a PCCS; several are tried in order");
    command.add_option("--root-crl-url", o.root_crl, "address of the root CA's list");
    command.add_option("--kds", o.kds, "base address of AMD's KDS or a cache of it");
    command.add_option("--ca-file", o.ca_file,
                       "CAs of these web servers, PEM; default: those of this machine");
    command.add_flag("--allow-http", o.allow_http,
                     "take http:// from other machines too; the pieces are verified all the same");
    command.add_option("--attempt-timeout", o.attempt_s, "seconds for each request")
        ->check(CLI::Range(1u, 600u))
        ->capture_default_str();
    command.add_option("--key", o.key,
                       "key that signs the bundle, PEM; default: one made at the first use");
}

void add_root_option(CLI::App& command, BundleOptions& o) {
    command.add_option("--test-root", o.test_roots,
                       "root of emulated hardware, PEM, instead of the vendors' roots");
}

void add_age_options(CLI::App& command, BundleOptions& o) {
    command.add_option("--max-age-days", o.max_age_days,
                       "statements and lists issued longer ago are stale; 0: until their own end");
    command.add_option("--ahead-days", o.ahead_days, "what ends within so many days is due")
        ->capture_default_str();
}

}  // namespace

void add_bundle_commands(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<BundleOptions>();
    BundleOptions& o = *options;
    CLI::App* bundle = program.add_subcommand("bundle", "vendors' collateral in one file");
    bundle->require_subcommand(1);
    auto command = [&](const char* name, const char* what, auto run) {
        CLI::App* out = bundle->add_subcommand(name, what);
        out->callback([&cli, options, run] {
            cli.action = [&cli, options, run] { return run(cli, *options); };
        });
        return out;
    };

    CLI::App* making = command("make", "fetch or import everything for a set of platforms", make);
    making->add_option("--for", o.evidence, "a certificate or quote file: what its platform needs");
    making->add_option("--fmspc", o.fmspc, "a platform model of Intel's, 12 hex digits");
    making->add_option("--tee", o.tees, "with --fmspc")
        ->check(CLI::IsMember({"sgx", "tdx"}))
        ->capture_default_str();
    making->add_option("--ca", o.cas, "with --fmspc: the CAs of its PCK certificates")
        ->check(CLI::IsMember({"platform", "processor"}))
        ->capture_default_str();
    making->add_option("--amd-product", o.products, "CAs and list of a product of AMD's")
        ->check(CLI::IsMember({"milan", "genoa", "turin"}));
    making->add_option("--import", o.imports, "pieces from a file: collateral JSON, or a bundle");
    making->add_option("--max-age-days", o.max_age_days,
                       "refuse statements and lists issued longer ago");
    making->add_option("--out", o.out, "the bundle")->required();
    add_source_options(*making, o);
    add_root_option(*making, o);

    CLI::App* refreshing = command("refresh", "fetch anew what is stale or soon will be", refresh);
    refreshing->add_option("file", o.file)->required();
    refreshing->add_flag("--all", o.all, "every piece, due or not");
    add_age_options(*refreshing, o);
    add_source_options(*refreshing, o);
    add_root_option(*refreshing, o);

    CLI::App* showing =
        command("show", "ages and ends of all pieces; exit code 1 if any is stale", show);
    showing->add_option("file", o.file)->required();
    showing->add_option("--at", o.at, "as of this instant, RFC 3339; default: now");
    add_age_options(*showing, o);

    CLI::App* checking = command("check", "verify each piece to its vendor's root", check);
    checking->add_option("file", o.file)->required();
    checking->add_option("--at", o.at, "as of this instant, RFC 3339; default: now");
    checking->add_option("--max-age-days", o.max_age_days,
                         "statements and lists issued longer ago fail; 0: until their own end");
    add_root_option(*checking, o);
}

}  // namespace eos::client::cli
