// SPDX-License-Identifier: MIT
#include "fs/staging.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <thread>
#include <unordered_set>
#include <utility>

#include "fs/state_files.h"
#include "fs/tray_split.h"

namespace restic::fs {
namespace {

// Ids of the folder `new`: this bit and a number that grows with each showing.
constexpr NodeId kTopBit = NodeId{1} << 62U;

std::size_t node_fd_budget() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 64;
  return std::clamp<std::size_t>(limit.rlim_cur / 4, 64, 16384);
}

// A tray with nothing of the user's in it; what cannot be removed harms nobody.
void remove_unneeded(Tray& tray, Log& log) {
  try {
    tray.finish();
    tray.remove();
  } catch (const Error& error) {
    log.warning(std::string("the next mount clears what is left of a commit: ") + error.what());
  }
}

}  // namespace

// Not done inside an operation: the kernel may hold a folder's lock until that operation is answered.
struct Staging::Shower {
  explicit Shower(Invalidate tell_kernel) : invalidate(std::move(tell_kernel)), thread([this] { run(); }) {}
  ~Shower() { end(); }
  Shower(const Shower&) = delete;
  Shower& operator=(const Shower&) = delete;

  void end() {
    {
      const std::lock_guard lock(mutex);
      ending = true;
      changed.notify_all();
    }
    if (thread.joinable()) thread.join();
  }
  void show() {
    const std::lock_guard lock(mutex);
    ++wanted;
    changed.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex);
    const std::uint64_t target = wanted;
    changed.wait(lock, [&] { return ending || shown >= target; });
  }
  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return ending || shown < wanted; });
      if (ending) return;
      const std::uint64_t target = wanted;
      lock.unlock();
      invalidate(kRootNode, "new");
      lock.lock();
      shown = target;
      changed.notify_all();
    }
  }

  const Invalidate invalidate;
  std::mutex mutex;
  std::condition_variable changed;
  bool ending = false;
  std::uint64_t wanted = 0;
  std::uint64_t shown = 0;
  std::thread thread;
};

Staging::Staging(TrayStore& store, SnapshotMaker& maker, const Clock& clock, Log& log,
                 std::chrono::milliseconds touched_again)
    : store_(store),
      clock_(clock),
      log_(log),
      nodes_(node_fd_budget()),
      closed_files_(nodes_, maker, touched_again),
      last_change_(clock.now().count()),
      tray_(store.take_open()) {
  top_ = make_top(*tray_);
}

Staging::~Staging() = default;

StagedNodePtr Staging::make_top(const Tray& tray) {
  struct stat status {};
  UniqueFd folder(::dup(tray.files()));
  if (!folder || ::fstat(folder.get(), &status) != 0)
    throw system_error("cannot open the state folder", errno);
  return StagedNodes::make_top(std::move(folder), status);
}

Entry Staging::root() {
  Entry entry;
  StagedNodePtr top;
  {
    const std::lock_guard lock(mutex_);
    top = top_;
    entry.node = kBranchBit | kTopBit | generation_;
  }
  const SharedFd fd = nodes_.fd(top);
  if (!fd || ::fstat(fd->get(), &entry.attributes) != 0)
    throw system_error("cannot read the state folder", errno);
  entry.attribute_timeout = kShortly;
  return entry;
}

void Staging::start(Invalidate invalidate) {
  auto shower = std::make_shared<Shower>(std::move(invalidate));
  const std::lock_guard lock(mutex_);
  shower_ = std::move(shower);
}

void Staging::stop() {
  std::shared_ptr<Shower> ending = shower();
  if (ending) ending->end();
  if (commits_ != nullptr) commits_->end_waiting();
  const std::lock_guard lock(mutex_);
  shower_.reset();
}

std::shared_ptr<Staging::Shower> Staging::shower() const {
  const std::lock_guard lock(mutex_);
  return shower_;
}

void Staging::wait_until_shown() const {
  if (const auto current = shower()) current->wait();
}

void Staging::tell_kernel() const {
  if (const auto current = shower()) current->show();
}

void Staging::show_anew() {
  {
    const std::lock_guard lock(mutex_);
    ++generation_;
  }
  tell_kernel();
}

bool Staging::is_top(NodeId id) { return (id & kTopBit) != 0; }

StagedNodePtr Staging::node(NodeId id) const {
  if (!is_top(id)) return nodes_.find(id);
  const std::lock_guard lock(mutex_);
  return top_;
}

bool Staging::empty() const {
  std::vector<UniqueFd> folders;
  {
    const std::lock_guard lock(mutex_);
    for (const Tray* tray : {tray_.get(), next_.get()}) {
      if (tray != nullptr) folders.emplace_back(::dup(tray->files()));
    }
  }
  for (const UniqueFd& files : folders) {
    if (!files) throw system_error("cannot read the state folder", errno);
    if (!holds_nothing(files.get())) return false;
  }
  return true;
}

void Staging::await_closing() {
  constexpr std::chrono::milliseconds kPatience{250};  // also what a file that stays open costs a sync
  closed_files_.await_writers(kPatience);
}

void Staging::prepare_next() {
  if (next_) return;
  std::unique_ptr<Tray> next = store_.make_next(*tray_);
  next_top_ = make_top(*next);
  const std::lock_guard lock(mutex_);
  next_ = std::move(next);
}

void Staging::carry_over_open_files() {
  std::unordered_set<FileKey, FileKeyHash> keys;
  // Also those that have no name any more: they are in no drop, but their writers may go on.
  const std::vector<StagedNodePtr> writers = closed_files_.writers();
  for (const StagedNodePtr& writer : writers) {
    keys.insert(writer->key);
    nodes_.pin(writer);
  }
  taken_over_.insert(taken_over_.end(), writers.begin(), writers.end());
  if (!keys.empty()) move_files(tray_->files(), next_->files(), keys);
  for (const StagedNodePtr& writer : writers) nodes_.change_tray(writer, next_top_);
}

// False: some file could not be put back, so the next tray is still needed.
bool Staging::put_back_open_files() {
  try {
    move_back(next_->files(), tray_->files());
  } catch (const Error& error) {
    log_.error(std::string("files of new/ that are open for writing show again after the next commit: ") +
               error.what());
    return false;
  }
  for (const StagedNodePtr& node : taken_over_) nodes_.change_tray(node, top_);
  taken_over_.clear();
  next_top_ = nullptr;
  std::unique_ptr<Tray> unneeded;
  {
    const std::lock_guard lock(mutex_);
    unneeded = std::move(next_);
  }
  remove_unneeded(*unneeded, log_);
  return true;
}

std::unique_ptr<Tray> Staging::seal() {
  const std::lock_guard one_at_a_time(sealing_);
  return store_.reserve().run([this] { return try_to_seal(); });
}

std::unique_ptr<Tray> Staging::try_to_seal() {
  if (empty()) return nullptr;
  prepare_next();
  const std::shared_ptr<TrayGate> gate = nodes_.gate(top_);
  const std::shared_ptr<TrayGate> next_gate = nodes_.gate(next_top_);
  gate->hold();
  next_gate->hold();
  bool nothing = false;
  try {
    carry_over_open_files();
    // Asked while a failure can still be undone: behind the swap it would leave the drop in no list.
    nothing = tray_->empty();
    tray_->seal();
  } catch (const Error&) {
    // Who came to the next gate meanwhile goes to the one that the file belongs to now.
    put_back_open_files() ? next_gate->seal() : next_gate->reopen();
    gate->reopen();
    throw;
  }
  std::unique_ptr<Tray> sealed;
  {
    const std::lock_guard lock(mutex_);
    sealed = std::exchange(tray_, std::move(next_));
    top_ = std::move(next_top_);
    ++generation_;
  }
  taken_over_.clear();
  closed_files_.drop_waiting();
  next_gate->reopen();
  gate->seal();
  tell_kernel();
  if (!nothing) return sealed;
  remove_unneeded(*sealed, log_);
  return nullptr;
}

StagingChange::StagingChange(Staging& staging, NodeId id) : staging_(staging) {
  do {
    node_ = staging_.node(id);
    if (node_ && enter()) return;
    // A top's id stands for the next tray now.
  } while (node_ && Staging::is_top(id));
}

StagingChange::StagingChange(Staging& staging, StagedNodePtr node)
    : staging_(staging), node_(std::move(node)) {
  enter();
}

bool StagingChange::enter() {
  // Held back by a seal, the file may find itself in the next tray afterwards.
  for (auto gate = staging_.nodes().gate(node_);;) {
    if (gate->enter()) {
      gate_ = std::move(gate);
      return true;
    }
    auto now = staging_.nodes().gate(node_);
    if (now == gate) return false;
    gate = std::move(now);
  }
}

StagingChange::~StagingChange() {
  if (!gate_) return;
  staging_.note_change();
  gate_->leave();
}

}  // namespace restic::fs
