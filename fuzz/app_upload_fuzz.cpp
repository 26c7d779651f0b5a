// SPDX-License-Identifier: AGPL-3.0-only
// Bodies of load requests, as an owner (or whoever has its key) may send them. What is accepted
// holds the promises of its types, whatever the bytes were.
#include <cstddef>
#include <cstdint>
#include <set>

#include "common/base/assert.h"
#include "trusted/mini/api/app_manifest.h"

namespace {

using namespace eos;
using namespace eos::mini;

void check(const AppManifest& manifest) {
    EOS_ASSERT(manifest.module.bytes().size() == manifest.app.module_bytes);
    EOS_ASSERT(manifest.module.digest() == manifest.app.code_digest);
    EOS_ASSERT(manifest.app.module_bytes >= 1 && manifest.app.module_bytes <= kMaxModuleBytes);
    EOS_ASSERT(manifest.app.arguments.size() <= runtime::kMaxArguments);
    EOS_ASSERT(manifest.app.environment.size() <= runtime::kMaxEnvironmentVariables);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteView input(reinterpret_cast<const std::byte*>(data), size);
    UnixTime now{1'788'516'900};
    if (auto one = parse_app_upload(input, now)) check(*one);
    if (auto batch = parse_batch_upload(input, now)) {
        EOS_ASSERT(!batch->empty() && batch->size() <= kMaxBatchChanges);
        std::set<std::string> names;
        for (const AppChange& change : *batch) {
            EOS_ASSERT(names.insert(change.name).second);
            if (change.load) check(*change.load);
        }
    }
    return 0;
}
