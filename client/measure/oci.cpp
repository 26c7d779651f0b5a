// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/oci.h"

#include <map>

#include "common/base/encoding.h"
#include "common/json/json.h"

namespace eos::client::measure {
namespace {

constexpr std::size_t kMaxTextBytes = 512;
constexpr json::Limits kLimits{.size_bytes = kMaxManifestBytes, .depth = 16};

/// A descriptor: what a document says of a blob before anybody looked at it.
struct Descriptor {
    OciBlob blob;
    std::string name;
    std::string platform;
};

enum class Document { index, manifest, other };

Document document_kind(std::string_view media_type) {
    if (media_type == "application/vnd.oci.image.index.v1+json" ||
        media_type == "application/vnd.docker.distribution.manifest.list.v2+json") {
        return Document::index;
    }
    if (media_type == "application/vnd.oci.image.manifest.v1+json" ||
        media_type == "application/vnd.docker.distribution.manifest.v2+json") {
        return Document::manifest;
    }
    return Document::other;
}

Result<crypto::Digest32> parse_digest(const std::string& text) {
    constexpr std::string_view kAlgorithm = "sha256:";
    if (!text.starts_with(kAlgorithm)) {
        return fail(bad_image, "a digest that is not sha256: " + printable(as_bytes(text)));
    }
    return array_from_hex<32>(std::string_view(text).substr(kAlgorithm.size()));
}

Result<std::string> optional_text(json::Object& object, std::string_view name) {
    if (object.find(name) == nullptr) return std::string();
    return object.text(name, kMaxTextBytes);
}

Result<Descriptor> parse_descriptor(const json::Value& value, const std::string& path) {
    json::Object object = EOS_TRY(json::Object::of(value, path));
    Descriptor out;
    out.blob.media_type = EOS_TRY(object.text("mediaType", kMaxTextBytes));
    out.blob.digest = EOS_TRY(parse_digest(EOS_TRY(object.text("digest", kMaxTextBytes))));
    out.blob.size_bytes = EOS_TRY(object.number("size", std::uint64_t{1} << 40));
    if (const json::Value* annotations = object.find("annotations")) {
        json::Object all = EOS_TRY(json::Object::of(*annotations, object.path("annotations")));
        out.name = EOS_TRY(optional_text(all, "org.opencontainers.image.ref.name"));
    }
    if (const json::Value* platform = object.find("platform")) {
        json::Object all = EOS_TRY(json::Object::of(*platform, object.path("platform")));
        out.platform =
            EOS_TRY(optional_text(all, "os")) + "/" + EOS_TRY(optional_text(all, "architecture"));
    }
    return out;
}

Result<std::vector<Descriptor>> parse_descriptors(json::Object& object, std::string_view name,
                                                  std::size_t max_count) {
    const json::Value* list = EOS_TRY(object.array(name, max_count));
    if (list == nullptr) return fail(json::missing_member, object.path(name));
    std::vector<Descriptor> out;
    for (std::size_t i = 0; i < list->size(); ++i) {
        out.push_back(
            EOS_TRY(parse_descriptor((*list)[i], json::element_path(object.path(name), i))));
    }
    return out;
}

class Layout {
  public:
    explicit Layout(LayoutFiles files) : files_(std::move(files)) {}

    Result<std::vector<OciImage>> run() {
        const Bytes marker = EOS_TRY(files_.read_small("oci-layout", kMaxTextBytes));
        const json::Value layout = EOS_TRY(json::parse(marker, kLimits));
        json::Object object = EOS_TRY(json::Object::of(layout, "oci-layout"));
        const std::string version = EOS_TRY(object.text("imageLayoutVersion", kMaxTextBytes));
        if (version != "1.0.0")
            return fail(bad_image, "layout version " + printable(as_bytes(version)));
        const Bytes index = EOS_TRY(files_.read_small("index.json", kMaxManifestBytes));
        EOS_TRY(add_index(index, {}, Nesting::outer));
        if (images_.empty()) return fail(bad_image, "the layout holds no image");
        return std::move(images_);
    }

  private:
    enum class Nesting { outer, inner };

    static std::string blob_name(const OciBlob& blob) { return "blobs/sha256/" + hex(blob.digest); }

    Result<void> add_index(ByteView text, const Descriptor& of, Nesting nesting) {
        const json::Value value = EOS_TRY(json::parse(text, kLimits));
        json::Object object = EOS_TRY(json::Object::of(value, "index"));
        for (Descriptor& entry : EOS_TRY(parse_descriptors(object, "manifests", kMaxImages))) {
            if (entry.name.empty()) entry.name = of.name;
            EOS_TRY(add_entry(entry, nesting));
        }
        return {};
    }

    Result<void> add_entry(const Descriptor& entry, Nesting nesting) {
        switch (document_kind(entry.blob.media_type)) {
            case Document::manifest:
                return add_image(entry);
            case Document::index:
                if (nesting == Nesting::inner)
                    return fail(bad_image, "an index in an index in one");
                return add_index(EOS_TRY(read_document(entry.blob)), entry, Nesting::inner);
            case Document::other:
                return fail(bad_image,
                            "an entry of type " + printable(as_bytes(entry.blob.media_type)));
        }
        __builtin_unreachable();
    }

    Result<void> add_image(const Descriptor& entry) {
        if (images_.size() == kMaxImages) return fail(bad_image, "too many images");
        const json::Value value = EOS_TRY(json::parse(EOS_TRY(read_document(entry.blob)), kLimits));
        json::Object object = EOS_TRY(json::Object::of(value, "manifest"));
        OciImage image{entry.name, entry.platform, entry.blob, {}, {}};
        image.config =
            EOS_TRY(parse_descriptor(*EOS_TRY(object.require("config")), object.path("config")))
                .blob;
        EOS_TRY(check_blob(image.config));
        for (const Descriptor& layer : EOS_TRY(parse_descriptors(object, "layers", kMaxLayers))) {
            EOS_TRY(check_blob(layer.blob));
            image.layers.push_back(layer.blob);
        }
        images_.push_back(std::move(image));
        return {};
    }

    Result<Bytes> read_document(const OciBlob& blob) {
        Bytes bytes = EOS_TRY(files_.read_small(blob_name(blob), kMaxManifestBytes));
        EOS_TRY(compare(blob, bytes.size(), crypto::sha256(bytes)));
        return bytes;
    }

    /// Images share layers, and a hostile manifest names one as often as it likes: each is read
    /// once, and none whose size already is another one.
    Result<void> check_blob(const OciBlob& blob) {
        const auto known = verified_.find(blob.digest);
        if (known != verified_.end()) return compare(blob, known->second, blob.digest);
        const std::uint64_t size = EOS_TRY(files_.size_of(blob_name(blob)));
        EOS_TRY(compare(blob, size, blob.digest));
        if (size > kMaxLayoutBytes - verified_bytes_) {
            return fail(bad_image, "its blobs have more than " + std::to_string(kMaxLayoutBytes) +
                                       " bytes together");
        }
        crypto::Sha256 hash;
        const std::uint64_t read =
            EOS_TRY(files_.read(blob_name(blob), [&hash](ByteView piece) { hash.update(piece); }));
        EOS_TRY(compare(blob, read, hash.finish()));
        verified_.emplace(blob.digest, read);
        verified_bytes_ += size;
        return {};
    }

    static Result<void> compare(const OciBlob& blob, std::uint64_t size,
                                const crypto::Digest32& digest) {
        if (size != blob.size_bytes) {
            return fail(digest_mismatch, blob_name(blob) + " has " + std::to_string(size) +
                                             " bytes, its descriptor says " +
                                             std::to_string(blob.size_bytes));
        }
        if (digest != blob.digest) {
            return fail(digest_mismatch, blob_name(blob) + " has SHA-256 " + hex(digest));
        }
        return {};
    }

    LayoutFiles files_;
    std::vector<OciImage> images_;
    std::map<crypto::Digest32, std::uint64_t> verified_;  ///< the sizes of configs and layers
    std::uint64_t verified_bytes_ = 0;
};

}  // namespace

Result<std::vector<OciImage>> measure_oci_layout(const std::filesystem::path& path) {
    return Layout(EOS_TRY(LayoutFiles::open(path))).run();
}

}  // namespace eos::client::measure
