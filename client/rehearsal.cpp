// SPDX-License-Identifier: AGPL-3.0-only
#include "client/rehearsal.h"

#include <algorithm>

#include "client/foreign_evidence.h"
#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::client {
namespace {

using attestation::appraise::AttestationResult;
using attestation::appraise::Policy;
using attestation::endorsements::Endorsements;
using attestation::endorsements::Piece;
using attestation::endorsements::PieceDates;

constexpr std::size_t kMaxEvents = 64;
constexpr std::size_t kMaxTextBytes = 512;

Result<snp_arch::Tcb> parse_tcb(const json::Value& value, std::string place) {
    json::Object object = EOS_TRY(json::Object::of(value, std::move(place)));
    auto part = [&object](std::string_view name) -> Result<std::uint8_t> {
        return static_cast<std::uint8_t>(EOS_TRY(object.number(name, 0xff)));
    };
    snp_arch::Tcb out;
    if (object.find("fmc") != nullptr) out.fmc = EOS_TRY(part("fmc"));
    out.boot_loader = EOS_TRY(part("boot_loader"));
    out.tee = EOS_TRY(part("tee"));
    out.snp = EOS_TRY(part("snp"));
    out.microcode = EOS_TRY(part("microcode"));
    EOS_TRY(object.finish());
    return out;
}

Result<std::map<snp_arch::Product, snp_arch::Tcb>> parse_min_tcb(json::Object& event) {
    std::map<snp_arch::Product, snp_arch::Tcb> out;
    const json::Value* value = event.find("snp_min_tcb");
    if (value == nullptr) return out;
    const std::string place = event.path("snp_min_tcb");
    if (!value->is_object()) return fail(bad_drill, place);
    for (const auto& [name, tcb] : value->items()) {
        auto product = attestation::endorsements::product_from_key(name);
        if (!product) return fail(bad_drill, place + ": no product of AMD's");
        out[*product] = EOS_TRY(parse_tcb(tcb, place + "." + name));
    }
    return out;
}

Result<Event> parse_event(const json::Value& value, const std::string& place, UnixTime now) {
    json::Object object = EOS_TRY(json::Object::of(value, place));
    Event out{.name = EOS_TRY(object.text("name", kMaxTextBytes)),
              .what = EOS_TRY(object.text("what", kMaxTextBytes)),
              .endorsements = {},
              .time = now};
    std::string collateral = json::compact(*EOS_TRY(object.require("collateral")));
    out.min_snp_tcb = EOS_TRY(parse_min_tcb(object));
    EOS_TRY(object.finish());
    auto parsed = attestation::endorsements::parse_endorsements(as_bytes(collateral));
    if (!parsed) return fail(std::move(parsed.error()).within(place));
    out.endorsements = *std::move(parsed);
    return out;
}

// When the first and when the last statement or list of the collateral ends.
struct Ends {
    UnixTime first;
    UnixTime last;
    std::uint32_t evaluation_data_number = 0;
};
std::optional<Ends> ends_of(const Endorsements& collateral, UnixTime now) {
    auto pieces = attestation::endorsements::to_pieces(collateral, now, "");
    std::optional<Ends> out;
    if (!pieces) return out;
    for (const Piece& piece : *pieces) {
        Result<PieceDates> dates = attestation::endorsements::dates_of(piece);
        if (!dates) continue;
        if (!out) out = Ends{dates->next_update, dates->next_update};
        out->first = std::min(out->first, dates->next_update);
        out->last = std::max(out->last, dates->next_update);
        out->evaluation_data_number =
            std::max(out->evaluation_data_number, dates->evaluation_data_number.value_or(0));
    }
    return out;
}

Policy raised(Policy policy, const Event& event) {
    policy.tcb.min_evaluation_data_number =
        std::max(policy.tcb.min_evaluation_data_number, event.min_evaluation_data_number);
    for (const auto& [product, bar] : event.min_snp_tcb) {
        snp_arch::Tcb& own = policy.snp.min_tcb[product];
        own = {.fmc = std::max(own.fmc, bar.fmc),
               .boot_loader = std::max(own.boot_loader, bar.boot_loader),
               .tee = std::max(own.tee, bar.tee),
               .snp = std::max(own.snp, bar.snp),
               .microcode = std::max(own.microcode, bar.microcode)};
    }
    return policy;
}

Result<AttestationResult> judge(const Event& event, const Exhibit& exhibit, const Policy& policy) {
    if (exhibit.foreign) {
        const ForeignVerification verified = EOS_TRY(verify_foreign_leaf(
            *exhibit.foreign, exhibit.nonce,
            {event.endorsements, policy.roots, event.time, exhibit.server_name}));
        return appraise_foreign(verified,
                                {.event_log = nullptr, .has_anchors = !exhibit.anchors.empty()},
                                raised(policy, event));
    }
    return ratls::appraise_leaf({.chain = exhibit.chain,
                                 .anchors = exhibit.anchors,
                                 .server_name = exhibit.server_name,
                                 .handshake = exhibit.handshake},
                                event.endorsements, raised(policy, event), event.time);
}

}  // namespace

Result<std::vector<Event>> parse_drill(ByteView in, UnixTime now) {
    json::Value root = EOS_TRY(json::parse(in, {.size_bytes = kMaxDrillBytes, .depth = 6}));
    json::Object object = EOS_TRY(json::Object::of(root, ""));
    if (EOS_TRY(object.text("format", kMaxTextBytes)) != "enclave-os-drill")
        return fail(bad_drill, "format");
    if (EOS_TRY(object.number("version", 0xffffffff)) != 1) return fail(bad_drill, "version");
    const json::Value* events = EOS_TRY(object.array("events", kMaxEvents));
    EOS_TRY(object.finish());
    if (events == nullptr || events->empty()) return fail(bad_drill, "it has no events");
    std::vector<Event> out;
    for (std::size_t i = 0; i < events->size(); ++i)
        out.push_back(EOS_TRY(parse_event((*events)[i], json::element_path("events", i), now)));
    return out;
}

std::vector<Event> events_of_real_collateral(const Endorsements& collateral, UnixTime now) {
    std::vector<Event> out{
        {.name = "unchanged", .what = "nothing happened", .endorsements = collateral, .time = now}};
    if (std::optional<Ends> ends = ends_of(collateral, now)) {
        out.push_back({.name = "collateral-ending",
                       .what = "as of " + rfc3339(ends->first + 1) + ": the first piece ended",
                       .endorsements = collateral,
                       .time = ends->first + 1});
        out.push_back({.name = "collateral-expired",
                       .what = "as of " + rfc3339(ends->last + 1) + ": all of it ended",
                       .endorsements = collateral,
                       .time = ends->last + 1});
        if (ends->evaluation_data_number > 0) {
            out.push_back({.name = "evaluation-number-raised",
                           .what = "policies demand the next evaluation data number, " +
                                   std::to_string(ends->evaluation_data_number + 1),
                           .endorsements = collateral,
                           .time = now,
                           .min_evaluation_data_number = ends->evaluation_data_number + 1});
        }
    }
    out.push_back({.name = "collateral-unavailable",
                   .what = "no source answers, and nothing was kept",
                   .endorsements = {},
                   .time = now});
    return out;
}

Result<std::vector<Rehearsed>> rehearse(const std::vector<Event>& events,
                                        const std::vector<Exhibit>& exhibits,
                                        const std::vector<NamedPolicy>& policies) {
    std::vector<Rehearsed> out;
    std::size_t cells = exhibits.size() * policies.size();
    for (const Event& event : events) {
        for (const Exhibit& exhibit : exhibits) {
            for (const NamedPolicy& policy : policies) {
                Rehearsed cell{event.name, exhibit.name, policy.name,
                               EOS_TRY(judge(event, exhibit, policy.policy))};
                if (out.size() >= cells) {
                    const Rehearsed& first = out[out.size() % cells];
                    cell.differs_from_first = first.result.summary() != cell.result.summary();
                }
                out.push_back(std::move(cell));
            }
        }
    }
    return out;
}

}  // namespace eos::client
