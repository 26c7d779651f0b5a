// SPDX-License-Identifier: AGPL-3.0-only
// The corpus of real evidence and collateral, published by others. It is not part of the tree:
// EOS_EVIDENCE_DIR names it, or it lies beside the repository.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "common/attestation/verify/verify.h"

namespace eos::attestation::testing {

/// The folder with index.json.
inline std::filesystem::path corpus() {
    const char* named = std::getenv("EOS_EVIDENCE_DIR");
    if (named != nullptr && *named != '\0') return named;
    return std::filesystem::path(EOS_SOURCE_DIR) / ".." / "shared" / "evidence";
}

/// A whole file.
inline Bytes read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file.good()) << path;
    std::string text(std::istreambuf_iterator<char>(file), {});
    return to_bytes(text);
}

/// One row of index.json with its files.
struct Row {
    json::Value data;
    Bytes quote;
    endorsements::Endorsements endorsements;
    UnixTime time;

    std::string text(const char* member) const { return data[member].get<std::string>(); }
};

/// All rows of Intel quotes; skips the test where there is no corpus.
class Corpus : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!std::filesystem::exists(corpus() / "index.json")) {
            GTEST_SKIP() << "skipped: no corpus (EOS_EVIDENCE_DIR)";
        }
        Bytes index = read_file(corpus() / "index.json");
        json::Value rows = json::parse(index, {.size_bytes = 1 << 24}).value();
        for (json::Value& row : rows) {
            std::string kind = row["kind"];
            bool is_sgx = kind == "SGX quote v3";
            if (is_sgx || kind.starts_with("TDX quote v")) rows_.push_back(load(std::move(row)));
        }
        ASSERT_GE(rows_.size(), 47u);
    }

    static Row load(json::Value data) {
        Row row;
        row.quote = read_file(corpus() / data["files"][0].get<std::string>());
        for (const json::Value& file : data["files"]) {
            std::string name = file.get<std::string>();
            if (name.find("/collateral/") == std::string::npos) continue;
            Bytes bytes = read_file(corpus() / name);
            row.endorsements = endorsements::parse_endorsements(bytes).value();
        }
        row.time = parse_rfc3339(data["time"].get<std::string>()).value();
        row.data = std::move(data);
        return row;
    }

    /// The row with this id.
    const Row& row(std::string_view id) const {
        for (const Row& row : rows_) {
            if (row.text("id") == id) return row;
        }
        ADD_FAILURE() << "the corpus has no row " << id;
        return rows_.front();
    }

    std::vector<Row> rows_;
};

}  // namespace eos::attestation::testing
