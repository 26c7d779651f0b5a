// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/evidence/snp_evidence.h"

#include <algorithm>
#include <array>

#include "common/base/assert.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::attestation::evidence {
namespace {

using Guid = ByteArray<16>;

constexpr std::size_t kEntryBytes = 24;

/// The GUIDs in the order in which their text has the bytes: AMD's tables do not swap.
struct KnownGuid {
    SnpTableKind kind;
    std::string_view hex;
};
constexpr std::array<KnownGuid, 5> kGuids{{
    {SnpTableKind::ark, "c0b406a4a803495297433fb6014cd0ae"},
    {SnpTableKind::ask, "4ab7b379bbac4fe4a02f05aef327c782"},
    {SnpTableKind::vcek, "63da758de6644564adc5f4b93be8accd"},
    {SnpTableKind::vlek, "a8074bc2a25a483eaae639c045a0b8a1"},
    {SnpTableKind::crl, "92f81bc358114d3d97ffd19f88dc67ea"},
}};

SnpTableKind kind_of(const Guid& guid) {
    const std::string text = hex(guid);
    const auto* known = std::ranges::find(kGuids, text, &KnownGuid::hex);
    return known == kGuids.end() ? SnpTableKind::other : known->kind;
}

struct Row {
    SnpTableKind kind;
    std::size_t offset;
    std::size_t size;
};

/// The rows up to the one of zeros that ends them.
Result<std::vector<Row>> read_rows(Reader& in) {
    std::vector<Row> rows;
    while (true) {
        Result<ByteView> row = in.bytes(kEntryBytes);
        if (!row) return fail(bad_certificate_table, "no row of zeros ends it");
        if (all_zero(*row)) return rows;
        if (rows.size() == kMaxSnpTableEntries) return fail(bad_certificate_table, "too many rows");
        Reader fields(*row);
        const Guid guid = EOS_TRY(fields.array<16>());
        const std::uint32_t offset = EOS_TRY(fields.u32le());
        const std::uint32_t size = EOS_TRY(fields.u32le());
        rows.push_back({kind_of(guid), offset, size});
    }
}

}  // namespace

Result<std::vector<SnpTableEntry>> parse_snp_table(ByteView in) {
    if (in.size() > kMaxSnpTableBytes) {
        return fail(bad_certificate_table, std::to_string(in.size()) + " bytes, at most " +
                                               std::to_string(kMaxSnpTableBytes) + " are read");
    }
    Reader reader(in);
    const std::vector<Row> rows = EOS_TRY(read_rows(reader));
    std::size_t used = in.size() - reader.remaining();
    std::vector<SnpTableEntry> out;
    for (const Row& row : rows) {
        // Unsigned and of 64 bits: the sum of two 32-bit numbers does not wrap round.
        if (row.size == 0 || row.offset < used || row.offset + row.size > in.size()) {
            return fail(bad_certificate_table, "an entry of " + std::to_string(row.size) +
                                                   " bytes at " + std::to_string(row.offset) +
                                                   " overlaps another or the end");
        }
        if (!all_zero(in.subspan(used, row.offset - used))) {
            return fail(bad_certificate_table, "something stands between two entries");
        }
        out.push_back({row.kind, to_bytes(in.subspan(row.offset, row.size))});
        used = row.offset + row.size;
    }
    if (!all_zero(in.subspan(used))) {
        return fail(bad_certificate_table, "something follows the last entry");
    }
    return out;
}

Bytes encode_snp_table(const std::vector<SnpTableEntry>& entries) {
    Writer rows;
    Writer contents;
    const std::size_t head = (entries.size() + 1) * kEntryBytes;
    for (const SnpTableEntry& entry : entries) {
        const auto* known = std::ranges::find(kGuids, entry.kind, &KnownGuid::kind);
        EOS_ASSERT(known != kGuids.end());
        rows.bytes(from_hex(known->hex).value());
        rows.u32le(static_cast<std::uint32_t>(head + contents.size()));
        rows.u32le(static_cast<std::uint32_t>(entry.content.size()));
        contents.bytes(entry.content);
    }
    rows.zeros(kEntryBytes);
    return concat({rows.view(), contents.view()});
}

Result<SnpEvidence> parse_snp_evidence(ByteView in) {
    SnpEvidence out;
    // A report that is too short is named as such; of a longer one the rest is the table.
    const ByteView report = in.first(std::min(in.size(), snp_arch::kReportBytes));
    out.report = EOS_TRY(snp_arch::parse_report(report));
    out.report_bytes = to_array<snp_arch::kReportBytes>(report);
    const ByteView rest = in.subspan(report.size());
    if (!rest.empty()) out.table = EOS_TRY(parse_snp_table(rest));
    return out;
}

}  // namespace eos::attestation::evidence
