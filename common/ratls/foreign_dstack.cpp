// SPDX-License-Identifier: AGPL-3.0-only
#include "common/ratls/foreign_dstack.h"

#include <array>

#include "common/attestation/evidence/quote.h"
#include "common/base/codec.h"
#include "common/crypto/hash.h"

namespace eos::ratls {
namespace {

namespace event_log = attestation::event_log;
namespace evidence = attestation::evidence;

constexpr std::uint8_t kTdx = 0;
constexpr std::uint8_t kSnp = 3;
constexpr std::array<std::string_view, 5> kGuests{
    "TDX", "TDX at Google, with a TPM", "Nitro enclave", "SEV-SNP", "EC2 with a NitroTPM"};

/// A length or count of SCALE, in its only valid form: the two lowest bits of the first byte say
/// whether 1, 2 or 4 bytes hold it.
Result<std::size_t> compact(Reader& in) {
    constexpr std::array<std::uint64_t, 3> kSmallest{0, 1U << 6, 1U << 14};
    std::uint64_t value = EOS_TRY(in.u8());
    const std::uint64_t mode = value & 3;
    if (mode >= kSmallest.size()) return fail(bad_foreign_leaf, "a length of 30 bits or more");
    for (unsigned i = 1; i < 1U << mode; ++i) {
        value |= static_cast<std::uint64_t>(EOS_TRY(in.u8())) << (8 * i);
    }
    value >>= 2;
    if (value < kSmallest[mode]) return fail(bad_foreign_leaf, "a length in too many bytes");
    return value;
}

/// Bytes or text behind their length.
Result<ByteView> counted(Reader& in) {
    const std::size_t size = EOS_TRY(compact(in));
    return in.bytes(size);
}

/// Events of all registers: register, type, digest, name, payload.
Result<void> skip_tdx_log(Reader& in) {
    for (std::size_t left = EOS_TRY(compact(in)); left > 0; --left) {
        EOS_TRY(in.bytes(8));
        for (int i = 0; i < 3; ++i) EOS_TRY(counted(in));
    }
    return {};
}

/// Name and payload of each event of dstack's own. The digest covers both.
Result<event_log::EventLog> read_runtime_events(Reader& in) {
    const std::size_t count = EOS_TRY(compact(in));
    if (count > event_log::kMaxEvents) return fail(bad_foreign_leaf, "too many events");
    event_log::EventLog out;
    for (std::size_t i = 0; i < count; ++i) {
        const ByteView name = EOS_TRY(counted(in));
        if (name.size() > event_log::kMaxEventNameBytes) {
            return fail(bad_foreign_leaf, "the name of event " + std::to_string(i));
        }
        const ByteView payload = EOS_TRY(counted(in));
        Writer covered;
        covered.u32le(event_log::kDstackRuntimeEvent).text(":").bytes(name).text(":");
        covered.bytes(payload);
        out.events.push_back(
            {.rtmr = 3,
             .type = event_log::kDstackRuntimeEvent,
             .digest = to_array<48>(crypto::hash(crypto::HashKind::kSha384, covered.view())),
             .name = to_string(name),
             .data = to_bytes(payload)});
    }
    return out;
}

Result<std::vector<Bytes>> read_certificates(Reader& in) {
    std::vector<Bytes> out;
    for (std::size_t left = EOS_TRY(compact(in)); left > 0; --left) {
        if (out.size() == evidence::kMaxSnpTableEntries) {
            return fail(bad_foreign_leaf, "too many certificates");
        }
        out.push_back(to_bytes(EOS_TRY(counted(in))));
    }
    return out;
}

/// The evidence is of the kind of guest that is stated, and has the report data that is.
Result<void> check_evidence(ByteView bytes, std::uint8_t guest, const ByteArray<64>& report_data) {
    const evidence::Evidence parsed = EOS_TRY(evidence::parse_evidence(bytes));
    const bool is_stated_kind = guest == kTdx
                                    ? std::holds_alternative<evidence::TdxQuote>(parsed.quote())
                                    : std::holds_alternative<evidence::SnpEvidence>(parsed.quote());
    if (!is_stated_kind) return fail(bad_foreign_leaf, "evidence of another kind of guest");
    const ByteArray<64>& found = std::visit(
        [](const auto& quote) -> const ByteArray<64>& { return quote.report.report_data; },
        parsed.quote());
    if (found == report_data) return {};
    return fail(bad_foreign_leaf, "the quote's report data is not what is stated beside it");
}

/// Version 0 begins with its number, version 1 with a map of MessagePack.
Result<void> check_version(std::uint8_t first) {
    if (first == 0) return {};
    const bool is_map = (first & 0xf0) == 0x80 || first == 0xde || first == 0xdf;
    const std::string found = is_map ? "in MessagePack" : "of version " + std::to_string(first);
    return fail(unread_foreign_evidence, "dstack's attestation " + found + ", read is version 0");
}

Result<DstackAttestation> read(ByteView bytes) {
    Reader in(bytes);
    EOS_TRY(check_version(EOS_TRY(in.u8())));
    const std::uint8_t guest = EOS_TRY(in.u8());
    if (guest != kTdx && guest != kSnp) {
        const std::string name =
            guest < kGuests.size() ? std::string(kGuests[guest]) : std::to_string(guest);
        return fail(unread_foreign_evidence, "dstack's attestation of a guest of kind " + name);
    }
    DstackAttestation out;
    const ByteView quote = EOS_TRY(counted(in));
    out.evidence = to_bytes(guest == kTdx ? evidence::without_padding(quote) : quote);
    if (guest == kTdx) {
        EOS_TRY(skip_tdx_log(in));
    } else {
        out.certificates = EOS_TRY(read_certificates(in));
        EOS_TRY(counted(in));  // the document behind the report's host data
    }
    event_log::EventLog events = EOS_TRY(read_runtime_events(in));
    if (guest == kTdx) out.runtime_log = std::move(events);
    const ByteArray<64> report_data = EOS_TRY(in.array<64>());
    EOS_TRY(counted(in));  // the configuration that the host gave
    EOS_TRY(in.expect_end());
    EOS_TRY(check_evidence(out.evidence, guest, report_data));
    return out;
}

}  // namespace

Result<DstackAttestation> read_dstack_attestation(ByteView in) {
    if (in.size() > kMaxForeignEvidenceBytes) {
        return fail(bad_foreign_leaf, "the attestation is too large");
    }
    Result<DstackAttestation> out = read(in);
    if (out || out.error().code() == unread_foreign_evidence) return out;
    return fail(bad_foreign_leaf, out.error().code() == bad_foreign_leaf ? out.error().detail()
                                                                         : out.error().message());
}

}  // namespace eos::ratls
