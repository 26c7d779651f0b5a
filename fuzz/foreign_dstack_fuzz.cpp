// SPDX-License-Identifier: AGPL-3.0-only
// dstack's attestation. What is read is whole: a byte less or more is refused, evidence and events
// are what their own parsers take, and the attestation says so a second time.
#include <cstdint>

#include "common/attestation/evidence/quote.h"
#include "common/base/assert.h"
#include "common/ratls/foreign_dstack.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace eos;
    namespace event_log = attestation::event_log;
    if (size > ratls::kMaxForeignEvidenceBytes) return 0;
    Bytes in = to_bytes(std::as_bytes(std::span(data, size)));
    const Result<ratls::DstackAttestation> found = ratls::read_dstack_attestation(in);
    if (!found) {
        EOS_ASSERT(found.error().code() == ratls::bad_foreign_leaf ||
                   found.error().code() == ratls::unread_foreign_evidence);
        return 0;
    }
    EOS_ASSERT(attestation::evidence::parse_evidence(found->evidence).has_value());
    std::size_t content = found->evidence.size();
    for (const Bytes& one : found->certificates) content += one.size();
    if (found->runtime_log.has_value()) {
        for (const event_log::Event& event : found->runtime_log->events) {
            EOS_ASSERT(event.rtmr == 3 && content_of(event) == event_log::Content::verified);
            content += event.name.size() + event.data.size();
        }
    }
    EOS_ASSERT(content < size);
    EOS_ASSERT(!ratls::read_dstack_attestation(ByteView(in).first(size - 1)));
    in.push_back({});
    EOS_ASSERT(!ratls::read_dstack_attestation(in));
    return 0;
}
