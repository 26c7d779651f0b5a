// SPDX-License-Identifier: AGPL-3.0-only
// enclave-os-attestd-emulated: the verification service for emulated evidence, which protects
// nothing. It takes no other, and no status of it is ever "OK".
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "common/x509/pem.h"
#include "trusted/attestd/program.h"
#include "trusted/os/files.h"

namespace {

using eos::Bytes;
using eos::Result;
using eos::attestation::verify::Roots;
using eos::attestation::verify::TestRoot;

constexpr std::size_t kMaxRootBytes = 64 * 1024;

/// NAME=FILE.
Result<TestRoot> read_root(const std::string& text) {
    std::size_t equals = std::min(text.find('='), text.size());
    std::string file = text.substr(std::min(equals + 1, text.size()));
    Bytes pem = EOS_TRY(eos::os::read_file(file, kMaxRootBytes));
    std::vector<eos::x509::Certificate> all =
        EOS_TRY(eos::x509::parse_pem_certificates(eos::as_chars(pem)));
    return TestRoot{text.substr(0, equals), all.front()};
}

Result<Roots> read_roots(const std::vector<std::string>& texts) {
    std::vector<TestRoot> roots;
    for (const std::string& text : texts) roots.push_back(EOS_TRY(read_root(text)));
    return Roots::test(std::move(roots));
}

}  // namespace

int main(int argc, char** argv) {
    std::fputs("EMULATED: this program verifies emulated evidence only and protects nothing\n",
               stderr);
    std::vector<std::string> roots;
    return eos::attestd::run_program(
        argc, argv,
        {.name = "enclave-os-attestd-emulated",
         .description = "Verifies emulated evidence over HTTPS. Protects nothing.",
         .reach = eos::attestd::Reach::loopback_as_well,
         .add_options =
             [&](CLI::App& command) {
                 command
                     .add_option("--test-root", roots,
                                 "NAME=FILE: a root of emulated hardware (PEM)")
                     ->required();
             },
         .roots = [&] { return read_roots(roots); }});
}
