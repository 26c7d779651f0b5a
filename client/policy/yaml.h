// SPDX-License-Identifier: AGPL-3.0-only
// YAML as people write policies in it, turned into the JSON that the one parser of policies reads.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/json/json.h"

namespace eos::client::policy {

inline constexpr Code bad_yaml{"client/policy", "bad_yaml", "not YAML of the kind that is read"};

inline constexpr std::size_t kMaxYamlBytes = 256 * 1024;
inline constexpr std::size_t kMaxYamlValues = 16 * 1024;
inline constexpr std::size_t kMaxYamlDepth = 8;
inline constexpr std::size_t kMaxYamlKeyBytes = 256;

/// Where a value of a document begins, and what it was taken for.
struct Place {
    int line = 0;    ///< counted from 1
    int column = 0;  ///< counted from 1
    /// "a number", "true or false", "null": of what stands there without quotes; else empty.
    std::string_view reads_as = {};
};

/// A document as JSON.
struct YamlDocument {
    json::Value value;
    /// Of every value by its path as errors of common/json name it, "identity[0].mr_enclave"; of
    /// the document itself by "". A member's place is that of its key.
    std::map<std::string, Place> places;
};

/// "line 3, column 5".
std::string describe(const Place& place);

/// Reads one document by the core schema, more strictly: `true` and `false` in these letters only;
/// integers of 64 bits; nothing with a fraction or an exponent. What looks like such a number, or
/// is too long for one, is refused and not guessed at: it may be a digest without its quotes. No
/// anchors, aliases, tags, merge keys or second document; keys are text, each once in its map.
/// errors:  bad_yaml. The detail has line, column and path.
/// source:  YAML 1.2.2, 10.3.
/// bound:   kMaxYamlBytes, kMaxYamlValues, kMaxYamlDepth, kMaxYamlKeyBytes.
[[nodiscard]] Result<YamlDocument> parse_yaml(ByteView text);

}  // namespace eos::client::policy
