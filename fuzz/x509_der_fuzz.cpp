// SPDX-License-Identifier: AGPL-3.0-only
// Every value has one encoding: what is read is written to the same bytes. A failing read moves
// nothing.
#include "common/base/assert.h"
#include "common/x509/der.h"

namespace {

using namespace eos;
using x509::DerReader;
using x509::DerWriter;
using x509::Tag;

// Reads the next element with the reader of its type and writes it.
Result<void> rewrite(DerReader& in, DerWriter& out) {
    if (in.next_is(Tag::kBoolean)) {
        if (EOS_TRY(in.boolean()))
            out.boolean_true();
        else
            out.primitive(Tag::kBoolean, Bytes(1));
    } else if (in.next_is(Tag::kInteger)) {
        out.unsigned_integer(EOS_TRY(in.unsigned_integer()));
    } else if (in.next_is(Tag::kOid)) {
        oid::Oid value = EOS_TRY(in.oid());
        EOS_ASSERT(oid::Oid::parse(value.dotted()).value() == value);
        out.oid(value);
    } else if (in.next_is(Tag::kBitString)) {
        out.byte_bit_string(EOS_TRY(in.byte_bit_string()));
    } else if (in.next_is(Tag::kUtcTime)) {
        out.time(EOS_TRY(in.time()));
    } else {
        x509::Element element = EOS_TRY(in.any());
        out.primitive(element.tag, element.value);
    }
    return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteView rest = std::as_bytes(std::span(data, size));
    DerReader in(rest);
    while (!in.at_end()) {
        DerWriter out;
        DerReader bits = in;
        (void)bits.named_bits();
        if (rewrite(in, out)) {
            EOS_ASSERT(out.size() <= rest.size() && equal(out.view(), rest.first(out.size())));
            rest = rest.subspan(out.size());
            continue;
        }
        auto refused = in.any();
        if (!refused) break;
        EOS_ASSERT(refused->whole.data() == rest.data());
        rest = rest.subspan(refused->whole.size());
    }
    return 0;
}
