// SPDX-License-Identifier: MIT
// What every backend promises, tried on each of them: the contract of transport/backend.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <numeric>
#include <span>
#include <vector>

#include "support/backend_under_test.h"
#include "support/failing_content.h"
#include "support/fake_backend.h"
#include "transport/blocking.h"

namespace restic::transport {
namespace {

using test::numbered_file;

constexpr std::uint64_t kAny = std::uint64_t{1} << 40;

Bytes pattern(std::size_t size, unsigned seed = 1) {
  Bytes bytes(size);
  std::uint32_t state = seed * 2654435761U + 1;
  for (auto& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(state >> 24U);
  }
  return bytes;
}

SharedBytes shared(Bytes bytes) { return std::make_shared<const Bytes>(std::move(bytes)); }

template <class Call>
Errc code_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "the call succeeded";
  return Errc::Io;
}

class BackendContract : public testing::TestWithParam<test::BackendMaker> {
 protected:
  BackendContract() : under_test_(GetParam().make()), backend_(under_test_->backend()) {
    await<Unit>([&](StatusDone done) { backend_.create(std::move(done)); });
  }

  // What a file that was broken off must not be. rclone may leave half of it for the next try.
  bool is_whole(const FileName& file, std::uint64_t size) {
    try {
      return load(backend_, file, kAny).size() >= size;
    } catch (const Error&) {
      return false;
    }
  }

  std::unique_ptr<test::BackendUnderTest> under_test_;
  Backend& backend_;
};

TEST_P(BackendContract, GivesBackWhatWasSavedForEveryType) {
  unsigned number = 1;
  for (FileType type : {FileType::Key, FileType::Lock, FileType::Snapshot, FileType::Index, FileType::Pack}) {
    const FileName file = numbered_file(type, ++number);
    const Bytes content = pattern(1000 + number, number);
    save(backend_, file, shared(content));
    EXPECT_EQ(load(backend_, file, kAny), content) << file.path();
    EXPECT_EQ(load_range(backend_, file, {10, 20}), Bytes(content.begin() + 10, content.begin() + 30));
  }
  save(backend_, {FileType::Config, ""}, shared(pattern(155)));
  EXPECT_EQ(load(backend_, {FileType::Config, ""}, kAny), pattern(155));
}

TEST_P(BackendContract, NeverOverwritesAConfig) {
  const FileName config{FileType::Config, ""};
  save(backend_, config, shared(pattern(10)));
  EXPECT_EQ(code_of([&] { save(backend_, config, shared(pattern(11))); }), Errc::Usage);
  EXPECT_EQ(load(backend_, config, kAny), pattern(10));
}

TEST_P(BackendContract, SavingTheSameContentAgainIsHarmless) {
  const FileName file = numbered_file(FileType::Index, 5);
  save(backend_, file, shared(pattern(5000)));
  save(backend_, file, shared(pattern(5000)));
  EXPECT_EQ(load(backend_, file, kAny), pattern(5000));
  EXPECT_EQ(list(backend_, FileType::Index).size(), 1U);
}

TEST_P(BackendContract, ContentThatCannotBeReadIsNotSaved) {
  save(backend_, {FileType::Config, ""}, shared(pattern(155)));
  for (const std::uint64_t good : {0U, 250'000U}) {
    const FileName file = numbered_file(FileType::Pack, 7);
    const auto content = std::make_shared<test::FailingContent>(300'000, good);
    EXPECT_EQ(code_of([&] {
                await<Unit>([&](StatusDone done) { backend_.save(file, content, std::move(done)); });
              }),
              Errc::Damaged);
    EXPECT_FALSE(is_whole(file, 300'000)) << good;
    save(backend_, file, shared(pattern(5000)));
    EXPECT_EQ(load(backend_, file, kAny), pattern(5000));
    remove(backend_, file);
  }
}

TEST_P(BackendContract, HoldsEmptyFiles) {
  const FileName file = numbered_file(FileType::Snapshot, 1);
  save(backend_, file, shared({}));
  EXPECT_EQ(load(backend_, file, kAny), Bytes());
  EXPECT_EQ(load(backend_, file, 0), Bytes());
}

TEST_P(BackendContract, CarriesBodiesOfManyMegabytes) {
  const FileName file = numbered_file(FileType::Pack, 16);
  const Bytes content = pattern((18U << 20U) + 12345);
  save(backend_, file, shared(content));
  EXPECT_TRUE(load(backend_, file, kAny) == content);
  const std::uint64_t offset = content.size() - (9U << 20U);
  const Bytes tail = load_range(backend_, file, {offset, 9U << 20U});
  EXPECT_TRUE(std::equal(tail.begin(), tail.end(), content.begin() + static_cast<std::ptrdiff_t>(offset)));
}

TEST_P(BackendContract, ARangeCompletesWhereItArrived) {
  const FileName file = numbered_file(FileType::Pack, 17);
  const Bytes content = pattern(700'000);
  save(backend_, file, shared(content));
  std::mutex mutex;  // of what the backend's threads are told
  std::vector<std::size_t> told;
  std::span<std::uint8_t> place;
  bool ended = false;
  const auto arriving = [&](std::span<std::uint8_t> all, std::size_t arrived) {
    const std::lock_guard lock(mutex);
    ended = all.empty();
    if (ended) return;
    place = all;
    told.push_back(arrived);
    EXPECT_TRUE(
        std::equal(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(arrived), content.begin() + 7));
  };
  const auto load_arriving = [&](ByteRange range) {
    return await<Bytes>([&](LoadDone done) {
      backend_.load_range_arriving(file, range, Urgency::Demand, arriving, std::move(done));
    });
  };
  const Bytes bytes = load_arriving({7, 600'000});
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), content.begin() + 7));
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.front(), 0U);
  EXPECT_EQ(told.back(), 600'000U);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(bytes.data(), place.data());
  EXPECT_FALSE(ended);
  told.clear();
  EXPECT_EQ(code_of([&] { load_arriving({7, 700'000}); }), Errc::Damaged);
  EXPECT_TRUE(told.empty() || ended);
}

TEST_P(BackendContract, ListsNamesAndSizesOfOneTypeOnly) {
  save(backend_, numbered_file(FileType::Key, 1), shared(pattern(11)));
  save(backend_, numbered_file(FileType::Lock, 2), shared(pattern(22)));
  save(backend_, numbered_file(FileType::Lock, 3), shared(pattern(33)));
  std::vector<FileInfo> locks = list(backend_, FileType::Lock);
  std::sort(locks.begin(), locks.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  ASSERT_EQ(locks.size(), 2U);
  EXPECT_EQ(locks[0].name, numbered_file(FileType::Lock, 2).name);
  EXPECT_EQ(locks[0].size, 22U);
  EXPECT_EQ(locks[1].size, 33U);
  EXPECT_TRUE(list(backend_, FileType::Snapshot).empty());
}

TEST_P(BackendContract, ListsPacksToo) {
  save(backend_, numbered_file(FileType::Pack, 0xa1), shared(pattern(11)));
  save(backend_, numbered_file(FileType::Pack, 0xb1), shared(pattern(12)));
  EXPECT_EQ(list(backend_, FileType::Pack).size(), 2U);
}

TEST_P(BackendContract, LeavesOutNamesThatAreNoIds) {
  save(backend_, numbered_file(FileType::Lock, 2), shared(pattern(22)));
  for (const char* name : {"short", "UPPER", "with space%2f", "..evil", "0-tmp-1234"}) {
    under_test_->plant_foreign_file(FileType::Lock, name);
  }
  under_test_->plant_foreign_file(FileType::Lock, numbered_file(FileType::Lock, 2).name + "-tmp-77");
  EXPECT_EQ(list(backend_, FileType::Lock).size(), 1U);
}

TEST_P(BackendContract, SaysNotFoundOfWhatIsNotThere) {
  save(backend_, {FileType::Config, ""}, shared(pattern(155)));
  for (FileType type : {FileType::Key, FileType::Lock, FileType::Snapshot, FileType::Index, FileType::Pack}) {
    const FileName file = numbered_file(type, 99);
    EXPECT_EQ(code_of([&] { load(backend_, file, kAny); }), Errc::NotFound) << file.path();
    EXPECT_EQ(code_of([&] { load_range(backend_, file, {0, 1}); }), Errc::NotFound) << file.path();
    EXPECT_EQ(code_of([&] { remove(backend_, file); }), Errc::NotFound) << file.path();
  }
}

TEST_P(BackendContract, SaysNotFoundOfAConfigThatWasNeverMade) {
  EXPECT_EQ(code_of([&] { load(backend_, {FileType::Config, ""}, kAny); }), Errc::NotFound);
}

TEST_P(BackendContract, RemovesFiles) {
  const FileName file = numbered_file(FileType::Lock, 4);
  save(backend_, file, shared(pattern(44)));
  remove(backend_, file);
  EXPECT_TRUE(list(backend_, FileType::Lock).empty());
  EXPECT_EQ(code_of([&] { load(backend_, file, kAny); }), Errc::NotFound);
}

TEST_P(BackendContract, RefusesMoreThanTheLimit) {
  const FileName file = numbered_file(FileType::Key, 4);
  save(backend_, file, shared(pattern(1000)));
  EXPECT_EQ(code_of([&] { load(backend_, file, 999); }), Errc::Damaged);
  EXPECT_EQ(load(backend_, file, 1000).size(), 1000U);
}

TEST_P(BackendContract, ARangePastTheEndIsDamageNotAShortAnswer) {
  const FileName file = numbered_file(FileType::Pack, 4);
  save(backend_, file, shared(pattern(1000)));
  EXPECT_EQ(code_of([&] { load_range(backend_, file, {990, 11}); }), Errc::Damaged);
  EXPECT_EQ(code_of([&] { load_range(backend_, file, {5000, 1}); }), Errc::Damaged);
  EXPECT_EQ(load_range(backend_, file, {990, 10}).size(), 10U);
}

TEST_P(BackendContract, RefusesNamesAndRangesThatMakeNoSense) {
  for (const char* name : {"", "../../etc/passwd", "abc", "config", "/etc/passwd"}) {
    const FileName file{FileType::Pack, name};
    EXPECT_EQ(code_of([&] { load(backend_, file, kAny); }), Errc::Usage) << name;
    EXPECT_EQ(code_of([&] { save(backend_, file, shared(pattern(1))); }), Errc::Usage) << name;
    EXPECT_EQ(code_of([&] { remove(backend_, file); }), Errc::Usage) << name;
  }
  const std::string upper(64, 'A');
  EXPECT_EQ(code_of([&] { load(backend_, {FileType::Key, upper}, kAny); }), Errc::Usage);
  EXPECT_EQ(code_of([&] { load(backend_, {FileType::Config, upper}, kAny); }), Errc::Usage);
  const FileName file = numbered_file(FileType::Pack, 4);
  save(backend_, file, shared(pattern(1000)));
  EXPECT_EQ(code_of([&] { load_range(backend_, file, {0, 0}); }), Errc::Usage);
  EXPECT_EQ(code_of([&] { load_range(backend_, file, {~std::uint64_t{0}, 2}); }), Errc::Usage);
  EXPECT_EQ(code_of([&] { list(backend_, FileType::Config); }), Errc::Usage);
}

TEST_P(BackendContract, ServesHundredsOfRangesAtOnce) {
  const FileName file = numbered_file(FileType::Pack, 0x77);
  const Bytes content = pattern(3U << 20U);
  save(backend_, file, shared(content));
  constexpr unsigned kCalls = 600;
  std::atomic<unsigned> right{0};
  std::atomic<unsigned> left{kCalls};
  std::promise<void> all;
  for (unsigned i = 0; i < kCalls; ++i) {
    const ByteRange range{(i * 7919ULL) % (2U << 20U), 1 + (i * 331ULL) % 60000};
    backend_.load_range(file, range, i % 2 == 0 ? Urgency::Demand : Urgency::Ahead,
                        [&, range](Result<Bytes> got) {
                          const auto from = content.begin() + static_cast<std::ptrdiff_t>(range.offset);
                          if (got.ok() && got.value().size() == range.length &&
                              std::equal(got.value().begin(), got.value().end(), from)) {
                            ++right;
                          }
                          if (--left == 0) all.set_value();
                        });
  }
  all.get_future().wait();
  EXPECT_EQ(right, kCalls);
}

TEST_P(BackendContract, SavesManyFilesAtOnce) {
  constexpr unsigned kFiles = 40;
  std::atomic<unsigned> left{kFiles};
  std::promise<void> all;
  for (unsigned i = 0; i < kFiles; ++i) {
    backend_.save(numbered_file(FileType::Pack, i), in_memory(shared(pattern(300000 + i, i))),
                  [&](Status status) {
                    EXPECT_TRUE(status.ok()) << status.error().what();
                    if (--left == 0) all.set_value();
                  });
  }
  all.get_future().wait();
  for (unsigned i = 0; i < kFiles; ++i) {
    EXPECT_TRUE(load(backend_, numbered_file(FileType::Pack, i), kAny) == pattern(300000 + i, i));
  }
}

TEST_P(BackendContract, ACompletionMayStartTheNextCall) {
  const FileName file = numbered_file(FileType::Index, 3);
  save(backend_, file, shared(pattern(10)));
  std::promise<std::size_t> size;
  backend_.load(file, kAny, Urgency::Demand, [&](Result<Bytes> first) {
    backend_.load(file, kAny, Urgency::Demand, [&, ok = first.ok()](Result<Bytes> second) {
      size.set_value(ok && second.ok() ? second.value().size() : 0);
    });
  });
  EXPECT_EQ(size.get_future().get(), 10U);
}

TEST_P(BackendContract, CompletesEveryCallBeforeItIsGone) {
  const FileName file = numbered_file(FileType::Pack, 8);
  save(backend_, file, shared(pattern(1U << 20U)));
  std::atomic<unsigned> completed{0};
  constexpr unsigned kCalls = 200;
  for (unsigned i = 0; i < kCalls; ++i) {
    backend_.load(file, kAny, Urgency::Ahead, [&](Result<Bytes>) { ++completed; });
  }
  under_test_.reset();
  EXPECT_EQ(completed, kCalls);
}

TEST_P(BackendContract, MakingTheFoldersTwiceIsHarmless) {
  save(backend_, numbered_file(FileType::Key, 4), shared(pattern(1000)));
  await<Unit>([&](StatusDone done) { backend_.create(std::move(done)); });
  EXPECT_EQ(list(backend_, FileType::Key).size(), 1U);
}

TEST_P(BackendContract, SaysWhatItIsAndHowMuchItTakesAtOnce) {
  EXPECT_FALSE(backend_.describe().empty());
  EXPECT_GT(backend_.parallelism(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Every, BackendContract, testing::ValuesIn(test::all_backends()),
                         [](const auto& maker) { return maker.param.name; });

}  // namespace
}  // namespace restic::transport
