// SPDX-License-Identifier: AGPL-3.0-only
#include "common/sgx_arch/key_request.h"

#include "common/base/codec.h"
#include "common/sgx_arch/reserved.h"

namespace eos::sgx_arch {

Result<KeyRequest> parse_key_request(ByteView in) {
    EOS_TRY(detail::expect_size(in, {"KEYREQUEST", kKeyRequestBytes}));
    Reader reader(in);
    KeyRequest out;
    out.key_name = EOS_TRY(reader.u16le());          // 0
    out.key_policy = EOS_TRY(reader.u16le());        // 2
    out.isv_svn = EOS_TRY(reader.u16le());           // 4
    out.cet_attributes_mask = EOS_TRY(reader.u8());  // 6
    EOS_TRY(detail::expect_zeros(reader, {"KEYREQUEST byte 7", 1}));
    out.cpu_svn = EOS_TRY(reader.array<16>());           // 8
    out.attribute_mask.flags = EOS_TRY(reader.u64le());  // 24
    out.attribute_mask.xfrm = EOS_TRY(reader.u64le());   // 32
    out.key_id = EOS_TRY(reader.array<32>());            // 40
    out.misc_mask = EOS_TRY(reader.u32le());             // 72
    out.config_svn = EOS_TRY(reader.u16le());            // 76
    EOS_TRY(detail::expect_zeros(reader, {"KEYREQUEST bytes 78 to 511", 434}));
    return out;
}

ByteArray<kKeyRequestBytes> encode(const KeyRequest& request) {
    Writer out;
    out.u16le(request.key_name).u16le(request.key_policy).u16le(request.isv_svn);
    out.u8(request.cet_attributes_mask).zeros(1).bytes(request.cpu_svn);
    out.u64le(request.attribute_mask.flags).u64le(request.attribute_mask.xfrm);
    out.bytes(request.key_id).u32le(request.misc_mask).u16le(request.config_svn).zeros(434);
    return to_array<kKeyRequestBytes>(out.view());
}

}  // namespace eos::sgx_arch
