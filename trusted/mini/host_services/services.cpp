// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/host_services/services.h"

#include "common/attestation/evidence/quote.h"
#include "common/base/assert.h"
#include "common/crypto/random.h"
#include "common/sgx_arch/report.h"
#include "trusted/runtime/sealed_store.h"

namespace eos::mini {
namespace {

constexpr std::uint32_t kBlobDeadlineMs = 30'000;
constexpr std::uint32_t kQuoteDeadlineMs = 15'000;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNsPerMs = 1'000'000;

// A returned quote is used only if its report body equals the report that was sent.
Result<Bytes> check_quote(Bytes quote, const platform::Report& sent) {
    using attestation::evidence::SgxQuote;
    Result<attestation::evidence::Evidence> parsed = attestation::evidence::parse_quote(quote);
    if (!parsed) return fail(host_misbehaved, "not a quote: " + parsed.error().message());
    const SgxQuote* sgx = std::get_if<SgxQuote>(&parsed->quote());
    if (sgx == nullptr ||
        !equal(sgx->report_bytes(), ByteView(sent).first(sgx_arch::kReportBodyBytes))) {
        return fail(host_misbehaved, "the quote is about another report");
    }
    return quote;
}

// A host that answers with another thing than was asked for is not one to ask again.
Error storage_error(Error error) {
    const Code& code = error.code() == host_misbehaved ? runtime::storage_misbehaved
                                                       : runtime::storage_unavailable;
    return Error(code, error.message());
}

}  // namespace

UnixTime HostClock::now() const {
    return {static_cast<std::int64_t>(clock_.wall_ns() / kNsPerSecond)};
}
std::uint64_t HostClock::monotonic_ms() const {
    return clock_.monotonic_ns() / kNsPerMs;
}

void EnclaveRandom::fill(MutableByteView out) {
    crypto::fill_random(out);
}

void HostBlobStore::get(std::string key, runtime::Done<std::optional<Bytes>> done) {
    calls_.call(boundary::BlobGet{{}, std::move(key)}, kBlobDeadlineMs,
                [done = std::move(done)](Result<HostCalls::Body> outcome) mutable {
                    auto answer = expect_answer<boundary::BlobValue>(std::move(outcome));
                    if (!answer) return done(fail(storage_error(std::move(answer).error())));
                    done(std::move(answer->value));
                });
}

void HostBlobStore::list(runtime::BlobListRequest request,
                         runtime::Done<std::vector<std::string>> done) {
    calls_.call(boundary::BlobList{{}, std::move(request.prefix), std::move(request.after)},
                kBlobDeadlineMs, [done = std::move(done)](Result<HostCalls::Body> outcome) mutable {
                    auto answer = expect_answer<boundary::BlobKeys>(std::move(outcome));
                    if (!answer) return done(fail(storage_error(std::move(answer).error())));
                    done(std::move(answer->keys));
                });
}

void HostBlobStore::write(std::vector<runtime::BlobWrite> batch, runtime::Durability durability,
                          runtime::Done<void> done) {
    using Batch = boundary::BlobWriteBatch;
    EOS_ASSERT(!batch.empty() && batch.size() <= runtime::kMaxBlobBatch);
    Batch message;
    message.durability = durability == runtime::Durability::kSynced ? Batch::Durability::kSynced
                                                                    : Batch::Durability::kBuffered;
    for (runtime::BlobWrite& write : batch) {
        message.writes.push_back({std::move(write.key), std::move(write.value)});
    }
    calls_.call(std::move(message), kBlobDeadlineMs,
                [done = std::move(done)](Result<HostCalls::Body> outcome) mutable {
                    auto answer = expect_answer<boundary::Done>(std::move(outcome));
                    if (!answer) return done(fail(storage_error(std::move(answer).error())));
                    done({});
                });
}

void SgxEvidenceSource::request(const ratls::ReportData& report_data, runtime::Done<Bytes> done) {
    if (target_) return quote(report_data, std::move(done));
    calls_.call(
        boundary::TargetInfoRequest{}, kQuoteDeadlineMs,
        [this, report_data, done = std::move(done)](Result<HostCalls::Body> outcome) mutable {
            auto answer = expect_answer<boundary::TargetInfoReply>(std::move(outcome));
            if (!answer) return done(fail(std::move(answer).error()));
            target_ = answer->target_info;
            quote(report_data, std::move(done));
        });
}

void SgxEvidenceSource::quote(const ratls::ReportData& report_data, runtime::Done<Bytes> done) {
    auto made = platform_.report(*target_, report_data.bytes());
    if (!made) {  // the host's target info was no good: ask for it again next time
        target_.reset();
        return done(fail(std::move(made).error()));
    }
    platform::Report report = *made;
    calls_.call(boundary::QuoteRequest{{}, report}, kQuoteDeadlineMs,
                [this, report, done = std::move(done)](Result<HostCalls::Body> outcome) mutable {
                    auto answer = expect_answer<boundary::QuoteReply>(std::move(outcome));
                    Result<Bytes> checked = answer ? check_quote(std::move(answer->quote), report)
                                                   : Result<Bytes>(fail(std::move(answer).error()));
                    if (!checked) target_.reset();
                    done(std::move(checked));
                });
}

}  // namespace eos::mini
