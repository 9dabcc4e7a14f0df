// SPDX-License-Identifier: MIT
#include "support/sample_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <random>
#include <stdexcept>

namespace restic::test {

UniqueFd SampleFolder::open() const {
  return UniqueFd(::open(path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

UniqueFd SampleFolder::open(const std::string& file) const {
  return UniqueFd(::open((path() / file).c_str(), O_RDONLY | O_CLOEXEC));
}

void SampleFolder::file(const std::string& name, const std::string& content) const {
  const std::filesystem::path file = path() / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out << content;
  if (!out.flush()) throw std::runtime_error("cannot write " + name);
}

void SampleFolder::noise(const std::string& name, std::size_t size, std::uint64_t seed) const {
  std::mt19937_64 random(seed);
  std::string content((size + 7) / 8 * 8, '\0');
  for (std::size_t at = 0; at < content.size(); at += 8) {
    const std::uint64_t value = random();
    std::memcpy(content.data() + at, &value, sizeof value);
  }
  content.resize(size);
  file(name, content);
}

void SampleFolder::fill() const {
  file("empty", "");
  file("hello", "hello\n");
  file("folder/hello again", "hello\n");
  file("folder/inner/text", std::string(100000, 'x'));
  noise("folder/large", 3U << 20U, 1);
  noise("folder/inner/one chunk", 500U << 10U, 2);
  file(std::string("folder/latin1 \xe4"), "not UTF-8");
  std::filesystem::create_directories(path() / "empty folder" / "in it");
  std::filesystem::create_symlink("folder/hello again", path() / "link");
  std::filesystem::create_hard_link(path() / "hello", path() / "folder" / "hard link");
  if (::mkfifo((path() / "folder" / "fifo").c_str(), 0640) != 0) throw std::runtime_error("no fifo");
  for (int i = 0; i < 30; ++i) {
    file("many/" + std::to_string(i), "small file " + std::to_string(i));
  }
}

}  // namespace restic::test
