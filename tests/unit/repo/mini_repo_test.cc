// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "repo/compression.h"
#include "repo/config_file.h"
#include "repo/key_file.h"
#include "repo/node_name.h"
#include "repo/node_type.h"
#include "repo/pack_header.h"
#include "repo/sealed_file.h"
#include "repo/snapshot.h"
#include "repo/tree.h"
#include "support/vectors.h"

namespace restic::repo {
namespace {

using test::Json;
using test::MiniRepo;
using transport::FileName;
using transport::FileType;

KeyFile key_file_of(const MiniRepo& repo) {
  const std::string path = "keys/" + repo.facts["key_file"].text();
  return decode_key_file(repo.file(path), path);
}

// From the master key that the vector tells, without scrypt's second.
Crypto open_crypto(const MiniRepo& repo) {
  const Json expected = repo.facts["master_key"];
  RawKey key;
  std::ranges::copy(expected["encrypt"].base64(), key.encrypt.begin());
  std::ranges::copy(expected["mac"]["k"].base64(), key.mac_k.begin());
  std::ranges::copy(expected["mac"]["r"].base64(), key.mac_r.begin());
  return Crypto(key);
}

std::string pack_path(const std::string& id) { return "data/" + id.substr(0, 2) + "/" + id; }

std::vector<PackedBlob> open_header(const Crypto& crypto, ByteView pack) {
  const std::size_t tail = pack_tail_size(pack.last(kPackTrailerSize), pack.size(), "pack");
  return decode_pack_tail(crypto, pack.last(tail), pack.size(), "pack");
}

Bytes open_blob(const Crypto& crypto, ByteView pack, const PackedBlob& blob) {
  Bytes plain = crypto.open(pack.subspan(blob.offset, blob.length), "blob");
  if (blob.uncompressed_length == 0) return plain;
  Bytes decompressed(blob.uncompressed_length);
  EXPECT_TRUE(decompress_into(plain, decompressed));
  return decompressed;
}

std::map<Id, Bytes> all_blobs(const MiniRepo& repo, const Crypto& crypto) {
  std::map<Id, Bytes> blobs;
  for (const Json& facts : repo.facts["packs"].items()) {
    const Bytes pack = repo.file(pack_path(facts["id"].text()));
    for (const PackedBlob& blob : open_header(crypto, pack))
      blobs[blob.key.id] = open_blob(crypto, pack, blob);
  }
  return blobs;
}

// A listing line for each node below a tree, by path, names as a tree quotes them.
using Listing = std::map<std::string, Node>;
void list_tree(const std::map<Id, Bytes>& blobs, const Id& id, const std::string& path,
               std::vector<TreePtr>& trees, Listing& listing) {
  const TreePtr tree = decode_tree(blobs.at(id));
  trees.push_back(tree);
  for (std::size_t i = 0; i < tree->size(); ++i) {
    const Node node = tree->node(i);
    std::string name = path + "/";
    append_quoted(name, node.name);
    listing[name] = node;
    if (node.subtree) list_tree(blobs, *node.subtree, name, trees, listing);
  }
}

void expect_node(const Node& node, const Json& expected, const std::map<Id, Bytes>& blobs) {
  EXPECT_EQ(spelling_of(node.type), expected["type"].text());
  EXPECT_EQ(go_mode_of(node.type, node.mode), expected["mode"].number());
  EXPECT_EQ(node.link_target, expected.has("linktarget") ? expected["linktarget"].text() : "");
  if (expected.has("links")) {
    EXPECT_EQ(node.links, expected["links"].number());
  }
  if (expected.has("sha256")) {
    Bytes content;
    for (const Id& id : node.content) content.insert(content.end(), blobs.at(id).begin(), blobs.at(id).end());
    EXPECT_EQ(content.size(), expected["size"].number());
    EXPECT_EQ(node.size, content.size());
    EXPECT_EQ(Id::of(content), expected["sha256"].id());
  }
  const std::vector<Json> xattrs = expected.has("xattr") ? expected["xattr"].items() : std::vector<Json>{};
  ASSERT_EQ(node.xattrs.size(), xattrs.size());
  for (std::size_t i = 0; i < xattrs.size(); ++i) {
    EXPECT_EQ(node.xattrs[i].name, xattrs[i]["name"].text());
    EXPECT_EQ(node.xattrs[i].value, as_text(xattrs[i]["value"].base64()));
  }
}

TEST(MiniRepo, ThePasswordOpensTheKeyFile) {
  for (const MiniRepo& repo : MiniRepo::all()) {
    const KeyFile key_file = key_file_of(repo);
    const std::optional<SecretKey> key = open_key_file(key_file, repo.password);
    ASSERT_TRUE(key) << repo.written_by;
    const Json expected = repo.facts["master_key"];
    EXPECT_TRUE(std::ranges::equal((*key)->encrypt, expected["encrypt"].base64()));
    EXPECT_TRUE(std::ranges::equal((*key)->mac_k, expected["mac"]["k"].base64()));
    EXPECT_TRUE(std::ranges::equal((*key)->mac_r, expected["mac"]["r"].base64()));
    EXPECT_FALSE(open_key_file(key_file, repo.password + " "));
  }
}

TEST(MiniRepo, ConfigSnapshotAndIndexesOpen) {
  for (const MiniRepo& repo : MiniRepo::all()) {
    const Crypto crypto = open_crypto(repo);
    const auto open = [&](FileType type, const std::string& name) {
      const FileName file{type, name};
      return open_sealed_file(crypto, repo.format_version, file, repo.file(file.path()));
    };
    EXPECT_EQ(as_text(open(FileType::Config, "")), repo.facts["config_plaintext"].text());
    EXPECT_EQ(as_text(open(FileType::Snapshot, repo.facts["snapshot_id"].text())),
              repo.facts["snapshot_plaintext"].text());
    for (const Json& index : repo.facts["indexes"].items()) {
      EXPECT_EQ(as_text(open(FileType::Index, index["id"].text())), index["plaintext"].text());
    }
  }
}

TEST(MiniRepo, TheConfigIsReadAndWrittenAlike) {
  for (const MiniRepo& repo : MiniRepo::all()) {
    const std::string plain = repo.facts["config_plaintext"].text();
    const Config config = decode_config(as_bytes(plain));
    EXPECT_EQ(config.version, repo.format_version);
    EXPECT_EQ(encode_config(config), plain);
  }
}

TEST(MiniRepo, EveryPackHeaderIsReadAsResticDoes) {
  for (const MiniRepo& repo : MiniRepo::all()) {
    const Crypto crypto = open_crypto(repo);
    for (const Json& facts : repo.facts["packs"].items()) {
      const Bytes pack = repo.file(pack_path(facts["id"].text()));
      EXPECT_EQ(Id::of(pack), facts["id"].id());
      const std::vector<PackedBlob> blobs = open_header(crypto, pack);
      const std::vector<Json> expected = facts["header_entries"].items();
      ASSERT_EQ(blobs.size(), expected.size());
      for (std::size_t i = 0; i < blobs.size(); ++i) {
        EXPECT_EQ(blobs[i].key.id, expected[i]["id"].id());
        EXPECT_EQ(blobs[i].key.type == BlobType::Tree, (expected[i]["type_byte"].number() & 1U) != 0);
        EXPECT_EQ(blobs[i].offset, expected[i]["offset"].number());
        EXPECT_EQ(blobs[i].length, expected[i]["length"].number());
        EXPECT_EQ(blobs[i].uncompressed_length, expected[i]["uncompressed_length"].number());
      }
    }
  }
}

TEST(MiniRepo, EveryBlobHasThePlaintextItsIdPromises) {
  for (const MiniRepo& repo : MiniRepo::all()) {
    const std::map<Id, Bytes> blobs = all_blobs(repo, open_crypto(repo));
    EXPECT_FALSE(blobs.empty());
    for (const auto& [id, plain] : blobs) EXPECT_EQ(Id::of(plain), id);
  }
}

TEST(MiniRepo, TheTreesHaveTheExpectedEntries) {
  for (const MiniRepo& repo : MiniRepo::all()) {
    SCOPED_TRACE(repo.written_by);
    const std::map<Id, Bytes> blobs = all_blobs(repo, open_crypto(repo));
    const std::string plain = repo.facts["snapshot_plaintext"].text();
    const Snapshot snapshot = decode_snapshot(repo.facts["snapshot_id"].id(), as_bytes(plain));
    std::vector<TreePtr> trees;
    Listing listing;
    list_tree(blobs, snapshot.tree, "", trees, listing);
    const std::vector<Json> expected = repo.facts["expected_entries_quoted_names"].items();
    EXPECT_EQ(listing.size(), expected.size());
    for (const Json& entry : expected) {
      ASSERT_TRUE(listing.contains(entry["path"].text())) << entry["path"].text();
      const Node& node = listing.at(entry["path"].text());
      expect_node(node, entry, blobs);
    }
  }
}

}  // namespace
}  // namespace restic::repo
