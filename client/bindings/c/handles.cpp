// SPDX-License-Identifier: AGPL-3.0-only
#include "client/bindings/c/handles.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "client/http_exchange.h"

using eos::attestation::appraise::AttestationResult;

static_assert(EOS_OK == eos::attestation::appraise::kExitAccepted);
static_assert(EOS_ACCEPTED_EMULATED == eos::attestation::appraise::kExitAcceptedEmulated);
static_assert(EOS_NOT_GENUINE == eos::attestation::appraise::kExitNotGenuine);
static_assert(EOS_NOT_BOUND == eos::attestation::appraise::kExitNotBound);
static_assert(EOS_NOT_ACCEPTABLE == eos::attestation::appraise::kExitNotAcceptable);
static_assert(EOS_INCOMPLETE == eos::attestation::appraise::kExitIncomplete);
static_assert(EOS_OLD_STATE == eos::attestation::appraise::kExitOldState);

eos_verdict::eos_verdict(const AttestationResult& result)
    : status(result.exit_code()),
      summary(result.summary()),
      text(result.text()),
      json(eos::json::compact(result.to_json())) {}

namespace eos::client::bindings::c {
namespace {

constexpr std::size_t kMaxNameBytes = 253;

/// What a code means for the caller, and what to do.
struct Advice {
    Code code;
    int status;
    const char* text;
};

const std::array kAdvice{
    Advice{bad_argument, EOS_E_ARGUMENT, "see enclaveos_verify.h"},
    Advice{internal, EOS_E_INTERNAL, "if memory is not short, please report it"},
    Advice{connect_failed, EOS_E_CONNECTION,
           "check host and port, and that the server runs and can be reached from here"},
    Advice{connection_lost, EOS_E_CONNECTION,
           "connect again; what was read so far may be incomplete"},
    Advice{timed_out, EOS_E_TIMEOUT,
           "allow more time: a challenge waits for a fresh quote; else check server and network"},
    Advice{handshake_failed, EOS_E_CONNECTION,
           "check server_name, and that an Enclave OS server listens there: TLS 1.3 is needed"},
    Advice{name_unknown, EOS_E_CONNECTION, "check server_name"},
    Advice{challenge_limited, EOS_E_CONNECTION, "it was tried again within timeout_ms"},
    Advice{mode_unsupported, EOS_E_CONNECTION,
           "choose another mode (EOS_MODE_CHALLENGE), if that is enough for you"},
    Advice{bad_response, EOS_E_CONNECTION, "check that an Enclave OS server listens there"},
    Advice{server_unready, EOS_E_CONNECTION, "try again when it is ready"},
    Advice{ratls::bad_credential, EOS_E_INPUT,
           "give the client certificate's chain, leaf first, and the P-256 key of that leaf"},
    Advice{ratls::tls_setup_failed, EOS_E_ARGUMENT,
           "give a DNS name as server_name, or none to reach an address without SNI"},
};

const Advice* advice_for(const Code& code) {
    for (const Advice& row : kAdvice) {
        if (row.code == code) return &row;
    }
    return nullptr;
}

}  // namespace

Result<ByteView> Buffer::view() const {
    if (data == nullptr || size == 0) return fail(bad_argument, std::string(name) + " is empty");
    if (size > SIZE_MAX / 2) return fail(bad_argument, std::string(name) + ": impossible size");
    return ByteView(static_cast<const std::byte*>(data), size);
}

Result<UnixTime> checked_time(std::int64_t seconds) {
    if (seconds < 1 || seconds > kMaxTime) {
        return fail(bad_argument, "time: seconds since 1970, up to the year 9999");
    }
    return UnixTime{seconds};
}

Result<Deadline> checked_deadline(std::uint32_t timeout_ms) {
    if (timeout_ms == 0 || timeout_ms > kMaxTimeout_ms) {
        return fail(bad_argument, "timeout_ms: 1 to 3,600,000");
    }
    return std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
}

Result<std::string> checked_name(const char* text, const char* name) {
    if (text == nullptr) return std::string();
    std::size_t size = ::strnlen(text, kMaxNameBytes + 1);
    if (size > kMaxNameBytes) return fail(bad_argument, std::string(name) + " is too long");
    return std::string(text, size);
}

int report(const Error& why, eos_error** error) noexcept {
    // What is neither the call nor the connection is something the caller handed in.
    const Advice* advice = advice_for(why.code());
    int status = advice == nullptr ? EOS_E_INPUT : advice->status;
    if (error == nullptr) return status;
    try {
        std::string message = why.message();
        if (advice != nullptr) message += "; " + std::string(advice->text);
        std::string code = std::string(why.code().library) + "/" + std::string(why.code().name);
        *error = new eos_error{status, std::move(code), std::move(message)};
    } catch (...) {
        *error = nullptr;  // no memory to say so: the status has to do
    }
    return status;
}

}  // namespace eos::client::bindings::c

uint32_t eos_verify_abi_version(void) {
    return EOS_VERIFY_ABI_VERSION;
}

int eos_error_status(const eos_error* error) {
    return error == nullptr ? EOS_E_ARGUMENT : error->status;
}

const char* eos_error_code(const eos_error* error) {
    return error == nullptr ? "" : error->code.c_str();
}

const char* eos_error_message(const eos_error* error) {
    return error == nullptr ? "" : error->message.c_str();
}

void eos_error_destroy(eos_error* error) {
    delete error;
}

int eos_verdict_status(const eos_verdict* verdict) {
    return verdict == nullptr ? EOS_E_ARGUMENT : verdict->status;
}

const char* eos_verdict_summary(const eos_verdict* verdict) {
    return verdict == nullptr ? "" : verdict->summary.c_str();
}

const char* eos_verdict_text(const eos_verdict* verdict) {
    return verdict == nullptr ? "" : verdict->text.c_str();
}

const char* eos_verdict_json(const eos_verdict* verdict) {
    return verdict == nullptr ? "" : verdict->json.c_str();
}

void eos_verdict_destroy(eos_verdict* verdict) {
    delete verdict;
}
