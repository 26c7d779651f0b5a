// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/ingress/data_link.h"

#include <algorithm>

#include "common/base/assert.h"

namespace eos::mini {

using boundary::ConnClose;
using boundary::ConnCredit;
using boundary::ConnData;

void DataLink::send_data(std::uint64_t conn_id, ByteView bytes) {
    while (!bytes.empty()) {
        ByteView part = bytes.first(std::min(bytes.size(), boundary::kMaxConnDataBytes));
        send(ConnData{conn_id, part});
        bytes = bytes.subspan(part.size());
    }
}

void DataLink::send_credit(std::uint64_t conn_id, std::uint32_t bytes) {
    send(ConnCredit{conn_id, bytes});
}

void DataLink::send_close(std::uint64_t conn_id, ConnClose::How how) {
    send(ConnClose{conn_id, how});
}

void DataLink::send(const boundary::DataToHost& message) {
    if (broken_) return;
    if (unsent_.empty()) {
        Result<boundary::Push> push = endpoint_.send(message);
        if (!push) broken_ = true;
        if (!push || *push == boundary::Push::kDone) return;
    }
    if (unsent_.size() >= kMaxUnsentMessages) {
        broken_ = true;
        return;
    }
    const ConnData* data = std::get_if<ConnData>(&message);
    unsent_.push_back({message, data == nullptr ? Bytes{} : to_bytes(data->bytes)});
}

void DataLink::turn() {
    while (!unsent_.empty() && !broken_) {
        Unsent& next = unsent_.front();
        if (ConnData* data = std::get_if<ConnData>(&next.message)) data->bytes = next.bytes;
        Result<boundary::Push> push = endpoint_.send(next.message);
        if (!push) broken_ = true;
        if (!push || *push == boundary::Push::kFull) return;
        unsent_.pop_front();
    }
}

void RingStream::send(ByteView bytes) {
    EOS_ASSERT(bytes.size() <= writable_bytes());
    send_window_.sent(bytes.size());
    link_.send_data(conn_id_, bytes);
}

void RingStream::consumed(std::size_t count) {
    std::uint32_t credit = receive_window_.consumed(count);
    if (credit != 0 && !closed_) link_.send_credit(conn_id_, credit);
}

void RingStream::end(ConnClose::How how) {
    if (closed_) return;
    closed_ = true;
    link_.send_close(conn_id_, how);
}

}  // namespace eos::mini
