// SPDX-License-Identifier: MIT
#include "fs/committer.h"

#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/as_error.h"
#include "fs/late_sync.h"

namespace restic::fs {
namespace {

constexpr std::size_t kDurableShown = 8;
constexpr std::chrono::minutes kLocksRetry{5};

std::string xattr_of(int folder, const char* name) {
  std::array<char, 4096> value{};
  const ssize_t length = ::fgetxattr(folder, name, value.data(), value.size());
  return length > 0 ? std::string(value.data(), static_cast<std::size_t>(length)) : std::string();
}

std::vector<std::string> split_tags(const std::string& list) {
  std::vector<std::string> tags;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    std::string tag = list.substr(begin, end - begin);
    const std::size_t first = tag.find_first_not_of(" \t\n");
    if (first != std::string::npos) {
      tags.push_back(tag.substr(first, tag.find_last_not_of(" \t\n") - first + 1));
    }
    begin = end + 1;
  }
  return tags;
}

void reset(repo::ArchiveProgress& progress) {
  for (std::atomic<std::uint64_t>* count :
       {&progress.files_done, &progress.files_total, &progress.bytes_done, &progress.bytes_total,
        &progress.bytes_uploaded, &progress.files_changed_while_read, &progress.files_unreadable}) {
    *count = 0;
  }
}

}  // namespace

Committer::Committer(Staging& staging, TrayStore& store, SnapshotMaker& maker, CommitterOptions options,
                     const Clock& clock, Log& log, std::function<void(const repo::Snapshot&)> published)
    : staging_(staging),
      store_(store),
      maker_(maker),
      options_(std::move(options)),
      clock_(clock),
      log_(log),
      published_(std::move(published)) {
  for (std::unique_ptr<Tray>& tray : store.take_sealed()) {
    // With a kept snapshot all of it is in the repository, whatever became of the files.
    if (!tray->empty() || tray->kept_snapshot()) {
      add(std::move(tray));
      continue;
    }
    try {
      tray->finish();
      tray->remove();
    } catch (const Error& error) {
      log_.warning(std::string("cannot remove an empty drop: ") + error.what());
    }
  }
  staging.connect(*this);
}

Committer::~Committer() {
  stop_.request_stop();
  {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  end_waiting();
  keep_for_the_next_mount();
}

void Committer::start() {
  if (!pending_.empty())
    log_.info("resuming drops that an earlier mount left: " + std::to_string(pending_.size()));
  thread_ = std::thread([this] { run(); });
}

Committer::DropPtr Committer::add(std::unique_ptr<Tray> tray) {
  auto drop = std::make_shared<Drop>();
  drop->name = tray->digits();
  drop->tray = std::move(tray);
  drop->added = drop->due = clock_.now();
  pending_.push_back(drop);
  return drop;
}

Committer::DropPtr Committer::cut() {
  std::unique_ptr<Tray> tray = staging_.seal();
  if (!tray) return nullptr;
  const std::lock_guard lock(mutex_);
  return add(std::move(tray));
}

// ---- requests

Committer::Ticket Committer::commit(std::function<void(const Status&)> done) {
  std::optional<Error> failure;
  staging_.await_closing();
  std::unique_ptr<Tray> tray;
  std::unique_lock cutting(cutting_);
  try {
    tray = staging_.seal();
  } catch (const Error& error) {
    log_.error(std::string("cannot commit: ") + error.what());
    failure = error;
    sync_disk();
  }
  std::unique_lock lock(mutex_);
  cutting.unlock();  // the list cannot be seen before the drop is in it
  const Ticket ticket = ++last_ticket_;
  leaving_ = false;
  // Whoever asks wants it now, whatever failed before.
  for (const DropPtr& drop : pending_) {
    drop->due = std::min(drop->due, clock_.now());
    if (drop->state == State::Failed) drop->state = State::Waiting;
  }
  const bool shown_anew = tray != nullptr;
  if (tray) add(std::move(tray));
  // Also what was cut before: whoever asks has copied that, too.
  const std::set<DropPtr> wanted(pending_.begin(), pending_.end());
  changed_.notify_all();
  const bool ends = nobody_waits_;
  if (ends) failure = Error(Errc::Cancelled, "the mount ends");
  if (!failure && !wanted.empty()) {
    if (!shown_anew) staging_.show_anew();
    waiters_.emplace(ticket, Waiter{wanted, std::move(done)});
    return ticket;
  }
  ++answering_;
  lock.unlock();
  if (ends) sync_disk();
  done(failure ? Status(*failure) : Status(Unit{}));
  answered();
  return ticket;
}

void Committer::end_waiting() {
  std::map<Ticket, Waiter> waiting;
  {
    const std::lock_guard lock(mutex_);
    nobody_waits_ = true;
    waiting = std::exchange(waiters_, {});
  }
  if (!waiting.empty()) sync_disk();
  for (auto& [ticket, waiter] : waiting) {
    waiter.done(Error(Errc::Cancelled, "the mount ends; the drop is not lost"));
  }
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return answering_ == 0; });
}

void Committer::answered() {
  const std::lock_guard lock(mutex_);
  --answering_;
  changed_.notify_all();
}

bool Committer::stop_waiting(Ticket ticket) {
  Waiter gone;  // its closure is destroyed after the lock is given back
  const std::lock_guard lock(mutex_);
  const auto found = waiters_.find(ticket);
  if (found == waiters_.end()) return false;
  gone = std::move(found->second);
  waiters_.erase(found);
  return true;
}

void Committer::leave() {
  const std::lock_guard lock(mutex_);
  leaving_ = true;
  if (finishing_) stop_.request_stop();
  changed_.notify_all();
}

bool Committer::finish(bool unmounted) {
  bool all = true;
  std::unique_lock lock(mutex_);
  if (!leaving_) {
    lock.unlock();
    if (unmounted) staging_.end_writers();
    try {
      const std::lock_guard cutting(cutting_);
      cut();
    } catch (const Error& error) {
      log_.error(std::string("what is in new/ is kept there for the next mount: ") + error.what());
      all = false;
    }
    lock.lock();
  }
  for (const DropPtr& drop : pending_) drop->due = clock_.now();
  finishing_ = true;
  if (leaving_) stop_.request_stop();
  changed_.notify_all();
  lock.unlock();
  if (thread_.joinable()) thread_.join();
  keep_for_the_next_mount();
  if (staging_.any_writer()) log_.warning("files that were being written stay in new/ for the next mount");
  lock.lock();
  if (!pending_.empty()) {
    log_.warning("drops kept for the next mount in " + store_.path() + ": " +
                 std::to_string(pending_.size()));
  }
  return all && pending_.empty();
}

void Committer::keep_for_the_next_mount() {
  const auto try_to = [this](const auto& sync) {
    try {
      sync();
    } catch (const Error& error) {
      log_.error(std::string("what is kept for the next mount is not safe from a power cut: ") +
                 error.what());
    }
  };
  for (const DropPtr& drop : pending_) {
    try_to([&] {
      if (!drop->tray->on_disk()) drop->tray->sync_files();
    });
  }
  try_to([this] {
    if (!staging_.empty()) store_.sync_at_the_end();
  });
}

void Committer::sync_disk() const {
  try {
    store_.sync();
  } catch (const Error& error) {
    log_.error(std::string("what is in new/ is not safe from a power cut: ") + error.what());
  }
}

// ---- the thread

void Committer::run() {
  remove_left_over_locks();
  std::unique_lock lock(mutex_);
  while (!stop_.stop_requested()) {
    if (const DropPtr drop = next_due()) {
      drop->state = State::Working;
      drop->began = clock_.now();
      if (finishing_) drop->tried_last = true;
      lock.unlock();
      try {
        succeed(drop, archive(*drop));
      } catch (const Error& error) {
        fail(drop, error);
      } catch (const std::exception& error) {
        fail(drop, Error(Errc::Io, error.what()));
      }
      lock.lock();
    } else if (finishing_) {
      return;
    } else {
      wait(lock);
    }
  }
}

Committer::DropPtr Committer::next_due() const {
  const Clock::Instant now = clock_.now();
  for (const DropPtr& drop : pending_) {
    if (finishing_ ? !drop->tried_last : drop->due <= now) return drop;
  }
  return nullptr;
}

// Until something changes or is due, and looks after what is due by time: quiet, and locks still to be
// removed.
void Committer::wait(std::unique_lock<std::mutex>& lock) {
  const Clock::Instant now = clock_.now();
  Clock::Instant until = now + std::chrono::hours(1);
  for (const DropPtr& drop : pending_) until = std::min(until, drop->due);
  if (locks_due_.count() != 0) until = std::min(until, locks_due_);
  if (options_.after) {
    // Nothing that begins after this moment can be due before the next look.
    const Clock::Instant quiet = staging_.last_change() + *options_.after;
    until = std::min(until, quiet > now ? quiet : now + *options_.after);
    if (quiet <= now && !staging_.any_writer()) {
      lock.unlock();
      const bool found = commit_if_quiet();
      lock.lock();
      if (found) return;
    }
  }
  if (locks_due_.count() != 0 && locks_due_ <= now) {
    lock.unlock();
    remove_left_over_locks();
    lock.lock();
    return;
  }
  changed_.wait_for(lock, until - now);
}

// True: look again at once.
bool Committer::commit_if_quiet() {
  try {
    if (staging_.empty()) return false;
    const std::lock_guard cutting(cutting_);
    return cut() != nullptr;
  } catch (const Error& error) {
    log_.error(std::string("cannot commit: ") + error.what());
    return false;
  }
}

repo::Snapshot Committer::archive(Drop& drop) {
  Tray& tray = *drop.tray;
  reset(drop.progress);
  repo::ArchiveOptions options = options_.snapshot;
  const std::string host = xattr_of(tray.files(), "user.restic.host");
  if (!host.empty()) options.hostname = host;
  const std::vector<std::string> tags = split_tags(xattr_of(tray.files(), "user.restic.tags"));
  if (!tags.empty()) options.tags = tags;
  options.before_snapshot = [this, &drop, &tray](const repo::Id&, ByteView stored) {
    store_.reserve().run([&] {
      tray.expect_whole(drop.progress.files_unreadable == 0 && !drop.disk_failed);
      tray.keep_snapshot(stored);
    });
  };
  if (std::optional<Bytes> kept = tray.kept_snapshot()) options.earlier_snapshot = std::move(*kept);
  std::optional<LateSync> late(std::in_place, [this] { return sync_what_takes_long(); });
  options.when_durable = [&](const repo::Snapshot& snapshot) {
    late.reset();
    store_.reserve().run([&] {
      if (drop.disk_failed) tray.expect_whole(false);
      tray.finish();
    });
    publish(snapshot);
  };
  return maker_.archive(tray.files(), options, drop.progress, stop_.get_token());
}

// Called while a drop is archived, by another thread than the committer's. It touches that drop's tray only
// as a tray allows; the other drops stay in the list and their trays are left alone until this thread has
// ended.
std::chrono::milliseconds Committer::sync_what_takes_long() {
  DropPtr late;
  {
    const std::lock_guard lock(mutex_);
    const auto next =
        std::ranges::find_if(pending_, [](const DropPtr& drop) { return !drop->tried_to_sync; });
    if (next == pending_.end()) return options_.sync_after;
    const Clock::Instant due = (*next)->added + options_.sync_after;
    const Clock::Instant now = clock_.now();
    if (now < due) return std::chrono::ceil<std::chrono::milliseconds>(due - now);
    late = *next;
    late->tried_to_sync = true;
  }
  try {
    if (!late->tray->on_disk()) late->tray->sync_files();
  } catch (const Error& error) {
    late->disk_failed = true;  // what is read of its files from now on may not be what was written
    log_.warning("drop " + late->name + " is not safe from a power cut: " + error.what());
  }
  return std::chrono::milliseconds(0);
}

void Committer::publish(const repo::Snapshot& snapshot) const {
  if (!published_) return;
  try {
    published_(snapshot);
  } catch (const std::exception& problem) {
    const Error error = as_error(problem);
    const bool unmounted = error.code() == Errc::Cancelled;
    log_.write(unmounted ? LogLevel::Debug : LogLevel::Warning,
               "the new snapshot " + snapshot.id.short_hex() + " will show later: " + error.what());
  }
}

void Committer::succeed(const DropPtr& drop, const repo::Snapshot& snapshot) {
  log_.info("drop " + drop->name + " became snapshot " + snapshot.id.short_hex());
  {
    const std::lock_guard lock(mutex_);
    drop->state = State::Durable;
    drop->ended = clock_.now();
    drop->error.clear();
    drop->snapshot = snapshot.id;
    std::erase(pending_, drop);
    durable_.push_back(drop);
    if (durable_.size() > kDurableShown) durable_.erase(durable_.begin());
  }
  answer(drop, Unit{});
  try {
    const std::unique_ptr<Tray> tray = std::exchange(drop->tray, nullptr);
    if (tray->state() == Tray::State::Partial) {
      log_.warning("snapshot " + snapshot.id.short_hex() + " does not hold all of drop " + drop->name +
                   ", which is kept in " + tray->path());
    } else {
      tray->remove();
    }
    store_.reserve().restore();
  } catch (const Error& error) {
    log_.warning(std::string("the next mount clears what is left of a finished drop: ") + error.what());
  }
}

void Committer::fail(const DropPtr& drop, Error error) {
  try {
    if (!drop->tray->on_disk()) {
      drop->tray->sync_files();
    } else {
      sync_disk();  // other drops that the same caller waits for
    }
  } catch (const Error& worse) {
    drop->disk_failed = true;
    error =
        Error(error.code(), std::string(error.what()) + "; nor is it safe from a power cut: " + worse.what());
  }
  if (error.code() != Errc::Cancelled) log_.error("drop " + drop->name + " is kept: " + error.what());
  {
    const std::lock_guard lock(mutex_);
    drop->state = State::Failed;
    drop->ended = clock_.now();
    drop->error = error.what();
    drop->retry_after = std::clamp(drop->retry_after * 2, options_.first_retry, options_.last_retry);
    drop->due = drop->ended + drop->retry_after;
  }
  answer(drop, error);
}

void Committer::answer(const DropPtr& drop, const Status& result) {
  std::vector<Waiter> answers;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = waiters_.begin(); at != waiters_.end();) {
      Waiter& waiter = at->second;
      const bool waited = waiter.drops.erase(drop) > 0;
      if (waited && waiter.result.ok()) waiter.result = result;
      if (waited && waiter.drops.empty()) {
        answers.push_back(std::move(waiter));
        at = waiters_.erase(at);
      } else {
        ++at;
      }
    }
    if (answers.empty()) return;
    ++answering_;
  }
  // Who waited finds `new/` empty.
  staging_.wait_until_shown();
  for (const Waiter& waiter : answers) waiter.done(waiter.result);
  answered();
}

void Committer::remove_left_over_locks() {
  Clock::Instant again{0};
  try {
    const std::vector<repo::Id> names = store_.left_over_locks();
    if (!names.empty()) {
      const std::vector<repo::Id> remaining = maker_.remove_left_over_locks(names);
      store_.keep_left_over_locks(remaining);
      log_.info("removed locks that an earlier mount left: " +
                std::to_string(names.size() - remaining.size()));
      if (!remaining.empty()) again = clock_.now() + kLocksRetry;
    }
  } catch (const Error& error) {
    log_.warning(std::string("cannot remove the locks that an earlier mount left: ") + error.what());
    again = clock_.now() + kLocksRetry;
  }
  const std::lock_guard lock(mutex_);
  locks_due_ = again;
}

}  // namespace restic::fs
