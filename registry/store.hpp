#pragma once
// Store: where the change log is durable. The state machine decides, the store only writes what was decided.

#include "registry/names.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace berth::registry {

class store {
 public:
  virtual ~store() = default;
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  /// All rows in order of revision, with the facts of published versions. Call once, before the first `append`.
  [[nodiscard]] virtual result<std::vector<entry>> load() = 0;

  using done_function = std::function<void(result<void>)>;
  /// Writes `rows` as one transaction and calls `done` on the writer thread once they are durable. Batches are
  /// written in order of their calls; what waits when the writer is free becomes one commit. After an error nothing
  /// of the batch is stored. Errors: `overloaded` (storage_full) when the disk is full, retry later; `failed`.
  virtual void append(std::vector<entry> rows, done_function done) = 0;

  /// Why this store takes no writes; nothing when it does.
  [[nodiscard]] virtual std::optional<error_info> read_only() const = 0;

 protected:
  store() = default;
};

}  // namespace berth::registry
