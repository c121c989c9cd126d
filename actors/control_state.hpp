#pragma once
// Control, the state machine: which requests of which connections are under way, and what each of them holds.
//
// A request that follows, watches or reads logs stays under way until it is cancelled or its connection goes; then what
// it holds must be let go. Each request has a key, unique in the head's life, under which others know it.
//
// Pure.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace berth::actors {

/// Who is at the other end of a connection, as the kernel says it.
struct caller_facts {
  std::string program;
  std::int64_t pid = 0;
  std::int64_t uid = -1;
  friend bool operator==(const caller_facts&, const caller_facts&) = default;
};

/// "berth (pid 77, uid 1000)": who stands in history and in errors.
[[nodiscard]] std::string to_string(const caller_facts& who);

/// What a request holds while it is under way.
enum class holding : std::uint8_t { nothing, route, watch, logs };

struct open_request {
  std::uint64_t key = 0;
  std::uint64_t connection = 0;
  std::uint64_t call = 0;
  holding what = holding::nothing;
  std::string name;  ///< of the route it follows
};

class control_state {
 public:
  std::uint64_t begin(std::uint64_t connection, std::uint64_t call);
  /// From now on the request stays until it is cancelled. False when it is gone already: let go at once.
  bool hold(std::uint64_t key, holding what, std::string name = {});
  /// The request has its answer.
  std::optional<open_request> finish(std::uint64_t key);
  /// The caller wants no answer any more.
  std::optional<open_request> cancel(std::uint64_t connection, std::uint64_t call);
  /// The connection is gone: everything it had under way.
  std::vector<open_request> gone(std::uint64_t connection);
  [[nodiscard]] const open_request* find(std::uint64_t key) const;
  [[nodiscard]] const open_request* find(std::uint64_t connection, std::uint64_t call) const;

  [[nodiscard]] std::size_t size() const { return open_.size(); }

 private:
  std::map<std::uint64_t, open_request> open_;
  std::uint64_t last_ = 0;
};

}  // namespace berth::actors
