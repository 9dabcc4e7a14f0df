// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace restic {

// Why an operation failed, in the words the layers above decide by. fs maps each to one errno, tools to an
// exit code; nobody parses messages.
enum class Errc {
  NotFound,       // the named file is not in the repository (never used for "could not ask")
  Denied,         // credentials or permissions; also an append-only server refusing a delete
  Timeout,        // no answer within the deadline
  Unavailable,    // the remote, the network or the rclone process is down; worth a retry
  Damaged,        // the bytes are not what their name, MAC or format promises
  Full,           // no space or quota on the remote, the cache or the staging disk
  Unsupported,    // a repository version or feature we do not know
  Usage,          // the caller or the user asked for something that makes no sense
  WrongPassword,  // no key file opens with this password
  Locked,         // somebody else holds a lock that conflicts
  Cancelled,      // we are shutting down
  Io,             // anything else the operating system or the remote reported
};

// The one exception type. `what()` is a sentence for the user: what failed, on what, why. Copyable, so that
// one failed fetch can be reported to every waiter.
class Error : public std::runtime_error {
 public:
  Error(Errc code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Errc code() const noexcept { return code_; }

 private:
  Errc code_;
};

// A value or the Error that stands in its place: the argument of every completion callback. Exceptions do not
// cross threads; they are carried here and thrown again by `take()` or `value()` on the waiter's thread.
template <class T>
class Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const noexcept { return state_.index() == 0; }
  const Error& error() const { return std::get<Error>(state_); }
  const T& value() const {
    if (!ok()) throw Error(error());
    return std::get<T>(state_);
  }
  T take() {
    if (!ok()) throw Error(error());
    return std::move(std::get<T>(state_));
  }

 private:
  std::variant<T, Error> state_;
};

struct Unit {};  // Result<Unit>: nothing but success
using Status = Result<Unit>;

}  // namespace restic
