// SPDX-License-Identifier: AGPL-3.0-only
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "trusted/mini/api/testing.h"

namespace eos::mini {
namespace {

class Routes : public ::testing::Test, protected testing::ApiRig {};

std::string read_text(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// What is documented is what there is: docs/api.md holds the router's own table.
TEST_F(Routes, TheDocumentedTableIsTheRouters) {
    start_owned();
    std::string table = runtime::to_markdown(router.table());
    std::string document = read_text(EOS_SOURCE_DIR "/docs/api.md");
    ASSERT_FALSE(document.empty());
    EXPECT_NE(document.find("\n\n" + table + "\n"), std::string::npos)
        << "replace the table in docs/api.md by this one:\n"
        << table;
}

}  // namespace
}  // namespace eos::mini
