// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/why.h"

#include <algorithm>
#include <array>
#include <variant>

#include "client/evidence_files.h"
#include "common/attestation/event_log/log_checks.h"
#include "common/attestation/event_log/replay.h"
#include "common/attestation/evidence/quote.h"
#include "common/attestation/evidence/snp_evidence.h"
#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::client::measure {
namespace {

namespace event_log = attestation::event_log;
namespace evidence = attestation::evidence;
namespace verify = attestation::verify;

constexpr std::size_t kMaxChangeBytes = 256;

/// A register, how long it is, and what to look at when it differs.
struct Row {
    std::string_view tee;
    std::string_view name;
    std::size_t size_bytes;
    std::string_view look_at;
};
/// In the order in which the measurements come about: the first difference explains later ones.
constexpr Row kRows[] = {
    {"sgx", "mr_enclave", 32, "another build or release of the enclave"},
    {"sgx", "mr_signer", 32, "the enclave was signed with another key"},
    {"tdx", "mr_td", 48, "other firmware, or a machine monitor that adds pages in another order"},
    {"tdx", "mr_config_id", 48, "the host launched the guest with another configuration id"},
    {"tdx", "mr_owner", 48, "the host launched the guest with another owner"},
    {"tdx", "mr_owner_config", 48, "the host launched the guest with another owner configuration"},
    {"tdx", "rtmr0", 48,
     "memory size, vCPUs and devices (memory map, ACPI tables), Secure Boot variables, boot order"},
    {"tdx", "rtmr1", 48,
     "another kernel or boot loader, other partitions, or a machine monitor that writes into the "
     "kernel's setup header"},
    {"tdx", "rtmr2", 48, "another kernel command line or initrd"},
    {"tdx", "rtmr3", 48,
     "another application or run-time configuration, or events after the quote"},
    {"snp", "measurement", 48,
     "other firmware, another number or model of vCPUs, other guest features, another kernel, "
     "initrd or command line, or another machine monitor"},
    {"snp", "host_data", 32, "the host launched the guest with other host data"},
    {"snp", "id_key_digest", 48, "the guest was launched with another identity block, or none"},
};

const Row* find_row(std::string_view tee, std::string_view name) {
    for (const Row& row : kRows) {
        if (row.tee == tee && row.name == name) return &row;
    }
    return nullptr;
}

std::string known_registers(std::string_view tee) {
    std::string out;
    for (const Row& row : kRows) {
        if (row.tee == tee) out += " " + std::string(row.name);
    }
    return out;
}

Result<Bytes> parse_value(const Row& row, const std::string& text) {
    Result<Bytes> parsed = from_hex(text);
    if (!parsed) return fail(std::move(parsed.error()).within(row.name));
    Bytes value = *std::move(parsed);
    if (value.size() != row.size_bytes) {
        return fail(bad_encoding, std::string(row.name) + " has " + std::to_string(row.size_bytes) +
                                      " bytes, given are " + std::to_string(value.size()));
    }
    return value;
}

Result<Variant> parse_variant(const std::string& tee, const json::Value& value,
                              const std::string& path) {
    json::Object object = EOS_TRY(json::Object::of(value, path));
    Variant out;
    out.change = EOS_TRY(object.text("change", kMaxChangeBytes));
    out.otherwise.name = EOS_TRY(object.text("register", kMaxChangeBytes));
    const Row* row = find_row(tee, out.otherwise.name);
    if (row == nullptr) {
        return fail(bad_expectation, path + ".register: no register of " + tee + " is named " +
                                         printable(as_bytes(out.otherwise.name)) +
                                         "; its registers are" + known_registers(tee));
    }
    out.otherwise.value = EOS_TRY(parse_value(*row, EOS_TRY(object.text("value", 256))));
    EOS_TRY(object.finish());
    return out;
}

Quoted sgx_measurements(const sgx_arch::ReportBody& report) {
    Quoted out{"sgx", {}, {}, {}};
    out.registers.push_back({"mr_enclave", to_bytes(report.mr_enclave)});
    out.registers.push_back({"mr_signer", to_bytes(report.mr_signer)});
    return out;
}

Quoted tdx_measurements(const evidence::TdReport& report) {
    Quoted out{"tdx", {}, report.rtmr, {}};
    out.registers.push_back({"mr_td", to_bytes(report.mr_td)});
    out.registers.push_back({"mr_config_id", to_bytes(report.mr_config_id)});
    out.registers.push_back({"mr_owner", to_bytes(report.mr_owner)});
    out.registers.push_back({"mr_owner_config", to_bytes(report.mr_owner_config)});
    for (std::size_t i = 0; i < report.rtmr.size(); ++i)
        out.registers.push_back({"rtmr" + std::to_string(i), to_bytes(report.rtmr[i])});
    return out;
}

Quoted snp_measurements(const snp_arch::Report& report) {
    Quoted out{"snp", {}, {}, {}};
    out.registers.push_back({"measurement", to_bytes(report.measurement)});
    out.registers.push_back({"host_data", to_bytes(report.host_data)});
    out.registers.push_back({"id_key_digest", to_bytes(report.id_key_digest)});
    return out;
}

/// A quote says at byte 2 with what kind of key it is signed; there a report has zeros, the upper
/// half of its version.
bool is_snp_report(ByteView bytes) {
    return bytes.size() >= 4 && bytes[2] == std::byte{0} && bytes[3] == std::byte{0};
}

Result<Quoted> measurements_of(ByteView bytes) {
    if (is_snp_report(bytes)) {
        return snp_measurements(EOS_TRY(evidence::parse_snp_evidence(bytes)).report);
    }
    const evidence::Evidence parsed = EOS_TRY(evidence::parse_quote(bytes));
    if (const auto* sgx = std::get_if<evidence::SgxQuote>(&parsed.quote())) {
        return sgx_measurements(sgx->report);
    }
    return tdx_measurements(std::get<evidence::TdxQuote>(parsed.quote()).report);
}

const Bytes* find_value(const std::vector<Register>& registers, std::string_view name) {
    const auto found = std::ranges::find(registers, name, &Register::name);
    return found == registers.end() ? nullptr : &found->value;
}

/// Where the register's events part from the expected ones.
std::string event_note(const Expectation& expected, const event_log::EventLog& log,
                       std::string_view name) {
    if (!expected.events || !name.starts_with("rtmr")) return {};
    const std::size_t rtmr = static_cast<std::size_t>(name.back() - '0');
    auto only = [rtmr](const event_log::EventLog& all) {
        event_log::EventLog out;
        std::ranges::copy_if(all.events, std::back_inserter(out.events),
                             [rtmr](const event_log::Event& event) { return event.rtmr == rtmr; });
        return out;
    };
    std::optional<event_log::Difference> difference =
        first_difference(only(*expected.events), only(log));
    return difference ? describe(*difference) : "";
}

verify::Check register_check(const Row& row, const Expectation& expected, const Quoted& quoted,
                             const std::optional<event_log::EventLog>& log) {
    const std::string id = "why." + std::string(row.name);
    const verify::Subject subject{id, "docs/measure.md", row.look_at};
    const Bytes& wanted = *find_value(expected.registers, row.name);
    const Bytes* found = find_value(quoted.registers, row.name);
    if (found == nullptr) return not_evaluated(subject, "the evidence has no such register");
    if (*found == wanted) return passed(subject, hex(wanted));
    verify::Check check = failed(subject, {hex(wanted), hex(*found)});
    if (all_zero(*found)) check.notes.push_back("nothing was measured into it");
    for (const Variant& variant : expected.variants) {
        if (variant.otherwise.name == row.name && variant.otherwise.value == *found)
            check.notes.push_back("this is the value with: " + variant.change);
    }
    if (log) {
        std::string note = event_note(expected, *log, row.name);
        if (!note.empty()) check.notes.push_back(std::move(note));
    }
    return check;
}

}  // namespace

Result<Expectation> parse_expectation(ByteView text) {
    const json::Value value =
        EOS_TRY(json::parse(text, {.size_bytes = kMaxExpectationBytes, .depth = 4}));
    json::Object object = EOS_TRY(json::Object::of(value, ""));
    Expectation out;
    out.tee = EOS_TRY(object.text("tee", 16));
    if (known_registers(out.tee).empty()) {
        return fail(bad_expectation,
                    "tee is " + printable(as_bytes(out.tee)) + "; it can be sgx, tdx or snp");
    }
    for (const Row& row : kRows) {
        if (row.tee != out.tee || object.find(row.name) == nullptr) continue;
        const std::string digits = EOS_TRY(object.text(row.name, 256));
        out.registers.push_back({std::string(row.name), EOS_TRY(parse_value(row, digits))});
    }
    if (const json::Value* variants = EOS_TRY(object.array("variants", kMaxVariants))) {
        for (std::size_t i = 0; i < variants->size(); ++i) {
            out.variants.push_back(
                EOS_TRY(parse_variant(out.tee, (*variants)[i], json::element_path("variants", i))));
        }
    }
    if (const json::Value* events = EOS_TRY(object.array("events", event_log::kMaxEvents))) {
        out.events = EOS_TRY(event_log::parse_runtime_log(as_bytes(json::compact(*events))));
    }
    // What a SIGSTRUCT says beside the registers: `measure enclave --sigstruct` prints it.
    (void)object.find("sigstruct");
    if (Result<void> end = object.finish(); !end) {
        return fail(end.error().code(), end.error().detail() + "; the registers of " + out.tee +
                                            " are" + known_registers(out.tee));
    }
    if (out.registers.empty()) {
        return fail(bad_expectation, "no register of " + out.tee + " is given; there are" +
                                         known_registers(out.tee));
    }
    return out;
}

Result<Quoted> quoted_measurements(Bytes file) {
    const EvidenceFile inside = unwrap_evidence(std::move(file));
    Quoted out = EOS_TRY(measurements_of(inside.bytes));
    out.taken_off = inside.taken_off;
    return out;
}

verify::Check explain(const Expectation& expected, const Quoted& quoted,
                      const std::optional<event_log::EventLog>& log) {
    const verify::Subject kind{"why.tee", "docs/measure.md", "this is evidence of another TEE"};
    if (expected.tee != quoted.tee) {
        return verify::group("why", {failed(kind, {expected.tee, quoted.tee})});
    }
    std::vector<verify::Check> checks;
    for (const Row& row : kRows) {
        if (row.tee == expected.tee && find_value(expected.registers, row.name) != nullptr)
            checks.push_back(register_check(row, expected, quoted, log));
    }
    if (log && quoted.rtmrs) {
        checks.push_back(
            event_log::check_event_log(*quoted.rtmrs, Result<event_log::EventLog>(*log)));
    }
    return verify::group("why", std::move(checks));
}

}  // namespace eos::client::measure
