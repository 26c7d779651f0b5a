// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/api/app_changes.h"

#include <algorithm>

#include "common/base/assert.h"
#include "trusted/runtime/responses.h"

namespace eos::mini {
namespace {

struct Item {
    AppChange change;
    ModuleFacts facts;             ///< of a module that was checked
    std::optional<Error> refusal;  ///< why this change cannot be made
    bool is_new = false;           ///< there was no app of that name when its turn came
};

/// The changes alone: goes to the control plane's worker and back. What belongs to this worker
/// stays in the ChangeReply.
using Work = std::vector<Item>;

Result<ModuleFacts> check_load(const std::string& name, const AppManifest& load,
                               const runtime::Settings& settings) {
    if (load.module.bytes().size() > settings.max_module_bytes) return fail(module_too_large);
    EOS_TRY(check_configuration(name, load.app));
    return inspect_module(load.module.bytes().view(), load.app.limits);
}

// What a load leaves in the state; an app that is replaced keeps its id.
Result<void> put_app(runtime::PlatformState& state, const x509::Certificate& ca, Item& item) {
    runtime::App& app = item.change.load->app;
    EOS_TRY(runtime::check_permitted(ca, app.hostname));
    auto existing = state.apps.find(item.change.name);
    item.is_new = existing == state.apps.end();
    if (!item.is_new) app.app_id = existing->second.app_id;
    state.apps.insert_or_assign(item.change.name, std::move(app));
    return {};
}

Result<void> drop_app(runtime::PlatformState& state, const Item& item) {
    if (state.apps.erase(item.change.name) == 0) return fail(no_such_app);
    return {};
}

// On the control plane's worker. All changes are tried, so that the answer names every one that
// cannot be made.
Result<void> edit(Work& work, runtime::PlatformState& state) {
    if (!state.ownership) return fail(wrong_stage, "it has no owner");
    x509::Certificate ca = EOS_TRY(runtime::intermediate_of(state.ownership->authority));
    const Item* refused = nullptr;
    for (Item& item : work) {
        Result<void> done = item.change.load ? put_app(state, ca, item) : drop_app(state, item);
        if (done) continue;
        item.refusal = std::move(done).error();
        if (refused == nullptr) refused = &item;
    }
    if (refused != nullptr) return fail(Error(*refused->refusal));
    return {};
}

// {"error":…} as everywhere; for a batch also which changes, and why.
void respond_refused(ChangeReply& reply, const Work& work, const Error& error) {
    if (reply.form == AnswerForm::kSingle) return respond_failure(reply.exchange, error);
    json::Value refused = json::Value::array();
    for (const Item& item : work) {
        if (!item.refusal) continue;
        refused.push_back({{"name", item.change.name}, {"error", item.refusal->message()}});
    }
    std::string why = refused.empty() ? error.message()
                                      : std::to_string(refused.size()) + " of " +
                                            std::to_string(work.size()) + " changes cannot be made";
    runtime::respond_json(reply.exchange, status_of(error),
                          {{"error", "nothing was changed: " + why}, {"changes", refused}});
}

json::Value item_json(const Item& item, const Snapshot& snapshot) {
    const std::string& name = item.change.name;
    if (!item.change.load) return {{"name", name}, {"status", "unloaded"}};
    json::Value out = app_json(name, snapshot, item.facts);
    out["status"] = item.is_new ? "loaded" : "replaced";
    return out;
}

void respond_changed(ChangeReply& reply, const Work& work, const Snapshot& snapshot) {
    if (reply.form == AnswerForm::kSingle) {
        bool created = work.front().change.load && work.front().is_new;
        return runtime::respond_json(reply.exchange, created ? 201 : 200,
                                     item_json(work.front(), snapshot));
    }
    json::Value changes = json::Value::array();
    for (const Item& item : work) changes.push_back(item_json(item, snapshot));
    runtime::respond_json(reply.exchange, 200,
                          {{"generation", snapshot.generation}, {"changes", changes}});
}

void make_changes(const ApiContext& context, std::shared_ptr<Work> work, ChangeReply reply) {
    ask<SnapshotPtr>(
        context.control,
        [work, instance_id = reply.instance_id](Control& control, runtime::Done<SnapshotPtr> done) {
            Control::Change change;
            change.instance_id = instance_id;
            for (Item& item : *work) {
                if (!item.change.load) continue;
                change.modules.emplace(item.change.name, std::move(item.change.load->module));
            }
            change.edit = [work](runtime::PlatformState& state) { return edit(*work, state); };
            control.change(std::move(change), std::move(done));
        },
        [&context, work, reply = std::move(reply)](Result<SnapshotPtr> outcome) mutable {
            if (!outcome) return respond_refused(reply, *work, outcome.error());
            for (const Item& item : *work) {
                if (!item.change.load) context.logs.forget(item.change.name);
            }
            respond_changed(reply, *work, **outcome);
        });
}

void check_next(const ApiContext& context, std::shared_ptr<Work> work, ChangeReply reply,
                std::size_t index) {
    if (!reply.exchange.is_open()) return;  // nobody waits, and nothing has happened yet
    Item& item = (*work)[index];
    if (item.change.load) {
        Result<ModuleFacts> facts = check_load(item.change.name, *item.change.load,
                                               context.control.snapshot()->state->settings);
        if (facts) {
            item.facts = std::move(*facts);
        } else {
            item.refusal = std::move(facts).error();
        }
    }
    if (index + 1 < work->size()) {
        return context.control.back_here(
            [&context, work = std::move(work), reply = std::move(reply), index]() mutable {
                check_next(context, std::move(work), std::move(reply), index + 1);
            });
    }
    auto refused = std::ranges::find_if(*work, [](const Item& i) { return i.refusal.has_value(); });
    if (refused != work->end()) return respond_refused(reply, *work, *refused->refusal);
    make_changes(context, std::move(work), std::move(reply));
}

}  // namespace

void change_apps(const ApiContext& context, std::vector<AppChange> changes, ChangeReply reply) {
    EOS_ASSERT(!changes.empty());
    auto work = std::make_shared<Work>();
    for (AppChange& change : changes) work->push_back({std::move(change), {}, {}});
    check_next(context, std::move(work), std::move(reply), 0);
}

}  // namespace eos::mini
