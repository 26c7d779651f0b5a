// SPDX-License-Identifier: AGPL-3.0-only
#include "client/measure/oci.h"

#include <map>

#include "client/files.h"
#include "client/measure/reference_test.h"
#include "common/json/json.h"

namespace eos::client::measure {
namespace {

using namespace testing;

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";

/// The files of a layout, by name; each can be made wrong before they are written.
class LayoutMaker {
  public:
    LayoutMaker() { files_["oci-layout"] = to_bytes("{\"imageLayoutVersion\":\"1.0.0\"}"); }

    json::Value blob(const char* media_type, const Bytes& content) {
        const std::string digest = hex(crypto::sha256(content));
        files_["blobs/sha256/" + digest] = content;
        return {
            {"mediaType", media_type}, {"digest", "sha256:" + digest}, {"size", content.size()}};
    }

    json::Value image(const std::string& seed) {
        json::Value manifest = {
            {"schemaVersion", 2},
            {"mediaType", kManifestType},
            {"config", blob("application/vnd.oci.image.config.v1+json", to_bytes("{}" + seed))},
            {"layers",
             {blob("application/vnd.oci.image.layer.v1.tar", to_bytes("first " + seed)),
              blob("application/vnd.oci.image.layer.v1.tar+gzip", to_bytes("second " + seed))}}};
        return blob(kManifestType, to_bytes(json::compact(manifest)));
    }

    void index(json::Value manifests) {
        json::Value value = {{"schemaVersion", 2}, {"manifests", std::move(manifests)}};
        files_["index.json"] = to_bytes(json::compact(value));
    }

    std::string write_folder(const Folder& folder) const {
        for (const auto& [name, content] : files_) folder.write("layout/" + name, content);
        return (folder.path() / "layout").string();
    }

    std::string write_archive(const Folder& folder) const {
        const std::string layout = write_folder(folder);
        const std::string archive = (folder.path() / "layout.tar").string();
        const std::string command = "tar --format=ustar -C " + layout + " -cf " + archive + " .";
        EXPECT_EQ(std::system(command.c_str()), 0);
        return archive;
    }

    std::map<std::string, Bytes> files_;
};

LayoutMaker usual_layout() {
    LayoutMaker maker;
    json::Value image = maker.image("one");
    image["annotations"] = {{"org.opencontainers.image.ref.name", "hello:1"}};
    image["platform"] = {{"os", "linux"}, {"architecture", "amd64"}};
    maker.index(json::Value::array({image}));
    return maker;
}

Code code_of(const std::string& path) {
    Result<std::vector<OciImage>> images = measure_oci_layout(path);
    EXPECT_FALSE(images.has_value());
    return images.has_value() ? Code{} : images.error().code();
}

TEST(Oci, AFolderAndAnArchiveOfItGiveTheSameDigests) {
    const Folder folder;
    const LayoutMaker maker = usual_layout();
    for (const std::string& path : {maker.write_folder(folder), maker.write_archive(folder)}) {
        Result<std::vector<OciImage>> images = measure_oci_layout(path);
        ASSERT_TRUE(images.has_value()) << path << images.error().message();
        ASSERT_EQ(images->size(), 1u);
        const OciImage& image = images->front();
        EXPECT_EQ(image.name, "hello:1");
        EXPECT_EQ(image.platform, "linux/amd64");
        EXPECT_EQ(image.config.digest, crypto::sha256(as_bytes("{}one")));
        ASSERT_EQ(image.layers.size(), 2u);
        EXPECT_EQ(image.layers[0].digest, crypto::sha256(as_bytes("first one")));
        EXPECT_EQ(image.layers[1].size_bytes, 10u);
        EXPECT_TRUE(maker.files_.contains("blobs/sha256/" + hex(image.manifest.digest)));
    }
}

TEST(Oci, AnIndexOfPlatformsIsFollowedOnce) {
    const Folder folder;
    LayoutMaker maker;
    json::Value arm = maker.image("arm");
    arm["platform"] = {{"os", "linux"}, {"architecture", "arm64"}};
    json::Value inner = {{"schemaVersion", 2},
                         {"manifests", json::Value::array({maker.image("amd"), arm})}};
    json::Value index = maker.blob(kIndexType, to_bytes(json::compact(inner)));
    index["annotations"] = {{"org.opencontainers.image.ref.name", "both"}};
    maker.index(json::Value::array({index}));
    std::vector<OciImage> images = measure_oci_layout(maker.write_folder(folder)).value();
    ASSERT_EQ(images.size(), 2u);
    EXPECT_EQ(images[0].name, "both");
    EXPECT_EQ(images[1].platform, "linux/arm64");

    json::Value deeper = {{"schemaVersion", 2}, {"manifests", json::Value::array({index})}};
    maker.index(json::Value::array({maker.blob(kIndexType, to_bytes(json::compact(deeper)))}));
    const Folder other;
    EXPECT_EQ(code_of(maker.write_folder(other)), bad_image);
}

TEST(Oci, EveryBlobIsVerified) {
    const LayoutMaker right = usual_layout();
    for (const auto& [name, content] : right.files_) {
        if (!name.starts_with("blobs/")) continue;
        SCOPED_TRACE(name);
        LayoutMaker flipped = right;
        flipped.files_[name].back() ^= std::byte{1};
        const Folder first;
        EXPECT_EQ(code_of(flipped.write_folder(first)), digest_mismatch);
        LayoutMaker longer = right;
        longer.files_[name].push_back(std::byte{' '});
        const Folder second;
        EXPECT_EQ(code_of(longer.write_archive(second)), digest_mismatch);
        LayoutMaker missing = right;
        missing.files_.erase(name);
        const Folder third;
        EXPECT_EQ(code_of(missing.write_folder(third)), bad_image);
    }
}

TEST(Oci, LayoutsThatAreNone) {
    const Folder folder;
    EXPECT_EQ(code_of((folder.path() / "absent").string()), file_unreadable);
    EXPECT_EQ(code_of(folder.write("text", to_bytes("no archive"))), bad_image);
    EXPECT_EQ(code_of(folder.write("zeros", Bytes(1024))), bad_image);
    LayoutMaker version = usual_layout();
    version.files_["oci-layout"] = to_bytes("{\"imageLayoutVersion\":\"2.0.0\"}");
    const Folder first;
    EXPECT_EQ(code_of(version.write_folder(first)), bad_image);
    LayoutMaker empty = usual_layout();
    empty.index(json::Value::array());
    const Folder second;
    EXPECT_EQ(code_of(empty.write_folder(second)), bad_image);
    LayoutMaker sha512 = usual_layout();
    json::Value image = sha512.image("one");
    image["digest"] = "sha512:00";
    sha512.index(json::Value::array({image}));
    const Folder third;
    EXPECT_EQ(code_of(sha512.write_folder(third)), bad_image);
    // A digest is hexadecimal, so that it cannot be a path.
    image["digest"] = "sha256:../../../../etc/passwd";
    sha512.index(json::Value::array({image}));
    const Folder fourth;
    EXPECT_EQ(code_of(sha512.write_folder(fourth)), bad_encoding);
}

/// A file of zeros that takes no room on the disk, and its descriptor.
json::Value sparse_blob(const Folder& folder, const crypto::Digest32& digest, std::uint64_t size) {
    const std::string name = "layout/blobs/sha256/" + hex(digest);
    std::filesystem::resize_file(folder.write(name, {}), size);
    return {{"mediaType", "application/vnd.oci.image.layer.v1.tar"},
            {"digest", "sha256:" + hex(digest)},
            {"size", size}};
}

/// A layout of one image with these layers, beside what the folder holds.
std::string layout_of(const Folder& folder, const json::Value& layers) {
    LayoutMaker maker;
    json::Value manifest = {
        {"schemaVersion", 2},
        {"config", maker.blob("application/vnd.oci.image.config.v1+json", to_bytes("{}"))},
        {"layers", layers}};
    maker.index(json::Value::array({maker.blob(kManifestType, to_bytes(json::compact(manifest)))}));
    return maker.write_folder(folder);
}

TEST(Oci, ABlobThatIsListedOftenIsReadOnce) {
    constexpr std::uint64_t kSize = 160 * 1024 * 1024;
    static_assert(kMaxLayers * kSize > kMaxLayoutBytes);
    crypto::Sha256 zeros;
    const Bytes piece(1024 * 1024);
    for (std::uint64_t at = 0; at < kSize; at += piece.size()) zeros.update(piece);
    const Folder folder;
    const json::Value blob = sparse_blob(folder, zeros.finish(), kSize);
    json::Value layers = json::Value::array();
    for (std::size_t i = 0; i < kMaxLayers; ++i) layers.push_back(blob);
    Result<std::vector<OciImage>> images = measure_oci_layout(layout_of(folder, layers));
    ASSERT_TRUE(images.has_value()) << images.error().message();
    EXPECT_EQ(images->front().layers.size(), kMaxLayers);
    // What is known of a blob holds for whoever names it.
    layers.back()["size"] = kSize - 1;
    EXPECT_EQ(code_of(layout_of(folder, layers)), digest_mismatch);
}

TEST(Oci, MoreThanTheBoundIsNotRead) {
    const Folder folder;
    const json::Value blob = sparse_blob(folder, {}, kMaxLayoutBytes + 1);
    EXPECT_EQ(code_of(layout_of(folder, json::Value::array({blob}))), bad_image);
}

TEST(Oci, ArchivesThatLieAreRefused) {
    const Folder folder;
    const Bytes right = read_file(usual_layout().write_archive(folder)).value();
    Bytes cut = right;
    cut.resize(512);
    EXPECT_EQ(code_of(folder.write("cut.tar", cut)), bad_image);
    Bytes sum = right;
    sum[0] ^= std::byte{1};
    EXPECT_EQ(code_of(folder.write("sum.tar", sum)), bad_image);
    // A second file of the same name could replace one that was looked at.
    const std::string again = folder.write("again.tar", right);
    const std::string command = "tar --format=ustar -C " + (folder.path() / "layout").string() +
                                " -rf " + again + " ./index.json";
    ASSERT_EQ(std::system(command.c_str()), 0);
    EXPECT_EQ(code_of(again), bad_image);
}

}  // namespace
}  // namespace eos::client::measure
