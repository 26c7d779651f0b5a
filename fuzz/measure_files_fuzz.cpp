// SPDX-License-Identifier: AGPL-3.0-only
// The files that the calculators read: firmware, EFI programs, SGXS streams, expectations. What is
// accepted is measured without fault and the same each time.
#include <cstdint>

#include "client/measure/sgx.h"
#include "client/measure/snp.h"
#include "client/measure/tdx.h"
#include "client/measure/why.h"
#include "common/base/assert.h"

namespace {

namespace measure = eos::client::measure;

void launch(eos::ByteView image) {
    const auto metadata = measure::parse_sev_metadata(image);
    if (!metadata) return;
    measure::SnpLaunch launch;
    launch.metadata = *metadata;
    launch.firmware_pages = measure::firmware_pages_digest(image);
    launch.kernel = measure::hash_boot_files({});
    const auto first = measure::launch_digest(launch);
    const auto second = measure::launch_digest(launch);
    EOS_ASSERT(first.has_value() == second.has_value());
    EOS_ASSERT(!first || *first == *second);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const eos::ByteView in = std::as_bytes(std::span(data, size));
    launch(in);
    if (const auto sections = measure::parse_tdvf_metadata(in)) {
        std::uint64_t pages = 0;
        for (const measure::TdvfSection& section : *sections)
            pages += section.memory_bytes / measure::kPageBytes;
        if (pages <= 4096) (void)measure::mrtd(in, measure::PageOrder::section_by_section);
    }
    (void)measure::authenticode_sha384(in);
    (void)measure::measure_sgxs(in);
    (void)measure::parse_sigstruct(in);
    const auto expected = measure::parse_expectation(in);
    if (expected) {
        measure::Quoted quoted{expected->tee, expected->registers, {}};
        EOS_ASSERT(measure::explain(*expected, quoted, {}).verdict ==
                   eos::attestation::verify::Verdict::pass);
    }
    return 0;
}
