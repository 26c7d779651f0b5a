// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/sgx.h"

#include <array>
#include <bit>

#include "common/base/codec.h"

namespace eos::client::measure {
namespace {

constexpr std::size_t kChunkBytes = 256;
constexpr std::size_t kRecordBytes = 64;

/// A 64-byte record: eight characters of name, fields, zeros.
Writer record(std::string_view name) {
    Writer out;
    out.text(name).zeros(8 - name.size());
    return out;
}

ByteView padded(Writer& out) {
    out.zeros(kRecordBytes - out.size());
    return out.view();
}

/// Reads the records of an SGXS stream.
class SgxsReader {
  public:
    explicit SgxsReader(ByteView stream) : in_(stream) {}

    bool at_end() const { return in_.remaining() == 0; }

    Result<EnclaveMeasurement> created() {
        Reader fields = EOS_TRY(take("ECREATE"));
        EnclaveMeasurement::Shape shape;
        shape.ssa_frame_pages = EOS_TRY(fields.u32le());
        shape.size_bytes = EOS_TRY(fields.u64le());
        EOS_TRY(only_zeros(fields));
        return EnclaveMeasurement::create(shape);
    }

    /// EADD, then the page in sixteen pieces, all measured or none.
    Result<void> page(EnclaveMeasurement& enclave) {
        Reader fields = EOS_TRY(take("EADD"));
        const std::uint64_t offset = EOS_TRY(fields.u64le());
        EnclaveMeasurement::PageInfo info;
        info.flags = EOS_TRY(fields.u64le());
        EOS_TRY(only_zeros(fields));
        const bool measured = next_is("EEXTEND");
        Bytes content;
        for (std::size_t at = 0; at < kPageBytes; at += kChunkBytes) {
            Reader chunk = EOS_TRY(take(measured ? "EEXTEND" : "UNMEASRD"));
            if (EOS_TRY(chunk.u64le()) != offset + at) return stray("a piece out of order");
            EOS_TRY(only_zeros(chunk));
            Result<ByteView> data = in_.bytes(kChunkBytes);
            if (!data) return stray("a page that is cut off");
            append(content, *data);
        }
        using Content = EnclaveMeasurement::Content;
        return enclave.add_page(offset, info, content,
                                measured ? Content::measured : Content::unmeasured);
    }

  private:
    static std::unexpected<Error> stray(std::string what) {
        return fail(bad_enclave_page, std::move(what));
    }

    bool next_is(std::string_view name) const {
        Reader ahead = in_;
        Result<ByteView> found = ahead.bytes(name.size());
        return found && as_chars(*found) == name;
    }

    /// The fields of the next record, which must have this name.
    Result<Reader> take(std::string_view name) {
        if (!next_is(name)) return stray("no " + std::string(name) + " record where one is due");
        Result<ByteView> bytes = in_.bytes(kRecordBytes);
        if (!bytes) return stray("a record that is cut off");
        if (!all_zero(bytes->subspan(name.size(), 8 - name.size()))) return stray("its name");
        return Reader(bytes->subspan(8));
    }

    static Result<void> only_zeros(Reader& fields) {
        if (!all_zero(fields.rest())) return stray("a record with unknown fields");
        return {};
    }

    Reader in_;
};

constexpr std::array<std::uint8_t, 16> kSigstructHeader{0x06, 0, 0, 0, 0xe1, 0, 0, 0,
                                                        0,    0, 1, 0, 0,    0, 0, 0};
constexpr std::array<std::uint8_t, 16> kSigstructHeader2{0x01, 0x01, 0, 0, 0x60, 0, 0, 0,
                                                         0x60, 0,    0, 0, 0x01, 0, 0, 0};
constexpr std::size_t kModulusBytes = 384;

std::unexpected<Error> no_sigstruct(std::string detail) {
    return fail(bad_sigstruct, std::move(detail));
}

bool reserved_is_zero(ByteView in) {
    return all_zero(in.subspan(44, 84)) && all_zero(in.subspan(910, 2)) &&
           all_zero(in.subspan(992, 16)) && all_zero(in.subspan(1028, 12));
}

}  // namespace

Result<Sigstruct> parse_sigstruct(ByteView in) {
    if (in.size() != kSigstructBytes) {
        return no_sigstruct("it has " + std::to_string(in.size()) + " bytes, a SIGSTRUCT has " +
                            std::to_string(kSigstructBytes));
    }
    if (!equal(in.first(16), std::as_bytes(std::span(kSigstructHeader))))
        return no_sigstruct("its HEADER is another one");
    Reader vendor(in.subspan(16));
    const std::uint32_t vendor_id = EOS_TRY(vendor.u32le());
    if (vendor_id != 0 && vendor_id != 0x8086) return no_sigstruct("its VENDOR is unknown");
    if (!equal(in.subspan(24, 16), std::as_bytes(std::span(kSigstructHeader2))))
        return no_sigstruct("its HEADER2 is another one");
    Reader exponent(in.subspan(512));
    if (EOS_TRY(exponent.u32le()) != 3) return no_sigstruct("its EXPONENT is not 3");
    if (!reserved_is_zero(in)) return no_sigstruct("its reserved bytes are not zero");
    Sigstruct out;
    out.mr_signer = crypto::sha256(in.subspan(128, kModulusBytes));
    out.attributes = to_array<16>(in.subspan(928, 16));
    out.attributes_mask = to_array<16>(in.subspan(944, 16));
    out.mr_enclave = to_array<32>(in.subspan(960, 32));
    Reader numbers(in.subspan(1024));
    out.isv_prod_id = EOS_TRY(numbers.u16le());
    out.isv_svn = EOS_TRY(numbers.u16le());
    return out;
}

Result<crypto::Digest32> measure_sgxs(ByteView stream) {
    SgxsReader in(stream);
    EnclaveMeasurement enclave = EOS_TRY(in.created());
    while (!in.at_end()) EOS_TRY(in.page(enclave));
    return enclave.finish();
}

Result<EnclaveMeasurement> EnclaveMeasurement::create(const Shape& shape) {
    if (!std::has_single_bit(shape.size_bytes) || shape.size_bytes < 2 * kPageBytes) {
        return fail(bad_enclave_page,
                    "an enclave of " + std::to_string(shape.size_bytes) + " bytes");
    }
    if (shape.ssa_frame_pages == 0) return fail(bad_enclave_page, "no pages in an SSA frame");
    EnclaveMeasurement out(shape.size_bytes);
    Writer created = record("ECREATE");
    created.u32le(shape.ssa_frame_pages).u64le(shape.size_bytes);
    out.hash_.update(padded(created));
    return out;
}

Result<void> EnclaveMeasurement::add_page(std::uint64_t offset, const PageInfo& info, ByteView page,
                                          Content content) {
    if (offset % kPageBytes != 0 || offset >= size_bytes_ || page.size() != kPageBytes) {
        return fail(bad_enclave_page, "offset " + std::to_string(offset) + ", " +
                                          std::to_string(page.size()) + " bytes");
    }
    Writer added = record("EADD");
    added.u64le(offset).u64le(info.flags);
    hash_.update(padded(added));
    if (content == Content::unmeasured) return {};
    for (std::size_t at = 0; at < kPageBytes; at += kChunkBytes) {
        Writer extended = record("EEXTEND");
        extended.u64le(offset + at);
        hash_.update(padded(extended));
        hash_.update(page.subspan(at, kChunkBytes));
    }
    return {};
}

ProcessIdentity process_identity(ByteView elf) {
    constexpr std::string_view kDomain = "enclave-os process back end, no protection";
    return {crypto::sha256({as_bytes(kDomain), crypto::sha256(elf)}),
            crypto::sha256(as_bytes(kDomain))};
}

}  // namespace eos::client::measure
