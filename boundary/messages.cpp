// SPDX-License-Identifier: AGPL-3.0-only
// What both directions share: the data ring. The rpc ring's messages are in messages_rpc.cpp.
#include "boundary/messages.h"

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstring>
#include <utility>

#include "boundary/messages_codec.h"
#include "common/base/codec.h"

namespace eos::boundary {
namespace {

using codec::enum_u8;

Result<ConnOpened> decode_opened(Reader& in) {
    ConnOpened m;
    m.conn_id = EOS_TRY(in.u64le());
    m.peer_address = EOS_TRY(in.array<16>());
    m.peer_port = EOS_TRY(in.u16le());
    return m;
}

Result<ConnData> decode_data(Reader& in) {
    ConnData m;
    m.conn_id = EOS_TRY(in.u64le());
    m.bytes = in.rest();
    EOS_TRY(codec::in_range(m.bytes.size(), {1, kMaxConnDataBytes}, "connection data"));
    return m;
}

Result<ConnCredit> decode_credit(Reader& in) {
    ConnCredit m;
    m.conn_id = EOS_TRY(in.u64le());
    m.bytes = EOS_TRY(in.u32le());
    EOS_TRY(codec::in_range(m.bytes, {1, kConnWindowBytes}, "credit"));
    return m;
}

Result<ConnEnded> decode_ended(Reader& in) {
    ConnEnded m;
    m.conn_id = EOS_TRY(in.u64le());
    m.why = EOS_TRY(enum_u8<ConnEnded::Why>(in, {1, 3}));
    return m;
}

Result<ConnClose> decode_close(Reader& in) {
    ConnClose m;
    m.conn_id = EOS_TRY(in.u64le());
    m.how = EOS_TRY(enum_u8<ConnClose::How>(in, {1, 2}));
    return m;
}

// The few fixed-width fields of a data ring's message are put where they will be sent from: these
// run for every message, and moving half-written objects about is most of what they could cost.
template <std::unsigned_integral T>
void put(Encoded& out, T value) {
    static_assert(std::endian::native == std::endian::little, "copied as they lie");
    std::memcpy(out.fixed.data() + out.fixed_bytes, &value, sizeof(value));
    out.fixed_bytes += sizeof(value);
}

Result<Encoded> head(MessageType type, std::uint64_t conn_id) {
    Result<Encoded> out(std::in_place);
    out->type = type;
    put(*out, conn_id);
    return out;
}

struct EncodeData {
    Result<Encoded> operator()(const ConnOpened& m) const {
        static_assert(sizeof(m.conn_id) + sizeof(m.peer_address) + sizeof(m.peer_port) <=
                      sizeof(Encoded::fixed));
        Result<Encoded> out = head(MessageType::kConnOpened, m.conn_id);
        std::ranges::copy(m.peer_address, out->fixed.begin() + out->fixed_bytes);
        out->fixed_bytes += m.peer_address.size();
        put(*out, m.peer_port);
        return out;
    }
    Result<Encoded> operator()(const ConnData& m) const {
        EOS_TRY(codec::in_range(m.bytes.size(), {1, kMaxConnDataBytes}, "connection data"));
        Result<Encoded> out = head(MessageType::kConnData, m.conn_id);
        out->tail = m.bytes;
        return out;
    }
    Result<Encoded> operator()(const ConnCredit& m) const {
        EOS_TRY(codec::in_range(m.bytes, {1, kConnWindowBytes}, "credit"));
        Result<Encoded> out = head(MessageType::kConnCredit, m.conn_id);
        put(*out, m.bytes);
        return out;
    }
    Result<Encoded> operator()(const ConnEnded& m) const {
        Result<Encoded> out = head(MessageType::kConnEnded, m.conn_id);
        put(*out, std::to_underlying(m.why));
        return out;
    }
    Result<Encoded> operator()(const ConnClose& m) const {
        Result<Encoded> out = head(MessageType::kConnClose, m.conn_id);
        put(*out, std::to_underlying(m.how));
        return out;
    }
};

}  // namespace

Result<DataToTrusted> decode_data_to_trusted(const Frame& frame) {
    switch (static_cast<MessageType>(frame.type)) {
        case MessageType::kConnOpened:
            return codec::whole<DataToTrusted>(frame, decode_opened);
        case MessageType::kConnData:
            return codec::whole<DataToTrusted>(frame, decode_data);
        case MessageType::kConnCredit:
            return codec::whole<DataToTrusted>(frame, decode_credit);
        case MessageType::kConnEnded:
            return codec::whole<DataToTrusted>(frame, decode_ended);
        default:
            return codec::unknown(frame);
    }
}

Result<DataToHost> decode_data_to_host(const Frame& frame) {
    switch (static_cast<MessageType>(frame.type)) {
        case MessageType::kConnData:
            return codec::whole<DataToHost>(frame, decode_data);
        case MessageType::kConnCredit:
            return codec::whole<DataToHost>(frame, decode_credit);
        case MessageType::kConnClose:
            return codec::whole<DataToHost>(frame, decode_close);
        default:
            return codec::unknown(frame);
    }
}

Result<Encoded> encode(const DataToTrusted& message) {
    return std::visit(EncodeData{}, message);
}

Result<Encoded> encode(const DataToHost& message) {
    return std::visit(EncodeData{}, message);
}

}  // namespace eos::boundary
