#pragma once
// Head link: a program's connection to the control actor; every verb goes over it.

#include "runtime/net/endpoint.hpp"
#include "runtime/net/link.hpp"

#include <berth/error.hpp>
#include <berth/reflect.hpp>
#include <berth/value.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace berth::client {

/// A resource. Connects on first use, and again when the connection is gone. Threads: any.
class head_link {
 public:
  /// `drives` reads the link while nobody waits on it.
  head_link(net::address where, std::string program, std::shared_ptr<net::driver> drives);

  ~head_link();
  head_link(const head_link&) = delete;
  head_link& operator=(const head_link&) = delete;

  /// Handles one push; false ends the request. Runs on the thread that asked.
  using on_push = std::function<bool(const value&)>;

  /// Asks and waits for the reply; null when `each` ended it. Output of a build comes to `line`.
  /// Errors: what the head says; `disconnected`; `timed_out` after `wait`, which then leaves the request cancelled.
  result<value> request(std::string_view verb,
                        const value& args,
                        std::chrono::milliseconds wait,
                        const on_push& each = {},
                        const std::function<void(std::string_view)>& line = {});

  template <class Reply, class Verb>
  result<Reply> ask(const Verb& verb, std::chrono::milliseconds wait = std::chrono::seconds(30)) {
    auto said = request(type_name<Verb>(), to_value(verb), wait);
    if (!said) return std::move(said).error();
    return from_value<Reply>(*said);
  }

  /// A request whose items go on arriving. Dropping it cancels.
  class subscription {
   public:
    virtual ~subscription() = default;
  };

  /// Keeps a request open. `each` runs on a callback thread, in order, first for the first answer; `lost` once, when the
  /// head ended it or the connection is gone. Neither is called after the subscription was dropped.
  result<std::unique_ptr<subscription>> follow(std::string_view verb,
                                               const value& args,
                                               std::function<void(const value&)> each,
                                               std::function<void(const error_info&)> lost);

  /// Closes the connection; the next request opens another.
  void close();

  [[nodiscard]] const net::address& where() const noexcept { return where_; }

 private:
  result<std::shared_ptr<net::link>> opened();

  const net::address where_;
  const std::string program_;
  const std::shared_ptr<net::driver> driver_;  // before the link: links end before their driver
  std::mutex mutex_;
  std::shared_ptr<net::link> link_;
};

}  // namespace berth::client
