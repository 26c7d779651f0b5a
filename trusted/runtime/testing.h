// SPDX-License-Identifier: AGPL-3.0-only
// Doubles of the runtime's interfaces for tests: storage in memory with the failures of a real one,
// and keys of an imagined processor.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/crypto/hash.h"
#include "common/crypto/random.h"
#include "trusted/runtime/interfaces.h"
#include "trusted/runtime/sealed_store.h"

namespace eos::runtime::testing {

inline constexpr Code injected_failure{"test", "injected_failure", "a failure the test asked for"};

using Blobs = std::map<std::string, Bytes>;

/// Storage in memory. Remembers every batch, so that a test can ask what any crash would leave.
class MemoryBlobStore : public BlobStore {
  public:
    enum class Fault {
        kNone,
        kNotApplied,  ///< the write fails and leaves no trace
        kApplied,     ///< the write happens, and its answer is an error
        kLatent,      ///< the write fails; nobody sees it, until a crash brings it to light
        kNoAnswer,    ///< the write happens, and nothing is ever heard of it
    };
    enum class Answers { kAtOnce, kLater };

    struct Write {
        std::vector<BlobWrite> batch;
        Durability durability;
    };

    MemoryBlobStore() = default;
    explicit MemoryBlobStore(Blobs start) : blobs(std::move(start)) {}

    void get(std::string key, Done<std::optional<Bytes>> done) override {
        if (is_unavailable) return done(fail(storage_unavailable));
        std::optional<Bytes> out;
        if (auto it = blobs.find(key); it != blobs.end()) out = it->second;
        answer([out = std::move(out), done = std::move(done)]() mutable { done(std::move(out)); });
    }

    void list(BlobListRequest request, Done<std::vector<std::string>> done) override {
        if (is_unavailable) return done(fail(storage_unavailable));
        std::vector<std::string> page;
        for (auto it = blobs.upper_bound(std::max(request.prefix, request.after));
             it != blobs.end() && it->first.starts_with(request.prefix) && page.size() < page_size;
             ++it) {
            page.push_back(it->first);
        }
        answer(
            [page = std::move(page), done = std::move(done)]() mutable { done(std::move(page)); });
    }

    void write(std::vector<BlobWrite> batch, Durability durability, Done<void> done) override {
        check_bounds(batch);
        if (is_unavailable) return done(fail(storage_unavailable));
        Fault fault = writes_until_fault == 0 ? fault_kind : Fault::kNone;
        if (writes_until_fault >= 0) --writes_until_fault;
        if (fault != Fault::kNotApplied && fault != Fault::kLatent) apply(blobs, batch);
        if (fault != Fault::kNotApplied) log.push_back({std::move(batch), durability});
        if (fault == Fault::kNoAnswer) return;
        Result<void> result;
        if (fault != Fault::kNone) result = fail(injected_failure);
        answer([result = std::move(result), done = std::move(done)]() mutable {
            done(std::move(result));
        });
    }

    static void apply(Blobs& to, const std::vector<BlobWrite>& batch) {
        for (const BlobWrite& write : batch) {
            if (write.value) {
                to.insert_or_assign(write.key, *write.value);
            } else {
                to.erase(write.key);
            }
        }
    }

    /// Gives the answers that wait, and those that come of them.
    void run() {
        while (!waiting_.empty()) {
            auto next = std::move(waiting_.front());
            waiting_.pop_front();
            next();
        }
    }

    Blobs blobs;
    std::vector<Write> log;
    Answers answers = Answers::kAtOnce;
    Fault fault_kind = Fault::kNone;
    bool is_unavailable = false;  ///< every call fails
    int writes_until_fault = -1;  ///< 0: the next write has the fault; negative: none has
    std::size_t page_size = 3;    ///< small, so that paging is used
    bool within_bounds = true;    ///< whether every batch kept the interface's limits

  private:
    void check_bounds(const std::vector<BlobWrite>& batch) {
        std::size_t size = 0;
        for (const BlobWrite& write : batch) {
            std::size_t value = write.value ? write.value->size() : 0;
            size += write.key.size() + value;
            if (write.key.size() > kMaxBlobKeyBytes || value > kMaxBlobBytes) within_bounds = false;
        }
        if (batch.empty() || batch.size() > kMaxBlobBatch || size > kMaxBlobBatchBytes) {
            within_bounds = false;
        }
    }

    void answer(std::move_only_function<void()> call) {
        if (answers == Answers::kAtOnce) return call();
        waiting_.push_back(std::move(call));
    }

    std::deque<std::move_only_function<void()>> waiting_;
};

/// The keys that one enclave has on one machine.
class FakeSealingKeys : public SealingKeySource {
  public:
    struct Identity {
        std::string machine = "machine";
        std::string enclave = "enclave";
    };

    FakeSealingKeys() = default;
    explicit FakeSealingKeys(Identity identity) : identity_(std::move(identity)) {}

    Result<SealingKey> make() override {
        Bytes request = to_bytes(ByteView(crypto::random_array<32>()));
        SealingKeyBytes key = EOS_TRY(derive(request));
        return SealingKey{std::move(key), std::move(request)};
    }

    Result<SealingKeyBytes> derive(ByteView request) override {
        crypto::Digest32 digest = crypto::hmac_sha256(as_bytes(identity_.machine),
                                                      {as_bytes(identity_.enclave), request});
        return SealingKeyBytes(to_array<16>(ByteView(digest).first(16)));
    }

    Measurement measurement() const override { return crypto::sha256(as_bytes(identity_.enclave)); }

  private:
    Identity identity_;
};

/// As good as the enclave's.
class OpensslRandom : public Random {
  public:
    void fill(MutableByteView out) override { crypto::fill_random(out); }
};

/// A store and all it is made of.
struct TestStore {
    explicit TestStore(Blobs start = {}) : blobs(std::move(start)) {}

    Result<void> open() {
        store.reset();
        Result<void> out = fail(injected_failure, "open() did not answer");
        SealedStore::open({blobs, keys, random}, [&](Result<std::unique_ptr<SealedStore>> opened) {
            out = {};
            if (opened) {
                store = *std::move(opened);
            } else {
                out = fail(std::move(opened).error());
            }
        });
        blobs.run();
        return out;
    }

    Result<std::string> get(std::string name, RecordType type = 1) {
        Result<std::string> out = fail(injected_failure, "get() did not answer");
        store->get(std::move(name), type, [&](Result<SecretBytes> bytes) {
            if (bytes) {
                out = eos::to_string(bytes->view());
            } else {
                out = fail(std::move(bytes).error());
            }
        });
        blobs.run();
        return out;
    }

    Result<void> commit(Transaction transaction) {
        Result<void> out = fail(injected_failure, "commit() did not answer");
        store->commit(std::move(transaction), [&](Result<void> done) { out = std::move(done); });
        blobs.run();
        return out;
    }

    Result<void> destroy() {
        Result<void> out = fail(injected_failure, "destroy() did not answer");
        store->destroy([&](Result<void> done) { out = std::move(done); });
        blobs.run();
        return out;
    }

    Transaction transaction() const { return Transaction(store->generation()); }

    Result<void> put(std::string name, std::string_view value, RecordType type = 1) {
        Transaction change = transaction();
        change.put(std::move(name), type, SecretBytes(to_bytes(value)));
        return commit(std::move(change));
    }

    MemoryBlobStore blobs;
    FakeSealingKeys keys;
    OpensslRandom random;
    std::unique_ptr<SealedStore> store;
};

/// "ok", or the name of the code.
template <typename T>
std::string outcome(const Result<T>& result) {
    return result.has_value() ? "ok" : std::string(result.error().code().name);
}

}  // namespace eos::runtime::testing
