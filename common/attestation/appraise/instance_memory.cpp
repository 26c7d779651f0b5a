// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/appraise/instance_memory.h"

#include <algorithm>

#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::attestation::appraise {
namespace {

constexpr json::Limits kLimits{.size_bytes = kMaxInstanceMemoryBytes, .depth = 6};
constexpr std::size_t kMaxNameBytes = 255;
constexpr std::size_t kMaxTimeBytes = 32;
constexpr std::uint64_t kMaxGeneration = ~std::uint64_t{0};

Result<ByteArray<16>> parse_id(const json::Value& value, const std::string& path) {
    std::string text = EOS_TRY(json::as_text(value, path, 32));
    Result<ByteArray<16>> id = array_from_hex<16>(text);
    if (!id) return fail(std::move(id).error().within(path));
    return id;
}

Result<SeenInstance> parse_instance(json::Object& object) {
    SeenInstance out;
    out.generation = EOS_TRY(object.number("generation", kMaxGeneration));
    const json::Value* boots = EOS_TRY(object.array("boot_ids", kMaxSeenBootIds));
    for (std::size_t i = 0; boots != nullptr && i < boots->size(); ++i) {
        std::string path = json::element_path(object.path("boot_ids"), i);
        ByteArray<16> id = EOS_TRY(parse_id((*boots)[i], path));
        if (std::ranges::find(out.boot_ids, id) != out.boot_ids.end()) {
            return fail(bad_instance_memory, path + ": repeated");
        }
        out.boot_ids.push_back(id);
    }
    if (out.boot_ids.empty()) return fail(bad_instance_memory, object.path("boot_ids") + ": none");
    const json::Value* names = EOS_TRY(object.array("names", kMaxSeenNames));
    for (std::size_t i = 0; names != nullptr && i < names->size(); ++i) {
        std::string path = json::element_path(object.path("names"), i);
        out.names.insert(EOS_TRY(json::as_text((*names)[i], path, kMaxNameBytes)));
    }
    std::string seen = EOS_TRY(object.text("last_seen", kMaxTimeBytes));
    out.last_seen = EOS_TRY(parse_rfc3339(seen));
    return out;
}

}  // namespace

Result<InstanceMemory> InstanceMemory::parse(ByteView text) {
    json::Value value = EOS_TRY(json::parse(text, kLimits));
    json::Object root = EOS_TRY(json::Object::of(value, ""));
    std::uint64_t version = EOS_TRY(root.number("version", 0xffffffff));
    if (version != 1) return fail(bad_instance_memory, "version: this program reads version 1");
    EOS_TRY(root.require("instances"));
    const json::Value* list = EOS_TRY(root.array("instances", kMaxSeenInstances));
    EOS_TRY(root.finish());
    InstanceMemory out;
    for (std::size_t i = 0; i < list->size(); ++i) {
        json::Object object =
            EOS_TRY(json::Object::of((*list)[i], json::element_path("instances", i)));
        const json::Value* id_text = EOS_TRY(object.require("id"));
        ByteArray<16> id = EOS_TRY(parse_id(*id_text, object.path("id")));
        SeenInstance instance = EOS_TRY(parse_instance(object));
        EOS_TRY(object.finish());
        if (!out.instances_.emplace(id, std::move(instance)).second) {
            return fail(bad_instance_memory, object.path("id") + ": repeated");
        }
    }
    return out;
}

std::string InstanceMemory::text() const {
    json::Value list = json::Value::array();
    for (const auto& [id, instance] : instances_) {
        json::Value boots = json::Value::array();
        for (const ByteArray<16>& boot_id : instance.boot_ids) boots.push_back(hex(boot_id));
        list.push_back({{"id", hex(id)},
                        {"generation", instance.generation},
                        {"boot_ids", boots},
                        {"names", instance.names},
                        {"last_seen", rfc3339(instance.last_seen)}});
    }
    return json::pretty({{"version", 1}, {"instances", list}}) + "\n";
}

const SeenInstance* InstanceMemory::find(const ByteArray<16>& id) const {
    auto found = instances_.find(id);
    return found == instances_.end() ? nullptr : &found->second;
}

Result<void> InstanceMemory::remember(const Sighting& sighting) {
    const InstanceClaim& claim = sighting.claim;
    if (find(claim.id) == nullptr && instances_.size() >= kMaxSeenInstances) {
        return fail(instance_memory_full, std::to_string(kMaxSeenInstances) + " are remembered");
    }
    SeenInstance& seen = instances_[claim.id];
    seen.generation = std::max(seen.generation, claim.generation);
    seen.last_seen = sighting.time;
    bool has_room = seen.names.size() < kMaxSeenNames;
    if (has_room && sighting.server_name.size() <= kMaxNameBytes) {
        seen.names.insert(sighting.server_name);
    }
    if (std::ranges::find(seen.boot_ids, claim.boot_id) != seen.boot_ids.end()) return {};
    seen.boot_ids.push_back(claim.boot_id);
    if (seen.boot_ids.size() > kMaxSeenBootIds) seen.boot_ids.erase(seen.boot_ids.begin());
    return {};
}

}  // namespace eos::attestation::appraise
