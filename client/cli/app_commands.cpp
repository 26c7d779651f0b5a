// SPDX-License-Identifier: AGPL-3.0-only
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "client/cli/cli.h"
#include "client/files.h"
#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"
#include "common/crypto/random.h"

namespace eos::client::cli {
namespace {

struct AppOptions {
    std::string name;
    std::string module;
    std::string hostname;
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::vector<std::string> public_environment;
    std::uint64_t max_memory_bytes = 0;
    std::uint64_t max_fuel = 0;
    std::string profile;
    std::uint64_t after = 0;
    bool follow = false;
    std::string file;
    std::string function;
    std::vector<std::string> values;
};

constexpr std::size_t kMaxManifestBytes = 64 * 1024;
constexpr std::size_t kMaxBatchManifestBytes = 512 * 1024;
constexpr std::size_t kMaxBatchChanges = 64;

Result<json::Value> environment_entry(const std::string& text, Privacy privacy) {
    std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
        return fail(bad_encoding, "expected NAME=VALUE: " + text);
    json::Value entry = {{"name", text.substr(0, equals)}, {"value", text.substr(equals + 1)}};
    if (privacy == Privacy::kPublic) {
        entry["public"] = true;
    } else {
        entry["salt"] = base64(crypto::random_array<32>());
    }
    return entry;
}

Result<json::Value> manifest_of(const AppOptions& options) {
    json::Value manifest = {{"hostname", options.hostname}};
    if (!options.arguments.empty()) manifest["args"] = options.arguments;
    json::Value environment = json::Value::array();
    for (const std::string& text : options.environment) {
        environment.push_back(EOS_TRY(environment_entry(text, Privacy::kOwnerOnly)));
    }
    for (const std::string& text : options.public_environment) {
        environment.push_back(EOS_TRY(environment_entry(text, Privacy::kPublic)));
    }
    if (!environment.empty()) manifest["env"] = environment;
    if (options.max_memory_bytes != 0) manifest["max_memory_bytes"] = options.max_memory_bytes;
    if (options.max_fuel != 0) manifest["max_fuel"] = options.max_fuel;
    if (!options.profile.empty()) manifest["ratls_profile"] = options.profile;
    return manifest;
}

// A line that is drawn over itself while a body goes out; only on a terminal.
std::function<void(std::size_t)> upload_progress(const Cli& cli, std::size_t total_bytes) {
    if (cli.format == Format::kJson || isatty(STDERR_FILENO) == 0) return {};
    return [total_bytes](std::size_t sent) {
        std::fprintf(stderr, "\ruploading %zu of %zu KiB%s", sent / 1024, total_bytes / 1024,
                     sent == total_bytes ? "\n" : "");
    };
}

Result<std::unique_ptr<VerifiedServer>> connect_to_platform(Cli& cli) {
    Target target = EOS_TRY(make_target(cli));
    return connect(cli, target);
}

// u32be size ‖ description ‖ modules: docs/api.md.
Result<Bytes> upload_body(const json::Value& description, std::size_t max_bytes,
                          const std::vector<Bytes>& modules) {
    std::string text = json::compact(description);
    if (text.size() > max_bytes) {
        return fail(bad_encoding, "arguments and environment exceed " +
                                      std::to_string(max_bytes / 1024) + " KiB");
    }
    Bytes body =
        std::move(Writer().u32be(static_cast<std::uint32_t>(text.size())).text(text)).take();
    for (const Bytes& module : modules) append(body, module);
    return body;
}

Result<json::Value> post_upload(Cli& cli, const std::string& path, std::string_view type,
                                const Bytes& body) {
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect_to_platform(cli));
    Request request;
    request.head.method = http::Method::kPost;
    request.head.path = path;
    EOS_TRY(request.head.headers.add("content-type", type));
    request.body = body;
    request.progress = upload_progress(cli, body.size());
    return json_answer(EOS_TRY(server->request(std::move(request), 1 << 20, cli.deadline())));
}

Result<int> load(Cli& cli, const AppOptions& options) {
    Bytes module = EOS_TRY(read_file(options.module));
    Bytes body = EOS_TRY(upload_body(EOS_TRY(manifest_of(options)), kMaxManifestBytes, {module}));
    json::Value answer = EOS_TRY(
        post_upload(cli, "/api/v1/apps/" + options.name, "application/vnd.enclave-os.app", body));
    cli.print("loaded " + options.name + ", module sha256:" + hex(crypto::sha256(module)) + "\n" +
                  json::pretty(answer),
              answer);
    return kExitOk;
}

// An app as the file has it, as the server wants it: the module by its size, and a salt for every
// value that is not public. What else is in it is for the server to judge.
Result<json::Value> load_change(const json::Value& app, const std::string& path,
                                const std::filesystem::path& folder, std::vector<Bytes>& modules) {
    json::Object object = EOS_TRY(json::Object::of(app, path));
    std::string name = EOS_TRY(object.text("name", 63));
    std::filesystem::path module = folder / EOS_TRY(object.text("module", 4096));
    modules.push_back(EOS_TRY(read_file(module)));
    json::Value out = app;
    out.erase("name");
    out.erase("module");
    out["load"] = name;
    out["module_bytes"] = modules.back().size();
    auto environment = out.find("env");
    if (environment == out.end() || !environment->is_array()) return out;
    for (json::Value& variable : *environment) {
        if (!variable.is_object() || variable.contains("salt")) continue;
        bool is_public = variable.contains("public") && variable["public"] == true;
        if (!is_public) variable["salt"] = base64(crypto::random_array<32>());
    }
    return out;
}

// {"apps":[{"name":…,"module":"file.wasm","hostname":…,…}],"unload":["name",…]}
Result<json::Value> batch_of(const std::string& file, std::vector<Bytes>& modules) {
    Bytes text = EOS_TRY(read_file(file));
    json::Value value = EOS_TRY(json::parse(text, {.size_bytes = kMaxBatchManifestBytes}));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    const json::Value* apps = EOS_TRY(object.array("apps", kMaxBatchChanges));
    const json::Value* unloads = EOS_TRY(object.array("unload", kMaxBatchChanges));
    EOS_TRY(object.finish());
    std::filesystem::path folder = std::filesystem::path(file).parent_path();
    json::Value changes = json::Value::array();
    for (std::size_t i = 0; apps != nullptr && i < apps->size(); ++i) {
        std::string path = json::element_path("apps", i);
        changes.push_back(EOS_TRY(load_change((*apps)[i], path, folder, modules)));
    }
    for (std::size_t i = 0; unloads != nullptr && i < unloads->size(); ++i) {
        changes.push_back({{"unload", (*unloads)[i]}});
    }
    return json::Value{{"changes", changes}};
}

Result<int> apply(Cli& cli, const AppOptions& options) {
    std::vector<Bytes> modules;
    Result<json::Value> batch = batch_of(options.file, modules);
    if (!batch) return fail(std::move(batch).error().within(options.file));
    Bytes body = EOS_TRY(upload_body(*batch, kMaxBatchManifestBytes, modules));
    json::Value answer =
        EOS_TRY(post_upload(cli, "/api/v1/apps:batch", "application/vnd.enclave-os.apps", body));
    cli.print(json::pretty(answer), answer);
    return kExitOk;
}

Result<int> print_answer(Cli& cli, http::Method method, const std::string& path) {
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect_to_platform(cli));
    json::Value answer = EOS_TRY(call(cli, *server, method, path));
    cli.print(json::pretty(answer), answer);
    return kExitOk;
}

/// Prints a followed log as its lines come, and remembers how far it got.
class LogPrinter {
  public:
    LogPrinter(const Cli& cli, std::uint64_t after) : cli_(cli), last_(after) {}

    std::uint64_t last() const { return last_; }
    void take(ByteView piece) {
        text_ += as_chars(piece);
        for (std::size_t end; (end = text_.find('\n')) != std::string::npos;) {
            print(text_.substr(0, end));
            text_.erase(0, end + 1);
        }
        if (text_.size() > kMaxLineBytes) text_.clear();  // no line of ours is so long
    }
    /// The connection is over: what is unfinished will come again.
    void cut() { text_.clear(); }

  private:
    static constexpr std::size_t kMaxLineBytes = 64 * 1024;

    void print(const std::string& line) {
        Result<json::Value> value = json::parse(as_bytes(line), {});
        if (!value || !value->is_object()) return;
        Result<json::Object> object = json::Object::of(*value, "");
        if (auto sequence = object->number("sequence", ~std::uint64_t{0} >> 1)) last_ = *sequence;
        std::string text;
        if (value->contains("text") && (*value)["text"].is_string()) {
            text = printable(as_bytes((*value)["text"].get_ref<const std::string&>()), 4096);
        } else if (auto missed = object->number("missed", ~std::uint64_t{0} >> 1)) {
            text = "(" + std::to_string(*missed) + " lines missed)";
        }
        std::printf("%s\n",
                    cli_.format == Format::kJson ? json::compact(*value).c_str() : text.c_str());
        std::fflush(stdout);
    }

    const Cli& cli_;
    std::uint64_t last_;
    std::string text_;
};

// Goes on until it is interrupted. A connection ends when what it was shown changes; the next one
// is verified anew before anything is asked.
Result<int> follow_logs(Cli& cli, const AppOptions& options) {
    LogPrinter printer(cli, options.after);
    for (;;) {
        std::unique_ptr<VerifiedServer> server = EOS_TRY(connect_to_platform(cli));
        Request request;
        request.head.path = "/api/v1/apps/" + options.name + "/logs";
        request.head.query = "follow=1&after=" + std::to_string(printer.last());
        request.on_body = [&printer](ByteView piece) { printer.take(piece); };
        Result<Response> ended = server->request(std::move(request), 1 << 20, cli.deadline());
        if (ended && ended->status / 100 != 2) return fail(json_answer(*ended).error());
        bool was_cut = ended || ended.error().code() == connection_lost ||
                       ended.error().code() == bad_response;
        if (!was_cut) return fail(std::move(ended).error());
        printer.cut();
        cli.remark("the connection was ended: verifying the server again");
    }
}

Result<int> logs(Cli& cli, const AppOptions& options) {
    if (options.follow) return follow_logs(cli, options);
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect_to_platform(cli));
    json::Value answer = EOS_TRY(
        call(cli, *server, http::Method::kGet,
             "/api/v1/apps/" + options.name + "/logs?after=" + std::to_string(options.after)));
    std::string text;
    if (auto lines = answer.find("lines"); lines != answer.end() && lines->is_array()) {
        for (const json::Value& line : *lines) {
            if (!line.is_object() || !line.contains("text") || !line["text"].is_string()) continue;
            text += printable(as_bytes(line["text"].get_ref<const std::string&>()), 4096) + "\n";
        }
    }
    cli.print(text, answer);
    return kExitOk;
}

// Each value is JSON if it parses as JSON, and a string otherwise.
Result<int> call_function(Cli& cli, const AppOptions& options) {
    json::Value arguments = json::Value::array();
    for (const std::string& text : options.values) {
        Result<json::Value> value = json::parse(as_bytes(text), {});
        arguments.push_back(value ? *value : json::Value(text));
    }
    json::Value request = {{"args", arguments}};
    std::unique_ptr<VerifiedServer> server = EOS_TRY(connect_to_platform(cli));
    json::Value answer = EOS_TRY(call(cli, *server, http::Method::kPost,
                                      "/rpc/" + options.name + "/" + options.function, &request));
    cli.print(json::pretty(answer), answer);
    return kExitOk;
}

}  // namespace

void add_app_commands(CLI::App& program, Cli& cli) {
    auto options = std::make_shared<AppOptions>();
    CLI::App* app = program.add_subcommand("app", "load and run WebAssembly apps");
    app->require_subcommand(1);
    auto command = [&](const char* verb, const char* help, auto action) {
        CLI::App* made = app->add_subcommand(verb, help);
        add_target_options(*made, cli);
        made->callback([&cli, options, action] {
            cli.action = [&cli, options, action] { return action(cli, *options); };
        });
        return made;
    };
    auto named = [&](CLI::App* made) {
        made->add_option("name", options->name, "the app's name: a-z, 0-9, '-'")->required();
        return made;
    };
    CLI::App* loading = named(command("load", "load an app, or replace it atomically", load));
    loading->add_option("module", options->module, "WebAssembly module (.wasm)")->required();
    loading->add_option("--hostname", options->hostname, "its own host name")->required();
    loading->add_option("--arg", options->arguments, "argument of the program; repeat for more");
    loading->add_option("--env", options->environment,
                        "NAME=VALUE; others see only that it changes");
    loading->add_option("--public-env", options->public_environment,
                        "NAME=VALUE, readable in the configuration tree");
    loading->add_option("--max-memory", options->max_memory_bytes,
                        "bytes of linear memory of one instance");
    loading->add_option("--max-fuel", options->max_fuel, "instructions that one call may take");
    loading
        ->add_option("--ratls-profile", options->profile,
                     "v1: show the first generation's leaf also to clients that offer the second's "
                     "ALPN name")
        ->check(CLI::IsMember(std::vector<std::string>(std::begin(ratls::kProfileWords),
                                                       std::end(ratls::kProfileWords))));

    command("apply", "load and unload several apps as one change: all or none", apply)
        ->add_option("file", options->file, "what to change, JSON: docs/api.md")
        ->required();

    command("list", "all apps", [](Cli& c, const AppOptions&) {
        return print_answer(c, http::Method::kGet, "/api/v1/apps");
    });
    named(command("inspect", "one app", [](Cli& c, const AppOptions& o) {
        return print_answer(c, http::Method::kGet, "/api/v1/apps/" + o.name);
    }));
    named(command("unload", "remove an app", [](Cli& c, const AppOptions& o) {
        return print_answer(c, http::Method::kDelete, "/api/v1/apps/" + o.name);
    }));
    CLI::App* logging = named(command("logs", "what an app wrote to standard error", logs));
    logging->add_option("--after", options->after, "only lines after this sequence number");
    logging->add_flag("--follow", options->follow, "go on with what it writes");
    CLI::App* calling = named(command("call", "call an exported function", call_function));
    calling->add_option("function", options->function, "its name")->required();
    calling->add_option("args", options->values, "arguments: JSON, or a string");
}

}  // namespace eos::client::cli
