// SPDX-License-Identifier: AGPL-3.0-only
// enclavectl: everything a person does.
#include <iostream>

#include "client/cli/cli.h"

int main(int argc, char** argv) {
    using namespace eos;
    client::cli::Cli cli;
    CLI::App program("Verifies and manages Enclave OS.", "enclavectl");
    program.set_version_flag("--version", "enclavectl 0.1.0");
    program.require_subcommand(1);
    program.fallthrough();
    program.footer(
        "Exit codes: 0 done or accepted; 1 failed; 2 usage; 3 no connection; 4 the server "
        "refused;\n"
        "10 accepted, EMULATED: protects nothing; 20 evidence not genuine; 21 not bound to the "
        "peer;\n"
        "22 not acceptable by the policy; 23 a check was not evaluated; 24 older state than was "
        "seen, or\n"
        "two copies of one instance.");
    program.add_flag_callback(
        "--json", [&] { cli.format = client::cli::Format::kJson; }, "print results as JSON");
    program.add_option("--home", cli.home, "folder of contexts, and of what was seen of instances")
        ->capture_default_str();
    program.add_option("--timeout", cli.timeout_s, "seconds that a command may take")
        ->check(CLI::Range(1u, 3600u))
        ->capture_default_str();
    client::cli::add_pki_commands(program, cli);
    client::cli::add_policy_commands(program, cli);
    client::cli::add_context_commands(program, cli);
    client::cli::add_verify_command(program, cli);
    client::cli::add_bundle_commands(program, cli);
    client::cli::add_evidence_commands(program, cli);
    client::cli::add_rehearse_command(program, cli);
    client::cli::add_mini_commands(program, cli);
    client::cli::add_app_commands(program, cli);
    client::cli::add_measure_commands(program, cli);
    client::cli::add_completion_command(program, cli);
    try {
        program.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        int code = program.exit(error);
        return code == 0 ? client::cli::kExitOk : client::cli::kExitUsage;
    }
    Result<int> outcome = cli.action();
    if (outcome) return *outcome;
    if (cli.format == client::cli::Format::kJson) {
        json::Value value = {
            {"error",
             {{"code", outcome.error().code().name}, {"message", outcome.error().message()}}}};
        std::cerr << json::compact(value) << std::endl;
    } else {
        std::cerr << "enclavectl: " << outcome.error().message() << std::endl;
    }
    return client::cli::exit_code_of(cli, outcome.error());
}
