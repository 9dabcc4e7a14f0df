// SPDX-License-Identifier: MIT
#include "support/h2_session_test.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace restic::transport {
namespace {

using namespace std::chrono_literals;

TEST_F(H2SessionTest, AsksAsTheProtocolWants) {
  HttpRequest request;
  request.method = "GET";
  request.path = "/data/ab";
  request.range = ByteRange{100, 50};
  send(std::move(request));
  talk();
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(seen_[0].headers.at(":method"), "GET");
  EXPECT_EQ(seen_[0].headers.at(":path"), "/data/ab");
  EXPECT_EQ(seen_[0].headers.at("range"), "bytes=100-149");
  EXPECT_EQ(seen_[0].headers.at("accept"), "application/vnd.x.restic.rest.v2");
}

TEST_F(H2SessionTest, ReadsAnswersHoweverTheyAreSplit) {
  reply_.headers = {{":status", "206"}, {"content-length", "3000"}, {"content-range", "bytes 0-2999/7777"}};
  reply_.body = numbered_bytes(3000);
  for (const std::size_t piece : {1U, 2U, 7U, 9U, 100U, 4096U}) {
    const Outcome outcome = get("/data/ab");
    talk(piece);
    EXPECT_EQ(response(outcome).status, 206);
    EXPECT_EQ(response(outcome).full_size, 7777U);
    EXPECT_EQ(response(outcome).body, reply_.body) << "in pieces of " << piece;
  }
}

TEST_F(H2SessionTest, ReadsBodiesWhoseLengthIsNotAnnounced) {
  reply_.body = numbered_bytes(100000);
  const Outcome outcome = get("/keys/");
  talk();
  EXPECT_EQ(response(outcome).body, reply_.body);
  EXPECT_EQ(session_.active(), 0U);
}

TEST_F(H2SessionTest, ReadsManyLargeAnswersAtOnce) {
  reply_.body = numbered_bytes(3U << 20U);
  std::vector<Outcome> outcomes;
  for (int i = 0; i < 20; ++i) outcomes.push_back(get("/data/" + std::to_string(i)));
  EXPECT_EQ(session_.active(), 20U);
  talk();
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(response(outcome).body == reply_.body);
}

// A request that counts how often its answer begins.
HttpRequest counting(int& begun) {
  HttpRequest request;
  request.method = "GET";
  request.path = "/data/ab";
  request.body_limit = 1U << 30U;
  request.begins = [&begun] { ++begun; };
  return request;
}

TEST_F(H2SessionTest, AnAnswerBeginsOnceWithItsHeadersLongBeforeItEnds) {
  reply_.headers = {{":status", "206"}, {"content-length", "100000"}};
  reply_.body = numbered_bytes(100000);
  int begun = 0;
  const Outcome outcome = send(counting(begun));
  for (ByteView out = session_.next_output(); !out.empty(); out = session_.next_output()) {
    server_.receive(out);
  }
  EXPECT_EQ(begun, 0);
  const Bytes answer = server_.take_output();
  constexpr std::size_t kFirst = 1000;  // the headers and a little of the body
  ASSERT_GT(answer.size(), 2 * kFirst);
  session_.receive(ByteView(answer).first(kFirst), kStart);
  EXPECT_EQ(begun, 1);
  EXPECT_FALSE(outcome->has_value());
  session_.receive(ByteView(answer).subspan(kFirst), kStart);
  talk();
  EXPECT_EQ(response(outcome).body, reply_.body);
  EXPECT_EQ(begun, 1);
}

TEST_F(H2SessionTest, AnAnswerWithoutTheFileDoesNotBegin) {
  int begun = 0;
  for (const char* status : {"404", "500", "302"}) {
    reply_.headers = {{":status", status}};
    reply_.body = numbered_bytes(100);
    const Outcome outcome = send(counting(begun));
    talk();
    EXPECT_EQ(std::to_string(response(outcome).status), status);
  }
  reply_.never = true;
  const Outcome outcome = send(counting(begun));
  talk();
  session_.check_deadlines(kStart + 10s);
  EXPECT_EQ(code_of(outcome), Errc::Timeout);
  EXPECT_EQ(begun, 0);
}

// What somebody was told who works on the bytes while they come.
struct Told {
  std::vector<std::size_t> arrived;
  std::span<std::uint8_t> place;
  bool ended = false;

  HttpRequest request(std::uint64_t limit) {
    HttpRequest request;
    request.method = "GET";
    request.path = "/data/ab";
    request.body_limit = limit;
    request.arriving = [this](std::span<std::uint8_t> all, std::size_t size) {
      ended = all.empty();
      if (!ended) place = all;
      if (!ended) arrived.push_back(size);
    };
    return request;
  }
};

TEST_F(H2SessionTest, TellsHowFarABodyOfTheExpectedSizeHasCome) {
  reply_.headers = {{":status", "206"}, {"content-length", "100000"}};
  reply_.body = numbered_bytes(100000);
  Told told;
  const Outcome outcome = send(told.request(100000));
  talk(10000);
  EXPECT_EQ(response(outcome).body, reply_.body);
  EXPECT_EQ(response(outcome).body.data(), told.place.data());
  ASSERT_GT(told.arrived.size(), 2U);
  EXPECT_EQ(told.arrived.front(), 0U);
  EXPECT_EQ(told.arrived.back(), 100000U);
  EXPECT_TRUE(std::is_sorted(told.arrived.begin(), told.arrived.end()));
  EXPECT_FALSE(told.ended);
}

TEST_F(H2SessionTest, SaysWhenABodyWillNotComeWhole) {
  reply_.headers = {{":status", "206"}, {"content-length", "100000"}};
  reply_.body = numbered_bytes(50000);
  {
    Told told;
    const Outcome outcome = send(told.request(100000));
    talk();
    EXPECT_EQ(code_of(outcome), Errc::Unavailable);
    EXPECT_TRUE(told.ended);
  }
  reply_.reset_after_body = true;
  {
    Told told;
    const Outcome outcome = send(told.request(100000));
    talk();
    EXPECT_EQ(code_of(outcome), Errc::Unavailable);
    EXPECT_TRUE(told.ended);
  }
  reply_ = {};
  reply_.headers = {{":status", "206"}, {"content-length", "100000"}};
  reply_.body = numbered_bytes(100000);
  {
    Told told;
    const Outcome outcome = send(told.request(100000));
    for (ByteView out = session_.next_output(); !out.empty(); out = session_.next_output())
      server_.receive(out);
    session_.receive(ByteView(server_.take_output()).first(30000), kStart);
    EXPECT_FALSE(told.ended);
    session_.fail_all({Errc::Unavailable, "gone"});
    EXPECT_EQ(code_of(outcome), Errc::Unavailable);
    EXPECT_TRUE(told.ended);
  }
}

TEST_F(H2SessionTest, TellsNothingOfABodyOfAnotherSize) {
  reply_.body = numbered_bytes(1000);
  for (const char* length : {"1000", ""}) {
    reply_.headers = {{":status", "206"}};
    if (*length != '\0') reply_.headers.emplace_back("content-length", length);
    Told told;
    const Outcome outcome = send(told.request(2000));
    talk();
    EXPECT_EQ(response(outcome).body, reply_.body);
    EXPECT_TRUE(told.arrived.empty());
  }
}

TEST_F(H2SessionTest, ABodyThatEndsEarlyIsNoAnswer) {
  reply_.headers = {{":status", "200"}, {"content-length", "3000"}};
  reply_.body = numbered_bytes(2999);
  const Outcome outcome = get("/data/ab");
  talk();
  EXPECT_EQ(code_of(outcome), Errc::Unavailable);
}

TEST_F(H2SessionTest, AStreamThatIsResetIsNoAnswerAndHurtsNoOther) {
  reply_.body = numbered_bytes(500);
  reply_.reset_after_body = true;
  const Outcome first = get("/data/ab");
  talk();
  EXPECT_EQ(code_of(first), Errc::Unavailable);
  reply_.reset_after_body = false;
  const Outcome second = get("/data/ab");
  talk();
  EXPECT_EQ(response(second).body, reply_.body);
}

// As rclone 1.60 says that a file is gone.
TEST_F(H2SessionTest, AnAnswerThatIsNoSuccessNeedsNoWholeBody) {
  reply_.headers = {{":status", "404"}, {"content-length", "3000"}};
  reply_.body = numbered_bytes(10);
  for (const bool reset : {false, true}) {
    reply_.reset_after_body = reset;
    const Outcome outcome = get("/data/ab");
    talk();
    EXPECT_EQ(response(outcome).status, 404);
  }
  EXPECT_FALSE(session_.ended());
  reply_.never = true;
  const Outcome late = get("/data/ab");
  talk();
  session_.check_deadlines(kStart + 10s);
  EXPECT_EQ(code_of(late), Errc::Timeout);
}

TEST_F(H2SessionTest, RefusesAnAnnouncedBodyBeyondTheLimit) {
  reply_.headers = {{":status", "200"}, {"content-length", "1099511627776"}};
  reply_.body = numbered_bytes(5000);
  const Outcome outcome = get("/keys/ab", 4999);
  talk();
  EXPECT_EQ(code_of(outcome), Errc::Damaged);
  EXPECT_FALSE(session_.ended());
}

TEST_F(H2SessionTest, RefusesABodyThatGrowsBeyondTheLimit) {
  reply_.body = numbered_bytes(5000);
  const Outcome outcome = get("/keys/ab", 4999);
  talk();
  EXPECT_EQ(code_of(outcome), Errc::Damaged);
  const Outcome exact = get("/keys/ab", 5000);
  talk();
  EXPECT_EQ(response(exact).body.size(), 5000U);
}

TEST_F(H2SessionTest, ErrorPagesAreCutOffNotRefused) {
  reply_.headers = {{":status", "500"}};
  reply_.body = numbered_bytes(1U << 20U);
  const Outcome outcome = get("/keys/ab", 10);
  talk();
  EXPECT_EQ(response(outcome).status, 500);
  EXPECT_EQ(response(outcome).body.size(), 4096U);
}

TEST_F(H2SessionTest, AFloodOfHeadersEndsTheConnection) {
  for (int i = 0; i < 2000; ++i)
    reply_.headers.emplace_back("x-flood-" + std::to_string(i), std::string(100, 'x'));
  const Outcome outcome = get("/keys/ab");
  talk();
  EXPECT_TRUE(session_.ended());
  session_.fail_all(Error(Errc::Unavailable, session_.why_broken()));
  EXPECT_EQ(code_of(outcome), Errc::Unavailable);
}

TEST_F(H2SessionTest, FinishesWhatIsUnderWayAfterGoAwayAndTakesNoMore) {
  reply_.never = true;
  const Outcome running = get("/data/ab");
  talk();
  server_.go_away();
  talk();
  EXPECT_TRUE(session_.closing());
  const Outcome late = get("/data/cd");
  EXPECT_EQ(code_of(late), Errc::Unavailable);
  session_.fail_all(Error(Errc::Unavailable, "the server ended"));
  EXPECT_EQ(code_of(running), Errc::Unavailable);
}

TEST_F(H2SessionTest, NonsenseEndsTheConnection) {
  const Outcome outcome = get("/data/ab");
  session_.receive(as_bytes("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), kStart);
  while (!session_.next_output().empty()) {
  }
  EXPECT_TRUE(session_.ended());
  session_.fail_all(Error(Errc::Unavailable, session_.why_broken()));
  EXPECT_EQ(code_of(outcome), Errc::Unavailable);
}

TEST_F(H2SessionTest, ARequestWithoutAnAnswerTimesOut) {
  reply_.never = true;
  const Outcome outcome = get("/data/ab");
  talk();
  session_.check_deadlines(kStart + 9s);
  EXPECT_FALSE(outcome->has_value());
  session_.check_deadlines(kStart + 10s);
  EXPECT_EQ(code_of(outcome), Errc::Timeout);
  EXPECT_EQ(session_.active(), 0U);
  reply_.never = false;
  const Outcome next = get("/data/ab");
  talk();
  EXPECT_EQ(response(next).status, 200);
}

TEST_F(H2SessionTest, UploadsArriveWhole) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65536}, std::size_t{5000000}}) {
    const Outcome outcome = post("/data/ab", size);
    talk();
    EXPECT_EQ(response(outcome).status, 200);
    EXPECT_TRUE(seen_.back().body == numbered_bytes(size));
    EXPECT_EQ(seen_.back().headers.at("content-length"), std::to_string(size));
  }
  EXPECT_EQ(session_.active_uploads(), 0U);
}

TEST_F(H2SessionTest, StalledUploadsDoNotStopTheOthers) {
  std::vector<Outcome> stalled;
  for (int i = 0; i < 8; ++i) {
    const std::string path = "/data/stalled" + std::to_string(i);
    server_.stall(path);
    stalled.push_back(post(path, 4U << 20U));
  }
  talk();
  EXPECT_EQ(session_.active_uploads(), 8U);
  const Outcome lock = post("/locks/ab", 300);
  const Outcome pack = post("/data/ab", 2U << 20U);
  talk();
  EXPECT_EQ(response(lock).status, 200);
  EXPECT_EQ(response(pack).status, 200);
  for (const Outcome& outcome : stalled) EXPECT_FALSE(outcome->has_value());
}

TEST_F(H2SessionTest, CountsTheAnswersToItsPings) {
  session_.ping();
  talk();
  EXPECT_EQ(server_.pings(), 1U);
  EXPECT_EQ(session_.pongs(), 1U);
}

TEST_F(H2SessionTest, ACompletionMaySendTheNextRequest) {
  reply_.body = numbered_bytes(10);
  std::optional<std::size_t> second;
  HttpRequest request;
  request.method = "GET";
  request.path = "/first";
  request.body_limit = 100;
  request.deadline = {10s, 60s};
  session_.submit(
      request,
      [&](const Result<HttpResponse>&) {
        session_.submit(
            request, [&](Result<HttpResponse> result) { second = result.value().body.size(); }, kStart);
      },
      kStart);
  talk();
  EXPECT_EQ(second, 10U);
}

}  // namespace
}  // namespace restic::transport
