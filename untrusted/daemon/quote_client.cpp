// SPDX-License-Identifier: AGPL-3.0-only
#include "untrusted/daemon/quote_client.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "common/base/assert.h"
#include "untrusted/daemon/system_error.h"

namespace eos::daemon {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

milliseconds time_left(Deadline deadline) {
    auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    return std::clamp(left, milliseconds(0), milliseconds(1 << 30));
}

/// A connection to the source, its deadline, and what cancels it.
class Conversation {
  public:
    Conversation(int cancelled_fd, Deadline deadline)
        : cancelled_fd_(cancelled_fd), deadline_(deadline) {}

    Result<void> connect(const std::string& path);
    Result<void> send_all(ByteView bytes);
    Result<void> receive_all(MutableByteView out);

  private:
    enum class OnTimeout { kFail, kGoOn };
    Result<void> wait(short events, milliseconds at_most, OnTimeout on_timeout) const;
    Result<void> wait_ready(short events) const {
        return wait(events, time_left(deadline_), OnTimeout::kFail);
    }

    UniqueFd fd_;
    int cancelled_fd_;
    Deadline deadline_;
};

Result<void> Conversation::wait(short events, milliseconds at_most, OnTimeout on_timeout) const {
    std::array<pollfd, 2> entries{pollfd{.fd = cancelled_fd_, .events = POLLIN, .revents = 0},
                                  pollfd{.fd = fd_.get(), .events = events, .revents = 0}};
    int ready = ::poll(entries.data(), entries.size(), static_cast<int>(at_most.count()));
    if (ready < 0 && errno != EINTR) {
        return fail(quote_source_unreachable, system_error_text("poll"));
    }
    if (ready > 0 && entries[0].revents != 0) return fail(quote_cancelled);
    if (ready == 0 && on_timeout == OnTimeout::kFail) return fail(quote_timed_out);
    return {};
}

Result<sockaddr_un> socket_address(const std::string& path, socklen_t& size) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return fail(quote_source_unreachable, "a socket path has 1 to " +
                                                  std::to_string(sizeof(address.sun_path) - 1) +
                                                  " characters");
    }
    std::ranges::copy(path, address.sun_path);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    if (path.front() == '@') {
        address.sun_path[0] = '\0';  // an abstract name has no terminator
    } else {
        ++size;
    }
    return address;
}

Result<void> Conversation::connect(const std::string& path) {
    constexpr milliseconds kBacklogPause{5};
    EOS_TRY(wait(0, milliseconds(0), OnTimeout::kGoOn));  // cancelled already?
    socklen_t size = 0;
    sockaddr_un address = EOS_TRY(socket_address(path, size));
    fd_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd_) return fail(quote_source_unreachable, system_error_text("socket"));
    while (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
        if (errno == EINTR) continue;
        // EAGAIN on a Unix socket: the source's backlog is full, and there is nothing to poll for.
        if (errno != EAGAIN) return fail(quote_source_unreachable, system_error_text("connect"));
        if (time_left(deadline_) == milliseconds(0)) return fail(quote_timed_out, "backlog full");
        EOS_TRY(wait(0, kBacklogPause, OnTimeout::kGoOn));
    }
    return {};
}

Result<void> Conversation::send_all(ByteView bytes) {
    while (!bytes.empty()) {
        ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN) {
            EOS_TRY(wait_ready(POLLOUT));
        } else if (errno != EINTR) {
            return fail(quote_source_unreachable, system_error_text("send"));
        }
    }
    return {};
}

Result<void> Conversation::receive_all(MutableByteView out) {
    while (!out.empty()) {
        ssize_t got = ::recv(fd_.get(), out.data(), out.size(), 0);
        if (got > 0) {
            out = out.subspan(static_cast<std::size_t>(got));
        } else if (got == 0) {
            return fail(quote_source_protocol, "the connection was closed before the answer ended");
        } else if (errno == EAGAIN) {
            EOS_TRY(wait_ready(POLLIN));
        } else if (errno != EINTR) {
            return fail(quote_source_unreachable, system_error_text("receive"));
        }
    }
    return {};
}

std::unexpected<Error> refusal(aesm::Status status) {
    const auto number = std::to_string(static_cast<std::uint32_t>(status));
    return fail(quote_refused, "aesm error " + number);
}

}  // namespace

QuoteClient::QuoteClient(std::string socket_path)
    : socket_path_(std::move(socket_path)), cancelled_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    EOS_ASSERT(cancelled_.valid());
}

void QuoteClient::cancel() {
    const std::uint64_t one = 1;
    EOS_ASSERT(::write(cancelled_.get(), &one, sizeof(one)) == sizeof(one));
}

Result<aesm::Response> QuoteClient::exchange(const aesm::Request& request,
                                             Deadline deadline) const {
    Conversation source(cancelled_.get(), deadline);
    EOS_TRY(source.connect(socket_path_));
    EOS_TRY(source.send_all(aesm::encode(request)));
    ByteArray<aesm::kLengthBytes> field{};
    EOS_TRY(source.receive_all(field));
    auto size = aesm::parse_length(field);
    if (!size) return fail(quote_source_protocol, size.error().message());
    Bytes message(*size);
    EOS_TRY(source.receive_all(message));
    auto response = aesm::parse_response(message);
    if (!response) return fail(quote_source_protocol, response.error().message());
    return *std::move(response);
}

template <typename Response>
Result<Response> QuoteClient::call(const aesm::Request& request, Deadline deadline) const {
    auto answer = exchange(request, deadline);
    if (!answer) return fail(std::move(answer).error().within(socket_path_));
    if (auto* response = std::get_if<Response>(&*answer)) return std::move(*response);
    return fail(quote_source_protocol, socket_path_ + ": the answer belongs to another request");
}

Result<ByteArray<aesm::kTargetInfoBytes>> QuoteClient::target_info(Deadline deadline) {
    aesm::InitQuoteRequest request;
    request.att_key_id = to_bytes(aesm::ecdsa_p256_att_key_id());
    request.timeout_ms = static_cast<std::uint32_t>(time_left(deadline).count());
    auto response = EOS_TRY(call<aesm::InitQuoteResponse>(request, deadline));
    if (response.status != aesm::Status::kSuccess) {
        return fail(std::move(refusal(response.status)).error().within(socket_path_));
    }
    if (response.target_info.size() != aesm::kTargetInfoBytes) {
        return fail(quote_source_protocol, socket_path_ + ": target info of " +
                                               std::to_string(response.target_info.size()) +
                                               " bytes, expected 512");
    }
    return to_array<aesm::kTargetInfoBytes>(response.target_info);
}

Result<std::uint32_t> QuoteClient::quote_size(Deadline deadline) {
    if (quote_size_) return *quote_size_;
    aesm::QuoteSizeRequest request;
    request.att_key_id = to_bytes(aesm::ecdsa_p256_att_key_id());
    request.timeout_ms = static_cast<std::uint32_t>(time_left(deadline).count());
    auto response = EOS_TRY(call<aesm::QuoteSizeResponse>(request, deadline));
    if (response.status == aesm::Status::kAttKeyNotInitialised) {
        EOS_TRY(target_info(deadline));
        response = EOS_TRY(call<aesm::QuoteSizeResponse>(request, deadline));
    }
    if (response.status != aesm::Status::kSuccess) {
        return fail(std::move(refusal(response.status)).error().within(socket_path_));
    }
    if (response.quote_size == 0 || response.quote_size > kMaxQuoteBytes) {
        return fail(quote_source_protocol, socket_path_ + ": announces a quote of " +
                                               std::to_string(response.quote_size) + " bytes");
    }
    quote_size_ = response.quote_size;
    return *quote_size_;
}

Result<Bytes> QuoteClient::quote(const ByteArray<aesm::kReportBytes>& report, Deadline deadline) {
    aesm::QuoteRequest request;
    request.report = to_bytes(report);
    request.att_key_id = to_bytes(aesm::ecdsa_p256_att_key_id());
    request.buf_size = EOS_TRY(quote_size(deadline));
    request.timeout_ms = static_cast<std::uint32_t>(time_left(deadline).count());
    auto response = EOS_TRY(call<aesm::QuoteResponse>(request, deadline));
    if (response.status == aesm::Status::kAttKeyNotInitialised) {  // the source was restarted
        EOS_TRY(target_info(deadline));
        response = EOS_TRY(call<aesm::QuoteResponse>(request, deadline));
    }
    if (response.status != aesm::Status::kSuccess) {
        quote_size_.reset();
        return fail(std::move(refusal(response.status)).error().within(socket_path_));
    }
    if (response.quote.empty() || response.quote.size() > kMaxQuoteBytes) {
        return fail(quote_source_protocol, socket_path_ + ": returned a quote of " +
                                               std::to_string(response.quote.size()) + " bytes");
    }
    return std::move(response.quote);
}

}  // namespace eos::daemon
