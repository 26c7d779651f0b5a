// SPDX-License-Identifier: AGPL-3.0-only
#include "client/collateral_memory.h"

#include <algorithm>
#include <set>

#include "client/files.h"
#include "common/base/encoding.h"
#include "common/crypto/hash.h"

namespace eos::client {
namespace {

using attestation::verify::RootKind;
using attestation::verify::Roots;

constexpr std::size_t kMaxNumber = 0xffffffff;

// Vendors' statements are counted alike for everybody; those of test roots by each root.
std::string key_of(const Roots& roots) {
    if (roots.kind() == RootKind::vendor) return "intel";
    std::set<std::string> all;
    for (const auto& root : roots.test_roots())
        all.insert(hex(crypto::sha256(root.certificate.der())));
    std::string text;
    for (const std::string& digest : all) text += digest;
    return hex(crypto::sha256(as_bytes(text)));
}

Result<std::uint32_t> seen_in(const json::Value& all, const Roots& roots) {
    auto it = all.find(key_of(roots));
    if (it == all.end()) return 0u;
    return static_cast<std::uint32_t>(EOS_TRY(json::as_number(*it, "", kMaxNumber)));
}

}  // namespace

Result<json::Value> CollateralMemory::load() const {
    std::error_code error;
    if (!std::filesystem::exists(file_, error) && !error) return json::Value::object();
    Bytes text = EOS_TRY(read_file(file_));
    Result<json::Value> value = json::parse(text, {.size_bytes = 64 * 1024, .depth = 2});
    auto refuse = [this](const std::string& why) {
        return fail(bad_memory, file_.string() + ": " + why + "; remove it to begin anew");
    };
    if (!value) return refuse(value.error().message());
    if (!value->is_object()) return refuse("not an object");
    for (const json::Value& number : *value)
        if (!json::as_number(number, "", kMaxNumber)) return refuse("not a number");
    return value;
}

Result<std::uint32_t> CollateralMemory::seen(const Roots& roots) const {
    return seen_in(EOS_TRY(load()), roots);
}

Result<void> CollateralMemory::learn(
    const Roots& roots, const attestation::appraise::AttestationResult& verdict) const {
    if (verdict.outcome() == attestation::appraise::Outcome::rejected) return {};
    const json::Value& claims = verdict.claims();
    if (!claims.is_object() || !claims.contains("tcb")) return {};
    const json::Value& number = claims["tcb"]["evaluation_data_number"];
    std::uint64_t found = EOS_TRY(json::as_number(number, "tcb", kMaxNumber));
    FileLock held = EOS_TRY(FileLock::take(file_));
    json::Value all = EOS_TRY(load());
    if (found <= EOS_TRY(seen_in(all, roots))) return {};
    all[key_of(roots)] = found;
    return write_file(file_, as_bytes(json::pretty(all) + "\n"), {});
}

}  // namespace eos::client
