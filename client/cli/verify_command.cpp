// SPDX-License-Identifier: AGPL-3.0-only
#include <filesystem>

#include "client/cli/cli.h"
#include "client/files.h"

namespace eos::client::cli {
namespace {

using attestation::appraise::AttestationResult;

// A stored certificate or chain: no handshake, so only its deterministic form can be checked.
Result<AttestationResult> appraise_file(const Cli& cli, const std::string& file) {
    Target target = EOS_TRY(make_policy_only_target(cli));
    std::vector<x509::Certificate> certificates = EOS_TRY(read_certificates(file));
    std::vector<Bytes> chain;
    for (const x509::Certificate& certificate : certificates)
        chain.push_back(to_bytes(certificate.der()));
    AttestationResult verdict =
        ratls::appraise_leaf({.chain = chain,
                              .anchors = target.anchors,
                              .server_name = target.server_name,
                              .handshake = std::nullopt},
                             target.endorsements, target.policy, target.now);
    remember(cli, target, verdict);
    return verdict;
}

Result<AttestationResult> appraise_server(Cli& cli, const std::string& url) {
    if (!url.empty()) cli.target.address = url;
    BindingMode mode =
        cli.target.allow_deterministic ? BindingMode::kDeterministic : BindingMode::kChallenge;
    Target target = EOS_TRY(make_target(cli, mode));
    Connection connection = EOS_TRY(Connection::open(target, cli.deadline()));
    remember(cli, target, connection.verdict);
    return connection.verdict;
}

Result<int> verify(Cli& cli, const std::string& subject) {
    std::error_code error;
    bool is_file = !subject.empty() && std::filesystem::is_regular_file(subject, error);
    AttestationResult verdict =
        is_file ? EOS_TRY(appraise_file(cli, subject)) : EOS_TRY(appraise_server(cli, subject));
    cli.print(verdict.text(), verdict.to_json());
    return verdict.exit_code();
}

}  // namespace

void add_verify_command(CLI::App& program, Cli& cli) {
    auto subject = std::make_shared<std::string>();
    CLI::App* command = program.add_subcommand(
        "verify", "appraise a server, or a stored certificate, and explain the verdict");
    command->add_option("subject", *subject,
                        "https://HOST[:PORT], or a certificate file (PEM or DER)");
    add_target_options(*command, cli);
    command->add_flag("--allow-deterministic", cli.target.allow_deterministic,
                      "do not send a challenge: judge the leaf that any client is shown (mode A)");
    command->callback(
        [&cli, subject] { cli.action = [&cli, subject] { return verify(cli, *subject); }; });
}

}  // namespace eos::client::cli
