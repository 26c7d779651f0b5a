// SPDX-License-Identifier: AGPL-3.0-only
// The platform state to and from the records of a sealed store.
#include <algorithm>
#include <memory>
#include <set>

#include "trusted/runtime/async.h"
#include "trusted/runtime/platform_records.h"
#include "trusted/runtime/platform_state.h"

namespace eos::runtime {
namespace {

std::string record_name(std::string_view prefix, std::string_view app) {
    return std::string(prefix) + std::string(app);
}

struct Encoded {
    RecordType type;
    SecretBytes bytes;
};
using Records = std::map<std::string, Encoded>;

// Every record but the modules.
Records encode_state(const PlatformState& state) {
    Records out;
    auto add = [&out](std::string name, RecordType type, SecretBytes bytes) {
        out.emplace(std::move(name), Encoded{type, std::move(bytes)});
    };
    if (state.ownership) {
        add(std::string(kOwnershipRecord), kOwnershipType, encode_ownership(*state.ownership));
    }
    add(std::string(kSettingsRecord), kSettingsType, encode_settings(state.settings));
    add(std::string(kHistoryRecord), kHistoryType, encode_history_record(state.history));
    add(std::string(kClockRecord), kClockType, encode_clock(state.time_floor));
    if (state.stapled) {
        add(std::string(kStapledRecord), kStapledType, encode_stapled(*state.stapled));
    }
    for (const auto& [name, app] : state.apps) {
        add(record_name(kAppPrefix, name), kAppType, encode_app(app));
    }
    return out;
}

Result<void> stage_modules(Transaction& out, const PlatformState& before,
                           const PlatformState& after, Modules modules) {
    for (const auto& [name, app] : after.apps) {
        auto old = before.apps.find(name);
        bool fresh = old == before.apps.end() || old->second.code_digest != app.code_digest;
        auto module = modules.find(name);
        if (fresh != (module != modules.end())) {
            return fail(inconsistent_state,
                        "app " + name + (fresh ? " lacks its module" : " keeps its module"));
        }
        if (!fresh && old->second.module_bytes != app.module_bytes) {
            return fail(inconsistent_state, "another size of the same module: app " + name);
        }
        if (!fresh) continue;
        if (module->second.bytes().size() != app.module_bytes ||
            module->second.digest() != app.code_digest) {
            return fail(inconsistent_state, "the module is not that of app " + name);
        }
        out.put(record_name(kModulePrefix, name), kModuleType,
                std::move(module->second).take_bytes());
        modules.erase(module);
    }
    if (!modules.empty()) {
        return fail(inconsistent_state, "a module without an app: " + modules.begin()->first);
    }
    return {};
}

// Commits made before the first one of ours: the empty state that the store itself wrote.
Result<void> check_generations(const SealedStore& store, const PlatformState& state) {
    const auto& changes = state.history.changes;
    std::uint64_t last = changes.empty() ? 0 : changes.back().generation;
    if (last == store.generation()) return {};
    return fail(inconsistent_state, "the history ends with generation " + std::to_string(last) +
                                        ", the state is of " + std::to_string(store.generation()));
}

// Puts what a record holds into its place in `state`.
Result<void> take_record(PlatformState& state, std::string_view name, RecordType type,
                         ByteView bytes) {
    switch (type) {
        case kOwnershipType:
            state.ownership = EOS_TRY(parse_ownership(bytes));
            break;
        case kSettingsType:
            state.settings = EOS_TRY(parse_settings(bytes));
            break;
        case kHistoryType:
            state.history = EOS_TRY(parse_history_record(bytes));
            break;
        case kClockType:
            state.time_floor = EOS_TRY(parse_clock(bytes));
            break;
        case kStapledType:
            state.stapled = std::make_shared<const Bytes>(EOS_TRY(parse_stapled(bytes)));
            break;
        default: {
            std::string app(name.substr(kAppPrefix.size()));
            App parsed = EOS_TRY(parse_app(app, bytes));
            state.apps.emplace(std::move(app), std::move(parsed));
        }
    }
    return {};
}

// Puts the records that changed. Each is read back first: what this program could not read at the
// next start must not be written.
Result<void> stage_records(Transaction& out, const Records& before, Records after) {
    PlatformState scratch;
    for (auto& [name, record] : after) {
        ByteView bytes = record.bytes.view();
        Result<void> readable = take_record(scratch, name, record.type, bytes);
        if (!readable) return fail(std::move(readable).error().within(name));
        auto old = before.find(name);
        if (old != before.end() && equal(old->second.bytes.view(), bytes)) continue;
        out.put(name, record.type, std::move(record.bytes));
    }
    return {};
}

struct Loading {
    SealedStore& store;
    std::vector<RecordInfo> records;  // yet to be read, the next one last
    std::map<std::string, std::uint32_t> modules;
    std::set<std::string, std::less<>> seen;
    PlatformState state;

    Result<void> finish() {
        for (std::string_view name : {kClockRecord, kHistoryRecord, kSettingsRecord}) {
            bool fresh = store.generation() == 0;
            if (!fresh && !seen.contains(name)) {
                return fail(inconsistent_state, "no record " + std::string(name));
            }
        }
        for (const auto& [name, app] : state.apps) {
            auto module = modules.find(name);
            if (module == modules.end() || module->second != app.module_bytes) {
                return fail(inconsistent_state, "app " + name + " lacks its module");
            }
            modules.erase(module);
        }
        if (!modules.empty()) {
            return fail(inconsistent_state, "a module without an app: " + modules.begin()->first);
        }
        EOS_TRY(check_generations(store, state));
        return check_state(state);
    }
};

// Each type stands under its own name or prefix, and nothing else does.
bool is_known(const RecordInfo& record) {
    switch (record.type) {
        case kOwnershipType:
            return record.name == kOwnershipRecord;
        case kSettingsType:
            return record.name == kSettingsRecord;
        case kHistoryType:
            return record.name == kHistoryRecord;
        case kClockType:
            return record.name == kClockRecord;
        case kStapledType:
            return record.name == kStapledRecord;
        case kAppType:
            return record.name.starts_with(kAppPrefix);
        case kModuleType:
            return record.name.starts_with(kModulePrefix);
        default:
            return false;
    }
}

Result<void> sort_records(Loading& loading) {
    for (RecordInfo& record : loading.store.records()) {
        if (!is_known(record)) {
            return fail(unknown_record, record.name + ", type " + std::to_string(record.type));
        }
        if (record.type == kModuleType) {
            loading.modules.emplace(record.name.substr(kModulePrefix.size()), record.size_bytes);
        } else {
            loading.records.push_back(std::move(record));
        }
    }
    return {};
}

void load_next(const std::shared_ptr<Loading>& loading, Done<Progress> done) {
    if (loading->records.empty()) return done(Progress::kFinished);
    RecordInfo record = std::move(loading->records.back());
    loading->records.pop_back();
    std::string name = record.name;
    const auto type = record.type;
    loading->store.get(std::move(name), type,
                       [loading, record = std::move(record),
                        done = std::move(done)](Result<SecretBytes> bytes) mutable {
                           if (!bytes) return done(fail(std::move(bytes).error()));
                           loading->seen.insert(record.name);
                           Result<void> taken =
                               take_record(loading->state, record.name, record.type, bytes->view());
                           if (!taken)
                               return done(fail(std::move(taken).error().within(record.name)));
                           done(Progress::kMore);
                       });
}

}  // namespace

Result<Transaction> stage_change(const PlatformState& before, PlatformState& after,
                                 const BuildFacts& facts, StageInput input) {
    EOS_TRY(check_state(after));
    if (before.ownership && !after.ownership) {
        return fail(inconsistent_state, "ownership ends with a factory reset only");
    }
    after.time_floor = std::min(std::max(after.time_floor, input.now), kLatestTime);
    config_tree::Tree policy = EOS_TRY(policy_tree(after, facts));
    after.history = before.history;
    after.history.append({input.base_generation + 1, policy.root(), after.time_floor});

    Transaction out(input.base_generation);
    bool first = input.base_generation == 0;  // the store is empty
    EOS_TRY(stage_records(out, first ? Records() : encode_state(before), encode_state(after)));
    if (before.stapled && !after.stapled) out.erase(std::string(kStapledRecord));
    for (const auto& [name, app] : before.apps) {
        if (after.apps.contains(name)) continue;
        out.erase(record_name(kAppPrefix, name));
        out.erase(record_name(kModulePrefix, name));
    }
    EOS_TRY(stage_modules(out, before, after, std::move(input.modules)));
    return out;
}

void load_platform_state(SealedStore& store, Done<PlatformState> done) {
    auto loading = std::make_shared<Loading>(Loading{store, {}, {}, {}, {}});
    Result<void> sorted = sort_records(*loading);
    if (!sorted) return done(fail(std::move(sorted).error()));
    repeat([loading](Done<Progress> step) { load_next(loading, std::move(step)); },
           [loading, done = std::move(done)](Result<void> read) mutable {
               if (read) read = loading->finish();
               if (!read) return done(fail(std::move(read).error()));
               done(std::move(loading->state));
           });
}

void load_module(SealedStore& store, std::string name, const crypto::Digest32& code_digest,
                 Done<SecretBytes> done) {
    std::string record = record_name(kModulePrefix, name);
    store.get(std::move(record), kModuleType,
              [name = std::move(name), code_digest,
               done = std::move(done)](Result<SecretBytes> module) mutable {
                  if (module && crypto::sha256(module->view()) != code_digest) {
                      return done(fail(inconsistent_state, "the module of app " + name));
                  }
                  done(std::move(module));
              });
}

}  // namespace eos::runtime
