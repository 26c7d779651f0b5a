// SPDX-License-Identifier: AGPL-3.0-only
#include "emulation/tsm/fuse_server.h"

#define FUSE_USE_VERSION 35
#include <fuse3/fuse.h>

#include <fcntl.h>

#include <cerrno>
#include <ctime>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "emulation/tsm/fuse_state.h"

namespace eos::emulation::tsm {

namespace {

constexpr std::string_view kReports = "report";
constexpr std::string_view kRegisters = "measurements";
constexpr std::string_view kControl = "control";
constexpr std::string_view kProvider = "provider";
constexpr std::string_view kNoProvider = "none";
constexpr off_t kTextSize = 4096;  // what configfs says of text attributes
constexpr mode_t kPermissions = 07777;
constexpr unsigned kMaxBackground = 4096;  // closing is asynchronous and must not fall back

/// "/report/a/b" is {"report", "a", "b"}.
using Path = std::vector<std::string>;

Path split(std::string_view path) {
    Path out;
    while (!path.empty()) {
        path.remove_prefix(1);
        const std::size_t end = std::min(path.find('/'), path.size());
        if (end != 0) out.emplace_back(path.substr(0, end));
        path.remove_prefix(end);
    }
    return out;
}

FuseState& state() {
    return *static_cast<FuseState*>(::fuse_get_context()->private_data);
}

FuseContent& content() {
    return state().content;
}

FuseHandle& handle_of(const ::fuse_file_info* info) {
    return *reinterpret_cast<FuseHandle*>(info->fh);
}

/// libfuse gives no name for what is open.
std::string name_of(const char* name, const ::fuse_file_info* info) {
    return name != nullptr ? name : handle_of(info).name;
}

bool is_control(const Path& path) {
    return path.size() == 2 && path[0] == kControl && path[1] == kProvider;
}

bool is_directory(const Path& path) {
    if (path.empty()) return true;
    if (path[0] == kControl) return path.size() == 1;
    if (path[0] == kRegisters) return path.size() == 1 && content().registers != nullptr;
    if (path[0] != kReports) return false;
    return path.size() == 1 || (path.size() == 2 && content().reports.has(path[1]));
}

/// Mode and size of a file, or a mode of 0.
void describe_file(const Path& path, struct stat& out) {
    if (is_control(path)) {
        out.st_mode = S_IFREG | 0644;
        out.st_size = kTextSize;
    }
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

int describe(const std::string& name, struct stat& out) {
    out = {};
    out.st_uid = content().owner;
    out.st_gid = content().group;
    out.st_nlink = 1;
    const Path path = split(name);
    if (is_directory(path)) {
        out.st_mode = S_IFDIR | 0755;
        out.st_nlink = 2;
    } else {
        describe_file(path, out);
    }
    if (out.st_mode == 0) return -ENOENT;
    state().inodes.apply(name, out);
    return 0;
}

int get_attributes(const char* name, struct stat* out, ::fuse_file_info* info) {
    return describe(name_of(name, info), *out);
}

int open_directory(const char* name, ::fuse_file_info* info) {
    auto handle = std::make_unique<FuseHandle>();
    handle->name = name;
    info->fh = state().keep(std::move(handle));
    return 0;
}

/// Of a file or a directory.
int release_handle(const char*, ::fuse_file_info* info) {
    const FuseHandle& handle = handle_of(info);
    if (handle.report != nullptr) content().reports.close(*handle.report);
    state().release(info->fh);
    return 0;
}

int list(const char* name, void* buffer, ::fuse_fill_dir_t fill, off_t, ::fuse_file_info* info,
         ::fuse_readdir_flags) {
    const auto add = [&](std::string_view entry) {
        fill(buffer, std::string(entry).c_str(), nullptr, 0, ::fuse_fill_dir_flags{});
    };
    const Path path = split(name_of(name, info));
    if (!is_directory(path)) return -ENOENT;
    add(".");
    add("..");
    if (path.empty()) {
        add(kReports);
        add(kControl);
        if (content().registers != nullptr) add(kRegisters);
    } else if (path[0] == kRegisters) {
        for (const RegisterFile& file : Registers::files()) add(file.name);
    } else if (path[0] == kControl) {
        add(kProvider);
    } else if (path.size() == 1) {
        for (const std::string& entry : content().reports.entries()) add(entry);
    } else {
        for (const ReportAttribute* attribute : content().reports.attributes())
            add(attribute->name);
    }
    return 0;
}

int make_directory(const char* name, mode_t) {
    const Path path = split(name);
    if (path.size() != 2 || path[0] != kReports) return -EPERM;
    return content().reports.make(path[1]);
}

int remove_directory(const char* name) {
    const Path path = split(name);
    if (path.size() != 2 || path[0] != kReports) return -EPERM;
    const int removed = content().reports.remove(path[1]);
    if (removed == 0) state().inodes.forget(name);
    return removed;
}

/// Not even root opens what no bit of the mode allows: configfs and sysfs see to that.
int check_mode(const std::string& name, int flags) {
    struct stat status{};
    const int described = describe(name, status);
    if (described < 0) return described;
    const int access = flags & O_ACCMODE;
    const bool read_denied = access != O_WRONLY && (status.st_mode & 0444) == 0;
    const bool write_denied = access != O_RDONLY && (status.st_mode & 0222) == 0;
    return read_denied || write_denied ? -EACCES : 0;
}

int open_file(const char* name, ::fuse_file_info* info) {
    const int checked = check_mode(name, info->flags);
    if (checked < 0) return checked;
    const Path path = split(name);
    auto handle = std::make_unique<FuseHandle>();
    handle->name = name;
    handle->control = is_control(path);
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
    if (handle->report == nullptr && handle->register_file == nullptr && !handle->control)
        return -ENOENT;
    info->fh = state().keep(std::move(handle));
    info->direct_io = 1;
    return 0;
}

bool caller_is_interrupted() {
    return state().ending || ::fuse_interrupted() != 0;
}

int read_control(MutableByteView out, std::size_t at) {
    const std::string provider = content().reports.provider();
    const Bytes text = to_bytes((provider.empty() ? std::string(kNoProvider) : provider) + "\n");
    const ByteView rest = ByteView(text).subspan(std::min(at, text.size()));
    const std::size_t size = std::min(rest.size(), out.size());
    std::ranges::copy(rest.first(size), out.begin());
    return static_cast<int>(size);
}

/// "none" unloads the driver, its name loads it.
int write_control(std::string_view text) {
    const int size = static_cast<int>(text.size());
    if (text.ends_with('\n')) text.remove_suffix(1);
    int done = -EINVAL;
    if (text == kNoProvider) done = content().reports.unregister_provider();
    if (text == content().reports.driver_name()) done = content().reports.register_provider();
    return done < 0 ? done : size;
}

int read_file(const char*, char* out, std::size_t size, off_t offset, ::fuse_file_info* info) {
    const MutableByteView view(reinterpret_cast<std::byte*>(out), size);
    const auto at = static_cast<std::size_t>(offset);
    FuseHandle& handle = handle_of(info);
    if (handle.control) return read_control(view, at);
    if (handle.report != nullptr)
        return content().reports.read(*handle.report, view, at, caller_is_interrupted);
    return content().registers->read(*handle.register_file, view, at);
}

int write_file(const char*, const char* in, std::size_t size, off_t offset,
               ::fuse_file_info* info) {
    const std::string_view text(in, size);
    const auto at = static_cast<std::size_t>(offset);
    FuseHandle& handle = handle_of(info);
    if (handle.control) return write_control(text);
    if (handle.report != nullptr)
        return content().reports.write(*handle.report, as_bytes(text), at);
    return content().registers->write(*handle.register_file, as_bytes(text), at);
}

int change_attributes(const std::string& name, const InodeAttributes::Changes& changes) {
    struct stat status{};
    const int described = describe(name, status);
    if (described == 0) state().inodes.change(name, changes);
    return described;
}

int change_mode(const char* name, mode_t mode, ::fuse_file_info* info) {
    return change_attributes(name_of(name, info), {.mode = mode & kPermissions});
}

int change_owner(const char* name, uid_t owner, gid_t group, ::fuse_file_info* info) {
    InodeAttributes::Changes changes;
    if (owner != static_cast<uid_t>(-1)) changes.owner = owner;
    if (group != static_cast<gid_t>(-1)) changes.group = group;
    return change_attributes(name_of(name, info), changes);
}

/// A time of utimensat(2).
std::optional<timespec> changed_time(timespec time) {
    if (time.tv_nsec == UTIME_OMIT) return {};
    if (time.tv_nsec == UTIME_NOW) ::clock_gettime(CLOCK_REALTIME, &time);
    return time;
}

int change_times(const char* name, const timespec times[2], ::fuse_file_info* info) {
    return change_attributes(name_of(name, info), {.accessed = changed_time(times[0]),
                                                   .modified = changed_time(times[1])});
}

int truncate_file(const char*, off_t, ::fuse_file_info*) {
    return 0;
}

int refuse_name(const char*) {
    return -EPERM;
}

int refuse_two_names(const char*, const char*) {
    return -EPERM;
}

int refuse_rename(const char*, const char*, unsigned) {
    return -EPERM;
}

int refuse_node(const char*, mode_t, dev_t) {
    return -EPERM;
}

int refuse_file(const char*, mode_t, ::fuse_file_info*) {
    return -EACCES;
}

/// Nothing is cached: every look is at the kernel's present state.
void* configure(::fuse_conn_info* connection, ::fuse_config* config) {
    config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
    // Requests go from thread to thread, which only what lies in memory can.
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ);
    connection->max_background = kMaxBackground;
    // What is open has no name: that may be gone, and libfuse would lock it while a reader waits.
    config->nullpath_ok = 1;
    return ::fuse_get_context()->private_data;
}

::fuse_operations operations() {
    ::fuse_operations out{};
    out.getattr = get_attributes;
    out.opendir = open_directory;
    out.readdir = list;
    out.releasedir = release_handle;
    out.mkdir = make_directory;
    out.rmdir = remove_directory;
    out.open = open_file;
    out.read = read_file;
    out.write = write_file;
    out.release = release_handle;
    out.truncate = truncate_file;
    out.chmod = change_mode;
    out.chown = change_owner;
    out.utimens = change_times;
    out.unlink = refuse_name;
    out.link = refuse_two_names;
    out.symlink = refuse_two_names;
    out.rename = refuse_rename;
    out.mknod = refuse_node;
    out.create = refuse_file;
    out.init = configure;
    return out;
}

}  // namespace

FuseServer::FuseServer(const FuseContent& content) : state_(std::make_unique<FuseState>(content)) {}

Result<std::unique_ptr<FuseServer>> FuseServer::start(const FuseContent& content,
                                                      const std::string& directory) {
    std::unique_ptr<FuseServer> out(new FuseServer(content));
    ::fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
    ::fuse_opt_add_arg(&arguments, "tsm-emulator");
    ::fuse_opt_add_arg(&arguments, "-oallow_other,default_permissions,fsname=tsm-emulator");
    const ::fuse_operations callbacks = operations();
    out->fuse_ = ::fuse_new(&arguments, &callbacks, sizeof(callbacks), out->state_.get());
    ::fuse_opt_free_args(&arguments);
    if (out->fuse_ == nullptr) return fail(fuse_unavailable, "fuse_new");
    if (::fuse_mount(out->fuse_, directory.c_str()) != 0) {
        ::fuse_destroy(out->fuse_);
        out->fuse_ = nullptr;
        return fail(fuse_unavailable, directory);
    }
    out->loop_ = std::make_unique<FuseLoop>(out->fuse_);
    return out;
}

FuseServer::~FuseServer() {
    if (fuse_ == nullptr) return;
    state_->ending = true;
    loop_.reset();
    ::fuse_unmount(fuse_);
    ::fuse_destroy(fuse_);
}

}  // namespace eos::emulation::tsm
