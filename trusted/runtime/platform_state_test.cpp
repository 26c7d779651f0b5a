// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/platform_state.h"

#include <gtest/gtest.h>

#include "trusted/runtime/platform_records.h"
#include "trusted/runtime/testing.h"
#include "trusted/runtime/testing_state.h"

namespace eos::runtime {
namespace {

using testing::kFacts;
using testing::outcome;
using testing::owned_state;
using testing::sample_app;
using testing::sample_module;
using testing::state_with_app;
using testing::TestStore;

// A store with a platform state in it.
struct Machine {
    Machine() { EXPECT_EQ(outcome(store.open()), "ok"); }

    Result<void> change_to(PlatformState after, Modules modules = {}, UnixTime now = {2'000}) {
        Transaction change = EOS_TRY(stage_change(
            state, after, kFacts, {store.store->generation(), now, std::move(modules)}));
        EOS_TRY(store.commit(std::move(change)));
        state = std::move(after);
        return {};
    }

    Result<PlatformState> load() {
        Result<PlatformState> out = fail(testing::injected_failure, "no answer");
        load_platform_state(*store.store, [&](Result<PlatformState> r) { out = std::move(r); });
        store.blobs.run();
        return out;
    }

    Result<PlatformState> reload() {
        EOS_TRY(store.open());
        return load();
    }

    TestStore store;
    PlatformState state;
};

Modules hello_module() {
    Modules out;
    out.emplace("hello", HashedModule(SecretBytes(sample_module())));
    return out;
}

// All of a state, secrets too, as its records have it.
void expect_same(const PlatformState& a, const PlatformState& b) {
    ASSERT_EQ(a.ownership.has_value(), b.ownership.has_value());
    if (a.ownership) {
        EXPECT_TRUE(
            equal(encode_ownership(*a.ownership).view(), encode_ownership(*b.ownership).view()));
    }
    EXPECT_EQ(a.settings, b.settings);
    EXPECT_EQ(a.history, b.history);
    EXPECT_EQ(a.time_floor, b.time_floor);
    EXPECT_EQ(a.stapled ? *a.stapled : Bytes(), b.stapled ? *b.stapled : Bytes());
    ASSERT_EQ(a.apps.size(), b.apps.size());
    for (const auto& [name, app] : a.apps) {
        ASSERT_TRUE(b.apps.contains(name));
        EXPECT_TRUE(equal(encode_app(app).view(), encode_app(b.apps.at(name)).view()));
    }
}

TEST(PlatformState, AFreshStoreIsUnowned) {
    Machine machine;
    Result<PlatformState> state = machine.load();
    ASSERT_TRUE(state.has_value()) << state.error().message();
    EXPECT_FALSE(state->ownership.has_value());
    EXPECT_TRUE(state->apps.empty());
}

TEST(PlatformState, WhatWasStagedIsLoadedAfterARestart) {
    Machine machine;
    ASSERT_EQ(outcome(machine.change_to(owned_state())), "ok");
    PlatformState next = machine.state.duplicate();
    next.settings.drain_time_s = 7;
    next.settings.log_level = LogLevel::kDebug;
    next.apps.emplace("hello", sample_app());
    next.stapled = std::make_shared<const Bytes>(to_bytes("a bundle"));
    ASSERT_EQ(outcome(machine.change_to(std::move(next), hello_module())), "ok");
    Result<PlatformState> loaded = machine.reload();
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message();
    expect_same(*loaded, machine.state);
    expect_same(machine.state.duplicate(), machine.state);
    EXPECT_EQ(loaded->history.changes.size(), 2u);
    EXPECT_EQ(loaded->history.changes[1].generation, 2u);
    EXPECT_EQ(loaded->history.changes[1].policy_root, policy_tree(*loaded, kFacts)->root());

    std::string module;
    load_module(*machine.store.store, "hello", loaded->apps.at("hello").code_digest,
                [&](Result<SecretBytes> bytes) { module = to_string(bytes->view()); });
    EXPECT_EQ(module, to_string(sample_module()));
    std::string wrong;
    load_module(*machine.store.store, "hello", {},
                [&](const Result<SecretBytes>& bytes) { wrong = outcome(bytes); });
    EXPECT_EQ(wrong, "inconsistent_state");
}

TEST(PlatformState, OnlyWhatChangedIsWritten) {
    Machine machine;
    ASSERT_EQ(outcome(machine.change_to(state_with_app(), hello_module())), "ok");
    PlatformState next = machine.state.duplicate();
    next.apps.at("hello").arguments.clear();
    ASSERT_EQ(outcome(machine.change_to(std::move(next))), "ok");
    std::map<std::string, std::uint64_t> generations;
    for (const RecordInfo& r : machine.store.store->records()) generations[r.name] = r.generation;
    EXPECT_EQ(generations["module/hello"], 1u);
    EXPECT_EQ(generations["ownership"], 1u);
    EXPECT_EQ(generations["app/hello"], 2u);
    EXPECT_EQ(generations["history"], 2u);
}

TEST(PlatformState, AnUnloadedAppLeavesNothing) {
    Machine machine;
    ASSERT_EQ(outcome(machine.change_to(state_with_app(), hello_module())), "ok");
    ASSERT_EQ(outcome(machine.change_to(owned_state())), "ok");
    for (const RecordInfo& r : machine.store.store->records()) {
        EXPECT_EQ(r.name.find("hello"), r.name.npos) << r.name;
    }
    EXPECT_EQ(outcome(machine.reload()), "ok");
}

TEST(PlatformState, CollateralComesAndGoes) {
    Machine machine;
    PlatformState with = owned_state();
    with.stapled = std::make_shared<const Bytes>(kMaxStapledBytes, std::byte{1});
    ASSERT_EQ(outcome(machine.change_to(std::move(with))), "ok");
    EXPECT_EQ(machine.reload()->stapled->size(), kMaxStapledBytes);
    PlatformState without = machine.state.duplicate();
    without.stapled.reset();
    ASSERT_EQ(outcome(machine.change_to(std::move(without))), "ok");
    EXPECT_EQ(machine.reload()->stapled, nullptr);
    for (std::size_t size : {std::size_t{0}, kMaxStapledBytes + 1}) {
        PlatformState bad = machine.state.duplicate();
        bad.stapled = std::make_shared<const Bytes>(size, std::byte{1});
        EXPECT_EQ(outcome(machine.change_to(std::move(bad))), "malformed_record") << size;
    }
}

TEST(PlatformState, TimeNeverGoesBack) {
    Machine machine;
    ASSERT_EQ(outcome(machine.change_to(owned_state(), {}, UnixTime{5000})), "ok");
    PlatformState next = machine.state.duplicate();
    ASSERT_EQ(outcome(machine.change_to(std::move(next), {}, UnixTime{100})), "ok");
    EXPECT_EQ(machine.state.time_floor, UnixTime{5000});
    EXPECT_EQ(machine.state.history.changes.back().time, UnixTime{5000});
}

struct StateCase {
    std::string_view code;
    void (*change)(PlatformState&);
};

App& hello(PlatformState& state) {
    return state.apps.at("hello");
}

TEST(PlatformState, ContradictionsAreRefused) {
    static const std::vector<StateCase> cases{
        {"ok", [](PlatformState&) {}},
        {"inconsistent_state", [](PlatformState& s) { s.ownership.reset(); }},
        {"inconsistent_state", [](PlatformState& s) { s.ownership->platform_name = "A.test"; }},
        {"inconsistent_state", [](PlatformState& s) { s.ownership->authority.chain.clear(); }},
        {"too_many_apps", [](PlatformState& s) { s.settings.max_apps = 0; }},
        {"bad_setting", [](PlatformState& s) { s.settings.max_apps = 1'000'000; }},
        {"bad_setting", [](PlatformState& s) { s.settings.log_level = LogLevel{9}; }},
        {"hostname_taken", [](PlatformState& s) { hello(s).hostname = "mini.example.test"; }},
        {"hostname_taken", [](PlatformState& s) { s.apps.emplace("other", sample_app()); }},
        {"bad_scope", [](PlatformState& s) { s.apps.emplace("manager", sample_app("m.test")); }},
        {"bad_app", [](PlatformState& s) { hello(s).hostname = "*.example.test"; }},
        {"bad_app", [](PlatformState& s) { hello(s).hostname = "a_b.test"; }},
        {"bad_app", [](PlatformState& s) { hello(s).hostname = ""; }},
        {"bad_app", [](PlatformState& s) { hello(s).module_bytes = 0; }},
        {"bad_app", [](PlatformState& s) { hello(s).arguments.resize(65); }},
        {"bad_app", [](PlatformState& s) { hello(s).arguments[0] = "\xff"; }},
        {"bad_app", [](PlatformState& s) { hello(s).arguments[0] = std::string(1, '\0'); }},
        {"bad_app", [](PlatformState& s) { hello(s).arguments[0] = std::string(4097, 'x'); }},
        {"bad_app", [](PlatformState& s) { hello(s).environment[0].name = "EOS_X"; }},
        {"bad_app", [](PlatformState& s) { hello(s).environment[0].name = "1A"; }},
        {"bad_app", [](PlatformState& s) { hello(s).environment[0].name = "A=B"; }},
        {"bad_app", [](PlatformState& s) { hello(s).environment[0].name = "GREETING"; }},
        {"bad_app", [](PlatformState& s) { hello(s).environment[0].name = "Z"; }},
        {"bad_app", [](PlatformState& s) { hello(s).environment[0].salt = {}; }},
        {"bad_app",
         [](PlatformState& s) { hello(s).environment[0].visibility = Visibility::kPublic; }},
        {"bad_app", [](PlatformState& s) { hello(s).permissions = {"b", "a"}; }},
        {"bad_app", [](PlatformState& s) { hello(s).permissions = {"a,b"}; }},
        {"malformed_record",
         [](PlatformState& s) { s.ownership->authority.chain[1].resize(8193); }},
        {"malformed_record", [](PlatformState& s) { s.ownership->authority.chain.resize(5); }},
        {"malformed_record", [](PlatformState& s) { hello(s).loaded_at = UnixTime{-1}; }},
    };
    for (std::size_t i = 0; i < cases.size(); ++i) {
        PlatformState after = state_with_app();
        cases[i].change(after);
        Result<Transaction> staged =
            stage_change({}, after, kFacts, {0, UnixTime{1}, hello_module()});
        EXPECT_EQ(outcome(staged), cases[i].code) << i;
    }
}

TEST(PlatformState, ModulesMustBeThoseOfTheirApps) {
    auto stage = [](const PlatformState& before, PlatformState after, Modules modules) {
        return outcome(stage_change(before, after, kFacts, {1, UnixTime{1}, std::move(modules)}));
    };
    PlatformState owned = owned_state();
    PlatformState with_app = state_with_app();
    EXPECT_EQ(stage(owned, state_with_app(), {}), "inconsistent_state");
    EXPECT_EQ(stage(owned, owned_state(), hello_module()), "inconsistent_state");
    EXPECT_EQ(stage(with_app, state_with_app(), hello_module()), "inconsistent_state");
    Modules wrong;
    wrong.emplace("hello", HashedModule(SecretBytes(sample_module("xodule"))));
    EXPECT_EQ(stage(owned, state_with_app(), std::move(wrong)), "inconsistent_state");
    PlatformState resized = state_with_app();
    resized.apps.at("hello").module_bytes += 1;
    EXPECT_EQ(stage(with_app, std::move(resized), {}), "inconsistent_state");
    EXPECT_EQ(stage(owned, {}, {}), "inconsistent_state");
}

// Records that are genuine (sealed by this very enclave) and still not a whole state.
TEST(PlatformState, ForeignOrMissingRecordsAreRefused) {
    struct Case {
        std::string_view code;
        void (*change)(Transaction&);
    };
    static const std::vector<Case> cases{
        {"unknown_record", [](Transaction& t) { t.put("extra", 1, {}); }},
        {"unknown_record", [](Transaction& t) { t.put("settings", 99, {}); }},
        {"unknown_record", [](Transaction& t) { t.put("clock", kSettingsType, {}); }},
        {"inconsistent_state", [](Transaction& t) { t.erase("settings"); }},
        {"inconsistent_state", [](Transaction& t) { t.erase("history"); }},
        {"inconsistent_state", [](Transaction& t) { t.erase("clock"); }},
        {"inconsistent_state", [](Transaction& t) { t.erase("ownership"); }},
        {"inconsistent_state", [](Transaction& t) { t.erase("module/hello"); }},
        {"inconsistent_state", [](Transaction& t) { t.erase("app/hello"); }},
        {"inconsistent_state", [](Transaction& t) { t.put("module/hello", kModuleType, {}); }},
        // Nothing else changed, but the history does not know of this generation.
        {"inconsistent_state",
         [](Transaction& t) { t.put("clock", kClockType, encode_clock(UnixTime{2000})); }},
        {"unknown_record", [](Transaction& t) { t.put("collateral2", kStapledType, {}); }},
        {"truncated", [](Transaction& t) { t.put("collateral", kStapledType, {}); }},
        {"truncated", [](Transaction& t) { t.put("clock", kClockType, {}); }},
        {"bad_scope",
         [](Transaction& t) { t.put("app/manager", kAppType, encode_app(sample_app())); }},
    };
    for (std::size_t i = 0; i < cases.size(); ++i) {
        Machine machine;
        ASSERT_EQ(outcome(machine.change_to(state_with_app(), hello_module())), "ok");
        Transaction change = machine.store.transaction();
        cases[i].change(change);
        ASSERT_EQ(outcome(machine.store.commit(std::move(change))), "ok");
        EXPECT_EQ(outcome(machine.reload()), cases[i].code) << i;
    }
}

template <typename Parse>
void expect_strict(ByteView record, Parse parse) {
    ASSERT_EQ(outcome(parse(record)), "ok");
    for (std::size_t size = 0; size < record.size(); ++size) {
        EXPECT_FALSE(parse(record.first(size)).has_value()) << size;
    }
    Bytes longer = to_bytes(record);
    longer.push_back(std::byte{0});
    EXPECT_EQ(outcome(parse(longer)), "trailing_bytes");
    Bytes newer = to_bytes(record);
    newer[1] = std::byte{2};
    EXPECT_EQ(outcome(parse(newer)), "malformed_record");
}

TEST(PlatformRecords, ReadersAreStrict) {
    PlatformState state = state_with_app();
    state.history.append({1, {}, UnixTime{9}});
    state.history.append({2, {}, UnixTime{9}});
    expect_strict(encode_ownership(*state.ownership).view(), parse_ownership);
    expect_strict(encode_settings(state.settings).view(), parse_settings);
    expect_strict(encode_history_record(state.history).view(), parse_history_record);
    expect_strict(encode_clock(UnixTime{7}).view(), parse_clock);
    expect_strict(encode_stapled(to_bytes("a bundle")).view(), parse_stapled);
    expect_strict(encode_app(state.apps.at("hello")).view(),
                  [](ByteView record) { return parse_app("hello", record); });
}

TEST(PlatformRecords, AChangedHistoryIsFound) {
    PlatformState state = owned_state();
    state.history.append({1, {}, UnixTime{9}});
    SecretBytes record = encode_history_record(state.history);
    Bytes mutated = to_bytes(record.view());
    mutated.back() ^= std::byte{1};
    EXPECT_EQ(outcome(parse_history_record(mutated)), "history_mismatch");
}

}  // namespace
}  // namespace eos::runtime
