// SPDX-License-Identifier: MIT
// What becomes of the connection when a change is broken off.
#include <optional>
#include <string>

#include "support/failing_content.h"
#include "support/h2_session_test.h"

namespace restic::transport {
namespace {

using namespace std::chrono_literals;

// What a server that is at work on a change is left with: no word of its end, and a client that goes.
class H2SessionBroken : public H2SessionTest {
 protected:
  void expect_left_at_work() {
    EXPECT_TRUE(session_.closing());
    EXPECT_TRUE(session_.ended());
    EXPECT_NE(session_.why_broken().find("was broken off"), std::string::npos) << session_.why_broken();
    EXPECT_TRUE(session_.next_output().empty());
    EXPECT_EQ(server_.resets(), 0U);
  }
  static HttpRequest unreadable(std::uint64_t good) {
    HttpRequest request;
    request.method = "POST";
    request.path = "/data/bad";
    request.body = std::make_shared<test::FailingContent>(300'000, good);
    return request;
  }
};

class H2SessionUnreadable : public H2SessionBroken, public testing::WithParamInterface<std::uint64_t> {};

TEST_P(H2SessionUnreadable, AnUploadThatCannotBeReadEndsTheConnection) {
  const Outcome bad = send(unreadable(GetParam()));
  server_.stall("/data/ab");
  const Outcome other = post("/data/ab", 1U << 20U);
  talk();
  expect_left_at_work();
  EXPECT_FALSE(bad->has_value()) << "told before the connection's owner knows that it is broken";
  session_.fail_all({Errc::Unavailable, session_.why_broken()});
  EXPECT_EQ(code_of(bad), Errc::Damaged);
  EXPECT_EQ(code_of(other), Errc::Unavailable);
  EXPECT_TRUE(seen_.empty());
}

INSTANTIATE_TEST_SUITE_P(After, H2SessionUnreadable, testing::Values(0U, 1U, 100'000U, 299'999U));

TEST_F(H2SessionBroken, AChangeWithoutAnAnswerInTimeEndsTheConnection) {
  for (const char* method : {"POST", "DELETE"}) {
    H2Session fresh;
    std::optional<Errc> code;
    HttpRequest request;
    request.method = method;
    request.path = "/locks/ab";
    request.deadline = {10s, 60s};
    fresh.submit(
        std::move(request), [&](Result<HttpResponse> result) { code = result.error().code(); }, kStart);
    while (!fresh.next_output().empty()) {
    }
    fresh.check_deadlines(kStart + 9s);
    EXPECT_FALSE(fresh.ended());
    fresh.check_deadlines(kStart + 10s);
    EXPECT_TRUE(fresh.ended()) << method;
    EXPECT_TRUE(fresh.next_output().empty()) << method;
    EXPECT_FALSE(code);
    fresh.fail_all({Errc::Unavailable, fresh.why_broken()});
    EXPECT_EQ(code, Errc::Timeout) << method;
  }
}

TEST_F(H2SessionBroken, AStalledUploadPastItsDeadlineIsNotReset) {
  server_.stall("/data/ab");
  const Outcome pack = post("/data/ab", 1U << 20U);
  talk();
  session_.check_deadlines(kStart + 10s);
  talk();
  expect_left_at_work();
  session_.fail_all({Errc::Unavailable, session_.why_broken()});
  EXPECT_EQ(code_of(pack), Errc::Timeout);
}

TEST_F(H2SessionBroken, AnUploadThatTheServerResetsEndsTheConnection) {
  reply_.reset_after_body = true;
  const Outcome pack = post("/data/ab", 5000);
  talk();
  expect_left_at_work();
  session_.fail_all({Errc::Unavailable, session_.why_broken()});
  EXPECT_EQ(code_of(pack), Errc::Unavailable);
}

TEST_F(H2SessionBroken, AnUploadThatIsRefusedBeforeItIsReadHasItsAnswer) {
  reply_.headers = {{":status", "403"}};
  server_.answer_early("/data/ab");
  server_.stall("/data/ab");
  const Outcome pack = post("/data/ab", 1U << 20U);
  talk();
  EXPECT_EQ(response(pack).status, 403);
  EXPECT_EQ(server_.resets(), 1U);
  EXPECT_FALSE(session_.ended());
  const Outcome next = post("/data/cd", 5000);
  talk();
  EXPECT_EQ(response(next).status, 403);
}

}  // namespace
}  // namespace restic::transport
