// SPDX-License-Identifier: MIT
// A FUSE file system that does nothing but answer: the limit that the kernel and libfuse set for the
// benchmarks.
//   null_fuse MOUNTPOINT BIG_FILE_BYTES SMALL_FILES SMALL_FILE_BYTES
// Shows `big` and `small/0` … `small/N-1`, all zeros from memory, with the same kernel settings as
// mount.restic.
#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr double kForever = 1e9;
constexpr fuse_ino_t kBig = 2, kSmallDir = 3, kFirstSmall = 4;

struct Shape {
  std::uint64_t big_bytes, small_files, small_bytes;
  std::vector<char> zeros = std::vector<char>(1U << 20U);
};

const Shape& shape_of(fuse_req_t request) { return *static_cast<const Shape*>(fuse_req_userdata(request)); }

struct stat attributes_of(const Shape& shape, fuse_ino_t inode) {
  struct stat attributes {};
  attributes.st_ino = inode;
  attributes.st_nlink = 1;
  if (inode == FUSE_ROOT_ID || inode == kSmallDir) {
    attributes.st_mode = S_IFDIR | 0755;
  } else {
    attributes.st_mode = S_IFREG | 0644;
    attributes.st_size = static_cast<off_t>(inode == kBig ? shape.big_bytes : shape.small_bytes);
  }
  return attributes;
}

fuse_entry_param entry_of(const Shape& shape, fuse_ino_t inode) {
  fuse_entry_param entry{};
  entry.ino = inode;
  entry.attr = attributes_of(shape, inode);
  entry.attr_timeout = entry.entry_timeout = kForever;
  return entry;
}

void init(void*, fuse_conn_info* connection) {
  connection->max_background = 64;
  connection->max_readahead = 1U << 20U;
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  const Shape& shape = shape_of(request);
  fuse_ino_t inode = 0;
  if (parent == FUSE_ROOT_ID && std::strcmp(name, "big") == 0) inode = kBig;
  if (parent == FUSE_ROOT_ID && std::strcmp(name, "small") == 0) inode = kSmallDir;
  if (parent == kSmallDir) {
    const std::uint64_t number = std::strtoull(name, nullptr, 10);
    if (number < shape.small_files) inode = kFirstSmall + number;
  }
  if (inode == 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  const fuse_entry_param entry = entry_of(shape, inode);
  fuse_reply_entry(request, &entry);
}

void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  const struct stat attributes = attributes_of(shape_of(request), inode);
  fuse_reply_attr(request, &attributes, kForever);
}

void open_file(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
  file->keep_cache = 1;
  file->noflush = 1;
  fuse_reply_open(request, file);
}

void read_file(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info*) {
  const Shape& shape = shape_of(request);
  const std::uint64_t length = inode == kBig ? shape.big_bytes : shape.small_bytes;
  const std::uint64_t from = std::min(static_cast<std::uint64_t>(offset), length);
  fuse_reply_buf(request, shape.zeros.data(), std::min({size, shape.zeros.size(), length - from}));
}

void readdirplus(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset, fuse_file_info*) {
  const Shape& shape = shape_of(request);
  std::vector<char> buffer(size);
  std::size_t used = 0;
  const auto count = static_cast<off_t>(inode == FUSE_ROOT_ID ? 2 : shape.small_files);
  for (off_t position = offset; position < count; ++position) {
    const fuse_ino_t child = inode == FUSE_ROOT_ID ? kBig + static_cast<fuse_ino_t>(position)
                                                   : kFirstSmall + static_cast<fuse_ino_t>(position);
    const std::string name =
        inode == FUSE_ROOT_ID ? (position == 0 ? "big" : "small") : std::to_string(position);
    const fuse_entry_param entry = entry_of(shape, child);
    const std::size_t need = fuse_add_direntry_plus(request, buffer.data() + used, size - used, name.c_str(),
                                                    &entry, position + 1);
    if (need > size - used) break;
    used += need;
  }
  fuse_reply_buf(request, buffer.data(), used);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: null_fuse MOUNTPOINT BIG_FILE_BYTES SMALL_FILES SMALL_FILE_BYTES\n");
    return 1;
  }
  Shape shape{std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10),
              std::strtoull(argv[4], nullptr, 10)};
  fuse_lowlevel_ops operations{};
  operations.init = init;
  operations.lookup = lookup;
  operations.getattr = getattr;
  operations.open = open_file;
  operations.read = read_file;
  operations.readdirplus = readdirplus;
  char program[] = "null_fuse";
  char* arguments[] = {program, nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, arguments);
  fuse_session* session = fuse_session_new(&args, &operations, sizeof operations, &shape);
  if (session == nullptr || fuse_set_signal_handlers(session) != 0 ||
      fuse_session_mount(session, argv[1]) != 0)
    return 1;
  fuse_loop_config* config = fuse_loop_cfg_create();
  const int status = fuse_session_loop_mt(session, config);
  fuse_loop_cfg_destroy(config);
  fuse_session_unmount(session);
  fuse_remove_signal_handlers(session);
  fuse_session_destroy(session);
  fuse_opt_free_args(&args);
  return status != 0 ? 1 : 0;
}
