// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "repo/id.h"
#include "repo/sha256_lanes.h"

namespace restic::repo {

// Where threads bring what is to be hashed, so that one of them can hash two at once (Sha256Lanes): that
// takes half the processor's time. Who comes while another thread hashes one alone, while another one is on
// its way, or while half of the processors hash, leaves the work and goes, unless enough is left there
// already: then that thread takes two. And who hashes one alone while half of the processors hash and another
// thread is on its way leaves the rest of it to that one. So nobody ever waits, and what is left is always
// taken. Thread-safe, never blocks. Where the processor cannot do two at once everybody hashes his own.
class HashDesk {
 public:
  struct Job {
    ByteView content;                     // must stay as it is until `done`
    std::function<void(const Id&)> done;  // on the thread that hashed it; must not throw
  };

  // `most_left`: how many jobs may be left there. More of them are hashed two at once, and each takes longer.
  // `enough`: so many threads that hash are a match for those that decode; with fewer there may be idle
  // processors.
  explicit HashDesk(std::size_t most_left = 1, std::size_t enough = half_of_the_processors())
      : most_left_(most_left), enough_(enough) {
    left_.reserve(most_left + kSpare);
  }
  static std::size_t half_of_the_processors() {
    return std::max(1U, std::thread::hardware_concurrency() / 2);
  }

  // A visit that has been announced: from here on others may leave work for it. The destructor is the visit
  // of one who brings nothing.
  class Visit {
   public:
    explicit Visit(HashDesk& desk);
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    // Nobody else was about when this visit was announced: other processors may be idle.
    bool is_alone() const { return alone_; }

    // Ends the visit, once: hashes the job and what others have left, or leaves it to them.
    void bring(Job job);

   private:
    HashDesk& desk_;
    bool ended_ = false;
    bool alone_ = false;
  };

  // Somebody who is going to come but cannot say when: nobody leaves work for him.
  class Outsider {
   public:
    explicit Outsider(HashDesk& desk);
    ~Outsider();
    Outsider(const Outsider&) = delete;
    Outsider& operator=(const Outsider&) = delete;
    bool is_alone() const { return alone_; }  // as a visitor

   private:
    HashDesk& desk_;
    bool alone_ = false;
  };

 private:
  // Room for work that is left half done.
  static constexpr std::size_t kSpare = 8;
  struct Work {
    Job job;
    std::optional<Sha256Lanes::Begun> begun;
  };
  void arrive(std::optional<Job> job);
  void hash(std::optional<Work> first, std::optional<Work> second);
  bool nobody_is_about() const { return coming_ == 0 && outside_ == 0 && hashing_ == 0; }

  std::optional<Work> take_left();  // with mutex_ held

  const std::size_t most_left_;
  const bool two_at_once_ = Sha256Lanes::available();
  const std::size_t enough_;
  std::mutex mutex_;
  std::size_t coming_ = 0;  // guarded by mutex_, like the rest
  std::size_t outside_ = 0;
  std::size_t hashing_ = 0;         // threads
  std::size_t with_free_lane_ = 0;  // threads that hash one alone and look here soon
  std::vector<Work> left_;          // within its capacity: to leave something takes no memory
};

}  // namespace restic::repo
