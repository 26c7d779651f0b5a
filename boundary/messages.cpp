// SPDX-License-Identifier: AGPL-3.0-only
// What both directions share: the data ring. The rpc ring's messages are in messages_rpc.cpp.
#include "boundary/messages.h"

#include <algorithm>
#include <concepts>
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

// Collects the few fixed-width fields of a data ring's message.
class Head {
  public:
    Head(MessageType type, std::uint64_t conn_id) {
        encoded_.type = type;
        number(conn_id);
    }
    template <std::unsigned_integral T>
    Head& number(T value) {
        for (std::size_t i = 0; i < sizeof(T); ++i)
            encoded_.fixed[encoded_.fixed_bytes++] = static_cast<std::byte>(value >> (8 * i));
        return *this;
    }
    Head& bytes(const ByteArray<16>& value) {
        std::ranges::copy(value, encoded_.fixed.begin() + encoded_.fixed_bytes);
        encoded_.fixed_bytes += value.size();
        return *this;
    }
    Encoded take(ByteView tail = {}) {
        encoded_.tail = tail;
        return std::move(encoded_);
    }

  private:
    Encoded encoded_;
};

struct EncodeData {
    Result<Encoded> operator()(const ConnOpened& m) const {
        static_assert(sizeof(m.conn_id) + sizeof(m.peer_address) + sizeof(m.peer_port) <=
                      sizeof(Encoded::fixed));
        return Head(MessageType::kConnOpened, m.conn_id)
            .bytes(m.peer_address)
            .number(m.peer_port)
            .take();
    }
    Result<Encoded> operator()(const ConnData& m) const {
        EOS_TRY(codec::in_range(m.bytes.size(), {1, kMaxConnDataBytes}, "connection data"));
        return Head(MessageType::kConnData, m.conn_id).take(m.bytes);
    }
    Result<Encoded> operator()(const ConnCredit& m) const {
        EOS_TRY(codec::in_range(m.bytes, {1, kConnWindowBytes}, "credit"));
        return Head(MessageType::kConnCredit, m.conn_id).number(m.bytes).take();
    }
    Result<Encoded> operator()(const ConnEnded& m) const {
        return Head(MessageType::kConnEnded, m.conn_id).number(std::to_underlying(m.why)).take();
    }
    Result<Encoded> operator()(const ConnClose& m) const {
        return Head(MessageType::kConnClose, m.conn_id).number(std::to_underlying(m.how)).take();
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
