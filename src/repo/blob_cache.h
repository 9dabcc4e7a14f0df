// SPDX-License-Identifier: MIT
#pragma once

#include "repo/blob.h"
#include "repo/byte_cache.h"
#include "repo/id.h"

namespace restic::repo {

// The verified blobs in memory, and the budget of everything that is on its way to become one.
using BlobCache = ByteCache<BlobKey, Blob, BlobKeyHash>;

}  // namespace restic::repo
