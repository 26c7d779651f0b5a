// SPDX-License-Identifier: AGPL-3.0-only
// dstack's attestation, read-only: what its certificates carry since 0.5.9, and its guests hand out
// as a file. Version 0, which is SCALE, of a TDX or SEV-SNP guest; the rest is refused by its name.
#pragma once

#include <optional>
#include <vector>

#include "common/ratls/foreign_leaf.h"

namespace eos::ratls {

/// What an attestation holds. Nothing is verified, but that it agrees with its own quote.
struct DstackAttestation {
    Bytes evidence;                   ///< TDX quote, without the zeros behind it, or SNP report
    std::vector<Bytes> certificates;  ///< as in ForeignLeaf
    std::optional<attestation::event_log::EventLog> runtime_log;  ///< as in ForeignLeaf
};

/// Takes the evidence out. The report data that stands beside it must be its own. Skipped are the
/// other log of a TDX guest, which certificates have only in part, and the configuration.
/// errors:  unread_foreign_evidence (another version or kind of guest, with its name);
///          bad_foreign_leaf.
/// source:  dstack, as docs/evidence.md describes it; SCALE: docs.polkadot.com, data encoding.
/// bound:   kMaxForeignEvidenceBytes; event_log::kMaxEvents.
[[nodiscard]] Result<DstackAttestation> read_dstack_attestation(ByteView in);

}  // namespace eos::ratls
