// SPDX-License-Identifier: AGPL-3.0-only
// Measurements of Mini's enclave.
#pragma once

#include "client/measure/digest.h"

namespace eos::client::measure {

/// MRENCLAVE of an enclave that is built page by page, as ECREATE, EADD and EEXTEND keep it.
/// source: Intel SDM vol. 3D, 38.1.2 and the operations of ECREATE, EADD, EEXTEND.
class EnclaveMeasurement {
  public:
    /// What ECREATE measures.
    struct Shape {
        std::uint32_t ssa_frame_pages = 1;
        std::uint64_t size_bytes = 0;  ///< a power of two of at least two pages
    };
    /// The first 48 bytes of SECINFO.
    struct PageInfo {
        std::uint64_t flags = 0;  ///< R 1, W 2, X 4; type << 8: TCS 1, REG 2
    };
    /// Whether EEXTEND measures the content.
    enum class Content { measured, unmeasured };

    /// errors: bad_enclave_page (a size that ECREATE refuses).
    [[nodiscard]] static Result<EnclaveMeasurement> create(const Shape& shape);

    /// EADD, and for measured content sixteen times EEXTEND, right after.
    /// in:     offset: within the enclave, whole pages; page: 4096 bytes.
    /// errors: bad_enclave_page.
    [[nodiscard]] Result<void> add_page(std::uint64_t offset, const PageInfo& info, ByteView page,
                                        Content content);

    /// EINIT: the measurement so far. The object then is spent.
    crypto::Digest32 finish() { return hash_.finish(); }

  private:
    explicit EnclaveMeasurement(std::uint64_t size_bytes) : size_bytes_(size_bytes) {}

    crypto::Sha256 hash_;
    std::uint64_t size_bytes_;
};

/// MRENCLAVE of an SGXS stream: the records of an enclave's construction, each page whole.
/// errors: bad_enclave_page (another record, order or size than an enclave driver can build).
/// source: fortanix sgxs (the stream's form).
[[nodiscard]] Result<crypto::Digest32> measure_sgxs(ByteView stream);

inline constexpr std::size_t kSigstructBytes = 1808;

/// What the signer of an enclave states of it: the fields of a SIGSTRUCT that evidence will show.
struct Sigstruct {
    crypto::Digest32 mr_signer{};   ///< SHA-256 of MODULUS, as stored
    crypto::Digest32 mr_enclave{};  ///< ENCLAVEHASH
    std::uint16_t isv_prod_id = 0;
    std::uint16_t isv_svn = 0;
    ByteArray<16> attributes{};       ///< what an enclave of this signer is launched with …
    ByteArray<16> attributes_mask{};  ///< … in the bits that count
};

/// Reads a SIGSTRUCT. Its signature is not verified: EINIT does that, and refuses the enclave.
/// in:     exactly kSigstructBytes; not retained.
/// errors: bad_sigstruct (size, HEADER, HEADER2, VENDOR, EXPONENT, or reserved bytes that EINIT
/// wants
///         zero).
/// source: Intel SDM vol. 3D, "Enclave Signature Structure (SIGSTRUCT)" and EINIT.
[[nodiscard]] Result<Sigstruct> parse_sigstruct(ByteView in);

/// MRENCLAVE and MRSIGNER of the `process` back end, which protects nothing: of a runner's program
/// file.
struct ProcessIdentity {
    crypto::Digest32 mr_enclave{};
    crypto::Digest32 mr_signer{};
};
/// source: docs/formats/emulated-platform.md.
ProcessIdentity process_identity(ByteView elf);

}  // namespace eos::client::measure
