// SPDX-License-Identifier: AGPL-3.0-only
#include "trusted/virtual/evidence/tsm_report.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <optional>

#include "common/attestation/evidence/snp_evidence.h"
#include "common/base/encoding.h"
#include "common/crypto/random.h"

namespace eos::cvm {

namespace {

constexpr std::size_t kMaxTextBytes = 64;
constexpr std::chrono::milliseconds kRetryPause{20};
constexpr std::string_view kEntryPrefix = "enclave-os-";

/// What an errno of configfs-tsm means to whoever runs the VM.
Error error_of(Errno error, const char* doing) {
    const std::string detail = std::string(doing) + ": " + describe(error);
    switch (error.value) {
        case ENXIO:   // no provider is registered
        case ENOTTY:  // it went away while we asked, in older kernels' words
            return Error(provider_gone, detail);
        case EACCES:
        case EPERM:
            return Error(not_permitted, detail);
        case ETIMEDOUT:
            return Error(host_timed_out, detail);
        default:
            return Error(kernel_refused, detail);
    }
}

/// The same of a blob. SEV-SNP's driver has a meaning of its own for one.
Error blob_error_of(TeeKind kind, Errno error, const char* name) {
    if (kind == TeeKind::kSevSnp && error.value == ENOTTY)
        return Error(firmware_key_gone, std::string(name) + ": " + describe(error));
    return error_of(error, name);
}

/// The text of an attribute less its line feed.
Result<std::string_view> line(ByteView text, const char* name) {
    if (text.empty() || text.size() > kMaxTextBytes || text.back() != std::byte{'\n'})
        return fail(malformed_attribute, std::string(name) + ": '" + printable(text) + "'");
    return as_chars(text.first(text.size() - 1));
}

/// "enclave-os-PID-…" is of PID; nothing for what is not ours.
std::optional<pid_t> owner_of(std::string_view entry) {
    if (!entry.starts_with(kEntryPrefix)) return std::nullopt;
    entry.remove_prefix(kEntryPrefix.size());
    pid_t out = 0;
    const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), out);
    const bool whole = error == std::errc{} && end != entry.data() + entry.size() && *end == '-';
    if (!whole || out <= 0) return std::nullopt;
    return out;
}

void remove_orphans(TsmDirectory& directory) {
    for (const std::string& entry : directory.entries()) {
        const std::optional<pid_t> owner = owner_of(entry);
        if (owner && ::kill(*owner, 0) != 0 && errno == ESRCH) directory.remove(entry);
    }
}

}  // namespace

Result<TeeKind> parse_provider(ByteView text) {
    const std::string_view name = EOS_TRY(line(text, "provider"));
    if (name == "tdx_guest") return TeeKind::kTdx;
    if (name == "sev_guest") return TeeKind::kSevSnp;
    return fail(unknown_provider, "'" + printable(as_bytes(name)) + "'");
}

Result<std::uint64_t> parse_generation(ByteView text) {
    const std::string_view digits = EOS_TRY(line(text, "generation"));
    std::uint64_t out = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (error != std::errc{} || end != digits.data() + digits.size())
        return fail(malformed_attribute, "generation: '" + printable(text) + "'");
    return out;
}

/// An entry of our own, for one request. Its name cannot be guessed, which only keeps accidents
/// away: who may write here at all may write to any entry, hence the generation.
class TsmReport::Entry {
  public:
    static Result<Entry> make(TsmDirectory& directory) {
        std::string name = std::string(kEntryPrefix) + std::to_string(::getpid()) + "-" +
                           hex(crypto::random_array<8>());
        const SystemResult<void> made = directory.make(name);
        if (!made) return fail(error_of(made.error(), "mkdir"));
        return Entry(directory, std::move(name));
    }
    Entry(Entry&& other) noexcept
        : directory_(std::exchange(other.directory_, nullptr)), name_(std::move(other.name_)) {}
    Entry& operator=(Entry&&) = delete;
    ~Entry() {
        if (directory_ != nullptr) directory_->remove(name_);
    }

    TsmAttribute attribute(const char* name) const { return {name_, name}; }

    Result<TeeKind> provider() const { return parse_provider(EOS_TRY(text("provider"))); }
    Result<std::uint64_t> generation() const {
        return parse_generation(EOS_TRY(text("generation")));
    }

    Result<void> set_inblob(ByteView value) const {
        const SystemResult<void> written = directory_->write(attribute("inblob"), value);
        if (!written) return fail(error_of(written.error(), "inblob"));
        return {};
    }

  private:
    Entry(TsmDirectory& directory, std::string name)
        : directory_(&directory), name_(std::move(name)) {}

    Result<Bytes> text(const char* name) const {
        SystemResult<Bytes> out = directory_->read(attribute(name), kMaxTextBytes);
        if (!out) return fail(error_of(out.error(), name));
        return *std::move(out);
    }

    TsmDirectory* directory_;
    std::string name_;
};

Result<std::unique_ptr<TsmReport>> TsmReport::open(std::unique_ptr<TsmDirectory> directory,
                                                   Waiting waiting) {
    remove_orphans(*directory);
    const TeeKind kind = EOS_TRY([&]() -> Result<TeeKind> {
        const Entry entry = EOS_TRY(Entry::make(*directory));
        return entry.provider();
    }());
    return std::unique_ptr<TsmReport>(
        new TsmReport(std::move(directory), kind, std::move(waiting)));
}

Result<Bytes> TsmReport::read_when_free(const TsmAttribute& attribute, Deadline deadline) const {
    for (;;) {
        SystemResult<Bytes> out = directory_->read(attribute, kMaxOutblobBytes);
        if (out && out->size() > kMaxOutblobBytes) return fail(answer_too_large, attribute.name);
        if (out) return *std::move(out);
        // EBUSY: an earlier quote of this TD is still with the host. EINTR: a signal came.
        if (out.error().value != EBUSY && out.error().value != EINTR)
            return fail(blob_error_of(kind_, out.error(), attribute.name));
        if (waiting_.now() + kRetryPause > deadline)
            return fail(evidence_deadline,
                        std::string(attribute.name) + ": " + describe(out.error()));
        waiting_.sleep(kRetryPause);
    }
}

Result<Bytes> TsmReport::answer(const Entry& entry, Deadline deadline) const {
    Bytes out = EOS_TRY(read_when_free(entry.attribute("outblob"), deadline));
    if (kind_ == TeeKind::kTdx) return out;
    const Bytes table = EOS_TRY(read_when_free(entry.attribute("auxblob"), deadline));
    if (table.size() > attestation::evidence::kMaxSnpTableBytes)
        return fail(answer_too_large, "auxblob");
    append(out, table);
    return out;
}

Result<FreshEvidence> TsmReport::evidence(const ratls::ReportData& report_data, Deadline deadline) {
    const Entry entry = EOS_TRY(Entry::make(*directory_));
    // While an entry exists no other provider can be registered: once is enough.
    if (EOS_TRY(entry.provider()) != kind_) return fail(provider_changed);
    const std::uint64_t before = EOS_TRY(entry.generation());
    EOS_TRY(entry.set_inblob(report_data.bytes()));
    if (EOS_TRY(entry.generation()) != before + 1) return fail(generation_changed, "inblob");
    const Bytes out = EOS_TRY(answer(entry, deadline));
    if (EOS_TRY(entry.generation()) != before + 1) return fail(generation_changed, "outblob");
    return check_answer(kind_, out, report_data);
}

}  // namespace eos::cvm
