// SPDX-License-Identifier: MIT
#include "transport/rest_backend.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "support/bytes_of.h"
#include "support/fake_backend.h"
#include "transport/blocking.h"
#include "transport/rest_list.h"

namespace restic::transport {
namespace {

using test::numbered_file;

Bytes text(std::string_view content) {
  const ByteView view = as_bytes(content);
  return {view.begin(), view.end()};
}

// A channel whose answers a test writes down: per method and path a list, of which the last is repeated.
// Answers at once, on the caller's thread. What nobody wrote down is 404.
class ScriptedChannel : public HttpChannel {
 public:
  void answer(const std::string& what, int status, std::string_view body = {}) {
    HttpResponse response;
    response.status = status;
    response.body = text(body);
    answers_[what].push_back(std::move(response));
  }
  void send(HttpRequest request, HttpDone done) override {
    const std::string what = request.method + " " + request.path;
    seen.push_back(what);
    last = request;
    auto found = answers_.find(what);
    HttpResponse response;
    response.status = 404;
    if (found != answers_.end()) {
      response = found->second.front();
      if (found->second.size() > 1) found->second.erase(found->second.begin());
    }
    done(std::move(response));
  }

  std::vector<std::string> seen;
  HttpRequest last;

 private:
  std::map<std::string, std::vector<HttpResponse>> answers_;
};

class RestBackendTest : public testing::Test {
 protected:
  template <class Call>
  static Errc code_of(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "the call succeeded";
    return Errc::Io;
  }
  Errc load_code(const FileName& file) {
    return code_of([&] { load(backend_, file, 1000); });
  }

  ScriptedChannel channel_;
  RestBackend backend_{channel_, RestLimits{}};
  const FileName config_{FileType::Config, ""};
  const FileName key_ = numbered_file(FileType::Key, 1);
  const FileName pack_ = numbered_file(FileType::Pack, 1);
};

TEST_F(RestBackendTest, A404OfAListedFileIsAnOutageNotAbsence) {
  channel_.answer("GET /keys/", 200, "[{\"name\":\"" + key_.name + "\",\"size\":4}]");
  EXPECT_EQ(load_code(key_), Errc::Unavailable);
}

TEST_F(RestBackendTest, A404OfAFileThatAFreshListLacksIsAbsence) {
  channel_.answer("GET /keys/", 200, "[]");
  EXPECT_EQ(load_code(key_), Errc::NotFound);
}

TEST_F(RestBackendTest, A404OfEverythingIsAnOutage) {
  EXPECT_EQ(load_code(key_), Errc::Unavailable);
  EXPECT_EQ(load_code(pack_), Errc::Unavailable);
  EXPECT_EQ(load_code(config_), Errc::Unavailable);
  EXPECT_EQ(code_of([&] { remove(backend_, key_); }), Errc::Unavailable);
  EXPECT_EQ(code_of([&] { list(backend_, FileType::Key); }), Errc::Unavailable);
}

TEST_F(RestBackendTest, AnEmptyListIsBelievedWhileTheConfigIsThere) {
  channel_.answer("GET /locks/", 200, "[]");
  EXPECT_TRUE(list(backend_, FileType::Lock).empty()) << "of a repository that is being made";
  channel_.answer("GET /config", 200, "x");
  load(backend_, config_, 1000);
  channel_.seen.clear();
  EXPECT_TRUE(list(backend_, FileType::Lock).empty());
  EXPECT_EQ(channel_.seen, (std::vector<std::string>{"GET /locks/", "GET /config", "GET /locks/"}));
}

TEST_F(RestBackendTest, AnEmptyListOfARepositoryThatIsGoneIsAnOutage) {
  channel_.answer("GET /config", 200, "x");
  channel_.answer("GET /config", 404);
  channel_.answer("GET /locks/", 200, "[]");
  channel_.answer("GET /snapshots/", 200, "[]");
  load(backend_, config_, 1000);
  EXPECT_EQ(code_of([&] { list(backend_, FileType::Snapshot); }), Errc::Unavailable);
  EXPECT_EQ(load_code(numbered_file(FileType::Lock, 1)), Errc::Unavailable);
}

TEST_F(RestBackendTest, AMissingPackIsConfirmedWithoutListingPacks) {
  channel_.answer("GET /config", 200, "x");
  EXPECT_EQ(load_code(pack_), Errc::NotFound);
  for (const std::string& what : channel_.seen) EXPECT_NE(what, "GET /data/");
}

TEST_F(RestBackendTest, APackThatIsThereTheSecondTimeWasAnOutage) {
  channel_.answer("GET /config", 200, "x");
  channel_.answer("GET /" + pack_.path(), 404);
  channel_.answer("GET /" + pack_.path(), 206, "x");
  EXPECT_EQ(load_code(pack_), Errc::Unavailable);
}

TEST_F(RestBackendTest, AFileThatCannotBeRemovedAndIsInNoListIsGone) {
  const FileName lock = numbered_file(FileType::Lock, 1);
  channel_.answer("DELETE /" + lock.path(), 500);
  channel_.answer("GET /locks/", 200, R"([{"name":")" + lock.name + R"(","size":10}])");
  channel_.answer("GET /locks/", 200, "[]");
  EXPECT_EQ(code_of([&] { remove(backend_, lock); }), Errc::Unavailable);
  EXPECT_EQ(code_of([&] { remove(backend_, lock); }), Errc::NotFound);
}

TEST_F(RestBackendTest, AMissingConfigIsConfirmedByTheKeys) {
  channel_.answer("GET /keys/", 200, "[]");
  EXPECT_EQ(load_code(config_), Errc::NotFound);
}

TEST_F(RestBackendTest, NeverPostsAConfigOverAnotherOrInDoubt) {
  EXPECT_EQ(code_of([&] { save(backend_, config_, std::make_shared<const Bytes>(text("new"))); }),
            Errc::Unavailable);
  channel_.answer("GET /config", 200, "old");
  EXPECT_EQ(code_of([&] { save(backend_, config_, std::make_shared<const Bytes>(text("new"))); }),
            Errc::Usage);
  for (const std::string& what : channel_.seen) EXPECT_EQ(what.find("POST"), std::string::npos);
}

TEST_F(RestBackendTest, AConfigOfEqualBytesIsOneWhoseAnswerWasLost) {
  channel_.answer("GET /config", 200, "mine");
  save(backend_, config_, std::make_shared<const Bytes>(text("mine")));
  EXPECT_EQ(channel_.seen, std::vector<std::string>{"GET /config"});
}

TEST_F(RestBackendTest, ShortRangesAreDamageHoweverTheServerCallsThem) {
  channel_.answer("GET /" + pack_.path(), 206, "12345");
  EXPECT_EQ(load_range(backend_, pack_, {10, 5}), text("12345"));
  EXPECT_EQ(code_of([&] { load_range(backend_, pack_, {10, 6}); }), Errc::Damaged);
}

TEST_F(RestBackendTest, AServerThatIgnoresTheRangeIsNotBelieved) {
  channel_.answer("GET /" + pack_.path(), 200, "12345");
  EXPECT_EQ(code_of([&] { load_range(backend_, pack_, {10, 5}); }), Errc::Unavailable);
}

TEST_F(RestBackendTest, WhoeverWorksOnARangeIsToldBeforeARefusedAnswerGoes) {
  channel_.answer("GET /" + pack_.path(), 206, "12345");
  std::vector<std::string> told;
  const auto arriving = [&](std::span<std::uint8_t> all, std::size_t) {
    told.emplace_back(all.empty() ? "ended" : "began");
  };
  const auto load_arriving = [&](ByteRange range) {
    await<Bytes>([&](LoadDone done) {
      backend_.load_range_arriving(pack_, range, Urgency::Demand, arriving, std::move(done));
    });
  };
  load_arriving({10, 5});
  EXPECT_TRUE(told.empty());  // this channel tells nothing
  EXPECT_EQ(code_of([&] { load_arriving({10, 6}); }), Errc::Damaged);
  EXPECT_EQ(told, std::vector<std::string>{"ended"});
}

TEST_F(RestBackendTest, AppendOnlyServersThatHaveTheFileAlreadyCountAsSaved) {
  const auto content = std::make_shared<const Bytes>(text("same"));
  channel_.answer("POST /" + pack_.path(), 403);
  channel_.answer("GET /" + pack_.path(), 200, "same");
  save(backend_, pack_, content);
  EXPECT_EQ(channel_.seen.size(), 2U);
}

TEST_F(RestBackendTest, ARefusalIsDeniedWhenTheServerHasSomethingElse) {
  channel_.answer("POST /" + pack_.path(), 403);
  channel_.answer("GET /" + pack_.path(), 200, "other");
  try {
    save(backend_, pack_, std::make_shared<const Bytes>(text("same")));
    FAIL() << "it was saved";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Denied);
    EXPECT_NE(std::string(error.what()).find("has other content"), std::string::npos) << error.what();
  }
}

TEST_F(RestBackendTest, StatusCodesBecomeTheRightErrors) {
  const std::map<int, Errc> meanings{{401, Errc::Denied},      {403, Errc::Denied}, {400, Errc::Io},
                                     {416, Errc::Damaged},     {507, Errc::Full},   {500, Errc::Unavailable},
                                     {429, Errc::Unavailable}, {504, Errc::Timeout}};
  unsigned number = 100;
  for (const auto& [status, code] : meanings) {
    const FileName file = numbered_file(FileType::Index, ++number);
    channel_.answer("GET /" + file.path(), status, "why\nnot");
    EXPECT_EQ(load_code(file), code) << status;
  }
}

TEST_F(RestBackendTest, SendsTheBodyAndTheLimitItWasGiven) {
  channel_.answer("POST /" + key_.path(), 200);
  save(backend_, key_, std::make_shared<const Bytes>(text("content")));
  EXPECT_EQ(test::bytes_of(*channel_.last.body), text("content"));
  channel_.answer("GET /" + key_.path(), 200, "content");
  load(backend_, key_, 77);
  EXPECT_EQ(channel_.last.body_limit, 77U);
}

TEST(RestList, KeepsNamesThatAreIdsAndTheirSizes) {
  const std::string good(64, 'a');
  const std::vector<FileInfo> files = parse_rest_list(
      text("[{\"name\":\"" + good + "\",\"size\":18446744073709551615},{\"name\":\"x\",\"size\":1}]\n"));
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files[0].name, good);
  EXPECT_EQ(files[0].size, 18446744073709551615U);
}

TEST(RestList, PassesOverOtherNamesWhateverElseIsSaidOfThem) {
  const std::string good(64, 'a');
  const std::vector<FileInfo> files =
      parse_rest_list(text(R"([{"name":"notes","size":-1},{"name":"../x"},{"name":")" + good +
                           R"(","size":5},{"name":"","size":"?"}])"));
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files[0].size, 5U);
}

TEST(RestList, RefusesWhatIsNoList) {
  const std::string name = R"([{"name":")" + std::string(64, 'a') + "\"";
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("["), std::string("null"), std::string("[1]"),
        name + "}]", std::string("[{\"name\":1,\"size\":1}]"), name + ",\"size\":-1}]", name + ",\"size\":1}",
        name.substr(0, 30), std::string("[] []"), std::string("<html>"), std::string("\xff\xfe")}) {
    try {
      parse_rest_list(text(bad));
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::Damaged) << bad;
    }
  }
}

}  // namespace
}  // namespace restic::transport
