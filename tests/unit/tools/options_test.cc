// SPDX-License-Identifier: MIT
#include "tools/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/error.h"

namespace restic::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr std::uint32_t kRoot = 0;
constexpr std::uint32_t kSomebody = 1000;

Options read(const std::vector<std::string>& args, const std::map<std::string, std::string>& variables = {},
             std::uint32_t uid = kSomebody) {
  return read_options(
      parse_command_line(args),
      [&](const std::string& name) -> std::optional<std::string> {
        const auto at = variables.find(name);
        if (at == variables.end()) return std::nullopt;
        return at->second;
      },
      uid);
}

// Options of "/repo /mnt" with this -o list.
Options with(const std::string& list) { return read({"/repo", "/mnt", "-o", list}); }

std::string complaint(const std::vector<std::string>& args) {
  try {
    read(args);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::Usage);
    return error.what();
  }
  return "";
}

std::string complaint_about(const std::string& list) { return complaint({"/repo", "/mnt", "-o", list}); }

TEST(Options, HaveTheDocumentedDefaults) {
  const Options options = read({"rclone:b2:prod/a", "/mnt"});
  EXPECT_EQ(options.repository, "rclone:b2:prod/a");
  EXPECT_EQ(options.location.kind, transport::Location::Kind::Rclone);
  EXPECT_EQ(options.mountpoint, "/mnt");
  EXPECT_FALSE(options.read_only);
  EXPECT_EQ(options.vfs.refresh, 60s);
  EXPECT_EQ(options.memory_bytes, 128U << 20U);
  EXPECT_EQ(options.commit.after, 30s);
}

TEST(Options, TakeTheRepositoryFromTheEnvironment) {
  const Options options = read({"/mnt"}, {{"RESTIC_REPOSITORY", "rclone:b2:x"}, {"RESTIC_KEY_HINT", "ab12"}});
  EXPECT_EQ(options.repository, "rclone:b2:x");
  EXPECT_EQ(options.mountpoint, "/mnt");
  EXPECT_EQ(options.key_hint, "ab12");
}

TEST(Options, MakeLocalPathsAbsolute) {
  const std::string here = std::filesystem::current_path().string();
  const Options options =
      read({"local:repo/", "mnt/.", "-o", "cache-dir=c,password-file=~/pw,rclone-program=rclone"},
           {{"HOME", "/home/u"}});
  EXPECT_EQ(options.location.where, here + "/repo");
  EXPECT_EQ(options.mountpoint, here + "/mnt");
  EXPECT_EQ(options.cache_dir, here + "/c");
  EXPECT_EQ(options.password.file, "/home/u/pw");
  EXPECT_EQ(options.backend.rclone_program, "rclone") << "looked up in PATH";
}

TEST(Options, KeepCacheAndStateWhereTheSystemExpectsThem) {
  const Options user = read({"/r", "/m"}, {{"HOME", "/home/u"}});
  EXPECT_EQ(user.cache_dir, "/home/u/.cache/mount.restic");
  EXPECT_EQ(user.state_dir, "/home/u/.local/state/mount.restic");
  const Options xdg =
      read({"/r", "/m"}, {{"HOME", "/h"}, {"XDG_CACHE_HOME", "/c"}, {"XDG_STATE_HOME", "/s"}});
  EXPECT_EQ(xdg.cache_dir, "/c/mount.restic");
  EXPECT_EQ(xdg.state_dir, "/s/mount.restic");
  const Options root = read({"/r", "/m"}, {{"HOME", "/root"}}, kRoot);
  EXPECT_EQ(root.cache_dir, "/var/cache/mount.restic");
  EXPECT_EQ(root.state_dir, "/var/lib/mount.restic");
  const Options nobody = read({"/r", "/m"});
  EXPECT_EQ(nobody.cache_dir, "");
}

TEST(Options, SelectionsAndTemplatesAreCollected) {
  const Options options =
      with(R"(host=a,host=b,tag=x\,y,path=/etc,path-template=by/%h,path-template=%i,time-template=%Y)");
  EXPECT_THAT(options.vfs.hosts, ElementsAre("a", "b"));
  EXPECT_THAT(options.vfs.tags, ElementsAre("x,y"));
  EXPECT_THAT(options.vfs.paths, ElementsAre("/etc"));
  EXPECT_THAT(options.vfs.path_templates, ElementsAre("by/%h", "%i"));
  EXPECT_EQ(options.vfs.time_template, "%Y");
}

TEST(Options, ResourcesAndOwnersAreRead) {
  const Options options =
      with("cache-size=2G,memory=64M,connections=8,uid=7,gid=8,umask=077,refresh=5m,lock");
  EXPECT_EQ(options.cache_bytes, 2ULL << 30U);
  EXPECT_EQ(options.memory_bytes, 64U << 20U);
  EXPECT_EQ(options.backend.connections, 8U);
  EXPECT_EQ(options.vfs.uid, 7U);
  EXPECT_EQ(options.vfs.gid, 8U);
  EXPECT_EQ(options.vfs.umask, 077U);
  EXPECT_EQ(options.vfs.refresh, 5min);
  EXPECT_TRUE(options.lock);
}

TEST(Options, NoCacheMeansNoFolder) { EXPECT_EQ(with("cache-dir=/c,no-cache").cache_dir, ""); }

TEST(Options, QuietIsAtLeastATenthOfASecond) {
  EXPECT_EQ(with("commit-after=100ms").commit.after, 100ms);
  for (const char* value : {"99ms", "0"}) {
    EXPECT_THROW(with(std::string("commit-after=") + value), Error) << value;
  }
}

TEST(Options, TheWritePathHasItsOwn) {
  const Options options =
      with("init,commit-after=never,commit-host=h,commit-tag=a,commit-tag=b,commit-partial,state-dir=/s");
  EXPECT_TRUE(options.init);
  EXPECT_EQ(options.commit.after, std::nullopt);
  EXPECT_EQ(options.commit.host, "h");
  EXPECT_THAT(options.commit.tags, ElementsAre("a", "b"));
  EXPECT_TRUE(options.commit.partial);
  EXPECT_EQ(options.state_dir, "/s");
}

TEST(Options, TheLastOfContradictingFlagsWins) {
  EXPECT_TRUE(with("rw,ro").read_only);
  EXPECT_FALSE(with("ro,rw").read_only);
  EXPECT_TRUE(read({"-r", "/repo", "/mnt"}).read_only);
}

TEST(Options, GenericOnesAreAcceptedAndThoseForTheKernelKept) {
  const Options options =
      with("rw,noexec,nosuid,nodev,user=u,noauto,nofail,_netdev,x-systemd.automount,comment=a b,relatime");
  EXPECT_THAT(options.mount_flags, ElementsAre("noexec", "nosuid", "nodev"));
}

TEST(Options, UnknownOnesAreRefusedByNameWithTheNearest) {
  EXPECT_THAT(complaint_about("pasword-file=/x"),
              HasSubstr("unknown option pasword-file; did you mean password-file?"));
  EXPECT_THAT(complaint_about("frobnicate"), HasSubstr("unknown option frobnicate; mount.restic -h"));
  EXPECT_THAT(complaint_about("remount"), HasSubstr("option remount is not possible"));
}

TEST(Options, UnknownOnesAreIgnoredWhenAskedTo) {
  EXPECT_THAT(read({"-s", "/repo", "/mnt", "-o", "frobnicate=1"}).mount_flags, IsEmpty());
}

TEST(Options, BadValuesAreNamed) {
  EXPECT_THAT(complaint_about("memory=lots"),
              HasSubstr("option memory: 'lots' does not start with a whole number"));
  EXPECT_THAT(complaint_about("refresh=5x"), HasSubstr("option refresh: '5x' has no known unit"));
  EXPECT_THAT(complaint_about("connections=0"),
              HasSubstr("option connections: '0' is not a whole number from 1"));
  EXPECT_THAT(complaint_about("host"), HasSubstr("option host needs a value; write host=HOST"));
  EXPECT_THAT(complaint_about("lock=yes"), HasSubstr("option lock takes no value"));
  EXPECT_THAT(complaint_about("allow_other,allow_root"), HasSubstr("exclude each other"));
}

TEST(Options, PlacesMustBeGiven) {
  EXPECT_THAT(complaint({}), HasSubstr("no mountpoint was given"));
  EXPECT_THAT(complaint({"/mnt"}), HasSubstr("no repository was given"));
  EXPECT_THAT(complaint({"/a", "/b", "/c"}), HasSubstr("one argument too many, '/c'"));
  EXPECT_THAT(complaint({"/a", ""}), HasSubstr("mountpoint is empty"));
}

TEST(Options, HaveAHelpSentenceEach) {
  for (const OptionHelp& option : option_help()) EXPECT_FALSE(option.help.empty()) << option.name;
}

}  // namespace
}  // namespace restic::tools
