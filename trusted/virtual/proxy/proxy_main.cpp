// SPDX-License-Identifier: AGPL-3.0-only
// enclave-os-proxy: ends attested TLS and forwards to services of this machine. What it serves, and
// every leaf, comes from the minter.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "trusted/os/files.h"
#include "trusted/virtual/proxy/mint_link.h"
#include "trusted/virtual/proxy/program.h"

namespace {

using namespace eos;

constexpr const char* kSocket = "/run/enclave-os/minter.sock";

Result<void> run(const std::string& socket_path) {
    const os::Log log(os::LogFormat::json);
    cvm::proxy::MintLink minter(socket_path, log);
    cvm::proxy::Program program(minter);
    return program.run();
}

Result<void> check(const std::string& path) {
    const Bytes text = EOS_TRY(os::read_file(path, cvm::kMaxConfigBytes));
    auto config = cvm::parse_config(text);
    if (!config) return fail(std::move(config).error().within(path));
    std::printf("platform  %s\n", config->platform.name.c_str());
    for (const cvm::ListenConfig& one : config->platform.listen) {
        std::printf("listen    %s\n", one.address.c_str());
    }
    for (const cvm::RouteConfig& route : config->routes) {
        const cvm::UpstreamConfig& upstream = route.upstream;
        std::printf("route     %-20s https://%s -> %s\n", route.name.c_str(),
                    route.hostname.c_str(),
                    upstream.tcp.empty() ? upstream.unix_socket.c_str() : upstream.tcp.c_str());
    }
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app(
        "Ends attested TLS and forwards to services of this machine; docs/virtual-proxy.md.");
    app.name("enclave-os-proxy");
    app.require_subcommand(1);
    std::string socket_path = kSocket;
    std::string config;
    CLI::App* run_command = app.add_subcommand(
        "run",
        "serve what the minter says; SIGHUP has the configuration read again, SIGTERM drains");
    run_command->add_option("minter", socket_path, "the minter's socket")->capture_default_str();
    CLI::App* check_command =
        app.add_subcommand("check", "read a configuration file and say what it would serve");
    check_command->add_option("config", config, "the configuration file (YAML)")->required();
    CLI11_PARSE(app, argc, argv);
    const Result<void> outcome = run_command->parsed() ? run(socket_path) : check(config);
    if (outcome) return 0;
    std::fprintf(stderr, "enclave-os-proxy: %s\n", outcome.error().message().c_str());
    return 1;
}
