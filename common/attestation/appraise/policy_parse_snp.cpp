// SPDX-License-Identifier: AGPL-3.0-only
// What a policy says about guests of SEV-SNP, from and to JSON.
#include <array>

#include "common/attestation/appraise/policy_members.h"
#include "common/base/codec.h"

namespace eos::attestation::appraise {
namespace {

using snp_arch::Product;
using snp_arch::Tcb;

template <typename Enum>
using Names = std::span<const std::pair<Enum, std::string_view>>;

constexpr std::array<std::pair<SnpFreedom, std::string_view>, 3> kFreedoms{{
    {SnpFreedom::smt, "smt"},
    {SnpFreedom::migration_agent, "migration_agent"},
    {SnpFreedom::cxl, "cxl"},
}};
constexpr std::array<std::pair<SnpDemand, std::string_view>, 9> kDemands{{
    {SnpDemand::single_socket, "single_socket"},
    {SnpDemand::aes_256_xts, "aes_256_xts"},
    {SnpDemand::rapl_disabled, "rapl_disabled"},
    {SnpDemand::ciphertext_hiding, "ciphertext_hiding"},
    {SnpDemand::page_swap_disabled, "page_swap_disabled"},
    {SnpDemand::ecc, "ecc"},
    {SnpDemand::tsme, "tsme"},
    {SnpDemand::alias_check_complete, "alias_check_complete"},
    {SnpDemand::smt_disabled, "smt_disabled"},
}};
constexpr std::array<std::pair<Product, std::string_view>, 3> kProducts{{
    {Product::milan, "milan"},
    {Product::genoa, "genoa"},
    {Product::turin, "turin"},
}};

template <typename Enum>
std::string_view name_of(Enum value, Names<Enum> names) {
    for (const auto& [known, name] : names)
        if (known == value) return name;
    __builtin_unreachable();
}

template <typename Enum>
std::optional<Enum> from_name(std::string_view text, Names<Enum> names) {
    for (const auto& [known, name] : names)
        if (name == text) return known;
    return {};
}

template <typename Enum>
Result<std::set<Enum>> enum_set(json::Object& object, std::string_view member, Names<Enum> names) {
    std::set<Enum> out;
    for (const std::string& text : EOS_TRY(text_set(object, member))) {
        std::optional<Enum> value = from_name(text, names);
        if (!value.has_value()) {
            return fail(bad_policy, object.path(member) + ": unknown word \"" +
                                        printable(as_bytes(text), kMaxNameBytes) + "\"");
        }
        out.insert(*value);
    }
    return out;
}

template <std::size_t N>
Result<std::optional<ByteArray<N>>> optional_hex(json::Object& object, std::string_view name) {
    if (object.find(name) == nullptr) return std::optional<ByteArray<N>>{};
    return std::optional(EOS_TRY(hex_member<N>(object, name)));
}

/// The parts of a TCB with their names in JSON.
constexpr std::array<std::pair<std::uint8_t Tcb::*, const char*>, 5> kParts{{
    {&Tcb::fmc, "fmc"},
    {&Tcb::boot_loader, "boot_loader"},
    {&Tcb::tee, "tee"},
    {&Tcb::snp, "snp"},
    {&Tcb::microcode, "microcode"},
}};

Result<std::map<Product, Tcb>> parse_min_tcb(json::Object& parent) {
    std::map<Product, Tcb> out;
    const json::Value* value = parent.find("min_tcb");
    if (value == nullptr) return out;
    json::Object object = EOS_TRY(json::Object::of(*value, parent.path("min_tcb")));
    for (const auto& [product, name] : kProducts) {
        const json::Value* entry = object.find(name);
        if (entry == nullptr) continue;
        json::Object parts = EOS_TRY(json::Object::of(*entry, object.path(name)));
        Tcb tcb;
        for (const auto& [part, part_name] : kParts) {
            if (parts.find(part_name) == nullptr) continue;
            tcb.*part = static_cast<std::uint8_t>(EOS_TRY(parts.number(part_name, 0xff)));
        }
        EOS_TRY(parts.finish());
        if (tcb.fmc != 0 && product != Product::turin) {
            return fail(bad_policy, parts.path("fmc") + ": only Turin has an FMC");
        }
        out.emplace(product, tcb);
    }
    EOS_TRY(object.finish());
    return out;
}

Result<void> parse_vmpl(json::Object& object, SnpRule& out) {
    constexpr std::size_t kLevels = 4;
    const json::Value* list = EOS_TRY(object.array("vmpl", kLevels));
    if (list == nullptr) return {};
    out.vmpl.clear();
    for (std::size_t i = 0; i < list->size(); ++i) {
        std::string path = json::element_path(object.path("vmpl"), i);
        std::uint64_t level = EOS_TRY(json::as_number((*list)[i], path, kLevels - 1));
        if (!out.vmpl.insert(static_cast<std::uint32_t>(level)).second) {
            return fail(bad_policy, path + ": repeated");
        }
    }
    if (out.vmpl.empty()) return fail(bad_policy, object.path("vmpl") + ": empty");
    return {};
}

/// The lowest minimum that a guest's launch policy may name.
Result<void> parse_min_abi(json::Object& object, SnpRule& out) {
    const json::Value* value = object.find("min_abi");
    if (value == nullptr) return {};
    json::Object abi = EOS_TRY(json::Object::of(*value, object.path("min_abi")));
    const std::uint64_t major = EOS_TRY(abi.number("major", 0xff));
    const std::uint64_t minor = EOS_TRY(abi.number("minor", 0xff));
    EOS_TRY(abi.finish());
    out.min_abi = static_cast<std::uint16_t>(major << 8 | minor);
    return {};
}

template <typename Enum, typename Set>
json::Value words(const Set& values, Names<Enum> names) {
    std::set<std::string_view> out;
    for (Enum value : values) out.insert(name_of(value, names));
    return out;
}

}  // namespace

std::string_view snp_freedom_name(SnpFreedom freedom) {
    return name_of(freedom, Names<SnpFreedom>(kFreedoms));
}
std::optional<SnpFreedom> snp_freedom_from(std::string_view name) {
    return from_name(name, Names<SnpFreedom>(kFreedoms));
}
std::string_view snp_demand_name(SnpDemand demand) {
    return name_of(demand, Names<SnpDemand>(kDemands));
}
std::optional<SnpDemand> snp_demand_from(std::string_view name) {
    return from_name(name, Names<SnpDemand>(kDemands));
}

bool is_snp_pin(json::Object& object) {
    return object.find("measurement") != nullptr || object.find("id_key_digest") != nullptr ||
           object.find("author_key_digest") != nullptr;
}

Result<SnpPin> parse_snp_pin(json::Object& object) {
    SnpPin out;
    out.measurement = EOS_TRY(optional_hex<48>(object, "measurement"));
    out.id_key_digest = EOS_TRY(optional_hex<48>(object, "id_key_digest"));
    out.author_key_digest = EOS_TRY(optional_hex<48>(object, "author_key_digest"));
    out.family_id = EOS_TRY(optional_hex<16>(object, "family_id"));
    out.image_id = EOS_TRY(optional_hex<16>(object, "image_id"));
    out.host_data = EOS_TRY(optional_hex<32>(object, "host_data"));
    if (object.find("min_guest_svn") != nullptr) {
        out.min_guest_svn =
            static_cast<std::uint32_t>(EOS_TRY(object.number("min_guest_svn", 0xffffffff)));
    }
    if (out.names_guest()) return out;
    return fail(bad_policy, object.path("measurement") +
                                ": needed, or id_key_digest or author_key_digest with family_id "
                                "and image_id");
}

Result<void> parse_snp(json::Object& root, Policy& out) {
    const json::Value* value = root.find("snp");
    if (value == nullptr) return {};
    json::Object object = EOS_TRY(json::Object::of(*value, root.path("snp")));
    if (!out.tees.contains(std::string(kTeeSnp))) {
        return fail(bad_policy, "snp: rules for a TEE that tees does not name");
    }
    SnpRule& rule = out.snp;
    if (object.find("products") != nullptr) {
        rule.products = EOS_TRY(enum_set(object, "products", Names<Product>(kProducts)));
        if (rule.products.empty()) return fail(bad_policy, object.path("products") + ": empty");
    }
    rule.min_tcb = EOS_TRY(parse_min_tcb(object));
    EOS_TRY(parse_vmpl(object, rule));
    if (object.find("allow") != nullptr) {
        rule.allow = EOS_TRY(enum_set(object, "allow", Names<SnpFreedom>(kFreedoms)));
    }
    rule.require = EOS_TRY(enum_set(object, "require", Names<SnpDemand>(kDemands)));
    EOS_TRY(parse_min_abi(object, rule));
    if (object.find("mitigations") != nullptr) {
        ByteArray<8> bits = EOS_TRY(hex_member<8>(object, "mitigations"));
        rule.mitigations = EOS_TRY(Reader(bits).u64le());
    }
    rule.chip_ids = EOS_TRY(hex_set<64>(object, "chip_ids"));
    rule.csp_ids = EOS_TRY(text_set(object, "csp_ids"));
    return object.finish();
}

void snp_pin_to_json(const SnpPin& pin, json::Value& out) {
    auto set = [&out](const char* name, const auto& value) {
        if (value.has_value()) out[name] = hex(*value);
    };
    set("measurement", pin.measurement);
    set("id_key_digest", pin.id_key_digest);
    set("author_key_digest", pin.author_key_digest);
    set("family_id", pin.family_id);
    set("image_id", pin.image_id);
    set("host_data", pin.host_data);
    out["min_guest_svn"] = pin.min_guest_svn;
}

json::Value snp_to_json(const SnpRule& rule) {
    json::Value out = {{"products", words(rule.products, Names<Product>(kProducts))},
                       {"vmpl", rule.vmpl},
                       {"allow", words(rule.allow, Names<SnpFreedom>(kFreedoms))},
                       {"require", words(rule.require, Names<SnpDemand>(kDemands))},
                       {"min_abi", {{"major", rule.min_abi >> 8}, {"minor", rule.min_abi & 0xff}}},
                       {"csp_ids", rule.csp_ids}};
    Writer bits;
    bits.u64le(rule.mitigations);
    out["mitigations"] = hex(bits.view());
    out["chip_ids"] = json::Value::array();
    for (const auto& chip : rule.chip_ids) out["chip_ids"].push_back(hex(chip));
    out["min_tcb"] = json::Value::object();
    for (const auto& [product, tcb] : rule.min_tcb) {
        json::Value& entry =
            out["min_tcb"][std::string(name_of(product, Names<Product>(kProducts)))];
        for (const auto& [part, name] : kParts) {
            if (part != &Tcb::fmc || product == Product::turin) entry[name] = tcb.*part;
        }
    }
    return out;
}

}  // namespace eos::attestation::appraise
