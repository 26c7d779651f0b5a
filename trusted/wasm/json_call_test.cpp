// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/wasm/json_call.h"

#include <gtest/gtest.h>

#include "common/json/json.h"
#include "trusted/wasm/test_modules.h"
#include "trusted/wasm/test_world.h"

namespace eos::wasm {
namespace {

class JsonCallTest : public ::testing::Test {
  protected:
    // The text of the response's body, its status in front: `200 {"returns":…}`.
    std::string call(const Bytes& wasm, std::string_view function, std::string_view body,
                     std::uint64_t slice = kFuelSlice) {
        auto module = Module::load(wasm, config_.limits, wasi_functions());
        if (!module) return module.error().message();
        auto signatures = Signatures::read(*module);
        if (!signatures) return signatures.error().message();
        auto call = begin_json_call(*module, *signatures, world_.world(), config_, function,
                                    as_bytes(body));
        response_ = call ? run(**call, slice) : error_response(call.error());
        return std::to_string(response_.head.status) + " " + std::string(as_chars(response_.body));
    }
    AppResponse run(AppCall& call, std::uint64_t slice) {
        for (;;) {
            Progress progress = call.step(slice);
            if (auto* response = std::get_if<AppResponse>(&progress)) {
                fuel_used_ = call.fuel_used();
                return std::move(*response);
            }
        }
    }
    std::string app(std::string_view function, std::string_view body,
                    std::uint64_t slice = kFuelSlice) {
        return call(testing::example_app("text-json"), function, body, slice);
    }
    std::string odd(std::string_view function, std::string_view body) {
        return call(testing::test_module("json_odd"), function, body);
    }
    static std::string ok(std::string_view type, std::string_view value) {
        return "200 {\"returns\":[{\"type\":\"" + std::string(type) +
               "\",\"value\":" + std::string(value) + "}],\"status\":\"ok\"}";
    }
    // A module with a description behind it.
    static Bytes described(std::string_view text) {
        Bytes out = testing::test_module("json_odd");
        const std::string section =
            "\x0d"
            "eos.functions" +
            std::string(text);
        out.push_back(std::byte{0});
        out.push_back(static_cast<std::byte>(section.size()));
        append(out, as_bytes(section));
        return out;
    }

    AppConfig config_ = [] {
        AppConfig config;
        config.name = "text-json";
        return config;
    }();
    testing::TestWorld world_;
    AppResponse response_;
    std::uint64_t fuel_used_ = 0;
};

TEST_F(JsonCallTest, NumbersStringsAndBytes) {
    EXPECT_EQ(app("add", R"({"args":[40,2]})"), ok("s64", "\"42\""));
    EXPECT_EQ(app("add", R"({"args":["9223372036854775807","-1"]})"),
              ok("s64", "\"9223372036854775806\""));
    EXPECT_EQ(app("reverse", R"({"args":["héllo"]})"), ok("string", "\"olléh\""));
    EXPECT_EQ(app("reverse", R"({"args":[""]})"), ok("string", "\"\""));
    EXPECT_EQ(app("checksum", R"({"args":["MTIzNDU2Nzg5"]})"), ok("u32", "3421780262"));
    EXPECT_EQ(app("first_bytes", R"({"args":["AAECAw==",2]})"), ok("bytes", "\"AAE=\""));
    EXPECT_EQ(app("is_even", R"({"args":[4294967294]})"), ok("bool", "true"));
    EXPECT_GT(fuel_used_, 0u);
    EXPECT_EQ(response_.outcome, "ok");
}

TEST_F(JsonCallTest, ArgumentsByName) {
    EXPECT_EQ(app("divide", R"({"args":{"b":-2,"a":84}})"), ok("s32", "-42"));
    EXPECT_TRUE(app("divide", R"({"args":{"b":-2}})").starts_with("400"));
    EXPECT_TRUE(app("divide", R"({"args":{"b":-2,"a":84,"c":1}})").starts_with("400"));
    EXPECT_TRUE(odd("half", R"({"args":{"x":1}})").starts_with("400"));
}

TEST_F(JsonCallTest, UndescribedFunctionsTakeNumbersByTheirWasmTypes) {
    EXPECT_EQ(odd("two", R"({"args":[-1,"18"]})"),
              R"(200 {"returns":[{"type":"s64","value":"18"},{"type":"s32","value":-1}],)"
              R"("status":"ok"})");
    EXPECT_EQ(odd("half", R"({"args":[3]})"), ok("f32", "1.5"));
    EXPECT_EQ(odd("inverse", R"({"args":[0]})"), ok("f64", "\"Infinity\""));
    EXPECT_EQ(odd("inverse", R"({"args":["-Infinity"]})"), ok("f64", "-0.0"));
    EXPECT_EQ(odd("inverse", R"({"args":["NaN"]})"), ok("f64", "\"NaN\""));
}

TEST_F(JsonCallTest, RefusesWhatDoesNotFit) {
    for (const char* body :
         {R"({"args":[1]})", R"({"args":[1,2,3]})", R"({"args":[1.5,2]})", R"({"args":["",2]})",
          R"({"args":["1x",2]})", R"({"args":[null,2]})", R"({"args":[true,2]})",
          R"({"args":[9223372036854775808,2]})", R"({"args":1})", R"({"args":[1,2],"x":1})",
          R"([1,2])", R"({"args":[1,2])", R"({})", ""}) {
        EXPECT_TRUE(app("add", body).starts_with("400 {\"error\":")) << body;
    }
    EXPECT_TRUE(app("is_even", R"({"args":[-1]})").starts_with("400"));
    EXPECT_TRUE(app("is_even", R"({"args":[4294967296]})").starts_with("400"));
    EXPECT_TRUE(app("checksum", R"({"args":["*"]})").starts_with("400"));
    EXPECT_TRUE(app("reverse", R"({"args":[1]})").starts_with("400"));
    EXPECT_TRUE(odd("half", R"({"args":[1e39]})").starts_with("400"));
    EXPECT_TRUE(app("absent", R"({"args":[]})").starts_with("404"));
    EXPECT_TRUE(app("_initialize", R"({"args":[]})").starts_with("404"));
    EXPECT_TRUE(app("eos_alloc", R"({"args":[1]})").starts_with("404"));
}

TEST_F(JsonCallTest, TrapsAreNamed) {
    EXPECT_EQ(app("divide", R"({"args":[1,0]})"),
              R"(502 {"error":"the app ended with a trap: integer_divide_by_zero",)"
              R"("trap":"integer_divide_by_zero"})");
    EXPECT_EQ(response_.outcome, "integer_divide_by_zero");
    EXPECT_NE(odd("spin", "").find("fuel_exhausted"), std::string::npos);
    EXPECT_EQ(fuel_used_, config_.budget.fuel);
}

TEST_F(JsonCallTest, StringsThatAreNotWhereOrWhatTheySay) {
    const Bytes outside = described("outside() -> string\n");
    EXPECT_TRUE(call(outside, "outside", "").starts_with("502"));
    EXPECT_EQ(response_.outcome, "app_answer");
    EXPECT_TRUE(call(described("not_utf8() -> string\n"), "not_utf8", "").starts_with("502"));
    EXPECT_EQ(call(described("not_utf8() -> bytes\n"), "not_utf8", ""), ok("bytes", "\"//4=\""));
    // eos_alloc of this module answers with a place too near the end.
    const Bytes length = described("length(t: string) -> u32\n");
    EXPECT_EQ(call(length, "length", R"({"args":["abc"]})"), ok("u32", "3"));
    const std::string large = R"({"args":[")" + std::string(200, 'x') + "\"]}";
    EXPECT_TRUE(call(length, "length", large).starts_with("502"));
    config_.output_limit_bytes = 1;
    EXPECT_TRUE(call(described("not_utf8() -> bytes\n"), "not_utf8", "").starts_with("502"));
}

TEST_F(JsonCallTest, SlicesChangeNothing) {
    const std::string body = R"({"args":[")" + std::string(2000, 'a') + "b\"]}";
    const std::string whole = app("reverse", body);
    const std::uint64_t fuel = fuel_used_;
    EXPECT_EQ(app("reverse", body, 17), whole);
    EXPECT_EQ(fuel_used_, fuel);
}

}  // namespace
}  // namespace eos::wasm
