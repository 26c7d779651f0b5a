// SPDX-License-Identifier: AGPL-3.0-only
// A hostile host's hand in the sealed state: alters records through the database, so that the
// database's own checksums hold. For tests and the demo.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "common/base/codec.h"
#include "untrusted/daemon/blob_database.h"

namespace {

using eos::daemon::BlobBatch;
using eos::daemon::BlobDatabase;

struct Blob {
    std::string key;
    eos::Bytes value;
};

// Every blob but the root, the largest first.
eos::Result<std::vector<Blob>> read_all(BlobDatabase& database) {
    std::vector<Blob> out;
    std::string after;
    for (;;) {
        auto keys = EOS_TRY(database.list({.prefix = "", .after = after}));
        if (keys.empty()) break;
        for (const std::string& key : keys) {
            if (key.ends_with("/root")) continue;
            auto value = EOS_TRY(database.get(key));
            if (value) out.push_back({key, std::move(*value)});
        }
        after = keys.back();
    }
    std::ranges::sort(out,
                      [](const Blob& a, const Blob& b) { return a.value.size() > b.value.size(); });
    return out;
}

eos::Result<std::string> tamper(const std::string& folder, const std::string& act) {
    auto database = EOS_TRY(BlobDatabase::open({.directory = folder}));
    std::vector<Blob> blobs = EOS_TRY(read_all(*database));
    if (blobs.size() < 2) return eos::fail(eos::truncated, "fewer than two records to tamper with");
    BlobBatch batch;
    std::string what;
    if (act == "flip") {
        blobs[0].value[blobs[0].value.size() / 2] ^= std::byte{1};
        batch.changes = {{blobs[0].key, blobs[0].value}};
        what = "flipped one bit of a record of " + std::to_string(blobs[0].value.size()) + " bytes";
    } else if (act == "swap") {
        batch.changes = {{blobs[0].key, blobs[1].value}, {blobs[1].key, blobs[0].value}};
        what = "swapped two records";
    } else {
        batch.changes = {{blobs[0].key, std::nullopt}};
        what = "deleted a record";
    }
    EOS_TRY(database->write(std::span(&batch, 1)));
    return what;
}

}  // namespace

int main(int argc, char** argv) {
    std::string act = argc == 3 ? argv[2] : "";
    if (act != "flip" && act != "swap" && act != "delete") {
        std::fprintf(stderr,
                     "usage: %s STATE_DIRECTORY flip|swap|delete   (no daemon may run on it)\n",
                     argv[0]);
        return 2;
    }
    eos::Result<std::string> done = tamper(std::string(argv[1]) + "/blobs", act);
    if (!done) {
        std::fprintf(stderr, "%s\n", done.error().message().c_str());
        return 1;
    }
    std::printf("%s\n", done->c_str());
    return 0;
}
