// SPDX-License-Identifier: AGPL-3.0-only
#include <iostream>

#include "client/cli/cli.h"

namespace eos::client::cli {
namespace {

// "pki init" -> its words, for every command there is.
void collect(const CLI::App& command, const std::string& prefix, std::string& out) {
    std::string words;
    for (const CLI::App* sub : command.get_subcommands({})) words += sub->get_name() + " ";
    for (const CLI::Option* option : command.get_options()) {
        for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
    }
    out += "    '" + prefix + "') words='" + words + "' ;;\n";
    for (const CLI::App* sub : command.get_subcommands({})) {
        collect(*sub, prefix.empty() ? sub->get_name() : prefix + " " + sub->get_name(), out);
    }
}

// A word counts as part of the command while the words so far are one; what follows them are values
// and options, and files complete as usual.
std::string bash_completion(const CLI::App& program) {
    std::string cases;
    collect(program, "", cases);
    return "# eval \"$(enclavectl completion)\", or: enclavectl completion > "
           "/etc/bash_completion.d/enclavectl\n"
           "_enclavectl_words() {\n"
           "  case \"$1\" in\n" +
           cases +
           "    *) return 1 ;;\n"
           "  esac\n"
           "}\n"
           "_enclavectl() {\n"
           "  local word command='' words=''\n"
           "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
           "    _enclavectl_words \"${command:+$command }$word\" && "
           "command=\"${command:+$command }$word\"\n"
           "  done\n"
           "  _enclavectl_words \"$command\"\n"
           "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
           "}\n"
           "complete -o default -F _enclavectl enclavectl\n";
}

}  // namespace

void add_completion_command(CLI::App& program, Cli& cli) {
    CLI::App* completion =
        program.add_subcommand("completion", "print a completion script for bash");
    completion->callback([&program, &cli] {
        cli.action = [&program]() -> Result<int> {
            std::cout << bash_completion(program);
            return kExitOk;
        };
    });
}

}  // namespace eos::client::cli
