// SPDX-License-Identifier: AGPL-3.0-only
// The digests of an OCI image layout, each verified against the bytes while it is read.
#pragma once

#include <string>
#include <vector>

#include "client/measure/layout_files.h"

namespace eos::client::measure {

/// A blob that is what its digest says.
struct OciBlob {
    std::string media_type;
    crypto::Digest32 digest{};
    std::uint64_t size_bytes = 0;
};

/// One image of a layout.
struct OciImage {
    std::string name;      ///< annotation org.opencontainers.image.ref.name; may be empty
    std::string platform;  ///< "linux/amd64"; may be empty
    OciBlob manifest;      ///< its digest names the image: that is what a workload's leaf shows
    OciBlob config;
    std::vector<OciBlob> layers;  ///< as stored, compressed or not
};

inline constexpr std::size_t kMaxManifestBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kMaxImages = 64;
inline constexpr std::size_t kMaxLayers = 256;
/// Configs and layers of a layout together, each counted once.
inline constexpr std::uint64_t kMaxLayoutBytes = std::uint64_t{32} << 30;

/// Reads every image that the layout's index leads to, through at most one index of platforms.
/// errors: bad_image, digest_mismatch (size or SHA-256 of a blob), those of common/json and of
///         LayoutFiles.
/// bound:  kMaxImages images of kMaxLayers layers; JSON documents of kMaxManifestBytes; configs and
///         layers of kMaxLayoutBytes together, each read once however often it is named.
/// source: OCI Image Format Specification 1.1: image-layout.md, image-index.md, manifest.md.
[[nodiscard]] Result<std::vector<OciImage>> measure_oci_layout(const std::filesystem::path& path);

}  // namespace eos::client::measure
