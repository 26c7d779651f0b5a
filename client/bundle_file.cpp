// SPDX-License-Identifier: AGPL-3.0-only
#include "client/bundle_file.h"

#include "client/files.h"
#include "common/json/json.h"

namespace eos::client {
namespace {

bool is_other_json(ByteView text) {
    const Result<json::Value> value = json::parse(text, {.size_bytes = kMaxFileBytes});
    return value && value->is_object() && !value->contains("format");
}

}  // namespace

Result<attestation::endorsements::Bundle> read_bundle(const std::filesystem::path& path) {
    const Bytes text = EOS_TRY(read_file(path));
    Result<attestation::endorsements::Bundle> bundle =
        attestation::endorsements::parse_bundle(text);
    if (bundle) return bundle;
    if (is_other_json(text)) {
        return fail(no_bundle, "make one with `enclavectl bundle make --import " + path.string() +
                                   " --out NEW`");
    }
    return fail(std::move(bundle.error()).within(path.string()));
}

}  // namespace eos::client
