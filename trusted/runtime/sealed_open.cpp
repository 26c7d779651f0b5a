// SPDX-License-Identifier: AGPL-3.0-only
// Start-up: root, key, index, is everything there, what does not belong here.
#include <algorithm>

#include "common/base/encoding.h"
#include "trusted/runtime/sealed_core.h"

namespace eos::runtime {
namespace {

Error foreign_key(const SealedCore& core, const RootRecord& root, std::string_view why) {
    Measurement ours = core.parts.keys.measurement();
    std::string detail = "it was sealed by enclave " + hex(root.measurement) + ", this is ";
    detail += root.measurement == ours ? "the same: the state is another machine's, or altered"
                                       : hex(ours);
    detail += " (" + std::string(why) + "); --reset-state discards the state";
    return Error(wrong_enclave_or_machine, std::move(detail));
}

Result<SealedVersion> unseal_root(SealedCore& core, ByteView blob) {
    RootRecord root = EOS_TRY(parse_root(blob));
    Result<SealingKeyBytes> key = core.parts.keys.derive(root.key_request);
    if (!key) return fail(foreign_key(core, root, key.error().code().text));
    auto cipher = std::make_shared<const RecordCipher>(*std::move(key), root.instance_id);
    Result<IndexPin> pin = cipher->open_root(root);
    if (!pin && pin.error().code() == malformed_index) return fail(std::move(pin).error());
    if (!pin) return fail(foreign_key(core, root, "the root does not open"));
    SealedVersion version;
    version.cipher = std::move(cipher);
    version.key_request = std::move(root.key_request);
    version.generation = root.generation;
    version.index_pin = *pin;
    version.root_blob = to_bytes(blob);
    return version;
}

// A walk through all keys under the prefix: marks what the state names, collects what it does not.
struct Inventory {
    explicit Inventory(std::shared_ptr<SealedCore> c) : core(std::move(c)) {
        expected = blob_keys_of(*core->current);
        expected.push_back(kRootBlobKey);
        std::ranges::sort(expected);
        found.resize(expected.size());
    }

    // The host may claim anything: keys must rise and lie under the prefix, so that the walk ends.
    Result<void> take_page(const std::vector<std::string>& page) {
        if (++pages > kMaxListedPages) return fail(storage_misbehaved, "the listing has no end");
        if (page.size() > kMaxBlobListKeys) return fail(storage_misbehaved, "a page is too long");
        const std::string& prefix = core->parts.prefix;
        for (const std::string& full : page) {
            if (full.size() > kMaxBlobKeyBytes || !full.starts_with(prefix) || full <= last) {
                return fail(storage_misbehaved, "a listed key is out of order or place");
            }
            last = full;
            take_key(full.substr(prefix.size()));
        }
        return {};
    }

    void take_key(const std::string& key) {
        auto it = std::ranges::lower_bound(expected, key);
        if (it != expected.end() && *it == key) {
            found[static_cast<std::size_t>(it - expected.begin())] = true;
        } else if (garbage.size() < kMaxCollectedBlobs) {
            garbage.push_back(key);
        }
    }

    Result<void> check_complete() const {
        const SealedVersion& version = *core->current;
        for (const auto& [name, entry] : version.index) {
            std::vector<std::string> keys;
            add_blob_keys(version, name, entry, keys);
            for (const std::string& key : keys) {
                auto it = std::ranges::lower_bound(expected, key);
                if (!found[static_cast<std::size_t>(it - expected.begin())]) {
                    return fail(record_missing, name);
                }
            }
        }
        return {};
    }

    std::shared_ptr<SealedCore> core;
    std::vector<std::string> expected;  // sorted
    std::vector<bool> found;
    std::vector<std::string> garbage;
    std::string last;  // with the prefix; empty before the first key
    std::size_t pages = 0;
};

void list_page(const std::shared_ptr<Inventory>& inventory, Done<Progress> done) {
    inventory->core->list_blobs(
        inventory->last,
        [inventory, done = std::move(done)](Result<std::vector<std::string>> page) mutable {
            if (!page) return done(fail(std::move(page).error()));
            Result<void> taken = inventory->take_page(*page);
            if (!taken) return done(fail(std::move(taken).error()));
            done(page->empty() ? Progress::kFinished : Progress::kMore);
        });
}

void take_inventory(std::shared_ptr<SealedCore> core, Done<void> done) {
    auto inventory = std::make_shared<Inventory>(core);
    repeat([inventory](Done<Progress> step) { list_page(inventory, std::move(step)); },
           [inventory, core, done = std::move(done)](Result<void> listed) mutable {
               if (listed) listed = inventory->check_complete();
               if (!listed) return done(std::move(listed));
               core->garbage_deleted = inventory->garbage.size();
               delete_blobs(core, std::move(inventory->garbage),
                            [done = std::move(done)]() mutable { done({}); });
           });
}

void open_existing(std::shared_ptr<SealedCore> core, ByteView root_blob, Done<void> done) {
    Result<SealedVersion> unsealed = unseal_root(*core, root_blob);
    if (!unsealed) return done(fail(std::move(unsealed).error()));
    auto version = std::make_shared<SealedVersion>(*std::move(unsealed));
    RecordEntry entry = version->index_entry();
    read_record(core, version, std::string(kIndexName), entry,
                [core, version, done = std::move(done)](Result<SecretBytes> bytes) mutable {
                    if (!bytes) return done(fail(std::move(bytes).error()));
                    Result<RecordIndex> index = parse_index(bytes->view(), version->generation);
                    if (!index) return done(fail(std::move(index).error()));
                    version->index = *std::move(index);
                    core->current = version;
                    take_inventory(core, std::move(done));
                });
}

// No root: either nothing was ever written here, or somebody took the root away.
void open_without_root(std::shared_ptr<SealedCore> core, Done<void> done) {
    core->list_blobs({},
                     [core, done = std::move(done)](Result<std::vector<std::string>> page) mutable {
                         if (!page) return done(fail(std::move(page).error()));
                         if (!page->empty()) return done(fail(root_missing_but_state_present));
                         core->origin = SealedStore::Origin::kFirstRun;
                         write_empty_state(core, std::move(done));
                     });
}

}  // namespace

void open_state(std::shared_ptr<SealedCore> core, Done<void> done) {
    core->get_blob(kRootBlobKey,
                   [core, done = std::move(done)](Result<std::optional<Bytes>> root) mutable {
                       if (!root) return done(fail(std::move(root).error().within("root")));
                       if (!*root) return open_without_root(std::move(core), std::move(done));
                       open_existing(core, **root, std::move(done));
                   });
}

}  // namespace eos::runtime
