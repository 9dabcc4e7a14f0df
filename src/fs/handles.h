// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "fs/file_reader.h"
#include "fs/node_table.h"
#include "fs/vfs.h"

namespace restic::fs {

// An open folder: its entries as they were when it was opened.
class OpenDir {
 public:
  OpenDir(NodeId node, const NodeRef& ref) : node_(node), ref_(ref) {}
  virtual ~OpenDir() = default;
  OpenDir(const OpenDir&) = delete;
  OpenDir& operator=(const OpenDir&) = delete;

  const NodeRef& ref() const { return ref_; }
  // Whether it can never change.
  virtual bool is_final() const = 0;
  // As Vfs::read_dir, without "." and "..": the entries from number `from` on. An entry's cookie is
  // cookie_behind(its number).
  virtual void list(std::uint64_t from, bool plus, const Vfs::DirSink& sink) = 0;

 protected:
  static constexpr std::uint64_t cookie_behind(std::uint64_t number) { return number + 3; }
  NodeId node() const { return node_; }

 private:
  const NodeId node_;
  const NodeRef ref_;
};

// An open file: of a snapshot, or a text made when it was opened.
class OpenFile {
 public:
  explicit OpenFile(std::unique_ptr<FileReader> from) : reader(std::move(from)) {}
  explicit OpenFile(std::string content) : text(std::move(content)) {}

  const std::unique_ptr<FileReader> reader;  // null: the text
  const std::string text;
};

}  // namespace restic::fs
