// SPDX-License-Identifier: AGPL-3.0-only
#include "common/json/json.h"

#include <gtest/gtest.h>

namespace eos::json {
namespace {

Result<Value> parse_text(std::string_view text) {
    return parse(as_bytes(text), {});
}

TEST(Json, ReadsWhatItWrites) {
    auto value = parse_text(R"( {"b":[1,-2,3.5,true,null,"x"],"a":{"":0}} )");
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ(compact(*value), R"({"a":{"":0},"b":[1,-2,3.5,true,null,"x"]})");
}

TEST(Json, ScalarsAreTexts) {
    EXPECT_TRUE(parse_text("7").has_value());
    EXPECT_TRUE(parse_text("\"a\"").has_value());
}

TEST(Json, MalformedTextIsRefusedWithItsPlace) {
    for (std::string_view bad : {"", " ", "{", "[1,]", "{\"a\":}", "{} {}", "{}x", "nul",
                                 "\"\x80\"", "[1e999]", "{\"a\":1,}", "'a'", "[01]"}) {
        auto value = parse_text(bad);
        ASSERT_FALSE(value.has_value()) << bad;
        EXPECT_EQ(value.error().code(), bad_syntax) << bad;
        EXPECT_NE(value.error().detail().find("at byte"), std::string::npos) << bad;
    }
}

TEST(Json, RepeatedMembersAreRefusedAtEveryDepth) {
    for (std::string_view bad :
         {R"({"a":1,"a":1})", R"([{"x":{"a":1,"b":2,"a":null}}])", R"({"a":1,"\u0061":2})"}) {
        auto value = parse_text(bad);
        ASSERT_FALSE(value.has_value()) << bad;
        EXPECT_EQ(value.error().code(), repeated_member);
        EXPECT_EQ(value.error().detail(), "a");
    }
    EXPECT_TRUE(parse_text(R"([{"a":1},{"a":1}])").has_value());
}

TEST(Json, DepthAndSizeAreBounded) {
    std::string deep(16, '[');
    deep += std::string(16, ']');
    EXPECT_TRUE(parse_text(deep).has_value());
    std::string deeper = "[" + deep + "]";
    EXPECT_EQ(parse_text(deeper).error().code(), too_large);
    EXPECT_EQ(parse_text(std::string(1 << 15, '[')).error().code(), too_large);
    Limits tiny{.size_bytes = 3};
    EXPECT_EQ(parse(as_bytes("[10]"), tiny).error().code(), too_large);
}

// Empty containers cost fifty times what their text does.
TEST(Json, ValuesAreCounted) {
    const Limits five{.values = 5};
    EXPECT_TRUE(parse(as_bytes(R"([{"a":[]},1,""])"), five).has_value());
    for (std::string_view more : {"[[],[],[],[],[]]", "[{},{},{},{},{}]", "[0,0,0,0,0]",
                                  R"([{"a":[]},1,{"b":2}])", "[[[[[[]]]]]]"}) {
        auto value = parse(as_bytes(more), five);
        ASSERT_FALSE(value.has_value()) << more;
        EXPECT_EQ(value.error().code(), too_large);
        EXPECT_EQ(value.error().detail(), "more than 5 values");
    }
}

TEST(Json, HowManyValuesThereMayBeFollowsFromTheSize) {
    auto list = [](std::size_t count) {
        std::string out = "[0";
        for (std::size_t i = 1; i < count; ++i) out += ",0";
        return out + "]";
    };
    const Limits small{.size_bytes = 1 << 19};
    EXPECT_TRUE(parse(as_bytes(list(65535)), small).has_value());
    EXPECT_EQ(parse(as_bytes(list(65536)), small).error().code(), too_large);
    const Limits large{.size_bytes = 1 << 22};
    EXPECT_TRUE(parse(as_bytes(list((1 << 18) - 1)), large).has_value());
    EXPECT_EQ(parse(as_bytes(list(1 << 18)), large).error().code(), too_large);
}

TEST(JsonObject, NamesThePlaceOfEveryError) {
    auto value = parse_text(R"({"n":5,"neg":-1,"f":1.5,"s":"abc","l":[1,2],"o":{}})");
    ASSERT_TRUE(value.has_value());
    auto object = Object::of(*value, "root");
    ASSERT_TRUE(object.has_value());
    EXPECT_EQ(object->number("n", 5).value(), 5u);
    EXPECT_EQ(object->number("n", 4).error().code(), out_of_range);
    EXPECT_EQ(object->number("neg", 4).error().code(), out_of_range);
    EXPECT_EQ(object->number("f", 4).error().code(), out_of_range);
    EXPECT_EQ(object->number("s", 4).error().code(), wrong_type);
    EXPECT_EQ(object->text("s", 3).value(), "abc");
    EXPECT_EQ(object->text("s", 2).error().code(), out_of_range);
    EXPECT_EQ(object->text("n", 2).error().code(), wrong_type);
    EXPECT_EQ(object->text("x", 2).error().code(), missing_member);
    EXPECT_EQ(object->text("x", 2).error().detail(), "root.x");
    EXPECT_EQ(object->array("l", 1).error().code(), out_of_range);
    EXPECT_EQ(object->array("n", 1).error().code(), wrong_type);
    EXPECT_EQ(object->array("absent", 1).value(), nullptr);
    EXPECT_EQ(object->finish().error().code(), unknown_member);
    EXPECT_EQ(object->finish().error().detail(), "root.o");
    object->find("o");
    EXPECT_TRUE(object->finish().has_value());
    EXPECT_EQ(Object::of((*value)["l"], "l").error().code(), wrong_type);
}

}  // namespace
}  // namespace eos::json
