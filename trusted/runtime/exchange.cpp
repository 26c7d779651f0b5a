// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/exchange.h"

#include <utility>

#include "common/base/assert.h"

namespace eos::runtime {

ExchangeBackend* Exchange::backend() const {
    if (id_ == 0) return nullptr;
    const auto backend = backend_.lock();
    return backend ? *backend : nullptr;
}

Exchange& Exchange::operator=(Exchange&& other) noexcept {
    if (this != &other) {
        if (ExchangeBackend* target = backend()) target->dropped(id_);
        backend_ = std::move(other.backend_);
        id_ = std::exchange(other.id_, 0);
    }
    return *this;
}

Exchange::~Exchange() {
    if (ExchangeBackend* target = backend()) target->dropped(id_);
}

bool Exchange::is_open() const {
    const ExchangeBackend* target = backend();
    return target != nullptr && target->is_open(id_);
}

Result<void> Exchange::start(const http::ResponseHead& head, http::BodySize body) {
    ExchangeBackend* target = backend();
    return target == nullptr ? Result<void>{} : target->start(id_, head, body);
}

std::size_t Exchange::write(ByteView bytes) {
    ExchangeBackend* target = backend();
    return target == nullptr ? bytes.size() : target->write(id_, bytes);
}

Result<void> Exchange::tunnel(const http::ResponseHead& head) {
    ExchangeBackend* target = backend();
    return target == nullptr ? Result<void>{} : target->tunnel(id_, head);
}

void Exchange::finish() {
    EOS_ASSERT(finish(http::Headers()).has_value());
}

Result<void> Exchange::finish(const http::Headers& trailers) {
    ExchangeBackend* target = backend();
    return target == nullptr ? Result<void>{} : target->finish(id_, trailers);
}

Result<void> Exchange::respond(const http::ResponseHead& head, Bytes body) {
    ExchangeBackend* target = backend();
    return target == nullptr ? Result<void>{} : target->respond(id_, head, std::move(body));
}

void Exchange::abort() {
    if (ExchangeBackend* target = backend()) target->abort(id_);
}

void Exchange::resume_body() {
    if (ExchangeBackend* target = backend()) target->resume_body(id_);
}

Result<void> check_addressed(const http::RequestHead& head, const ConnectionInfo& connection) {
    if (head.scheme == http::Scheme::kHttp) {
        return fail(misdirected_request, "the scheme is not https");
    }
    if (connection.server_name.empty()) return {};
    const http::Authority& authority = head.authority;
    if (authority.kind == http::Authority::Kind::kDnsName) {
        if (authority.host == connection.server_name) return {};
    } else if (!connection.sent_server_name && connection.kind == NameKind::kPlatform) {
        return {};
    }
    return fail(misdirected_request);
}

}  // namespace eos::runtime
