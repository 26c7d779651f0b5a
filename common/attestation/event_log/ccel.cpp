// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <optional>

#include "common/attestation/event_log/event_log.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"

namespace eos::attestation::event_log {
namespace {

constexpr std::uint16_t kSha384 = 0x000c;
constexpr std::uint32_t kEndOfLog = 0xffffffff;
constexpr std::size_t kMaxAlgorithms = 5;
constexpr std::size_t kSpecIdBytes = 28;  ///< TCG_EfiSpecIdEvent without algorithms and vendor info
constexpr std::size_t kSha1Bytes = 20;
constexpr std::size_t kCcelTableBytes = 56;
constexpr std::uint8_t kCcTypeTdx = 2;

/// A digest algorithm that the log announces.
struct Algorithm {
    std::uint16_t id = 0;
    std::size_t size_bytes = 0;
};

/// TPM 2.0 Part 2, 6.3: SHA-1, SHA-256, SHA-384, SHA-512, SM3-256.
std::optional<std::size_t> digest_size_bytes(std::uint16_t id) {
    switch (id) {
        case 0x0004:
            return 20;
        case 0x000b:
        case 0x0012:
            return 32;
        case kSha384:
            return 48;
        case 0x000d:
            return 64;
        default:
            return {};
    }
}

std::string hex16(std::uint16_t id) {
    Writer out;
    out.u16be(id);
    return "0x" + hex(out.view());
}

/// Where a reader stands in the log, for messages.
class Log {
  public:
    explicit Log(ByteView area) : area_(area), in_(area) {}

    Result<std::uint16_t> u16(std::string_view what) { return named(in_.u16le(), what); }
    Result<std::uint32_t> u32(std::string_view what) { return named(in_.u32le(), what); }
    Result<ByteView> bytes(std::size_t size, std::string_view what) {
        return named(in_.bytes(size), what);
    }
    ByteView rest() const { return area_.last(in_.remaining()); }
    std::string position() const {
        return "at byte " + std::to_string(area_.size() - in_.remaining());
    }

  private:
    template <typename T>
    Result<T> named(Result<T> value, std::string_view what) const {
        if (value) return value;
        return fail(log_truncated, std::string(what) + " " + position());
    }

    ByteView area_;
    Reader in_;
};

Result<std::vector<Algorithm>> parse_algorithms(Reader& in) {
    const std::uint32_t count = EOS_TRY(in.u32le());
    if (count == 0 || count > kMaxAlgorithms) {
        return fail(bad_log_header, std::to_string(count) + " digest algorithms");
    }
    std::vector<Algorithm> out;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint16_t id = EOS_TRY(in.u16le());
        const std::uint16_t size = EOS_TRY(in.u16le());
        const std::optional<std::size_t> known = digest_size_bytes(id);
        if (!known) return fail(unknown_algorithm, hex16(id) + " in the header");
        if (*known != size) {
            return fail(bad_digest_size, "the header announces " + std::to_string(size) +
                                             " bytes for " + hex16(id) + ", which has " +
                                             std::to_string(*known));
        }
        if (std::ranges::find(out, id, &Algorithm::id) != out.end()) {
            return fail(bad_log_header, hex16(id) + " is announced twice");
        }
        out.push_back({id, size});
    }
    if (std::ranges::find(out, kSha384, &Algorithm::id) == out.end()) return fail(no_sha384);
    return out;
}

/// TCG_EfiSpecIdEvent: "Spec ID Event03", platform class, version, and the algorithms.
Result<std::vector<Algorithm>> parse_spec_id(ByteView data) {
    constexpr std::string_view kSignature("Spec ID Event03\0", 16);
    if (data.size() < kSpecIdBytes || as_chars(data.first(16)) != kSignature) {
        return fail(bad_log_header, "no Spec ID Event03");
    }
    Reader in(data.subspan(24));
    Result<std::vector<Algorithm>> algorithms = parse_algorithms(in);
    if (!algorithms) {
        if (algorithms.error().code() != truncated) return algorithms;
        return fail(bad_log_header, "the list of algorithms is cut off");
    }
    Result<std::uint8_t> vendor_size = in.u8();
    if (!vendor_size || in.remaining() != *vendor_size) {
        return fail(bad_log_header, "the vendor information does not end with the event");
    }
    return algorithms;
}

/// The first record has the old form, one SHA-1 digest, and is not measured.
Result<std::vector<Algorithm>> parse_header(Log& log) {
    EOS_TRY(log.u32("header register"));
    const std::uint32_t type = EOS_TRY(log.u32("header type"));
    const ByteView digest = EOS_TRY(log.bytes(kSha1Bytes, "header digest"));
    if (type != kEvNoAction || !all_zero(digest)) {
        return fail(bad_log_header, "the first record is not an unmeasured one");
    }
    const std::uint32_t size = EOS_TRY(log.u32("header size"));
    return parse_spec_id(EOS_TRY(log.bytes(size, "header event")));
}

/// One digest per announced algorithm, in any order; the SHA-384 one is returned.
Result<Digest48> parse_digests(Log& log, const std::vector<Algorithm>& algorithms) {
    const std::string position = log.position();
    const std::uint32_t count = EOS_TRY(log.u32("digest count"));
    if (count != algorithms.size()) {
        return fail(bad_digest_count, std::to_string(count) + " digests " + position +
                                          ", the header announces " +
                                          std::to_string(algorithms.size()));
    }
    Digest48 out{};
    std::vector<std::uint16_t> seen;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::string where = log.position();
        const std::uint16_t id = EOS_TRY(log.u16("digest algorithm"));
        const auto algorithm = std::ranges::find(algorithms, id, &Algorithm::id);
        if (algorithm == algorithms.end()) {
            return fail(unknown_algorithm, hex16(id) + " " + where);
        }
        if (std::ranges::find(seen, id) != seen.end()) {
            return fail(bad_digest_count, hex16(id) + " twice " + where);
        }
        seen.push_back(id);
        const ByteView digest = EOS_TRY(log.bytes(algorithm->size_bytes, "digest"));
        if (id == kSha384) out = to_array<48>(digest);
    }
    return out;
}

Result<Event> parse_event(Log& log, const std::vector<Algorithm>& algorithms) {
    const std::string position = log.position();
    const std::uint32_t index = EOS_TRY(log.u32("event register"));
    Event event;
    event.type = EOS_TRY(log.u32("event type"));
    // Index 0 is MRTD, which nothing extends; an unmeasured record may stand under it.
    if (index > kRtmrCount || (index == 0 && is_measured(event))) {
        return fail(unknown_register, "index " + std::to_string(index) + " " + position);
    }
    event.rtmr = index == 0 ? 0 : index - 1;
    event.digest = EOS_TRY(parse_digests(log, algorithms));
    const std::uint32_t size = EOS_TRY(log.u32("event size"));
    if (size > kMaxEventBytes) {
        return fail(log_too_large, "an event of " + std::to_string(size) + " bytes " + position);
    }
    event.data = to_bytes(EOS_TRY(log.bytes(size, "event data")));
    return event;
}

bool is_filled_with(ByteView bytes, std::byte value) {
    return std::ranges::all_of(bytes, [value](std::byte b) { return b == value; });
}

/// Whether the log ends here: nothing is left, the rest of the area was never written, or the
/// register says so. A rest of zeros cannot be a record: it would have no digest.
Result<bool> at_end(const Log& log) {
    const ByteView rest = log.rest();
    if (is_filled_with(rest, std::byte{0xff}) || all_zero(rest)) return true;
    Reader in(rest);
    const Result<std::uint32_t> index = in.u32le();
    if (index && *index == kEndOfLog) return fail(log_padding, log.position());
    return false;
}

}  // namespace

Result<EventLog> parse_ccel(ByteView area) {
    if (area.size() > kMaxLogBytes) {
        return fail(log_too_large, std::to_string(area.size()) + " bytes, at most " +
                                       std::to_string(kMaxLogBytes) + " are read");
    }
    Log log(area);
    const std::vector<Algorithm> algorithms = EOS_TRY(parse_header(log));
    EventLog out;
    while (!EOS_TRY(at_end(log))) {
        if (out.events.size() == kMaxEvents) {
            return fail(log_too_large, "more than " + std::to_string(kMaxEvents) + " events");
        }
        out.events.push_back(EOS_TRY(parse_event(log, algorithms)));
    }
    return out;
}

Result<CcelTable> parse_ccel_table(ByteView table) {
    if (table.size() != kCcelTableBytes || as_chars(table.first(4)) != "CCEL") {
        return fail(bad_ccel_table, "56 bytes that begin with CCEL are expected");
    }
    unsigned sum = 0;
    for (std::byte b : table) sum += std::to_integer<unsigned>(b);
    if (sum % 256 != 0) return fail(bad_ccel_table, "checksum");
    Reader in(table.subspan(4));
    const std::uint32_t size = EOS_TRY(in.u32le());
    EOS_TRY(in.bytes(28));  // revision, checksum and the identities of its maker
    const std::uint8_t cc_type = EOS_TRY(in.u8());
    EOS_TRY(in.bytes(3));  // subtype, reserved
    if (size != kCcelTableBytes || cc_type != kCcTypeTdx) {
        return fail(bad_ccel_table, "length " + std::to_string(size) + ", kind of guest " +
                                        std::to_string(cc_type) + ", TDX is 2");
    }
    CcelTable out;
    out.area_bytes = EOS_TRY(in.u64le());
    out.area_address = EOS_TRY(in.u64le());
    return out;
}

}  // namespace eos::attestation::event_log
