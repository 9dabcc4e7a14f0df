// SPDX-License-Identifier: MIT
#pragma once

#include <exception>

#include "base/error.h"

namespace restic {

// Any exception as an Error, to be carried across threads.
inline Error as_error(const std::exception& problem) {
  if (const auto* error = dynamic_cast<const Error*>(&problem)) return *error;
  return {Errc::Io, problem.what()};
}

}  // namespace restic
