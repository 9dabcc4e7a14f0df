// SPDX-License-Identifier: MIT
#include "support/fake_backend.h"

#include <algorithm>
#include <cstdio>

#include "support/bytes_of.h"
#include "support/delayed_calls.h"
#include "transport/file_names.h"

namespace restic::test {

using transport::ByteRange;
using transport::FileInfo;
using transport::FileName;
using transport::FileType;
using transport::Urgency;

FakeBackend::FakeBackend() : delayed_(std::make_unique<DelayedCalls>()) {}
FakeBackend::~FakeBackend() = default;

void FakeBackend::set_hook(Hook hook) {
  std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void FakeBackend::release_hung() { delayed_->release(); }
void FakeBackend::wait_for_hung(std::size_t count) const { delayed_->wait_for_parked(count); }

std::vector<Call> FakeBackend::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

std::size_t FakeBackend::count(Call::Kind kind) const {
  std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(calls_.begin(), calls_.end(), [&](const Call& call) { return call.kind == kind; }));
}

std::size_t FakeBackend::count(Call::Kind kind, FileType type) const {
  std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(calls_.begin(), calls_.end(), [&](const Call& call) {
    return call.kind == kind && call.file.type == type;
  }));
}

void FakeBackend::forget_calls() {
  std::lock_guard lock(mutex_);
  calls_.clear();
}

void FakeBackend::put(const FileName& file, Bytes content) {
  std::lock_guard lock(mutex_);
  files_[{file.type, file.name}] = std::move(content);
}

void FakeBackend::drop(const FileName& file) {
  std::lock_guard lock(mutex_);
  files_.erase({file.type, file.name});
}

std::optional<Bytes> FakeBackend::get(const FileName& file) const {
  std::lock_guard lock(mutex_);
  const auto found = files_.find({file.type, file.name});
  if (found == files_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> FakeBackend::names(FileType type) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> found;
  for (const auto& [key, content] : files_) {
    if (key.first == type) found.push_back(key.second);
  }
  return found;
}

Fault FakeBackend::record(const Call& call) {
  Hook hook;
  {
    std::lock_guard lock(mutex_);
    calls_.push_back(call);
    hook = hook_;
  }
  return hook ? hook(call) : Fault{};
}

template <class T>
void FakeBackend::run(const Call& call, std::function<Result<T>(const Fault&)> work,
                      std::function<void(Result<T>)> done) {
  const std::size_t releases = delayed_->releases();
  const Fault fault = record(call);
  DelayedCalls::Action action = [fault, work = std::move(work), done = std::move(done)](bool cancelled) {
    if (cancelled) return done(Error(Errc::Cancelled, "the fake backend is going away"));
    if (fault.fail) return done(*fault.fail);
    Result<T> result = work(fault);
    done(fault.fail_after ? Result<T>(*fault.fail_after) : std::move(result));
  };
  if (fault.hang) {
    delayed_->park(std::move(action), releases);
  } else {
    delayed_->after(fault.delay, std::move(action));
  }
}

Result<Bytes> FakeBackend::read(const FileName& file, const Fault& fault,
                                const std::function<Result<Bytes>(const Bytes&)>& cut) const {
  if (auto problem = transport::name_problem(file)) return *problem;
  std::optional<Bytes> content = get(file);
  if (!content) return Error(Errc::NotFound, file.path() + " does not exist");
  if (fault.truncate && *fault.truncate < content->size()) content->resize(*fault.truncate);
  Result<Bytes> piece = cut(*content);
  if (!fault.corrupt || !piece.ok()) return piece;
  Bytes bytes = piece.take();
  if (!bytes.empty()) bytes[bytes.size() / 2] ^= 1U;
  return bytes;
}

void FakeBackend::load(const FileName& file, std::uint64_t limit, Urgency urgency, transport::LoadDone done) {
  const auto cut = [file, limit](const Bytes& content) -> Result<Bytes> {
    if (content.size() > limit) return Error(Errc::Damaged, file.path() + " is larger than it may be");
    return content;
  };
  run<Bytes>(
      {Call::Kind::Load, file, {0, limit}, urgency},
      [this, file, cut](const Fault& fault) { return read(file, fault, cut); }, std::move(done));
}

void FakeBackend::load_range(const FileName& file, ByteRange range, Urgency urgency,
                             transport::LoadDone done) {
  load_range_arriving(file, range, urgency, nullptr, std::move(done));
}

void FakeBackend::load_range_arriving(const FileName& file, ByteRange range, Urgency urgency,
                                      const transport::OnArriving& arriving, transport::LoadDone done) {
  const auto cut = [file, range](const Bytes& content) -> Result<Bytes> {
    if (auto problem = transport::range_problem(file, range)) return *problem;
    if (range.offset + range.length > content.size()) {
      return Error(Errc::Damaged, file.path() + " ends too early");
    }
    const auto from = content.begin() + static_cast<std::ptrdiff_t>(range.offset);
    return Bytes(from, from + static_cast<std::ptrdiff_t>(range.length));
  };
  const transport::OnArriving& told = arriving;
  run<Bytes>(
      {Call::Kind::LoadRange, file, range, urgency, told != nullptr},
      [this, file, cut, told](const Fault& fault) {
        Result<Bytes> result = read(file, fault, cut);
        if (!result.ok() || !told) return result;
        Bytes bytes = result.take();
        told(bytes, 0);
        for (std::size_t arrived = 0; arrived < bytes.size();) {
          arrived = std::min(arrived + kPart, bytes.size());
          told(bytes, arrived);
        }
        if (fault.fail_after) told({}, 0);
        return Result<Bytes>(std::move(bytes));
      },
      std::move(done));
}

void FakeBackend::list(FileType type, transport::ListDone done) {
  run<std::vector<FileInfo>>(
      {Call::Kind::List, {type, ""}, {}, Urgency::Demand},
      [this, type](const Fault&) -> Result<std::vector<FileInfo>> {
        if (type == FileType::Config) return Error(Errc::Usage, "config is not a folder");
        std::lock_guard lock(mutex_);
        std::vector<FileInfo> infos;
        for (const auto& [key, content] : files_) {
          if (key.first == type && transport::is_storage_name(key.second)) {
            infos.push_back({key.second, content.size()});
          }
        }
        return infos;
      },
      std::move(done));
}

void FakeBackend::save(const FileName& file, transport::SharedContent content, transport::StatusDone done) {
  run<Unit>(
      {Call::Kind::Save, file, {0, content->size()}, Urgency::Demand},
      [this, file, content](const Fault&) -> Status {
        if (auto problem = transport::name_problem(file)) return *problem;
        Bytes bytes;
        try {
          bytes = bytes_of(*content);
        } catch (const Error& problem) {
          return problem;
        }
        std::lock_guard lock(mutex_);
        if (file.type == FileType::Config && files_.count({file.type, file.name}) != 0) {
          return Error(Errc::Usage, "there is a config already");
        }
        files_[{file.type, file.name}] = std::move(bytes);
        return Unit{};
      },
      std::move(done));
}

void FakeBackend::remove(const FileName& file, transport::StatusDone done) {
  run<Unit>(
      {Call::Kind::Remove, file, {}, Urgency::Demand},
      [this, file](const Fault&) -> Status {
        if (auto problem = transport::name_problem(file)) return *problem;
        std::lock_guard lock(mutex_);
        if (files_.erase({file.type, file.name}) != 0) return Unit{};
        return Error(Errc::NotFound, file.path() + " does not exist");
      },
      std::move(done));
}

void FakeBackend::create(transport::StatusDone done) {
  run<Unit>(
      {Call::Kind::Create, {FileType::Config, ""}, {}, Urgency::Demand},
      [](const Fault&) -> Status { return Unit{}; }, std::move(done));
}

FileName numbered_file(FileType type, unsigned number) {
  char digits[65];
  std::snprintf(digits, sizeof digits, "%064x", number);
  return {type, digits};
}

}  // namespace restic::test
