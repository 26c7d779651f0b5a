// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/served.h"

#include <algorithm>

#include "common/base/codec.h"
#include "common/oid/registry.h"

namespace eos::runtime {

const ServedName* Served::find(std::string_view server_name) const {
    auto row = names.find(server_name.empty() ? std::string_view(platform_name) : server_name);
    return row == names.end() ? nullptr : &row->second;
}

crypto::Digest32 name_tag(const ServedName& name, const Served& served) {
    Writer out;
    auto field = [&out](ByteView bytes) {
        out.u32be(static_cast<std::uint32_t>(bytes.size())).bytes(bytes);
    };
    field(as_bytes(name.name));
    field(served.policy_root);
    field(as_bytes(served.assurance));
    for (const ratls::ExtensionValue& value : name.values) {
        field(value.oid.der());
        field(value.value);
    }
    return crypto::sha256(out.view());
}

void add_name(Served& served, ServedName row) {
    row.tag = name_tag(row, served);
    std::string key = row.name;
    served.names.emplace(std::move(key), std::move(row));
}

bool keep_epochs(Served& next, const Served* current) {
    bool complete = true;
    for (auto& [name, row] : next.names) {
        auto old = current == nullptr ? nullptr : current->find(name);
        // The platform's row is also found under the empty name: it must be the same name.
        if (old != nullptr && old->name == row.name && old->tag == row.tag) row.epoch = old->epoch;
        complete = complete && row.epoch != nullptr;
    }
    return complete;
}

void fill_epochs(Served& next, const std::shared_ptr<const KeyEpoch>& epoch) {
    for (auto& [name, row] : next.names) {
        if (row.epoch == nullptr) row.epoch = epoch;
    }
}

void replace_epochs(Served& next, const std::shared_ptr<const KeyEpoch>& epoch) {
    for (auto& [name, row] : next.names) row.epoch = epoch;
}

UnixTime oldest_epoch(const Served& served) {
    UnixTime oldest{INT64_MAX};
    for (const auto& [name, row] : served.names) oldest = std::min(oldest, row.epoch->not_before);
    return oldest;
}

crypto::Digest32 combined_workloads_hash(std::span<const WorkloadDigest> workloads) {
    if (workloads.empty()) return {};
    crypto::Sha256 hash;
    for (const WorkloadDigest& workload : workloads) {
        hash.update(as_bytes(workload.name));
        hash.update(workload.digest);
    }
    return hash.finish();
}

ratls::ExtensionValue image_profile(std::string_view assurance) {
    std::string_view profile = assurance == "production" ? "production" : "dev";
    return {oid::kImageProfile, to_bytes(as_bytes(profile))};
}

}  // namespace eos::runtime
