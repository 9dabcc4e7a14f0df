// SPDX-License-Identifier: MIT
#include "transport/retry_backend.h"

#include <algorithm>
#include <utility>

namespace restic::transport {

template <class T>
struct RetryBackend::Call {
  std::function<void(std::function<void(Result<T>)>)> start;
  std::function<void(Result<T>)> done;
  std::chrono::milliseconds give_up_at;
  unsigned failures = 0;
  unsigned damaged = 0;
};

RetryBackend::RetryBackend(std::unique_ptr<Backend> inner, const RetryPolicy& policy,
                           std::unique_ptr<Timer> timer, Log& log)
    : policy_(policy),
      log_(log),
      random_(std::random_device{}()),
      timer_(std::move(timer)),
      inner_(std::move(inner)) {}

RetryBackend::~RetryBackend() {
  stopping_ = true;
  // Waiting calls end here. Those under way end as the inner backend goes, which is the next to happen, and
  // `stopping_` keeps them from coming back. Their completions may still begin new calls: the inner backend
  // cancels these too, so nobody may take it away from under them (as reset() would).
  timer_->cancel_all();
}

std::chrono::milliseconds RetryBackend::wait_before(unsigned failures) {
  const auto doubled = policy_.first_wait * (std::int64_t{1} << std::min(failures - 1, 20U));
  const auto most = std::min<std::chrono::milliseconds>(doubled, policy_.longest_wait);
  std::lock_guard lock(random_mutex_);
  return std::chrono::milliseconds(std::uniform_int_distribution<std::chrono::milliseconds::rep>(
      (most / 2).count(), most.count())(random_));
}

template <class T>
bool RetryBackend::worth_another(Call<T>& call, const Error& error) {
  ++call.failures;
  if (stopping_) return false;
  if (error.code() == Errc::Damaged) return ++call.damaged <= policy_.damaged_attempts;
  return error.code() == Errc::Unavailable || error.code() == Errc::Timeout;
}

template <class T>
void RetryBackend::attempt(std::shared_ptr<Call<T>> call) {
  call->start([this, call](Result<T> result) {
    if (result.ok() || !worth_another(*call, result.error())) return call->done(std::move(result));
    const Error error = result.error();
    if (call->failures == 1 && error.code() != Errc::Timeout)
      call->give_up_at = timer_->now() + policy_.total;
    const auto wait = wait_before(call->failures);
    if (timer_->now() + wait >= call->give_up_at) return call->done(error);
    if (call->failures == 1) log_.warning(std::string(error.what()) + "; trying again");
    timer_->after(wait, [this, call, error](bool cancelled) {
      if (cancelled) return call->done(Error(Errc::Cancelled, error.what()));
      attempt(call);
    });
  });
}

template <class T>
void RetryBackend::begin(std::function<void(std::function<void(Result<T>)>)> start,
                         std::function<void(Result<T>)> done) {
  auto call = std::make_shared<Call<T>>();
  call->start = std::move(start);
  call->done = std::move(done);
  call->give_up_at = timer_->now() + policy_.total;
  attempt(std::move(call));
}

void RetryBackend::load(const FileName& file, std::uint64_t limit, Urgency urgency, LoadDone done) {
  begin<Bytes>(
      [this, file, limit, urgency](LoadDone next) { inner_->load(file, limit, urgency, std::move(next)); },
      std::move(done));
}

void RetryBackend::load_range(const FileName& file, ByteRange range, Urgency urgency, LoadDone done) {
  begin<Bytes>([this, file, range,
                urgency](LoadDone next) { inner_->load_range(file, range, urgency, std::move(next)); },
               std::move(done));
}

void RetryBackend::load_range_arriving(const FileName& file, ByteRange range, Urgency urgency,
                                       const OnArriving& arriving, LoadDone done) {
  begin<Bytes>(
      [this, file, range, urgency, arriving](LoadDone next) {
        inner_->load_range_arriving(file, range, urgency, arriving, std::move(next));
      },
      std::move(done));
}

void RetryBackend::list(FileType type, ListDone done) {
  begin<std::vector<FileInfo>>([this, type](ListDone next) { inner_->list(type, std::move(next)); },
                               std::move(done));
}

void RetryBackend::save(const FileName& file, SharedContent content, StatusDone done) {
  begin<Unit>([this, file, content = std::move(content)](
                  StatusDone next) { inner_->save(file, content, std::move(next)); },
              std::move(done));
}

void RetryBackend::remove(const FileName& file, StatusDone done) {
  // After an attempt whose answer was lost, a file that is gone is what was asked for.
  auto repeated = std::make_shared<bool>(false);
  begin<Unit>(
      [this, file, repeated](StatusDone next) {
        const bool again = std::exchange(*repeated, true);
        inner_->remove(file, [again, next = std::move(next)](const Status& status) {
          const bool gone = again && !status.ok() && status.error().code() == Errc::NotFound;
          next(gone ? Status(Unit{}) : status);
        });
      },
      std::move(done));
}

void RetryBackend::create(StatusDone done) {
  begin<Unit>([this](StatusDone next) { inner_->create(std::move(next)); }, std::move(done));
}

}  // namespace restic::transport
