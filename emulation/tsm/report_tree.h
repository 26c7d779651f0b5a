// SPDX-License-Identifier: AGPL-3.0-only
// configfs-tsm as Linux 6.12 has it, in memory. Every function answers as the system call does that
// it stands for: at least 0, or minus an errno. source: Linux, drivers/virt/coco/tsm.c (report.c in
// later versions), fs/configfs/file.c; tsm_conformance_main.cpp checks it.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "emulation/tsm/behaviour.h"

namespace eos::emulation::tsm {

/// A file of an entry.
struct ReportAttribute {
    const char* name;
    unsigned mode;
    enum class Kind : std::uint8_t { kText, kBinary } kind;
};

/// Where a file lies.
struct ReportPath {
    std::string entry;
    std::string attribute;
};

/// threads: any; reports are made one after the other, and everything but names waits for them, as
/// the kernel's tsm_rwsem makes it.
class ReportTree {
  public:
    /// An entry; one that was removed lives on in open files.
    struct Item {
        std::uint64_t write_generation = 0;
        std::uint64_t read_generation = 0;
        Bytes inblob;
        unsigned privilege_level = 0;
        bool has_report = false;
        MadeReport report;
        bool removed = false;
    };
    /// An open file.
    struct File {
        std::shared_ptr<Item> item;
        const ReportAttribute* attribute = nullptr;
        Bytes buffer;
        bool loaded = false;   ///< buffer is what the file had at the first read
        bool written = false;  ///< buffer takes effect at close
        bool counted = false;  ///< it did already, at the close of a duplicate
    };

    ReportTree(ReportMaker& maker, const Behaviour& behaviour);

    int make(const std::string& entry);
    int remove(const std::string& entry);
    bool has(const std::string& entry) const;
    std::vector<std::string> entries() const;
    std::vector<const ReportAttribute*> attributes() const;
    const ReportAttribute* attribute(const std::string& name) const;

    /// in: flags of open(2).
    std::expected<std::unique_ptr<File>, int> open(const ReportPath& path, int flags);
    int read(File& file, MutableByteView out, std::size_t offset);
    int write(File& file, ByteView value, std::size_t offset);
    /// What close(2) does; a binary attribute takes effect now, and its error is dropped. The
    /// kernel waits for the last duplicate's close, which FUSE tells too late: here each takes
    /// effect, with all that was written through any, and all are one change.
    void close(File& file);

  private:
    int load(File& file);
    int report(Item& item);
    int inject(Item& item, ByteArray<64>& report_data);
    int store_privilege_level(Item& item, ByteView text);

    ReportMaker& maker_;
    Behaviour behaviour_;
    mutable std::mutex names_;
    std::map<std::string, std::shared_ptr<Item>> items_;
    std::mutex tsm_;  ///< the kernel's tsm_rwsem; taken before names_, never after
    std::uint64_t attempts_ = 0;
};

}  // namespace eos::emulation::tsm
