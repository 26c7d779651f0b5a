// SPDX-License-Identifier: AGPL-3.0-only
// configfs-tsm as Linux 6.16 has it, in memory. Every function answers as the system call does that
// it stands for: at least 0, or minus an errno. source: Linux, drivers/virt/coco/guest/report.c
// (tsm.c in earlier versions), fs/configfs/file.c, fs/configfs/dir.c; tsm_conformance_main.cpp
// checks it.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "emulation/tsm/behaviour.h"
#include "emulation/tsm/guest_driver.h"

namespace eos::emulation::tsm {

/// A file of an entry.
struct ReportAttribute {
    const char* name;
    unsigned mode;  ///< also says which of read and write there is at all
    enum class Kind : std::uint8_t { kText, kBinary } kind;
};

/// Where a file lies.
struct ReportPath {
    std::string entry;
    std::string attribute;
};

/// threads: any. What waits for whom is as in the kernel: reports are made one after the other, and
/// whatever needs the present state of any entry waits for them; names, what was read already and
/// the removal of other entries do not.
class ReportTree {
  public:
    /// An entry; one that was removed lives on in open files.
    struct Item {
        std::shared_mutex fragment;  ///< the kernel's frag_sem: removal waits for its readers
        bool removed = false;        ///< under fragment
        // Under tsm_rwsem:
        std::uint64_t write_generation = 0;
        std::uint64_t read_generation = 0;
        Bytes inblob;
        unsigned privilege_level = 0;
        bool has_report = false;
        MadeReport report;
    };
    /// An open file, which duplicates share.
    struct File {
        std::shared_ptr<Item> item;
        const ReportAttribute* attribute = nullptr;
        std::mutex mutex;
        Bytes buffer;
        bool loaded = false;   ///< buffer is what the file had at the first read
        bool written = false;  ///< buffer takes effect at the last close
    };

    ReportTree(ReportMaker& maker, const Behaviour& behaviour, Clock clock = Clock::real());

    int make(const std::string& entry);
    int remove(const std::string& entry);
    bool has(const std::string& entry) const;
    std::vector<std::string> entries() const;
    std::vector<const ReportAttribute*> attributes() const;
    const ReportAttribute* attribute(const std::string& name) const;

    /// in: flags of open(2).
    std::expected<std::unique_ptr<File>, int> open(const ReportPath& path, int flags);
    /// in: interrupted: ends the wait of tdx_guest for its host, and no other.
    int read(File& file, MutableByteView out, std::size_t offset,
             const Interrupted& interrupted = {});
    int write(File& file, ByteView value, std::size_t offset);
    /// What the close(2) of the last duplicate does: a binary attribute takes effect, before all
    /// that comes later, and its error is dropped. Never waits.
    void close(File& file);

    std::string driver_name() const { return driver_.maker().provider(); }
    /// The name of the driver if it is loaded, or nothing.
    std::string provider();
    /// What rmmod of the driver does: entries stay, and give what they have. ENOENT: not loaded.
    int unregister_provider();
    /// What modprobe of it does. EBUSY: it is there, or entries are; ENODEV: it does not start.
    int register_provider();

  private:
    /// What was written to a binary attribute and closed.
    struct Commit {
        Bytes inblob;
        std::uint64_t closes = 0;
    };
    using Tsm = std::unique_lock<std::mutex>;

    Tsm lock_tsm();
    int load(File& file, const Interrupted& interrupted);
    int report(Item& item, const Interrupted& interrupted);
    int store_privilege_level(Item& item, ByteView text);

    GuestDriver driver_;
    mutable std::mutex names_;
    std::map<std::string, std::shared_ptr<Item>> items_;
    std::mutex commits_mutex_;
    std::map<std::shared_ptr<Item>, Commit> commits_;
    std::mutex tsm_;  ///< tsm_rwsem; by way of lock_tsm(); before names_, never after
    bool registered_ = true;
};

}  // namespace eos::emulation::tsm
