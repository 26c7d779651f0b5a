// SPDX-License-Identifier: AGPL-3.0-only
// The official tests, where they are at hand: WebAssembly/testsuite and WebAssembly/wasi-testsuite,
// as two archives in EOS_WASM_TESTS_DIR (default: ../shared/wasm beside the source tree). Without
// them these tests are skipped: no corpus.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "trusted/wasm/engine.h"
#include "trusted/wasm/test_modules.h"
#include "trusted/wasm/test_world.h"

namespace eos::wasm {
namespace {

namespace fs = std::filesystem;
using testing::read_file;

// The unpacked archive, or nothing.
std::optional<fs::path> corpus(const std::string& name) {
    const char* set = std::getenv("EOS_WASM_TESTS_DIR");
    const fs::path folder = set != nullptr ? set : EOS_SOURCE_DIR "/../shared/wasm";
    fs::path archive = folder / (name + ".tar.xz");
    if (!fs::exists(archive))
        archive = fs::path(EOS_SOURCE_DIR) / "../../shared/wasm" / (name + ".tar.xz");
    if (!fs::exists(archive)) return std::nullopt;
    const fs::path out = fs::path(EOS_BINARY_DIR) / "wasm_corpus" / name;
    if (!fs::exists(out / "complete")) {
        fs::create_directories(out);
        const std::string command = "tar -xJf '" + archive.string() + "' -C '" + out.string() +
                                    "' && touch '" + (out / "complete").string() + "'";
        if (std::system(command.c_str()) != 0) return std::nullopt;
    }
    return out;
}

// What the tests' modules import from "spectest": printing, of which nothing is done.
const std::vector<HostFunction>& spectest() {
    using enum ValueType;
    static const std::vector<HostFunction> functions{
        {"spectest", "print", {}},
        {"spectest", "print_i32", {{kI32}, {}}},
        {"spectest", "print_i64", {{kI64}, {}}},
        {"spectest", "print_f32", {{kF32}, {}}},
        {"spectest", "print_f64", {{kF64}, {}}},
        {"spectest", "print_i32_f32", {{kI32, kF32}, {}}},
        {"spectest", "print_f64_f64", {{kF64, kF64}, {}}},
    };
    return functions;
}

class Spectest : public Host {
  public:
    HostOutcome call(std::uint32_t, std::span<const Value>, HostContext&) override {
        return HostReturn{};
    }
};

struct Tally {
    int passed = 0;
    int failed = 0;
    int skipped = 0;
    int modules = 0;
    int refused = 0;
};

std::optional<Value> parse_value(const nlohmann::json& json) {
    static const std::map<std::string, ValueType> kTypes{{"i32", ValueType::kI32},
                                                         {"i64", ValueType::kI64},
                                                         {"f32", ValueType::kF32},
                                                         {"f64", ValueType::kF64}};
    const auto type = kTypes.find(json["type"]);
    if (type == kTypes.end() || !json.contains("value") || !json["value"].is_string()) {
        return std::nullopt;
    }
    const std::string text = json["value"];
    if (text.starts_with("nan")) return Value{type->second, UINT64_MAX};  // any NaN
    std::uint64_t bits = std::strtoull(text.c_str(), nullptr, 10);
    if (type->second == ValueType::kI32) bits = static_cast<std::uint32_t>(bits);
    return Value{type->second, bits};
}

bool matches(const Value& got, const Value& want) {
    if (got.type != want.type) return false;
    if (want.bits != UINT64_MAX || got.type == ValueType::kI32 || got.type == ValueType::kI64) {
        return got.bits == want.bits;
    }
    return got.type == ValueType::kF32 ? got.as_f32() != got.as_f32()
                                       : got.as_f64() != got.as_f64();
}

std::optional<Values> parse_values(const nlohmann::json& json) {
    Values out;
    for (const auto& item : json) {
        const auto value = parse_value(item);
        if (!value) return std::nullopt;
        out.push_back(*value);
    }
    return out;
}

// Runs one of the suite's scripts.
class Script {
  public:
    Script(const fs::path& folder, Tally& tally) : folder_(folder), tally_(tally) {}

    void run(const nlohmann::json& commands) {
        for (const auto& command : commands) {
            const std::string type = command["type"];
            if (type == "module") {
                load(command);
            } else if (type == "assert_invalid" || type == "assert_malformed") {
                expect_refused(command);
            } else if (type == "assert_return" || type == "assert_trap" || type == "action" ||
                       type == "assert_exhaustion") {
                invoke(type, command);
            } else {
                ++tally_.skipped;
            }
        }
    }

  private:
    void load(const nlohmann::json& command) {
        instance_.reset();
        if (command.value("module_type", "binary") != "binary" || !command.contains("filename")) {
            return;
        }
        ++tally_.modules;
        Limits limits;
        limits.memory_pages = kMaxPages;
        limits.table_elements = kMaxTableElements;
        auto module = Module::load(read_file(folder_ / command["filename"]), limits, spectest());
        if (!module) {
            ++tally_.refused;
            return;
        }
        auto instance = Instance::create(*module, host_, Budget{1'000'000'000});
        if (instance) instance_ = *std::move(instance);
    }

    void expect_refused(const nlohmann::json& command) {
        if (command.value("module_type", "binary") != "binary") {
            ++tally_.skipped;
            return;
        }
        const Bytes bytes = read_file(folder_ / command["filename"]);
        const bool refused = !Module::load(bytes, Limits{}, spectest()).has_value();
        ++(refused ? tally_.passed : tally_.failed);
        if (!refused) report(command, "was accepted");
    }

    void invoke(const std::string& type, const nlohmann::json& command) {
        const auto& action = command["action"];
        const auto arguments =
            action["type"] == "invoke" ? parse_values(action["args"]) : std::nullopt;
        const auto expected =
            command.contains("expected") ? parse_values(command["expected"]) : Values{};
        if (!instance_ || action.contains("module") || !arguments ||
            (type == "assert_return" && !expected) ||
            !instance_->begin(std::string(action["field"]), *arguments)) {
            ++tally_.skipped;
            // What was left out (references as arguments) may have changed the instance.
            instance_.reset();
            return;
        }
        Outcome outcome;
        do {
            outcome = instance_->run(kFuelSlice);
        } while (std::holds_alternative<OutOfSlice>(outcome));
        const bool trapped = std::holds_alternative<Trap>(outcome);
        bool good = trapped == (type == "assert_trap" || type == "assert_exhaustion");
        if (good && !trapped && type == "assert_return") {
            good = std::ranges::equal(std::get<Finished>(outcome).values, *expected, matches);
        }
        ++(good ? tally_.passed : tally_.failed);
        if (!good) {
            report(command, trapped ? trap_name(std::get<Trap>(outcome).code) : "wrong result");
        }
    }

    void report(const nlohmann::json& command, std::string_view what) {
        std::printf("  %s line %d: %.*s\n", folder_.filename().c_str(),
                    static_cast<int>(command["line"]), static_cast<int>(what.size()), what.data());
    }

    fs::path folder_;
    Tally& tally_;
    Spectest host_;
    std::unique_ptr<Instance> instance_;
};

TEST(Corpus, OfficialSpecificationTests) {
    const auto folder = corpus("spec-testsuite");
    if (!folder) GTEST_SKIP() << "skipped: no corpus";
    Tally tally;
    for (const auto& entry : fs::directory_iterator(*folder)) {
        if (!entry.is_directory()) continue;
        const std::string name = entry.path().filename();
        const Bytes text = read_file(entry.path() / (name + ".json"));
        const auto json = nlohmann::json::parse(as_chars(text), nullptr, false);
        ASSERT_FALSE(json.is_discarded()) << name;
        const Tally before = tally;
        Script(entry.path(), tally).run(json["commands"]);
        if (tally.failed != before.failed)
            std::printf("%s: %d failed\n", name.c_str(), tally.failed - before.failed);
    }
    std::printf("modules %d, refused %d; passed %d, failed %d, skipped %d\n", tally.modules,
                tally.refused, tally.passed, tally.failed, tally.skipped);
    EXPECT_EQ(tally.failed, 0);
    // A regression must not hide among the skipped ones.
    EXPECT_GE(tally.passed, 30'000);
}

struct Manifest {
    std::vector<std::string> arguments;
    std::vector<EnvironmentVariable> environment;
    std::optional<std::string> output;  // as expected, if anything is
    std::uint32_t exit_code = 0;
    bool needs_files = false;
};

Manifest manifest_of(fs::path program) {
    const Bytes text = read_file(program.replace_extension(".json"));
    Manifest out;
    out.arguments.push_back(program.filename());
    if (text.empty()) return out;
    const auto json = nlohmann::json::parse(as_chars(text), nullptr, false);
    for (const auto& argument : json.value("args", nlohmann::json::array())) {
        out.arguments.push_back(argument);
    }
    const auto environment = json.value("env", nlohmann::json::object());
    for (const auto& [name, value] : environment.items())
        out.environment.emplace_back(name, value.get<std::string>());
    if (json.contains("stdout")) out.output = json["stdout"];
    out.exit_code = json.value("exit_code", 0u);
    out.needs_files = json.contains("root");
    return out;
}

// Runs a WASI program to its end; sleeps by moving the clock.
void run_program(const fs::path& path, const Manifest& manifest) {
    auto module = Module::load(read_file(path), Limits{}, wasi_functions());
    ASSERT_TRUE(module.has_value()) << module.error().message();
    testing::TestWorld world;
    Wasi wasi(world.world(),
              {.arguments = manifest.arguments, .environment = manifest.environment, .input = {}});
    auto instance = Instance::create(*module, wasi, Budget{100'000'000});
    ASSERT_TRUE(instance.has_value());
    ASSERT_TRUE((*instance)->begin("_start", {}).has_value());
    Outcome outcome;
    do {
        world.now += 1'000'000;
        outcome = (*instance)->run(kFuelSlice);
        if (const auto* wait = std::get_if<HostRequest>(&outcome)) world.now = wait->wake_at_ns;
    } while (std::holds_alternative<OutOfSlice>(outcome) ||
             std::holds_alternative<HostRequest>(outcome));
    std::uint32_t exit_code = 0;
    if (const auto* trap = std::get_if<Trap>(&outcome)) {
        ASSERT_EQ(trap_name(trap->code), "exit") << world.log;
        exit_code = trap->exit_code;
    }
    EXPECT_EQ(exit_code, manifest.exit_code) << world.log;
    EXPECT_EQ(as_chars(wasi.output()),
              manifest.output.value_or(std::string(as_chars(wasi.output()))));
}

TEST(Corpus, WasiProgramsThatNeedNoFiles) {
    const auto folder = corpus("wasi-p1-tests");
    if (!folder) GTEST_SKIP() << "skipped: no corpus";
    int ran = 0;
    for (const char* language : {"assemblyscript", "c", "rust"}) {
        for (const auto& entry :
             fs::directory_iterator(*folder / "tests" / language / "testsuite" / "wasm32-wasip1")) {
            if (entry.path().extension() != ".wasm") continue;
            const Manifest manifest = manifest_of(entry.path());
            if (manifest.needs_files) continue;
            SCOPED_TRACE(entry.path().filename());
            run_program(entry.path(), manifest);
            ++ran;
        }
    }
    EXPECT_GE(ran, 20);
}

}  // namespace
}  // namespace eos::wasm
