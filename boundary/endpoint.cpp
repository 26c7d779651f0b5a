// SPDX-License-Identifier: AGPL-3.0-only
#include "boundary/endpoint.h"

#include <utility>

namespace eos::boundary {
namespace {

using Side = EndpointCore::Side;

// Ring names are the trusted side's: what is in for it is out for the host.
RingId data_in_of(Side side) {
    return side == Side::kTrusted ? RingId::kDataIn : RingId::kDataOut;
}
RingId data_out_of(Side side) {
    return side == Side::kTrusted ? RingId::kDataOut : RingId::kDataIn;
}
RingId rpc_in_of(Side side) {
    return side == Side::kTrusted ? RingId::kRpcIn : RingId::kRpcOut;
}
RingId rpc_out_of(Side side) {
    return side == Side::kTrusted ? RingId::kRpcOut : RingId::kRpcIn;
}

// Messages are decoded into their Result and sent out of it: this code runs for every message, and
// each copy on the way would be made in other widths than it was written, which stalls the core.

template <typename Message, typename Decode>
Result<std::optional<Message>> receive(RingConsumer& ring, Decode&& decode) {
    std::optional<Frame> frame = EOS_TRY(ring.receive());
    if (!frame) return std::nullopt;
    auto message = decode(*frame);
    if (!message) return fail(std::move(message).error());
    return Result<std::optional<Message>>(std::in_place, std::in_place, *std::move(message));
}

// As receive(), with each alternative of the decoded variant wrapped in FromHost.
template <typename Wrapped, typename Decode>
Result<std::optional<Wrapped>> receive_from_host(RingConsumer& ring, Decode&& decode) {
    std::optional<Frame> frame = EOS_TRY(ring.receive());
    if (!frame) return std::nullopt;
    auto message = decode(*frame);
    if (!message) return fail(std::move(message).error());
    return std::visit(
        []<typename T>(T&& value) {
            return Result<std::optional<Wrapped>>(std::in_place, std::in_place,
                                                  std::in_place_type<FromHost<T>>,
                                                  std::forward<T>(value));
        },
        *std::move(message));
}

template <typename Message>
Result<Push> send_on(RingProducer& ring, const Message& message) {
    Result<Encoded> encoded = encode(message);
    if (!encoded) return fail(std::move(encoded).error());
    return ring.push(std::to_underlying(encoded->type), {encoded->head(), encoded->tail});
}

}  // namespace

EndpointCore::EndpointCore(const Layout& layout, unsigned worker, Side side)
    : data_in_(layout.ring(worker, data_in_of(side))),
      rpc_in_(layout.ring(worker, rpc_in_of(side))),
      data_out_(layout.ring(worker, data_out_of(side))),
      rpc_out_(layout.ring(worker, rpc_out_of(side))),
      own_bell_(side == Side::kTrusted ? layout.trusted_bell(worker) : layout.host_bell(worker)),
      other_bell_(side == Side::kTrusted ? layout.host_bell(worker) : layout.trusted_bell(worker)) {
}

bool EndpointCore::flush() {
    // Both rings of each kind are told of, so no `||` that would leave one out.
    bool published = data_out_.publish();
    published = rpc_out_.publish() || published;
    bool released = data_in_.release();
    released = rpc_in_.release() || released;
    if (published) return other_bell_.must_wake(RingReason::kPublished);
    return released && other_bell_.must_wake(RingReason::kReleased);
}

bool EndpointCore::has_work() const {
    return data_in_.has_input() || rpc_in_.has_input() || data_out_.room_was_given() ||
           rpc_out_.room_was_given();
}

std::optional<std::uint32_t> EndpointCore::announce_sleep() {
    bool starved = data_out_.is_starved() || rpc_out_.is_starved();
    std::uint32_t expected = own_bell_.announce(starved ? WaitFor::kInputOrSpace : WaitFor::kInput);
    if (has_work()) return std::nullopt;
    return expected;
}

void EndpointCore::awake() {
    own_bell_.awake();
    // Told once; else one who gives up on a full ring would keep this side from ever sleeping.
    if (data_out_.room_was_given()) data_out_.forget_starvation();
    if (rpc_out_.room_was_given()) rpc_out_.forget_starvation();
}

TrustedWorkerEndpoint::TrustedWorkerEndpoint(const Layout& layout, unsigned worker,
                                             TrustedSignals& signals)
    : core_(layout, worker, Side::kTrusted), signals_(signals), worker_(worker) {}

Result<std::optional<FromHostData>> TrustedWorkerEndpoint::receive_data() {
    return receive_from_host<FromHostData>(core_.data_in(), decode_data_to_trusted);
}

Result<std::optional<FromHostRpc>> TrustedWorkerEndpoint::receive_rpc() {
    return receive_from_host<FromHostRpc>(core_.rpc_in(), decode_rpc_to_trusted);
}

Result<Push> TrustedWorkerEndpoint::send(const DataToHost& message) {
    return send_on(core_.data_out(), message);
}

Result<Push> TrustedWorkerEndpoint::send(const RpcToHost& message) {
    return send_on(core_.rpc_out(), message);
}

void TrustedWorkerEndpoint::flush() {
    if (core_.flush()) signals_.notify(worker_);
}

HostWorkerEndpoint::HostWorkerEndpoint(const Layout& layout, unsigned worker, HostSignals& signals)
    : core_(layout, worker, Side::kHost), signals_(signals), worker_(worker) {}

Result<std::optional<DataToHost>> HostWorkerEndpoint::receive_data() {
    return receive<DataToHost>(core_.data_in(), decode_data_to_host);
}

Result<std::optional<RpcToHost>> HostWorkerEndpoint::receive_rpc() {
    return receive<RpcToHost>(core_.rpc_in(), decode_rpc_to_host);
}

Result<Push> HostWorkerEndpoint::send(const DataToTrusted& message) {
    return send_on(core_.data_out(), message);
}

Result<Push> HostWorkerEndpoint::send(const RpcToTrusted& message) {
    return send_on(core_.rpc_out(), message);
}

void HostWorkerEndpoint::flush() {
    if (core_.flush()) signals_.wake(worker_);
}

bool HostWorkerEndpoint::prepare_sleep() {
    flush();
    if (core_.announce_sleep()) return true;
    core_.awake();
    return false;
}

}  // namespace eos::boundary
