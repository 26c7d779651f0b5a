// SPDX-License-Identifier: AGPL-3.0-only
#include "common/attestation/endorsements/pck.h"

#include <bitset>
#include <string>

#include "common/oid/registry.h"

namespace eos::attestation::endorsements {
namespace {

using x509::DerReader;

/// The fields of one SEQUENCE OF { OID below `arc`, value }: each at most once.
class Fields {
  public:
    Fields(DerReader reader, const oid::Oid& arc) : reader_(reader), arc_(arc) {}

    struct Field {
        std::uint32_t number;
        DerReader value;
    };

    /// The next field, or nothing at the end. The value must be read to its end by the caller.
    Result<std::optional<Field>> next(std::uint32_t max_number) {
        if (reader_.at_end()) return std::optional<Field>{};
        DerReader entry = EOS_TRY(reader_.sequence());
        oid::Oid oid = EOS_TRY(entry.oid());
        for (std::uint32_t number = 1; number <= max_number; ++number) {
            if (oid != arc_.child(number)) continue;
            if (seen_.test(number)) return fail(bad_pck_extension, oid.dotted() + " twice");
            seen_.set(number);
            return std::optional(Field{number, entry});
        }
        return fail(bad_pck_extension, "unknown field " + oid.dotted());
    }

    Result<void> expect_all(std::uint32_t first, std::uint32_t last) const {
        for (std::uint32_t number = first; number <= last; ++number) {
            if (seen_.test(number)) continue;
            return fail(bad_pck_extension, "field " + arc_.child(number).dotted() + " is missing");
        }
        return {};
    }

  private:
    DerReader reader_;
    oid::Oid arc_;
    std::bitset<32> seen_;
};

template <std::size_t N>
Result<ByteArray<N>> octets(DerReader& value) {
    ByteView bytes = EOS_TRY(value.octet_string());
    if (bytes.size() != N) {
        return fail(bad_pck_extension, "expected " + std::to_string(N) + " bytes");
    }
    return to_array<N>(bytes);
}

Result<std::uint16_t> svn(DerReader& value, std::uint64_t max) {
    std::uint64_t number = EOS_TRY(value.u64());
    if (number > max) return fail(bad_pck_extension, "an SVN is out of range");
    return static_cast<std::uint16_t>(number);
}

constexpr std::uint32_t kPceSvnField = 17;
constexpr std::uint32_t kCpuSvnField = 18;

Result<void> parse_tcb(DerReader& value, PckExtension& out) {
    Fields fields(EOS_TRY(value.sequence()), oid::kPckTcb);
    while (true) {
        auto field = EOS_TRY(fields.next(kCpuSvnField));
        if (!field.has_value()) break;
        if (field->number <= kTcbComponents) {
            out.tcb.components[field->number - 1] =
                static_cast<std::byte>(EOS_TRY(svn(field->value, 0xff)));
        } else if (field->number == kPceSvnField) {
            out.tcb.pce_svn = EOS_TRY(svn(field->value, 0xffff));
        } else {
            out.cpu_svn = EOS_TRY(octets<16>(field->value));
        }
        EOS_TRY(field->value.expect_end());
    }
    return fields.expect_all(1, kCpuSvnField);
}

Result<PckConfiguration> parse_configuration(DerReader& value) {
    PckConfiguration out;
    Fields fields(EOS_TRY(value.sequence()), oid::kPckConfiguration);
    while (true) {
        auto field = EOS_TRY(fields.next(3));
        if (!field.has_value()) break;
        std::optional<bool>& target = field->number == 1   ? out.dynamic_platform
                                      : field->number == 2 ? out.cached_keys
                                                           : out.smt_enabled;
        target = EOS_TRY(field->value.boolean());
        EOS_TRY(field->value.expect_end());
    }
    return out;
}

Result<SgxType> parse_sgx_type(DerReader& value) {
    x509::Element element = EOS_TRY(value.expect(x509::Tag::kEnumerated));
    if (element.value.size() != 1 || element.value[0] > std::byte{2}) {
        return fail(bad_pck_extension, "unknown SGX type");
    }
    return static_cast<SgxType>(element.value[0]);
}

Result<void> parse_field(Fields::Field& field, PckExtension& out) {
    switch (field.number) {
        case 1:
            out.ppid = EOS_TRY(octets<16>(field.value));
            break;
        case 2:
            EOS_TRY(parse_tcb(field.value, out));
            break;
        case 3:
            out.pce_id = EOS_TRY(octets<2>(field.value));
            break;
        case 4:
            out.fmspc = EOS_TRY(octets<6>(field.value));
            break;
        case 5:
            out.sgx_type = EOS_TRY(parse_sgx_type(field.value));
            break;
        case 6:
            out.platform_instance_id = EOS_TRY(octets<16>(field.value));
            break;
        default:
            out.configuration = EOS_TRY(parse_configuration(field.value));
            break;
    }
    return field.value.expect_end();
}

}  // namespace

Result<PckExtension> parse_pck_extension(const x509::Certificate& certificate) {
    const x509::ExtensionView* extension = certificate.find_extension(oid::kPckExtension);
    if (extension == nullptr) return fail(no_pck_extension);
    DerReader outer(extension->value);
    PckExtension out;
    Fields fields(EOS_TRY(outer.sequence()), oid::kPckExtension);
    EOS_TRY(outer.expect_end());
    while (true) {
        auto field = EOS_TRY(fields.next(7));
        if (!field.has_value()) break;
        EOS_TRY(parse_field(*field, out));
    }
    EOS_TRY(fields.expect_all(1, 5));
    return out;
}

}  // namespace eos::attestation::endorsements
