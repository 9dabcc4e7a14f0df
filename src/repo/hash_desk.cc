// SPDX-License-Identifier: MIT
#include "repo/hash_desk.h"

#include <array>
#include <cstdint>
#include <utility>

namespace restic::repo {
namespace {

// How much is hashed alone before the next look for something to hash beside it.
constexpr std::size_t kAlone = 64U << 10U;
constexpr std::size_t kTogether = SIZE_MAX;
// Who has hashed so many goes on with his own work, if somebody else is there to take what is left.
constexpr std::size_t kMostJobs = 4;

}  // namespace

HashDesk::Visit::Visit(HashDesk& desk) : desk_(desk) {
  const std::lock_guard lock(desk_.mutex_);
  alone_ = desk_.nobody_is_about();
  ++desk_.coming_;
}

HashDesk::Visit::~Visit() {
  if (!ended_) desk_.arrive(std::nullopt);
}

void HashDesk::Visit::bring(Job job) {
  ended_ = true;
  desk_.arrive(std::move(job));
}

HashDesk::Outsider::Outsider(HashDesk& desk) : desk_(desk) {
  const std::lock_guard lock(desk_.mutex_);
  alone_ = desk_.nobody_is_about();
  ++desk_.outside_;
}

HashDesk::Outsider::~Outsider() {
  const std::lock_guard lock(desk_.mutex_);
  --desk_.outside_;
}

// The last job's `done` may be what somebody waits for who takes the desk away: nothing here is touched after
// it.
void HashDesk::arrive(std::optional<Job> job) {
  std::optional<Work> own;
  if (job) own = Work{std::move(*job), std::nullopt};
  std::optional<Work> left;
  {
    const std::lock_guard lock(mutex_);
    --coming_;
    const bool others = two_at_once_ && (coming_ > 0 || with_free_lane_ > 0 || hashing_ >= enough_);
    if (own && left_.size() < most_left_ && others) {
      left_.push_back(std::move(*own));
      return;
    }
    left = take_left();
    if (!own) {
      own = std::move(left);
      left = take_left();
    }
    if (!own) return;
    ++hashing_;
    if (!left && two_at_once_) ++with_free_lane_;
  }
  if (two_at_once_) return hash(std::move(own), std::move(left));
  const Id id = Id::of(own->job.content);
  {
    const std::lock_guard lock(mutex_);
    --hashing_;
  }
  own->job.done(id);
}

// With mutex_ held.
std::optional<HashDesk::Work> HashDesk::take_left() {
  if (left_.empty()) return std::nullopt;
  std::optional<Work> work(std::move(left_.front()));
  left_.erase(left_.begin());
  return work;
}

void HashDesk::hash(std::optional<Work> first, std::optional<Work> second) {
  Sha256Lanes lanes;
  std::array<std::optional<Job>, Sha256Lanes::kLanes> jobs;
  std::size_t busy = 0;
  std::size_t started = 0;
  const auto start = [&](std::size_t lane, std::optional<Work> work) {
    if (!work) return;
    if (work->begun) {
      lanes.go_on(lane, *work->begun);
    } else {
      lanes.start(lane, work->job.content);
    }
    jobs[lane] = std::move(work->job);
    ++busy;
    ++started;
  };
  start(0, std::move(first));
  start(1, std::move(second));
  bool invites = busy == 1;
  while (busy != 0) {
    lanes.run(busy == 1 ? kAlone : kTogether);
    std::array<std::optional<Job>, Sha256Lanes::kLanes> done;
    std::array<Id, Sha256Lanes::kLanes> ids;
    for (std::size_t lane = 0; lane < jobs.size(); ++lane) {
      if (!lanes.done(lane)) continue;
      done[lane] = std::exchange(jobs[lane], std::nullopt);
      ids[lane] = lanes.take(lane);
      --busy;
    }
    {
      const std::lock_guard lock(mutex_);
      with_free_lane_ -= invites ? 1 : 0;
      for (std::size_t lane = 0; lane < jobs.size(); ++lane) {
        const bool takes_more = started < kMostJobs || (coming_ == 0 && with_free_lane_ == 0);
        if (!jobs[lane] && takes_more) start(lane, take_left());
      }
      const bool may_leave = coming_ > 0 && hashing_ >= enough_ && left_.size() < left_.capacity();
      if (busy == 1 && may_leave) {
        const std::size_t lane = jobs[0] ? 0 : 1;
        if (lanes.left(lane) > kAlone) {
          left_.push_back({std::move(*std::exchange(jobs[lane], std::nullopt)), lanes.put_aside(lane)});
          busy = 0;
        }
      }
      invites = busy == 1 && started < kMostJobs;
      with_free_lane_ += invites ? 1 : 0;
      if (busy == 0) --hashing_;
    }
    for (std::size_t lane = 0; lane < done.size(); ++lane) {
      if (done[lane]) done[lane]->done(ids[lane]);
    }
  }
}

}  // namespace restic::repo
