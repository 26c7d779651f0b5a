// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/event_log/event_log.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/json/json.h"

namespace eos::attestation::event_log {
namespace {

/// Of what is extended into the register for a run-time event.
Digest48 runtime_digest(std::string_view name, ByteView payload) {
    Writer covered;
    covered.u32le(kDstackRuntimeEvent).text(":").text(name).text(":").bytes(payload);
    return to_array<48>(crypto::hash(crypto::HashKind::kSha384, covered.view()));
}

Result<Event> parse_event(const json::Value& value, const std::string& path) {
    json::Object object = EOS_TRY(json::Object::of(value, path));
    Event event;
    event.rtmr = EOS_TRY(object.number("imr", kRtmrCount - 1));
    event.type = static_cast<std::uint32_t>(EOS_TRY(object.number("event_type", 0xffffffff)));
    const std::string digest = EOS_TRY(object.text("digest", kMaxEventBytes));
    const Bytes digest_bytes = EOS_TRY(from_hex(digest));
    // dstack leaves out what it can work out again.
    const bool is_left_out = digest_bytes.empty() && event.type == kDstackRuntimeEvent;
    if (!is_left_out && digest_bytes.size() != event.digest.size()) {
        return fail(bad_digest_size,
                    object.path("digest") + ": " + std::to_string(digest_bytes.size()) + " bytes");
    }
    event.name = EOS_TRY(object.text("event", kMaxEventNameBytes));
    const std::string payload = EOS_TRY(object.text("event_payload", kMaxLogBytes));
    if (payload.size() > 2 * kMaxEventBytes) {
        return fail(log_too_large, object.path("event_payload"));
    }
    event.data = EOS_TRY(from_hex(payload));
    EOS_TRY(object.finish());
    event.digest =
        is_left_out ? runtime_digest(event.name, event.data) : to_array<48>(digest_bytes);
    return event;
}

}  // namespace

Event policy_root_event(ByteView policy_root) {
    return {.rtmr = 3,
            .type = kDstackRuntimeEvent,
            .digest = runtime_digest(kPolicyRootEvent, policy_root),
            .name = std::string(kPolicyRootEvent),
            .data = to_bytes(policy_root)};
}

Result<EventLog> parse_runtime_log(ByteView text) {
    const json::Value list = EOS_TRY(json::parse(text, {.size_bytes = kMaxLogBytes, .depth = 3}));
    if (!list.is_array()) return fail(json::wrong_type, "the log is not a list");
    if (list.size() > kMaxEvents) {
        return fail(log_too_large, "more than " + std::to_string(kMaxEvents) + " events");
    }
    EventLog out;
    for (std::size_t i = 0; i < list.size(); ++i) {
        out.events.push_back(EOS_TRY(parse_event(list[i], json::element_path("event", i))));
    }
    return out;
}

std::string encode_runtime_log(const EventLog& log) {
    json::Value list = json::Value::array();
    for (const Event& event : log.events) {
        list.push_back({{"imr", event.rtmr},
                        {"event_type", event.type},
                        {"digest", hex(event.digest)},
                        {"event", event.name},
                        {"event_payload", hex(event.data)}});
    }
    return json::compact(list);
}

}  // namespace eos::attestation::event_log
