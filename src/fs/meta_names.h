// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace restic::fs {

// Numbers for what is shown above the snapshots, so that NodeTable can hold it as it holds entries of trees.
// The number stands for a name and its meaning together (which snapshot, which link target): when a name
// changes its meaning it becomes another node, and what the kernel keeps of the old one stays true. Numbers
// are never given back: their count is that of the snapshots ever shown. Thread-safe.
class MetaNames {
 public:
  std::uint32_t number(std::string_view name, std::string_view meaning);
  std::string name(std::uint32_t number) const;
  std::string meaning(std::uint32_t number) const;

 private:
  struct Known {
    std::string key;  // name, NUL, meaning
    std::size_t name_length;
  };
  mutable std::mutex mutex_;
  std::deque<Known> known_;
  std::unordered_map<std::string_view, std::uint32_t> numbers_;  // keys point into known_
};

}  // namespace restic::fs
