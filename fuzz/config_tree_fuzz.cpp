// SPDX-License-Identifier: AGPL-3.0-only
// Manifest, proof and history texts of unknown origin. What is accepted must survive being written
// and read again.
#include <cstddef>
#include <cstdint>

#include "common/base/assert.h"
#include "common/config_tree/manifest.h"

namespace {

using namespace eos;
using namespace eos::config_tree;

void try_manifest(ByteView text) {
    Result<Tree> tree = parse_manifest(text);
    if (!tree) return;
    std::string written = encode_manifest(*tree);
    Result<Tree> again = parse_manifest(as_bytes(written));
    EOS_ASSERT(again.has_value() && again->root() == tree->root());
    EOS_ASSERT(diff(*tree, *again).empty());
}

void try_inclusion(ByteView text) {
    Result<InclusionProof> proof = parse_inclusion_proof(text);
    if (!proof) return;
    ExpectedRoot nothing{proof->scope, Digest32{}};
    EOS_ASSERT(!verify_inclusion(*proof, nothing, proof->leaf.leaf.name).has_value());
    EOS_ASSERT(*parse_inclusion_proof(as_bytes(encode_proof(*proof))) == *proof);
}

void try_absence(ByteView text) {
    Result<AbsenceProof> proof = parse_absence_proof(text);
    if (!proof) return;
    ExpectedRoot nothing{proof->scope, Digest32{}};
    EOS_ASSERT(!verify_absence(*proof, nothing, proof->name).has_value());
    EOS_ASSERT(*parse_absence_proof(as_bytes(encode_proof(*proof))) == *proof);
}

void try_history(ByteView text) {
    Result<History> history = parse_history(text);
    if (!history) return;
    static_cast<void>(verify_history(*history));
    EOS_ASSERT(*parse_history(as_bytes(encode_history(*history))) == *history);
}

void try_name(ByteView text) {
    Result<Name> name = parse_name(as_chars(text));
    if (name) EOS_ASSERT(name->text() == as_chars(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteView text(reinterpret_cast<const std::byte*>(data), size);
    try_manifest(text);
    try_inclusion(text);
    try_absence(text);
    try_history(text);
    try_name(text);
    return 0;
}
