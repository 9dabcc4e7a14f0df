// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "base/error.h"
#include "transport/content.h"

namespace restic::test {

// Zeros that turn out to be Damaged after some of them.
class FailingContent final : public transport::Content {
 public:
  FailingContent(std::uint64_t size, std::uint64_t good) : size_(size), good_(good) {}

  std::uint64_t size() const override { return size_; }
  std::unique_ptr<Reader> read() const override { return std::make_unique<Failing>(good_); }

 private:
  class Failing final : public Reader {
   public:
    explicit Failing(std::uint64_t good) : left_(good) {}
    ByteView next(std::size_t most) override {
      if (left_ == 0) throw Error(Errc::Damaged, "these bytes are not what they were");
      piece_.assign(std::min<std::uint64_t>({most, left_, 1000}), 0);
      left_ -= piece_.size();
      return piece_;
    }

   private:
    std::uint64_t left_;
    Bytes piece_;
  };

  const std::uint64_t size_, good_;
};

}  // namespace restic::test
