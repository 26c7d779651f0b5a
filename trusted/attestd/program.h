// SPDX-License-Identifier: AGPL-3.0-only
// The program, for whoever says which roots it stands on.
#pragma once

#include <functional>
#include <string>

#include "common/attestation/verify/roots.h"
#include "trusted/attestd/fetch.h"

namespace CLI {
class App;
}

namespace eos::attestd {

/// What a main program decides, and no configuration can change.
struct Flavour {
    std::string name;         ///< of the program
    std::string description;  ///< one line, for --help
    Reach reach = Reach::elsewhere;
    /// Adds options of its own to the command line; may be empty.
    std::function<void(CLI::App&)> add_options;
    /// The roots that evidence may lead to; asked after the command line was read.
    std::function<Result<attestation::verify::Roots>()> roots;
};

/// Runs the program.
/// returns: its exit code: 0 after an orderly stop or a check that found nothing, 1 for anything
/// that went wrong, 2 for a wrong command line.
int run_program(int argc, char** argv, const Flavour& flavour);

}  // namespace eos::attestd
