// SPDX-License-Identifier: AGPL-3.0-only
#include "client/cli/cli.h"

#include <chrono>
#include <iostream>

#include "client/collateral_files.h"
#include "client/collateral_memory.h"
#include "client/event_log_files.h"
#include "client/files.h"
#include "client/pki.h"
#include "client/policy/policy_file.h"
#include "client/stapled.h"
#include "common/base/encoding.h"
#include "common/http/authority.h"

namespace eos::client::cli {
namespace {

using attestation::appraise::Outcome;
using attestation::appraise::Policy;

constexpr std::size_t kMaxAnswerBytes = 64 * 1024 * 1024;

// host:port, [v6]:port, or https://host[:port]; the port defaults to 443.
Result<http::Authority> parse_address(std::string text) {
    constexpr std::string_view kScheme = "https://";
    if (text.starts_with(kScheme)) text.erase(0, kScheme.size());
    if (std::size_t slash = text.find('/'); slash != std::string::npos) text.resize(slash);
    return http::parse_authority(text, http::Scheme::kHttps);
}

// The name that a server at this address is asked for if nobody says: an address has none, and
// "localhost" is one (RFC 6761 section 6.3).
std::string name_of(const http::Authority& at) {
    const bool is_local = at.host == "localhost" || at.host.ends_with(".localhost");
    const bool is_name = at.kind == http::Authority::Kind::kDnsName && !is_local;
    return is_name ? at.host : std::string();
}

// A policy that pins one measurement, for --mrenclave.
Result<Policy> pinned_policy(const TargetOptions& options) {
    Policy policy;
    policy.name = "--mrenclave";
    attestation::appraise::MrEnclavePin pin;
    pin.mr_enclave = EOS_TRY(array_from_hex<32>(options.mr_enclave));
    policy.identity.push_back({pin, {}});
    if (!options.test_root.empty()) {
        std::vector<x509::Certificate> root = EOS_TRY(read_certificates(options.test_root));
        policy.roots =
            EOS_TRY(attestation::verify::Roots::test({{options.test_root, root.front()}}));
        policy.debug = attestation::appraise::DebugRule::allow_emulated;
        policy.assurance = {"production", "debug", "process"};
        for (std::string_view id : attestation::appraise::waivable_checks(policy.roots.kind()))
            policy.waivers.emplace(id);
    }
    return policy;
}

Result<Policy> read_policy(const TargetOptions& options) {
    if (!options.policy.empty()) {
        return EOS_TRY(policy::read_policy_file(options.policy)).policy;
    }
    if (!options.mr_enclave.empty()) return pinned_policy(options);
    return fail(no_policy, "give --policy FILE or --mrenclave HEX, or a context that has a policy");
}

// Options win over the context's. An address of one's own is another server: its name is not the
// context's.
Result<TargetOptions> with_context(const Cli& cli) {
    TargetOptions out = cli.target;
    std::optional<std::string> name = cli.contexts().current();
    if (!out.context.empty()) name = out.context;
    if (!name) return out;
    Context context = EOS_TRY(cli.contexts().load(*name));
    auto fill = [](std::string& option, const std::string& value) {
        if (option.empty()) option = value;
    };
    if (out.address.empty() && !out.server_name) out.server_name = context.server_name;
    fill(out.address, context.address);
    if (out.mr_enclave.empty()) fill(out.policy, context.policy);
    fill(out.root, context.root);
    fill(out.owner_key, context.owner_key);
    fill(out.collateral, context.collateral);
    return out;
}

// A member as text that is safe to print; empty if it is not there.
std::string shown(const json::Value& value, const char* member) {
    if (!value.is_object()) return "";
    auto found = value.find(member);
    if (found == value.end() || !found->is_string()) return "";
    return printable(as_bytes(found->get_ref<const std::string&>()), 1024);
}

// The changes of a batch that the server will not make, a line each.
std::string refused_changes(const json::Value& answer) {
    std::string out;
    if (!answer.is_object() || !answer.contains("changes") || !answer["changes"].is_array())
        return out;
    for (const json::Value& change : answer["changes"])
        out += "\n  " + shown(change, "name") + ": " + shown(change, "error");
    return out;
}

}  // namespace

Deadline Cli::deadline() const {
    return std::chrono::steady_clock::now() + std::chrono::seconds(timeout_s);
}

UnixTime Cli::now() {
    using namespace std::chrono;
    return {duration_cast<seconds>(system_clock::now().time_since_epoch()).count()};
}

void Cli::print(const std::string& text, const json::Value& value) const {
    std::cout << (format == Format::kJson ? json::pretty(value) : text) << std::endl;
}

void Cli::remark(const std::string& text) const {
    if (format == Format::kText) std::cerr << text << std::endl;
}

Result<Target> make_policy_only_target(const Cli& cli) {
    TargetOptions options = EOS_TRY(with_context(cli));
    Target target;
    target.server_name = options.server_name.value_or("");
    target.policy = EOS_TRY(read_policy(options));
    if (!options.root.empty()) target.anchors = EOS_TRY(read_certificates(options.root));
    if (!options.collateral.empty()) {
        Bytes text = EOS_TRY(read_file(options.collateral));
        target.endorsements = EOS_TRY(read_collateral(text));
        target.endorsements.origins.push_back({.text = "file " + options.collateral});
    }
    if (!options.no_memory) {
        target.endorsements.seen_evaluation_data_number =
            EOS_TRY(CollateralMemory(cli.home).seen(target.policy.roots));
    }
    if (!options.event_logs.empty()) target.event_log = read_event_logs(options.event_logs);
    target.now = Cli::now();
    return target;
}

Result<Target> make_target(const Cli& cli, Use use) {
    if (use == Use::kSends && cli.target.mode == BindingMode::kDeterministic) {
        return fail(stale_mode, "only `enclavectl verify` takes --mode v1-deterministic");
    }
    TargetOptions options = EOS_TRY(with_context(cli));
    if (options.address.empty()) {
        return fail(no_context, "say where to connect: --address HOST:PORT, or make a context");
    }
    Target target = EOS_TRY(make_policy_only_target(cli));
    const http::Authority at = EOS_TRY(parse_address(options.address));
    target.address = {at.host, at.port.value_or(443)};
    if (!options.server_name) target.server_name = name_of(at);
    if (!options.owner_key.empty()) target.credential = EOS_TRY(read_credential(options.owner_key));
    target.mode = cli.target.mode;
    if (!options.no_memory) target.memory = std::make_shared<const MemoryFile>(cli.memory());
    target.retry.before_pause = [&cli](const Error& why, std::chrono::milliseconds pause) {
        cli.remark(why.message() + "; trying again in " + std::to_string(pause.count() / 1000 + 1) +
                   " s");
    };
    return target;
}

Result<crypto::P256PrivateKey> read_owner_key(const Cli& cli) {
    const TargetOptions options = EOS_TRY(with_context(cli));
    if (options.owner_key.empty()) return fail(no_owner_key);
    return read_private_key(options.owner_key);
}

void remember(const Cli& cli, const Target& target,
              const attestation::appraise::AttestationResult& verdict) {
    if (cli.target.no_memory || is_stapled(target.endorsements)) return;
    Result<void> learnt = CollateralMemory(cli.home).learn(target.policy.roots, verdict);
    // The verdict stands: what is lost is that a rollback would be found out the next time.
    if (!learnt) cli.remark("NOT REMEMBERED: " + learnt.error().message());
}

Result<std::unique_ptr<VerifiedServer>> connect(Cli& cli, Target& target) {
    staple(target, cli.target.stapling, cli.deadline());
    Connection connection = EOS_TRY(Connection::open(target, cli.deadline()));
    if (!connection.server) {
        cli.print(connection.verdict.text(), connection.verdict.to_json());
        cli.verdict_exit_code = connection.verdict.exit_code();
        return fail(rejected, connection.verdict.summary());
    }
    remember(cli, target, connection.verdict);
    cli.remark("server " + connection.verdict.summary());
    return std::move(connection.server);
}

Result<json::Value> json_answer(const Response& response) {
    Result<json::Value> value =
        json::parse(response.body, {.size_bytes = kMaxAnswerBytes, .depth = 32});
    if (response.status / 100 == 2) return value;
    std::string words = value ? shown(*value, "error") : "";
    return fail(server_refused, std::to_string(response.status) + " " + words +
                                    (value ? refused_changes(*value) : ""));
}

Result<json::Value> call(const Cli& cli, VerifiedServer& server, http::Method method,
                         const std::string& path, const json::Value* body) {
    Request request;
    request.head.method = method;
    std::size_t question = path.find('?');
    request.head.path = path.substr(0, question);
    if (question != std::string::npos) request.head.query = path.substr(question + 1);
    std::string text;
    if (body != nullptr) {
        text = json::compact(*body);
        EOS_TRY(request.head.headers.add("content-type", "application/json"));
        request.body = as_bytes(text);
    }
    Response response =
        EOS_TRY(server.request(std::move(request), kMaxAnswerBytes, cli.deadline()));
    return json_answer(response);
}

int exit_code_of(const Cli& cli, const Error& error) {
    const Code& code = error.code();
    for (const Code& each : {no_policy, no_context, stale_mode, misplaced_option}) {
        if (code == each) return kExitUsage;
    }
    for (const Code& each : {connect_failed, handshake_failed, name_unknown, challenge_limited,
                             mode_unsupported, server_unready, connection_lost, timed_out}) {
        if (code == each) return kExitNoConnection;
    }
    if (code == rejected) return cli.verdict_exit_code;
    if (code == server_refused) return kExitServerRefused;
    return kExitFailed;
}

StaplingOptions add_stapling_options(CLI::App& command, TargetOptions& t) {
    auto flag = [&command, &t](const char* name, Stapling value, const char* help) {
        return command.add_flag_callback(name, [&t, value] { t.stapling = value; }, help);
    };
    StaplingOptions out{
        .always = flag("--stapled", Stapling::kAlways,
                       "complete --collateral by what the server staples"),
        .never = flag("--no-stapled", Stapling::kNever,
                      "do not ask the server for collateral, which is done where there is none of "
                      "one's own")};
    out.never->excludes(out.always);
    return out;
}

void add_target_options(CLI::App& command, Cli& cli) {
    TargetOptions& t = cli.target;
    command.add_option("--context", t.context, "use this context instead of the current one");
    command.add_option("--address", t.address, "where to connect: HOST:PORT");
    command.add_option(
        "--server-name", t.server_name,
        "name to ask for (SNI) and to find in the certificate, \"\" for none; default: "
        "the host of the address, if that is a name other than localhost");
    command.add_option("--policy", t.policy,
                       "appraisal policy: JSON, or YAML if it is named .yaml or .yml "
                       "(docs/formats/policy.md)");
    command.add_option("--mrenclave", t.mr_enclave,
                       "instead of a policy: accept exactly this enclave (hex)");
    command.add_option("--test-root", t.test_root,
                       "with --mrenclave: accept evidence emulated under this root");
    command.add_option("--root", t.root, "root certificate of the private PKI, PEM");
    command.add_option("--owner-key", t.owner_key,
                       "the owner's key, PEM; its certificate lies beside it as .pem");
    // The short words are the strongest mode that they can mean.
    static const std::map<std::string, BindingMode> kModes = {
        {"v2-challenge", BindingMode::kExporter},
        {"challenge", BindingMode::kExporter},
        {"v1-challenge", BindingMode::kChallenge},
        {"v1-deterministic", BindingMode::kDeterministic},
        {"deterministic", BindingMode::kDeterministic}};
    command
        .add_option_function<std::string>(
            "--mode", [&t](const std::string& word) { t.mode = kModes.at(word); },
            "what evidence must be bound to: v2-challenge (the default): this connection, by its "
            "exporter; v1-challenge: this handshake, for servers without the former; "
            "v1-deterministic: the server's key and a minute of the last day, verify only")
        ->check(CLI::IsMember(kModes))
        ->type_name("MODE");
    command.add_flag("--no-memory", t.no_memory,
                     "neither compare with what was seen of this instance, and of collateral, nor "
                     "remember it");
    add_stapling_options(command, t);
    command.add_option(
        "--collateral", t.collateral,
        "vendor collateral (TCB info, CRLs), JSON; what is missing is not evaluated");
}

}  // namespace eos::client::cli
