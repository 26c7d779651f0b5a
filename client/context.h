// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace eos::client {

inline constexpr Code no_context{"client", "no_context", "there is no such context"};
inline constexpr Code bad_context{"client", "bad_context", "the context file is not usable"};

/// What a person would otherwise repeat on every command line: which server, and by what it is
/// judged. Public data and paths only; the owner's key stays in its own file.
struct Context {
    std::string name;
    std::string address;      ///< host:port to connect to
    std::string server_name;  ///< SNI; empty: none is sent, not even that of the address
    std::string policy;       ///< path of the appraisal policy
    std::string root;         ///< path of the private PKI's root certificate; may be empty
    std::string owner_key;    ///< path; may be empty
    std::string collateral;   ///< path of vendor collateral; may be empty
};

/// The folder with all contexts: one JSON file each, and `current`, which names one of them.
class ContextStore {
  public:
    explicit ContextStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

    /// $XDG_CONFIG_HOME/enclave-os, or ~/.config/enclave-os.
    static std::filesystem::path default_folder();

    /// errors: no_context, bad_context.
    [[nodiscard]] Result<Context> load(const std::string& name) const;
    /// errors: bad_context (the name), file_unwritable.
    [[nodiscard]] Result<void> save(const Context& context) const;
    /// errors: no_context.
    [[nodiscard]] Result<void> remove(const std::string& name) const;

    std::vector<std::string> names() const;
    std::optional<std::string> current() const;
    /// errors: no_context, file_unwritable.
    [[nodiscard]] Result<void> use(const std::string& name) const;

  private:
    std::filesystem::path file(const std::string& name) const;
    std::filesystem::path folder_;
};

}  // namespace eos::client
