// SPDX-License-Identifier: MIT
#include "support/fake_backend.h"

#include <gtest/gtest.h>

#include <future>

#include "transport/blocking.h"

namespace restic::test {
namespace {

using transport::FileType;
using transport::Urgency;

Bytes text(std::string_view content) {
  const ByteView view = as_bytes(content);
  return {view.begin(), view.end()};
}

TEST(FakeBackend, RecordsWhatWasAskedInOrder) {
  FakeBackend backend;
  const auto pack = numbered_file(FileType::Pack, 7);
  backend.put(pack, text("0123456789"));
  EXPECT_EQ(transport::load_range(backend, pack, {2, 3}), text("234"));
  transport::remove(backend, pack);
  const std::vector<Call> calls = backend.calls();
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].kind, Call::Kind::LoadRange);
  EXPECT_EQ(calls[0].range.offset, 2U);
  EXPECT_EQ(calls[1].kind, Call::Kind::Remove);
  EXPECT_EQ(calls[1].file.name, pack.name);
}

TEST(FakeBackend, FailsTruncatesAndCorruptsTheCallsItsHookPicks) {
  FakeBackend backend;
  const auto file = numbered_file(FileType::Index, 1);
  backend.put(file, text("abcd"));
  backend.set_hook([](const Call&) {
    return Fault{.fail = Error(Errc::Unavailable, "gone"), .fail_after = {}, .truncate = {}};
  });
  EXPECT_THROW(transport::load(backend, file, 10), Error);
  backend.set_hook([](const Call&) { return Fault{.fail = {}, .fail_after = {}, .truncate = 2}; });
  EXPECT_EQ(transport::load(backend, file, 10), text("ab"));
  backend.set_hook(
      [](const Call&) { return Fault{.fail = {}, .fail_after = {}, .truncate = {}, .corrupt = true}; });
  EXPECT_NE(transport::load(backend, file, 10), text("abcd"));
  backend.set_hook({});
  EXPECT_EQ(transport::load(backend, file, 10), text("abcd"));
}

TEST(FakeBackend, ALostAnswerStillDidItsWork) {
  FakeBackend backend;
  const auto file = numbered_file(FileType::Lock, 1);
  Fault lost;
  lost.fail_after = Error(Errc::Timeout, "no answer");
  backend.set_hook([&](const Call&) { return lost; });
  EXPECT_THROW(transport::save(backend, file, std::make_shared<const Bytes>(text("x"))), Error);
  EXPECT_EQ(backend.get(file), text("x"));
}

TEST(FakeBackend, HungCallsGoOnWhenReleasedAndAreCancelledAtTheEnd) {
  std::promise<Errc> second;
  {
    FakeBackend backend;
    const auto file = numbered_file(FileType::Key, 1);
    backend.put(file, text("k"));
    Fault hung;
    hung.hang = true;
    backend.set_hook([&](const Call&) { return hung; });
    std::promise<Bytes> first;
    backend.load(file, 10, Urgency::Demand, [&](Result<Bytes> result) { first.set_value(result.take()); });
    backend.wait_for_hung(1);
    backend.release_hung();
    EXPECT_EQ(first.get_future().get(), text("k"));
    backend.load(file, 10, Urgency::Demand,
                 [&](Result<Bytes> result) { second.set_value(result.error().code()); });
  }
  EXPECT_EQ(second.get_future().get(), Errc::Cancelled);
}

}  // namespace
}  // namespace restic::test
