// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/host_services.h"

#include <algorithm>
#include <utility>

namespace eos::daemon {

using boundary::Failed;
using boundary::Reply;
using boundary::RequestHead;

namespace {

Failed::Why why_of(const Error& error) {
    const Code& code = error.code();
    if (code == service_busy) return Failed::Why::kOverloaded;
    if (code == quote_timed_out) return Failed::Why::kTimedOut;
    if (code == quote_source_unreachable || code == quote_cancelled) {
        return Failed::Why::kUnavailable;
    }
    if (code == quote_source_protocol || code == quote_refused) return Failed::Why::kQuoting;
    return Failed::Why::kStorage;
}

Deadline deadline_of(const RequestHead& head) {
    return std::chrono::steady_clock::now() +
           std::min(Milliseconds(head.deadline_ms), HostServices::kMaxWait);
}

}  // namespace

template <typename T, typename Convert>
Done<T> HostServices::reply_with(Service service, const RequestHead& head, Answer answer,
                                 Convert convert) {
    // On the service's thread only the mailbox is touched: this object may be gone by then.
    return [this, &mailbox = p_.mailbox, service, id = head.request_id, answer = std::move(answer),
            convert](Result<T> outcome) mutable {
        mailbox.post([this, service, id, answer = std::move(answer), convert,
                      outcome = std::move(outcome)]() mutable {
            Result<Body> body = [&]() -> Result<Body> {
                if constexpr (std::is_void_v<T>) {
                    EOS_TRY(std::move(outcome));
                    return convert();
                } else {
                    return convert(EOS_TRY(std::move(outcome)));
                }
            }();
            if (body) note(service, {});
            answer(Reply{id, body ? *std::move(body) : failed(service, body.error())});
        });
    };
}

void HostServices::serve(boundary::BlobGet request, Answer answer) {
    ++p_.counters.storage_requests;
    auto convert = [](std::optional<Bytes> value) -> Result<Body> {
        if (value && value->size() > boundary::kMaxValueBytes) {
            return fail(storage_corrupt, "a value that this program cannot have written");
        }
        return boundary::BlobValue{std::move(value)};
    };
    p_.blobs.submit(BlobGetJob{std::move(request.key),
                               reply_with<std::optional<Bytes>>(Service::kReading, request.head,
                                                                std::move(answer), convert)});
}

void HostServices::serve(boundary::BlobList request, Answer answer) {
    ++p_.counters.storage_requests;
    auto convert = [](std::vector<std::string> keys) -> Result<Body> {
        const bool fit = std::ranges::all_of(keys, [](const std::string& key) {
            return !key.empty() && key.size() <= boundary::kMaxKeyBytes;
        });
        if (!fit) return fail(storage_corrupt, "a key that this program cannot have written");
        return boundary::BlobKeys{std::move(keys)};
    };
    p_.blobs.submit(BlobListJob{KeyRange{.prefix = std::move(request.prefix),
                                         .after = std::move(request.after),
                                         .max_keys = boundary::kMaxKeysPerPage},
                                reply_with<std::vector<std::string>>(
                                    Service::kReading, request.head, std::move(answer), convert)});
}

void HostServices::serve(boundary::BlobWriteBatch request, Answer answer) {
    ++p_.counters.storage_requests;
    using Wire = boundary::BlobWriteBatch::Durability;
    BlobBatch batch{.changes = {},
                    .durability = request.durability == Wire::kSynced ? Durability::kSynced
                                                                      : Durability::kBuffered};
    batch.changes.reserve(request.writes.size());
    for (auto& write : request.writes) {
        batch.changes.push_back({std::move(write.key), std::move(write.value)});
    }
    auto convert = []() -> Result<Body> { return boundary::Done{}; };
    p_.blobs.submit(BlobWriteJob{std::move(batch), reply_with<void>(Service::kWriting, request.head,
                                                                    std::move(answer), convert)});
}

void HostServices::serve(const boundary::TargetInfoRequest& request, Answer answer) {
    ++p_.counters.quote_requests;
    auto convert = [](const ByteArray<aesm::kTargetInfoBytes>& info) -> Result<Body> {
        return boundary::TargetInfoReply{info};
    };
    p_.quotes.submit(
        TargetInfoJob{deadline_of(request.head),
                      reply_with<ByteArray<aesm::kTargetInfoBytes>>(Service::kQuoting, request.head,
                                                                    std::move(answer), convert)});
}

void HostServices::serve(const boundary::QuoteRequest& request, Answer answer) {
    ++p_.counters.quote_requests;
    auto convert = [](Bytes quote) -> Result<Body> {
        return boundary::QuoteReply{std::move(quote)};
    };
    p_.quotes.submit(
        QuoteJob{request.report, deadline_of(request.head),
                 reply_with<Bytes>(Service::kQuoting, request.head, std::move(answer), convert)});
}

HostServices::Body HostServices::failed(Service service, const Error& error) {
    if (error.code() == service_busy) {
        ++p_.counters.overloaded_replies;
    } else {
        ++(service == Service::kQuoting ? p_.counters.quote_failures
                                        : p_.counters.storage_failures);
        note(service, error.message());
    }
    return Failed{why_of(error)};
}

std::string& HostServices::trouble_of(Service service) {
    switch (service) {
        case Service::kReading:
            return p_.health.reading_trouble;
        case Service::kWriting:
            return p_.health.writing_trouble;
        case Service::kQuoting:
            return p_.health.quoting_trouble;
    }
    std::unreachable();
}

void HostServices::note(Service service, std::string trouble) {
    const bool storage = service != Service::kQuoting;
    std::string& known = trouble_of(service);
    if (known == trouble) return;  // one line for each change, not for each request
    if (trouble.empty()) {
        p_.log.info(storage ? "storage_recovered" : "quoting_recovered", "works again");
    } else {
        p_.log.error(storage ? "storage_failed" : "quoting_failed", trouble);
    }
    known = std::move(trouble);
}

}  // namespace eos::daemon
