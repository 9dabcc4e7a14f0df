// SPDX-License-Identifier: MIT
#pragma once

#include <stop_token>

#include "repo/repository.h"

namespace restic::repo {

// What a tree counts as that the index names but that cannot be read. Whoever stores what is missing again
// would find that tree in the index, and so store nothing.
enum class Unreadable { Missing, Failure };

// Whether the repository has a tree and all that it refers to, directly or through its subtrees: each tree is
// in the index and can be read, each piece of a file's content is in the index. Says what is missing in the
// log. With Unreadable::Failure, throws Damaged, naming the pack, when a tree is in the index but cannot be
// read. Reads the trees from the storage, whatever caches hold, several at a time, and keeps little more than
// their ids. Only under a lock does the answer hold for longer than it took. Blocks; throws Cancelled when
// `stop` was asked for, and what hinders asking the storage.
bool has_everything(Repository& repository, const Index& index, const Id& tree, Unreadable unreadable,
                    const std::stop_token& stop);

}  // namespace restic::repo
