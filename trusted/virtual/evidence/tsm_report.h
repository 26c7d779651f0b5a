// SPDX-License-Identifier: AGPL-3.0-only
// Evidence by way of configfs-tsm, Linux's one interface for TDX and SEV-SNP.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "trusted/virtual/evidence/tee_evidence.h"
#include "trusted/virtual/evidence/tsm_directory.h"

namespace eos::cvm {

/// What the kernel itself bounds an answer by, and more than any has.
inline constexpr std::size_t kMaxOutblobBytes = 32 * 1024;

/// The attribute "provider": a name and a line feed.
/// errors:  malformed_attribute, unknown_provider.
[[nodiscard]] Result<TeeKind> parse_provider(ByteView text);

/// The attribute "generation": a decimal number and a line feed.
/// errors:  malformed_attribute.
[[nodiscard]] Result<std::uint64_t> parse_generation(ByteView text);

/// One entry per request; exactly 64 bytes; the answer counts only if nobody but this request wrote
/// to the entry (generation) and it holds the report data that was asked for.
class TsmReport final : public TeeEvidence {
  public:
    /// Asks the kernel which provider it has, with an entry that is removed again. Entries that
    /// were left behind by programs of ours that are no more are removed, too: the kernel keeps
    /// them. errors:  provider_gone (there is none), unknown_provider, not_permitted,
    /// kernel_refused,
    ///          malformed_attribute.
    [[nodiscard]] static Result<std::unique_ptr<TsmReport>> open(
        std::unique_ptr<TsmDirectory> directory, Waiting waiting = Waiting::real());

    TeeKind kind() const override { return kind_; }
    [[nodiscard]] Result<FreshEvidence> evidence(const ratls::ReportData& report_data,
                                                 Deadline deadline) override;

  private:
    class Entry;

    TsmReport(std::unique_ptr<TsmDirectory> directory, TeeKind kind, Waiting waiting)
        : directory_(std::move(directory)), kind_(kind), waiting_(std::move(waiting)) {}

    Result<Bytes> read_when_free(const TsmAttribute& attribute, Deadline deadline) const;
    Result<Bytes> answer(const Entry& entry, Deadline deadline) const;

    std::unique_ptr<TsmDirectory> directory_;
    TeeKind kind_;
    Waiting waiting_;
};

}  // namespace eos::cvm
