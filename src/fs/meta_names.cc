// SPDX-License-Identifier: MIT
#include "fs/meta_names.h"

namespace restic::fs {

std::uint32_t MetaNames::number(std::string_view name, std::string_view meaning) {
  std::string key(name);
  key += '\0';
  key += meaning;
  std::lock_guard lock(mutex_);
  const auto found = numbers_.find(key);
  if (found != numbers_.end()) return found->second;
  known_.push_back({std::move(key), name.size()});
  const auto number = static_cast<std::uint32_t>(known_.size() - 1);
  numbers_.emplace(known_.back().key, number);
  return number;
}

std::string MetaNames::name(std::uint32_t number) const {
  std::lock_guard lock(mutex_);
  return known_.at(number).key.substr(0, known_.at(number).name_length);
}

std::string MetaNames::meaning(std::uint32_t number) const {
  std::lock_guard lock(mutex_);
  return known_.at(number).key.substr(known_.at(number).name_length + 1);
}

}  // namespace restic::fs
