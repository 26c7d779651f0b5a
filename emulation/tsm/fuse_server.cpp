// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/fuse_server.h"

#define FUSE_USE_VERSION 35
#include <fuse3/fuse.h>

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

namespace eos::emulation::tsm {

namespace {

constexpr std::string_view kReports = "report";
constexpr std::string_view kRegisters = "measurements";
constexpr off_t kTextSize = 4096;  // what configfs says of text attributes

/// "/report/a/b" is {"report", "a", "b"}.
std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> out;
    while (!path.empty()) {
        path.remove_prefix(1);
        const std::size_t end = std::min(path.find('/'), path.size());
        if (end != 0) out.emplace_back(path.substr(0, end));
        path.remove_prefix(end);
    }
    return out;
}

FuseContent& content() {
    return *static_cast<FuseContent*>(::fuse_get_context()->private_data);
}

/// An open file: one of the two kinds.
struct Handle {
    std::unique_ptr<ReportTree::File> report;
    const RegisterFile* register_file = nullptr;
};

Handle& handle_of(const ::fuse_file_info* info) {
    return *reinterpret_cast<Handle*>(info->fh);
}

bool is_directory(const std::vector<std::string>& path) {
    if (path.empty()) return true;
    if (path[0] == kRegisters) return path.size() == 1 && content().registers != nullptr;
    if (path[0] != kReports) return false;
    return path.size() == 1 || (path.size() == 2 && content().reports.has(path[1]));
}

/// Mode and size of a file, or a mode of 0.
void describe_file(const std::vector<std::string>& path, struct stat& out) {
    if (path.size() == 2 && path[0] == kRegisters && content().registers != nullptr) {
        const RegisterFile* file = Registers::file(path[1]);
        if (file == nullptr) return;
        out.st_mode = S_IFREG | file->mode;
        out.st_size = kRegisterBytes;
    }
    if (path.size() == 3 && path[0] == kReports && content().reports.has(path[1])) {
        const ReportAttribute* attribute = content().reports.attribute(path[2]);
        if (attribute == nullptr) return;
        out.st_mode = S_IFREG | attribute->mode;
        out.st_size = attribute->kind == ReportAttribute::Kind::kText ? kTextSize : 0;
    }
}

int get_attributes(const char* name, struct stat* out, ::fuse_file_info*) {
    std::memset(out, 0, sizeof(*out));
    out->st_uid = content().owner;
    out->st_gid = content().group;
    out->st_nlink = 1;
    const std::vector<std::string> path = split(name);
    if (is_directory(path)) {
        out->st_mode = S_IFDIR | 0755;
        out->st_nlink = 2;
        return 0;
    }
    describe_file(path, *out);
    return out->st_mode == 0 ? -ENOENT : 0;
}

int list(const char* name, void* buffer, ::fuse_fill_dir_t fill, off_t, ::fuse_file_info*,
         ::fuse_readdir_flags) {
    const auto add = [&](const std::string& entry) {
        fill(buffer, entry.c_str(), nullptr, 0, ::fuse_fill_dir_flags{});
    };
    const std::vector<std::string> path = split(name);
    if (!is_directory(path)) return -ENOENT;
    add(".");
    add("..");
    if (path.empty()) {
        add(std::string(kReports));
        if (content().registers != nullptr) add(std::string(kRegisters));
    } else if (path[0] == kRegisters) {
        for (const RegisterFile& file : Registers::files()) add(file.name);
    } else if (path.size() == 1) {
        for (const std::string& entry : content().reports.entries()) add(entry);
    } else {
        for (const ReportAttribute* attribute : content().reports.attributes())
            add(attribute->name);
    }
    return 0;
}

int make_directory(const char* name, mode_t) {
    const std::vector<std::string> path = split(name);
    if (path.size() != 2 || path[0] != kReports) return -EPERM;
    return content().reports.make(path[1]);
}

int remove_directory(const char* name) {
    const std::vector<std::string> path = split(name);
    if (path.size() != 2 || path[0] != kReports) return -EPERM;
    return content().reports.remove(path[1]);
}

int open_file(const char* name, ::fuse_file_info* info) {
    const std::vector<std::string> path = split(name);
    auto handle = std::make_unique<Handle>();
    if (path.size() == 3 && path[0] == kReports) {
        auto file = content().reports.open({path[1], path[2]}, info->flags);
        if (!file) return file.error();
        handle->report = *std::move(file);
    } else if (path.size() == 2 && path[0] == kRegisters) {
        handle->register_file = Registers::file(path[1]);
        const bool writes = (info->flags & O_ACCMODE) != O_RDONLY;
        if (writes && handle->register_file != nullptr && (handle->register_file->mode & 0222) == 0)
            return -EACCES;
    }
    if (handle->report == nullptr && handle->register_file == nullptr) return -ENOENT;
    info->fh = reinterpret_cast<std::uint64_t>(handle.release());
    info->direct_io = 1;
    return 0;
}

int read_file(const char*, char* out, std::size_t size, off_t offset, ::fuse_file_info* info) {
    const MutableByteView view(reinterpret_cast<std::byte*>(out), size);
    const auto at = static_cast<std::size_t>(offset);
    Handle& handle = handle_of(info);
    if (handle.report != nullptr) return content().reports.read(*handle.report, view, at);
    return content().registers->read(*handle.register_file, view, at);
}

int write_file(const char*, const char* in, std::size_t size, off_t offset,
               ::fuse_file_info* info) {
    const ByteView view = as_bytes(std::string_view(in, size));
    const auto at = static_cast<std::size_t>(offset);
    Handle& handle = handle_of(info);
    if (handle.report != nullptr) return content().reports.write(*handle.report, view, at);
    return content().registers->write(*handle.register_file, view, at);
}

/// Called before close(2) returns; release comes later.
int flush_file(const char*, ::fuse_file_info* info) {
    Handle& handle = handle_of(info);
    if (handle.report != nullptr) content().reports.close(*handle.report);
    return 0;
}

int release_file(const char*, ::fuse_file_info* info) {
    delete &handle_of(info);
    return 0;
}

int truncate_file(const char*, off_t, ::fuse_file_info*) {
    return 0;
}

int remove_file(const char*) {
    return -EPERM;
}

int create_file(const char*, mode_t, ::fuse_file_info*) {
    return -EACCES;
}

/// Nothing is cached: every look is at the kernel's present state.
void* configure(::fuse_conn_info*, ::fuse_config* config) {
    config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
    return ::fuse_get_context()->private_data;
}

::fuse_operations operations() {
    ::fuse_operations out{};
    out.getattr = get_attributes;
    out.readdir = list;
    out.mkdir = make_directory;
    out.rmdir = remove_directory;
    out.open = open_file;
    out.read = read_file;
    out.write = write_file;
    out.flush = flush_file;
    out.release = release_file;
    out.truncate = truncate_file;
    out.unlink = remove_file;
    out.create = create_file;
    out.init = configure;
    return out;
}

}  // namespace

Result<std::unique_ptr<FuseServer>> FuseServer::start(const FuseContent& content,
                                                      const std::string& directory) {
    std::unique_ptr<FuseServer> out(new FuseServer(content));
    ::fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
    ::fuse_opt_add_arg(&arguments, "tsm-emulator");
    ::fuse_opt_add_arg(&arguments, "-oallow_other,default_permissions,fsname=tsm-emulator");
    const ::fuse_operations callbacks = operations();
    out->fuse_ = ::fuse_new(&arguments, &callbacks, sizeof(callbacks), &out->content_);
    ::fuse_opt_free_args(&arguments);
    if (out->fuse_ == nullptr) return fail(fuse_unavailable, "fuse_new");
    if (::fuse_mount(out->fuse_, directory.c_str()) != 0) {
        ::fuse_destroy(out->fuse_);
        out->fuse_ = nullptr;
        return fail(fuse_unavailable, directory);
    }
    out->loop_ = std::thread([fuse = out->fuse_] {
        ::fuse_loop_config config{};
        config.max_idle_threads = 4;
        ::fuse_loop_mt(fuse, &config);
    });
    return out;
}

FuseServer::~FuseServer() {
    if (fuse_ == nullptr) return;
    ::fuse_unmount(fuse_);
    loop_.join();
    ::fuse_destroy(fuse_);
}

}  // namespace eos::emulation::tsm
