// SPDX-License-Identifier: AGPL-3.0-only
#include "client/cli/cli.h"
#include "client/files.h"
#include "client/policy/policy_file.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/oid/registry.h"

namespace eos::client::cli {
namespace {

using attestation::appraise::Policy;

struct PolicyOptions {
    std::string name = "policy";
    std::string mr_enclave;
    std::string mr_signer;
    std::uint16_t isv_prod_id = 0;
    std::uint16_t min_isv_svn = 0;
    std::string mr_td;
    std::string rtmr1;
    std::string rtmr2;
    bool any_kernel = false;
    std::string snp_measurement;
    std::vector<std::string> snp_products;
    std::vector<std::string> test_roots;
    std::string workload;
    std::vector<std::string> require;
    std::vector<std::string> waive;
    bool allow_deterministic = false;
    std::string out;
    std::string first;
    std::string second;
};

Result<Policy> load(const std::string& file) {
    return EOS_TRY(policy::read_policy_file(file)).policy;
}

// NAME=HEX, where NAME is a row of the OID table or a dotted identifier.
Result<void> add_requirement(Policy& policy, const std::string& text) {
    std::size_t equals = text.find('=');
    if (equals == std::string::npos) return fail(bad_encoding, "--require takes NAME=HEX: " + text);
    std::string name = text.substr(0, equals);
    const oid::Row* row = oid::find(std::string_view(name));
    oid::Oid oid = row != nullptr ? row->oid : EOS_TRY(oid::Oid::parse(name));
    policy.required[oid] = EOS_TRY(from_hex(text.substr(equals + 1)));
    return {};
}

Result<void> add_identity(Policy& policy, const PolicyOptions& options) {
    if (!options.mr_enclave.empty()) {
        attestation::appraise::MrEnclavePin pin;
        pin.mr_enclave = EOS_TRY(array_from_hex<32>(options.mr_enclave));
        policy.identity.push_back({pin, {}});
    }
    if (!options.mr_signer.empty()) {
        attestation::appraise::MrSignerPin pin;
        pin.mr_signer = EOS_TRY(array_from_hex<32>(options.mr_signer));
        pin.isv_prod_id = options.isv_prod_id;
        pin.min_isv_svn = options.min_isv_svn;
        policy.identity.push_back({pin, {}});
    }
    return {};
}

Result<void> add_trust_domain(Policy& policy, const PolicyOptions& options) {
    if (options.mr_td.empty()) return {};
    attestation::appraise::TdPin pin;
    pin.mr_td = EOS_TRY(array_from_hex<48>(options.mr_td));
    if (!options.rtmr1.empty()) pin.rtmr[1] = EOS_TRY(array_from_hex<48>(options.rtmr1));
    if (!options.rtmr2.empty()) pin.rtmr[2] = EOS_TRY(array_from_hex<48>(options.rtmr2));
    if (options.any_kernel) pin.scope = attestation::appraise::TdScope::firmware_only;
    policy.identity.push_back({pin, {}});
    return {};
}

Result<void> add_snp_guest(Policy& policy, const PolicyOptions& options) {
    if (options.snp_measurement.empty()) return {};
    attestation::appraise::SnpPin pin;
    pin.measurement = EOS_TRY(array_from_hex<48>(options.snp_measurement));
    policy.identity.push_back({pin, {}});
    if (options.snp_products.empty()) return {};
    policy.snp.products.clear();
    for (const std::string& name : options.snp_products)
        policy.snp.products.insert(*snp_arch::product_from_name(name));  // the option checked it
    return {};
}

/// The kinds of TEE that the pins are of, and with vendors' roots those of their vendors.
void add_tees(Policy& policy) {
    using attestation::verify::Vendor;
    namespace appraise = attestation::appraise;
    std::set<std::string> tees;
    std::set<Vendor> vendors;
    for (const appraise::IdentityPin& pin : policy.identity) {
        const bool is_snp = std::holds_alternative<appraise::SnpPin>(pin.identity);
        const bool is_tdx = std::holds_alternative<appraise::TdPin>(pin.identity);
        tees.emplace(is_snp ? appraise::kTeeSnp : is_tdx ? appraise::kTeeTdx : appraise::kTeeSgx);
        vendors.insert(is_snp ? Vendor::amd : Vendor::intel);
    }
    if (tees.empty()) return;
    policy.tees = std::move(tees);
    policy.roots = attestation::verify::Roots::of(std::move(vendors));
}

Result<void> add_test_roots(Policy& policy, const std::vector<std::string>& files) {
    if (files.empty()) return {};
    std::vector<attestation::verify::TestRoot> roots;
    for (const std::string& file : files) {
        std::vector<x509::Certificate> root = EOS_TRY(read_certificates(file));
        std::string digest = hex(crypto::sha256(root.front().der()));
        roots.push_back({"emulated platform " + digest.substr(0, 8), root.front()});
    }
    policy.roots = EOS_TRY(attestation::verify::Roots::test(std::move(roots)));
    policy.debug = attestation::appraise::DebugRule::allow_emulated;
    policy.assurance = {"debug", "process"};
    return {};
}

Result<int> init(const Cli& cli, const PolicyOptions& options) {
    Policy policy;
    policy.name = options.name;
    EOS_TRY(add_identity(policy, options));
    EOS_TRY(add_trust_domain(policy, options));
    EOS_TRY(add_snp_guest(policy, options));
    add_tees(policy);
    EOS_TRY(add_test_roots(policy, options.test_roots));
    if (!options.workload.empty()) {
        Bytes module = EOS_TRY(read_file(options.workload));
        policy.required[oid::kWorkloadDigest] = to_bytes(crypto::sha256(module));
    }
    for (const std::string& requirement : options.require)
        EOS_TRY(add_requirement(policy, requirement));
    for (const std::string& id : options.waive) policy.waivers.insert(id);
    if (options.allow_deterministic) {
        policy.bindings.emplace(attestation::appraise::kBindingV1Deterministic);
    }
    std::string text = json::pretty(attestation::appraise::policy_to_json(policy)) + "\n";
    // What is written must be what is read.
    EOS_TRY(attestation::appraise::parse_policy(as_bytes(text)));
    if (options.out.empty()) {
        cli.print(text, attestation::appraise::policy_to_json(policy));
        return kExitOk;
    }
    EOS_TRY(write_file(options.out, as_bytes(text), {}));
    std::string hash = hex(attestation::appraise::policy_hash(policy));
    cli.print("wrote " + options.out + ", policy sha256:" + hash,
              {{"file", options.out}, {"policy_hash", hash}});
    return kExitOk;
}

Result<int> show(const Cli& cli, const PolicyOptions& options) {
    Policy policy = EOS_TRY(load(options.first));
    json::Value value = attestation::appraise::policy_to_json(policy);
    cli.print(
        json::pretty(value) + "\npolicy sha256:" + hex(attestation::appraise::policy_hash(policy)),
        value);
    return kExitOk;
}

// What the library reads: it takes JSON only.
Result<int> convert(const Cli& cli, const PolicyOptions& options) {
    const policy::PolicyFile file = EOS_TRY(policy::read_policy_file(options.first));
    cli.print(json::pretty(file.json), file.json);
    return kExitOk;
}

Result<int> diff(const Cli& cli, const PolicyOptions& options) {
    Policy before = EOS_TRY(load(options.first));
    Policy after = EOS_TRY(load(options.second));
    std::string text;
    json::Value value = json::Value::array();
    for (const auto& difference : attestation::appraise::diff_policies(before, after)) {
        text += difference.path + "\n  - " + difference.before + "\n  + " + difference.after + "\n";
        value.push_back({{"path", difference.path},
                         {"before", difference.before},
                         {"after", difference.after}});
    }
    bool same = value.empty();
    cli.print(same ? "the policies demand the same" : text, value);
    return same ? kExitOk : kExitFailed;
}

}  // namespace

void add_policy_commands(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<PolicyOptions>();
    CLI::App* policy = program.add_subcommand("policy", "what a client demands of a server");
    policy->require_subcommand(1);

    CLI::App* make = policy->add_subcommand("init", "write a policy");
    make->add_option("--name", options->name, "shown in verdicts")->capture_default_str();
    make->add_option("--mrenclave", options->mr_enclave, "accept this enclave (hex)");
    make->add_option("--mrsigner", options->mr_signer, "accept enclaves of this signer (hex)");
    make->add_option("--isv-prod-id", options->isv_prod_id, "with --mrsigner: the product");
    make->add_option("--min-isv-svn", options->min_isv_svn, "with --mrsigner: the lowest version");
    CLI::Option* mr_td =
        make->add_option("--mrtd", options->mr_td, "accept this trust domain's firmware (hex)");
    make->add_option("--rtmr1", options->rtmr1, "with --mrtd: its kernel (hex)")->needs(mr_td);
    make->add_option("--rtmr2", options->rtmr2, "with --mrtd: its command line (hex)")
        ->needs(mr_td);
    make->add_flag("--any-kernel", options->any_kernel,
                   "with --mrtd: any kernel on that firmware, instead of the two above")
        ->needs(mr_td);
    CLI::Option* measurement = make->add_option("--snp-measurement", options->snp_measurement,
                                                "accept this guest of SEV-SNP (hex)");
    make->add_option("--snp-product", options->snp_products,
                     "with --snp-measurement: its CPUs (default: Genoa and Turin)")
        ->check(CLI::IsMember({"Milan", "Genoa", "Turin"}, CLI::ignore_case))
        ->needs(measurement);
    make->add_option("--test-root", options->test_roots,
                     "accept evidence emulated under this root certificate, instead of a vendor's");
    make->add_option("--workload", options->workload,
                     "require this module's digest in the certificate");
    make->add_option("--require", options->require, "require a value in the certificate: NAME=HEX");
    make->add_option("--waive", options->waive,
                     "a check that may stay unevaluated, for example tcb.level");
    make->add_flag("--allow-deterministic", options->allow_deterministic,
                   "also accept leaves made without a challenge");
    make->add_option("--out", options->out, "file; default: print it");
    make->callback(
        [&cli, options] { cli.action = [&cli, options] { return init(cli, *options); }; });

    CLI::App* showing = policy->add_subcommand("show", "a policy with every default spelt out");
    showing->add_option("file", options->first)->required();
    showing->callback(
        [&cli, options] { cli.action = [&cli, options] { return show(cli, *options); }; });

    CLI::App* converting = policy->add_subcommand(
        "convert", "a policy as JSON, as the library reads it; nothing is added, its hash stays");
    converting->add_option("file", options->first, "YAML if it is named .yaml or .yml, else JSON")
        ->required();
    converting->callback(
        [&cli, options] { cli.action = [&cli, options] { return convert(cli, *options); }; });

    CLI::App* comparing = policy->add_subcommand(
        "diff", "what differs between two policies; exit code 1 if anything");
    comparing->add_option("before", options->first)->required();
    comparing->add_option("after", options->second)->required();
    comparing->callback(
        [&cli, options] { cli.action = [&cli, options] { return diff(cli, *options); }; });
}

}  // namespace eos::client::cli
