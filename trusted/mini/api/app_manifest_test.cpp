// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/mini/api/app_manifest.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "trusted/mini/api/testing.h"

namespace eos::mini {
namespace {

using testing::upload;

constexpr UnixTime kNow{1'788'516'900};
const Bytes kModule = to_bytes("module");
const std::string kSalt = base64(ByteArray<32>{std::byte{7}});

Result<AppManifest> parse(const std::string& manifest, const Bytes& module = kModule) {
    return parse_app_upload(as_bytes(upload(manifest, {module})), kNow);
}

Result<std::vector<AppChange>> parse_batch(const std::string& manifest,
                                           const std::vector<Bytes>& modules) {
    return parse_batch_upload(as_bytes(upload(manifest, modules)), kNow);
}

TEST(AppManifest, EverythingAnOwnerCanSay) {
    Result<AppManifest> parsed = parse(
        R"({"hostname":"a.example.test","args":["x","y"],"max_memory_bytes":65536,"max_fuel":5,)"
        R"("ratls_profile":"v1",)"
        R"("env":[{"name":"Z","value":"open","public":true},{"name":"B","value":"s","salt":")" +
        kSalt + R"("}]})");
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
    EXPECT_EQ(parsed->app.hostname, "a.example.test");
    EXPECT_EQ(parsed->app.arguments, (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(parsed->app.limits, (runtime::AppLimits{65536, 5}));
    EXPECT_EQ(parsed->app.profile, ratls::Profile::kV1);
    ASSERT_EQ(parsed->app.environment.size(), 2u);
    EXPECT_EQ(parsed->app.environment[0].name, "B") << "names rise";
    EXPECT_EQ(parsed->app.environment[0].salt[0], std::byte{7});
    EXPECT_EQ(parsed->app.environment[1].visibility, runtime::Visibility::kPublic);
    EXPECT_EQ(parsed->app.code_digest, crypto::sha256(kModule));
    EXPECT_EQ(parsed->app.loaded_at, kNow);
}

TEST(AppManifest, EachMistakeHasItsCodeAndItsPlace) {
    struct Case {
        std::string manifest;
        std::string_view code;
        std::string_view place;
    };
    const std::string start = R"({"hostname":"a.example.test")";
    const Case cases[] = {
        {start + R"(,"ratls_profile":"v2"})", "bad_upload", "ratls_profile"},
        {start + R"(,"ratls_profile":1})", "wrong_type", "ratls_profile"},
        {"", "bad_syntax", ""},
        {"[]", "wrong_type", ""},
        {"{}", "missing_member", "hostname"},
        {R"({"hostname":7})", "wrong_type", "hostname"},
        {R"({"hostname":")" + std::string(254, 'a') + R"("})", "out_of_range", "hostname"},
        {R"({"hostname":"a","hostname":"b"})", "repeated_member", "hostname"},
        {start + R"(,"host":1})", "unknown_member", "host"},
        {start + R"(,"args":"x"})", "wrong_type", "args"},
        {start + R"(,"args":[1]})", "wrong_type", "args[0]"},
        {start + R"(,"max_fuel":-1})", "out_of_range", "max_fuel"},
        {start + R"(,"max_fuel":1.5})", "out_of_range", "max_fuel"},
        {start + R"(,"max_memory_bytes":281474976710657})", "out_of_range", "max_memory_bytes"},
        {start + R"(,"env":[{"value":"v"}]})", "missing_member", "env[0].name"},
        {start + R"(,"env":[{"name":"N","value":"v"}]})", "missing_member", "env[0].salt"},
        {start + R"(,"env":[{"name":"N","value":"v","public":"yes"}]})", "wrong_type",
         "env[0].public"},
        {start + R"(,"env":[{"name":"N","value":"v","public":false}]})", "missing_member",
         "env[0].salt"},
        {start + R"(,"env":[{"name":"N","value":"v","salt":"AAAA"}]})", "bad_upload",
         "env[0].salt"},
        {start + R"(,"env":[{"name":"N","value":"v","salt":"?"}]})", "bad_encoding", ""},
        {start + R"(,"env":[{"name":"N","value":"v","public":true,"x":1}]})", "unknown_member",
         "env[0].x"},
        {std::string(9, '['), "too_large", ""},
    };
    for (const Case& c : cases) {
        Result<AppManifest> parsed = parse(c.manifest);
        ASSERT_FALSE(parsed.has_value()) << c.manifest;
        EXPECT_EQ(parsed.error().code().name, c.code) << c.manifest;
        EXPECT_NE(parsed.error().detail().find(c.place), std::string::npos)
            << parsed.error().message();
        EXPECT_EQ(parsed.error().detail().find("\"v\""), std::string::npos) << "a value was shown";
    }
}

TEST(AppManifest, SizesAreBounded) {
    auto code = [](ByteView body) {
        Result<AppManifest> parsed = parse_app_upload(body, kNow);
        return parsed ? "ok" : std::string(parsed.error().code().name);
    };
    EXPECT_EQ(code({}), "truncated");
    EXPECT_EQ(code(to_bytes("\1\2\3")), "truncated");
    EXPECT_EQ(code(*from_hex("00010001")), "bad_upload") << "64 KiB and one byte";
    EXPECT_EQ(code(*from_hex("000000ff7b7d")), "truncated");
    const std::string good = R"({"hostname":"a"})";
    EXPECT_EQ(code(as_bytes(upload(good, {}))), "bad_upload") << "no module";
    EXPECT_EQ(code(as_bytes(upload(good, {Bytes(kMaxModuleBytes)}))), "ok");
    EXPECT_EQ(code(as_bytes(upload(good, {Bytes(kMaxModuleBytes + 1)}))), "bad_upload");
    std::string many;
    for (std::size_t i = 0; i <= runtime::kMaxArguments; ++i) many += i == 0 ? "\"\"" : ",\"\"";
    EXPECT_EQ(parse(R"({"hostname":"a","args":[)" + many + "]}").error().code(),
              json::out_of_range);
}

TEST(AppBatch, ModulesAreTakenInTheOrderOfTheirLoads) {
    Bytes one = to_bytes("first"), two = to_bytes("the second");
    Result<std::vector<AppChange>> parsed = parse_batch(
        R"({"changes":[{"load":"a","hostname":"a.test","module_bytes":5},{"unload":"b"},)"
        R"({"load":"c","hostname":"c.test","module_bytes":10}]})",
        {one, two});
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
    ASSERT_EQ(parsed->size(), 3u);
    EXPECT_EQ((*parsed)[0].load->module.digest(), crypto::sha256(one));
    EXPECT_EQ((*parsed)[1].name, "b");
    EXPECT_FALSE((*parsed)[1].load.has_value());
    EXPECT_EQ((*parsed)[2].load->module.digest(), crypto::sha256(two));
    EXPECT_NE((*parsed)[0].load->app.app_id, (*parsed)[2].load->app.app_id);
}

TEST(AppBatch, EachMistakeHasItsCodeAndItsPlace) {
    struct Case {
        std::string manifest;
        std::string_view code;
        std::string_view place;
    };
    const std::string load = R"({"load":"a","hostname":"a.test","module_bytes":)";
    const Case cases[] = {
        {"{}", "bad_upload", "no changes"},
        {R"({"changes":[]})", "bad_upload", "no changes"},
        {R"({"changes":{}})", "wrong_type", "changes"},
        {R"({"changes":[7]})", "wrong_type", "changes[0]"},
        {R"({"changes":[{}]})", "missing_member", "changes[0].load"},
        {R"({"changes":[{"unload":"b","load":"b"}]})", "unknown_member", "changes[0].load"},
        {R"({"changes":[{"unload":"b"},{"unload":"b"}]})", "bad_upload", "changes[1]"},
        {R"({"changes":[)" + load + R"(6},{"unload":"a"}]})", "bad_upload", "changes[1]"},
        {R"({"changes":[{"load":"a","hostname":"a.test"}]})", "missing_member",
         "changes[0].module_bytes"},
        {R"({"changes":[)" + load + "7}]}", "bad_upload", "changes[0]: the body ends"},
        {R"({"changes":[)" + load + "5}]}", "bad_upload", "after the last module"},
        {R"({"changes":[)" + load + "0}]}", "bad_upload", "changes[0]"},
        {R"({"changes":[)" + load + "16777217}]}", "out_of_range", "changes[0].module_bytes"},
        {R"({"changes":[)" + load + R"(6,"args":[1]}]})", "wrong_type", "changes[0].args[0]"},
        {R"({"changes":[{"unload":"b"}],"more":1})", "unknown_member", "more"},
    };
    for (const Case& c : cases) {
        Result<std::vector<AppChange>> parsed = parse_batch(c.manifest, {kModule});
        ASSERT_FALSE(parsed.has_value()) << c.manifest;
        EXPECT_EQ(parsed.error().code().name, c.code) << c.manifest;
        EXPECT_NE(parsed.error().detail().find(c.place), std::string::npos)
            << parsed.error().message();
    }
}

TEST(AppBatch, ChangesAreCounted) {
    auto unloads = [](std::size_t count) {
        std::string out = R"({"changes":[)";
        for (std::size_t i = 0; i < count; ++i)
            out += (i == 0 ? "" : ",") + (R"({"unload":"a)" + std::to_string(i) + R"("})");
        return parse_batch(out + "]}", {});
    };
    EXPECT_TRUE(unloads(kMaxBatchChanges).has_value());
    EXPECT_EQ(unloads(kMaxBatchChanges + 1).error().code(), json::out_of_range);
}

}  // namespace
}  // namespace eos::mini
