// SPDX-License-Identifier: AGPL-3.0-only
// What the server stands for at one moment: its names, what each name's leaf says, and who signs. A
// value that never changes once published; a change publishes a new one, and connections of the old
// one are drained.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/ratls/leaf.h"
#include "common/ratls/leaf_scheme.h"
#include "common/ratls/tls_session.h"

namespace eos::runtime {

/// A leaf key with the quote that vouches for it: made once per start, renewal and change of
/// values, and shared by every name whose values did not change.
struct KeyEpoch {
    crypto::P256PrivateKey key;
    UnixTime not_before;  ///< whole minutes; the quote's report data holds it
    Bytes evidence;
};

/// Which routes a name has.
enum class NameKind { kPlatform, kApp };

/// One name and what its leaf says.
struct ServedName {
    std::string name;  ///< lower case; empty only while the enclave is unowned
    NameKind kind = NameKind::kPlatform;
    std::string app;  ///< the app behind it, for kApp
    std::vector<ratls::ExtensionValue> values;
    ratls::Profile profile = ratls::Profile::kAuto;
    std::shared_ptr<const KeyEpoch> epoch;

    /// Names two moments of this name apart: a connection shown one tag is never served under
    /// another.
    crypto::Digest32 tag{};
};

/// Who signs, shared by all workers.
struct LeafIssuer {
    std::vector<Bytes>
        chain;      ///< DER, intermediate first; empty while unowned (leaves are self-signed)
    Bytes subject;  ///< the intermediate's subject, DER
    Bytes key_identifier;  ///< its subjectKeyIdentifier
    crypto::P256PrivateKey key;
};

/// All names, and what they have in common.
struct Served {
    std::map<std::string, ServedName, std::less<>> names;
    std::string platform_name;                 ///< key of the platform's row in `names`
    std::shared_ptr<const LeafIssuer> issuer;  ///< null while unowned
    crypto::Digest32 policy_root{};
    ratls::Instance instance;
    std::string assurance;

    /// The row for an SNI name; without SNI (empty) the platform's. Null: unknown name.
    const ServedName* find(std::string_view server_name) const;
};

/// Takes over the epoch of every name whose values are what they were.
/// returns: whether every name now has an epoch.
bool keep_epochs(Served& next, const Served* current);

/// Gives `epoch` to every name that has none.
void fill_epochs(Served& next, const std::shared_ptr<const KeyEpoch>& epoch);

/// Gives `epoch` to every name: renewal.
void replace_epochs(Served& next, const std::shared_ptr<const KeyEpoch>& epoch);

/// When the oldest epoch began; every name has one.
UnixTime oldest_epoch(const Served& served);

/// What a workload's 3.2 says.
struct WorkloadDigest {
    std::string_view name;
    crypto::Digest32 digest{};
};

/// Extension 2.5: SHA-256 over name and digest of every workload; zeros if there is none.
/// in:     by name, rising.
/// source: docs/formats/certificate.md 2.
crypto::Digest32 combined_workloads_hash(std::span<const WorkloadDigest> workloads);

/// Extension 2.8: leaves whose assurance is not production say so in it, too.
/// source: docs/formats/certificate.md 2.
ratls::ExtensionValue image_profile(std::string_view assurance);

/// The tag of a name: SHA-256 over everything its leaf says that must not change under a
/// connection. Serial, validity, instance and key are not in it.
crypto::Digest32 name_tag(const ServedName& name, const Served& served);

/// Adds a name with its tag; `served` has its policy root and assurance already.
void add_name(Served& served, ServedName row);

}  // namespace eos::runtime
