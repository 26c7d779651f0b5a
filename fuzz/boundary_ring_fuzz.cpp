// SPDX-License-Identifier: AGPL-3.0-only
// A host that writes whatever it likes into the shared block, at any time, while both ends of the
// trusted side work on it. Input: steps of u8 what ‖ u16le where ‖ u64le value.
#include <cstring>
#include <span>

#include "boundary/endpoint.h"
#include "boundary/test_block.h"
#include "common/base/assert.h"
#include "common/base/codec.h"

namespace eos::boundary {
namespace {

// Where hostile writes matter: the header, the time page, the worker's control page, and the start
// and the end of each of its rings.
std::uint64_t* place(TestBlock& block, std::uint16_t where) {
    auto* words = reinterpret_cast<std::uint64_t*>(block.bytes().data());
    constexpr std::size_t kControlWords = 3 * kPageBytes / 8;
    if (where < kControlWords) return words + where;
    auto ring = block.layout().ring(0, static_cast<RingId>(where % kRingsPerWorker));
    bool from_start = where / kRingsPerWorker % 2 == 0;
    std::size_t offset = where / kRingsPerWorker / 2 % 256;
    return &ring.words[from_start ? offset : ring.words.size() - 1 - offset];
}

bool one_step(TrustedWorkerEndpoint& end, std::uint8_t what) {
    switch (what % 5) {
        case 0:
            return end.receive_data().has_value();
        case 1:
            return end.receive_rpc().has_value();
        case 2:
            return end.send(RpcToHost(QuoteRequest{})).has_value();
        case 3: {
            static const Bytes kBytes(kMaxConnDataBytes);
            return end.send(DataToHost(ConnData{.conn_id = what, .bytes = kBytes})).has_value();
        }
        default:
            end.wait(1, [] { return false; });
            return true;
    }
}

}  // namespace
}  // namespace eos::boundary

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    using namespace eos::boundary;
    constexpr LayoutOptions kOptions{.data_ring_bytes = kMinRingBytes,
                                     .rpc_ring_bytes = kMinRingBytes};
    static TestBlock block(kOptions);
    std::memset(block.bytes().data(), 0, block.bytes().size());
    EOS_ASSERT(Layout::create(block.bytes(), kOptions).has_value());

    NoSignals signals;
    TrustedWorkerEndpoint end(block.layout(), 0, signals);
    Reader in(std::as_bytes(std::span(data, size)));
    while (in.remaining() >= 11) {
        std::uint8_t what = *in.u8();
        std::uint16_t where = *in.u16le();
        std::uint64_t value = *in.u64le();
        *place(block, where) = value;
        if (!one_step(end, what)) break;  // the enclave would end here
        auto reopened = Layout::open(block.bytes());
        EOS_ASSERT(!reopened || reopened->worker_count() == 1);
    }
    return 0;
}
