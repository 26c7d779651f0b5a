// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/runtime/served.h"

#include "common/base/codec.h"

namespace eos::runtime {

const ServedName* Served::find(std::string_view server_name) const {
    auto row = names.find(server_name.empty() ? std::string_view(platform_name) : server_name);
    return row == names.end() ? nullptr : &row->second;
}

crypto::Digest32 name_tag(const ServedName& name, const Served& served) {
    Writer out;
    auto field = [&out](ByteView bytes) {
        out.u32be(static_cast<std::uint32_t>(bytes.size())).bytes(bytes);
    };
    field(as_bytes(name.name));
    field(served.policy_root);
    field(as_bytes(served.assurance));
    for (const ratls::ExtensionValue& value : name.values) {
        field(value.oid.der());
        field(value.value);
    }
    return crypto::sha256(out.view());
}

}  // namespace eos::runtime
