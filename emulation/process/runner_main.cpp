// SPDX-License-Identifier: AGPL-3.0-only
// enclave-os-runner-process: Mini's enclave program as a process. It protects nothing.
#include "emulation/process/runner.h"

int main(int argc, char** argv) {
    return eos::emulation::process::run({argv, static_cast<std::size_t>(argc)});
}
