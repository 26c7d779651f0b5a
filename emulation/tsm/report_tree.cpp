// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/report_tree.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <utility>

namespace eos::emulation::tsm {

namespace {

using Kind = ReportAttribute::Kind;

constexpr std::size_t kMaxInblobBytes = 64;
constexpr unsigned kMaxPrivilegeLevel = 3;

constexpr std::array<ReportAttribute, 4> kCommon{{{"generation", 0444, Kind::kText},
                                                  {"provider", 0444, Kind::kText},
                                                  {"inblob", 0200, Kind::kBinary},
                                                  {"outblob", 0444, Kind::kBinary}}};
constexpr std::array<ReportAttribute, 3> kPrivileged{{{"auxblob", 0444, Kind::kBinary},
                                                      {"privlevel", 0200, Kind::kText},
                                                      {"privlevel_floor", 0444, Kind::kText}}};

/// A number as kstrtouint() takes it with base 0: decimal, 0x…, 0…; a plus in front, a line end
/// behind.
std::optional<unsigned> kernel_number(std::string_view text) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (text.starts_with('+')) text.remove_prefix(1);
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        base = 16;
        text.remove_prefix(2);
    } else if (text.starts_with('0')) {
        base = 8;
    }
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) return {};
    return value;
}

}  // namespace

ReportTree::ReportTree(ReportMaker& maker, const Behaviour& behaviour, Clock clock)
    : driver_(maker, behaviour, std::move(clock)) {}

/// What was closed before takes effect first.
ReportTree::Tsm ReportTree::lock_tsm() {
    Tsm out(tsm_);
    const std::lock_guard lock(commits_mutex_);
    for (auto& [item, commit] : commits_) {
        item->inblob = std::move(commit.inblob);
        item->write_generation += commit.closes;
    }
    commits_.clear();
    return out;
}

int ReportTree::make(const std::string& entry) {
    const Tsm tsm = lock_tsm();
    const std::lock_guard names(names_);
    if (items_.contains(entry)) return -EEXIST;
    if (!registered_) return -ENXIO;
    items_.emplace(entry, std::make_shared<Item>());
    return 0;
}

int ReportTree::remove(const std::string& entry) {
    std::shared_ptr<Item> item;
    {
        const std::lock_guard names(names_);
        const auto found = items_.find(entry);
        if (found == items_.end()) return -ENOENT;
        item = found->second;
    }
    {
        const std::unique_lock fragment(item->fragment);
        if (std::exchange(item->removed, true)) return -ENOENT;
    }
    const std::lock_guard names(names_);
    items_.erase(entry);
    return 0;
}

bool ReportTree::has(const std::string& entry) const {
    const std::lock_guard names(names_);
    return items_.contains(entry);
}

std::vector<std::string> ReportTree::entries() const {
    const std::lock_guard names(names_);
    std::vector<std::string> out;
    for (const auto& [name, item] : items_) out.push_back(name);
    return out;
}

std::vector<const ReportAttribute*> ReportTree::attributes() const {
    std::vector<const ReportAttribute*> out;
    for (const ReportAttribute& attribute : kCommon) out.push_back(&attribute);
    if (!driver_.maker().has_privilege_levels()) return out;
    for (const ReportAttribute& attribute : kPrivileged) out.push_back(&attribute);
    return out;
}

const ReportAttribute* ReportTree::attribute(const std::string& name) const {
    for (const ReportAttribute* attribute : attributes())
        if (name == attribute->name) return attribute;
    return nullptr;
}

std::expected<std::unique_ptr<ReportTree::File>, int> ReportTree::open(const ReportPath& path,
                                                                       int flags) {
    const ReportAttribute* found = attribute(path.attribute);
    const std::lock_guard names(names_);
    const auto item = items_.find(path.entry);
    if (found == nullptr || item == items_.end()) return std::unexpected(-ENOENT);
    const int access = flags & O_ACCMODE;
    const bool reads = access != O_WRONLY;
    const bool writes = access != O_RDONLY;
    if ((reads && (found->mode & 0444) == 0) || (writes && (found->mode & 0222) == 0))
        return std::unexpected(-EACCES);
    auto out = std::make_unique<File>();
    out->item = item->second;
    out->attribute = found;
    return out;
}

int ReportTree::read(File& file, MutableByteView out, std::size_t offset,
                     const Interrupted& interrupted) {
    const std::lock_guard lock(file.mutex);
    if (!file.loaded) {
        const std::shared_lock fragment(file.item->fragment);
        if (file.item->removed) return -ENOENT;
        const int error = load(file, interrupted);
        if (error < 0) return error;
        // configfs asks again for a blob of which there is nothing.
        file.loaded = file.attribute->kind == Kind::kText || !file.buffer.empty();
    }
    const ByteView rest = ByteView(file.buffer).subspan(std::min(offset, file.buffer.size()));
    const std::size_t size = std::min(rest.size(), out.size());
    std::ranges::copy(rest.first(size), out.begin());
    return static_cast<int>(size);
}

int ReportTree::load(File& file, const Interrupted& interrupted) {
    const Tsm tsm = lock_tsm();
    const std::string name = file.attribute->name;
    Item& item = *file.item;
    if (file.attribute->kind == Kind::kBinary) {
        const int error = report(item, interrupted);
        if (error < 0) return error;
        file.buffer = name == "outblob" ? item.report.outblob : item.report.auxblob;
        return 0;
    }
    if (name == "generation") {
        file.buffer = to_bytes(std::to_string(item.write_generation) + "\n");
        return 0;
    }
    if (!registered_) return -ENXIO;
    const ReportMaker& maker = driver_.maker();
    if (name == "provider") file.buffer = to_bytes(maker.provider() + "\n");
    if (name == "privlevel_floor")
        file.buffer = to_bytes(std::to_string(maker.privilege_level_floor()) + "\n");
    return 0;
}

int ReportTree::report(Item& item, const Interrupted& interrupted) {
    if (item.inblob.empty()) return -EINVAL;
    // No driver is needed for what is there.
    if (item.has_report && item.read_generation == item.write_generation) return 0;
    if (!registered_) return -ENXIO;
    item.has_report = false;
    auto answer = driver_.report({.inblob = item.inblob, .privilege_level = item.privilege_level},
                                 interrupted);
    if (!answer) return answer.error();
    if (answer->foreign_write) ++item.write_generation;
    item.report = std::move(answer->report);
    item.has_report = true;
    item.read_generation = item.write_generation;
    return 0;
}

int ReportTree::write(File& file, ByteView value, std::size_t offset) {
    const std::lock_guard lock(file.mutex);
    if (file.attribute->kind == Kind::kText) {
        const std::shared_lock fragment(file.item->fragment);
        if (file.item->removed) return -ENOENT;
        return store_privilege_level(*file.item, value);
    }
    file.written = true;  // also by a write that fails: closing then stores what came before
    if (offset > kMaxInblobBytes || value.size() > kMaxInblobBytes - offset) return -EFBIG;
    if (file.buffer.size() < offset + value.size()) file.buffer.resize(offset + value.size());
    std::ranges::copy(value, file.buffer.begin() + static_cast<std::ptrdiff_t>(offset));
    return static_cast<int>(value.size());
}

int ReportTree::store_privilege_level(Item& item, ByteView text) {
    const std::optional<unsigned> level = kernel_number(as_chars(text));
    if (!level) return -EINVAL;
    const Tsm tsm = lock_tsm();
    if (!registered_) return -ENXIO;
    const unsigned floor = driver_.maker().privilege_level_floor();
    if (*level < floor || *level > kMaxPrivilegeLevel) return -EINVAL;
    item.privilege_level = *level;
    ++item.write_generation;
    return static_cast<int>(text.size());
}

void ReportTree::close(File& file) {
    if (!std::exchange(file.written, false)) return;
    const std::lock_guard lock(commits_mutex_);
    Commit& commit = commits_[file.item];
    commit.inblob = std::move(file.buffer);
    ++commit.closes;
}

std::string ReportTree::provider() {
    const Tsm tsm = lock_tsm();
    return registered_ ? driver_.maker().provider() : "";
}

int ReportTree::unregister_provider() {
    const Tsm tsm = lock_tsm();
    return std::exchange(registered_, false) ? 0 : -ENOENT;
}

int ReportTree::register_provider() {
    const Tsm tsm = lock_tsm();
    if (!driver_.can_start()) return -ENODEV;
    const std::lock_guard names(names_);
    if (registered_ || !items_.empty()) return -EBUSY;
    registered_ = true;
    return 0;
}

}  // namespace eos::emulation::tsm
