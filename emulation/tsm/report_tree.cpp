// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/report_tree.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <thread>
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

ReportTree::ReportTree(ReportMaker& maker, const Behaviour& behaviour)
    : maker_(maker), behaviour_(behaviour) {}

int ReportTree::make(const std::string& entry) {
    const std::lock_guard tsm(tsm_);
    const std::lock_guard names(names_);
    return items_.try_emplace(entry, std::make_shared<Item>()).second ? 0 : -EEXIST;
}

int ReportTree::remove(const std::string& entry) {
    const std::lock_guard tsm(tsm_);
    const std::lock_guard names(names_);
    const auto found = items_.find(entry);
    if (found == items_.end()) return -ENOENT;
    found->second->removed = true;
    items_.erase(found);
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
    if (!maker_.has_privilege_levels()) return out;
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
    return std::make_unique<File>(File{.item = item->second, .attribute = found});
}

int ReportTree::read(File& file, MutableByteView out, std::size_t offset) {
    const std::lock_guard tsm(tsm_);
    if (file.item->removed) return -ENOENT;
    if (!file.loaded) {
        const int error = load(file);
        if (error < 0) return error;
        file.loaded = true;
    }
    const ByteView rest = ByteView(file.buffer).subspan(std::min(offset, file.buffer.size()));
    const std::size_t size = std::min(rest.size(), out.size());
    std::ranges::copy(rest.first(size), out.begin());
    return static_cast<int>(size);
}

int ReportTree::load(File& file) {
    const std::string name = file.attribute->name;
    Item& item = *file.item;
    if (name == "generation") file.buffer = to_bytes(std::to_string(item.write_generation) + "\n");
    if (name == "provider") file.buffer = to_bytes(maker_.provider() + "\n");
    if (name == "privlevel_floor") file.buffer = to_bytes("0\n");
    if (file.attribute->kind != Kind::kBinary) return 0;
    const int error = report(item);
    if (error < 0) return error;
    file.buffer = name == "outblob" ? item.report.outblob : item.report.auxblob;
    return 0;
}

int ReportTree::report(Item& item) {
    if (item.inblob.empty()) return -EINVAL;
    if (item.has_report && item.read_generation == item.write_generation) return 0;
    item.has_report = false;
    // Both drivers want exactly 64 bytes.
    if (item.inblob.size() != kMaxInblobBytes) return -EINVAL;
    auto report_data = to_array<kMaxInblobBytes>(item.inblob);
    std::this_thread::sleep_for(behaviour_.latency);
    const int error = inject(item, report_data);
    if (error < 0) return error;
    Result<MadeReport> made = maker_.make(report_data, item.privilege_level);
    if (!made) return -EIO;
    item.report = *std::move(made);
    item.has_report = true;
    item.read_generation = item.write_generation;
    return 0;
}

int ReportTree::inject(Item& item, ByteArray<64>& report_data) {
    if (behaviour_.fault == Fault::kNone) return 0;
    const std::string& file = behaviour_.fault_file;
    if (!file.empty() && ::access(file.c_str(), F_OK) != 0) return 0;
    if (++attempts_ % behaviour_.fault_every != 0) return 0;
    switch (behaviour_.fault) {
        case Fault::kNone:
            return 0;
        case Fault::kBusy:
            return -EBUSY;
        case Fault::kInterrupted:
            return -EINTR;
        case Fault::kTimedOut:
            return -ETIMEDOUT;
        case Fault::kProviderGone:
            return -ENXIO;
        case Fault::kWrongReport:
            report_data[0] ^= std::byte{1};
            return 0;
        case Fault::kWrongGeneration:
            ++item.write_generation;
            return 0;
    }
    return 0;
}

int ReportTree::write(File& file, ByteView value, std::size_t offset) {
    const std::lock_guard tsm(tsm_);
    if (file.attribute->kind == Kind::kText) return store_privilege_level(*file.item, value);
    file.written = true;  // also by a write that fails: closing then stores what came before
    if (offset > kMaxInblobBytes || value.size() > kMaxInblobBytes - offset) return -EFBIG;
    if (file.buffer.size() < offset + value.size()) file.buffer.resize(offset + value.size());
    std::ranges::copy(value, file.buffer.begin() + static_cast<std::ptrdiff_t>(offset));
    return static_cast<int>(value.size());
}

int ReportTree::store_privilege_level(Item& item, ByteView text) {
    if (item.removed) return -ENOENT;
    const std::optional<unsigned> level = kernel_number(as_chars(text));
    if (!level || *level > kMaxPrivilegeLevel) return -EINVAL;
    item.privilege_level = *level;
    ++item.write_generation;
    return static_cast<int>(text.size());
}

void ReportTree::close(File& file) {
    const std::lock_guard tsm(tsm_);
    if (!file.written) return;
    file.written = false;
    file.item->inblob = file.buffer;
    if (!std::exchange(file.counted, true)) {
        ++file.item->write_generation;
    } else {
        file.item->has_report = false;
    }
}

}  // namespace eos::emulation::tsm
