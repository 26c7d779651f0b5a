// SPDX-License-Identifier: AGPL-3.0-only
#include "client/cli/cli.h"
#include "client/memory_file.h"
#include "common/base/encoding.h"

namespace eos::client::cli {
namespace {

using attestation::appraise::InstanceMemory;

json::Value to_json(const Context& context) {
    return {{"name", context.name},
            {"address", context.address},
            {"server_name", context.server_name},
            {"policy", context.policy},
            {"root", context.root},
            {"owner_key", context.owner_key}};
}

std::string to_text(const Context& context) {
    return context.name + "\n  address      " + context.address + "\n  server name  " +
           context.server_name + "\n  policy       " + context.policy + "\n  root         " +
           context.root + "\n  owner key    " + context.owner_key + "\n  collateral   " +
           context.collateral;
}

// Paths are kept absolute, so that a context works from any folder.
std::string absolute(const std::string& path) {
    return path.empty() ? path : std::filesystem::absolute(path).string();
}

Result<int> add(const Cli& cli, const std::string& name) {
    const TargetOptions& t = cli.target;
    Context context{name,
                    t.address,
                    t.server_name.value_or(""),
                    absolute(t.policy),
                    absolute(t.root),
                    absolute(t.owner_key),
                    absolute(t.collateral)};
    EOS_TRY(cli.contexts().save(context));
    EOS_TRY(cli.contexts().use(name));
    cli.print("context " + to_text(context) + "\nis now the current one", to_json(context));
    return kExitOk;
}

Result<int> list(const Cli& cli) {
    std::string text;
    json::Value value = json::Value::array();
    std::optional<std::string> current = cli.contexts().current();
    for (const std::string& name : cli.contexts().names()) {
        Result<Context> context = cli.contexts().load(name);
        if (!context) continue;
        text += (name == current ? "* " : "  ") + name + "  " + context->address + "\n";
        value.push_back(to_json(*context));
    }
    if (text.empty())
        text = "no contexts: `enclavectl context add NAME --address HOST:PORT --policy FILE`\n";
    text.pop_back();
    cli.print(text, {{"current", current.value_or("")}, {"contexts", value}});
    return kExitOk;
}

Result<int> seen(const Cli& cli) {
    MemoryFile file = cli.memory();
    InstanceMemory memory = EOS_TRY(file.load());
    std::string text = file.path().string() + "\n";
    for (const auto& [id, instance] : memory.instances()) {
        text += "instance " + hex(id) + "\n  generation   " + std::to_string(instance.generation) +
                "\n  last seen    " + rfc3339(instance.last_seen) + "\n  starts       " +
                std::to_string(instance.boot_ids.size()) + ", the last " +
                hex(instance.boot_ids.back()) + "\n";
        for (const std::string& name : instance.names) {
            text += "  name         " +
                    (name.empty() ? std::string("(none asked for)") : printable(as_bytes(name))) +
                    "\n";
        }
    }
    if (memory.instances().empty()) text += "no instance was seen yet\n";
    text.pop_back();
    std::string stored = memory.text();
    cli.print(text, EOS_TRY(json::parse(as_bytes(stored), {.size_bytes = stored.size()})));
    return kExitOk;
}

/// What `context forget` is about.
enum class Forget { kOne, kAll };

Result<int> forget(const Cli& cli, const std::string& instance, Forget which) {
    MemoryFile file = cli.memory();
    if (which == Forget::kAll) {
        EOS_TRY(file.forget_all());
        cli.print("every instance is forgotten", {{"forgotten", "all"}});
        return kExitOk;
    }
    ByteArray<16> id = EOS_TRY(array_from_hex<16>(instance));
    if (!EOS_TRY(file.forget(id))) {
        return fail(no_instance, instance + ": `enclavectl context seen` shows those there are");
    }
    cli.print("instance " + instance + " is forgotten: the next one seen counts as the first",
              {{"forgotten", instance}});
    return kExitOk;
}

}  // namespace

void add_context_commands(CLI::App& program, Cli& cli) {
    auto name = std::make_shared<std::string>();
    CLI::App* context =
        program.add_subcommand("context", "remember servers, policies and keys by name");
    context->require_subcommand(1);
    auto command = [&](const char* verb, const char* help, auto action) {
        CLI::App* made = context->add_subcommand(verb, help);
        made->callback([&cli, name, action] {
            cli.action = [&cli, name, action] { return action(cli, *name); };
        });
        return made;
    };
    CLI::App* adding = command("add", "save a context and make it the current one", add);
    adding->add_option("name", *name, "its name")->required();
    add_target_options(*adding, cli);
    command("list", "all contexts; the current one is marked",
            [](const Cli& c, const std::string&) { return list(c); });
    command("use", "make a context the current one",
            [](const Cli& c, const std::string& n) -> Result<int> {
                EOS_TRY(c.contexts().use(n));
                return kExitOk;
            })
        ->add_option("name", *name, "its name")
        ->required();
    command("show", "one context",
            [](const Cli& c, const std::string& n) -> Result<int> {
                Context found = EOS_TRY(c.contexts().load(n));
                c.print(to_text(found), to_json(found));
                return kExitOk;
            })
        ->add_option("name", *name, "its name")
        ->required();
    command("remove", "forget a context",
            [](const Cli& c, const std::string& n) -> Result<int> {
                EOS_TRY(c.contexts().remove(n));
                return kExitOk;
            })
        ->add_option("name", *name, "its name")
        ->required();
    command("seen", "which instances were seen, and how new their state was",
            [](const Cli& c, const std::string&) { return seen(c); });
    auto which = std::make_shared<Forget>(Forget::kOne);
    CLI::App* forgetting =
        command("forget", "take an instance again whatever its state: forget what was seen of it",
                [which](const Cli& c, const std::string& n) { return forget(c, n, *which); });
    CLI::Option* instance =
        forgetting->add_option("instance", *name, "its id, hex, from `context seen`");
    CLI::Option* all = forgetting->add_flag_callback(
        "--all", [which] { *which = Forget::kAll; }, "every instance, also if the file is damaged");
    instance->excludes(all);
    forgetting->require_option(1);
}

}  // namespace eos::client::cli
