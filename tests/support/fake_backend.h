// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "transport/backend.h"

namespace restic::test {

class DelayedCalls;

// One call that a FakeBackend received, in the order of arrival.
struct Call {
  enum class Kind { Load, LoadRange, List, Save, Remove, Create };
  Kind kind;
  transport::FileName file;  // for List only its type counts; for Create nothing
  transport::ByteRange
      range;  // LoadRange: as asked; Load: length is the limit; Save: length is the content's
  transport::Urgency urgency;
  bool arriving = false;  // somebody works on the bytes while they come
};

// What happens to one call. The default lets it succeed at once.
struct Fault {
  std::optional<Error> fail;            // completes with this, and changes nothing in the store
  std::optional<Error> fail_after;      // does the work, then claims to have failed: a lost answer
  std::chrono::milliseconds delay{0};   // completes that much later
  std::optional<std::size_t> truncate;  // loads see only that many bytes of the file
  bool corrupt = false;                 // loads deliver the bytes with one bit flipped in the middle
  bool hang = false;                    // completes at release_hung(), or Cancelled at destruction
};

inline Fault fail_with(Errc code) {
  return {.fail = Error(code, "injected"), .fail_after = {}, .truncate = {}};
}

// A Backend in memory that records every call and fails, delays, truncates, corrupts or hangs the ones its
// hook picks. It keeps the Backend contract to the letter otherwise: completions run on one thread of its
// own, in the order in which they fall due. Thread-safe. It copies what is saved and what is loaded, so that
// aliasing bugs show.
//
//   backend.set_hook([](const Call& call) -> Fault {
//     if (call.kind == Call::Kind::Save) return {.fail = Error(Errc::Full, "disk full"), .fail_after = {},
//     .truncate = {}}; return {};
//   });
class FakeBackend : public transport::Backend {
 public:
  // Called once for each call on the caller's thread, before anything is done; it may block to order a test.
  using Hook = std::function<Fault(const Call&)>;

  FakeBackend();
  ~FakeBackend() override;

  void set_hook(Hook hook);
  // Lets every hung call go on as if it had not been held.
  void release_hung();
  // Blocks until that many calls hang.
  void wait_for_hung(std::size_t count) const;

  std::vector<Call> calls() const;
  std::size_t count(Call::Kind kind) const;
  std::size_t count(Call::Kind kind, transport::FileType type) const;
  void forget_calls();

  // The store itself, without a record: for arranging and looking. `put` replaces; `drop` may miss.
  void put(const transport::FileName& file, Bytes content);
  void drop(const transport::FileName& file);
  std::optional<Bytes> get(const transport::FileName& file) const;
  std::vector<std::string> names(transport::FileType type) const;

  void load(const transport::FileName& file, std::uint64_t limit, transport::Urgency urgency,
            transport::LoadDone done) override;
  void load_range(const transport::FileName& file, transport::ByteRange range, transport::Urgency urgency,
                  transport::LoadDone done) override;
  // Where threads are lent the bytes come in parts of kPart; also those of a call that fails afterwards.
  static constexpr std::size_t kPart = 50'000;
  void load_range_arriving(const transport::FileName& file, transport::ByteRange range,
                           transport::Urgency urgency, const transport::OnArriving& arriving,
                           transport::LoadDone done) override;
  void list(transport::FileType type, transport::ListDone done) override;
  void save(const transport::FileName& file, transport::SharedContent content,
            transport::StatusDone done) override;
  void remove(const transport::FileName& file, transport::StatusDone done) override;
  void create(transport::StatusDone done) override;
  unsigned parallelism() const override { return 8; }
  std::string describe() const override { return "fake backend"; }

 private:
  using Key = std::pair<transport::FileType, std::string>;

  Fault record(const Call& call);
  template <class T>
  void run(const Call& call, std::function<Result<T>(const Fault&)> work,
           std::function<void(Result<T>)> done);
  Result<Bytes> read(const transport::FileName& file, const Fault& fault,
                     const std::function<Result<Bytes>(const Bytes&)>& cut) const;

  mutable std::mutex mutex_;
  Hook hook_;
  std::vector<Call> calls_;
  std::map<Key, Bytes> files_;
  std::unique_ptr<DelayedCalls> delayed_;
};

// A valid file name made of a number: for tests that do not care which.
transport::FileName numbered_file(transport::FileType type, unsigned number);

}  // namespace restic::test
