// SPDX-License-Identifier: AGPL-3.0-only
// enclave-os-attestd: verifies evidence of real hardware, for those who want a service.
#include "trusted/attestd/program.h"

int main(int argc, char** argv) {
    using eos::attestation::verify::Roots;
    using eos::attestation::verify::Vendor;
    return eos::attestd::run_program(
        argc, argv,
        {.name = "enclave-os-attestd",
         .description = "Verifies SGX, TDX and SEV-SNP evidence over HTTPS.",
         .reach = eos::attestd::Reach::elsewhere,
         .add_options = nullptr,
         .roots = [] { return eos::Result<Roots>(Roots::of({Vendor::intel, Vendor::amd})); }});
}
