// SPDX-License-Identifier: MIT
#include "transport/first_look.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "transport/rest_backend.h"

namespace restic::transport {
namespace {

const std::string kPack(64, 'a');

class FirstLookTest : public testing::Test {
 protected:
  void enter(const std::string& who, const std::string& path, bool may_wait = true) {
    look_.enter(path, may_wait, [this, who](bool looks) { went_.push_back(who + (looks ? " looks" : "")); });
  }

  FirstLook look_;
  std::vector<std::string> went_;
};

TEST_F(FirstLookTest, OneLooksAndTheOthersWaitForItsEnd) {
  enter("first", "a");
  enter("second", "a");
  enter("third", "a");
  EXPECT_EQ(went_, (std::vector<std::string>{"first looks"}));
  look_.over("a", true);
  EXPECT_EQ(went_, (std::vector<std::string>{"first looks", "second", "third"}));
  enter("fourth", "a");
  EXPECT_EQ(went_.back(), "fourth");
}

TEST_F(FirstLookTest, FilesHaveNothingToDoWithEachOther) {
  enter("first", "a");
  enter("second", "b");
  EXPECT_EQ(went_, (std::vector<std::string>{"first looks", "second looks"}));
}

TEST_F(FirstLookTest, WhoMayNotWaitLooksToo) {
  enter("first", "a");
  enter("urgent", "a", false);
  enter("waits", "a");
  EXPECT_EQ(went_, (std::vector<std::string>{"first looks", "urgent looks"}));
  look_.over("a", true);
  EXPECT_EQ(went_.back(), "waits");
  look_.over("a", true);
  EXPECT_EQ(went_.size(), 3U);
}

TEST_F(FirstLookTest, AfterALookInVainTheWaitingGoAndTheNextOneLooksAgain) {
  enter("first", "a");
  enter("second", "a");
  look_.over("a", false);
  EXPECT_EQ(went_, (std::vector<std::string>{"first looks", "second"}));
  enter("third", "a");
  EXPECT_EQ(went_.back(), "third looks");
}

TEST_F(FirstLookTest, RemembersTheLatestOfVeryManyFiles) {
  constexpr int kFiles = 40000;
  for (int i = 0; i < kFiles; ++i) {
    enter("x", std::to_string(i));
    look_.over(std::to_string(i), true);
  }
  enter("again", std::to_string(kFiles - 1));
  EXPECT_EQ(went_.back(), "again");
  enter("the first", "0");
  EXPECT_EQ(went_.back(), "the first looks");
}

// Keeps its requests until the test lets answers begin and end.
class SlowChannel : public HttpChannel {
 public:
  void send(HttpRequest request, HttpDone done) override {
    requests.push_back({std::move(request), std::move(done)});
  }
  void end(std::size_t position, int status) {
    HttpResponse response;
    response.status = status;
    if (status == 206) response.body = Bytes(requests[position].first.range->length, 1);
    const HttpDone done = requests[position].second;
    done(std::move(response));
  }
  void fail(std::size_t position, Errc code) {
    const HttpDone done = requests[position].second;
    done(Error(code, "no answer"));
  }
  std::vector<std::pair<HttpRequest, HttpDone>> requests;
};

class FirstLookAtPackTest : public testing::Test {
 protected:
  void load_range(std::uint64_t offset, Urgency urgency) {
    backend_.load_range({FileType::Pack, kPack}, {offset, 10}, urgency, [this](const Result<Bytes>& result) {
      results_.push_back(result.ok() ? "ok" : result.error().what());
    });
  }

  SlowChannel channel_;
  RestBackend backend_{channel_, {}};
  std::vector<std::string> results_;
};

TEST_F(FirstLookAtPackTest, RangesAheadWaitUntilTheFirstAnswerBegins) {
  load_range(0, Urgency::Ahead);
  load_range(100, Urgency::Ahead);
  load_range(200, Urgency::Ahead);
  ASSERT_EQ(channel_.requests.size(), 1U);
  channel_.requests[0].first.begins();
  ASSERT_EQ(channel_.requests.size(), 3U);
  EXPECT_EQ(channel_.requests[2].first.range->offset, 200U);
  for (std::size_t i = 0; i < 3; ++i) channel_.end(i, 206);
  EXPECT_EQ(results_, (std::vector<std::string>{"ok", "ok", "ok"}));
}

TEST_F(FirstLookAtPackTest, NobodyWaitsForAnAnswerThatFails) {
  load_range(0, Urgency::Ahead);
  load_range(100, Urgency::Ahead);
  channel_.end(0, 500);
  ASSERT_EQ(channel_.requests.size(), 2U);
  channel_.end(1, 206);
  EXPECT_EQ(results_.size(), 2U);
  EXPECT_EQ(results_.back(), "ok");
}

TEST_F(FirstLookAtPackTest, NobodyWaitsForAnAnswerThatNeverComes) {
  for (const Errc code : {Errc::Unavailable, Errc::Cancelled, Errc::Timeout}) {
    channel_.requests.clear();
    results_.clear();
    load_range(0, Urgency::Ahead);
    load_range(100, Urgency::Ahead);
    load_range(200, Urgency::Ahead);
    ASSERT_EQ(channel_.requests.size(), 1U) << "the last look was in vain";
    channel_.fail(0, code);
    ASSERT_EQ(channel_.requests.size(), 3U);
    channel_.fail(1, code);
    channel_.end(2, 206);
    EXPECT_EQ(results_, (std::vector<std::string>{"no answer", "no answer", "ok"}));
  }
}

TEST_F(FirstLookAtPackTest, AnAnswerThatBreaksOffIsOverOnce) {
  load_range(0, Urgency::Ahead);
  load_range(100, Urgency::Ahead);
  channel_.requests[0].first.begins();
  load_range(200, Urgency::Ahead);
  EXPECT_EQ(channel_.requests.size(), 3U);
  channel_.fail(0, Errc::Unavailable);
  EXPECT_EQ(channel_.requests.size(), 3U);
  load_range(300, Urgency::Ahead);
  EXPECT_EQ(channel_.requests.size(), 4U) << "the file is known";
  for (std::size_t i = 1; i < 4; ++i) channel_.end(i, 206);
  EXPECT_EQ(results_, (std::vector<std::string>{"no answer", "ok", "ok", "ok"}));
}

TEST_F(FirstLookAtPackTest, WhatSomebodyWaitsForGoesAtOnce) {
  load_range(0, Urgency::Ahead);
  load_range(100, Urgency::Demand);
  EXPECT_EQ(channel_.requests.size(), 2U);
  channel_.end(0, 206);
  channel_.end(1, 206);
  EXPECT_EQ(results_.size(), 2U);
}

}  // namespace
}  // namespace restic::transport
