// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/aesm/aesm.h"

#include <limits>
#include <string>

#include "common/base/assert.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "untrusted/aesm/protobuf.h"

namespace eos::aesm {
namespace {

using protobuf::Field;
using protobuf::FieldReader;
using protobuf::FieldWriter;

// Field numbers of the union messages Request and Response.
constexpr std::uint32_t kInitQuoteEx = 15;
constexpr std::uint32_t kGetQuoteSizeEx = 16;
constexpr std::uint32_t kGetQuoteEx = 17;

constexpr std::uint32_t kErrorCode = 1;
constexpr std::uint32_t kTimeout = 9;

/// The fields of one small message, by number; enough for numbers up to 9, others are skipped.
class FieldTable {
  public:
    static Result<FieldTable> parse(ByteView message) {
        FieldTable table;
        FieldReader reader(message);
        while (!reader.at_end()) {
            Field field = EOS_TRY(reader.next());
            if (field.number >= table.fields_.size()) continue;
            auto& slot = table.fields_[field.number];
            if (slot) return fail(repeated_field, "field " + std::to_string(field.number));
            slot = field;
        }
        return table;
    }

    Result<Bytes> bytes_or_empty(std::uint32_t number) const {
        const auto& slot = fields_.at(number);
        if (!slot) return Bytes{};
        if (slot->type != protobuf::WireType::kBytes) return wrong_type(number);
        return to_bytes(slot->bytes);
    }

    Result<std::uint64_t> u64_or(std::uint32_t number, std::uint64_t missing) const {
        const auto& slot = fields_.at(number);
        if (!slot) return missing;
        if (slot->type != protobuf::WireType::kVarint) return wrong_type(number);
        return slot->varint;
    }

    Result<std::uint32_t> u32_or(std::uint32_t number, std::uint32_t missing) const {
        std::uint64_t value = EOS_TRY(u64_or(number, missing));
        if (value > std::numeric_limits<std::uint32_t>::max()) {
            return fail(field_range, "field " + std::to_string(number) + " has more than 32 bits");
        }
        return static_cast<std::uint32_t>(value);
    }

    bool has(std::uint32_t number) const { return fields_.at(number).has_value(); }

    Result<void> require(std::uint32_t number) const {
        if (!has(number)) return fail(missing_field, "field " + std::to_string(number));
        return {};
    }

  private:
    static std::unexpected<Error> wrong_type(std::uint32_t number) {
        return fail(malformed, "field " + std::to_string(number) + " has another wire type");
    }

    std::array<std::optional<Field>, kTimeout + 1> fields_;
};

/// The one sub-message of the ECDSA protocol that a union message holds.
Result<Field> only_submessage(ByteView message) {
    if (message.size() > kMaxMessageBytes) {
        return fail(oversized, std::to_string(message.size()) + " bytes");
    }
    FieldReader reader(message);
    std::optional<Field> found;
    while (!reader.at_end()) {
        Field field = EOS_TRY(reader.next());
        if (field.number < kInitQuoteEx || field.number > kGetQuoteEx) continue;
        if (field.type != protobuf::WireType::kBytes) {
            return fail(malformed, "a message field is not length-delimited");
        }
        if (found) return fail(repeated_field, "more than one message in a frame");
        found = field;
    }
    if (!found) return fail(unexpected_message, "fields 15, 16 and 17 are all missing");
    return *found;
}

void put_optional(FieldWriter& out, std::uint32_t number, ByteView value) {
    if (!value.empty()) out.bytes(number, value);
}
void put_timeout(FieldWriter& out, std::uint32_t timeout_ms) {
    if (timeout_ms != 0) out.varint(kTimeout, timeout_ms);
}

struct RequestEncoder {
    FieldWriter& out;

    std::uint32_t operator()(const InitQuoteRequest& m) {
        out.bytes(1, m.att_key_id);
        out.varint(3, m.pub_key_id == PubKeyId::kReturn ? 1 : 0);
        out.varint(4, m.buf_size);
        put_timeout(out, m.timeout_ms);
        return kInitQuoteEx;
    }
    std::uint32_t operator()(const QuoteSizeRequest& m) {
        out.bytes(1, m.att_key_id);
        put_timeout(out, m.timeout_ms);
        return kGetQuoteSizeEx;
    }
    std::uint32_t operator()(const QuoteRequest& m) {
        out.bytes(1, m.report);
        out.bytes(2, m.att_key_id);
        if (m.qe_report_info) out.bytes(3, *m.qe_report_info);
        out.varint(4, m.buf_size);
        put_timeout(out, m.timeout_ms);
        return kGetQuoteEx;
    }
};

struct ResponseEncoder {
    FieldWriter& out;

    std::uint32_t operator()(const InitQuoteResponse& m) {
        out.varint(kErrorCode, static_cast<std::uint32_t>(m.status));
        put_optional(out, 2, m.target_info);
        if (m.pub_key_id_size != 0) out.varint(3, m.pub_key_id_size);
        put_optional(out, 4, m.pub_key_id);
        return kInitQuoteEx;
    }
    std::uint32_t operator()(const QuoteSizeResponse& m) {
        out.varint(kErrorCode, static_cast<std::uint32_t>(m.status));
        if (m.quote_size != 0) out.varint(2, m.quote_size);
        return kGetQuoteSizeEx;
    }
    std::uint32_t operator()(const QuoteResponse& m) {
        out.varint(kErrorCode, static_cast<std::uint32_t>(m.status));
        put_optional(out, 2, m.quote);
        put_optional(out, 3, m.qe_report_info);
        return kGetQuoteEx;
    }
};

Bytes frame(std::uint32_t union_number, ByteView submessage) {
    FieldWriter whole;
    whole.bytes(union_number, submessage);
    Bytes message = std::move(whole).take();
    EOS_ASSERT(message.size() <= kMaxMessageBytes);
    return std::move(Writer().u32le(static_cast<std::uint32_t>(message.size())).bytes(message))
        .take();
}

Result<Request> parse_init_quote_request(const FieldTable& fields) {
    EOS_TRY(fields.require(3));
    InitQuoteRequest out;
    out.att_key_id = EOS_TRY(fields.bytes_or_empty(1));
    std::uint64_t wants_id = EOS_TRY(fields.u64_or(3, 0));
    out.pub_key_id = wants_id != 0 ? PubKeyId::kReturn : PubKeyId::kOmit;
    out.buf_size = EOS_TRY(fields.u64_or(4, 0));
    out.timeout_ms = EOS_TRY(fields.u32_or(kTimeout, 0));
    return out;
}

Result<Request> parse_quote_size_request(const FieldTable& fields) {
    QuoteSizeRequest out;
    out.att_key_id = EOS_TRY(fields.bytes_or_empty(1));
    out.timeout_ms = EOS_TRY(fields.u32_or(kTimeout, 0));
    return out;
}

Result<Request> parse_quote_request(const FieldTable& fields) {
    EOS_TRY(fields.require(1));
    EOS_TRY(fields.require(4));
    QuoteRequest out;
    out.report = EOS_TRY(fields.bytes_or_empty(1));
    out.att_key_id = EOS_TRY(fields.bytes_or_empty(2));
    if (fields.has(3)) out.qe_report_info = EOS_TRY(fields.bytes_or_empty(3));
    out.buf_size = EOS_TRY(fields.u32_or(4, 0));
    out.timeout_ms = EOS_TRY(fields.u32_or(kTimeout, 0));
    return out;
}

Result<Status> parse_status(const FieldTable& fields) {
    EOS_TRY(fields.require(kErrorCode));
    return static_cast<Status>(EOS_TRY(fields.u32_or(kErrorCode, 1)));
}

}  // namespace

ByteArray<kAttKeyIdBytes> ecdsa_p256_att_key_id() {
    constexpr std::uint32_t kAlgorithmEcdsaP256 = 2;
    // MRSIGNER of Intel's quoting enclave.
    const Bytes mr_signer =
        *from_hex("8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff");
    Writer out;
    out.u16le(0).u16le(0).u16le(static_cast<std::uint16_t>(mr_signer.size()));  // id, version
    out.bytes(mr_signer).zeros(16);
    out.u32le(1).zeros(16).zeros(64).zeros(16);  // prod_id, ext_prod_id, config_id, family_id
    out.u32le(kAlgorithmEcdsaP256);
    out.zeros(kAttKeyIdBytes - out.size());
    return to_array<kAttKeyIdBytes>(out.view());
}

Bytes encode(const Request& request) {
    FieldWriter fields;
    std::uint32_t number = std::visit(RequestEncoder{fields}, request);
    return frame(number, fields.view());
}

Bytes encode(const Response& response) {
    FieldWriter fields;
    std::uint32_t number = std::visit(ResponseEncoder{fields}, response);
    return frame(number, fields.view());
}

Result<std::size_t> parse_length(const ByteArray<kLengthBytes>& field) {
    Reader reader(field);
    std::uint32_t size = EOS_TRY(reader.u32le());
    if (size > kMaxMessageBytes) {
        return fail(oversized, std::to_string(size) + " bytes announced, at most " +
                                   std::to_string(kMaxMessageBytes) + " accepted");
    }
    return std::size_t{size};
}

Result<Request> parse_request(ByteView message) {
    Field sub = EOS_TRY(only_submessage(message));
    FieldTable fields = EOS_TRY(FieldTable::parse(sub.bytes));
    if (sub.number == kInitQuoteEx) return parse_init_quote_request(fields);
    if (sub.number == kGetQuoteSizeEx) return parse_quote_size_request(fields);
    return parse_quote_request(fields);
}

Result<Response> parse_response(ByteView message) {
    Field sub = EOS_TRY(only_submessage(message));
    FieldTable fields = EOS_TRY(FieldTable::parse(sub.bytes));
    Status status = EOS_TRY(parse_status(fields));
    if (sub.number == kInitQuoteEx) {
        InitQuoteResponse out{.status = status};
        out.target_info = EOS_TRY(fields.bytes_or_empty(2));
        out.pub_key_id_size = EOS_TRY(fields.u64_or(3, 0));
        out.pub_key_id = EOS_TRY(fields.bytes_or_empty(4));
        return out;
    }
    if (sub.number == kGetQuoteSizeEx) {
        QuoteSizeResponse out{.status = status};
        out.quote_size = EOS_TRY(fields.u32_or(2, 0));
        return out;
    }
    QuoteResponse out{.status = status};
    out.quote = EOS_TRY(fields.bytes_or_empty(2));
    out.qe_report_info = EOS_TRY(fields.bytes_or_empty(3));
    return out;
}

}  // namespace eos::aesm
