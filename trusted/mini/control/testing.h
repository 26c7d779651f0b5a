// SPDX-License-Identifier: AGPL-3.0-only
// For tests: a control plane whose storage, processor, quotes and clock are in memory.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/codec.h"
#include "common/base/encoding.h"
#include "common/x509/builder.h"
#include "common/x509/pem.h"
#include "common/x509/request.h"
#include "trusted/mini/control/control.h"
#include "trusted/runtime/testing.h"

namespace eos::mini::testing {

inline constexpr Code quoting_down{"test", "quoting_down", "no quotes today"};
inline constexpr UnixTime kNow{1'788'516'900};
inline constexpr const char* kPlatform = "mini.example.test";

/// Time stands until a test moves it.
class FakeClock : public runtime::Clock {
  public:
    UnixTime now() const override { return time; }
    std::uint64_t monotonic_ms() const override { return ms; }
    UnixTime time = kNow;
    std::uint64_t ms = 1000;
};

/// Answers at once with something that nobody takes for a quote, or does not.
class FakeEvidence : public runtime::EvidenceSource {
  public:
    void request(const ratls::ReportData& report_data, runtime::Done<Bytes> done) override {
        asked.push_back(report_data);
        if (is_held) return held.push_back(std::move(done));
        if (is_down) return done(fail(quoting_down));
        done(Bytes(100, std::byte{7}));
    }
    /// Answers what was held, oldest first.
    void release() {
        is_held = false;
        while (!held.empty()) {
            runtime::Done<Bytes> done = std::move(held.front());
            held.pop_front();
            done(Bytes(100, std::byte{7}));
        }
    }
    std::vector<ratls::ReportData> asked;
    std::deque<runtime::Done<Bytes>> held;
    bool is_down = false;
    bool is_held = false;
};

/// The operator's side: a root that signs what it is told to.
struct Operator {
    crypto::P256PrivateKey root_key = crypto::P256PrivateKey::generate();
    x509::Certificate root =
        *x509::make_root_ca({.subject = *x509::DistinguishedName::common_name("Root"),
                             .validity = {kNow - 3 * kSecondsPerDay, kNow + 1000 * kSecondsPerDay},
                             .path_length = 1,
                             .name_constraints = std::nullopt,
                             .more_extensions = {}},
                            root_key);
    crypto::P256PublicKey owner = crypto::P256PrivateKey::generate().public_key();

    struct Ca {
        std::optional<std::uint32_t> path_length = 0;
        std::vector<std::string> permitted = {"example.test"};
        std::int64_t days = 90;
    };
    std::string sign(const crypto::P256PublicKey& key, const Ca& ca) const {
        x509::NameConstraints constraints;
        constraints.permitted_dns = ca.permitted;
        std::optional<x509::NameConstraints> names;
        if (!ca.permitted.empty()) names = constraints;
        x509::Certificate made = *x509::make_intermediate_ca(
            {.subject = *x509::DistinguishedName::common_name("Enclave CA"),
             .validity = {kNow - 2 * kSecondsPerDay, kNow + ca.days * kSecondsPerDay},
             .path_length = ca.path_length,
             .name_constraints = names,
             .more_extensions = {}},
            key, root, root_key);
        return x509::encode_pem("CERTIFICATE", made.der()) +
               x509::encode_pem("CERTIFICATE", root.der());
    }
};

/// A control plane with everything around it, and the operator who provisions it. Publication is at
/// once.
struct ControlRig {
    std::unique_ptr<Control> make() {
        ProgramFacts facts;
        facts.version = "test 1";
        facts.assurance = "process";
        facts.build = {"engine", "flags"};
        return std::make_unique<Control>(Control::Parts{
            .blobs = blobs,
            .keys = keys,
            .random = random,
            .evidence = evidence,
            .clock = clock,
            .raise_clock = [this](UnixTime floor) { clock.time = std::max(clock.time, floor); },
            .facts = facts,
            .publish =
                [this](SnapshotPtr snapshot, std::move_only_function<void()> done) {
                    published.push_back(std::move(snapshot));
                    done();
                },
            .log =
                [this](boundary::LogCode code, std::initializer_list<std::uint64_t> numbers) {
                    if (code == boundary::LogCode::kProvisioningToken) {
                        token = hex(
                            std::move(Writer().u64be(numbers.begin()[0]).u64be(numbers.begin()[1]))
                                .take());
                    }
                    logged.push_back(code);
                },
            .stop = [this](boundary::Exit::Why why) { stopped = why; }});
    }
    void start() {
        control = make();
        control->start();
    }
    /// Both steps; the CSR's key is what the operator signs.
    Result<SnapshotPtr> provision(const Operator::Ca& ca) {
        Result<CaRequest> request = ask_for_ca();
        if (!request) return fail(std::move(request).error());
        crypto::P256PublicKey key = *x509::CertificateRequest::parse(request->csr)->p256_key();
        return complete(op.sign(key, ca));
    }
    Result<CaRequest> ask_for_ca() {
        std::optional<Result<CaRequest>> out;
        control->request_ca({token, kPlatform, ByteArray<32>{}, op.owner.spki_hash()},
                            [&](Result<CaRequest> r) { out = std::move(r); });
        return std::move(*out);
    }
    Result<SnapshotPtr> complete(const std::string& chain) {
        std::optional<Result<SnapshotPtr>> out;
        control->complete_provisioning(token, op.owner.spki_hash(), chain,
                                       [&](Result<SnapshotPtr> r) { out = std::move(r); });
        return std::move(*out);
    }
    using Outcome = std::optional<Result<SnapshotPtr>>;
    /// A change that loads these apps: name, code.
    Control::Change change_of(const std::map<std::string, std::string>& apps) const {
        Control::Change change;
        change.instance_id = control->snapshot()->instance_id;
        for (const auto& [name, code] : apps)
            change.modules.emplace(name, runtime::HashedModule(SecretBytes(to_bytes(code))));
        change.edit = [apps](runtime::PlatformState& state) -> Result<void> {
            for (const auto& [name, code] : apps) {
                runtime::App app;
                app.hostname = name + ".example.test";
                app.code_digest = crypto::sha256(as_bytes(code));
                app.module_bytes = static_cast<std::uint32_t>(code.size());
                app.loaded_at = kNow;
                state.apps.insert_or_assign(name, std::move(app));
            }
            return {};
        };
        return change;
    }
    /// `out` is set when it is done, and outlives that.
    void begin(Control::Change change, Outcome& out) {
        control->change(std::move(change), [&out](Result<SnapshotPtr> r) { out = std::move(r); });
    }
    Result<SnapshotPtr> load(const std::string& name, const std::string& code) {
        Outcome out;
        begin(change_of({{name, code}}), out);
        return std::move(*out);
    }

    runtime::testing::MemoryBlobStore blobs;
    runtime::testing::FakeSealingKeys keys;
    runtime::testing::OpensslRandom random;
    FakeEvidence evidence;
    FakeClock clock;
    Operator op;
    std::vector<SnapshotPtr> published;
    std::vector<boundary::LogCode> logged;
    std::optional<boundary::Exit::Why> stopped;
    std::string token;
    std::unique_ptr<Control> control;
};

}  // namespace eos::mini::testing
