// SPDX-License-Identifier: AGPL-3.0-only
// Commits one change after the other until it is killed: the real sealed store over the daemon's
// real storage service. Says on standard output, unbuffered, what it found at its start and what it
// has been told of each change. For tests/crash.
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>

#include "tests/crash/story.h"
#include "trusted/runtime/sealed_store.h"
#include "trusted/runtime/testing.h"
#include "untrusted/daemon/blob_service.h"

namespace eos::crash {
namespace {

/// The daemon's storage as the store's: asked from the main thread, answered there too.
class ServiceBlobs : public runtime::BlobStore {
  public:
    explicit ServiceBlobs(std::unique_ptr<daemon::BlobDatabase> database)
        : service_(std::move(database)) {}

    void get(std::string key, runtime::Done<std::optional<Bytes>> done) override {
        service_.submit(daemon::BlobGetJob{std::move(key), here(std::move(done))});
    }
    void list(runtime::BlobListRequest request,
              runtime::Done<std::vector<std::string>> done) override {
        service_.submit(daemon::BlobListJob{{.prefix = std::move(request.prefix),
                                             .after = std::move(request.after),
                                             .max_keys = runtime::kMaxBlobListKeys},
                                            here(std::move(done))});
    }
    void write(std::vector<runtime::BlobWrite> batch, runtime::Durability durability,
               runtime::Done<void> done) override {
        daemon::BlobBatch out{.changes = {},
                              .durability = durability == runtime::Durability::kSynced
                                                ? daemon::Durability::kSynced
                                                : daemon::Durability::kBuffered};
        for (auto& write : batch)
            out.changes.push_back({std::move(write.key), std::move(write.value)});
        service_.submit(daemon::BlobWriteJob{std::move(out), here(std::move(done))});
    }

    /// Runs answers until `is_done`.
    void run_until(const bool& is_done) {
        while (!is_done) {
            std::unique_lock lock(mutex_);
            arrived_.wait(lock, [this] { return !answers_.empty(); });
            auto answer = std::move(answers_.front());
            answers_.pop_front();
            lock.unlock();
            answer();
        }
    }

  private:
    template <typename T>
    runtime::Done<T> here(runtime::Done<T> done) {
        return [this, done = std::move(done)](Result<T> outcome) mutable {
            std::lock_guard lock(mutex_);
            answers_.push_back([done = std::move(done), outcome = std::move(outcome)]() mutable {
                done(std::move(outcome));
            });
            arrived_.notify_one();
        };
    }

    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<std::move_only_function<void()>> answers_;
    daemon::BlobService service_;  // last: its thread answers into the members above
};

/// One line in one write, so that a kill never leaves half of one.
void say(const std::string& line) {
    const std::string text = line + "\n";
    if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(4);
}

[[noreturn]] void give_up(const std::string& what, const Error& error) {
    say("failed " + what + ": " + error.message());
    ::_exit(3);
}

class Writer {
  public:
    explicit Writer(ServiceBlobs& blobs) : blobs_(blobs) {}

    void open() {
        bool done = false;
        runtime::SealedStore::open({blobs_, keys_, random_}, [&](auto opened) {
            if (!opened) give_up("open", opened.error());
            store_ = *std::move(opened);
            done = true;
        });
        blobs_.run_until(done);
    }

    std::string read_all() {
        Fingerprint out;
        for (const runtime::RecordInfo& record : store_->records()) {
            bool done = false;
            store_->get(record.name, 1, [&](Result<SecretBytes> bytes) {
                if (!bytes) give_up("read", bytes.error());
                out.add(record.name, bytes->view());
                done = true;
            });
            blobs_.run_until(done);
        }
        return out.finish();
    }

    State known_state() const {
        State out;
        for (const runtime::RecordInfo& record : store_->records()) out[record.name] = {};
        return out;
    }

    void commit() {
        const std::uint64_t next = generation() + 1;
        runtime::Transaction change(generation());
        for (auto& [name, value] : change_to(next, known_state())) {
            if (value) {
                change.put(name, 1, SecretBytes(to_bytes(value->text(name))));
            } else {
                change.erase(name);
            }
        }
        say("try " + std::to_string(next));
        bool done = false;
        store_->commit(std::move(change), [&](Result<void> committed) {
            if (!committed) give_up("commit", committed.error());
            done = true;
        });
        blobs_.run_until(done);
        say("ack " + std::to_string(next));
    }

    std::uint64_t generation() const { return store_->generation(); }

  private:
    ServiceBlobs& blobs_;
    runtime::testing::FakeSealingKeys keys_;
    runtime::testing::OpensslRandom random_;
    std::unique_ptr<runtime::SealedStore> store_;
};

int run(const char* directory) {
    auto database = daemon::BlobDatabase::open({.directory = directory});
    if (!database) give_up("database", database.error());
    ServiceBlobs blobs(*std::move(database));
    Writer writer(blobs);
    writer.open();
    say("found " + std::to_string(writer.generation()) + " " + writer.read_all());
    while (true) writer.commit();
}

}  // namespace
}  // namespace eos::crash

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s DIRECTORY   (commits until it is killed)\n", argv[0]);
        return 2;
    }
    return eos::crash::run(argv[1]);
}
