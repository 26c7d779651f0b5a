// SPDX-License-Identifier: AGPL-3.0-only
// enclave-os-minter: holds the CA's key, has evidence made, mints leaves.
#include "trusted/virtual/minter/program.h"

int main(int argc, char** argv) {
    return eos::cvm::run_minter(argc, argv);
}
