// SPDX-License-Identifier: AGPL-3.0-only
// What all commands of enclavectl share: options, output, exit codes.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/context.h"
#include "client/stapled.h"
#include "client/verified_server.h"
#include "common/json/json.h"

namespace eos::client::cli {

/// Exit codes beside those of a verdict (attestation/appraise/appraise.h: 0, 10, 20 to 24). Stable.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;         ///< anything without a code of its own
inline constexpr int kExitUsage = 2;          ///< the command line is wrong
inline constexpr int kExitNoConnection = 3;   ///< no server, or the TLS handshake failed
inline constexpr int kExitServerRefused = 4;  ///< the appraised server answered with an error

/// How results are printed.
enum class Format { kText, kJson };

/// Which server a command talks to and by what it is judged; every member may be empty.
struct TargetOptions {
    std::string context;
    std::string address;
    std::optional<std::string> server_name;  ///< empty: none is asked for
    std::string policy;
    std::string mr_enclave;
    std::string test_root;
    std::string root;
    std::string owner_key;
    std::string collateral;
    BindingMode mode = BindingMode::kExporter;
    bool no_memory = false;
    Stapling stapling = Stapling::kWithoutOwn;
    std::vector<std::string> event_logs;
};

/// State of one run of the program.
struct Cli {
    Format format = Format::kText;
    std::filesystem::path home = ContextStore::default_folder();  ///< contexts, and what was seen
    unsigned timeout_s = 30;
    TargetOptions target;
    /// Of a server that was rejected; the program's exit code then.
    int verdict_exit_code = kExitFailed;
    /// Set by the command that was chosen; returns the exit code.
    std::function<Result<int>()> action;

    ContextStore contexts() const { return ContextStore(home); }
    MemoryFile memory() const { return MemoryFile(home / "seen-instances.json"); }
    Deadline deadline() const;
    static UnixTime now();

    /// Prints a result: the text for a person, or the value with --json.
    void print(const std::string& text, const json::Value& value) const;
    /// Progress and remarks, for a person, on standard error; nothing with --json.
    void remark(const std::string& text) const;
};

/// What a command does with the connection.
enum class Use {
    kSends,      ///< requests: only over evidence that was made for this connection
    kOnlyLooks,  ///< nothing after the verdict
};

/// The target that options and context describe. Refuses one without policy and without
/// --mrenclave, and --mode v1-deterministic for a command that sends something.
/// errors: those of reading files; no_policy, stale_mode.
[[nodiscard]] Result<Target> make_target(const Cli& cli, Use use = Use::kSends);

/// Policy, roots and time alone, for commands that appraise without connecting.
/// errors: as make_target().
[[nodiscard]] Result<Target> make_policy_only_target(const Cli& cli);

/// The owner's key that options or context name.
/// errors: no_owner_key, those of read_private_key.
[[nodiscard]] Result<crypto::P256PrivateKey> read_owner_key(const Cli& cli);

/// Keeps from a verdict what later ones must not fall behind.
void remember(const Cli& cli, const Target& target,
              const attestation::appraise::AttestationResult& verdict);

/// Connects and appraises, with the collateral that the server staples if the options want it. If
/// the verdict is "rejected" it is printed, and the result is its exit code; else the verdict's one
/// line goes to standard error and the server is returned. errors: those of Connection::open,
/// rejected.
[[nodiscard]] Result<std::unique_ptr<VerifiedServer>> connect(Cli& cli, Target& target);

inline constexpr Code no_policy{"client/cli", "no_policy",
                                "nothing is sent to a server that is not judged by a policy"};
inline constexpr Code stale_mode{"client/cli", "stale_mode",
                                 "nothing is sent where the evidence may be a day old"};
inline constexpr Code misplaced_option{"client/cli", "misplaced_option",
                                       "an option does not go with what is looked at"};
inline constexpr Code no_owner_key{
    "client/cli", "no_owner_key", "only the owner may: give --owner-key, or a context that has it"};
inline constexpr Code rejected{"client/cli", "rejected", "the server was rejected"};
inline constexpr Code no_instance{"client/cli", "no_instance", "no such instance was seen"};
inline constexpr Code server_refused{"client/cli", "server_refused", "the server refused"};

/// A request without body, or with a JSON one, and the JSON answer.
/// errors: those of VerifiedServer::request; server_refused (with the server's words).
[[nodiscard]] Result<json::Value> call(const Cli& cli, VerifiedServer& server, http::Method method,
                                       const std::string& path, const json::Value* body = nullptr);

/// The answer's JSON if its status is 2xx.
/// errors: server_refused, those of json::parse.
[[nodiscard]] Result<json::Value> json_answer(const Response& response);

/// The exit code for an error that ended a command.
int exit_code_of(const Cli& cli, const Error& error);

// Each adds its commands to the program.
void add_pki_commands(CLI::App& program, Cli& cli);
void add_policy_commands(CLI::App& program, Cli& cli);
void add_context_commands(CLI::App& program, Cli& cli);
void add_evidence_commands(CLI::App& program, Cli& cli);
void add_bundle_commands(CLI::App& program, Cli& cli);
void add_rehearse_command(CLI::App& program, Cli& cli);
void add_verify_command(CLI::App& program, Cli& cli);
void add_mini_commands(CLI::App& program, Cli& cli);
void add_app_commands(CLI::App& program, Cli& cli);
void add_measure_commands(CLI::App& program, Cli& cli);
void add_completion_command(CLI::App& program, Cli& cli);

/// The options that say when a server is asked for collateral; they exclude each other.
struct StaplingOptions {
    CLI::Option* always;
    CLI::Option* never;
};
StaplingOptions add_stapling_options(CLI::App& command, TargetOptions& t);

/// The options that name a target, for a command that connects.
void add_target_options(CLI::App& command, Cli& cli);

}  // namespace eos::client::cli
