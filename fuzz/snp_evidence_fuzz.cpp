// SPDX-License-Identifier: AGPL-3.0-only
// A report that parses has one byte string: that which its fields encode to. A table's entries lie
// within it, and written again they parse to the same.
#include <cstdint>

#include "common/attestation/evidence/snp_evidence.h"
#include "common/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace evidence = eos::attestation::evidence;
    const eos::ByteView in = std::as_bytes(std::span(data, size));
    const eos::Result<evidence::SnpEvidence> parsed = evidence::parse_snp_evidence(in);
    if (!parsed) return 0;
    EOS_ASSERT(encode(parsed->report) == parsed->report_bytes);
    std::vector<evidence::SnpTableEntry> known;
    std::size_t content_bytes = 0;
    for (const evidence::SnpTableEntry& entry : parsed->table) {
        content_bytes += entry.content.size();
        if (entry.kind != evidence::SnpTableKind::other) known.push_back(entry);
    }
    EOS_ASSERT(eos::snp_arch::kReportBytes + content_bytes <= size);
    const eos::Result<std::vector<evidence::SnpTableEntry>> again =
        evidence::parse_snp_table(evidence::encode_snp_table(known));
    EOS_ASSERT(again && again->size() == known.size());
    for (std::size_t i = 0; i < known.size(); ++i) {
        EOS_ASSERT((*again)[i].kind == known[i].kind && (*again)[i].content == known[i].content);
    }
    return 0;
}
