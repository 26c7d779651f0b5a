// SPDX-License-Identifier: AGPL-3.0-only
// enclave-os-proxy: ends attested TLS and forwards to services of this machine. What it serves, and
// every leaf, comes from the minter.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "trusted/os/files.h"
#include "trusted/os/local_socket.h"
#include "trusted/virtual/proxy/mint_link.h"
#include "trusted/virtual/proxy/program.h"

namespace {

using namespace eos;

/// Where the minter is, and who.
struct MinterPlace {
    std::string socket = "/run/enclave-os/minter.sock";
    std::string user = "enclave-os-minter";
};

constexpr const char* kVersion = "enclave-os-proxy 0.1.0";
constexpr const char* kControl = "/run/enclave-os-proxy/control.sock";

Result<void> run(const MinterPlace& place, const std::string& control) {
    os::LineSink lines(STDERR_FILENO);
    const os::Log log(os::LogFormat::json, lines);
    cvm::proxy::MintLink minter(place.socket, EOS_TRY(os::find_user(place.user)), log);
    cvm::proxy::Program program(minter, control, lines);
    return program.run();
}

Result<void> reload(const std::string& control) {
    const Result<std::uint64_t> generation = cvm::proxy::ask_reload(control);
    if (!generation && generation.error().code() == os::nobody_listens) {
        return fail(os::nobody_listens, generation.error().detail() +
                                            ": start the proxy with run --control " + control);
    }
    if (!generation) return fail(generation.error());
    std::printf("generation %llu is served\n", static_cast<unsigned long long>(*generation));
    return {};
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
    app.set_version_flag("--version", kVersion);
    app.require_subcommand(1);
    MinterPlace place;
    std::string config;
    CLI::App* run_command = app.add_subcommand(
        "run",
        "serve what the minter says; SIGHUP has the configuration read again, SIGTERM drains");
    run_command->add_option("minter", place.socket, "the minter's socket")->capture_default_str();
    run_command->add_option("--minter-user", place.user, "who must listen there: name or number")
        ->capture_default_str();
    std::string listen_control;
    std::string control = kControl;
    run_command->add_option("--control", listen_control,
                            "where `reload` is heard; without: nowhere");
    CLI::App* reload_command = app.add_subcommand(
        "reload", "have the running proxy's configuration read again, and say what came of it");
    reload_command->add_option("--control", control, "where it hears")->capture_default_str();
    CLI::App* check_command =
        app.add_subcommand("check", "read a configuration file and say what it would serve");
    check_command->add_option("config", config, "the configuration file (YAML)")->required();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    const Result<void> outcome = run_command->parsed()      ? run(place, listen_control)
                                 : reload_command->parsed() ? reload(control)
                                                            : check(config);
    if (outcome) return 0;
    std::fprintf(stderr, "enclave-os-proxy: %s\n", outcome.error().message().c_str());
    return 1;
}
