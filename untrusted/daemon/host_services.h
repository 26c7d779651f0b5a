// SPDX-License-Identifier: AGPL-3.0-only
#pragma once

#include <functional>

#include "boundary/messages.h"
#include "untrusted/daemon/blob_service.h"
#include "untrusted/daemon/counters.h"
#include "untrusted/daemon/health.h"
#include "untrusted/daemon/log.h"
#include "untrusted/daemon/mailbox.h"
#include "untrusted/daemon/quote_service.h"

namespace eos::daemon {

/// Does what the trusted side asks of its host: blobs and quotes. The work is done on the services'
/// threads; the answer comes back to the loop's. threads: the loop's.
class HostServices {
  public:
    /// Hands an answer over; called on the loop's thread, at most once, maybe after the asker died.
    using Answer = std::move_only_function<void(boundary::Reply)>;

    /// A longer wait than this is not granted to anyone.
    static constexpr Milliseconds kMaxWait{120'000};

    struct Parts {
        BlobService& blobs;
        QuoteService& quotes;
        Mailbox& mailbox;
        Counters& counters;
        Health& health;
        const Log& log;
    };
    /// All parts must outlive this; the services must die before the mailbox.
    explicit HostServices(const Parts& parts) : p_(parts) {}

    void serve(boundary::BlobGet request, Answer answer);
    void serve(boundary::BlobList request, Answer answer);
    void serve(boundary::BlobWriteBatch request, Answer answer);
    void serve(const boundary::TargetInfoRequest& request, Answer answer);
    void serve(const boundary::QuoteRequest& request, Answer answer);

  private:
    using Body = decltype(boundary::Reply::body);
    /// Reading and writing fail apart: what is on a full disk can be read.
    enum class Service { kReading, kWriting, kQuoting };

    /// What a service's thread calls when a job is done: carries the outcome to the loop, turns it
    /// into a reply and keeps health and counters.
    template <typename T, typename Convert>
    Done<T> reply_with(Service service, const boundary::RequestHead& head, Answer answer,
                       Convert convert);
    template <typename Store, typename Job>
    void submit(Store& store, Job job, Service service);
    Body failed(Service service, const Error& error);
    std::string& trouble_of(Service service);
    void note(Service service, std::string trouble);

    Parts p_;
};

}  // namespace eos::daemon
