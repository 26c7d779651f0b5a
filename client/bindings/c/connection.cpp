// SPDX-License-Identifier: AGPL-3.0-only
#include <algorithm>
#include <cstring>

#include "client/bindings/c/handles.h"

namespace eos::client::bindings::c {
namespace {

Result<Target> target_of(const eos_verifier& verifier, const eos_endpoint& endpoint) {
    if (endpoint.struct_size != sizeof(eos_endpoint)) {
        return fail(bad_argument, "endpoint: struct_size is not this library's");
    }
    Target target = verifier.target;
    target.address.host = EOS_TRY(checked_name(endpoint.host, "host"));
    if (target.address.host.empty() || endpoint.port == 0) {
        return fail(bad_argument, "endpoint: host or port is missing");
    }
    target.address.port = endpoint.port;
    target.server_name = EOS_TRY(checked_name(endpoint.server_name, "server_name"));
    switch (endpoint.mode) {
        case EOS_MODE_EXPORTER:
            target.mode = BindingMode::kExporter;
            return target;
        case EOS_MODE_CHALLENGE:
            target.mode = BindingMode::kChallenge;
            return target;
        case EOS_MODE_DETERMINISTIC:
            target.mode = BindingMode::kDeterministic;
            return target;
        default:
            return fail(bad_argument, "endpoint: no such mode");
    }
}

}  // namespace
}  // namespace eos::client::bindings::c

using namespace eos;                       // NOLINT(google-build-using-namespace)
using namespace eos::client;               // NOLINT(google-build-using-namespace)
using namespace eos::client::bindings::c;  // NOLINT(google-build-using-namespace)

int eos_connect(const eos_verifier* verifier, const eos_endpoint* endpoint, int64_t time,
                eos_connection** connection, eos_verdict** verdict, eos_error** error) {
    if (connection != nullptr) *connection = nullptr;
    if (verdict != nullptr) *verdict = nullptr;
    return guarded(error, [&]() -> Result<int> {
        if (verifier == nullptr || endpoint == nullptr || connection == nullptr) {
            return fail(bad_argument, "verifier, endpoint or connection is NULL");
        }
        Target target = EOS_TRY(target_of(*verifier, *endpoint));
        target.now = EOS_TRY(checked_time(time));
        Deadline deadline = EOS_TRY(checked_deadline(endpoint->timeout_ms));
        target.endorsements = EOS_TRY(endorsements_of(*verifier));
        staple(target, verifier->stapling, deadline);
        AppraisedConnection opened = EOS_TRY(AppraisedConnection::open(target, deadline));
        if (!is_stapled(target.endorsements)) EOS_TRY(learn(*verifier, opened.verdict));
        auto explained = std::make_unique<eos_verdict>(opened.verdict);
        int status = explained->status;
        if (opened.channel) *connection = new eos_connection{std::move(opened.channel), {}};
        if (verdict != nullptr) *verdict = explained.release();
        return status;
    });
}

int eos_connection_read(eos_connection* connection, void* buffer, size_t size, size_t* count,
                        uint32_t timeout_ms, eos_error** error) {
    if (count != nullptr) *count = 0;
    return guarded(error, [&]() -> Result<int> {
        if (connection == nullptr || buffer == nullptr || size == 0 || count == nullptr) {
            return fail(bad_argument, "connection, buffer, size or count is missing");
        }
        Deadline deadline = EOS_TRY(checked_deadline(timeout_ms));
        if (connection->taken == connection->received.size()) {
            connection->received = EOS_TRY(connection->channel->receive(deadline));
            connection->taken = 0;
        }
        *count = std::min(size, connection->received.size() - connection->taken);
        if (*count == 0) return EOS_OK;  // the end: nothing to copy from
        std::memcpy(buffer, connection->received.data() + connection->taken, *count);
        connection->taken += *count;
        return EOS_OK;
    });
}

int eos_connection_write(eos_connection* connection, const void* bytes, size_t size,
                         uint32_t timeout_ms, eos_error** error) {
    return guarded(error, [&]() -> Result<int> {
        if (connection == nullptr) return fail(bad_argument, "connection is NULL");
        Deadline deadline = EOS_TRY(checked_deadline(timeout_ms));
        ByteView rest = EOS_TRY((Buffer{bytes, size, "bytes"}.view()));
        // In parts: the channel holds what it was given, encrypted, until it is sent.
        constexpr std::size_t kPartBytes = 64 * 1024;
        while (!rest.empty()) {
            ByteView part = rest.first(std::min(kPartBytes, rest.size()));
            EOS_TRY(connection->channel->send(part, deadline));
            rest = rest.subspan(part.size());
        }
        return EOS_OK;
    });
}

const void* eos_connection_certificate(const eos_connection* connection, size_t* size) {
    if (connection == nullptr || size == nullptr) return nullptr;
    const Bytes& leaf = connection->channel->chain().front();
    *size = leaf.size();
    return leaf.data();
}

void eos_connection_close(eos_connection* connection) {
    if (connection == nullptr) return;
    connection->channel->close();
    delete connection;
}
